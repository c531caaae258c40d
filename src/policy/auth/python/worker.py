# Runs a module written for mosquitto_pyauth: the gateway starts this in a process of its own and asks it over a socket.
# What comes in: four bytes length of a JSON object, four bytes length of a payload, both of them. What goes out: four bytes
# length and a JSON object.
import os
import sys


def worker(wire):
    import importlib
    import inspect
    import json
    import struct
    import threading
    import traceback
    import types

    process = os.getpid()
    sending = threading.Lock()

    def send(message):
        # A character of a client's name takes four bytes at most, so that no exception is longer than what is read of it;
        # half of one, which JSON has no word for, becomes "?".
        body = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
        # A child that the module made, and that came here, speaks for nobody.
        if os.getpid() != process:
            os._exit(0)
        with sending:
            view = memoryview(struct.pack(">I", len(body)) + body)
            while view:
                view = view[os.write(wire, view):]

    def receive(size):
        parts = []
        while size > 0:
            part = os.read(wire, min(size, 1 << 20))
            if not part:
                os._exit(0)
            parts.append(part)
            size -= len(part)
        if os.getpid() != process:
            os._exit(0)
        return b"".join(parts)

    def request():
        head, payload = struct.unpack(">II", receive(8))
        return json.loads(receive(head)), receive(payload)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: os.close(wire))

    def topic_matches_sub(sub, topic):
        """Whether a topic matches a filter, as libmosquitto has it; a bad filter or topic matches nothing."""
        if not sub or not topic or "+" in topic or "#" in topic:
            return False
        if (sub[0] == "$") != (topic[0] == "$"):
            return False
        wanted, given = sub.split("/"), topic.split("/")
        for place, level in enumerate(wanted):
            if "#" in level:
                return level == "#" and place == len(wanted) - 1
            if "+" in level and level != "+":
                return False
            if place >= len(given) or level not in ("+", given[place]):
                return False
            # `a/#` is about `a` too.
            if place == len(given) - 1 and wanted[place + 1:] == ["#"]:
                return True
        return len(wanted) == len(given)

    def log(level, *words):
        send({"log": str(" ".join(str(word) for word in words))[:4096], "level": max(0, min(int(level), 255))})

    auth = types.ModuleType("mosquitto_auth", "What mosquitto_pyauth gives its modules.")
    vars(auth).update(
        MOSQ_ACL_NONE=0, MOSQ_ACL_READ=1, MOSQ_ACL_WRITE=2, MOSQ_ACL_SUBSCRIBE=4,
        LOG_INFO=1, LOG_NOTICE=2, LOG_WARNING=4, LOG_ERR=8, LOG_DEBUG=16, LOG_SUBSCRIBE=32, LOG_UNSUBSCRIBE=64,
        log=log, topic_matches_sub=topic_matches_sub,
    )
    sys.modules["mosquitto_auth"] = auth

    setup, _ = request()
    # In front of what Python brings along would be the gateway's own folder; it has none here.
    sys.path[:0] = setup["path"]
    sys.argv = ["latchgate-python"]
    opts = tuple((key, value) for key, value in setup["opts"])

    def in_words(error):
        words = traceback.format_exception_only(type(error), error)
        return words[-1].strip()[:500]

    def failed(what, error):
        send({"failed": "%s: %s" % (what, in_words(error)), "traceback": traceback.format_exc()[-8000:]})
        os._exit(1)

    name = setup["module"]
    try:
        module = importlib.import_module(name)
    except SyntaxError as error:
        failed("the module %s is no Python %d.%d (is it for Python 2?)" % ((name,) + sys.version_info[:2]), error)
    except BaseException as error:
        failed("the module %s cannot be imported" % name, error)

    def function(name):
        found = getattr(module, name, None)
        return found if callable(found) else None

    def takes_payload(check):
        """Whether `acl_check` is of the generation that gets the payload."""
        try:
            inspect.signature(check).bind(None, None, None, None, None)
            return True
        except (TypeError, ValueError):
            return False

    acl_check = function("acl_check")
    minds_payload = acl_check is not None and takes_payload(acl_check)
    subscribes = {"auto": minds_payload, "subscribe": True, "read": False}[setup["subscribe"]]

    def call(name, *arguments):
        found = function(name)
        return None if found is None else found(*arguments)

    try:
        call("plugin_init", opts)
        call("security_init", opts, False)
    except BaseException as error:
        failed("the module's start failed", error)
    send({
        "ready": sys.version.split()[0], "login": function("unpwd_check") is not None, "acl": acl_check is not None,
        "minds_payload": minds_payload,
    })

    def may(client, user, topic, access, payload):
        if access == 4 and not subscribes:
            access = 1
        arguments = (client, user, topic, access)
        # Looked up each time: a module may put another in its place.
        check = function("acl_check")
        return check(*arguments, payload or None) if minds_payload else check(*arguments)

    def obey(asked, payload):
        what, arguments = asked["call"], asked["args"]
        if what == "unpwd_check":
            return function("unpwd_check")(*arguments)
        if what == "acl_check":
            return may(*arguments, payload)
        if what == "reload":
            call("security_cleanup", True)
            call("security_init", opts, True)
        if what == "stop":
            call("security_cleanup", False)
            call("plugin_cleanup")
        return True

    while True:
        asked, payload = request()
        try:
            answer = {"answer": bool(obey(asked, payload))}
        except BaseException as error:
            answer = {"raised": in_words(error), "traceback": traceback.format_exc()[-8000:]}
        answer["number"] = asked["number"]
        try:
            sys.stdout.flush()
        except BaseException:
            pass  # The module has closed it, or put something else in its place.
        send(answer)


def private_end():
    """The socket to the gateway, out of the reach of the module's standard input; everything else is closed."""
    wire = os.dup(0)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    limit = os.sysconf("SC_OPEN_MAX")
    os.closerange(3, wire)
    os.closerange(wire + 1, limit if limit > 0 else 65536)
    return wire


worker(private_end())
