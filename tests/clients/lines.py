"""The lines by which `foreign.rs` and a client written in Python talk: a verb, then `key=value` words."""

import sys


def parse(line):
    """The verb of a command and its fields."""
    verb, *words = line.split()
    return verb, dict(word.split("=", 1) for word in words)


def answer(verb, **fields):
    """Answers a command. Fields that are None are left out."""
    words = [f"{key}={value}" for key, value in fields.items() if value is not None]
    print(verb, *words, flush=True)
