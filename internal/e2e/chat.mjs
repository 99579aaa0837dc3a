// Drives examples/chat in headless Chromium: node chat.mjs CHROMIUM PAGE [SCREENSHOT]. It
// prints one JSON line with what each of the three clients has heard. "ready" on its standard
// error asks for a message from outside, which has to say 21 °C.
import { launch } from "./chromium.mjs";

const [executablePath, url, screenshot] = process.argv.slice(2);
const browser = await launch(executablePath);
try {
  const page = await browser.newPage({ viewport: { width: 1160, height: 760 } });
  const errors = [];
  page.on("pageerror", (err) => errors.push(err.message));
  page.on("console", (msg) => msg.type() === "error" && errors.push(msg.text()));
  await page.goto(url);
  const clients = ["mqtt", "websocket", "events"];
  for (const id of clients) await page.waitForSelector(`#${id} .state[data-state="connected"]`);

  const lines = [
    ["mqtt", "Hello from MQTT!"],
    ["websocket", "And from a plain WebSocket. Nothing but the browser's own."],
    ["events", "Server-sent events here. I speak with a POST."],
    ["mqtt", "<b>So we are all in one room</b> 🎈"],
  ];
  for (const [id, text] of lines) {
    await page.fill(`#${id} input`, text);
    await page.click(`#${id} button`);
    for (const other of clients) await page.locator(`#${other} li`, { hasText: text }).waitFor();
  }
  console.error("ready");
  for (const id of clients) await page.locator(`#${id} li`, { hasText: "21 °C" }).first().waitFor();

  const heard = {};
  for (const id of clients) {
    heard[id] = await page.locator(`#${id} li`).evaluateAll((items) =>
      items.map((li) => [li.className, li.firstChild.textContent, li.lastChild.textContent]));
  }
  if (screenshot) await page.screenshot({ path: screenshot });
  console.log(JSON.stringify({ heard, errors }));
} finally {
  await browser.close();
}
