// Headless Chromium for tests, which calls nobody but the page.
import { chromium } from "playwright-core";

export const launch = (executablePath) => chromium.launch({
  executablePath,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
