"""A client's handshake and frames by hand (RFC 6455), for programs that decide what stands in which segment."""

import base64
import hashlib
import os
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def new_key():
    return base64.b64encode(os.urandom(16)).decode()


def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + ACCEPT_GUID).encode()).digest()).decode()


def handshake_request(host, path, key, headers=()):
    """A whole request head; `headers` are pairs."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def masked_frame(opcode, payload, fin=True):
    """One frame as a client sends it."""
    mask = os.urandom(4)
    first = (0x80 if fin else 0) | opcode
    return frame_head(first, len(payload), 0x80) + mask + apply_mask(payload, mask)


def backend_frame(opcode, payload):
    """One frame as a backend sends it."""
    return frame_head(0x80 | opcode, len(payload), 0) + payload


def frame_head(first, size, mask_bit):
    if size < 126:
        return bytes((first, mask_bit | size))
    if size < 65536:
        return struct.pack("!BBH", first, mask_bit | 126, size)
    return struct.pack("!BBQ", first, mask_bit | 127, size)


def apply_mask(payload, mask):
    """Masks, or takes the mask off."""
    size = len(payload)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")


async def read_frame(reader):
    """(opcode, payload) of one whole frame, unmasked, from an asyncio stream; fragments are not put together."""
    first, second = await reader.readexactly(2)
    size = second & 0x7F
    if size == 126:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
    elif size == 127:
        (size,) = struct.unpack("!Q", await reader.readexactly(8))
    mask = await reader.readexactly(4) if second & 0x80 else None
    payload = await reader.readexactly(size)
    return first & 0x0F, apply_mask(payload, mask) if mask else payload
