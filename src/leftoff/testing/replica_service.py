"""What all replicas do beside answering: keep their log, switch faults, move their calendar."""

from __future__ import annotations

import datetime
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, TextIO

from leftoff.testing.replica_faults import SENDING, Dice
from leftoff.testing.replica_server import Reply


class BaseService(ABC):
    """Be a service whose answers ``faults`` break, and which logs each request to ``log``."""

    routes: str

    def __init__(self, faults: Dice, log: TextIO | None) -> None:
        self.requests = 0
        self.served = 0
        self._dice = faults
        self._log = log
        self._lock = threading.Lock()

    @abstractmethod
    def switch(self, name: str, rate: float) -> None:
        """Set the rate of fault `name` from now on; 0 switches it off."""

    @abstractmethod
    def advance(self, today: datetime.date) -> None:
        """Move the replica's calendar to `today`."""

    @abstractmethod
    def delete(self, params: dict[str, str]) -> None:
        """Take records away, by what names them here."""

    @abstractmethod
    def about(self) -> dict[str, object]:
        """Return what this replica holds, which part of it is clones, and what it has seen."""

    def administer(self, path: str, params: dict[str, str]) -> object:
        """Move the calendar, set a fault or delete records, and return what this replica holds."""
        if path == "/replica/today" and "date" in params:
            self.advance(datetime.date.fromisoformat(params["date"]))
        elif path == "/replica/fault":
            self.switch(*self._dice.parse(f"{params['name']}:{params.get('rate', '')}"))
        elif path == "/replica/delete":
            self.delete(params)
        elif path not in ("/replica/about", "/replica/today"):
            raise NotImplementedError(f"This replica serves {self.routes} and /replica/about, today, fault, delete.")
        return self.about()

    def hold_back(self, ids: Iterable[Any]) -> list[Any]:
        """Choose a tenth of the records, which are to enter later (`growing`)."""
        real = sorted(ids)
        return self._dice.random.sample(real, k=max(1, len(real) // 10))

    def in_sending(self, reply: Reply, fault: str | None) -> None:
        """Let a fault break how a reply goes out; what is not wholly sent is not served."""
        if fault in SENDING:
            reply.send = fault or "whole"
            reply.served = reply.served if fault == "drip" else []

    def record(self, entry: dict[str, object], reply: Reply) -> None:
        """Log a request: before the reply goes out, so that who has read the reply finds it in the log."""
        with self._lock:
            self.requests += 1
            self.served += len(reply.served)
            if self._log is not None:
                self._log.write(json.dumps(entry, ensure_ascii=False) + "\n")
                self._log.flush()
