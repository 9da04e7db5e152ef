"""What a client may ask of a backend in a text message; everything else is echoed.

The JavaScript twin of this file is language.mjs.
"""

import asyncio
import json
from urllib.parse import parse_qs, urlsplit

SUBPROTOCOL = "chat.v1"
COOKIES = ["first=1; Path=/", "second=2; Path=/"]
GREETING = "greeting"
FRAGMENTS = ["one ", "two ", "three"]

# How sessions ended, by the id that their client gave itself in the query.
endings = {}


def is_greeting_asked(path):
    return urlsplit(path).path.endswith("/greeting")


def record_ending(path, code, reason):
    session_id = parse_qs(urlsplit(path).query).get("id", [None])[0]
    endings[session_id] = f"{code} {reason or ''}"


async def answer_ask(text, session):
    """`session`: async send(text), send_fragments(list), close(code, reason), ping(payload); plain request().

    False for a message that asks nothing.
    """
    word, _, rest = text.partition(" ")
    if word != "ask":
        return False
    ask, _, argument = rest.partition(" ")
    if ask == "close":
        code, _, reason = argument.partition(" ")
        await session.close(int(code), reason)
    elif ask == "ending":
        await tell_ending(argument, session)
    elif ask == "fragments":
        await session.send_fragments(FRAGMENTS)
    elif ask == "ping":
        await session.ping(argument)
    elif ask == "request":
        await session.send(json.dumps(session.request()))
    return True


async def tell_ending(session_id, session):
    for _ in range(40):
        if session_id in endings:
            break
        await asyncio.sleep(0.05)
    await session.send(f"ending {endings.get(session_id, 'unknown')}")
