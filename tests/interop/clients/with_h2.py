"""WebSocket over HTTP/2 (RFC 8441) with Python's `h2`: all sessions to one target share one connection.

Usage: with_h2.py PLAN; prints one line of JSON per case. Frames are read and written by `wsproto`, which
takes the close code 1014 for a mistake.
"""

import asyncio
import ssl
from urllib.parse import urlsplit

import cases
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RemoteSettingsChanged, ResponseReceived, StreamEnded, StreamReset, WindowUpdated
from h2.settings import SettingCodes
from wsproto.connection import Connection as Frames
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.utilities import RemoteProtocolError

FRAME_HEAD = 9
GOAWAY = 7


class Client:
    """Opens sessions as the plan says."""

    abilities = ("fragments",)

    def __init__(self, plan):
        self.origins = plan["origins"]
        self.trust = ssl.create_default_context(cafile=plan["ca"])
        self.trust.set_alpn_protocols(["h2"])
        self.carriers = {}

    async def open(self, target, options):
        url = urlsplit(target["url"] + options.path)
        if url.netloc not in self.carriers:
            self.carriers[url.netloc] = await Carrier.connect(url.port, self.trust)
        deflate = PerMessageDeflate() if options.deflate else None
        headers = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":authority", url.netloc),
            (":path", f"{url.path}?{url.query}" if url.query else url.path),
            ("sec-websocket-version", "13"),
            *((name.lower(), value) for name, value in options.headers.items()),
        ]
        if options.origin in self.origins:
            headers.append(("origin", self.origins[options.origin]))
        if options.protocols:
            headers.append(("sec-websocket-protocol", ", ".join(options.protocols)))
        if deflate:
            headers.append(("sec-websocket-extensions", f"permessage-deflate; {deflate.offer()}"))
        stream = self.carriers[url.netloc].open_stream(headers)
        answer = await stream.answered
        status = int(dict(answer)[":status"])
        if status != 200:
            raise cases.Refused(status)
        return Connection(stream, answer, deflate)


class Carrier:
    """One HTTP/2 connection; whoever waits on a stream is woken when anything arrives."""

    @classmethod
    async def connect(cls, port, trust):
        carrier = cls()
        carrier.reader, carrier.writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trust, server_hostname="localhost"
        )
        carrier.http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        carrier.streams = {}
        carrier.allows_connect = asyncio.get_running_loop().create_future()
        carrier.http.initiate_connection()
        carrier.flush()
        carrier.reading = asyncio.create_task(carrier.read())
        assert await carrier.allows_connect, "extended CONNECT is not offered"
        return carrier

    def flush(self):
        self.writer.write(self.http.data_to_send())

    def open_stream(self, headers):
        stream = Stream(self, self.http.get_next_available_stream_id())
        self.streams[stream.id] = stream
        self.http.send_headers(stream.id, headers)
        self.flush()
        return stream

    async def read(self):
        try:
            while True:
                head = await self.reader.readexactly(FRAME_HEAD)
                payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
                # At a GOAWAY `h2` gives up the streams that have begun too, which may go on (RFC 9113 section 6.8).
                if head[3] == GOAWAY:
                    continue
                for event in self.http.receive_data(head + payload):
                    self.take(event)
                self.flush()
        except (asyncio.IncompleteReadError, OSError):
            pass
        for stream in self.streams.values():
            stream.end(ConnectionResetError("the HTTP/2 connection ended"))

    def take(self, event):
        if isinstance(event, RemoteSettingsChanged) and not self.allows_connect.done():
            changed = event.changed_settings.get(SettingCodes.ENABLE_CONNECT_PROTOCOL)
            self.allows_connect.set_result(bool(changed and changed.new_value))
        if isinstance(event, WindowUpdated):
            for stream in self.streams.values():
                stream.room.set()
        stream = self.streams.get(getattr(event, "stream_id", None))
        if not stream:
            return
        if isinstance(event, ResponseReceived):
            stream.answered.set_result(event.headers)
        elif isinstance(event, DataReceived):
            stream.data.put_nowait(event.data)
            self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            stream.end(None)
        elif isinstance(event, StreamReset):
            stream.end(ConnectionResetError(f"RST_STREAM {event.error_code}"))


class Stream:
    """One stream of a carrier, as a pair of byte streams."""

    def __init__(self, carrier, stream_id):
        self.carrier = carrier
        self.id = stream_id
        self.answered = asyncio.get_running_loop().create_future()
        self.data = asyncio.Queue()
        self.room = asyncio.Event()
        self.sending = asyncio.Lock()

    def end(self, error):
        if not self.answered.done():
            self.answered.set_exception(error or ConnectionResetError("ended without an answer"))
        self.data.put_nowait(b"")

    async def send(self, data, end=False):
        http = self.carrier.http
        async with self.sending:
            while data:
                size = min(http.local_flow_control_window(self.id), http.max_outbound_frame_size, len(data))
                if size == 0:
                    self.room.clear()
                    await self.room.wait()
                    continue
                http.send_data(self.id, data[:size])
                self.carrier.flush()
                data = data[size:]
            if end:
                http.end_stream(self.id)
                self.carrier.flush()

    async def give_back(self):
        """Ends our side of a stream whose other side has ended: half open, it still counts as one of those allowed."""
        stream = self.carrier.http.streams.get(self.id)
        if stream and stream.open:
            await self.send(b"", end=True)


class Connection:
    """One session."""

    def __init__(self, stream, answer, deflate):
        self.stream = stream
        self.answer = answer
        self.protocol = self.header("sec-websocket-protocol")
        self.extensions = self.header("sec-websocket-extensions") or ""
        if deflate and self.extensions:
            deflate.finalize(self.extensions)
        extensions = [deflate] if deflate and self.extensions else []
        self.frames = Frames(ConnectionType.CLIENT, extensions=extensions)
        self.messages = asyncio.Queue()
        self.pongs = asyncio.Queue()
        self.closed = asyncio.get_running_loop().create_future()
        self.reading = asyncio.create_task(self.read())

    def header(self, name):
        return next((value for have, value in self.answer if have == name), None)

    def cookies(self):
        return cases.cookie_pairs(value for name, value in self.answer if name == "set-cookie")

    async def read(self):
        parts = []
        while data := await self.stream.data.get():
            try:
                self.frames.receive_data(data)
                for event in self.frames.events():
                    await self.take(event, parts)
            except RemoteProtocolError as error:
                self.messages.put_nowait(cases.Ended(str(error)))
                return
        if not self.closed.done():
            self.closed.set_result((1006, ""))
        self.messages.put_nowait(cases.Ended(f"closed with {self.closed.result()}"))
        await self.stream.give_back()

    async def take(self, event, parts):
        if isinstance(event, Message):
            parts.append(event.data)
            if event.message_finished:
                empty = "" if isinstance(event, TextMessage) else b""
                message = empty.join(parts)
                parts.clear()
                self.messages.put_nowait(message if isinstance(message, str) else bytes(message))
        elif isinstance(event, Ping):
            await self.stream.send(self.frames.send(event.response()))
        elif isinstance(event, Pong):
            self.pongs.put_nowait(bytes(event.payload).decode())
        elif isinstance(event, CloseConnection) and not self.closed.done():
            self.closed.set_result((int(event.code), event.reason or ""))
            await self.answer_close(event)

    async def answer_close(self, event):
        if self.frames.state.name == "REMOTE_CLOSING":
            await self.stream.send(self.frames.send(event.response()), end=True)

    async def send(self, data):
        event = TextMessage(data) if isinstance(data, str) else BytesMessage(data)
        await self.stream.send(self.frames.send(event))

    async def send_fragments(self, fragments):
        kind = TextMessage if isinstance(fragments[0], str) else BytesMessage
        for at, fragment in enumerate(fragments, start=1):
            await self.stream.send(self.frames.send(kind(fragment, message_finished=at == len(fragments))))

    async def receive(self):
        message = await self.messages.get()
        if isinstance(message, Exception):
            raise message
        return message

    async def ping(self, payload):
        await self.stream.send(self.frames.send(Ping(payload.encode())))
        return await self.pongs.get()

    async def close(self, code, reason):
        if self.frames.state.name == "OPEN":
            await self.stream.send(self.frames.send(CloseConnection(code, reason)))

    async def ended(self):
        return await self.closed


cases.main(Client)
