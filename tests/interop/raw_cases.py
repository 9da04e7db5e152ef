"""Our own cases of raw frames, by the groups of the Autobahn suite: 1 frames, 2 pings, 3 reserved bits, 4 opcodes,
5 fragments, 6 UTF-8, 7 closes, 9 limits, 10 segments, 12 compression.

Each sends bytes and says what a conforming echo server does: what it echoes, and with which code it closes. How they
are sent and what comes back is in raw_session.py.
"""

import itertools
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import raw_session
from rig import frames

AT_A_TIME = 8
TEXT, BINARY, CONTINUED = frames.TEXT, frames.BINARY, 0
RSV1 = 0x40
SIZES = (0, 1, 125, 126, 127, 128, 65535, 65536)
DONE = struct.pack("!H", 1000)


@dataclass(frozen=True)
class Case:
    """`pieces` are sent in segments of their own; `answers` (opcode and payload) come before a Close with one of `codes`."""

    name: str
    pieces: tuple
    answers: tuple = ()
    codes: tuple = (1000,)
    extensions: str = ""


def run(way, url, folder):
    """What came of each case, by its number and name."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        results = pool.map(lambda case: raw_session.run(url, case.pieces, case.extensions), CASES.values())
        return dict(zip(CASES, results))


def conforms(name, result, may_be_early=False):
    """`may_be_early`: whoever closes on a broken frame may do so before the echo of what came before it."""
    case = CASES[name]
    answers = [raw_session.fact(0x80 | opcode, payload) for opcode, payload in case.answers]
    # Whether a message is compressed is the server's to choose.
    frames_found = [(first & ~RSV1, *rest) for first, *rest in result["frames"]]
    if may_be_early and 1000 not in case.codes:
        answers = answers[: len(frames_found)]
    return frames_found == answers and result["code"] in case.codes and result["end"] == "end"


def frame(opcode, payload=b"", fin=True, reserved=0):
    """As a client sends it."""
    whole = frames.masked_frame(opcode, payload, fin)
    return bytes((whole[0] | reserved,)) + whole[1:]


def close(code=1000, reason=b""):
    return frame(frames.CLOSE, struct.pack("!H", code) + reason)


def fragments(opcode, payloads):
    """A message in as many fragments."""
    opcodes = (opcode, *itertools.repeat(CONTINUED, len(payloads) - 1))
    ends = (*itertools.repeat(False, len(payloads) - 1), True)
    return tuple(map(frame, opcodes, payloads, ends))


def sound(name, pieces, answers, extensions=""):
    """Ends with a Close of the client."""
    return Case(name, (*pieces, close()), tuple(answers), extensions=extensions)


def broken(name, *pieces, codes=(1002,), answers=()):
    """Ends with a Close of the server."""
    return Case(name, pieces, tuple(answers), codes)


def of_frames():
    for opcode, size in itertools.product((TEXT, BINARY), SIZES):
        payload = b"*" * size
        yield sound(f"opcode {opcode}, {size} bytes", [frame(opcode, payload)], [(opcode, payload)])


def of_pings():
    for payload in (b"", b"hello", bytes(range(125)), b"\xff" * 125):
        yield sound(f"ping of {len(payload)} bytes", [frame(frames.PING, payload)], [(frames.PONG, payload)])
    yield broken("ping of 126 bytes", frame(frames.PING, b"x" * 126))
    yield sound("pong that nobody asked for", [frame(frames.PONG, b"unasked")], [])
    pings = [b"payload %d" % number for number in range(10)]
    answers = [(frames.PONG, payload) for payload in pings]
    yield sound("ten pings", [frame(frames.PING, payload) for payload in pings], answers)
    yield sound("ten pings at once", [b"".join(frame(frames.PING, payload) for payload in pings)], answers)
    yield sound("ping byte by byte", single_bytes(frame(frames.PING, pings[0])), answers[:1])


def of_reserved_bits():
    before, after = frame(TEXT, b"before"), frame(TEXT, b"after")
    for bits in range(1, 8):
        for opcode in (TEXT, BINARY, frames.PING, frames.CLOSE):
            wrong = frame(opcode, DONE, reserved=bits << 4)
            name = f"bits {bits} with opcode {opcode}"
            yield broken(name, before, wrong, after, answers=[(TEXT, b"before")])


def of_opcodes():
    before, after = frame(TEXT, b"before"), frame(TEXT, b"after")
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        for payload in (b"", b"reserved"):
            name = f"opcode {opcode} with {len(payload)} bytes"
            yield broken(name, before, frame(opcode, payload), after, answers=[(TEXT, b"before")])


def of_fragments():
    two, ping = [b"one ", b"two"], frame(frames.PING, b"between")
    whole, pong = (TEXT, b"".join(two)), (frames.PONG, b"between")
    begun, ended = fragments(TEXT, two)
    yield broken("fragmented ping", *fragments(frames.PING, two))
    yield broken("fragmented pong", *fragments(frames.PONG, two))
    yield broken("fragmented close", frame(frames.CLOSE, DONE, fin=False))
    yield sound("two fragments", [begun, ended], [whole])
    yield sound("two fragments at once", [begun + ended], [whole])
    yield sound("byte by byte", single_bytes(begun + ended), [whole])
    yield sound("ping between fragments", [begun, ping, ended], [pong, whole])
    yield sound("ping between fragments at once", [begun + ping + ended], [pong, whole])
    yield sound("empty fragments", fragments(TEXT, [b"", b"", b""]), [(TEXT, b"")])
    yield sound("an empty one in the middle", fragments(TEXT, [b"a", b"", b"b"]), [(TEXT, b"ab")])
    for fin in (False, True):
        yield broken(f"continuation of nothing, fin {fin}", frame(CONTINUED, b"x", fin), frame(TEXT, b"after"))
    yield broken("continuation behind a message", begun, ended, frame(CONTINUED, b"x"), answers=[whole])
    yield broken("message within a message", begun, frame(TEXT, b"new"))
    yield broken("fragment within a message", begun, frame(BINARY, b"new", fin=False))


VALID = ("κόσμε", "Hello-µ@ßöäüàá-UTF-8!!", "\x00", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufffd",
    "\uffff", "\U00010000", "\U0010ffff", "\ufdd0\U0001fffe")  # fmt: skip
INVALID = ("80", "bf", "c0af", "c1bf", "c3", "c328", "e080af", "e0809f", "e28281e2", "eda080", "edbfbf", "f0808080",
    "f08080af", "f4908080", "f888808080", "fc8480808080", "fe", "ff", "cebae1bdb9cf83cebcceb5eda080656469746564")  # fmt: skip


def of_utf8():
    for text in VALID:
        payload = text.encode()
        yield sound(f"valid {payload.hex()}", [frame(TEXT, payload)], [(TEXT, payload)])
        yield sound(f"valid {payload.hex()} in fragments", fragments(TEXT, parts_of(payload)), [(TEXT, payload)])
    for hexadecimal in INVALID:
        payload = bytes.fromhex(hexadecimal)
        yield broken(f"invalid {hexadecimal}", frame(TEXT, payload), codes=(1007,))
        yield broken(f"invalid {hexadecimal} in fragments", *fragments(TEXT, parts_of(payload)), codes=(1007,))
        yield sound(f"binary {hexadecimal}", [frame(BINARY, payload)], [(BINARY, payload)])


def parts_of(payload):
    return [bytes((byte,)) for byte in payload]


def of_closes():
    message = frame(TEXT, b"message")
    echo = (TEXT, b"message")
    yield Case("close", (message, close()), (echo,))
    yield Case("two closes", (close(), close()))
    yield Case("ping behind the close", (close(), frame(frames.PING, b"late")))
    yield Case("message behind the close", (close(), message))
    yield Case("close within a message", (frame(TEXT, b"begun", fin=False), close(), frame(CONTINUED, b"ended")))
    yield Case("close without a code", (frame(frames.CLOSE),), codes=(None, 1000))
    yield broken("close of one byte", frame(frames.CLOSE, b"\x03"))
    yield Case("close with a reason", (close(1000, b"enough"),))
    yield Case("close with the longest reason", (close(1000, b"*" * 123),))
    yield broken("close with a longer one", close(1000, b"*" * 124))
    yield broken("close with a reason that is no UTF-8", close(1000, b"\xce\xba\xed\xa0\x80"), codes=(1002, 1007))
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        yield Case(f"close {code}", (close(code),), codes=(1000, code))
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        yield broken(f"close {code}", close(code))
    yield broken("length with the top bit", b"\x82\xff\x80" + bytes(7) + b"mask", codes=(1002, 1009))
    yield broken("frame without a mask", frames.backend_frame(TEXT, b"unmasked"))


def of_limits():
    for opcode, size in itertools.product((TEXT, BINARY), (1 << 18, 1 << 20, 4 << 20)):
        payload = b"*" * size
        yield sound(f"opcode {opcode}, {size} bytes", [frame(opcode, payload)], [(opcode, payload)])
    payload = bytes(range(256)) * 4096
    for size in (1024, 65536):
        parts = [payload[at : at + size] for at in range(0, len(payload), size)]
        yield sound(f"1 MiB in fragments of {size}", [b"".join(fragments(BINARY, parts))], [(BINARY, payload)])
    for opcode in (TEXT, BINARY):
        many = [b"message %d" % number for number in range(500)]
        sent = b"".join(frame(opcode, payload) for payload in many)
        yield sound(f"500 of opcode {opcode}", [sent], [(opcode, payload) for payload in many])


def of_segments():
    payload = b"*" * 65536
    whole = frame(TEXT, payload)
    for size in (997, 1300, 16384):
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        yield sound(f"64 KiB in segments of {size}", pieces, [(TEXT, payload)])
    short = frame(TEXT, b"each byte in a segment of its own")
    yield sound("byte by byte", single_bytes(short), [(TEXT, b"each byte in a segment of its own")])


def of_compression():
    for parameters in ("", "; client_no_context_takeover; server_no_context_takeover"):
        extensions = "permessage-deflate" + parameters
        for size in (0, 16, 1024, 65536, 1 << 20):
            payload = (b"squeeze me " * (size // 11 + 1))[:size]
            compressor = zlib.compressobj(wbits=-15)
            parts = [deflated(compressor, payload)]
            parts += [deflated(zlib.compressobj(wbits=-15) if parameters else compressor, payload)]
            messages = [frame(TEXT, part, reserved=RSV1) for part in parts]
            yield sound(f"two of {size} bytes{parameters}", messages, [(TEXT, payload)] * 2, extensions)
        part = deflated(zlib.compressobj(wbits=-15), b"in fragments")
        begun, ended = frame(TEXT, part[:3], False, RSV1), frame(CONTINUED, part[3:])
        yield sound(f"fragments{parameters}", [begun, ended], [(TEXT, b"in fragments")], extensions)
        yield sound(f"not compressed{parameters}", [frame(TEXT, b"plain")], [(TEXT, b"plain")], extensions)
        for wrong in (frame(frames.PING, b"", reserved=RSV1), frame(CONTINUED, b"x", reserved=RSV1)):
            yield replace(broken(f"RSV1 with {wrong[0]:02x}{parameters}", wrong), extensions=extensions)


def deflated(compressor, payload):
    """RFC 7692 section 7.2.1."""
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def single_bytes(whole):
    return tuple(bytes((byte,)) for byte in whole)


GROUPS = {
    1: of_frames, 2: of_pings, 3: of_reserved_bits, 4: of_opcodes, 5: of_fragments, 6: of_utf8, 7: of_closes,
    9: of_limits, 10: of_segments, 12: of_compression,
}  # fmt: skip
CASES = {
    f"{group}.{number} {case.name}": case
    for group, cases in GROUPS.items()
    for number, case in enumerate(cases(), 1)
}
