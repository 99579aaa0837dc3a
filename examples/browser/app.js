// One MQTT connection over WebSocket: it shows every message live, and it calls a
// function by publishing with a Response Topic and waiting for the answer.
const $ = (id) => document.getElementById(id);
const broker = new URLSearchParams(location.search).get("broker") ?? "ws://127.0.0.1:8080/mqtt";
const answers = `browser/${crypto.randomUUID()}/answers`; // only this page listens here
const waiting = new Map(); // Correlation Data → what to do with the answer

const client = mqtt.connect(broker, { protocolVersion: 5, reconnectPeriod: 1000 });

function show(state, text) {
  $("state").dataset.state = state;
  $("state").textContent = text;
  $("call").querySelector("button").disabled = state !== "connected";
}

client.on("connect", async () => {
  await client.subscribeAsync([answers, "#"]);
  show("connected", `connected to ${broker}`);
});
client.on("reconnect", () => show("connecting", `connecting to ${broker}…`));
client.on("close", () => show("closed", `no connection to ${broker}`));
client.on("error", (err) => show("closed", err.message));

client.on("message", (topic, payload, packet) => {
  if (topic === answers) {
    const id = packet.properties?.correlationData?.toString();
    waiting.get(id)?.(payload.toString());
    return waiting.delete(id);
  }
  const item = document.createElement("li");
  const name = Object.assign(document.createElement("b"), { textContent: topic });
  const time = Object.assign(document.createElement("time"), { textContent: new Date().toLocaleTimeString() });
  item.append(time, name, payload.toString());
  $("messages").prepend(item);
  while ($("messages").children.length > 50) $("messages").lastChild.remove();
});

// request publishes and resolves with the answer that carries the same Correlation Data.
function request(topic, payload, milliseconds = 5000) {
  const id = crypto.randomUUID();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      waiting.delete(id);
      reject(new Error(`no answer on ${topic} within ${milliseconds / 1000} s`));
    }, milliseconds);
    waiting.set(id, (answer) => { clearTimeout(timer); resolve(answer); });
    client.publish(topic, payload, {
      qos: 1,
      properties: { responseTopic: answers, correlationData: id },
    });
  });
}

$("call").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("reply").className = "";
  try {
    JSON.parse($("message").value);
    const start = performance.now();
    const answer = await request(`hello/${$("name").value}`, $("message").value);
    $("reply").textContent = `${answer}\n\n${(performance.now() - start).toFixed(1)} ms`;
  } catch (err) {
    $("reply").className = "failed";
    $("reply").textContent = err.message;
  }
});
