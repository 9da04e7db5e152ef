// What a client may ask of a backend in a text message; everything else is echoed.
// The Python twin of this file is language.py.

export const SUBPROTOCOL = "chat.v1";
export const COOKIES = ["first=1; Path=/", "second=2; Path=/"];
export const GREETING = "greeting";
export const FRAGMENTS = ["one ", "two ", "three"];

// How sessions ended, by the id that their client gave itself in the query.
const endings = new Map();

export function isGreetingAsked(path) {
  return new URL(path, "http://backend").pathname.endsWith("/greeting");
}

export function recordEnding(path, code, reason) {
  endings.set(new URL(path, "http://backend").searchParams.get("id"), `${code} ${reason}`);
}

// `actions`: send(text), sendFragments(list), close(code, reason), ping(payload), request().
// Returns false for a message that asks nothing.
export function answerAsk(text, actions) {
  const [word, ask, ...rest] = text.split(" ");
  if (word !== "ask") return false;
  const answers = {
    close: () => actions.close(Number(rest[0]), rest.slice(1).join(" ")),
    ending: () => tellEnding(rest[0], actions, 40),
    fragments: () => actions.sendFragments(FRAGMENTS),
    ping: () => actions.ping(rest[0]),
    request: () => actions.send(JSON.stringify(actions.request())),
  };
  answers[ask]();
  return true;
}

function tellEnding(id, actions, triesLeft) {
  if (endings.has(id) || triesLeft === 0) {
    actions.send(`ending ${endings.get(id) ?? "unknown"}`);
    return;
  }
  setTimeout(() => tellEnding(id, actions, triesLeft - 1), 50);
}

// [[name, value], ...] with the spelling that arrived.
export function headerPairs(rawHeaders) {
  const pairs = [];
  for (let at = 0; at < rawHeaders.length; at += 2) pairs.push([rawHeaders[at], rawHeaders[at + 1]]);
  return pairs;
}
