// One node of a Socket.IO application. Usage: with_socket_io.mjs NAME; prints `listening PORT`.
// It knows nothing of other nodes, so a session that polls must come back to its own.

import { createServer } from "node:http";
import { Server } from "socket.io";

const name = process.argv[2];
const http = createServer();
const io = new Server(http, { path: "/socket.io", pingInterval: 1000, pingTimeout: 5000, maxHttpBufferSize: 8 << 20 });

io.on("connection", (socket) => {
  socket.emit("node", name);
  socket.on("echo", (payload, answer) => answer(payload));
  socket.on("ask", (word, answer) => answer(word === "node" ? name : socket.conn.transport.name));
  socket.on("push", (count) => {
    for (let number = 0; number < count; number += 1) socket.emit("pushed", number);
  });
  // The connection ends below Socket.IO, so that the client takes it for an accident and comes again.
  socket.on("drop", () => socket.conn.close());
  socket.on("leave", () => socket.disconnect(true));
});

http.listen(0, "127.0.0.1", () => console.log(`listening ${http.address().port}`));
