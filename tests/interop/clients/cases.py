"""What every Python client proves on every target; cases.mjs is the JavaScript twin and has the words explained.

A client has `abilities` and `async open(target, options) -> connection`. A connection has protocol, extensions,
cookies(), and async send(data), send_fragments(list), receive(), ping(payload), close(code, reason), ended().
"""

import asyncio
import json
import os
import sys
import uuid
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

TEXT = "Grüße, κόσμε, 世界 👋"
MEBIBYTE = 1 << 20


class Refused(Exception):
    """The handshake was answered with a status that is no 101."""

    def __init__(self, status):
        super().__init__(f"answered with {status}")
        self.status = status


class Ended(Exception):
    """No message will come any more."""


@dataclass(frozen=True)
class Options:
    """How one session is opened."""

    path: str = ""
    origin: str = "allowed"
    protocols: tuple = ()
    deflate: bool = False
    headers: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One thing to prove, and what client and target must be able to do for it."""

    name: str
    run: object
    client: tuple = ()
    target: tuple = ()


# === the cases ===


async def echoes(messages, open_session):
    connection = await open_session()
    for message in messages:
        await connection.send(message)
        expect_same(await connection.receive(), message)


async def many_in_order(open_session):
    connection = await open_session()
    for number in range(1000):
        await connection.send(f"message {number}")
    for number in range(1000):
        expect_same(await connection.receive(), f"message {number}")


async def fragments_out(open_session):
    connection = await open_session()
    await connection.send_fragments(["frag", "", "ment", "s"])
    expect_same(await connection.receive(), "fragments")
    await connection.send_fragments([b"\x01\x02", b"\x03"])
    expect_same(await connection.receive(), b"\x01\x02\x03")


async def fragments_in(open_session):
    connection = await open_session()
    await connection.send("ask fragments")
    expect_same(await connection.receive(), "one two three")


async def ping_out(open_session):
    connection = await open_session()
    expect_same(await connection.ping("are you there"), "are you there")


async def ping_in(open_session):
    connection = await open_session()
    await connection.send("ask ping knock")
    expect_same(await connection.receive(), "pong knock")


async def greeting(open_session):
    connection = await open_session(path="/greeting")
    expect_same(await connection.receive(), "greeting")


async def subprotocol(open_session):
    connection = await open_session(protocols=("chat.v2", "chat.v1"))
    expect_same(connection.protocol, "chat.v1")
    await connection.send(TEXT)
    expect_same(await connection.receive(), TEXT)


async def deflate(open_session):
    connection = await open_session(deflate=True)
    expect_start(connection.extensions, "permessage-deflate")
    expect_start((await backend_request(connection))["extensions"], "permessage-deflate")
    compressible = "all work and no play " * 100_000
    for message in (compressible, TEXT, "", compressible):
        await connection.send(message)
        expect_same(await connection.receive(), message)


async def no_extension(open_session):
    connection = await open_session(deflate=True)
    expect_same(connection.extensions, "")
    await connection.send(TEXT)
    expect_same(await connection.receive(), TEXT)


async def client_closes(code, reason, open_session):
    session_id = f"closing-{uuid.uuid4()}"
    connection = await open_session(path=f"?id={session_id}")
    await connection.send(TEXT)
    await connection.receive()
    await connection.close(code, reason)
    expect_same((await connection.ended())[0], code)
    witness = await open_session()
    await witness.send(f"ask ending {session_id}")
    expect_same(await witness.receive(), f"ending {code} {reason}")


async def backend_closes(code, reason, open_session):
    connection = await open_session()
    await connection.send(f"ask close {code} {reason}")
    expect_same(await connection.ended(), (code, reason))


async def spelling(open_session):
    request = await backend_request(await open_session())
    names = [name for name, _ in request["headers"] if name.lower().startswith("sec-websocket-")]
    expect_same(sorted(names), ["Sec-WebSocket-Key", "Sec-WebSocket-Version"])


async def cookie(open_session):
    request = await backend_request(await open_session(headers={"Cookie": "session=4711"}))
    expect_same(header(request, "cookie"), "session=4711")


async def authorization(open_session):
    request = await backend_request(await open_session(headers={"Authorization": "Bearer a.b.c"}))
    expect_same(header(request, "authorization"), "Bearer a.b.c")


async def set_cookie(open_session):
    connection = await open_session()
    expect_same("; ".join(connection.cookies()), "first=1; second=2")


async def origin_refused(origin, open_session):
    try:
        await open_session(origin=origin)
    except Refused as refusal:
        expect_same(refusal.status, 403)
    else:
        raise AssertionError("the session opened")


CASES = [
    Case("text", partial(echoes, [TEXT])),
    Case("binary", partial(echoes, [bytes(range(256))])),
    Case("empty messages", partial(echoes, ["", b"", "", TEXT])),
    Case("frame length borders", partial(echoes, [os.urandom(size) for size in (125, 126, 65535, 65536)])),
    Case("1 MiB binary", partial(echoes, [os.urandom(MEBIBYTE)])),
    Case("1 MiB text", partial(echoes, ["0123456789abcdef" * (MEBIBYTE // 16)])),
    Case("1,000 messages in order", many_in_order),
    Case("fragments from the client", fragments_out, client=("fragments",)),
    Case("fragments from the backend", fragments_in, target=("fragments",)),
    Case("ping from the client", ping_out),
    Case("ping from the backend", ping_in),
    Case("greeting right after the 101", greeting),
    Case("subprotocol", subprotocol, target=("subprotocol",)),
    Case("permessage-deflate", deflate, target=("deflate",)),
    Case("no extension where the backend takes none", no_extension, target=("bare",)),
    Case("client closes 4001", partial(client_closes, 4001, "enough")),
    Case("client closes 1000", partial(client_closes, 1000, "")),
    *(Case(f"backend closes {code}", partial(backend_closes, code, "your turn")) for code in (1000, 1001, 1011, 4002)),
    Case("Sec-WebSocket-* spelt as in the RFC", spelling, target=("raw-names", "spelling")),
    Case("cookie reaches the backend", cookie),
    Case("Authorization reaches the backend", authorization),
    Case("both Set-Cookie of the 101", set_cookie, target=("set-cookie",)),
    Case("Origin refused", partial(origin_refused, "denied"), target=("origin",)),
    Case("Origin missing", partial(origin_refused, "none"), target=("origin",)),
]


# === how they are run ===


def main(make_client, cases=CASES):
    """`make_client(plan)` gives the client; the plan's path is the only argument."""
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    client = make_client(plan)
    asyncio.run(hold_sessions(plan, client) if "hold" in plan else run_plan(plan, client, cases))


async def run_plan(plan, client, cases):
    """Prints one line of JSON per case that fits."""
    for target in plan["targets"]:
        for case in cases:
            if plan["only"] in case.name and fits(case, client, target):
                reason = await reason_of_failure(case, client, target, plan["case_timeout_ms"] / 1000)
                tell("FAIL" if reason else "PASS", target["name"], case.name, reason)


async def hold_sessions(plan, client):
    """One session to each target, kept until something else ends it; says when all of them stand."""
    hold = plan["hold"]

    async def judge(target, held):
        async def run(open_session):
            connection = await open_session()
            await connection.send(TEXT)
            expect_same(await connection.receive(), TEXT)
            held.set()
            expect_same(await connection.ended(), (hold["code"], hold["reason"]))

        case = Case(hold["case"], run)
        reason = await reason_of_failure(case, client, target, 2 * plan["case_timeout_ms"] / 1000)
        held.set()
        tell("FAIL" if reason else "PASS", target["name"], case.name, reason)

    held = [asyncio.Event() for _ in plan["targets"]]
    judging = [asyncio.create_task(judge(*pair)) for pair in zip(plan["targets"], held)]
    for event in held:
        await event.wait()
    tell("HELD", "", "", "")
    await asyncio.gather(*judging)


def tell(*line):
    print(json.dumps(line), flush=True)


def fits(case, client, target):
    return set(case.client) <= set(client.abilities) and set(case.target) <= set(target["features"])


async def reason_of_failure(case, client, target, timeout_seconds):
    connections = []

    async def open_session(**options):
        connections.append(await client.open(target, Options(**options)))
        return connections[-1]

    try:
        await asyncio.wait_for(case.run(open_session), timeout_seconds)
        return ""
    except TimeoutError:
        return f"not done in {timeout_seconds:.0f} s"
    except Exception as error:  # whatever a library raises is the reason
        return f"{type(error).__name__}: {error}"
    finally:
        for connection in connections:
            await connection.close(1000, "")


async def backend_request(connection):
    await connection.send("ask request")
    return json.loads(await connection.receive())


def header(request, name):
    return next((value for candidate, value in request["headers"] if candidate.lower() == name), "")


def cookie_pairs(set_cookie_lines):
    return [line.split(";")[0] for line in set_cookie_lines]


def expect_same(have, want):
    if type(have) is not type(want) or have != want:
        raise AssertionError(f"got {shown(have)}, not {shown(want)}")


def expect_start(have, want):
    if not have.startswith(want):
        raise AssertionError(f"got {shown(have)}, not {want}...")


def shown(value):
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:120]}... ({len(value)})"
