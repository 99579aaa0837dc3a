// Serves the page: the function behind the route /*.
import { readFile } from "node:fs/promises";

const files = {
  "/": ["page/index.html", "text/html"],
  "/app.js": ["page/app.js", "text/javascript"],
  "/style.css": ["page/style.css", "text/css"],
  "/mqtt.js": ["node_modules/mqtt/dist/mqtt.min.js", "text/javascript"],
};

export const handler = async ({ path }) => {
  const answer = (statusCode, body, type = "text/plain") => ({ statusCode, body, headers: { "Content-Type": `${type}; charset=utf-8` } });
  const [file, type] = files[path] ?? [];
  if (!file) return answer(404, "There is no such page.\n");
  return readFile(new URL(file, import.meta.url), "utf8").then(
    (text) => answer(200, text, type),
    () => answer(500, `${file} is not there. Have you run npm install in examples/stream?\n`),
  );
};
