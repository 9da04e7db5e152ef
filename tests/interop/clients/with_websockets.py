"""The client on Python's `websockets`. Usage: with_websockets.py PLAN; prints one line of JSON per case."""

import ssl

import cases
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus


class Client:
    """Opens sessions as the plan says."""

    abilities = ("fragments",)

    def __init__(self, plan):
        self.origins = plan["origins"]
        self.trust = ssl.create_default_context(cafile=plan["ca"])

    async def open(self, target, options):
        try:
            connection = await connect(
                target["url"] + options.path,
                origin=self.origins.get(options.origin),
                subprotocols=list(options.protocols) or None,
                compression="deflate" if options.deflate else None,
                additional_headers=options.headers,
                ssl=self.trust if target["url"].startswith("wss:") else None,
                proxy=None,
                max_size=None,
                ping_interval=None,
                close_timeout=5,
            )
        except InvalidStatus as error:
            raise cases.Refused(error.response.status_code) from None
        return Connection(connection)


class Connection:
    """One session."""

    def __init__(self, connection):
        self.connection = connection
        self.protocol = connection.subprotocol
        self.extensions = connection.response.headers.get("Sec-WebSocket-Extensions", "")

    def cookies(self):
        return cases.cookie_pairs(self.connection.response.headers.get_all("Set-Cookie"))

    async def send(self, data):
        await self.connection.send(data)

    async def send_fragments(self, fragments):
        await self.connection.send(fragments)

    async def receive(self):
        try:
            return await self.connection.recv()
        except ConnectionClosed as error:
            raise cases.Ended(str(error)) from None

    async def ping(self, payload):
        await (await self.connection.ping(payload))
        return payload

    async def close(self, code, reason):
        await self.connection.close(code, reason)

    async def ended(self):
        await self.connection.wait_closed()
        return self.connection.close_code, self.connection.close_reason


cases.main(Client)
