"""A Slack of one's own: a real HTTP server that keeps what is sent to it and answers as it is told."""
import collections
import http.server
import json
import socket
import threading
import time
from typing import NamedTuple


class Received(NamedTuple):
    time: float  # of its arrival, as time.time() gives it
    path: str
    json: object  # None if the body is none
    headers: dict
    body: bytes

    @property
    def text(self):
        """All that a person may see of it: the fallback and every text in the blocks."""
        found = []

        def look(value):
            if isinstance(value, dict):
                for key, inner in value.items():
                    if key == "text" and isinstance(inner, str):
                        found.append(inner)
                    look(inner)
            elif isinstance(value, list):
                for inner in value:
                    look(inner)

        look(self.json)
        return "\n".join(found)


class Answer(NamedTuple):
    status: int = 200
    body: str = "ok"
    headers: dict = {}
    hang: bool = False  # says nothing until the server is closed or released
    cut: bool = False  # closes the connection without a word
    delay_s: float = 0


OK = Answer()


def failing(status, body="", **headers):
    """failing(429, Retry_After="1")"""
    return Answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


HANG = Answer(hang=True)
CUT = Answer(cut=True)


class SlackServer:
    """Listens on 127.0.0.1, from the start. Each request takes the next of `answers`, a queue; when
    that is empty, `answer` decides: an Answer, or a function of the request's number (from 0).

    close() is a dead Slack: connections are refused, those that live are closed. The port stays
    this one's until end(), so that reopen() brings it back where the daemon looks for it."""

    def __init__(self, answer=OK):
        self.requests = []
        self.answers = collections.deque()
        self.answer = answer
        self.lock = threading.Lock()
        self.arrived = threading.Condition(self.lock)
        self.server = None
        # Bound and never listening, it keeps the port while the server is closed.
        self.place = socket.socket()
        self.place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.place.bind(("127.0.0.1", 0))
        self.port = self.place.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/services/T000/B000/secret-of-the-webhook"
        self.reopen()

    def reopen(self):
        assert self.server is None
        self.server = _Server(("127.0.0.1", self.port), self)
        # A short poll: close() waits for it.
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self):
        if self.server is None:
            return
        server, self.server = self.server, None
        server.shutdown()
        server.server_close()
        server.released.set()
        server.drop_connections()
        self.thread.join()

    def end(self):
        self.close()
        self.place.close()

    def release(self):
        """Lets go of those that hang: their connections are closed without an answer."""
        released, self.server.released = self.server.released, threading.Event()
        released.set()

    def wait_requests(self, count, patience_s=60):
        """Waits until that many have come; gives them all back."""
        with self.lock:
            if not self.arrived.wait_for(lambda: len(self.requests) >= count, patience_s):
                raise AssertionError(f"waited {patience_s} s for {count} requests to Slack, got "
                                     f"{len(self.requests)}: {[r.text for r in self.requests]}")
            return list(self.requests)

    def texts(self):
        with self.lock:
            return [request.text for request in self.requests]

    def take(self, request):
        """Keeps the request and decides what it is answered."""
        with self.lock:
            number = len(self.requests)
            self.requests.append(request)
            self.arrived.notify_all()
            if self.answers:
                return self.answers.popleft()
            return self.answer(number) if callable(self.answer) else self.answer


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address, slack):
        self.slack = slack
        self.released = threading.Event()
        self.connections = set()
        self.lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request, client_address):
        with self.lock:
            self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        with self.lock:
            self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        """A client that goes away (a daemon killed by a test) is nothing to print."""

    def drop_connections(self):
        with self.lock:
            living = list(self.connections)
        for connection in living:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def respond(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        released = self.server.released
        answer = self.server.slack.take(
            Received(time.time(), self.path, document, dict(self.headers.items()), body))
        if answer.delay_s:
            released.wait(answer.delay_s)
        if answer.hang:
            released.wait()
        if answer.hang or answer.cut or self.server.slack.server is not self.server:
            self.close_connection = True
            return
        data = answer.body.encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = respond

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass
