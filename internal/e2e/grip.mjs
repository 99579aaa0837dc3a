// Clients of the functions in testdata/grip: node grip.mjs ORIGIN GRIP_URL. npm's ws and
// fetch hold the connections, npm's grip and @fanoutio/grip publish. It prints one JSON
// line with what they saw.
import { createRequire } from "node:module";
import WebSocket from "ws";
import { Publisher, WebSocketMessageFormat, HttpStreamFormat } from "@fanoutio/grip";

const require = createRequire(import.meta.url);
const grip = require("grip");
const { Item } = require("pubcontrol"); // comes with grip
const [origin, gripURL] = process.argv.slice(2);
const seen = {};

// Socket keeps the messages that nobody has waited for yet.
class Socket {
  constructor(path, protocols) {
    this.messages = [];
    this.waiting = [];
    this.ws = new WebSocket(origin.replace("http", "ws") + path, protocols);
    this.opened = new Promise((ok, no) => {
      this.ws.on("open", () => ok(this));
      this.ws.on("error", no);
      this.ws.on("unexpected-response", (_, r) => {
        let body = "";
        r.on("data", (d) => (body += d));
        r.on("end", () => no(new Error(r.statusCode + " " + r.headers["x-why"] + " " + body)));
      });
    });
    this.closed = new Promise((ok) => this.ws.on("close", (code, reason) => ok(code + " " + reason)));
    this.ws.on("message", (data, binary) => {
      const m = binary ? [...data] : data.toString();
      if (this.waiting.length) this.waiting.shift()(m);
      else this.messages.push(m);
    });
  }
  next() {
    if (this.messages.length) return Promise.resolve(this.messages.shift());
    return new Promise((ok) => this.waiting.push(ok));
  }
}

const echo = await new Socket("/echo").opened;
echo.ws.send("hé€");
seen.echo = await echo.next();
const pong = new Promise((ok) => echo.ws.on("pong", (d) => ok(d.toString())));
echo.ws.ping("pp");
seen.pong = await pong;
echo.ws.send("x".repeat(1000000));
seen.large = (await echo.next()).length;
echo.ws.close(4000, "bye");
seen.close = await echo.closed;

const al = await new Socket("/chat?room=r1").opened;
const bo = await new Socket("/chat?room=r1").opened;
al.ws.send("/nick Al");
seen.nick = await al.next();
al.ws.send("hi all");
seen.chat = [await al.next(), await bo.next()];
bo.ws.send("hello Al");
seen.anonymous = [await al.next(), await bo.next()];
seen.refused = await new Socket("/chat?room=closed").opened.catch((e) => e.message);

const parts = grip.parseGripUri(gripURL);
const old = new grip.GripPubControl(parts);
seen.npmGrip = await new Promise((ok) => old.publish("r1", new Item(new grip.WebSocketMessageFormat("from npm grip")), (success, text) => ok(success || text)));
seen.published = [await al.next(), await bo.next()];
old.publish("r1", new Item(new grip.WebSocketMessageFormat(Buffer.from([0, 255]))));
seen.binary = await al.next();

const publisher = new Publisher(gripURL);
const poll = fetch(origin + "/poll").then((r) => r.text());
const stream = await fetch(origin + "/stream");
const reader = stream.body.getReader();
const decoder = new TextDecoder();
let text = "";
const until = async (end) => {
  while (!text.endsWith(end)) text += decoder.decode((await reader.read()).value);
};
await until("hello\n\n");
await publisher.publishHttpStream("news", new HttpStreamFormat("data: fanout\n\n"));
await until("fanout\n\n");
seen.stream = text;
let answered = false;
poll.then(() => (answered = true));
while (!answered) {
  // until the poll is held
  await publisher.publishHttpResponse("news", "polled\n");
  await new Promise((ok) => setTimeout(ok, 20));
}
seen.poll = await poll;
await publisher.publishFormats("r1", new WebSocketMessageFormat("from @fanoutio/grip"));
seen.fanout = await al.next();

al.ws.send("/detach");
await new Promise((ok) => setTimeout(ok, 200)); // the handler answers nothing that could be waited for
await publisher.publishFormats("r1", new WebSocketMessageFormat("still bound"));
seen.detached = await al.next();
seen.environ = await (await fetch(origin + "/environ")).text();
al.ws.terminate(); // the handler throws on it
bo.ws.close(1000);
seen.last = await bo.closed;
console.log(JSON.stringify(seen));
process.exit(0);
