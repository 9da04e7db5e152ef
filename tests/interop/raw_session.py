"""One session of raw_cases.py: bytes go out, and what comes back is noted frame by frame, until the server ends."""

import socket
import ssl
import struct
import time
import urllib.parse
import zlib

from rig import frames

TIMEOUT_SECONDS = 30
# So that each piece is a segment of its own, also where there are many.
PAUSE_SECONDS = 0.001
RSV1 = 0x40


def run(url, pieces, extensions=""):
    """The frames before the Close, its code and reason, and how the stream ended."""
    result = {"frames": [], "code": "no Close", "reason": "", "end": "end"}
    connection = connect(urllib.parse.urlsplit(url))
    with connection:
        try:
            stream = Stream(connection, urllib.parse.urlsplit(url), extensions)
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(PAUSE_SECONDS)
            read_to_close(stream, result)
        except EOFError:
            pass
        except OSError as error:
            result["end"] = type(error).__name__
    return result


def read_to_close(stream, result):
    """Answers the Close as a client has to, and waits for the end."""
    inflater = zlib.decompressobj(wbits=-15)
    while True:
        first, payload = stream.frame()
        if first & 0x0F == frames.CLOSE:
            break
        if first & RSV1:
            payload = inflater.decompress(payload + b"\x00\x00\xff\xff")
        result["frames"].append(fact(first, payload))
    (result["code"],) = struct.unpack("!H", payload[:2]) if payload else (None,)
    result["reason"] = payload[2:].decode(errors="replace")
    try:
        stream.connection.sendall(frames.masked_frame(frames.CLOSE, payload[:2]))
    except OSError:
        pass  # It has ended before; whether in order shows below.
    while rest := stream.connection.recv(65536):
        result["frames"].append(("behind the Close", rest.hex()))


def fact(first, payload):
    """What is remembered of a frame."""
    return (first, len(payload), zlib.crc32(payload))


def connect(url):
    connection = socket.create_connection((url.hostname, url.port), TIMEOUT_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if url.scheme == "ws":
        return connection
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


class Stream:
    """Reads frames behind the 101."""

    def __init__(self, connection, url, extensions):
        self.connection = connection
        self.received = b""
        headers = [("Sec-WebSocket-Extensions", extensions)] if extensions else []
        connection.sendall(frames.handshake_request(url.netloc, url.path, frames.new_key(), headers))
        while b"\r\n\r\n" not in self.received:
            self.receive()
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(head.decode("latin1"))

    def receive(self):
        read = self.connection.recv(65536)
        if not read:
            raise EOFError
        self.received += read

    def take(self, count):
        while len(self.received) < count:
            self.receive()
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def frame(self):
        """Its first byte and its payload."""
        first, size = self.take(2)
        if size == 126:
            (size,) = struct.unpack("!H", self.take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.take(8))
        return first, self.take(size)
