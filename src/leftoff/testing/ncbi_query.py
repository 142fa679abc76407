"""Read the search language of PubMed, as far as a replica needs it.

A query is evaluated for one record at a time and answers with the spans of PMIDs it admits: everything, nothing, or
what UID ranges leave. Spans rather than yes or no, because a thousand clones share one record and differ in PMID only.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Spans = tuple[tuple[int, int], ...]
"""Disjoint closed intervals of PMIDs, in ascending order."""

ALL: Spans = ((0, 2**62),)
NONE: Spans = ()

DATE_FIELDS = {
    "edat": "edat", "entrez date": "edat", "date - entrez": "edat", "date - entry": "edat",
    "crdt": "crdt", "date - create": "crdt", "create date": "crdt",
    "mdat": "mdat", "lr": "mdat", "date - modification": "mdat", "modification date": "mdat",
    "pdat": "pdat", "dp": "pdat", "date - publication": "pdat", "publication date": "pdat",
}  # fmt: skip
TEXT_FIELDS = {
    "ti": "title", "title": "title", "tiab": "tiab", "title/abstract": "tiab", "ab": "abstract", "abstract": "abstract",
    "mh": "mesh", "mesh": "mesh", "mesh terms": "mesh", "majr": "mesh", "au": "author", "author": "author",
    "ta": "journal", "jour": "journal", "journal": "journal", "pt": "type", "publication type": "type",
    "la": "language", "language": "language", "aid": "ids", "doi": "ids", "lid": "ids",
}  # fmt: skip
EVERYTHING = {"sb", "filter", "subset"}
TOKEN = re.compile(r'"(?P<quoted>[^"]*)"|\[(?P<field>[^\]]*)\]|(?P<mark>[():])|(?P<word>[^\s()\[\]":]+)')


@dataclass(frozen=True)
class Facts:
    """Hold what one record is searched by: normalised text by field and days (ordinals) by date type."""

    text: Mapping[str, str]
    days: Mapping[str, int]


Test = Callable[[Facts], Spans]


def normal(text: str) -> str:
    """Return the words of `text` in lower case between single spaces, with a space at both ends."""
    return " " + " ".join(re.findall(r"\w+", text.lower())) + " "


def day(text: str, *, last: bool) -> int:
    """Return the first (or `last`) day of `YYYY`, `YYYY/MM` or `YYYY/MM/DD` as an ordinal.

    Raises ValueError when `text` is none of these or names no day of the calendar.
    """
    found = re.fullmatch(r"(\d{4})(?:/(\d{1,2})(?:/(\d{1,2}))?)?", text.strip())
    if not found:
        raise ValueError(f"{text!r} is no date: write YYYY/MM/DD, YYYY/MM or YYYY")
    year, month, monthday = (int(part) if part else None for part in found.groups())
    assert year is not None
    if monthday is not None:
        return datetime.date(year, month or 1, monthday).toordinal()
    if not last:
        return datetime.date(year, month or 1, 1).toordinal()
    if month is None or month == 12:
        return datetime.date(year, 12, 31).toordinal()
    return datetime.date(year, month + 1, 1).toordinal() - 1


def both(left: Spans, right: Spans) -> Spans:
    """Return the PMIDs in `left` and in `right`."""
    cuts = ((max(a, c), min(b, d)) for a, b in left for c, d in right)
    return tuple(sorted((low, high) for low, high in cuts if low <= high))


def either(left: Spans, right: Spans) -> Spans:
    """Return the PMIDs in `left`, in `right` or in both."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(left + right):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def without(left: Spans, right: Spans) -> Spans:
    """Return the PMIDs in `left` that are not in `right`."""
    for low, high in right:
        outside = ((0, low - 1), (high + 1, ALL[0][1]))
        left = both(left, tuple(span for span in outside if span[0] <= span[1]))
    return left


def clip(ids: range, spans: Spans) -> list[range]:
    """Return the parts of the ascending `ids` that lie in `spans`."""
    parts = []
    for low, high in spans:
        first = max(0, -((ids.start - low) // ids.step))
        last = (high - ids.start) // ids.step + 1 if high >= ids.start else 0
        parts.append(ids[first : min(last, len(ids))])
    return [part for part in parts if part]


def read(text: str) -> Test:
    """Return the test that `text` stands for. Lenient as the service is: an unclosed bracket or quote is no error.

    Raises ValueError for an empty query and for a date range that is none.
    """
    tokens = [
        (kind, value)
        for match in TOKEN.finditer(text)
        for kind, value in match.groupdict().items()
        if value is not None
    ]
    if not tokens:
        raise ValueError("Empty term and query_key - nothing todo")
    reader = _Reader(tokens)
    test = reader.expression()
    while reader.kind() is not None:  # an unmatched ")" is passed over
        reader.take()
        if reader.kind() is not None:
            test = _join("AND", test, reader.expression())
    return test


class _Reader:
    """Read tokens from left to right; operators bind equally, as in PubMed."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    def kind(self) -> str | None:
        if self._at >= len(self._tokens):
            return None
        kind, value = self._tokens[self._at]
        if kind == "mark":
            return value
        return "operator" if kind == "word" and value in ("AND", "OR", "NOT") else kind

    def take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1][1]

    def expression(self) -> Test:
        test: Test | None = None
        while self.kind() not in (None, ")"):
            operator = self.take() if self.kind() == "operator" else "AND"
            if self.kind() in (None, ")"):
                break
            if self.kind() == "operator":
                continue
            operand = self._operand()
            test = _join(operator, test, operand)
        return test or (lambda facts: ALL)

    def _operand(self) -> Test:
        kind = self.kind()
        if kind == "(":
            self.take()
            inner = self.expression()
            if self.kind() == ")":
                self.take()
            return inner
        if kind in ("field", ":"):  # a tag or colon that follows nothing
            self.take()
            return lambda facts: ALL
        return self._terms()

    def _terms(self) -> Test:
        phrase = self.kind() == "quoted"
        words = [self.take()]
        while not phrase and self.kind() == "word":
            words.append(self.take())
        field = self._field()
        if self.kind() == ":":
            low = words.pop()
            rest = _text(words, "", phrase=False) if words else None
            return _join("AND", rest, self._range(low, field))
        return _text(words, field, phrase=phrase)

    def _range(self, low: str, field: str) -> Test:
        self.take()
        high = self.take() if self.kind() in ("word", "quoted") else low
        return _range(low, high, self._field() or field)

    def _field(self) -> str:
        return self.take().strip().lower() if self.kind() == "field" else ""


def _join(operator: str, left: Test | None, right: Test) -> Test:
    if left is None:
        return right if operator != "NOT" else (lambda facts: without(ALL, right(facts)))
    earlier = left
    if operator == "OR":
        return lambda facts: either(earlier(facts), right(facts))
    if operator == "NOT":
        return lambda facts: without(earlier(facts), right(facts))
    return lambda facts: both(earlier(facts), right(facts)) if earlier(facts) else NONE


def _range(low: str, high: str, field: str) -> Test:
    if field in ("uid", "pmid"):
        span = (int(low), int(high))
        return lambda facts: (span,) if span[0] <= span[1] else NONE
    if field not in DATE_FIELDS:
        raise ValueError(f"{low}:{high}[{field}] is a range of neither dates nor UIDs")
    name, first, last = DATE_FIELDS[field], day(low, last=False), day(high, last=True)
    return lambda facts: ALL if first <= facts.days[name] <= last else NONE


def _text(words: list[str], field: str, *, phrase: bool) -> Test:
    if (field in EVERYTHING and " ".join(words).lower() == "all") or words == ["*"]:
        return lambda facts: ALL
    if field in ("uid", "pmid"):
        numbers = [(int(word), int(word)) for word in words if word.isdigit()]
        return lambda facts: either(tuple(numbers), NONE)
    if field in DATE_FIELDS:
        return _range(words[0], words[0], field)
    wanted = [_needle(word) for word in ([" ".join(words)] if phrase or field else words)]
    wanted = [needle for needle in wanted if needle.strip() and needle.strip() not in ("and", "or", "not")]
    name = TEXT_FIELDS.get(field, "all")
    return lambda facts: ALL if all(needle in facts.text[name] for needle in wanted) else NONE


def _needle(word: str) -> str:
    return normal(word).rstrip() if word.endswith("*") else normal(word)
