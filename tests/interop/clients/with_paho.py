"""MQTT over WebSockets on paho, by the subprotocol mqtt. Usage: with_paho.py PLAN; prints one line of JSON per case.

Messages stay small: paho and this mosquitto lose each other at 70 kB, through nginx and with nothing in between as well.
"""

import asyncio
import os
import ssl
import uuid
from functools import partial
from urllib.parse import urlsplit

import cases
import paho.mqtt.client as mqtt

KEEPALIVE_SECONDS = 1


class Client:
    """Opens sessions as the plan says."""

    abilities = ()

    def __init__(self, plan):
        self.origins = plan["origins"]
        self.trust = ssl.create_default_context(cafile=plan["ca"])

    async def open(self, target, options):
        url = urlsplit(target["url"])
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, transport="websockets", protocol=mqtt.MQTTv311)
        client.ws_set_options(path=url.path, headers={"Origin": self.origins[options.origin]})
        if url.scheme == "wss":
            client.tls_set_context(self.trust)
        connection = Connection(client, asyncio.get_running_loop())
        if "will" in options.headers:
            client.will_set(options.headers["will"], b"gone", qos=1)
        await asyncio.to_thread(client.connect, "localhost", url.port, keepalive=KEEPALIVE_SECONDS)
        client.loop_start()
        await connection.agreed
        return connection


class Connection:
    """One session. Callbacks come from paho's own thread."""

    def __init__(self, client, loop):
        self.client = client
        self.loop = loop
        self.agreed = loop.create_future()
        self.messages = asyncio.Queue()
        self.subscribed = asyncio.Queue()
        client.on_connect = lambda _client, _data, _flags, reason, _more: self.later(self.on_connect, reason)
        client.on_message = lambda _client, _data, message: self.later(self.messages.put_nowait, message)
        client.on_subscribe = lambda *_arguments: self.later(self.subscribed.put_nowait, True)

    def later(self, function, argument):
        self.loop.call_soon_threadsafe(function, argument)

    def on_connect(self, reason):
        if reason.is_failure:
            self.agreed.set_exception(AssertionError(f"CONNACK {reason}"))
        else:
            self.agreed.set_result(None)

    async def subscribe(self, topic, qos):
        self.client.subscribe(topic, qos)
        await self.subscribed.get()

    def publish(self, topic, payload, **options):
        return self.client.publish(topic, payload, **options)

    async def receive(self):
        return bytes((await self.messages.get()).payload)

    def vanish(self):
        """The connection ends without a word of MQTT or of WebSocket."""
        self.client.loop_stop()
        self.client.socket().close()

    async def close(self, _code, _reason):
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)


async def round_trip(qos, open_session):
    connection = await open_session()
    topic = f"interop/{uuid.uuid4()}"
    await connection.subscribe(topic, qos)
    for payload in (b"", b"text", os.urandom(10_000)):
        connection.publish(topic, payload, qos=qos)
        cases.expect_same(await connection.receive(), payload)


async def many_in_order(open_session):
    publisher, subscriber = await open_session(), await open_session()
    topic = f"interop/{uuid.uuid4()}"
    await subscriber.subscribe(topic, 0)
    for number in range(500):
        publisher.publish(topic, str(number).encode(), qos=0)
    for number in range(500):
        cases.expect_same(await subscriber.receive(), str(number).encode())


async def retained(open_session):
    topic = f"interop/{uuid.uuid4()}"
    publisher = await open_session()
    await asyncio.to_thread(publisher.publish(topic, b"kept", qos=1, retain=True).wait_for_publish, 5)
    subscriber = await open_session()
    await subscriber.subscribe(topic, 1)
    cases.expect_same(await subscriber.receive(), b"kept")


async def quiet(open_session):
    """MQTT's own keepalive passes, so a quiet session outlives one and a half of its periods."""
    connection = await open_session()
    topic = f"interop/{uuid.uuid4()}"
    await connection.subscribe(topic, 0)
    await asyncio.sleep(3 * KEEPALIVE_SECONDS)
    connection.publish(topic, b"still here", qos=0)
    cases.expect_same(await connection.receive(), b"still here")


async def will(open_session):
    """The broker is told at once of a client that vanished, and publishes its will."""
    topic = f"interop/{uuid.uuid4()}"
    witness = await open_session()
    await witness.subscribe(topic, 1)
    lost = await open_session(headers={"will": topic})
    lost.vanish()
    cases.expect_same(await witness.receive(), b"gone")


CASES = [
    *(cases.Case(f"publish and subscribe, QoS {qos}", partial(round_trip, qos)) for qos in (0, 1, 2)),
    cases.Case("500 messages in order", many_in_order),
    cases.Case("retained message", retained),
    cases.Case("quiet for three keepalives", quiet),
    cases.Case("last will of a client that vanished", will),
]

cases.main(Client, CASES)
