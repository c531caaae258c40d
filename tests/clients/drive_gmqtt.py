"""Drives gmqtt: `drive_gmqtt.py PORT VERSION`, then the commands that `foreign.rs` describes."""

import asyncio
import sys

import gmqtt
from gmqtt.mqtt.handler import MQTTConnectError

from lines import answer, parse

PORT, VERSION = int(sys.argv[1]), int(sys.argv[2])


class Driver:
    def __init__(self):
        self.connected, self.granted, self.unsubscribed, self.published, self.messages = (
            asyncio.Queue() for _ in range(5)
        )

    def note_acknowledgements(self):
        """gmqtt has no callback for acknowledgements, and keeps no reason code: look over its shoulder."""
        handler = self.client._package_handler

        def watch(name, ends):
            inner = getattr(handler, name)

            def outer(cmd, packet):
                inner(cmd, packet)
                code = packet[2] if len(packet) > 2 else 0
                if ends or code >= 0x80:
                    self.published.put_nowait(code)

            setattr(handler, name, outer)

        watch("_handle_puback_packet", True)
        watch("_handle_pubrec_packet", False)
        watch("_handle_pubcomp_packet", True)

    async def connect(self, f):
        more = {}
        if "will" in f:
            more["will_message"] = gmqtt.Message(f["will"], "gone", qos=1)
        if "expiry" in f:
            more["session_expiry_interval"] = int(f["expiry"])
        if "aliases" in f:
            more["topic_alias_maximum"] = int(f["aliases"])
        self.client = client = gmqtt.Client(f["id"], clean_session=f["clean"] == "1", **more)
        self.note_acknowledgements()
        client.on_connect = lambda c, flags, code, p: self.connected.put_nowait(flags)
        client.on_subscribe = lambda c, mid, codes, p: self.granted.put_nowait(codes[0])
        client.on_unsubscribe = lambda c, mid, codes: self.unsubscribed.put_nowait(mid)
        client.on_message = lambda c, *message: self.messages.put_nowait(message)
        if "user" in f:
            client.set_auth_credentials(f["user"], f["password"])
        try:
            await client.connect("127.0.0.1", PORT, version=VERSION)
        except MQTTConnectError as refusal:
            answer("refused", code=refusal._code)
        else:
            answer("connected", session=await self.connected.get() & 1)

    async def subscribe(self, f):
        self.client.subscribe(f["filter"], int(f["qos"]))
        answer("subscribed", code=await self.granted.get())

    async def unsubscribe(self, f):
        self.client.unsubscribe(f["filter"])
        await self.unsubscribed.get()
        answer("unsubscribed")

    async def publish(self, f):
        more = {}
        if "user" in f:
            more["user_property"] = tuple(f["user"].split(":"))
        for name, key in [("content_type", "type"), ("response_topic", "response")]:
            if key in f:
                more[name] = f[key]
        if "correlation" in f:
            more["correlation_data"] = f["correlation"].encode()
        for name, key in [("message_expiry_interval", "expiry"), ("topic_alias", "alias")]:
            if key in f:
                more[name] = int(f[key])
        qos = int(f["qos"])
        self.client.publish(f["topic"], f["payload"], qos=qos, retain=f["retain"] == "1", **more)
        answer("published", code=await self.published.get() if qos else 0)

    async def receive(self, _):
        topic, payload, qos, p = await self.messages.get()

        def first(name):
            value = p.get(name, [None])[0]
            return value.decode() if isinstance(value, bytes) else value

        user = first("user_property")
        answer(
            "message",
            topic=topic,
            qos=qos,
            retain=p["retain"],
            payload=payload.decode(),
            user=user and ":".join(user),
            type=first("content_type"),
            response=first("response_topic"),
            correlation=first("correlation_data"),
            expiry=first("message_expiry_interval"),
        )

    async def disconnect(self, _):
        await self.client.disconnect()
        answer("disconnected")


async def main():
    driver, loop = Driver(), asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        verb, fields = parse(line)
        await getattr(driver, verb)(fields)


asyncio.run(main())
