// Drives examples/browser in headless Chromium: node browser.mjs CHROMIUM PAGE [SCREENSHOT].
// It prints one JSON line with what a person would have seen.
import { launch } from "./chromium.mjs";

const [executablePath, page_url, screenshot] = process.argv.slice(2);
const browser = await launch(executablePath);
try {
  const page = await browser.newPage();
  const errors = [];
  page.on("pageerror", (err) => errors.push(err.message));
  page.on("console", (msg) => msg.type() === "error" && errors.push(msg.text()));
  await page.goto(page_url);
  await page.waitForSelector('#state[data-state="connected"]');

  // Two pages: what one publishes, the other sees.
  const other = await browser.newPage();
  await other.goto(page_url);
  await other.waitForSelector('#state[data-state="connected"]');

  await page.fill("#name", "grace");
  await page.fill("#message", '{"from":"chromium"}');
  await page.click("button");
  await page.waitForFunction(() => document.querySelector("#reply").textContent.includes(" ms"));
  const reply = (await page.textContent("#reply")).split("\n\n")[0];

  const seen = other.locator("#messages li", { hasText: "hello/grace" }).first();
  await seen.waitFor();
  const live = (await seen.textContent()).trim();
  if (screenshot) await page.screenshot({ path: screenshot, fullPage: true });
  console.log(JSON.stringify({ reply, live, errors }));
} finally {
  await browser.close();
}
