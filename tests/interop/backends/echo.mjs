// A backend that echoes and does nothing else, on Node's `ws`: what conformance is measured on.
// Prints `listening PORT`.

import { WebSocketServer } from "ws";

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: true });

server.on("connection", (socket) => {
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  // It has answered with the Close that says so.
  socket.on("error", () => {});
});

server.on("listening", () => console.log(`listening ${server.address().port}`));
