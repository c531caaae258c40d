"""Drives paho-mqtt over WebSocket against the listener on the port given; fails if anything does not work.

With the authority's certificate given as well, over TLS; with the client's certificate and key too, it shows them.
"""

import queue
import sys

import paho.mqtt.client as mqtt

BOUND = 8
PORT = int(sys.argv[1])
TLS = sys.argv[2:]

for version in [mqtt.MQTTv311, mqtt.MQTTv5]:
    events = queue.Queue()
    c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="paho", protocol=version, transport="websockets")
    c.on_connect = lambda c, u, flags, reason, properties: events.put(("connected", reason == 0))
    c.on_subscribe = lambda c, u, mid, reasons, properties: events.put(("subscribed", reasons[0].value))
    c.on_message = lambda c, u, message: events.put((message.topic, message.payload, message.qos))
    c.ws_set_options(path="/mqtt")
    if TLS:
        c.tls_set(*TLS)
    c.connect("localhost" if TLS else "127.0.0.1", PORT, keepalive=30)
    c.loop_start()
    assert events.get(timeout=BOUND) == ("connected", True)
    c.subscribe("paho/#", 2)
    assert events.get(timeout=BOUND) == ("subscribed", 2)
    for qos in range(3):
        for payload in [b"", b"hello", bytes(range(256)) * 1000]:
            c.publish(f"paho/{qos}", payload, qos=qos)
            assert events.get(timeout=BOUND) == (f"paho/{qos}", payload, qos)
    c.disconnect()
    c.loop_stop()
