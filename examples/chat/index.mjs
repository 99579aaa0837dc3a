// The function behind the routes: it serves the page, opens the stream of events, and
// publishes what is POSTed. It holds no connection and keeps nothing.
import { readFile } from "node:fs/promises";
import { extname } from "node:path";

const room = "rooms/lobby";
const files = {
  "/": "page/index.html",
  "/app.js": "page/app.js",
  "/style.css": "page/style.css",
  "/mqtt.js": "node_modules/mqtt/dist/mqtt.min.js",
};
const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

const text = (statusCode, body) => ({ statusCode, headers: { "Content-Type": "text/plain; charset=utf-8" }, body });

export const handler = async (event) => {
  if (event.path === "/events") {
    if (event.httpMethod === "POST") {
      await publish(event.isBase64Encoded ? Buffer.from(event.body, "base64").toString() : event.body);
      return text(202, "");
    }
    return {
      statusCode: 200,
      headers: {
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-store",
        "Grip-Hold": "stream",
        "Grip-Channel": room,
        "Grip-Keep-Alive": ":\\n\\n; format=cstring; timeout=20",
      },
      body: ": welcome\n\n",
    };
  }
  const file = files[event.path];
  if (!file) return text(404, "There is no such page.\n");
  try {
    return {
      statusCode: 200,
      headers: { "Content-Type": `${types[extname(file)]}; charset=utf-8` },
      body: await readFile(new URL(file, import.meta.url), "utf8"),
    };
  } catch {
    return text(500, `${file} is not there. Have you run npm install in examples/chat?\n`);
  }
};

// publish sends a message to everybody in the room. GRIP_URL says where, and with which key.
async function publish(content) {
  const url = new URL(process.env.GRIP_URL);
  const key = url.searchParams.get("key");
  const event = `data: ${content.replace(/\r\n?|\n/g, "\ndata: ")}\n\n`; // each line of it is a line of the event
  const answer = await fetch(`${url.origin}${url.pathname.replace(/\/$/, "")}/publish/`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${key}` },
    body: JSON.stringify({ items: [{ channel: room, formats: { "ws-message": { content }, "http-stream": { content: event } } }] }),
  });
  if (!answer.ok) throw new Error(`publish: ${answer.status} ${await answer.text()}`);
}
