"""Find the one paper that a name means: a DOI in any form, a PMID, a PMCID, or a key."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from difflib import get_close_matches

from leftoff.errors import NoSuchPaper, UsageError
from leftoff.papers import doi as dois

PMID = re.compile(
    r"(?:pmid\s*:?\s*|(?:https?://)?(?:pubmed\.ncbi\.nlm\.nih\.gov|(?:www\.)?ncbi\.nlm\.nih\.gov/pubmed)/)?"
    r"0*([0-9]{1,18})/?",
    re.IGNORECASE,
)
PMCID = re.compile(
    r"(?:pmcid\s*:?\s*|(?:https?://)?(?:www\.ncbi\.nlm\.nih\.gov/pmc|pmc\.ncbi\.nlm\.nih\.gov)/articles/)?"
    r"PMC\s*([0-9]+)(?:\.[0-9]+)?/?",
    re.IGNORECASE,
)
KEY = re.compile(r"doi1:[0-9a-f]{64}")
CALLED = {"pmid": "PMID", "pmcid": "PMCID", "doi": "DOI", "key": "key"}
NEAR = 20_000  # DOIs of one registrant that are compared with what looks mistyped


def paper_called(connection: sqlite3.Connection, name: str) -> int:
    """Return the number of the paper that has this name.

    Raises UsageError for what is no name, or the name of several papers, NoSuchPaper if no paper has it.
    """
    text = name.strip()
    row = connection.execute("SELECT id FROM paper WHERE key = ?", (text,)).fetchone()
    if row is not None:
        return int(row[0])
    names = list(readings(text))
    if not names:
        raise UsageError(
            f"{name!r} is no DOI, PMID, PMCID or key of a paper: by words papers are found with papers search"
        )
    for kind, value in names:
        found = connection.execute(
            "SELECT paper.id, paper.key, paper.title FROM identifier JOIN paper ON paper.id = paper_id"
            " WHERE kind = ? AND value = ? ORDER BY paper.key",
            (kind, value),
        ).fetchall()
        if len(found) > 1:
            listed = "; ".join(f"{key} ({title or 'no title'})" for _, key, title in found)
            raise UsageError(f"{CALLED[kind]} {value} is of {len(found)} papers: name one by its key: {listed}")
        if found:
            return int(found[0][0])
    kind, value = names[0]
    raise NoSuchPaper(f"no paper here has the {CALLED[kind]} {value}: {_help(connection, kind, value)}")


def readings(text: str) -> Iterator[tuple[str, str]]:
    """Iterate what a name may be, the likeliest first."""
    if match := PMID.fullmatch(text):
        yield "pmid", match[1]
    elif match := PMCID.fullmatch(text):
        yield "pmcid", f"PMC{match[1]}"
    elif KEY.fullmatch(text):
        yield "key", text
    else:
        yield from (("doi", each) for each in dict.fromkeys((dois.normal(text), dois.find(text))) if each is not None)


def _help(connection: sqlite3.Connection, kind: str, value: str) -> str:
    """Say what to do about a name that no paper has."""
    if kind == "key":
        return _now(connection, value) or "papers list --json has those that are"
    if kind == "pmid":
        return _not_sent(connection, "pubmed", int(value)) or _help_with_pmid(connection, value)
    if kind == "doi":
        return (
            _now(connection, dois.digest(value))
            or _not_sent(connection, "crossref", value)
            or _alike(connection, value)
            or "papers sync --source crossref --dois FILE brings what a file lists"
        )
    return "papers search finds a paper by its title"


def _now(connection: sqlite3.Connection, key: str) -> str:
    """Say what the paper that had this key is called since."""
    row = connection.execute(
        "SELECT coalesce(paper.doi, paper.key) FROM merge JOIN paper ON paper.key = merge.new_key"
        " WHERE merge.old_key = ? ORDER BY merge.id DESC LIMIT 1",
        (key,),
    ).fetchone()
    return "" if row is None else f"the paper that had it is now {row[0]}"


def _not_sent(connection: sqlite3.Connection, source: str, identifier: int | str) -> str:
    row = connection.execute(
        "SELECT at FROM absent WHERE source = ? AND identifier = ?", (source, identifier)
    ).fetchone()
    return "" if row is None else f"{source} was asked for it on {row[0][:10]} and did not send it"


def _help_with_pmid(connection: sqlite3.Connection, pmid: str) -> str:
    if connection.execute("SELECT 1 FROM listed WHERE pmid = ?", (int(pmid),)).fetchone() is not None:
        return "it is listed and not fetched yet: run the same papers sync again"
    return f'papers sync "{pmid}[uid]" brings it'


def _alike(connection: sqlite3.Connection, doi: str) -> str:
    registrant = doi.partition("/")[0]
    found = connection.execute(
        "SELECT value FROM identifier WHERE kind = 'doi' AND value BETWEEN ? AND ? LIMIT ?",
        (f"{registrant}/", f"{registrant}0", NEAR),  # "0" is what follows "/"
    )
    alike = get_close_matches(doi, [value for (value,) in found], n=3, cutoff=0.9)
    return f"did you mean {' or '.join(alike)}?" if alike else ""
