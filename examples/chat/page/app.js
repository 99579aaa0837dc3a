// Three clients in one room. A wire is a function that connects, tells what arrives and
// whether it is connected, and returns how to send.
const here = location.host;
const socket = `${location.protocol === "https:" ? "wss" : "ws"}://${here}`;

// again calls connect anew a second after it says that it has lost its connection.
function again(connect) {
  connect(() => setTimeout(() => again(connect), 1000));
}

function overMQTT({ heard, state }) {
  const client = mqtt.connect(`${socket}/mqtt`, { protocolVersion: 5, reconnectPeriod: 1000 });
  client.on("connect", async () => { await client.subscribeAsync("rooms/lobby"); state("connected"); });
  client.on("close", () => state("closed"));
  client.on("message", (_, payload) => heard(payload.toString()));
  return (message) => client.publish("rooms/lobby", JSON.stringify(message), { qos: 1 });
}

function overWebSocket({ heard, state }) {
  let ws;
  again((lost) => {
    ws = new WebSocket(`${socket}/room`);
    ws.onopen = () => state("connected");
    ws.onmessage = (event) => heard(event.data);
    ws.onclose = () => { state("closed"); lost(); };
  });
  return (message) => ws.send(JSON.stringify({ action: "say", ...message }));
}

function overEvents({ heard, state }) {
  const events = new EventSource("/events"); // comes back by itself, and says what it had last
  events.onopen = () => state("connected");
  events.onmessage = (event) => heard(event.data);
  events.onerror = () => state("closed");
  return (message) => fetch("/events", { method: "POST", body: JSON.stringify(message) });
}

const clients = [
  { id: "mqtt", from: "Ada", title: "MQTT", how: "mqtt.js over a WebSocket", wire: overMQTT },
  { id: "websocket", from: "Bob", title: "WebSocket", how: "the browser's own, plain", wire: overWebSocket },
  { id: "events", from: "Cyd", title: "EventSource", how: "server-sent events and fetch", wire: overEvents },
];

for (const { id, from, title, how, wire } of clients) {
  const card = document.querySelector("template").content.cloneNode(true).querySelector("section");
  const $ = (selector) => card.querySelector(selector);
  card.id = id;
  $("h2").textContent = from;
  $(".how").textContent = `${title} · ${how}`;
  document.querySelector("main").append(card);

  const send = wire({
    state(now) {
      $(".state").dataset.state = now;
      $(".state").textContent = now;
      $("button").disabled = now !== "connected";
    },
    heard(data) {
      let message;
      try { message = JSON.parse(data); } catch { message = {}; }
      if (typeof message !== "object" || message === null || !message.text) message = { from: "somebody", text: data };
      const item = document.createElement("li");
      item.className = message.from === from ? "own" : "";
      item.dataset.via = clients.find((c) => c.from === message.from)?.id ?? "other";
      item.append(Object.assign(document.createElement("b"), { textContent: message.from ?? "somebody" }), String(message.text));
      $("ol").append(item);
      while ($("ol").children.length > 200) $("ol").firstChild.remove();
      $("ol").scrollTop = $("ol").scrollHeight;
    },
  });
  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    send({ from, text: $("input").value });
    $("input").value = "";
  });
}
