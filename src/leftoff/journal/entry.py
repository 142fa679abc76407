"""What a journal holds: drafts on their way in, entries on their way out, and what is known of an open item."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final, NamedTuple

FORMAT: Final = 1
"""The version of both file formats; a journal with a higher one is refused untouched."""

MARK_EVERY: Final = 4096
"""At most so many entries of a run lie between two `open` entries, so that reopening reads a bounded tail."""

CONCLUSIONS: Final = ("done", "dead")
SUPERSEDING: Final = ("forgotten", "retried")
NAMED: Final = ("created", "owner", "step", "cursor", "pass", "version", "charged", "uncertain")
"""What `Store.latest` finds and a compaction keeps, of each key the newest."""


class Draft(NamedTuple):
    """Be one entry before it is committed. ``value`` is JSON text, or None where there is no value."""

    kind: str
    key: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """Be one committed entry, as it was read and checked.

    ``seq`` grows by one in a JSON Lines journal and within a SQL journal; ``kind`` is a plain word such as
    ``started``, ``done``, ``failed``, ``dead``, ``released``, ``step``, ``cursor``, ``owner``; ``key`` is the item's
    key or the step's or cursor's name; ``value`` is decoded; ``at`` is UTC; ``epoch`` is the number of the owner that
    wrote it.
    """

    seq: int
    run: str
    kind: str
    key: str
    value: Any
    at: datetime
    epoch: int


_RELIED_ON: Final[dict[str, dict[str, type]]] = {
    "created": {"id": str},
    "owner": {"host": str, "pid": int, "start": str, "durability": str},
}


def check_value(kind: str, value: Any) -> None:
    """Raise TypeError where an entry that later owners rely on says what no release writes (docs/format.md)."""
    wanted = _RELIED_ON.get(kind)
    if wanted is not None and not (
        isinstance(value, dict) and all(type(value.get(name)) is kept for name, kept in wanted.items())
    ):
        raise TypeError(f"an entry {kind!r} without {', '.join(wanted)}")


class Tries(NamedTuple):
    """Be the tries of an item that has no conclusion yet.

    ``errors`` counts tries that raised, ``crashes`` tries that the process did not survive; ``begun`` says that its
    last try was never settled.
    """

    errors: int = 0
    crashes: int = 0
    begun: bool = False

    def to_json(self) -> str | None:
        """Return the tries as an entry's value; None for a first try, the usual case."""
        pairs = {name: count for name, count in (("errors", self.errors), ("crashes", self.crashes)) if count}
        return json.dumps(pairs, separators=(",", ":")) if pairs else None

    @classmethod
    def from_value(cls, value: Any, *, begun: bool) -> Tries:
        """Read what `to_json` wrote."""
        pairs = value if isinstance(value, dict) else {}
        return cls(int(pairs.get("errors", 0)), int(pairs.get("crashes", 0)), begun)

    def after_error(self) -> Tries:
        """Count a try that raised."""
        return Tries(self.errors + 1, self.crashes)

    def after_crash(self) -> Tries:
        """Count an unclean end.

        Whoever was in flight is counted once, and settled by it: an `open` mark may pass the count on to later
        owners, who must not count it again. From now on it is a suspect and runs alone, so that what counts against
        it is only what happened while nothing else was in hand.
        """
        return Tries(self.errors, self.crashes + 1)


def created(program: str | None, run_id: str | None = None) -> Draft:
    """Draft the first entry of a new run; its id, random where none is given, makes the tokens of its items."""
    header = {"id": run_id or secrets.token_hex(8), "program": program, "parent": None}
    return Draft("created", "", json.dumps(header, ensure_ascii=False, separators=(",", ":")))


def fold_open(open_items: dict[str, Tries], kind: str, key: str, value: Any) -> None:
    """Bring the table of items without conclusion up to date with one more entry (an arrow of docs/format.md)."""
    if kind == "started":
        open_items[key] = Tries.from_value(value, begun=True)
    elif kind in ("failed", "released"):
        tries = Tries.from_value((value or {}).get("tries"), begun=False)
        if tries.errors or tries.crashes:
            open_items[key] = tries
        else:
            open_items.pop(key, None)
    elif kind in ("done", "dead", "forgotten", "retried"):
        open_items.pop(key, None)
    elif kind == "open":
        open_items.clear()
        for name, pairs in value.items():
            open_items[name] = Tries.from_value(pairs, begun=bool(pairs.get("begun")))


def count_crashes(open_items: dict[str, Tries]) -> None:
    """Let each item that was in hand have one crash more: whoever takes a run over finds it so."""
    for key, tries in open_items.items():
        if tries.begun:
            open_items[key] = tries.after_crash()


def open_mark(open_items: dict[str, Tries]) -> Draft:
    """Draft the `open` entry from which a later owner may begin to read."""
    table = {key: {name: int(count) for name, count in tries._asdict().items()} for key, tries in open_items.items()}
    return Draft("open", "", json.dumps(table, ensure_ascii=False, separators=(",", ":")))


def moved_to(owner: Entry | None) -> str | None:
    """Return where a run goes on, given its newest `owner` entry; None if it goes on here."""
    return moved_by(owner.value) if owner is not None else None


def moved_by(value: Any) -> str | None:
    """Return where a run goes on, given the value of its newest `owner` entry; None if it goes on here."""
    place = value.get("moved") if isinstance(value, dict) else None
    return place if isinstance(place, str) else None


def to_datetime(seconds: float) -> datetime:
    """Return the UTC time of a count of seconds since 1970."""
    return datetime.fromtimestamp(seconds, timezone.utc)
