"""A TCP proxy that cuts a connection at a chosen byte, for what a database or a service does when the network breaks.

with CuttingProxy(("127.0.0.1", 5432)) as proxy:        # connect to proxy.port
proxy.arm("up", 17)                                 # 17 more bytes to the server, then every connection is cut
"""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Literal

Direction = Literal["up", "down"]


class CuttingProxy:
    """Pass bytes on to a server, and cut all connections behind a numbered byte of one direction."""

    def __init__(self, server: tuple[str, int]) -> None:
        """Listen on a free port of 127.0.0.1 for connections to ``server``."""
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.passed = {"up": 0, "down": 0}
        self.cuts = 0
        self._left: dict[str, int | None] = {"up": None, "down": None}
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def arm(self, direction: Direction, left: int) -> None:
        """Let so many more bytes through in one direction (``up``: to the server), then cut; later ones pass again."""
        with self._lock:
            self._left[direction] = left

    def disarm(self) -> None:
        """Cut nothing any more."""
        with self._lock:
            self._left = {"up": None, "down": None}

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._server)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            self._threads.append(threading.Thread(target=self._serve, args=(client, server), daemon=True))
            self._threads[-1].start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        with client, server:
            down = threading.Thread(target=self._pass_on, args=(server, client, "down"), daemon=True)
            down.start()
            self._pass_on(client, server, "up")
            down.join()

    def _pass_on(self, source: socket.socket, target: socket.socket, direction: str) -> None:
        try:
            while data := source.recv(1 << 16):
                with self._lock:
                    left = self._left[direction]
                    cut = left is not None and len(data) >= left
                    data = data[:left] if cut else data
                    self._left[direction] = None if left is None or cut else left - len(data)
                    self.passed[direction] += len(data)
                target.sendall(data)
                if cut:
                    self.cuts += 1
                    self.cut()
                    return
        except OSError:
            pass
        finally:
            _shut(source)
            _shut(target)

    def cut(self) -> None:
        """Cut every connection now."""
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            _shut(connection)

    def close(self) -> None:
        """Cut everything and listen no more."""
        _shut(self._listener)
        self._threads[0].join()
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> CuttingProxy:  # noqa: PYI034  # typing has no Self before 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
