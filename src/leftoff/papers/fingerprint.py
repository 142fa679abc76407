"""Be what papers without a common identifier are compared by: title, year, first author, place in a journal.

A place is a volume and a first page: the last page, the issue and the name of a journal are written in too many ways.
An identifier of a publisher's (``S0140-6736(20)30183-5``) where a page should be is no page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from leftoff.papers import titles
from leftoff.papers.titles import MARK, WORD, folded

COLUMNS = """
    paper.id, paper.key, paper.doi, paper.pmid, paper.pmcid, paper.title, paper.year, paper.journal, paper.volume,
    paper.pages, paper.issn, paper.type, author.last, coalesce(author.fore, author.initials), author.collective
"""
FROM = "FROM paper LEFT JOIN author ON author.paper_id = paper.id AND author.position = 1"
PLAIN_PAGE = re.compile(r"([a-z]{0,3}[0-9]{1,8}[a-z]?)(?:[^0-9a-z].*)?")
NOTICE_TYPES = {
    "Published Erratum": "correction",
    "Retraction of Publication": "retraction",
    "Expression of Concern": "concern",
}
KINDS = {  # as Crossref and PubMed write them: a "Dataset" of PubMed's is the article about one
    **dict.fromkeys(("journal-article", "proceedings-article"), "article"),
    **dict.fromkeys(
        ("book-chapter", "book-section", "book-part", "book-track", "reference-entry", "Book Chapter"), "chapter"
    ),
    **dict.fromkeys(("book", "monograph", "edited-book", "reference-book", "Book"), "book"),
    **dict.fromkeys(("posted-content", "Preprint"), "preprint"),
    **dict.fromkeys(
        (
            "component journal journal-issue journal-volume peer-review proceedings book-series book-set"
            " proceedings-series report-series report-component standard-series grant database"
        ).split()
    ),  # None: parts and vessels of papers
    **dict.fromkeys(("dataset", "report", "standard", "dissertation"), "other"),
}


@dataclass(frozen=True)
class Fingerprint:
    """Be what one paper is compared by."""

    id: int
    key: str
    doi: str | None
    pmid: int | None
    pmcid: str | None
    title: str | None
    year: int | None
    journal: str | None
    volume: str | None
    pages: str | None
    issn: str | None
    type: str | None
    last: str | None
    fore: str | None
    collective: str | None

    @cached_property
    def words(self) -> str:
        """The title folded, without what was put before it when the paper was retracted."""
        return MARK.sub("", folded(self.title)) or folded(self.title)

    @cached_property
    def is_marked(self) -> bool:
        """Whether the title says that the paper was retracted; some give the notice of it the same title."""
        return MARK.search(folded(self.title)) is not None

    @cached_property
    def tokens(self) -> list[str]:
        """The words of the title."""
        return self.words.split()

    @cached_property
    def numbers(self) -> tuple[str, list[str]]:
        """What tells this from other parts of a series."""
        return titles.numbers(self.words)

    @cached_property
    def notice(self) -> str | None:
        """What this is to another paper, such as a correction or a reply."""
        said = (NOTICE_TYPES.get(each) for each in (self.type or "").split("; "))
        return next((kind for kind in said if kind), None) or titles.notice(self.words)

    @cached_property
    def is_generic(self) -> bool:
        """Whether the title says too little to be anybody's own."""
        return titles.is_generic(self.words)

    @cached_property
    def kind(self) -> str | None:
        """What kind of thing it is; None for what is no paper."""
        kinds = [KINDS.get(each, "article") for each in (self.type or "").split("; ")]
        return next((kind for kind in kinds if kind != "article"), "article")

    @cached_property
    def first_page(self) -> str | None:
        """The first page, or the article's number, folded; None where there is none that can be compared."""
        match = PLAIN_PAGE.fullmatch((self.pages or "").strip().lower())
        return None if match is None else match[1].lstrip("0")

    @cached_property
    def volume_number(self) -> str | None:
        """The volume folded, as far as it is one: ``12 Suppl 1`` is ``12``."""
        match = WORD.search(folded(self.volume))
        return None if match is None else match[0].lstrip("0") or None

    @cached_property
    def journal_words(self) -> str:
        """The journal's name, folded, without its article."""
        return re.sub(r"^the ", "", folded(self.journal))

    @cached_property
    def issns(self) -> frozenset[str]:
        """Its ISSNs."""
        return frozenset((self.issn or "").upper().split("; ")) - {""}

    @property
    def authored(self) -> bool:
        """Whether it names an author."""
        return bool(self.last or self.fore or self.collective)

    @cached_property
    def last_name(self) -> str:
        """The first author's last name, folded; empty for a body."""
        return folded(self.last)

    @cached_property
    def first_names(self) -> str:
        """The first author's first names or initials, folded."""
        return folded(self.fore)


def fingerprint(row: tuple[Any, ...]) -> Fingerprint:
    """Return the fingerprint of a row of `COLUMNS`."""
    return Fingerprint(*row)
