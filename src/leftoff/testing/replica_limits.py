"""Keep the service's limits by its own clock, and ban who keeps breaking them."""

from __future__ import annotations

import collections
import dataclasses
import threading


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Say how one request stands to the limit: how many in the last second, of how many allowed."""

    count: int
    limit: int
    violation: bool = False
    banned: bool = False


class Limits:
    """Judge each request at its arrival over a sliding second; ban a client after `ban_after` violations, for ever.

    `limit` and `keyed` are requests a second without and with an API key; 0 means no limit. A client is an IP address,
    or an API key. Refused requests count too, as they do at the service. `tolerance` (seconds) shortens the second, for
    what the way from the client's clock to ours can shift two arrivals together. `ban_after` 0 bans nobody.
    """

    def __init__(self, limit: int, keyed: int, tolerance: float, ban_after: int) -> None:
        self._limit = limit
        self._keyed = keyed
        self._window = 1.0 - tolerance
        self._ban_after = ban_after
        self._arrivals: dict[str, collections.deque[float]] = collections.defaultdict(collections.deque)
        self._lock = threading.Lock()
        self.violations: collections.Counter[str] = collections.Counter()
        self.banned: set[str] = set()

    def judge(self, client: str, at: float, *, keyed: bool) -> Verdict:
        """Count the request of `client` that arrived `at` (monotonic seconds) and return its verdict."""
        limit = self._keyed if keyed else self._limit
        with self._lock:
            if client in self.banned:
                return Verdict(0, limit, banned=True)
            recent = self._arrivals[client]
            recent.append(at)
            while recent[0] <= at - self._window:
                recent.popleft()
            violation = 0 < limit < len(recent)
            if violation:
                self.violations[client] += 1
                if 0 < self._ban_after <= self.violations[client]:
                    self.banned.add(client)
            return Verdict(len(recent), limit, violation)
