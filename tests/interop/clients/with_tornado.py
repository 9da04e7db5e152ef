"""The client on Tornado. Usage: with_tornado.py PLAN; prints one line of JSON per case.

Tornado cannot send a message in fragments, so it lacks that ability.
"""

import asyncio

import cases
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClosedError, websocket_connect


class Client:
    """Opens sessions as the plan says."""

    abilities = ()

    def __init__(self, plan):
        self.origins = plan["origins"]
        self.ca = plan["ca"]

    async def open(self, target, options):
        headers = dict(options.headers)
        if options.origin in self.origins:
            headers["Origin"] = self.origins[options.origin]
        request = HTTPRequest(target["url"] + options.path, headers=headers, ca_certs=self.ca)
        try:
            connection = await websocket_connect(
                request,
                subprotocols=list(options.protocols) or None,
                compression_options={} if options.deflate else None,
                max_message_size=64 << 20,
            )
        except HTTPClientError as error:
            raise cases.Refused(error.code) from None
        return Connection(connection)


class Connection:
    """One session."""

    def __init__(self, connection):
        self.connection = connection
        self.protocol = connection.selected_subprotocol
        self.extensions = connection.headers.get("Sec-WebSocket-Extensions", "")
        self.pongs = asyncio.Queue()
        connection.on_pong = self.pongs.put_nowait

    def cookies(self):
        return cases.cookie_pairs(self.connection.headers.get_list("Set-Cookie"))

    async def send(self, data):
        await self.connection.write_message(data, binary=isinstance(data, bytes))

    async def receive(self):
        message = await self.connection.read_message()
        if message is None:
            raise cases.Ended(f"closed with {self.connection.close_code} {self.connection.close_reason}")
        return message

    async def ping(self, payload):
        self.connection.ping(payload.encode())
        return (await self.pongs.get()).decode()

    async def close(self, code, reason):
        try:
            self.connection.close(code, reason)
        except WebSocketClosedError:
            pass

    async def ended(self):
        while await self.connection.read_message() is not None:
            pass
        return self.connection.close_code, self.connection.close_reason


cases.main(Client)
