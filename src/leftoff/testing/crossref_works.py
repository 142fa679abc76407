"""Serve real Crossref works from files of one JSON object a line, and clones of them for scale.

1. A real work is served as its file has it: its newest version that was indexed by the replica's calendar day.
2. A clone is made when it is asked for: memory holds the real works, whatever the number of clones.
3. A work is invisible before the day it was created.
"""

from __future__ import annotations

import dataclasses
import datetime
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CLONES = "10.55555/leftoff-clone."
"""What the DOI of every clone begins with; no registrant has this prefix."""
_DAY = 86400
_DERIVED = "_derived_from_pmid"  # a mark of the data's makers, no field of Crossref's


@dataclasses.dataclass
class Work:
    """Hold the versions of one work, oldest first by when they were indexed."""

    doi: str
    versions: list[dict[str, Any]]

    @property
    def created(self) -> int:
        """When it was registered first, in seconds since 1970."""
        return _seconds(self.versions[0], "created")

    def at(self, now: int) -> dict[str, Any]:
        """Return the version of a moment: the newest that was indexed by then, else the oldest."""
        shown = self.versions[0]
        for version in self.versions[1:]:
            if _seconds(version, "indexed") <= now:
                shown = version
        return shown


class Library:
    """Answer what is asked of the works in ``directory``, as of ``today``.

    clones: the number of works in all, real ones included. Raises FileNotFoundError when there is no work.
    """

    def __init__(self, directory: Path, *, clones: int = 0, today: int | None = None) -> None:
        self.works = load(directory)
        if not self.works:
            raise FileNotFoundError(
                f"no work in {directory}/*.jsonl or *.jsonl.gz: name a directory of files with one work a line"
            )
        self.today = today or datetime.datetime.now(tz=datetime.timezone.utc).date().toordinal()
        self.hidden: set[str] = set()
        self.added: dict[str, int] = {}  # DOIs that entered while the replica ran: the second they did
        self.revised: dict[str, int] = {}
        self.clones = max(0, clones - len(self.works))
        self._real = list(self.works.values())
        self.fields = frozenset(name for work in self._real for version in work.versions for name in version)
        self._numbers = {work.doi: number for number, work in enumerate(self._real)}

    @property
    def now(self) -> int:
        """The last second of the replica's day, since 1970."""
        return (self.today - datetime.date(1970, 1, 1).toordinal() + 1) * _DAY - 1

    def today_text(self) -> str:
        """Return the replica's day."""
        return datetime.date.fromordinal(self.today).isoformat()

    def work(self, doi: str) -> dict[str, Any] | None:
        """Return a work as it is served today, None where there is none."""
        original, number = doi, -1
        if doi.startswith(CLONES) and doi[len(CLONES) :].isdigit():
            number = int(doi[len(CLONES) :])
            if number >= self.clones:
                return None
            original = self._real[number % len(self._real)].doi
        found = self.works.get(original)
        if found is None or original in self.hidden or self._created(found) > self.now:
            return None
        return self._shown(found, doi if number >= 0 else None)

    def _created(self, work: Work) -> int:
        return self.added.get(work.doi, work.created)

    def _shown(self, work: Work, clone: str | None) -> dict[str, Any]:
        shown = dict(work.at(self.now))
        for moment, names in ((self.added.get(work.doi), ("created", "deposited", "indexed")),
                              (self.revised.get(work.doi), ("deposited", "indexed"))):  # fmt: skip
            if moment is not None:
                shown |= {name: stamp(moment) for name in names}
        if clone is not None:
            shown |= {"DOI": clone, "URL": f"http://dx.doi.org/{clone}", "prefix": clone.partition("/")[0]}
        return shown

    def found(self, test: Callable[[dict[str, Any]], bool], rank: Callable[[dict[str, Any]], Any]) -> list[str]:
        """Return the DOIs of the works that pass a test, clones behind their originals, in the order of a rank."""
        passed = []
        for work in self._real:
            shown = None if work.doi in self.hidden or self._created(work) > self.now else self._shown(work, None)
            if shown is not None and test(shown):
                passed.append((rank(shown), work.doi))
        passed.sort()
        return [doi for _, original in passed for doi in self._copies(original)]

    def _copies(self, doi: str) -> Iterator[str]:
        yield doi
        for number in range(self._numbers[doi], self.clones, len(self._real)):
            yield f"{CLONES}{number}"

    def revise(self, dois: list[str], moment: int) -> None:
        """Let works be deposited again at a moment, with nothing changed but that."""
        self.revised.update(dict.fromkeys(dois, moment))


def load(directory: Path) -> dict[str, Work]:
    """Return the works of all files, by DOI."""
    works: dict[str, Work] = {}
    for file in sorted([*directory.glob("*.jsonl"), *directory.glob("*.jsonl.gz")]):
        with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                record = json.loads(line)
                if not isinstance(record, dict) or "DOI" not in record:
                    raise ValueError(f"{file}: line {number} is no work: it has no DOI")
                record.pop(_DERIVED, None)
                works.setdefault(record["DOI"], Work(record["DOI"], [])).versions.append(record)
    for work in works.values():
        work.versions.sort(key=lambda version: _seconds(version, "indexed"))
    return works


def _seconds(record: dict[str, Any], name: str) -> int:
    """Return a moment of a work in seconds since 1970, 0 where it has none."""
    return int((record.get(name) or {}).get("timestamp", 0)) // 1000


def stamp(moment: int) -> dict[str, Any]:
    """Return a moment (seconds since 1970) as Crossref writes it."""
    at = datetime.datetime.fromtimestamp(moment, tz=datetime.timezone.utc)
    return {
        "date-parts": [[at.year, at.month, at.day]],
        "date-time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "timestamp": moment * 1000,
    }
