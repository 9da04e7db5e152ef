// The client on Node's `ws`. Usage: with_ws.mjs PLAN; prints one line of JSON per case.

import { readFileSync } from "node:fs";
import WebSocket from "ws";
import { runPlan } from "./cases.mjs";
import { Mailbox } from "./mailbox.mjs";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const ca = readFileSync(plan.ca);

const client = {
  abilities: ["fragments", "ping", "deflate", "cookie", "authorization", "set-cookie", "no-origin"],
  open,
};

await runPlan(plan, client, (...line) => console.log(JSON.stringify(line)));
process.exit(0);

function open(target, options) {
  const headers = {};
  if (options.cookie) headers.Cookie = options.cookie;
  if (options.authorization) headers.Authorization = options.authorization;
  const socket = new WebSocket(target.url + options.path, options.protocols ?? [], {
    ca,
    headers,
    origin: plan.origins[options.origin],
    perMessageDeflate: options.deflate ?? false,
  });
  const connection = connectionOn(socket);
  return new Promise((resolve, reject) => {
    socket.on("open", () => resolve(connection));
    socket.on("error", reject);
    socket.on("unexpected-response", (_request, response) => {
      response.resume();
      socket.terminate();
      reject(Object.assign(new Error(`answered with ${response.statusCode}`), { status: response.statusCode }));
    });
  });
}

// Listens from the first moment: the first message may stand in the segment of the 101.
function connectionOn(socket) {
  const mailbox = new Mailbox();
  const pongs = new Mailbox();
  let setCookies = [];
  socket.on("upgrade", (response) => (setCookies = response.headers["set-cookie"] ?? []));
  socket.on("message", (data, isBinary) => mailbox.put(isBinary ? new Uint8Array(data) : data.toString()));
  socket.on("pong", (payload) => pongs.put(payload.toString()));
  const ended = new Promise((resolve) => {
    socket.on("close", (code, reason) => {
      mailbox.fail(new Error(`closed with ${code} ${reason}`));
      resolve({ code, reason: reason.toString() });
    });
  });
  return {
    ended,
    get protocol() {
      return socket.protocol;
    },
    get extensions() {
      return socket.extensions;
    },
    cookies: () => setCookies.map((line) => line.split(";")[0]),
    send: (data) => socket.send(data),
    sendFragments: (list) => list.forEach((part, at) => socket.send(part, { fin: at === list.length - 1 })),
    receive: () => mailbox.take(),
    ping: (payload) => (socket.ping(payload), pongs.take()),
    close: (code, reason) => socket.close(code, reason),
  };
}
