"""An echo backend on Python's `websockets`. Prints `listening PORT`."""

import asyncio

import language
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


class Session:
    """What language.answer_ask may do on one connection."""

    def __init__(self, connection):
        self.connection = connection

    async def send(self, text):
        await self.connection.send(text)

    async def send_fragments(self, fragments):
        await self.connection.send(fragments)

    async def close(self, code, reason):
        await self.connection.close(code, reason)

    async def ping(self, payload):
        await (await self.connection.ping(payload))
        await self.connection.send(f"pong {payload}")

    def request(self):
        return {
            "path": self.connection.request.path,
            "headers": list(self.connection.request.headers.raw_items()),
            "extensions": self.connection.response.headers.get("Sec-WebSocket-Extensions", ""),
        }


def select_subprotocol(_connection, offered):
    return language.SUBPROTOCOL if language.SUBPROTOCOL in offered else None


def add_cookies(_connection, _request, response):
    for cookie in language.COOKIES:
        response.headers["Set-Cookie"] = cookie


async def echo(connection):
    session = Session(connection)
    path = connection.request.path
    try:
        if language.is_greeting_asked(path):
            await connection.send(language.GREETING)
        async for message in connection:
            if not (isinstance(message, str) and await language.answer_ask(message, session)):
                await connection.send(message)
    except ConnectionClosed:
        pass
    finally:
        language.record_ending(path, connection.close_code, connection.close_reason)


async def main():
    server = await serve(
        echo,
        "127.0.0.1",
        0,
        select_subprotocol=select_subprotocol,
        process_response=add_cookies,
        max_size=None,
        ping_interval=None,
    )
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
