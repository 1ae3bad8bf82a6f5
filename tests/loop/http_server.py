"""The other end of the HTTP tests: does what the path says, and prints its port first. Ends when its
standard input does, so that it never outlives the test."""
import http.server
import json
import os
import sys
import threading
import time
import urllib.parse

seen = []
connections = 0
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        global connections
        with lock:
            connections += 1
            self.connection_number = connections

    def respond(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        request = {"method": self.command, "path": self.path, "body": body.decode(errors="replace"),
                   "headers": {k.lower(): v for k, v in self.headers.items()},
                   "connection": self.connection_number}
        with lock:
            seen.append(request)
        words = [urllib.parse.unquote(word) for word in url.path.split("/")[1:]]
        query = dict(urllib.parse.parse_qsl(url.query))
        getattr(self, "do_" + words[0], self.missing)(request, words[1:], query)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = respond

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self, request, words, query):
        self.answer(404, f"no {request['path']} here".encode())

    def do_echo(self, request, words, query):
        self.answer(200, json.dumps(request).encode())

    def do_seen(self, request, words, query):
        with lock:
            self.answer(200, json.dumps(seen).encode())

    def do_status(self, request, words, query):
        headers = {"Retry_After": query["retry_after"]} if "retry_after" in query else {}
        self.answer(int(words[0]), query.get("body", "").encode(), **headers)

    def do_redirect(self, request, words, query):
        self.answer(302, Location="/echo")

    def do_after(self, request, words, query):
        """Well, after it has failed so many times."""
        with lock:
            count = sum(one["path"] == request["path"] for one in seen)
        self.answer(200 if count > int(words[0]) else 500)

    def do_big(self, request, words, query):
        self.answer(200, b"x" * int(words[0]))

    def do_hang(self, request, words, query):
        threading.Event().wait()

    def do_endless(self, request, words, query):
        self.raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            self.raw(b"x" * 65536)

    def do_drip(self, request, words, query):
        self.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            self.raw(b"x")
            time.sleep(0.02)

    def do_slow(self, request, words, query):
        """A whole answer, a few bytes at a time."""
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nslow!":
            self.raw(bytes([byte]))
            time.sleep(0.001)

    def do_cut(self, request, words, query):
        self.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it")
        self.close_connection = True

    def do_nothing(self, request, words, query):
        self.close_connection = True

    def do_leave(self, request, words, query):
        """Promises to keep the connection, and closes it."""
        self.answer(200, b"bye")
        self.close_connection = True

    def do_ancient(self, request, words, query):
        self.raw(b"no status line, as HTTP/0.9 had it\n")
        self.close_connection = True

    def do_headers(self, request, words, query):
        self.raw(b"HTTP/1.1 200 OK\r\n")
        while True:
            self.raw(b"X-Header: " + b"x" * 1000 + b"\r\n")

    def raw(self, data):
        self.wfile.write(data)
        self.wfile.flush()

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        """A client that has had enough is what many tests are about."""


server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
os._exit(0)
