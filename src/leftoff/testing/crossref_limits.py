"""Keep Crossref's limits, of requests a second and of requests at a time, and ban who keeps breaking them."""

from __future__ import annotations

import collections
import dataclasses
import re
import threading
import time
from collections.abc import Mapping

from leftoff.testing.replica_limits import Limits

_MAILTO = re.compile(r"mailto:\s*([^\s;)>]+)")


@dataclasses.dataclass(frozen=True)
class Pool:
    """Be one of the service's pools: how many requests a second it allows, and how many at a time; 0: any number."""

    name: str
    rate: int
    concurrency: int


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Say how one request stands to the limits: how many in that second, and how many at that time."""

    client: str
    pool: Pool
    count: int = 0
    open: int = 0
    violation: bool = False
    banned: bool = False


class Pools:
    """Judge each request by its pool. A client is who a ``mailto`` names, or an IP address."""

    def __init__(self, public: Pool, polite: Pool, tolerance: float, ban_after: int) -> None:
        self._public = public
        self._polite = polite
        self._tolerance = tolerance
        self._ban_after = ban_after
        self._limits = Limits(public.rate, polite.rate, tolerance, 0)
        self._open: collections.Counter[str] = collections.Counter()
        self._ended = threading.Condition()
        self.violations: collections.Counter[str] = collections.Counter()
        self.banned: set[str] = set()

    def enter(self, params: Mapping[str, str], headers: Mapping[str, str], address: str, at: float) -> Verdict:
        """Count a request that arrived ``at`` (monotonic seconds) and return its verdict; `leave` must follow."""
        agent = _MAILTO.search(headers.get("User-Agent", ""))
        mailto = params.get("mailto", "") or (agent.group(1) if agent else "")
        client, pool = (mailto, self._polite) if "@" in mailto else (address, self._public)
        count = self._limits.judge(client, at, keyed=pool is self._polite)
        with self._ended:
            self._open[client] += 1
            # The answer before may have reached the client, and its end not yet us.
            end = time.monotonic() + self._tolerance
            while 0 < pool.concurrency < self._open[client] and (left := end - time.monotonic()) > 0:
                self._ended.wait(left)
            many = 0 < pool.concurrency < self._open[client]
            if client in self.banned:
                return Verdict(client, pool, count.count, self._open[client], banned=True)
            violation = count.violation or many
            if violation:
                self.violations[client] += 1
                if 0 < self._ban_after <= self.violations[client]:
                    self.banned.add(client)
            return Verdict(client, pool, count.count, self._open[client], violation)

    def leave(self, verdict: Verdict) -> None:
        """Take in that the answer to a request is out."""
        with self._ended:
            self._open[verdict.client] -= 1
            self._ended.notify_all()
