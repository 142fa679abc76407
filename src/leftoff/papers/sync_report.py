"""Say what one `sync` did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class SyncReport:
    """Be the account of one call: ``asked = stored + skipped + absent + missing``, in all and for each service.

    asked: distinct PMIDs, and distinct works of Crossref, that the searches returned, within the limit. stored: records
    fetched and stored or brought up to date by this call; merged: those of them that joined a paper that was there
    already. skipped: records that were in the database and did not have to be fetched or changed. absent: ids that a
    service lists, or was asked for, and does not send. missing: what is none of these, 0 after a complete call; dead:
    those of them that are dead letters, because storing them failed again and again. requests: sent to the services,
    repeated ones included. waited_s: seconds spent waiting for the services' limits and for repeated attempts.
    services: the accounts of each service, by its name.
    """

    asked: int
    stored: int
    skipped: int
    absent: int
    merged: int
    requests: int
    waited_s: float
    missing: int
    dead: int = 0
    services: Mapping[str, SyncReport] = field(default_factory=dict)

    @classmethod
    def together(cls, services: Mapping[str, SyncReport]) -> SyncReport:
        """Return the accounts of several services as one."""
        totals: dict[str, Any] = {name: sum(getattr(each, name) for each in services.values()) for name in NUMBERS}
        totals["waited_s"] = round(totals["waited_s"], 3)
        return cls(**totals, services=dict(services))

    def as_dict(self) -> dict[str, Any]:
        """Return the accounts by name, as `papers sync --json` prints them: `dead` is part of `missing`.

        Where more than one service was asked, ``services`` has those of each.
        """
        numbers = {name: getattr(self, name) for name in NUMBERS if name != "dead"}
        if len(self.services) < 2:
            return numbers
        return numbers | {"services": {name: each.as_dict() for name, each in self.services.items()}}


NUMBERS = tuple(each.name for each in fields(SyncReport) if each.name != "services")
