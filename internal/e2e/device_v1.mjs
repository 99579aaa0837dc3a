// Drives aws-iot-device-sdk (v1): node device_v1.mjs OPTIONS-AS-JSON.
// Two clients with the same options and other names: one subscribes, the other publishes,
// answers and is then cut off, so that its will is seen. Prints what was seen.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
const { device } = createRequire(import.meta.url)("aws-iot-device-sdk");

const options = JSON.parse(process.argv[2]);
if (options.protocol === "wss") options.websocketOptions = { ca: readFileSync(options.caPath), protocol: "mqtt" };

const connect = (clientId, more = {}) => new Promise((resolve, reject) => {
  const d = device({ ...options, clientId, ...more });
  d.once("connect", () => resolve(d));
  d.once("error", reject);
  d.once("close", () => reject(new Error("closed")));
});
const seen = [];
try {
  const watcher = await connect("watcher");
  const all = new Promise((resolve) => watcher.on("message", (topic, payload) => {
    seen.push(`${topic} ${payload}`);
    if (seen.length === 2) resolve();
  }));
  await new Promise((resolve, reject) => watcher.subscribe("lamp/#", { qos: 1 }, (err) => (err ? reject(err) : resolve())));
  const lamp = await connect("lamp", { will: { topic: "lamp/will", payload: "gone", qos: 1, retain: false } });
  await new Promise((resolve, reject) => lamp.publish("lamp/state", "on", { qos: 1 }, (err) => (err ? reject(err) : resolve())));
  lamp.on("close", () => {});
  lamp.end(true); // without DISCONNECT
  await all;
  console.log(JSON.stringify(seen.sort()));
  process.exit(0);
} catch (err) {
  console.error(String(err));
  process.exit(3);
}
