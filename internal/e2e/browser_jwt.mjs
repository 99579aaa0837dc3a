// Connects mqtt.js in headless Chromium with a JSON Web Token in the URL and as the
// password: node browser_jwt.mjs CHROMIUM PAGE BROKER TOKEN EXPIRED. It prints one JSON line
// with what came of each.
import { launch } from "./chromium.mjs";

const [executablePath, page_url, broker, token, expired] = process.argv.slice(2);
const browser = await launch(executablePath);
try {
  const page = await browser.newPage();
  await page.goto(page_url);
  await page.addScriptTag({ url: "/node_modules/mqtt/dist/mqtt.min.js" });
  const attempt = (url, options) => page.evaluate(([url, options]) => new Promise((resolve) => {
    const client = globalThis.mqtt.connect(url, { ...options, protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 10000 });
    client.on("error", (err) => { resolve("error " + err.code); client.end(true); });
    client.on("close", () => resolve("closed"));
    client.on("message", (topic, payload) => { resolve(`${topic} ${payload}`); client.end(true); });
    client.on("connect", () => client.subscribe("page/1", () => client.publish("page/1", "hello")));
  }), [url, options]);
  console.log(JSON.stringify({
    url: await attempt(`${broker}?token=${token}`, {}),
    password: await attempt(broker, { username: "page", password: token }),
    expired: await attempt(`${broker}?token=${expired}`, {}),
    none: await attempt(broker, {}),
  }));
} finally {
  await browser.close();
}
