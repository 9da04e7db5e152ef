// A backend on Node's `net` that answers the handshake with the four lines of RFC 6455 section 1.3 and nothing else:
// no Date, no Server, no subprotocol, no extension. `by_hand.mjs crlf` ends its lines as it should,
// `by_hand.mjs lf` with bare line feeds, as written by hand in many a device.
// Prints `listening PORT`.

import { createHash } from "node:crypto";
import { createServer } from "node:net";
import { encodeClose, encodeFrame, FrameReader, OPCODE } from "./frames.mjs";
import * as language from "./language.mjs";

const LINE_END = { crlf: "\r\n", lf: "\n" }[process.argv[2]];
const HEAD_END = "\r\n\r\n";

const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  socket.on("error", (error) => console.error(`session: ${error.message}`));
  readHead(socket, Buffer.alloc(0));
});
server.listen(0, "127.0.0.1", () => console.log(`listening ${server.address().port}`));

function readHead(socket, bytes) {
  const end = bytes.indexOf(HEAD_END);
  if (end < 0) {
    socket.once("data", (more) => readHead(socket, Buffer.concat([bytes, more])));
    return;
  }
  const request = parseHead(bytes.subarray(0, end).toString("latin1"));
  const key = request.headers.find(([name]) => name.toLowerCase() === "sec-websocket-key")?.[1];
  if (!key) {
    socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    return;
  }
  // One write, so that the greeting stands in the same segment as the 101.
  const greeting = language.isGreetingAsked(request.path) ? textFrame(language.GREETING) : Buffer.alloc(0);
  socket.write(Buffer.concat([Buffer.from(fourLines(key)), greeting]));
  new Session(socket, request).start(bytes.subarray(end + HEAD_END.length));
}

function parseHead(head) {
  const [requestLine, ...lines] = head.split("\r\n");
  const headers = lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
  return { path: requestLine.split(" ")[1], headers };
}

function fourLines(key) {
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  const lines = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${accept}`,
  ];
  return lines.join(LINE_END) + LINE_END + LINE_END;
}

function textFrame(text, opcode = OPCODE.text, fin = true) {
  return encodeFrame(opcode, Buffer.from(text), fin);
}

class Session {
  frames = new FrameReader();
  message = [];
  opcode = OPCODE.text;
  closing = false;

  constructor(socket, request) {
    this.socket = socket;
    this.request = request;
  }

  start(early) {
    this.socket.on("data", (bytes) => this.take(bytes));
    this.socket.on("end", () => this.socket.end());
    this.take(early);
  }

  take(bytes) {
    try {
      for (const frame of this.frames.read(bytes)) this.onFrame(frame);
    } catch (error) {
      console.error(`session: ${error.message}`);
      this.socket.end(encodeClose(1002, error.message));
    }
  }

  onFrame({ fin, opcode, payload }) {
    if (opcode === OPCODE.close) return this.onClose(payload);
    if (opcode === OPCODE.ping) return this.socket.write(encodeFrame(OPCODE.pong, payload));
    if (opcode === OPCODE.pong) return this.socket.write(textFrame(`pong ${payload}`));
    if (opcode !== OPCODE.continuation) this.opcode = opcode;
    this.message.push(payload);
    return fin ? this.onMessage() : undefined;
  }

  onMessage() {
    const message = Buffer.concat(this.message);
    this.message = [];
    if (this.opcode === OPCODE.text && language.answerAsk(message.toString(), this.actions())) return;
    this.socket.write(encodeFrame(this.opcode, message));
  }

  onClose(payload) {
    const code = payload.length ? payload.readUInt16BE(0) : 1005;
    language.recordEnding(this.request.path, code, payload.subarray(2).toString());
    if (!this.closing) this.socket.write(encodeFrame(OPCODE.close, payload));
    this.socket.end();
  }

  actions() {
    return {
      send: (text) => this.socket.write(textFrame(text)),
      sendFragments: (fragments) => this.sendFragments(fragments),
      close: (code, reason) => {
        this.closing = true;
        this.socket.write(encodeClose(code, reason));
      },
      ping: (payload) => this.socket.write(textFrame(payload, OPCODE.ping)),
      request: () => ({ path: this.request.path, headers: this.request.headers, extensions: "" }),
    };
  }

  sendFragments(fragments) {
    fragments.forEach((fragment, at) => {
      const opcode = at === 0 ? OPCODE.text : OPCODE.continuation;
      this.socket.write(textFrame(fragment, opcode, at === fragments.length - 1));
    });
  }
}
