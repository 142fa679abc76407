"""Papers that both services have, without the DOI that would join them: real records, and works that overlap with them.

No real work of Crossref at hand is of the same paper as a real record of PubMed. So the works are derived from the
records: from a file where it is at hand, else here. They agree with the records more than reality does, therefore
`changed` makes the changes that services are known for.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import random
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from leftoff.papers import tables, works
from leftoff.papers.record import Record
from leftoff.papers.store import store_record
from tests.papers.conftest import CHECKOUT, SHARED

FOLDER = SHARED.parent / "crossref" if SHARED.is_dir() else CHECKOUT / "examples" / "papers" / "works"
DERIVED = FOLDER / "derived-from-pubmed.jsonl.gz"
Work = dict[str, Any]


def real_works() -> list[Record]:
    """Return every real work of Crossref that is at hand."""
    with gzip.open(FOLDER / "works.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [works.record(works.work(json.loads(line))) for line in lines]


def without_doi(records: Iterable[Record]) -> list[Record]:
    """Return records of PubMed as they would be if it had not been told the DOI."""
    return [dataclasses.replace(record, doi=None) for record in records]


def derived(records: Iterable[Record]) -> dict[int, Work]:
    """Return for each PMID with a DOI what Crossref would have of the paper."""
    if DERIVED.is_file():
        with gzip.open(DERIVED, "rt", encoding="utf-8") as lines:
            return {int(work.pop("_derived_from_pmid")): work for work in map(json.loads, lines)}
    return {int(record.identifier): as_work(record) for record in records if record.doi}


def as_work(record: Record) -> Work:
    """Return a work that says what the record says."""
    people = [{"family": each.last, "given": each.fore or each.initials} for each in record.authors if each.last]
    fields = {
        "DOI": record.doi, "type": "journal-article", "title": [(record.title or "").rstrip(".")],
        "container-title": [record.journal], "volume": record.volume, "page": record.pages, "author": people,
        "ISSN": (record.issn or "").split("; "), "issued": {"date-parts": [[record.year]]},
    }  # fmt: skip
    return {name: value for name, value in fields.items() if value}


def changed(work: Work, rng: random.Random, times: int) -> Work:
    """Return the work with so many of the changes below, each another one."""
    result: Work = json.loads(json.dumps(work))
    for change in rng.sample(CHANGES, times):
        change(result, rng)
    return result


def _mistyped(work: Work, rng: random.Random) -> None:
    words = work["title"][0].split()
    long = [place for place, word in enumerate(words) if len(word) > 6 and word.isalpha()]
    if long:
        place, letter = rng.choice(long), rng.randrange(1, 6)
        words[place] = words[place][:letter] + words[place][letter + 1 :]
    work["title"] = [" ".join(words)]


def _shouted(work: Work, _: random.Random) -> None:
    work["title"] = [work["title"][0].upper()]


def _without_subtitle(work: Work, _: random.Random) -> None:
    work["title"] = [work["title"][0].split(": ")[0]]


def _without(*names: str) -> Callable[[Work, random.Random], None]:
    def change(work: Work, _: random.Random) -> None:
        for name in names:
            work.pop(name, None)

    return change


def _another_year(work: Work, rng: random.Random) -> None:
    year = work.get("issued", {}).get("date-parts", [[None]])[0]
    if year and year[0]:
        work["issued"] = {"date-parts": [[year[0] + rng.choice((-1, 1))]]}


def _first_page_only(work: Work, _: random.Random) -> None:
    if "page" in work:
        work["page"] = work["page"].partition("-")[0]


def _initials_only(work: Work, _: random.Random) -> None:
    work["author"] = [
        {**each, "given": f"{each['given'][:1]}."} for each in work.get("author", ()) if each.get("given")
    ]


def _accented(work: Work, _: random.Random) -> None:
    for each in work.get("author", ()):
        each["family"] = (each.get("family") or "").replace("o", "ö", 1)


CHANGES = [
    _mistyped,
    _shouted,
    _without_subtitle,
    _without("author"),
    _without("page"),
    _without("page", "volume", "issue"),  # ahead of print
    _without("ISSN"),
    _another_year,
    _first_page_only,
    _initials_only,
    _accented,
]


def write_library(db: Path, records: Iterable[Record], found: Iterable[Work]) -> None:
    """Store records and works in a database, in one transaction."""
    with closing(sqlite3.connect(db)) as connection, connection:
        tables.create(connection)
        for record in (*records, *(works.record(works.work(each)) for each in found)):
            store_record(connection, record, "2026-01-02T03:04:05Z")
