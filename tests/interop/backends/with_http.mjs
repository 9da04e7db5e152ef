// An application without WebSockets, on Node's `http`. Prints `listening PORT`.
// What waits, waits for a request to `release` with the same id, so that no case depends on time.

import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { headerPairs } from "./language.mjs";

const waiting = new Map();
const gone = new Set();

const ANSWERS = { bytes, echo, events, gone: tellGone, hold, inspect, release, status, trailers, vanish };

const server = createServer((request, response) => {
  const url = new URL(request.url, "http://backend");
  response.setHeader("Access-Control-Allow-Origin", "*"); // the browser's pages come from elsewhere
  const answer = ANSWERS[url.pathname.split("/")[2]];
  if (answer) answer(request, response, url.searchParams);
  else response.writeHead(404).end("no such page\n");
});
server.listen(0, "127.0.0.1", () => console.log(`listening ${server.address().port}`));

// `size` bytes that can be told apart from any other; chunked where asked for.
function bytes(request, response, query) {
  const body = Buffer.alloc(Number(query.get("size")), "0123456789abcdefghijklmnopqrstuvwxyz\n");
  if (!query.has("chunked")) response.setHeader("Content-Length", body.length);
  response.end(request.method === "HEAD" ? undefined : body);
}

function echo(request, response) {
  request.pipe(response);
}

// The request as it arrived here.
async function inspect(request, response) {
  const hash = createHash("sha256");
  let size = 0;
  for await (const chunk of request) {
    hash.update(chunk);
    size += chunk.length;
  }
  const { method, url: path, rawHeaders, trailers } = request;
  const seen = { method, path, headers: headerPairs(rawHeaders), trailers, size, sha256: hash.digest("hex") };
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify(seen));
}

// Server-sent events: one at once, one when released.
function events(_request, response, query) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  response.write("data: first\n\n");
  wait(query.get("id"), () => response.end("data: second\n\n"));
}

// A long poll: nothing at all until it is released.
function hold(_request, response, query) {
  wait(query.get("id"), () => response.end("released\n"));
}

function wait(id, proceed) {
  waiting.set(id, proceed);
}

function release(_request, response, query) {
  const proceed = waiting.get(query.get("id"));
  waiting.delete(query.get("id"));
  proceed?.();
  response.writeHead(proceed ? 200 : 404).end();
}

// Never answers; remembers that the other end went away.
function vanish(_request, response, query) {
  response.on("close", () => gone.add(query.get("id")));
}

function tellGone(_request, response, query) {
  response.writeHead(gone.has(query.get("id")) ? 200 : 404).end();
}

function status(_request, response, query) {
  response.writeHead(Number(query.get("code")), { ETag: '"interop"' }).end();
}

function trailers(_request, response) {
  response.writeHead(200, { Trailer: "X-Checksum" });
  response.write("body, ");
  response.addTrailers({ "X-Checksum": "4711" });
  response.end("then trailers\n");
}
