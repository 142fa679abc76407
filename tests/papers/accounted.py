"""What the page about fields says, and what real records have: paths, their places in a record, and what they become.

A path of PubMed's leads below PubmedArticle or PubmedBookArticle, one of Crossref's below the work. An attribute that
says what its element is stands in the path: ``ArticleId[@IdType='doi']``.
"""

from __future__ import annotations

import functools
import re
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from lxml import etree

from leftoff.papers.record import Record
from leftoff.papers.store import store_record
from tests.papers.conftest import CHECKOUT
from tests.papers.test_store import DAY

PAGE = (CHECKOUT / "docs" / "papers-fields.md").read_text("utf-8")
NAMING = {
    "ArticleId": "IdType", "AuthorList": "Type", "CommentsCorrections": "RefType", "ELocationID": "EIdType",
    "Identifier": "Source", "PubMedPubDate": "PubStatus",
}  # fmt: skip
ROOTS = ("MedlineCitation/", "PubmedData/", "BookDocument/", "PubmedBookData/")
TABLES = {
    "paper": "pmid doi pmcid title abstract journal year date type language volume issue pages publisher issn isbn",
    "author": "last fore initials suffix collective affiliation orcid",
    "mesh": "descriptor descriptor_ui qualifier qualifier_ui major",
    "link": "kind doi pmid other text date asserted_by",
    "raw": "version",
}
COLUMNS = {
    column if table == "paper" else f"{table}.{column}": (table, column)
    for table, columns in TABLES.items()
    for column in columns.split()
}


class Row(NamedTuple):
    """Be a row of the page: ``…`` in a path is anything; `becomes` and `also` are columns, or tables whole.

    records: how many it says have the field, None if no real one has; also: columns that a few values change, too;
    without: paths that count more; revises: False if it makes no revision.
    """

    paths: tuple[str, ...]
    records: int | None
    becomes: frozenset[str]
    also: frozenset[str]
    without: tuple[str, ...]
    revises: bool

    def closeness(self, path: str) -> tuple[bool, int]:
        """Say how closely the row names a path; nothing is less close than what ends in whatever."""
        return max(
            ((not each.endswith("…"), len(each)) for each in self.paths if _pattern(each).fullmatch(path)),
            default=(False, 0),
        )


class Place(NamedTuple):
    """Be where a record has a field: an element's text, an attribute, a member or an entry of a list."""

    path: str
    holder: Any
    name: Any  # None: the text of the element

    @property
    def value(self) -> Any:
        return self.holder.text or "" if self.name is None else self.holder[self.name]

    def put(self, value: Any) -> None:
        if self.name is None:
            self.holder.text = value
        else:
            self.holder[self.name] = value


@functools.cache
def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, path.split("…"))))


def rows(service: str) -> list[Row]:
    """Return the rows of the page's tables about a service."""
    (part,) = re.findall(rf"^## {service}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    found = []
    base = ""
    for line in part.splitlines():
        if line.startswith("### "):
            base = match[1] if (match := re.search(r"below `([^`]+)`", line)) else ""
        if line.startswith("| `"):
            found.append(_row(base, *(cell.strip() for cell in line.strip("|").split("|"))))
    return found


def _row(base: str, names: str, records: str, becomes: str, remark: str) -> Row:
    without, other = re.fullmatch(r"((?:without `[^`]+`(?:, `[^`]+`)*)?)(.*)", remark).groups()
    known = {*COLUMNS, *TABLES}
    assert set(quoted(becomes)) <= known, becomes
    return Row(
        tuple(_whole(base, name) for name in quoted(names)),
        None if records == "none" else int(records.replace(",", "")),
        frozenset(quoted(becomes)),
        frozenset(quoted(other)) & known,
        tuple(_whole(base, name) for name in quoted(without)),
        "no revision" not in remark,
    )


def _whole(base: str, name: str) -> str:
    return name if name.startswith(ROOTS) else base + name


def quoted(text: str) -> list[str]:
    """Return what stands in backquotes."""
    return re.findall(r"`([^`]+)`", text)


def closest(known: Iterable[Row], path: str) -> list[Row]:
    """Return the rows that name a path most closely: one, if the page is as it should be."""
    close = {row: row.closeness(path) for row in known}
    most = max(close.values(), default=(False, 0))
    return [row for row, each in close.items() if each == most and most[1]]


def places(of: Any) -> Iterator[Place]:
    """Iterate the fields of a record of PubMed, an element, or of a work, each with its path; an empty list is none."""
    return _in_json(of, "") if isinstance(of, dict) else _in_xml(of, "")


def _in_xml(element: etree._Element, path: str) -> Iterator[Place]:
    naming = NAMING.get(str(element.tag))
    for name in element.attrib:
        if name != naming:
            yield Place(f"{path}/@{name}".lstrip("/"), element.attrib, name)
    texts = [element.text, *(child.tail for child in element)]
    if len(element) == 0 or any(text and text.strip() for text in texts):
        yield Place(path, element, None)
    for child in element:
        name = etree.QName(child).localname
        if said := child.get(NAMING.get(name, name)):
            name += f"[@{NAMING[name]}='{said}']"
        yield from _in_xml(child, f"{path}/{name}".lstrip("/"))


def _in_json(value: Any, path: str) -> Iterator[Place]:
    for name, member in value.items() if isinstance(value, dict) else enumerate(value):
        at = f"{path}[]" if isinstance(value, list) else f"{path}.{name}".lstrip(".")
        if isinstance(member, (dict, list)) and name != "date-parts":
            yield from _in_json(member, at)
        else:
            yield Place(at, value, name)


def strip(of: Any, paths: Iterable[str]) -> None:
    """Take out of a record what counts more than the field in question."""
    for path in paths:
        if isinstance(of, dict):
            for place in [each for each in places(of) if re.fullmatch(rf"{re.escape(path)}(?:[.[].*)?", each.path)]:
                del place.holder[place.name]
        else:
            for element in of.xpath(path):
                element.getparent().remove(element)


def told(connection: sqlite3.Connection, record: Record) -> dict[str, list[Any]]:
    """Return what an empty database says when it has this record, by column; it is empty again then."""
    connection.execute("SAVEPOINT told")
    store_record(connection, record, DAY)
    said: dict[str, list[Any]] = {}
    for table, columns in TABLES.items():
        order = "position" if table in ("author", "mesh", "link") else "rowid"
        found = connection.execute(f"SELECT {', '.join(columns.split())} FROM {table} ORDER BY {order}").fetchall()
        for place, column in enumerate(columns.split()):
            said[column if table == "paper" else f"{table}.{column}"] = [row[place] for row in found]
    connection.execute("ROLLBACK TO told")
    connection.execute("RELEASE told")
    return said
