// The browser's side of in_browser.mjs: the page loads this and cases.mjs, and runs the plan with its own WebSocket.

import { runPlan } from "./cases.mjs";
import { CASES_OF_PAGES, pages } from "./cases_of_pages.mjs";
import { Mailbox } from "./mailbox.mjs";

const client = { abilities: ["deflate", "cookie", "set-cookie"], open };

const report = (...line) => window.report(line);

window.run = async (plan) => {
  await runPlan(ofKind(plan, "echo"), client, report);
  if (!plan.hold) await runPlan(ofKind(plan, "http"), pages, report, CASES_OF_PAGES);
};

// With a connection of HTTP/2 to a host the browser opens its WebSockets on that (RFC 8441). Any answer will do.
window.connect = (url) => fetch(url.replace(/^ws/, "http"), { mode: "no-cors", credentials: "include" }).then(() => {});

function ofKind(plan, kind) {
  return { ...plan, targets: plan.targets.filter((target) => target.speaks === kind) };
}

// Origins are those of pages, so a refused one is tried from a page of its own.
window.isRefused = (url) =>
  new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.onopen = () => resolve(false);
    socket.onclose = () => resolve(true);
  });

function open(target, options) {
  for (const name of ["first", "second"]) document.cookie = `${name}=; Max-Age=0; Path=/`;
  if (options.cookie) document.cookie = `${options.cookie}; Path=/`;
  const socket = new WebSocket(target.url + options.path, options.protocols ?? []);
  socket.binaryType = "arraybuffer";
  const connection = connectionOn(socket);
  return new Promise((resolve, reject) => {
    socket.onopen = () => resolve(connection);
    connection.ended.then((end) => reject(new Error(`handshake failed, ${end.code}`)));
  });
}

function connectionOn(socket) {
  const mailbox = new Mailbox();
  socket.onmessage = ({ data }) => mailbox.put(typeof data === "string" ? data : new Uint8Array(data));
  const ended = new Promise((resolve) => {
    socket.onclose = ({ code, reason }) => {
      mailbox.fail(new Error(`closed with ${code} ${reason}`));
      resolve({ code, reason });
    };
  });
  return {
    ended,
    get protocol() {
      return socket.protocol;
    },
    get extensions() {
      return socket.extensions;
    },
    cookies: () => document.cookie.split("; ").filter((pair) => /^(first|second)=/.test(pair)),
    send: (data) => socket.send(data),
    receive: () => mailbox.take(),
    close: (code, reason) => socket.close(code, reason),
  };
}
