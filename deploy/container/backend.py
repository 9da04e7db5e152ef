"""A sample backend: it says its name, then echoes. `backend.py NAME [PORT]`"""

import asyncio
import signal
import sys

from websockets.asyncio.server import serve

NAME = sys.argv[1]
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 9001


async def echo(connection):
    await connection.send(f"this is {NAME}")
    async for message in connection:
        await connection.send(message)


async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with serve(echo, host="0.0.0.0", port=PORT):
        await stop.wait()


asyncio.run(main())
