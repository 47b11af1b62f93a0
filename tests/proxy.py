"""A bad network: an HTTP proxy in front of one server that breaks the answers it is told to break."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import requests

HOP_BY_HOP = {"connection", "transfer-encoding", "content-encoding", "content-length", "keep-alive", "date", "server"}


@dataclass
class Call:
    """One request that came through, and what can be done to it."""

    handler: BaseHTTPRequestHandler
    server: str
    body: bytes
    patience: threading.Event

    session: requests.Session

    def forward(self) -> requests.Response:
        """Let the server do what was asked."""
        headers = {name: value for name, value in self.handler.headers.items() if name.lower() not in {*HOP_BY_HOP, "host"}}
        return self.session.request(
            self.handler.command, self.server + self.handler.path, data=self.body, headers=headers, timeout=60, allow_redirects=False
        )

    def answer(self, status: int, content: bytes, headers: Mapping[str, str] = {}, length: int | None = None) -> None:
        """Send an answer; `length` is what it pretends to be long."""
        self.handler.send_response(status)
        for name, value in headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.handler.send_header(name, value)
        self.handler.send_header("Content-Length", str(len(content) if length is None else length))
        self.handler.end_headers()
        self.handler.wfile.write(content)
        self.handler.wfile.flush()

    def reset(self) -> None:
        """Drop the connection as a machine that has gone does."""
        connection = self.handler.connection
        self.handler.wfile.flush()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.handler.close_connection = True
        connection.close()


Fault = Callable[[Call], None]


def lost_request(call: Call) -> None:
    """The server never hears of it."""
    call.answer(502, b"<html>Bad Gateway</html>")


def lost_answer(call: Call) -> None:
    """The server does it, and the gateway says that it did not."""
    call.forward()
    call.answer(502, b"<html>Bad Gateway</html>")


def reset(call: Call) -> None:
    """The server does it, and the connection breaks."""
    call.forward()
    call.reset()


def silence(call: Call) -> None:
    """The server does it, and nobody answers until the client has gone."""
    call.forward()
    call.patience.wait(10)
    call.reset()


def truncated(call: Call) -> None:
    """The server does it, and half of the answer comes."""
    found = call.forward()
    call.answer(found.status_code, found.content[: len(found.content) // 2], found.headers, len(found.content) or 1)
    call.reset()


def garbled(call: Call) -> None:
    """The server does it, and what comes is half of the answer, as if it were the whole."""
    found = call.forward()
    call.answer(found.status_code, found.content[: len(found.content) // 2], found.headers)


def empty(call: Call) -> None:
    """Somebody answers for the server, without a word."""
    call.answer(200, b"")


_RANDOM = re.compile(r"(?P<run>/[0-9]+/[0-9a-f]{32}/)|(?P<entry>(?<=/comments/)[0-9]+|(?<=/check-runs/)[0-9]+)")
_CALLED = {"run": "/RUN/", "entry": "ENTRY"}

Place = tuple[str, int]
"""A call by what it asks for, without what is random in it, and how many calls for the same came before it."""


@dataclass
class Proxy:
    """What came through, in order. `faults` says what to do with which call."""

    server: str
    faults: Mapping[Place, Fault] = field(default_factory=dict)
    url: str = ""
    calls: list[Place] = field(default_factory=list)
    patience: threading.Event = field(default_factory=threading.Event)

    def begin(self, faults: Mapping[Place, Fault]) -> None:
        """Forget what came through."""
        self.calls, self.faults = [], faults

    def take(self, method: str, path: str) -> Fault | None:
        """Note a call, and say what to do with it."""
        asked = f"{method} {_RANDOM.sub(lambda found: _CALLED[found.lastgroup or ''], path.partition('?')[0])}"
        place = (asked, sum(asked == known for known, _ in self.calls))
        self.calls.append(place)
        return self.faults.get(place)


@contextmanager
def proxy(server: str, faults: Mapping[Place, Fault] | None = None) -> Iterator[Proxy]:
    """A proxy in front of the server at that URL, until the block ends."""
    lock = threading.Lock()
    found = Proxy(server, faults or {})
    session = requests.Session()
    session.trust_env = False

    class Handler(BaseHTTPRequestHandler):
        timeout: ClassVar[float] = 60
        protocol_version = "HTTP/1.1"  # The client keeps its connection.
        wbufsize = -1  # Headers and content leave together: apart, each waits for the other's receipt.
        disable_nagle_algorithm = True

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with lock:
                fault = found.take(self.command, self.path)
            call = Call(self, server, body, found.patience, session)
            if fault:
                fault(call)
            else:
                answer = call.forward()
                call.answer(answer.status_code, answer.content, answer.headers)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer  # noqa: N815 - the names that the base class calls

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that is killed, or gives up, is what is wanted here."""

    listener = Server(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.patience.set()
        listener.shutdown()
        listener.server_close()
        thread.join()
