"""Drives paho-mqtt against the broker on the port given; prints a line `ok …` for each thing that works."""

import queue
import sys
import threading

import paho.mqtt.client as mqtt

BOUND = 8
PORT = int(sys.argv[1])


def client(name, version, will=None):
    """A connected client whose messages arrive in its queue."""
    c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=version)
    c.messages, c.connected, c.subscribed = queue.Queue(), threading.Event(), threading.Event()
    c.on_connect = lambda c, u, flags, reason, properties: reason == 0 and c.connected.set()
    c.on_subscribe = lambda c, u, mid, reasons, properties: c.subscribed.set()
    c.on_message = lambda c, u, message: c.messages.put(message)
    if will:
        c.will_set(will, b"gone", qos=1)
    c.connect("127.0.0.1", PORT, keepalive=30)
    c.loop_start()
    assert c.connected.wait(BOUND), "no CONNACK"
    return c


def subscribe(c, topic, qos):
    c.subscribed.clear()
    c.subscribe(topic, qos)
    assert c.subscribed.wait(BOUND), "no SUBACK"


def main():
    for version, name in [(mqtt.MQTTv311, "3.1.1"), (mqtt.MQTTv5, "5")]:
        subscriber, publisher = client(f"sub-{name}", version), client(f"pub-{name}", version)
        for qos in range(3):
            for retain in [False, True]:
                topic, payload = f"paho/{name}/{qos}/{retain}", f"{name} {qos} {retain}".encode()
                if not retain:
                    subscribe(subscriber, topic, qos)
                publisher.publish(topic, payload, qos=qos, retain=retain).wait_for_publish(BOUND)
                if retain:
                    # QoS 0 is not acknowledged: what follows it on the same connection is.
                    publisher.publish("paho/fence", b"", qos=1).wait_for_publish(BOUND)
                    subscribe(subscriber, topic, qos)
                message = subscriber.messages.get(timeout=BOUND)
                found = (message.topic, message.payload, message.qos, message.retain)
                assert found == (topic, payload, qos, retain), found
                print("ok", name, qos, "retained" if retain else "live", flush=True)
        subscribe(subscriber, f"will/{name}", 1)
        mortal = client(f"mortal-{name}", version, will=f"will/{name}")
        # Cut without DISCONNECT.
        mortal.loop_stop()
        mortal.socket().close()
        assert subscriber.messages.get(timeout=BOUND).payload == b"gone"
        print("ok", name, "will", flush=True)
        for c in [subscriber, publisher]:
            c.disconnect()
            c.loop_stop()


main()
