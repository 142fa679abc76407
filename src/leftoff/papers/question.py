"""What Crossref is asked for: words, and filters that each must hold."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from leftoff.errors import UsageError
from leftoff.papers import doi as dois

ISSN = re.compile(r"([0-9]{4})-?([0-9]{3})([0-9X])", re.IGNORECASE)
ORCID = re.compile(r"(?:https?://orcid\.org/)?([0-9]{4})-?([0-9]{4})-?([0-9]{4})-?([0-9]{3})([0-9X])", re.IGNORECASE)
FUNDER = re.compile(r"(?:10\.13039/)?([0-9]{6,})")


@dataclass(frozen=True)
class Question:
    """Be words to search for (may be none), and filters: values of one name are alternatives, each name must hold."""

    query: str
    filters: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The question as one line, by which it is known in a database."""
        return " ".join([*([self.query] if self.query else []), *(f"{name}:{value}" for name, value in self.filters)])


def question(
    query: str, *, issn: Iterable[str] = (), orcid: Iterable[str] = (), funder: Iterable[str] = ()
) -> Question:
    """Check what is asked for, and return it in the forms that Crossref takes.

    issn: of journals; orcid: of authors; funder: of the Open Funder Registry, such as 10.13039/100000001, or the number
    alone. Raises UsageError for one that is none, also by its check digit, or if nothing is asked for.
    """
    filters = [
        *(("issn", _issn(each)) for each in issn),
        *(("orcid", _orcid(each)) for each in orcid),
        *(("funder", _funder(each)) for each in funder),
    ]
    words = " ".join(query.split())
    if not words and not filters:
        raise UsageError("nothing is asked of Crossref: give a query, an ISSN, an ORCID, a funder, or a list of DOIs")
    return Question(words, tuple(sorted(set(filters))))


def _issn(text: str) -> str:
    match = ISSN.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no ISSN: write it as 1234-5679")
    digits = match[1] + match[2]
    wanted = "0123456789X"[
        -sum(int(digit) * weight for digit, weight in zip(digits, range(8, 1, -1), strict=True)) % 11
    ]
    if match[3].upper() != wanted:
        raise UsageError(f"{text!r} is no ISSN: its last digit would be {wanted}")
    return f"{match[1]}-{match[2]}{wanted}"


def _orcid(text: str) -> str:
    match = ORCID.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no ORCID: write it as 0000-0002-1825-0097")
    total = 0
    for digit in match[1] + match[2] + match[3] + match[4]:  # ISO 7064, MOD 11-2
        total = (total + int(digit)) * 2
    wanted = "0123456789X"[(12 - total % 11) % 11]
    if match[5].upper() != wanted:
        raise UsageError(f"{text!r} is no ORCID: its last digit would be {wanted}")
    return f"{match[1]}-{match[2]}-{match[3]}-{match[4]}{wanted}"


def _funder(text: str) -> str:
    match = FUNDER.fullmatch(dois.normal(text) or text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no funder: write its id in the Open Funder Registry, such as 10.13039/100000001")
    return f"10.13039/{match[1]}"


def dois_in(lines: Iterable[str], named: str) -> list[str]:
    """Return the DOIs of a list, one a line in any of their forms, in normal form and each once.

    Empty lines and those that begin with ``#`` are passed over. Raises UsageError, with the number of the line, for one
    that holds no DOI; named: what the list is called in it.
    """
    found: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        doi = dois.normal(text)
        if doi is None:
            raise UsageError(f"{named}, line {number}: {text[:80]!r} is no DOI: write one a line, such as 10.1000/abc")
        found[doi] = None
    if not found:
        raise UsageError(f"{named} holds no DOI")
    return list(found)
