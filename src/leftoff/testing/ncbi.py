"""Run a replica of NCBI's E-utilities for PubMed on 127.0.0.1: `python -m leftoff.testing.ncbi --data DIR`.

It serves real records, keeps the service's limits, bans who breaks them, and breaks its own answers on request;
docs/replica.md describes all of it.
"""

from __future__ import annotations

import argparse
import datetime
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
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO, cast
from xml.etree import ElementTree

from leftoff.testing.ncbi_faults import Faults, listing
from leftoff.testing.ncbi_limits import Limits
from leftoff.testing.ncbi_records import Library
from leftoff.testing.ncbi_replies import Reply, page
from leftoff.testing.ncbi_service import TOOLS, Request, Service


class Replica(http.server.ThreadingHTTPServer):
    """Serve `service` on 127.0.0.1:`port` (0: any), one thread a connection."""

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


class Handler(http.server.BaseHTTPRequestHandler):
    """Read requests from one connection and send what the service replies, whole or broken."""

    protocol_version = "HTTP/1.1"
    server_version = "leftoff-ncbi-replica"
    wbufsize = -1
    disable_nagle_algorithm = True
    arrived = 0.0

    @property
    def replica(self) -> Replica:
        """Return the server this connection belongs to."""
        return cast(Replica, self.server)

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
        if url.path not in TOOLS:
            self._send(self._administer(url.path, dict(pairs)))
            return
        ids = [part.strip() for name, value in pairs if name == "id" for part in value.split(",") if part.strip()]
        params = {name: value for name, value in pairs if name != "id"}
        client, port = self.client_address[:2]
        reply = self.replica.service.answer(Request(self.arrived, self.command, url.path, params, ids, client, port))
        self.replica.stopping.wait(self.replica.latency)
        self._send(reply)

    def _administer(self, path: str, params: dict[str, str]) -> Reply:
        service = self.replica.service
        try:
            if path == "/replica/today" and "date" in params:
                service.advance(datetime.date.fromisoformat(params["date"]))
            elif path == "/replica/fault":
                service.switch(*Faults.parse(f"{params['name']}:{params.get('rate', '')}"))
            elif path == "/replica/delete":
                service.library.hidden.update(int(pmid) for pmid in params["id"].split(","))
            elif path not in ("/replica/about", "/replica/today"):
                return page(
                    404,
                    "404 Not Found",
                    f"This replica serves {', '.join(TOOLS)} and /replica/about, today, fault, delete.",
                )
        except (KeyError, ValueError) as error:
            return Reply(400, json.dumps({"error": str(error)}).encode() + b"\n", "application/json")
        return Reply(200, json.dumps(service.about()).encode() + b"\n", "application/json")

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


def _day(text: str) -> int:
    return datetime.date.fromisoformat(text).toordinal()


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m leftoff.testing.ncbi", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="directory of PubmedArticleSet files, *.xml and *.xml.gz")
    add("--port", type=int, default=0, help="0 (default): any free one")
    add("--access-log", type=Path, metavar="FILE.jsonl", help="append one JSON object a request")
    add("--fault", nargs="+", action="extend", default=[], metavar="NAME[:RATE]", help="'help' lists them")
    add("--clones", type=int, default=0, metavar="N", help="clone real records under new PMIDs up to N records in all")
    add("--clones-on", type=_day, metavar="YYYY-MM-DD", help="put every clone on this day (default: the original's)")
    add("--seed", type=int, default=0, help="of faults and of the order within a day")
    add("--today", type=_day, metavar="YYYY-MM-DD", help="the replica's calendar day (default: the real one)")
    add("--limit", type=int, default=3, help="requests a second without a key (default 3; 0: no limit)")
    add("--keyed-limit", type=int, default=10, help="requests a second with an api_key (default 10; 0: no limit)")
    add("--tolerance", type=float, default=0.03, help="seconds by which the sliding second is shortened (default 0.03)")
    add("--ban-after", type=int, default=10, metavar="N", help="ban at the Nth violation (default 10; 0: never)")
    add(
        "--webenv-life", type=float, default=8 * 3600.0, metavar="SECONDS", help="life of a stored search (default 8 h)"
    )
    add("--drip", type=float, default=1.0, metavar="SECONDS", help="pause between 8 bytes under fault drip (default 1)")
    add("--stall", type=float, default=600.0, metavar="SECONDS", help="silence under fault stall (default 600)")
    add("--latency", type=float, default=0.0, metavar="SECONDS", help="wait before each answer (default 0)")
    return parser


def build(options: argparse.Namespace) -> Replica:
    """Return the replica that `options` describe, bound to its port. Raises what reading the data and binding raise."""
    library = Library(options.data, clones=options.clones, clones_on=options.clones_on, today=options.today)
    limits = Limits(
        options.limit, 0 if options.limit == 0 else options.keyed_limit, options.tolerance, options.ban_after
    )
    faults = Faults(dict(Faults.parse(text) for text in options.fault), options.seed)
    log: TextIO | None = options.access_log.open("a", encoding="utf-8", buffering=1) if options.access_log else None
    service = Service(library, limits, faults, webenv_life=options.webenv_life, log=log)
    return Replica(service, options.port, drip=options.drip, stall=options.stall, latency=options.latency)


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def _summary(replica: Replica) -> str:
    library = replica.service.library
    clones = (
        f"{library.clones} CLONES of them (PMIDs {library.clone_pmids()}; not real records)"
        if library.clones
        else "no clones"
    )
    faults = ", ".join(f"{name}:{rate:g}" for name, rate in replica.service.faults.rates.items()) or "none"
    return f"replica of PubMed: {len(library.records)} real records, {clones}; {library.today_text()}; faults: {faults}"


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C. The first line on stdout names the address."""
    parser = arguments()
    options = parser.parse_args(argv)
    if "help" in options.fault:
        print(listing())
        return 0
    if options.data is None:
        parser.error("--data DIR is required: a directory of PubmedArticleSet files")
    try:
        replica = build(options)
    except (ValueError, OSError, ElementTree.ParseError) as error:
        parser.error(str(error))
    signal.signal(signal.SIGTERM, _stop)  # first: whoever reads the address may end it at once
    try:
        print(f"listening on http://127.0.0.1:{replica.server_port}", flush=True)
        print(_summary(replica), file=sys.stderr)
        replica.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        replica.stopping.set()
    replica.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
