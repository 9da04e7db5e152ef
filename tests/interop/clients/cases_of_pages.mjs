// What a page does without WebSockets, on backends/with_http.mjs: server-sent events and long polls. Runs in the browser.

import { expectSame } from "./cases.mjs";
import { Mailbox } from "./mailbox.mjs";

export const CASES_OF_PAGES = [
  { name: "server-sent events unbuffered", run: events },
  { name: "three long polls", run: longPolls },
];

// Such a target is only an address.
export const pages = {
  abilities: [],
  open: async (target) => ({ base: target.url.replace(/^ws/, "http"), close() {} }),
};

// The first event is here while the backend has not written the second one.
async function events(open) {
  const { base } = await open();
  const id = crypto.randomUUID();
  const source = new EventSource(`${base}/events?id=${id}`);
  const mailbox = new Mailbox();
  source.onmessage = ({ data }) => mailbox.put(data);
  try {
    expectSame(await mailbox.take(), "first");
    await release(base, id);
    expectSame(await mailbox.take(), "second");
  } finally {
    source.close();
  }
}

async function longPolls(open) {
  const { base } = await open();
  for (let number = 0; number < 3; number += 1) {
    const id = crypto.randomUUID();
    const polling = fetch(`${base}/hold?id=${id}`).then((response) => response.text());
    await release(base, id);
    expectSame(await polling, "released\n");
  }
}

// The request that is to be released may still be under way.
async function release(base, id) {
  while (!(await fetch(`${base}/release?id=${id}`)).ok) await new Promise((resolve) => setTimeout(resolve, 50));
}
