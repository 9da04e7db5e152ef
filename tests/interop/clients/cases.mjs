// What every JavaScript client proves on every target, in Node and in the browser alike; cases.py is the Python twin.
//
// A client is { abilities, open(target, options) -> connection }. Options: path, origin ("allowed" | "denied"),
// protocols, deflate, cookie, authorization. A connection is { protocol, extensions, cookies(), send(data),
// sendFragments(list), receive(), ping(payload) -> payload, close(code, reason), ended -> { code, reason } }.
// A case runs where the client has every ability and the target every feature that it names.

const TEXT = "Grüße, κόσμε, 世界 👋";
const MEBIBYTE = 1 << 20;

export const CASES = [
  { name: "text", run: (open) => echoes(open, [TEXT]) },
  { name: "binary", run: (open) => echoes(open, [Uint8Array.from({ length: 256 }, (_, at) => at)]) },
  { name: "empty messages", run: (open) => echoes(open, ["", new Uint8Array(0), "", TEXT]) },
  { name: "frame length borders", run: (open) => echoes(open, [125, 126, 65535, 65536].map(randomBytes)) },
  { name: "1 MiB binary", run: (open) => echoes(open, [randomBytes(MEBIBYTE)]) },
  { name: "1 MiB text", run: (open) => echoes(open, ["0123456789abcdef".repeat(MEBIBYTE / 16)]) },
  { name: "1,000 messages in order", run: manyInOrder },
  { name: "fragments from the client", client: ["fragments"], run: fragmentsOut },
  { name: "fragments from the backend", target: ["fragments"], run: fragmentsIn },
  { name: "ping from the client", client: ["ping"], run: pingOut },
  { name: "ping from the backend", run: pingIn },
  { name: "greeting right after the 101", run: greeting },
  { name: "subprotocol", target: ["subprotocol"], run: subprotocol },
  { name: "permessage-deflate", client: ["deflate"], target: ["deflate"], run: deflate },
  { name: "no extension where the backend takes none", client: ["deflate"], target: ["bare"], run: noExtension },
  { name: "client closes 4001", run: (open) => clientCloses(open, 4001, "enough") },
  { name: "client closes 1000", run: (open) => clientCloses(open, 1000, "") },
  ...[1000, 1001, 1011, 4002].map((code) => ({
    name: `backend closes ${code}`,
    run: (open) => backendCloses(open, code, "your turn"),
  })),
  { name: "Sec-WebSocket-* spelt as in the RFC", target: ["raw-names", "spelling"], run: spelling },
  { name: "cookie reaches the backend", client: ["cookie"], run: cookie },
  { name: "Authorization reaches the backend", client: ["authorization"], run: authorization },
  { name: "both Set-Cookie of the 101", client: ["set-cookie"], target: ["set-cookie"], run: setCookie },
  { name: "Origin refused", target: ["origin"], run: originRefused },
  { name: "Origin missing", client: ["no-origin"], target: ["origin"], run: originMissing },
];

// Runs the plan; calls report(result, target, case, reason) for each case that fits.
export async function runPlan(plan, client, report, cases = CASES) {
  if (plan.hold) return holdSessions(plan, client, report);
  for (const target of plan.targets) {
    for (const one of cases.filter((candidate) => fits(candidate, client, target, plan.only))) {
      const reason = await reasonOfFailure(one, client, target, plan.case_timeout_ms);
      report(reason ? "FAIL" : "PASS", target.name, one.name, reason);
    }
  }
}

// One session to each target, kept until something else ends it; says when all of them stand.
async function holdSessions(plan, client, report) {
  const { code, reason, case: name } = plan.hold;
  const holding = plan.targets.map((target) => {
    let stand;
    const held = new Promise((resolve) => (stand = resolve));
    const run = async (open) => {
      const connection = await open();
      connection.send(TEXT);
      expectSame(await connection.receive(), TEXT);
      stand();
      const ended = await connection.ended;
      expectSame(`${ended.code} ${ended.reason}`, `${code} ${reason}`);
    };
    const judged = reasonOfFailure({ run }, client, target, 2 * plan.case_timeout_ms).finally(stand);
    return { target, held, judged };
  });
  await Promise.all(holding.map((one) => one.held));
  report("HELD", "", "", "");
  for (const { target, judged } of holding) {
    const failure = await judged;
    report(failure ? "FAIL" : "PASS", target.name, name, failure);
  }
}

function fits(one, client, target, only) {
  const isThere = (needed, have) => (needed ?? []).every((word) => have.includes(word));
  return one.name.includes(only) && isThere(one.client, client.abilities) && isThere(one.target, target.features);
}

async function reasonOfFailure(one, client, target, timeoutMs) {
  const connections = [];
  const open = async (options = {}) => {
    const connection = await client.open(target, { path: "", origin: "allowed", ...options });
    connections.push(connection);
    return connection;
  };
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done in ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    await Promise.race([one.run(open), late]);
    return "";
  } catch (error) {
    return error.message || String(error);
  } finally {
    clearTimeout(timer);
    for (const connection of connections) connection.close(1000, "");
  }
}

// === the cases ===

async function echoes(open, messages) {
  const connection = await open();
  for (const message of messages) {
    connection.send(message);
    expectSame(await connection.receive(), message);
  }
}

async function manyInOrder(open) {
  const connection = await open();
  for (let number = 0; number < 1000; number += 1) connection.send(`message ${number}`);
  for (let number = 0; number < 1000; number += 1) expectSame(await connection.receive(), `message ${number}`);
}

async function fragmentsOut(open) {
  const connection = await open();
  connection.sendFragments(["frag", "", "ment", "s"]);
  expectSame(await connection.receive(), "fragments");
  connection.sendFragments([new Uint8Array([1, 2]), new Uint8Array([3])]);
  expectSame(await connection.receive(), new Uint8Array([1, 2, 3]));
}

async function fragmentsIn(open) {
  const connection = await open();
  connection.send("ask fragments");
  expectSame(await connection.receive(), "one two three");
}

async function pingOut(open) {
  const connection = await open();
  expectSame(await connection.ping("are you there"), "are you there");
}

async function pingIn(open) {
  const connection = await open();
  connection.send("ask ping knock");
  expectSame(await connection.receive(), "pong knock");
}

async function greeting(open) {
  const connection = await open({ path: "/greeting" });
  expectSame(await connection.receive(), "greeting");
}

async function subprotocol(open) {
  const connection = await open({ protocols: ["chat.v2", "chat.v1"] });
  expectSame(connection.protocol, "chat.v1");
  connection.send(TEXT);
  expectSame(await connection.receive(), TEXT);
}

async function deflate(open) {
  const connection = await open({ deflate: true });
  expectStart(connection.extensions, "permessage-deflate");
  expectStart((await backendRequest(connection)).extensions, "permessage-deflate");
  const compressible = "all work and no play ".repeat(100_000);
  for (const message of [compressible, TEXT, "", compressible]) {
    connection.send(message);
    expectSame(await connection.receive(), message);
  }
}

async function noExtension(open) {
  const connection = await open({ deflate: true });
  expectSame(connection.extensions, "");
  connection.send(TEXT);
  expectSame(await connection.receive(), TEXT);
}

async function clientCloses(open, code, reason) {
  const id = `closing-${crypto.randomUUID()}`;
  const connection = await open({ path: `?id=${id}` });
  connection.send(TEXT);
  await connection.receive();
  connection.close(code, reason);
  expectSame((await connection.ended).code, code);
  const witness = await open();
  witness.send(`ask ending ${id}`);
  expectSame(await witness.receive(), `ending ${code} ${reason}`);
}

async function backendCloses(open, code, reason) {
  const connection = await open();
  connection.send(`ask close ${code} ${reason}`);
  const ended = await connection.ended;
  expectSame(`${ended.code} ${ended.reason}`, `${code} ${reason}`);
}

async function spelling(open) {
  const request = await backendRequest(await open());
  for (const wanted of ["Sec-WebSocket-Key", "Sec-WebSocket-Version"]) {
    const found = request.headers.find(([name]) => name.toLowerCase() === wanted.toLowerCase());
    expectSame(found?.[0], wanted);
  }
}

async function cookie(open) {
  const request = await backendRequest(await open({ cookie: "session=4711" }));
  expectPart(header(request, "cookie"), "session=4711");
}

async function authorization(open) {
  const request = await backendRequest(await open({ authorization: "Bearer a.b.c" }));
  expectSame(header(request, "authorization"), "Bearer a.b.c");
}

async function setCookie(open) {
  const connection = await open();
  expectSame(connection.cookies().join("; "), "first=1; second=2");
}

async function originRefused(open) {
  await expectRefused(open, "denied");
}

async function originMissing(open) {
  await expectRefused(open, "none");
}

// === what they are made of ===

async function expectRefused(open, origin) {
  const status = await open({ origin }).then(
    () => "101",
    (error) => error.status ?? error.message,
  );
  if (status !== 403) throw new Error(`answered with ${status}, not 403`);
}

async function backendRequest(connection) {
  connection.send("ask request");
  return JSON.parse(await connection.receive());
}

function header(request, name) {
  return request.headers.find(([candidate]) => candidate.toLowerCase() === name)?.[1] ?? "";
}

export function randomBytes(size) {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65536) crypto.getRandomValues(bytes.subarray(at, Math.min(size, at + 65536)));
  return bytes;
}

export function expectSame(have, want) {
  if (typeof have === typeof want && (typeof have === "object" ? sameBytes(have, want) : have === want)) return;
  throw new Error(`got ${shown(have)}, not ${shown(want)}`);
}

function expectStart(have, want) {
  if (!have.startsWith(want)) throw new Error(`got ${shown(have)}, not ${want}...`);
}

function expectPart(have, want) {
  if (!have.includes(want)) throw new Error(`got ${shown(have)} without ${want}`);
}

function sameBytes(have, want) {
  return have.length === want.length && have.every((byte, at) => byte === want[at]);
}

function shown(value) {
  const text = typeof value === "object" ? `${value.length} bytes [${value.slice(0, 16)}]` : JSON.stringify(value);
  return text.length > 120 ? `${text.slice(0, 120)}... (${value.length})` : text;
}
