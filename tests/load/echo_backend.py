"""The backend of the load: echoes messages and closes, says its name in the 101. Usage: echo_backend.py NAME [PORT].

Prints `listening PORT`.
"""

import asyncio
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rig import frames  # noqa: E402  (the path to it is set above)

BACKLOG = 4096


async def serve(name, reader, writer):
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
        writer.write(agreed(name, key_of(head)))
        opcode = None
        while opcode != frames.CLOSE:
            opcode, payload = await frames.read_frame(reader)
            writer.write(frames.backend_frame(opcode, payload))
            await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        pass
    finally:
        writer.close()


def key_of(head):
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "sec-websocket-key":
            return value.strip()
    return ""


def agreed(name, key):
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {frames.accept_of(key)}",
        f"X-Backend: {name}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def main():
    name, port = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = await asyncio.start_server(
        lambda reader, writer: serve(name, reader, writer), "127.0.0.1", port, backlog=BACKLOG
    )
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
