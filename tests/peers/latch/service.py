#!/usr/bin/env python3
"""A stand-in for the Latch service, over TLS, for tests. Python's standard library only; it shares nothing with the
gateway and checks signature and date of every request by itself.

usage: service.py CERTIFICATE KEY [PORT]

It prints one line, "PORT CONTROL": the port of the service, and that of a plain HTTP port by which a test works it:

  POST /behave   {"mode": …, "seconds": …, "nested": …, "pause": …}   see MODES below; nested: an application's status tells the
                 operations' too
  POST /set      {"account": A, "what": "app" | operation | instance, "status": "on" | "off"}
  POST /unpair   {"account": A}              as the phone does it
  POST /skew     {"seconds": N}              how far its clock is ahead
  GET  /state    accounts, operations, instances
  GET  /requests every request since the last call, as "METHOD path code"; "rang" in each that would ring a phone
  GET  /gauges   connections so far, and the most requests that were under way at once, in all and for one account
  POST /load     what /state answered once       (to go on after a restart)
"""

import base64
import calendar
import hashlib
import hmac
import json
import ssl
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

APPLICATION = "APPIDAPPIDAPPIDAPPID"
SECRET = b"0123456789abcdef0123456789abcdef01234567"
MOST_SKEW = 300
MODES = ("right", "silent", "slow", "garbage", "giant", "endless", "redirect", "error500", "empty", "reset", "code")

lock = threading.Lock()
state = {
    "operations": {},  # id -> name
    "accounts": {},  # id -> {"paired": bool, "app": status, "ops": {id: status}, "instances": {id: {name, status}}}
    "tokens": {"pair01": "a" * 64, "pair02": "b" * 64, "pair03": "c" * 64},
}
behaviour = {"mode": "right", "seconds": 0, "code": 0}
clock = {"skew": 0}
requests = []
counter = {"id": 0}
gauges = {"connections": 0, "at_once": 0, "of_one_account": 0}
flying = []
release = threading.Event()


def fresh(prefix):
    counter["id"] += 1
    return (prefix + "%06d" % counter["id"] + "X" * 20)[:20]


class Refused(Exception):
    def __init__(self, code, message, data=None):
        super().__init__(message)
        self.answer = {"error": {"code": code, "message": message}}
        self.code = code
        if data:
            self.answer["data"] = data


def check_signature(method, target, headers, body):
    """Raises what the real service would say to a request that is not signed rightly."""
    authorization = headers.get("Authorization")
    if authorization is None:
        raise Refused(103, "Authorization header missing")
    words = authorization.split(" ")
    if len(words) != 3 or words[0] != "11PATHS":
        raise Refused(101, "Invalid Authorization header format")
    date = headers.get("X-11Paths-Date")
    if date is None:
        raise Refused(104, "Date header missing")
    try:
        told = calendar.timegm(time.strptime(date, "%Y-%m-%d %H:%M:%S"))
    except ValueError:
        raise Refused(108, "Bad date format")
    if abs(told - (time.time() + clock["skew"])) > MOST_SKEW:
        raise Refused(109, "Request expired")
    others = sorted(
        (name.lower(), value.replace("\n", " "))
        for name, value in headers.items()
        if name.lower().startswith("x-11paths-") and name.lower() != "x-11paths-date"
    )
    lines = [method.upper(), date, " ".join("%s:%s" % pair for pair in others), target]
    if body:
        if headers.get("Content-Type", "").split(";")[0] != "application/x-www-form-urlencoded":
            raise Refused(401, "Missing parameter in API call")
        pairs = [part.split("=", 1) for part in body.decode("ascii").split("&")]
        lines.append("&".join("%s=%s" % (k, v) for k, v in sorted(pairs)))
    expected = base64.b64encode(hmac.new(SECRET, "\n".join(lines).encode("utf-8"), hashlib.sha1).digest()).decode()
    if words[1] != APPLICATION or not hmac.compare_digest(words[2], expected):
        raise Refused(102, "Invalid application signature")


def account_of(identifier):
    account = state["accounts"].get(identifier)
    if account is None or not account["paired"]:
        raise Refused(201, "Account not paired")
    return account


def serve(method, segments, form):
    """What the service does; the data of its answer."""
    kind, rest = segments[0], segments[1:]
    if kind == "pair" and method == "GET" and len(rest) == 1:
        identifier = state["tokens"].pop(rest[0], None)
        if identifier is None:
            raise Refused(206, "Token not found or expired")
        known = state["accounts"].get(identifier)
        if known and known["paired"]:
            raise Refused(205, "Account and application already paired", {"accountId": identifier})
        operations = {operation: "on" for operation in state["operations"]}
        state["accounts"][identifier] = {"paired": True, "app": "on", "ops": operations, "instances": {}}
        return {"accountId": identifier}
    if kind == "unpair" and method == "GET" and len(rest) == 1:
        account_of(rest[0])["paired"] = False
        return {}
    if kind in ("status", "lock", "unlock") and rest:
        identifier, rest = rest[0], rest[1:]
        account = account_of(identifier)
        operation = instance = None
        if rest[:1] == ["op"]:
            operation, rest = rest[1], rest[2:]
        if rest[:1] == ["i"]:
            instance, rest = rest[1], rest[2:]
        if kind == "status" and method == "GET" and rest in ([], ["nootp"], ["silent"], ["nootp", "silent"]):
            if operation is not None and operation not in state["operations"]:
                raise Refused(301, "Application or Operation not found")
            if instance is not None:
                if instance not in account["instances"]:
                    raise Refused(301, "Application or Operation not found")
                return {"operations": {instance: {"status": account["instances"][instance]["status"]}}}
            if operation is not None:
                return {"operations": {operation: {"status": account["ops"].get(operation, "on")}}}
            answer = {"status": account["app"]}
            if behaviour.get("nested"):
                answer["operations"] = {o: {"status": account["ops"].get(o, "on")} for o in state["operations"]}
            return {"operations": {APPLICATION: answer}}
        if kind != "status" and method == "POST" and not rest:
            status = "off" if kind == "lock" else "on"
            switch(account, instance or operation or "app", status)
            return {}
    if kind == "operation":
        if method == "GET" and not rest:
            return {"operations": {o: {"name": n} for o, n in state["operations"].items()}}
        if method == "PUT" and not rest:
            if form.get("parentId") != APPLICATION or not form.get("name"):
                raise Refused(401, "Missing parameter in API call")
            for key in ("two_factor", "lock_on_request"):
                if form.get(key) not in ("DISABLED", "OPT_IN", "MANDATORY"):
                    raise Refused(402, "Invalid parameter value")
            operation = fresh("OP")
            state["operations"][operation] = form["name"]
            return {"operationId": operation}
        if method == "DELETE" and len(rest) == 1:
            if state["operations"].pop(rest[0], None) is None:
                raise Refused(301, "Application or Operation not found")
            return {}
    if kind == "instance" and rest:
        account, rest = account_of(rest[0]), rest[1:]
        if method == "GET" and not rest:
            return {i: {"name": one["name"], "two_factor": "DISABLED"} for i, one in account["instances"].items()}
        if method == "PUT" and not rest:
            if not form.get("instances"):
                raise Refused(401, "Missing parameter in API call")
            instance = fresh("IN")
            account["instances"][instance] = {"name": form["instances"], "status": "on"}
            return {"instances": {instance: form["instances"]}}
        if method == "DELETE" and len(rest) == 2 and rest[0] == "i":
            if account["instances"].pop(rest[1], None) is None:
                raise Refused(301, "Application or Operation not found")
            return {}
    if kind == "history" and method == "GET" and len(rest) in (1, 3):
        account = account_of(rest[0])
        return {APPLICATION: {"status": account["app"]}, "count": 0, "history": []}
    raise Refused(402, "Invalid parameter value")


def switch(account, what, status):
    if what == "app":
        account["app"] = status
    elif what in account["instances"]:
        account["instances"][what]["status"] = status
    else:
        account["ops"][what] = status


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Latch"

    def log_message(self, *arguments):
        pass

    def answer(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json;charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        mode = behaviour["mode"]
        code = mode
        # /api/VERSION/status/ACCOUNT/…
        account = (self.path.split("/") + [""] * 5)[4]
        with lock:
            flying.append(account)
            gauges["at_once"] = max(gauges["at_once"], len(flying))
            gauges["of_one_account"] = max(gauges["of_one_account"], flying.count(account))
        try:
            if mode == "silent":
                self.close_connection = True
                self.note(mode)
                release.wait(60)
                return
            if mode == "reset":
                self.close_connection = True
                return
            if mode == "slow":
                release.wait(behaviour["seconds"])
            if behaviour.get("pause"):
                time.sleep(behaviour["pause"])
            if mode == "garbage":
                self.plain(b"<html>Welcome to the hotel</html>")
            elif mode == "empty":
                self.plain(b"")
            elif mode == "giant":
                self.plain(b'{"data":{"operations":{"x":"' + b"y" * (8 << 20) + b'"}}}')
            elif mode == "endless":
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                while behaviour["mode"] == "endless":
                    self.wfile.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
            elif mode == "redirect":
                self.send_response(302)
                self.send_header("Location", "https://%s/api/elsewhere" % self.headers.get("Host"))
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif mode == "error500":
                self.answer({}, 500)
            else:
                with lock:
                    code = self.right(body)
        finally:
            with lock:
                flying.remove(account)
            if mode != "silent":
                self.note(code)

    def note(self, code):
        rang = "" if "/status/" not in self.path or self.path.endswith("/nootp/silent") else " rang"
        with lock:
            requests.append("%s %s %s%s" % (self.command, self.path, code, rang))

    def right(self, body):
        try:
            if behaviour["mode"] == "code":
                raise Refused(behaviour["code"], "as the test wants it")
            check_signature(self.command, self.path, self.headers, body)
            parts = urllib.parse.unquote(self.path).split("/")
            if parts[:2] != ["", "api"] or len(parts) < 4:
                raise Refused(402, "Invalid parameter value")
            form = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body)))
            data = serve(self.command, parts[3:], form)
            self.answer({"data": data} if data else {})
            return "ok"
        except Refused as refused:
            self.answer(refused.answer)
            return str(refused.code)

    def plain(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any


class Control(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def reply(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        # Closed with something unread, the connection would be reset.
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with lock:
            if self.path == "/state":
                self.reply(dict(state, counter=counter["id"]))
            elif self.path == "/gauges":
                self.reply(gauges)
            elif self.path == "/requests":
                seen, requests[:] = list(requests), []
                self.reply(seen)

    def do_POST(self):
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with lock:
            if self.path == "/behave":
                if wanted.setdefault("mode", "right") not in MODES:
                    raise ValueError(wanted["mode"])
                behaviour.update(wanted)
                # Whoever waits is let go, and gets nothing or the old answer.
                release.set()
                release.clear()
            elif self.path == "/set":
                switch(state["accounts"][wanted["account"]], wanted["what"], wanted["status"])
            elif self.path == "/unpair":
                state["accounts"][wanted["account"]]["paired"] = False
            elif self.path == "/skew":
                clock["skew"] = wanted["seconds"]
            elif self.path == "/load":
                counter["id"] = wanted.pop("counter")
                state.update(wanted)
        self.reply({})


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address, handler, context=None):
        super().__init__(address, handler)
        self.context = context

    def finish_request(self, request, client_address):
        # The handshake belongs to the connection's own thread: a client that stalls must hold up nobody.
        if self.context:
            with lock:
                gauges["connections"] += 1
            request.settimeout(60)
            request = self.context.wrap_socket(request, server_side=True)
        try:
            self.RequestHandlerClass(request, client_address, self)
        finally:
            request.close()

    def handle_error(self, request, client_address):
        pass


def main():
    certificate, key = sys.argv[1:3]
    port = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    service = Server(("127.0.0.1", port), Service, context)
    control = Server(("127.0.0.1", 0), Control)
    threading.Thread(target=control.serve_forever, daemon=True).start()
    print(service.server_address[1], control.server_address[1], flush=True)
    service.serve_forever()


main()
