"""Serve a replica of a web service on 127.0.0.1: read requests, send what the service replies, whole or broken."""

from __future__ import annotations

import dataclasses
import gzip
import http.server
import json
import os
import signal
import socket
import struct
import sys
import threading
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any, Protocol, cast

HTML = "text/html; charset=UTF-8"


@dataclasses.dataclass
class Call:
    """Be one request as it arrived ``at`` (monotonic seconds) from ``client`` (address) and ``port``."""

    at: float
    method: str
    path: str
    pairs: list[tuple[str, str]]
    headers: Mapping[str, str]
    client: str
    port: int = 0


@dataclasses.dataclass
class Reply:
    """Hold one answer; ``served`` are the ids of the records in it, ``send`` is how it goes out (whole, or a fault)."""

    status: int
    body: bytes
    kind: str
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    served: list[str] = dataclasses.field(default_factory=list)
    send: str = "whole"


class Service(Protocol):
    """Be a service that can be served."""

    def serves(self, path: str) -> bool:
        """Return whether a path is one of the service; all others are the replica's own."""

    def answer(self, call: Call) -> Reply:
        """Return the reply to a request, limits and faults included, and log it."""

    def ended(self, call: Call) -> None:
        """Take in that the reply to a request went out, or cannot any more."""

    def administer(self, path: str, params: dict[str, str]) -> object:
        """Do what a path of the replica's own asks for, and return what it is to answer.

        Raises NotImplementedError where there is no such path, KeyError and ValueError for parameters that are wrong.
        """


class Replica(http.server.ThreadingHTTPServer):
    """Serve `service` on 127.0.0.1:`port` (0: any), one thread a connection.

    drip: seconds between the pieces of a reply under the fault of that name; stall: seconds of silence under that one;
    latency: seconds before each reply.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, service: Service, port: int, *, drip: float, stall: float, latency: float) -> None:
        self.service = service
        self.drip = drip
        self.stall = stall
        self.latency = latency
        self.stopping = threading.Event()
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over clients that went away; report anything else as usual."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)

    def run(self, summary: str) -> None:
        """Serve until SIGTERM or Ctrl-C. The first line on stdout names the address, what is served is on stderr."""
        signal.signal(signal.SIGTERM, _stop)  # first: whoever reads the address may end it at once
        try:
            print(f"listening on http://127.0.0.1:{self.server_port}", flush=True)
            print(summary, file=sys.stderr)
            self.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            self.stopping.set()
        self.server_close()


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


class Handler(http.server.BaseHTTPRequestHandler):
    """Read requests from one connection and send what the service replies, whole or broken."""

    protocol_version = "HTTP/1.1"
    server_version = "leftoff-replica"
    wbufsize = -1
    disable_nagle_algorithm = True
    arrived = 0.0

    @property
    def replica(self) -> Replica:
        """Return the server this connection belongs to."""
        return cast("Replica", self.server)

    def parse_request(self) -> bool:
        """Note the arrival before anything else takes time."""
        self.arrived = time.monotonic()
        return super().parse_request()

    def do_GET(self) -> None:
        """Answer a GET."""
        self._answer("")

    def do_POST(self) -> None:
        """Answer a POST whose body is a form."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            self.send_error(411)
            return
        self._answer(self.rfile.read(int(length)).decode("utf-8", "replace"))

    def _answer(self, form: str) -> None:
        url = urllib.parse.urlsplit(self.path)
        pairs = urllib.parse.parse_qsl(url.query, keep_blank_values=True) + urllib.parse.parse_qsl(
            form, keep_blank_values=True
        )
        service = self.replica.service
        if not service.serves(url.path):
            self._send(self._administer(url.path, dict(pairs)))
            return
        client, port = self.client_address[:2]
        call = Call(self.arrived, self.command, url.path, pairs, dict(self.headers.items()), client, port)
        try:
            reply = service.answer(call)
            self.replica.stopping.wait(self.replica.latency)
            self._send(reply)
        finally:
            service.ended(call)

    def _administer(self, path: str, params: dict[str, str]) -> Reply:
        try:
            told = self.replica.service.administer(path, params)
        except NotImplementedError as error:
            return page(404, "404 Not Found", str(error))
        except (KeyError, ValueError) as error:
            return Reply(400, json.dumps({"error": str(error)}).encode() + b"\n", "application/json")
        return Reply(200, json.dumps(told).encode() + b"\n", "application/json")

    def _send(self, reply: Reply) -> None:
        if reply.send == "stall":
            self.replica.stopping.wait(self.replica.stall)
            self.close_connection = True
            return
        body = reply.body
        cut = len(body) if reply.send in ("whole", "drip") else len(body) * 2 // 3
        if reply.send == "truncated":
            body = body[:cut]
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        if len(body) > 200 and "gzip" in self.headers.get("Accept-Encoding", ""):
            self.send_header("Content-Encoding", "gzip")
            body = gzip.compress(body, 1)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.send != "truncated":
            self.send_header("Content-Length", str(len(body)))
        if reply.send != "whole":
            self.send_header("Connection", "close")
        self.end_headers()
        self._write(body, reply.send)

    def _write(self, body: bytes, send: str) -> None:
        if send == "drip":
            for start in range(0, len(body), 8):
                self.wfile.write(body[start : start + 8])
                self.wfile.flush()
                if self.replica.stopping.wait(self.replica.drip):
                    break
            return
        self.wfile.write(body if send in ("whole", "truncated") else body[: len(body) * 2 // 3])
        self.wfile.flush()
        if send == "reset":  # closed with a linger of 0, a socket sends RST; detached, because the streams hold it open
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it so)
        """Write nothing: the access log is the log."""


def page(status: int, title: str, text: str) -> Reply:
    """Return an HTML page."""
    body = f"<body><h1>{title}</h1>\n<p>{text}</p></body>"
    html = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n{body}</html>\n"
    return Reply(status, html.encode(), HTML)
