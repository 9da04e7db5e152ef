// An echo backend on Node's `ws`. Prints `listening PORT`.

import { WebSocketServer } from "ws";
import * as language from "./language.mjs";

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  perMessageDeflate: true,
  handleProtocols: (offered) => (offered.has(language.SUBPROTOCOL) ? language.SUBPROTOCOL : false),
});

server.on("headers", (lines) => {
  for (const cookie of language.COOKIES) lines.push(`Set-Cookie: ${cookie}`);
});

server.on("connection", (socket, request) => {
  const actions = actionsOn(socket, request);
  if (language.isGreetingAsked(request.url)) socket.send(language.GREETING);
  socket.on("message", (data, isBinary) => {
    if (isBinary || !language.answerAsk(data.toString(), actions)) socket.send(data, { binary: isBinary });
  });
  socket.on("pong", (payload) => socket.send(`pong ${payload}`));
  socket.on("close", (code, reason) => language.recordEnding(request.url, code, reason.toString()));
  socket.on("error", (error) => console.error(`session: ${error.message}`));
});

server.on("listening", () => console.log(`listening ${server.address().port}`));

function actionsOn(socket, request) {
  return {
    send: (text) => socket.send(text),
    sendFragments: (fragments) =>
      fragments.forEach((fragment, at) => socket.send(fragment, { fin: at === fragments.length - 1 })),
    close: (code, reason) => socket.close(code, reason),
    ping: (payload) => socket.ping(payload),
    request: () => ({
      path: request.url,
      headers: language.headerPairs(request.rawHeaders),
      extensions: socket.extensions,
    }),
  };
}
