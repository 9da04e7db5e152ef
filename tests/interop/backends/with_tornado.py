"""An echo backend on Tornado. Prints `listening PORT`. Tornado has no way to send a message in fragments."""

import asyncio

import language
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketClosedError, WebSocketHandler


class Echo(WebSocketHandler):
    """One session."""

    def prepare(self):
        for cookie in language.COOKIES:
            self.add_header("Set-Cookie", cookie)

    def check_origin(self, origin):
        return True  # the gateway's business

    def select_subprotocol(self, subprotocols):
        return language.SUBPROTOCOL if language.SUBPROTOCOL in subprotocols else None

    def get_compression_options(self):
        return {}

    async def open(self, *_arguments):
        if language.is_greeting_asked(self.request.uri):
            await self.write_message(language.GREETING)

    async def on_message(self, message):
        try:
            if not (isinstance(message, str) and await language.answer_ask(message, Asked(self))):
                await self.write_message(message, binary=isinstance(message, bytes))
        except WebSocketClosedError:
            pass

    def on_pong(self, data):
        self.write_message(f"pong {data.decode()}")

    def on_close(self):
        language.record_ending(self.request.uri, self.close_code, self.close_reason)


class Asked:
    """What language.answer_ask may do on one connection."""

    def __init__(self, handler):
        self.handler = handler

    async def send(self, text):
        await self.handler.write_message(text)

    async def close(self, code, reason):
        self.handler.close(code, reason)

    async def ping(self, payload):
        self.handler.ping(payload.encode())

    def request(self):
        return {
            "path": self.handler.request.uri,
            "headers": list(self.handler.request.headers.get_all()),
            "extensions": self.handler._headers.get("Sec-WebSocket-Extensions", ""),
        }


async def main():
    sockets = bind_sockets(0, "127.0.0.1")
    application = Application([(r"/.*", Echo)], websocket_max_message_size=64 << 20)
    HTTPServer(application).add_sockets(sockets)
    print("listening", sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
