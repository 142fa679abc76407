"""By which version of its function each of a run's results was made (P12).

A `version` entry says since which owner's epoch a version is in force, so that every conclusion, which bears the epoch
of its owner, tells its version without a byte of its own.
"""

from __future__ import annotations

import json
from typing import Final, Literal

from leftoff.journal.entry import Draft, Entry
from leftoff.journal.store import Store
from leftoff.work.fingerprint import Version, changed_parts

OnChange = Literal["warn", "refuse", "redo"]
ON_CHANGE: Final = ("warn", "refuse", "redo")


class Versions:
    """Know the versions that a run has had: the newest with its parts, and since which epoch each was in force."""

    def __init__(self, entry: Entry | None) -> None:
        """Read the newest `version` entry of a run, None where it has none."""
        value = {} if entry is None else entry.value
        self.newest = Version(value["id"], value["parts"]) if value else None
        self._since: list[tuple[int, str]] = [(epoch, id_) for epoch, id_ in value.get("before", ())]
        if value:
            self._since.append((value["since"], value["id"]))

    def of(self, epoch: int) -> str | None:
        """Return the version that was in force under an owner, None where that is not known."""
        return next((id_ for since, id_ in reversed(self._since) if since <= epoch), None)

    def changed(self, version: Version | None) -> list[str] | None:
        """Return the names of the parts that another version changes; None where one of the two is not known."""
        if version is None or self.newest is None:
            return None
        return changed_parts(self.newest.parts, version.parts) if version.id != self.newest.id else []

    def has_others(self, version: Version) -> bool:
        """Return whether results may be there that another version made."""
        return any(id_ != version.id for _, id_ in self._since)

    def draft(self, version: Version, epoch: int, *, alone: bool) -> Draft:
        """Draft that a version is in force since an epoch; ``alone`` where no result of another one is left."""
        before = [] if alone else self._since
        value = {"id": version.id, "since": epoch, "parts": version.parts, "before": before}
        return Draft("version", "", json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def versions_of(store: Store, run: str) -> Versions:
    """Return the versions that a run has had."""
    return Versions(store.latest(run, "version"))
