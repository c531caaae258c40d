"""Writes down what it is asked for and what it can see."""
import json
import os
import resource

notes = None


def note(*words):
    with open(notes, "a") as out:
        out.write(" ".join(str(word) for word in words) + "\n")


def plugin_init(opts):
    global notes
    notes = dict(opts)["notes"]
    note("plugin_init", len(opts))
    if dict(opts).get("quit"):
        raise SystemExit(dict(opts)["quit"])


def plugin_cleanup():
    note("plugin_cleanup")


def security_init(opts, reload):
    note("security_init", reload)


def security_cleanup(reload):
    note("security_cleanup", reload)


def unpwd_check(username, password):
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    seen = {
        "environment": dict(os.environ),
        "files": sorted(int(name) for name in os.listdir("/proc/self/fd")),
        "user": [os.getuid(), os.geteuid()],
        "groups": os.getgroups(),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "memory": resource.getrlimit(resource.RLIMIT_AS),
        "no_new_privs": status["NoNewPrivs"].strip(),
        "command": open("/proc/self/cmdline").read(),
        "process": os.getpid(),
    }
    note(json.dumps(seen))
    return True
