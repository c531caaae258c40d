"""A web service that answers a broker's questions, as a script tells it to.

With "rights" in the script it knows whom that names, by topic filters with a mask of accesses. Else it knows ann and root (password `password`), what is theirs below http/NAME, and that root is a superuser. POST /script
changes how it behaves; GET /asked tells what it was asked, and forgets it. Fields come as a form, as JSON or in the
address. Arguments: its port, and certificate and key for TLS. The
first line of its output is the port.
"""

import json
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

USERS = {"ann": "password", "root": "password", "bob": "password"}
asked = []
# mode: answer | error | hang | slow | garbage | close; answer: status | json | text
# no: the status of a no
script = {"mode": "answer", "answer": "status", "deny": [], "header": None, "rights": None, "no": 403}
lock = threading.Lock()


def covers(wide, narrow):
    """Whether everything that the filter `narrow` matches is matched by `wide`."""
    wide, narrow = wide.split("/"), narrow.split("/")
    for place, level in enumerate(wide):
        if level == "#":
            return True
        if place >= len(narrow) or narrow[place] == "#" or level not in ("+", narrow[place]):
            return False
    return len(wide) == len(narrow)


def decide(path, fields):
    user, topic = fields.get("username", ""), fields.get("topic", "")
    with lock:
        rights = script["rights"]
    if rights is not None:
        if path == "/auth":
            return user in rights and fields.get("password") == "password"
        if path == "/superuser":
            return user == "root"
        acc = int(fields["acc"])
        return any(mask & acc and covers(filter, topic) for filter, mask in rights.get(user, []))
    if path == "/auth":
        return USERS.get(user) == fields.get("password")
    if path == "/superuser":
        return user == "root"
    with lock:
        if topic in script["deny"]:
            return False
    mine = f"http/{user}/"
    return user in USERS and topic.startswith(mine) and str(fields.get("acc")) in ("1", "2", "4")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self):
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if url.path == "/script":
            with lock:
                script.update(json.loads(body))
            return self.reply(204)
        if url.path == "/asked":
            with lock:
                told = json.dumps(asked).encode()
                asked.clear()
            return self.reply(200, told)
        if self.headers.get("Content-Type") == "application/json":
            fields = json.loads(body)
        else:
            fields = dict(parse_qsl(body.decode() or url.query, keep_blank_values=True))
        with lock:
            asked.append({"method": self.command, "path": url.path, "fields": fields,
                          "headers": {name.lower(): value for name, value in self.headers.items()}})
            mode, form, no = script["mode"], script["answer"], script["no"]
        if mode == "hang":
            time.sleep(30)
            return None
        if mode == "slow":
            time.sleep(0.3)
        if mode == "error":
            return self.reply(503, b"out of order")
        if mode == "close":
            self.close_connection = True
            return None
        if mode == "garbage":
            self.close_connection = True
            self.wfile.write(b"\x00\xff nonsense\r\n\r\n")
            return None
        yes = decide(url.path, fields)
        if form == "json":
            return self.reply(200, json.dumps({"ok": yes, "error": "" if yes else "no"}).encode())
        if form == "text":
            return self.reply(200, b"ok" if yes else b"no")
        return self.reply(200 if yes else no)

    do_GET = do_POST = do_PUT = answer


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
