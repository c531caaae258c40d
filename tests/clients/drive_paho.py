"""Drives paho-mqtt for Python: `drive_paho.py PORT VERSION`, then the commands that `foreign.rs` describes."""

import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from lines import answer, parse

PORT, VERSION = int(sys.argv[1]), int(sys.argv[2])
# What the callbacks, which run on paho's thread, tell this one.
connected, granted, unsubscribed, published, messages = (queue.Queue() for _ in range(5))


def properties(packet, **values):
    """Properties of a packet of version 5; those that are None are left out."""
    if VERSION != mqtt.MQTTv5:
        return None
    made = Properties(packet)
    for name, value in values.items():
        if value is not None:
            setattr(made, name, value)
    return made


def number(text):
    return int(text) if text else None


def connect(f):
    global client
    clean = f["clean"] == "1"
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2,
        client_id=f["id"],
        protocol=VERSION,
        clean_session=None if VERSION == mqtt.MQTTv5 else clean,
    )
    client.on_connect = lambda c, u, flags, reason, p: connected.put((flags.session_present, reason.value))
    client.on_subscribe = lambda c, u, mid, reasons, p: granted.put(reasons[0].value)
    client.on_unsubscribe = lambda c, u, mid, reasons, p: unsubscribed.put(mid)
    client.on_publish = lambda c, u, mid, reason, p: published.put((mid, reason.value))
    client.on_message = lambda c, u, message: messages.put(message)
    if "user" in f:
        client.username_pw_set(f["user"], f["password"])
    if "will" in f:
        client.will_set(f["will"], b"gone", qos=1)
    expiry = number(f.get("expiry"))
    more = properties(PacketTypes.CONNECT, SessionExpiryInterval=expiry)
    start = {"clean_start": clean} if VERSION == mqtt.MQTTv5 else {}
    client.connect("127.0.0.1", PORT, properties=more, **start)
    client.loop_start()
    session, code = connected.get()
    if code:
        answer("refused", code=code)
    else:
        answer("connected", session=int(session))


def subscribe(f):
    client.subscribe(f["filter"], int(f["qos"]))
    answer("subscribed", code=granted.get())


def unsubscribe(f):
    client.unsubscribe(f["filter"])
    unsubscribed.get()
    answer("unsubscribed")


def publish(f):
    more = properties(
        PacketTypes.PUBLISH,
        UserProperty=tuple(f["user"].split(":")) if "user" in f else None,
        ContentType=f.get("type"),
        ResponseTopic=f.get("response"),
        CorrelationData=f["correlation"].encode() if "correlation" in f else None,
        MessageExpiryInterval=number(f.get("expiry")),
        TopicAlias=number(f.get("alias")),
    )
    info = client.publish(f["topic"], f["payload"], int(f["qos"]), f["retain"] == "1", more)
    mid, code = published.get()
    assert mid == info.mid, f"{mid} was acknowledged, {info.mid} published"
    answer("published", code=code)


def receive(_):
    m = messages.get()
    p = m.properties.json() if m.properties else {}
    answer(
        "message",
        topic=m.topic,
        qos=m.qos,
        retain=int(m.retain),
        payload=m.payload.decode(),
        user=":".join(p["UserProperty"][0]) if "UserProperty" in p else None,
        type=p.get("ContentType"),
        response=p.get("ResponseTopic"),
        correlation=m.properties.CorrelationData.decode() if "CorrelationData" in p else None,
        expiry=p.get("MessageExpiryInterval"),
    )


def disconnect(_):
    client.disconnect()
    client.loop_stop()
    answer("disconnected")


verbs = [connect, subscribe, unsubscribe, publish, receive, disconnect]
for line in sys.stdin:
    verb, fields = parse(line)
    next(v for v in verbs if v.__name__ == verb)(fields)
