"""Read the dates of PubMed and Crossref, which are as exact as a journal made them."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lxml import etree

from leftoff.papers.text import by_name, plain

MONTHS = {name: place for place, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1)}
YEAR = re.compile(r"(?<![0-9])(1[5-9][0-9]{2}|20[0-9]{2})(?![0-9])")
MONTH = re.compile(r"\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*", re.IGNORECASE)
DAY = re.compile(r"\s+([0-9]{1,2})(?![0-9])")


class Published(NamedTuple):
    """Be a year, and a date as exact as it is known: ``2007``, ``2007-09`` or ``2007-09-14``."""

    year: int | None
    date: str | None


def published(elements: Iterable[etree._Element]) -> Published:
    """Return the date of the first element that has a year: Year, Month and Day, or a MedlineDate in words."""
    for element in elements:
        said = {name: plain(child) for name, child in by_name(element).items()}
        found = in_words(said["MedlineDate"]) if said.get("MedlineDate") else _in_parts(said)
        if found.year is not None:
            return found
    return Published(None, None)


def in_words(text: str) -> Published:
    """Return when a MedlineDate begins: ``1998 Dec-1999 Jan`` is 1998-12, ``2000 Spring`` is 2000."""
    year = YEAR.search(text)
    if year is None:
        return Published(None, None)
    rest = text[year.end() :]
    month = MONTH.search(rest)
    if month is None or YEAR.search(rest[: month.start()]):  # "1999-2000 Jan": the month is of the later year
        return _exact(int(year[1]), None, None)
    day = DAY.match(rest, month.end())
    return _exact(int(year[1]), MONTHS[month[1].lower()], int(day[1]) if day else None)


def from_parts(value: object) -> Published:
    """Return a date of Crossref's, a mapping with ``date-parts``: ``[[null]]`` and whatever else is no date is none."""
    parts = value.get("date-parts") if isinstance(value, dict) else None
    first = parts[0] if isinstance(parts, list) and parts and isinstance(parts[0], list) else []
    numbers = [int(part) for part in first if isinstance(part, int) or (isinstance(part, str) and part.isdecimal())]
    if not numbers or not 1000 <= numbers[0] <= 9999:
        return Published(None, None)
    year, month, day = (*numbers, 0, 0)[:3]
    return _exact(year, month, day)


def _in_parts(said: Mapping[str, str]) -> Published:
    year = YEAR.search(said.get("Year", ""))
    if year is None:
        return Published(None, None)
    name, day = said.get("Month", ""), said.get("Day", "")
    month = int(name) if name.isdecimal() else MONTHS.get(name[:3].lower())
    return _exact(int(year[1]), month, int(day) if day.isdecimal() else None)


def _exact(year: int, month: int | None, day: int | None) -> Published:
    if month is None or not 1 <= month <= 12:
        return Published(year, f"{year:04}")
    if day is None or not 1 <= day <= monthrange(year, month)[1]:  # "31 June" occurs
        return Published(year, f"{year:04}-{month:02}")
    return Published(year, f"{year:04}-{month:02}-{day:02}")
