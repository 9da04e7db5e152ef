// Socket.IO's own client, on WebSocket alone, on polling, and from one to the other. Usage: with_socket_io.mjs PLAN;
// prints one line of JSON per case.

import { readFileSync } from "node:fs";
import { io } from "socket.io-client";
import { expectSame, randomBytes, runPlan } from "./cases.mjs";

const CASES = [
  { name: "text with acknowledgement", run: text },
  { name: "binary with acknowledgement", run: binary },
  { name: "500 events in order", run: manyInOrder },
  { name: "quiet for three of its pings", run: quiet },
  { name: "server disconnects", run: serverDisconnects },
  { name: "both nodes get sessions", target: ["spread"], run: bothNodes },
  { name: "reconnects come back to their node", target: ["sticky"], run: comeBack },
  { name: "polling", target: ["sticky", "http"], run: polling },
  { name: "polling, then WebSocket on the same node", target: ["sticky", "http"], run: upgrade },
];

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const ca = readFileSync(plan.ca);

await runPlan(plan, { abilities: [], open }, (...line) => console.log(JSON.stringify(line)), CASES);
process.exit(0);

// Gives a Socket.IO socket.
function open(target, { transports = ["websocket"] }) {
  const url = new URL(target.url.replace(/^ws/, "http"));
  const socket = io(url.origin, {
    path: url.pathname,
    transports,
    extraHeaders: { Origin: plan.origins.allowed },
    withCredentials: true,
    ca,
    forceNew: true,
    reconnectionDelay: 50,
  });
  keepCookies(socket.io);
  socket.ask = (...event) => socket.timeout(plan.case_timeout_ms).emitWithAck(...event);
  return new Promise((resolve, reject) => {
    socket.once("node", () => resolve(socket));
    socket.once("connect_error", reject);
  });
}

// Node's client forgets the cookies of a 101, and all others when it connects again; a browser keeps them.
function keepCookies(manager) {
  manager.engine.transport.ws?.on("upgrade", ({ headers }) => {
    const pairs = (headers["set-cookie"] ?? []).map((line) => line.split(";")[0]);
    if (pairs.length > 0) manager.opts.extraHeaders.Cookie = pairs.join("; ");
  });
}

async function text(open) {
  const socket = await open();
  const payload = { text: "Grüße, κόσμε, 世界 👋", list: [1, null, { deep: true }] };
  expectSame(JSON.stringify(await socket.ask("echo", payload)), JSON.stringify(payload));
}

async function binary(open) {
  const socket = await open();
  for (const size of [0, 126, 70_000, 1 << 20]) {
    const payload = randomBytes(size);
    expectSame(new Uint8Array(await socket.ask("echo", payload)), payload);
  }
}

async function manyInOrder(open) {
  const socket = await open();
  const numbers = [];
  const done = new Promise((resolve) => {
    socket.on("pushed", (number) => numbers.push(number) === 500 && resolve());
  });
  socket.emit("push", 500);
  await done;
  expectSame(numbers.join(), Array.from({ length: 500 }, (_, at) => at).join());
}

async function quiet(open) {
  const socket = await open();
  const { id } = socket;
  await new Promise((resolve) => setTimeout(resolve, 3500));
  expectSame(await socket.ask("echo", "still here"), "still here");
  expectSame(socket.id, id);
}

async function serverDisconnects(open) {
  const socket = await open();
  const reason = new Promise((resolve) => socket.on("disconnect", resolve));
  socket.emit("leave");
  expectSame(await reason, "io server disconnect");
}

async function bothNodes(open) {
  const names = new Set();
  for (let number = 0; number < 4; number += 1) names.add(await (await open()).ask("ask", "node"));
  expectSame([...names].sort().join(), "a,b");
}

async function comeBack(open) {
  for (let number = 0; number < 4; number += 1) {
    const socket = await open();
    const name = await socket.ask("ask", "node");
    for (let time = 0; time < 3; time += 1) {
      const again = new Promise((resolve) => socket.once("node", resolve));
      socket.emit("drop");
      expectSame(await again, name);
    }
  }
}

async function polling(open) {
  for (let number = 0; number < 4; number += 1) {
    const socket = await open({ transports: ["polling"] });
    const payload = randomBytes(70_000);
    expectSame(new Uint8Array(await socket.ask("echo", payload)), payload);
    expectSame(await socket.ask("ask", "transport"), "polling");
  }
}

async function upgrade(open) {
  for (let number = 0; number < 4; number += 1) {
    const socket = await open({ transports: ["polling", "websocket"] });
    const name = await socket.ask("ask", "node");
    while ((await socket.ask("ask", "transport")) !== "websocket") await new Promise((resolve) => setTimeout(resolve, 20));
    expectSame(await socket.ask("ask", "node"), name);
  }
}
