"""Be one paper with all that is known of it, as `papers show --json` prints it."""

from __future__ import annotations

from typing import TypedDict

from leftoff.papers.linked import Linked


class Named(TypedDict):
    """Be an author of a paper."""

    name: str
    last: str | None
    fore: str | None
    initials: str | None
    suffix: str | None
    collective: str | None
    affiliation: str | None
    orcid: str | None


class Subject(TypedDict):
    """Be a MeSH heading of a paper; ``major``: the paper is about it."""

    descriptor: str
    qualifier: str | None
    major: bool


class Origin(TypedDict):
    """Be where a field is from: a record, and when it was fetched."""

    source: str
    identifier: str
    fetched_at: str


class Conflict(TypedDict):
    """Be what another record says of a field."""

    field: str
    source: str
    identifier: str
    value: str


class Kept(TypedDict):
    """Be a record that is kept; ``content`` as the service sent it, None where it was not asked for."""

    source: str
    identifier: str
    version: int
    fetched_at: str
    content: str | None


class Revision(Kept):
    """Be an earlier text of a record; ``changed``: the fields that the text that replaced it says otherwise."""

    replaced_at: str
    changed: list[str]


class Merge(TypedDict):
    """Be a move of a record from one identity (None: it was new) to another."""

    at: str
    source: str
    identifier: str
    old_key: str | None
    new_key: str
    reason: str


class Paper(TypedDict):
    """Be one paper with all that is known of it, as `papers show --json` prints it."""

    key: str
    doi: str | None
    pmids: list[str]
    pmcids: list[str]
    status: str
    title: str | None
    authors: list[Named]
    journal: str | None
    year: int | None
    date: str | None
    volume: str | None
    issue: str | None
    pages: str | None
    type: str | None
    language: str | None
    publisher: str | None
    issn: str | None
    isbn: str | None
    abstract: str | None
    mesh: list[Subject]
    source: str
    fetched_at: str
    provenance: dict[str, Origin]
    conflicts: list[Conflict]
    links: list[Linked]
    records: list[Kept]
    revisions: list[Revision]
    merges: list[Merge]
