"""The generator: many sessions, each with a stream of numbered messages whose echoes must come whole and in order."""

import asyncio
import collections
import functools
import itertools
import random
import ssl
import struct
import time
import zlib
from dataclasses import dataclass, field

from rig import frames

IN_FLIGHT_MAX = 64
OPENING_MAX = 64
SIZES = (16, 64, 64, 256, 256, 1024, 4096, 16384)
OPEN_TIMEOUT_SECONDS = 60
FINISH_TIMEOUT_SECONDS = 20


class Refused(Exception):
    """The handshake was answered with something else than 101, or not at all."""


@dataclass(frozen=True)
class Entrance:
    """A listener of the gateway, a path on it, and the Origin to come with."""

    port: int
    path: str
    is_tls: bool = False
    origin: str = "https://app.example.com"


@dataclass
class Session:
    """One open session. `failure` says why it is no longer what it should be; `bytes_sent` and `bytes_received` are those
    between this client and the backend, without what the gateway itself says."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    backend: str
    sent: int = 0
    received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    longest_echo_seconds: float = 0
    failure: str = ""
    ended_at: float = 0
    sent_at: collections.deque = field(default_factory=collections.deque)
    is_finishing: bool = False
    has_said_close: bool = False
    is_quiet: bool = False  # sends nothing more, and stays
    # With which of the gateway's Closes it may end.
    may_end_with: tuple = ()

    async def send_messages(self, per_second):
        """Until the session is finishing or has failed; starts at a random moment of its period."""
        await asyncio.sleep(random.random() / per_second)
        while not self.is_finishing and not self.failure and not self.ended_at:
            if self.sent - self.received < IN_FLIGHT_MAX and not self.is_quiet:
                await self.send_message()
            await asyncio.sleep(1 / per_second)

    async def send_message(self):
        message = make_message(self.number, self.sent)
        self.sent += 1
        self.sent_at.append(time.monotonic())
        self.write(frames.BINARY, message)
        try:
            await self.writer.drain()
        except OSError as error:
            self.fail(f"writing: {error}")

    def write(self, opcode, payload):
        """Nothing follows a Close (RFC 6455 section 5.5.1)."""
        if self.has_said_close:
            return
        self.has_said_close = opcode == frames.CLOSE
        frame = frames.masked_frame(opcode, payload)
        self.bytes_sent += len(frame)
        self.writer.write(frame)

    async def receive_messages(self):
        """Until the Close that ends the session, and the end of the stream behind it."""
        try:
            while True:
                opcode, payload = await frames.read_frame(self.reader)
                if opcode == frames.CLOSE:
                    break
                if opcode == frames.PING:  # only the gateway asks
                    self.write(frames.PONG, payload)
                    continue
                self.bytes_received += len(frames.backend_frame(opcode, payload))
                self.check(opcode, payload)
            await self.hear_close(payload)
        except (asyncio.IncompleteReadError, OSError) as error:
            self.fail(f"after {self.received} messages: {error}")
        self.ended_at = time.monotonic()
        self.writer.close()

    async def hear_close(self, payload):
        if self.is_finishing:
            self.bytes_received += len(frames.backend_frame(frames.CLOSE, payload))
        else:
            self.write(frames.CLOSE, payload[:2])
            if int.from_bytes(payload[:2], "big") not in self.may_end_with:
                self.fail(f"a Close that nobody asked for: {payload!r}")
        if await self.reader.read():
            self.fail("something behind the Close")

    def check(self, opcode, payload):
        problem = "" if opcode == frames.BINARY else f"opcode {opcode}"
        problem = problem or problem_of_message(payload, self.number, self.received)
        if problem:
            self.fail(f"message {self.received}: {problem}")
        self.received += 1
        self.longest_echo_seconds = max(self.longest_echo_seconds, time.monotonic() - self.sent_at.popleft())

    def fail(self, reason):
        self.failure = self.failure or reason

    async def finish(self, receiving):
        """Waits for what is on its way, closes, and waits for the end."""
        self.is_finishing = True
        try:
            async with asyncio.timeout(FINISH_TIMEOUT_SECONDS):
                while self.received < self.sent and not self.failure:
                    await asyncio.sleep(0.05)
                self.write(frames.CLOSE, struct.pack("!H", 1000))
                await receiving
        except (TimeoutError, OSError) as error:
            self.fail(f"{self.sent - self.received} messages missing at the end {error}")
            self.writer.close()


def make_message(number, sequence):
    """Session, sequence number and checksum, then that many bytes as the checksum covers."""
    size = SIZES[(number + sequence) % len(SIZES)]
    filler = random.randbytes(size)
    return struct.pack("!III", number, sequence, zlib.crc32(filler)) + filler


def problem_of_message(payload, number, sequence):
    """What is wrong with it, or nothing."""
    if len(payload) < 12:
        return f"only {len(payload)} bytes"
    have_number, have_sequence, checksum = struct.unpack("!III", payload[:12])
    if (have_number, have_sequence) != (number, sequence):
        return f"is message {have_sequence} of session {have_number}"
    if len(payload) - 12 != SIZES[(number + sequence) % len(SIZES)] or zlib.crc32(payload[12:]) != checksum:
        return "its contents have changed"
    return ""


async def open_session(number, entrance):
    """Raises Refused."""
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_SECONDS):
            return await attempt_session(number, entrance)
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        raise Refused(f"no answer: {error!r}") from None


async def attempt_session(number, entrance):
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", entrance.port, ssl=unverified() if entrance.is_tls else None
    )
    key = frames.new_key()
    origin = [("Origin", entrance.origin)]
    writer.write(frames.handshake_request(f"localhost:{entrance.port}", entrance.path, key, origin))
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
    headers = headers_of(head)
    if not head.startswith("HTTP/1.1 101 ") or headers.get("sec-websocket-accept") != frames.accept_of(key):
        writer.close()
        raise Refused(head.split("\r\n", 1)[0])
    return Session(number, reader, writer, headers.get("x-backend", "?"))


def headers_of(head):
    pairs = (line.partition(":") for line in head.split("\r\n")[1:] if line)
    return {name.lower(): value.strip() for name, _, value in pairs}


@functools.cache
def unverified():
    """Certificates are replaced while sessions run; which one is served is looked at elsewhere."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Crowd:
    """All sessions of a run, and the tasks that drive them."""

    def __init__(self, per_second):
        self.per_second = per_second
        self.sessions = []
        self.numbers = itertools.count()
        self.refused = []
        self.sending = []
        self.receiving = {}

    async def open(self, count, entrance_of):
        """`entrance_of(number)` says where each session goes in; a bounded number open at a time."""
        gate = asyncio.Semaphore(OPENING_MAX)
        numbers = itertools.islice(self.numbers, count)
        opened = [self.open_one(gate, number, entrance_of(number)) for number in numbers]
        return [session for session in await asyncio.gather(*opened) if session]

    async def open_one(self, gate, number, entrance):
        async with gate:
            try:
                session = await open_session(number, entrance)
            except Refused as reason:
                self.refused.append(f"session {number}: {reason}")
                return None
        self.sessions.append(session)
        self.sending.append(asyncio.create_task(session.send_messages(self.per_second)))
        self.receiving[session.number] = asyncio.create_task(session.receive_messages())
        return session

    async def finish(self):
        """Every session that still stands is closed, after its last echo."""
        standing = self.standing()
        await asyncio.gather(*(session.finish(self.receiving[session.number]) for session in standing))
        for task in (*self.sending, *self.receiving.values()):
            task.cancel()

    def standing(self):
        return [session for session in self.sessions if not session.failure]

    def failures(self):
        return [f"session {one.number} on {one.backend}: {one.failure}" for one in self.sessions if one.failure]

    def sent(self):
        return sum(session.sent for session in self.sessions)

    def received(self):
        return sum(session.received for session in self.sessions)

    def longest_echo_seconds(self):
        return max((session.longest_echo_seconds for session in self.sessions), default=0)

    def by_backend(self):
        return by_backend(self.sessions)


def by_backend(sessions):
    return dict(sorted(collections.Counter(session.backend for session in sessions).items()))
