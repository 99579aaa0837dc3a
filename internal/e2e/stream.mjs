// Drives examples/stream in headless Chromium: node stream.mjs CHROMIUM PAGE [SCREENSHOT]. It
// prints one JSON line with what a person would have seen; with SCREENSHOT it leaves
// SCREENSHOT-writing.png, SCREENSHOT-done.png and SCREENSHOT-failed.png.
import { launch } from "./chromium.mjs";

const [executablePath, url, screenshot] = process.argv.slice(2);
const browser = await launch(executablePath);
try {
  const page = await browser.newPage({ viewport: { width: 1160, height: 820 } });
  const errors = [];
  page.on("pageerror", (err) => errors.push(err.message));
  page.on("console", (msg) => msg.type() === "error" && errors.push(msg.text()));
  const shoot = (name) => screenshot && page.screenshot({ path: `${screenshot}-${name}.png`, fullPage: true });
  const both = async (state) => { for (const id of ["streamed", "whole"]) await page.waitForSelector(`#${id}[data-state="${state}"]`); };
  const card = (id) => page.locator(`#${id}`).evaluate((section) => ({
    story: section.querySelector(".story").textContent,
    messages: section.querySelectorAll(".line i").length,
    failure: section.querySelector(".failure").textContent,
  }));

  await page.goto(url);
  await page.fill("#about", "a lost packet 📦");
  await page.click("#ask > button:not([disabled])");

  // In the middle: some of the story is there, and it is still being written.
  await page.waitForFunction(() => document.querySelectorAll('#streamed[data-state="writing"] .line i').length > 30);
  const middle = await card("streamed");
  await shoot("writing");
  await both("done");
  const streamed = await card("streamed"), whole = await card("whole");
  await shoot("done");

  await page.click('.ideas button:text-is("nothing")');
  await both("failed");
  const broken = { streamed: await card("streamed"), whole: await card("whole") };
  await shoot("failed");
  console.log(JSON.stringify({ middle, streamed, whole, broken, errors }));
} finally {
  await browser.close();
}
