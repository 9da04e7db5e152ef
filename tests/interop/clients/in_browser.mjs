// The client is Debian's chromium, driven by playwright-core. Usage: in_browser.mjs PLAN; one line of JSON per case.
// The page comes from a small server here: by http for ws targets, by https for wss ones, as users have it.
// `localhost` is the allowed Origin, `127.0.0.1` the other.

import { readFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { chromium } from "playwright-core";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--ignore-certificate-errors",
];
const PAGE = '<!doctype html><title>interop</title><script type="module" src="/page.mjs"></script>';
const REFUSED = "Origin refused";
const SCRIPTS = ["/page.mjs", "/cases.mjs", "/cases_of_pages.mjs", "/mailbox.mjs"];

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const pages = plan.pages;
createHttpServer(answer).listen(pages.http_port, "127.0.0.1");
createHttpsServer({ cert: readFileSync(plan.ca), key: readFileSync(plan.key) }, answer).listen(
  pages.https_port,
  "127.0.0.1",
);

// An empty user data folder: persistent contexts use the given one, and this one is new in each run.
const browser = await chromium.launchPersistentContext(plan.browser.profile, {
  executablePath: plan.browser.path,
  args: FLAGS,
  ignoreHTTPSErrors: true,
});
try {
  if (plan.hold) await holdSessions();
  else for (const scheme of ["ws", "wss"]) await runScheme(scheme, report);
} finally {
  await browser.close();
}
process.exit(0);

function answer(request, response) {
  const isScript = SCRIPTS.includes(request.url);
  response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html; charset=utf-8");
  response.end(isScript ? readFileSync(new URL(`.${request.url}`, import.meta.url)) : PAGE);
}

// Both pages at a time, and held is what both of them hold.
async function holdSessions() {
  let waitedFor = 2;
  const reportTogether = (line) => {
    if (line[0] === "HELD") waitedFor -= 1;
    if (line[0] !== "HELD" || waitedFor === 0) report(line);
  };
  await Promise.all(["ws", "wss"].map((scheme) => runScheme(scheme, reportTogether)));
}

async function runScheme(scheme, tell) {
  const targets = plan.targets.filter((target) => target.url.startsWith(`${scheme}:`));
  if (targets.length === 0) return;
  const page = await openPage(scheme, "localhost");
  await page.exposeFunction("report", tell);
  // Origin cases are told apart by the page they come from, so they run below.
  const ownOrigin = targets.map((target) => ({ ...target, features: without(target.features, "origin") }));
  await page.evaluate((part) => window.run(part), { ...plan, targets: ownOrigin });
  if (!plan.hold) await overHttp2(page, ownOrigin);
  await refusals(scheme, targets.filter(({ features, speaks }) => features.includes("origin") && speaks === "echo"));
}

// Everything once more, on the connection of HTTP/2 that the browser then has. The gateway's log tells whether it was.
async function overHttp2(page, targets) {
  const able = targets.filter(({ features }) => features.includes("http2") && features.includes("tls"));
  if (able.length === 0) return;
  await page.evaluate((url) => window.connect(url), able[0].url);
  const named = able.map((target) => ({ ...target, name: `${target.name} over HTTP/2` }));
  await page.evaluate((part) => window.run(part), { ...plan, targets: named });
}

async function refusals(scheme, targets) {
  if (targets.length === 0 || plan.hold || !REFUSED.includes(plan.only)) return;
  const page = await openPage(scheme, "127.0.0.1");
  for (const target of targets) {
    const isRefused = await page.evaluate((url) => window.isRefused(url), target.url);
    report([isRefused ? "PASS" : "FAIL", target.name, REFUSED, isRefused ? "" : "the session opened"]);
  }
}

async function openPage(scheme, host) {
  const page = await browser.newPage();
  const origin = scheme === "ws" ? `http://${host}:${pages.http_port}` : `https://${host}:${pages.https_port}`;
  await page.goto(origin);
  await page.waitForFunction(() => window.run);
  return page;
}

function report(line) {
  console.log(JSON.stringify(line));
}

function without(list, word) {
  return list.filter((candidate) => candidate !== word);
}
