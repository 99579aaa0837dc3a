// Drives the API of index.mjs with npm ws: node clients.mjs URL. It prints one JSON line
// with what two clients have seen.
import WebSocket from "ws";

const url = process.argv[2];
const seen = {};

// connect resolves with a client whose hear() resolves with the next message.
function connect(query = "", protocols = []) {
  const ws = new WebSocket(url + query, protocols);
  const messages = [], waiting = [];
  ws.on("message", (data) => (waiting.length ? waiting.shift()(data.toString()) : messages.push(data.toString())));
  ws.hear = () => (messages.length ? Promise.resolve(messages.shift()) : new Promise((resolve) => waiting.push(resolve)));
  ws.ask = (message) => { ws.send(JSON.stringify(message)); return ws.hear(); };
  ws.closed = new Promise((resolve) => ws.on("close", (code, reason) => resolve([code, reason.toString()])));
  return new Promise((resolve, reject) => {
    ws.on("open", () => resolve(ws));
    ws.on("error", reject);
  });
}

// refused resolves with the answer to a handshake that is not accepted.
function refused(query) {
  const ws = new WebSocket(url + query);
  return new Promise((resolve) => {
    ws.on("error", () => {}); // follows the answer
    ws.on("unexpected-response", (_, response) => {
      let body = "";
      response.on("data", (data) => (body += data));
      response.on("end", () => resolve([response.statusCode, body.replace(/"(connection|request)Id":"[^"]*"/g, '"$1Id":""')]));
    });
  });
}

seen.wrong = await refused("?token=wrong");
seen.crashed = await refused("?token=crash");
const ada = await connect("?name=ada", ["chat.v1", "chat.v2"]);
const bob = await connect("?name=bob");
seen.protocol = ada.protocol;
const event = JSON.parse(await bob.ask({ action: "event" }));
seen.keys = Object.keys(event).concat(Object.keys(event.requestContext)).join(" ");
const bobID = event.requestContext.connectionId;
seen.posted = await ada.ask({ action: "post", to: bobID, text: "hi" });
seen.heard = JSON.parse(await bob.hear()).text;
seen.look = JSON.parse(await ada.ask({ action: "look", to: bobID }));
seen.unknown = await ada.ask({ action: "never heard of" });
ada.send("plain text");
seen.plain = await ada.hear();
seen.fails = (await ada.ask({ action: "crash" })).replace(/"(connection|request)Id":"[^"]*"/g, '"$1Id":""');
ada.send(JSON.stringify({ action: "kick", to: bobID }));
seen.kicked = await bob.closed;
for (;;) { // its $disconnect event comes in its own time
  const left = JSON.parse(await ada.ask({ action: "left" }));
  if (left.length > 0) {
    seen.left = left.map((l) => [l.connectionId === bobID, l.code, l.reason]);
    break;
  }
}
seen.gone = await ada.ask({ action: "post", to: bobID, text: "hi" });
ada.send(Buffer.from([1, 2, 3]));
seen.binary = (await ada.closed)[0];
console.log(JSON.stringify(seen));
process.exit(0); // the refused ones are still half open
