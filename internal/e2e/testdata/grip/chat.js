// A chat room: a channel for each room, the nickname in the connection's meta, and
// messages published over GRIP_URL.
const faas_grip = require("faas-grip");
const grip = require("grip");

exports.handler = async (event) => {
  const ws = faas_grip.lambdaGetWebSocket(event);
  const room = event.queryStringParameters.room;
  if (ws.isOpening()) {
    if (room === "closed") return { statusCode: 403, headers: { "X-Why": "closed" }, body: "no such room\n" };
    ws.accept();
    ws.subscribe(room);
  }
  while (ws.canRecv()) {
    const message = ws.recv();
    if (message == null) {
      ws.close();
      break;
    }
    if (message.startsWith("/nick ")) {
      ws.meta.nick = message.substring(6);
      ws.send("nickname set to [" + ws.meta.nick + "]");
    } else if (message === "/detach") {
      ws.detach();
    } else {
      await faas_grip.publish(room, new grip.WebSocketMessageFormat((ws.meta.nick || "anonymous") + ": " + message));
    }
  }
  return ws.toResponse();
};
