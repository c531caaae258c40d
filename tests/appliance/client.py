"""A client of the gateway in the virtual machine: is it there, load until it goes, and is everything still there?"""

import socket
import ssl
import sys
import threading
import time

import paho.mqtt.client as mqtt

TOPIC = "load/count"


def connect(name, port, authority, clean):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean, protocol=mqtt.MQTTv311)
    client.username_pw_set("ann", "secret")
    client.tls_set(ca_certs=authority)
    client.max_inflight_messages_set(100)
    client.connect_timeout = 60
    client.connect("localhost", port, keepalive=20)
    return client


def reaches(port):
    """A port that is forwarded takes connections before anybody listens: only a handshake tells."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 10) as plain, context.wrap_socket(plain):
        pass


def load(port, authority, file):
    """Publishes numbers until the connection ends; writes down each that was acknowledged."""
    subscriber = connect("keeper", port, authority, False)
    ready, over = threading.Event(), threading.Event()
    subscriber.on_connect = lambda client, *_: client.subscribe(TOPIC, 1)
    subscriber.on_subscribe = lambda *_: ready.set()
    subscriber.loop_start()
    if not ready.wait(60):
        sys.exit("the subscription was not answered")
    subscriber.disconnect()
    subscriber.loop_stop()

    publisher = connect("loader", port, authority, True)
    numbers = {}
    lock = threading.Lock()
    acknowledged = open(file, "w", buffering=1)

    def on_publish(client, data, identifier, *_):
        with lock:
            number = numbers.pop(identifier)
        print(number, file=acknowledged)

    publisher.on_publish = on_publish
    publisher.on_disconnect = lambda *_: over.set()
    connected = threading.Event()
    publisher.on_connect = lambda *_: connected.set()
    publisher.loop_start()
    connected.wait(60)
    number = 0
    while not over.is_set():
        with lock:
            waiting = len(numbers)
        if waiting >= 100:
            over.wait(0.01)
            continue
        with lock:
            info = publisher.publish(TOPIC, str(number), qos=1)
            numbers[info.mid] = number
        number += 1


def lost(port, authority, file):
    """Everything that was acknowledged must come to the session that was away."""
    wanted = {int(line) for line in open(file) if line.endswith("\n")}
    client = connect("keeper", port, authority, False)
    done = threading.Event()

    def on_message(_client, _data, message):
        wanted.discard(int(message.payload))
        if not wanted:
            done.set()

    client.on_message = on_message
    client.loop_start()
    begun = time.monotonic()
    done.wait(200)
    client.loop_stop()
    if wanted:
        sys.exit(f"{len(wanted)} acknowledged messages are lost: {sorted(wanted)[:10]}")
    print(f"everything is there, after {time.monotonic() - begun:.1f} s")


command, port, *rest = sys.argv[1:]
{"reaches": reaches, "load": load, "lost": lost}[command](int(port), *rest)
