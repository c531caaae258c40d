"""Does whatever goes wrong with modules; the topic says what."""
import os
import signal
import sys
import time

import mosquitto_auth

calls = 0


def unpwd_check(username, password):
    if password == "raise":
        raise RuntimeError("the database is away")
    if password == "who":
        raise LookupError("there is no " + username)
    return password == "password"


def acl_check(*arguments):
    global calls
    topic = arguments[2]
    calls += 1
    what = topic.partition("/")[0]
    if what == "raise":
        raise ValueError("so it is")
    if what == "half":
        raise ValueError("half a character: \ud83d")
    if what == "words":
        mosquitto_auth.log(2 ** 70, "half a character: \ud83d", "\U0001f600" * 5000)
    if what == "mute":
        sys.stdout.close()
    if what == "exit":
        sys.exit(3)
    if what == "die":
        os._exit(4)
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(1)
    if what == "fork":
        # The child comes back as well, and would answer.
        return os.fork() == 0 or True
    if what == "linger":
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(5)
    if what == "garbage":
        for number in range(3, 64):
            try:
                os.write(number, b"\xff\x00garbage" * 100)
            except OSError:
                pass
    if what == "print":
        print("printed by the module\x1b[2J")
        sys.stderr.write("\0\1\2 and an error\n")
        os.write(1, b"\xff" * 100000 + b"\n")
    if what == "spam":
        for _ in range(5000):
            print("spam")
    if what == "stdin":
        return sys.stdin.read() == ""
    return what not in ("no",)
