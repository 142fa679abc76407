"""Say what one `sync` did."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class SyncReport:
    """Be the account of one call: ``asked = stored + skipped + absent + missing``.

    asked: distinct PMIDs that the searches returned, within the limit. stored: records fetched and stored or brought
    up to date by this call; merged: those of them that joined a paper that was there already. skipped: records that
    were in the database and did not have to be fetched. absent: ids that the service lists and does not send.
    missing: what is none of these, 0 after a complete call; dead: those of them that are dead letters, because storing
    them failed again and again. requests: sent to the service, repeated ones included. waited_s: seconds spent waiting
    for the service's limits and for repeated attempts.
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

    def as_dict(self) -> dict[str, int | float]:
        """Return the accounts by name, as `papers sync --json` prints them: `dead` is part of `missing`."""
        return {name: value for name, value in asdict(self).items() if name != "dead"}
