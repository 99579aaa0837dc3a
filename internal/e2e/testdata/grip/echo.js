// The echo of faas-grip's README, with a callback.
const faas_grip = require("faas-grip");

exports.handler = function (event, context, callback) {
  let ws;
  try {
    ws = faas_grip.lambdaGetWebSocket(event);
  } catch (err) {
    callback(null, { statusCode: 400, headers: { "Content-Type": "text/plain" }, body: "Not a WebSocket-over-HTTP request\n" });
    return;
  }
  if (ws.isOpening()) ws.accept();
  while (ws.canRecv()) {
    const message = ws.recv();
    if (message == null) {
      ws.close();
      break;
    }
    ws.send(message);
  }
  callback(null, ws.toResponse());
};
