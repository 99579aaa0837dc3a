// WebSocket and EventSource of headless Chromium, at the functions in testdata/grip:
// node grip_browser.mjs CHROMIUM PAGE ORIGIN. It prints one JSON line with what they saw.
import { launch } from "./chromium.mjs";

const [executablePath, pageURL, origin] = process.argv.slice(2);
const browser = await launch(executablePath);
try {
  const page = await browser.newPage();
  await page.goto(pageURL);
  const seen = await page.evaluate(async ([origin, publish]) => {
    const next = (target, type) => new Promise((ok) => target.addEventListener(type, ok, { once: true }));
    const ws = new WebSocket(origin.replace("http", "ws") + "/chat?room=browser");
    await next(ws, "open");
    ws.send("/nick Chromium");
    const nick = (await next(ws, "message")).data;
    ws.send("hi");
    const chat = (await next(ws, "message")).data;
    const events = new EventSource(origin + "/stream");
    const hello = (await next(events, "message")).data;
    const published = next(events, "message");
    // No page may publish without a key: this one goes unheard.
    await fetch(origin + "/publish/", { method: "POST", mode: "no-cors", body: JSON.stringify({ items: [{ channel: "news", "http-stream": { content: "data: forged\n\n" } }] }) });
    const r = await fetch(publish, { method: "POST", body: JSON.stringify({ items: [{ channel: "news", "http-stream": { content: "data: event\n\n" } }] }) });
    const event = (await published).data;
    ws.close(4001, "bye");
    const closed = await next(ws, "close");
    events.close();
    return { nick, chat, hello, event, closed: closed.code + " " + closed.reason + " " + closed.wasClean, status: r.status };
  }, [origin, pageURL + "/publish"]);
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}
