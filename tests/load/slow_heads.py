"""Many clients send request heads a byte at a time, one head after the other; a good client still gets its sessions."""

import asyncio
import random
import statistics
import time

GOOD_SESSIONS = 40
GOOD_WITHIN_SECONDS = 5  # half of timeouts.request_header, which is what waiting for a slow client would cost
CONNECTED_WITHIN_SECONDS = 60
BEGINNING = b"GET /load HTTP/1.1\r\nHost: localhost\r\nX-Slow: "


async def run(stage, crowd, arguments, report):
    """The scenario; results go to `report`."""
    slow = SlowClients(stage.plain_port)
    tasks = [asyncio.create_task(slow.come_again()) for _ in range(arguments.sessions)]
    try:
        await slow.wait_for(len(tasks) * 3 // 4)
        longest = await judge_good_client(stage, crowd, slow, report)
    finally:
        for task in tasks:
            task.cancel()
    # The median, because those that came together are cut together.
    count = statistics.median(slow.counts)
    print(f"{count:.0f} of {len(tasks)} slow clients at a time; the longest opening took {longest:.3f} s")
    report.judge("the slow clients were there meanwhile", count >= len(tasks) / 2, f"{count:.0f} of {len(tasks)}")
    report.judge("each is told 408", slow.answers == {b"HTTP/1.1 408"}, slow.answers)


async def judge_good_client(stage, crowd, slow, report):
    """The longest of its openings, in seconds."""
    longest = 0
    for _ in range(GOOD_SESSIONS):
        began = time.monotonic()
        await crowd.open(1, stage.entrance)
        longest = max(longest, time.monotonic() - began)
        slow.counts.append(slow.connected)
    report.judge("a good client opens its sessions", len(crowd.sessions) == GOOD_SESSIONS, crowd.refused[:3])
    report.judge(f"each within {GOOD_WITHIN_SECONDS} s", longest <= GOOD_WITHIN_SECONDS, f"{longest:.2f} s")
    return longest


class SlowClients:
    """All of them together: how many are connected, and what those were told that were cut."""

    def __init__(self, port):
        self.port = port
        self.connected = 0
        self.counts = []  # at each opening of the good client
        self.answers = set()

    async def wait_for(self, count):
        async with asyncio.timeout(CONNECTED_WITHIN_SECONDS):
            while self.connected < count or not self.answers:
                await asyncio.sleep(0.1)

    async def come_again(self):
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            self.connected += 1
            try:
                self.answers.add(await dribble(reader, writer))
            finally:
                self.connected -= 1
                writer.close()


async def dribble(reader, writer):
    """A byte of a head a second, until the gateway has had enough; the beginning of its answer."""
    answering = asyncio.create_task(reader.read())
    try:
        writer.write(BEGINNING)
        while not answering.done():
            await asyncio.wait([answering], timeout=random.uniform(0.5, 1.5))
            writer.write(b"x")
        return (await answering)[:12]
    except OSError as error:
        return repr(error).encode()
    finally:
        answering.cancel()
