"""Be what one service says of one paper, in the same words for all services."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Author(NamedTuple):
    """Be one author at a place in the list: a person, or a body under `collective`."""

    last: str | None
    fore: str | None
    initials: str | None
    suffix: str | None
    collective: str | None
    affiliation: str | None
    orcid: str | None

    @property
    def name(self) -> str:
        """The name as one reads it: ``Ada B Lovelace Jr``, or the body's."""
        return self.collective or " ".join(filter(None, (self.fore or self.initials, self.last, self.suffix)))


class Heading(NamedTuple):
    """Be one MeSH heading: a descriptor, with one qualifier or none."""

    descriptor: str
    descriptor_ui: str | None
    qualifier: str | None
    qualifier_ui: str | None
    major: bool


@dataclass(frozen=True)
class Link:
    """Be what a record says of its paper and another one, of one of the kinds in `leftoff.papers.links`.

    doi: in normal form; other: an identifier of another kind, or a DOI that is none; text: the other paper, or the
    update, in the service's words; date: when the later of the two came, as exact as it is known; asserted_by: who says
    so where Crossref tells: ``publisher``, ``retraction-watch``, or which side of a relation.
    """

    kind: str
    doi: str | None = None
    pmid: int | None = None
    other: str | None = None
    text: str | None = None
    date: str | None = None
    asserted_by: str | None = None


@dataclass(frozen=True)
class Record:
    """Be what a service says under one of its identifiers, and the bytes that it said it in.

    source: ``pubmed`` or ``crossref``; identifier: the PMID, a number, or the DOI in normal form; version: the
    service's own, 1 where it has none; digest: of what makes a revision (SHA-256); doi: in normal form. ``type``,
    ``language``, ``issn`` and ``isbn`` name several joined by ``; ``.
    """

    source: str
    identifier: int | str
    version: int
    digest: bytes = field(repr=False)
    doi: str | None
    pmcid: str | None
    title: str | None
    abstract: str | None
    journal: str | None
    year: int | None
    date: str | None
    type: str | None
    language: str | None
    authors: tuple[Author, ...]
    mesh: tuple[Heading, ...]
    volume: str | None
    issue: str | None
    pages: str | None
    publisher: str | None
    issn: str | None
    isbn: str | None
    raw: bytes = field(repr=False)
    links: tuple[Link, ...] = ()

    @property
    def pmid(self) -> str | None:
        """The PMID, of a record of PubMed."""
        return str(self.identifier) if isinstance(self.identifier, int) else None
