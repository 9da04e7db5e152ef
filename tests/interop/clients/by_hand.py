"""A client by hand, for what no library lets through: which bytes stand in one segment, how a head is spelt,
when a half is closed. Usage: by_hand.py PLAN; prints one line of JSON per case.
"""

import asyncio
import json
import ssl
import struct
import sys
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rig import frames  # noqa: E402  (the path to it is set above)


class Session:
    """One connection, from its first byte."""

    def __init__(self, target, plan):
        self.url = urlsplit(target["url"])
        self.plan = plan
        self.key = frames.new_key()

    def request(self, path="", *, headers=(), origin="allowed"):
        pairs = list(headers)
        if origin in self.plan["origins"]:
            pairs.append(("Origin", self.plan["origins"][origin]))
        return frames.handshake_request(self.url.netloc, self.url.path + path, self.key, pairs)

    async def connect(self):
        trust = ssl.create_default_context(cafile=self.plan["ca"]) if self.url.scheme == "wss" else None
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.url.port, ssl=trust,
            server_hostname="localhost" if trust else None)  # fmt: skip

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def read_head(self):
        """The status of the answer; its headers are lower-cased pairs."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin1")
        status_line, *lines = head.strip().split("\r\n")
        pairs = [line.split(":", 1) for line in lines]
        self.headers = [(name.lower(), value.strip()) for name, value in pairs]
        return int(status_line.split(" ")[1])

    async def expect_agreed(self):
        status = await self.read_head()
        assert status == 101, f"answered with {status}"
        assert ("sec-websocket-accept", frames.accept_of(self.key)) in self.headers, "a wrong Sec-WebSocket-Accept"

    async def expect_frame(self, opcode, payload):
        have = await frames.read_frame(self.reader)
        assert have == (opcode, payload), f"got {have!r:.120}, not {(opcode, payload)!r:.120}"


# === the cases ===


async def early_frame(session):
    await session.send(session.request() + frames.masked_frame(frames.TEXT, b"early"))
    await session.expect_agreed()
    await session.expect_frame(frames.TEXT, b"early")


async def early_both(session):
    await session.send(session.request("/greeting") + frames.masked_frame(frames.TEXT, b"early"))
    await session.expect_agreed()
    await session.expect_frame(frames.TEXT, b"greeting")
    await session.expect_frame(frames.TEXT, b"early")


async def early_large(session):
    payload = bytes(300_000)
    await session.send(session.request() + frames.masked_frame(frames.BINARY, payload))
    await session.expect_agreed()
    await session.expect_frame(frames.BINARY, payload)


async def dribbled_bytes(session):
    for byte in session.request():
        await session.send(bytes([byte]))
    await session.expect_agreed()
    for byte in frames.masked_frame(frames.TEXT, b"drop by drop"):
        await session.send(bytes([byte]))
    await session.expect_frame(frames.TEXT, b"drop by drop")


async def spelling(session):
    """Upgrade and Connection in any case and as lists; the backend still finds its Sec-WebSocket-Key."""
    request = session.request().decode()
    request = request.replace("Upgrade: websocket", "UPGRADE: WebSocket")
    request = request.replace("Connection: Upgrade", "connection: keep-alive, UPGRADE")
    await session.send(request.encode())
    await session.expect_agreed()
    await session.send(frames.masked_frame(frames.TEXT, b"spelt"))
    await session.expect_frame(frames.TEXT, b"spelt")


async def half_close(session):
    """What was sent before the end of the sending half is echoed after it."""
    await session.send(session.request())
    await session.expect_agreed()
    payload = bytes(range(256)) * 400
    await session.send(frames.masked_frame(frames.BINARY, payload))
    session.writer.write_eof()
    await session.expect_frame(frames.BINARY, payload)


async def close_then_end(session):
    """Both Close frames have passed: the connection ends, whoever of the two closes it."""
    await session.send(session.request())
    await session.expect_agreed()
    await session.send(frames.masked_frame(frames.CLOSE, struct.pack("!H", 4001) + b"bye"))
    opcode, payload = await frames.read_frame(session.reader)
    assert (opcode, payload[:2]) == (frames.CLOSE, struct.pack("!H", 4001)), f"got {opcode} {payload!r}"
    rest = await session.reader.read()
    assert rest == b"", f"{len(rest)} bytes after the Close"


async def set_cookies(session):
    await session.send(session.request())
    await session.expect_agreed()
    cookies = [value for name, value in session.headers if name == "set-cookie"]
    assert cookies == ["first=1; Path=/", "second=2; Path=/"], f"got {cookies}"


async def four_lines(session):
    """What the backend did not say is not made up by the gateway: no subprotocol, no extension."""
    offer = [("Sec-WebSocket-Protocol", "chat.v1"), ("Sec-WebSocket-Extensions", "permessage-deflate")]
    await session.send(session.request(headers=offer))
    await session.expect_agreed()
    made_up = {name for name, _ in session.headers} & {"sec-websocket-protocol", "sec-websocket-extensions"}
    assert not made_up, f"the answer carries {made_up}"


async def origin_repeated(session):
    """The allowed Origin twice is as bad as another one."""
    await session.send(session.request(headers=[("Origin", session.plan["origins"]["allowed"])]))
    status = await session.read_head()
    assert status in (400, 403), f"answered with {status}"


async def origin_null(session):
    await session.send(session.request(headers=[("Origin", "null")], origin="none"))
    status = await session.read_head()
    assert status == 403, f"answered with {status}"


# Name, case, features that the target needs.
CASES = [
    ("frame in the segment of the handshake", early_frame, ()),
    ("frames in the segments of handshake and 101", early_both, ()),
    ("300 kB right after the handshake", early_large, ()),
    ("handshake and frame byte by byte", dribbled_bytes, ()),
    ("Upgrade and Connection spelt otherwise", spelling, ()),
    ("client ends its sending half", half_close, ("plain", "half-close", "half-close-passed")),
    ("TCP ends after both Close frames", close_then_end, ()),
    ("both Set-Cookie of the 101", set_cookies, ("set-cookie",)),
    ("nothing made up in the 101", four_lines, ("bare",)),
    ("Origin repeated", origin_repeated, ("origin-once",)),
    ("Origin null", origin_null, ("origin",)),
]


async def reason_of_failure(case, session, timeout_seconds):
    await session.connect()
    try:
        await asyncio.wait_for(case(session), timeout_seconds)
        return ""
    except TimeoutError:  # an OSError too, so it stands first
        return f"not done in {timeout_seconds:.0f} s"
    except (AssertionError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        session.writer.transport.abort()


async def main():
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for target in plan["targets"]:
        for name, case, needs in CASES:
            if plan["only"] not in name or not set(needs) <= set(target["features"]):
                continue
            reason = await reason_of_failure(case, Session(target, plan), plan["case_timeout_ms"] / 1000)
            print(json.dumps(["FAIL" if reason else "PASS", target["name"], name, reason]), flush=True)


asyncio.run(main())
