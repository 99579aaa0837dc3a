// Long polling and streams, with the instructions of npm grip.
const grip = require("grip");

exports.poll = async () => ({
  statusCode: 200,
  headers: { "Content-Type": "application/grip-instruct" },
  body: grip.createHoldResponse([new grip.Channel("news")], new grip.Response({ headers: { "Content-Type": "text/plain" }, body: "nothing\n" }), 20),
});

exports.stream = async (event) => ({
  statusCode: 200,
  headers: {
    "Content-Type": "text/event-stream",
    "Access-Control-Allow-Origin": "*",
    "Grip-Hold": "stream",
    "Grip-Channel": "news",
    "Grip-Keep-Alive": ":\\n\\n; format=cstring; timeout=20",
  },
  body: "data: hello\n\n",
});

// environ tells what GRIP_URL is, to functions behind routes and to others.
exports.environ = async () => ({ statusCode: 200, headers: {}, body: process.env.GRIP_URL || "" });
