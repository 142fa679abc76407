"""What a run has spent and may spend: every charge is an entry, so that no restart forgets one.

1. What is charged in the loop's own thread is durable when `charge` returns, unless the item has written rows already:
   then, and from a worker, it is part of the next commit.
2. The newest `charged` entry has the sum of all, so that beginning again reads one entry.
3. An attempt that was cut off may have been paid for without a charge: it is *uncertain*, and named with its token.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from leftoff.journal.entry import Draft, Entry, Tries
from leftoff.journal.shard import Shard, make_shard
from leftoff.journal.store import Store
from leftoff.work.current import token_of

Amounts = Mapping[str, float]
"""Numbers by the name of what is spent, such as ``{"usd": 0.03, "tokens": 1200}``."""

_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Uncertain:
    """Be an attempt that was cut off and may have been paid for; its token is to be looked up at the service."""

    key: str
    attempt: int
    token: str
    at: datetime


class Budget:
    """Count what is charged in a loop, on top of what its run has spent before."""

    def __init__(self, store: Store, run: str, run_id: str, limits: Amounts | None, share: str) -> None:
        """Go on from the run's newest charge; ``share`` names the share of the keys that the loop works on."""
        self.limits = {name: _exact(limit) for name, limit in (limits or {}).items()}
        self._store, self._run, self._run_id, self._share = store, run, run_id, share
        self.spent = _spent_by(store.latest(run, "charged", share))

    def charge(self, key: str, attempt: int, amounts: Amounts) -> Draft:
        """Count a charge of an item's attempt; return what is to be committed for it."""
        for name, amount in amounts.items():
            self.spent[name] = self.spent.get(name, Decimal(0)) + _exact(amount)
        value = {"item": key, "attempt": attempt, "charged": _numbers(amounts), "spent": _numbers(self.spent)}
        return Draft("charged", self._share, json.dumps(value, ensure_ascii=False, separators=(",", ":")))

    def is_spent(self) -> bool:
        """Return whether a limit is reached."""
        return any(self.spent.get(name, 0) >= limit for name, limit in self.limits.items())

    @property
    def reason(self) -> str:
        """What to say of a loop that ends for it."""
        over = [
            f"{name}: {_number(self.spent[name])} of {_number(limit)}"
            for name, limit in self.limits.items()
            if self.spent.get(name, 0) >= limit
        ]
        return f"its budget, which is spent ({', '.join(over)})"

    def cut_off(self, items: Mapping[str, Tries]) -> list[Draft]:
        """Draft that the attempts at these items may have been paid for, where this run spends anything."""
        return self._uncertain((key, 1 + tries.errors + tries.crashes) for key, tries in items.items())

    def crashed(self, open_items: Mapping[str, Tries]) -> list[Draft]:
        """Draft the same of the attempts that ended with their process, and of which it was not recorded yet."""
        found = [(key, tries.errors + tries.crashes) for key, tries in open_items.items() if tries.crashes]
        return self._uncertain((key, attempt) for key, attempt in found if not self._is_recorded(key, attempt))

    def _uncertain(self, attempts: Iterable[tuple[str, int]]) -> list[Draft]:
        if not self.limits and not self.spent:
            return []
        return [
            Draft("uncertain", key, json.dumps({"attempt": attempt, "token": token_of(self._run_id, key)}))
            for key, attempt in attempts
        ]

    def _is_recorded(self, key: str, attempt: int) -> bool:
        newest = self._store.latest(self._run, "uncertain", key)
        return newest is not None and bool(newest.value["attempt"] >= attempt)


def spent_of(store: Store, run: str) -> dict[str, float]:
    """Return what a run has spent, all shares of its keys together."""
    owner = store.latest(run, "owner")
    shards = make_shard(owner.value.get("shard")).total if owner is not None else 1
    names = ["", *(str(Shard(number, shards)) for number in range(shards) if shards > 1)]
    total: dict[str, Decimal] = {}
    for name in names:
        for what, amount in _spent_by(store.latest(run, "charged", name)).items():
            total[what] = total.get(what, Decimal(0)) + amount
    return _numbers(total)


def _spent_by(entry: Entry | None) -> dict[str, Decimal]:
    return {} if entry is None else {name: _exact(amount) for name, amount in entry.value["spent"].items()}


def uncertain(store: Store, run: str) -> list[Uncertain]:
    """Return the attempts of a run that were cut off and may have been paid for, oldest first."""
    return [
        Uncertain(entry.key, entry.value["attempt"], entry.value["token"], entry.at)
        for entry in store.entries(run)
        if entry.kind == "uncertain"
    ]


def name_uncertain(drafts: list[Draft]) -> str:
    """Say to the user which attempts are uncertain."""
    names = [f"{draft.key} (token {json.loads(draft.value or '{}')['token']})" for draft in drafts[:_NAMED]]
    more = f" and {len(drafts) - _NAMED} more" if len(drafts) > _NAMED else ""
    return f"cut off, and perhaps paid for without a charge: {', '.join(names)}{more}"


def _exact(amount: Any) -> Decimal:
    """Return a number as people write it: a tenth ten times is one."""
    return amount if isinstance(amount, Decimal) else Decimal(str(amount))


def _number(amount: Any) -> float:
    exact = _exact(amount)
    return int(exact) if exact == exact.to_integral_value() else float(exact)


def _numbers(amounts: Mapping[str, Any]) -> dict[str, float]:
    return {name: _number(amount) for name, amount in amounts.items()}
