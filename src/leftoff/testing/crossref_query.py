"""Understand the parameters of a list of works, and refuse what the service refuses, in its words."""

from __future__ import annotations

import calendar
import datetime
import re
from collections.abc import Callable, Mapping
from typing import Any

Test = Callable[[dict[str, Any]], bool]

MOST_ROWS = 1000
MOST_OFFSET = 10_000
PARAMETERS = frozenset(
    "query query.bibliographic query.author query.container-title filter rows offset cursor select sort order mailto"
    " facet sample".split()
)
SORTS = {
    "created": "created", "deposited": "deposited", "updated": "deposited", "indexed": "indexed", "issued": "issued",
    "published": "issued", "score": "", "relevance": "", "is-referenced-by-count": "is-referenced-by-count",
}  # fmt: skip
_MOMENTS = {"created": "created", "update": "deposited", "deposit": "deposited", "index": "indexed", "pub": "issued"}
_DATE = re.compile(r"(\d{4})(?:-(\d\d?))?(?:-(\d\d?))?(?:T(\d\d)(?::(\d\d))?(?::(\d\d))?Z?)?")


class Refused(Exception):
    """Be a parameter that the service refuses: the type of the failure, the value, and what is said of it."""

    def __init__(self, kind: str, value: str, message: str) -> None:
        super().__init__(message)
        self.failure = {"type": kind, "value": value, "message": message}


def check_parameters(params: Mapping[str, str]) -> None:
    """Raise Refused for a parameter that the route does not know."""
    for name in params:
        if name == "query.title":
            raise Refused(
                "unknown-parameter",
                name,
                "Parameter query.title has been deprecated. Please use query.bibliographic instead. ",
            )
        if name not in PARAMETERS:
            raise Refused("parameter-not-allowed", name, f"This route does not support {name}")


def number(params: Mapping[str, str], name: str, default: int, most: int) -> int:
    """Return a parameter as a whole number, up to ``most``."""
    text = params.get(name, "").strip()
    if not text:
        return default
    if not text.isdigit() or int(text) > most:
        raise Refused(
            "integer-not-valid",
            text,
            f"Integer specified as {text} but must be a positive integer less than or equal to {most}. ",
        )
    return int(text)


def selected(params: Mapping[str, str], fields: frozenset[str]) -> list[str]:
    """Return the names of the fields that are wanted, none for all; ``fields`` are those that there are."""
    names = [name for name in params.get("select", "").split(",") if name]
    for name in names:
        if name not in fields:
            valid = ", ".join(sorted(fields))
            what = f"Select {name} specified but there is no such select for this route. Valid selects are: {valid}"
            raise Refused("select-not-available", name, what)  # its type is ours: none was recorded
    return names


def tests_of(params: Mapping[str, str]) -> list[Test]:
    """Return what the query and the filters ask of a work; values of one filter are alternatives."""
    tests = [_words(params[name], fields) for name, fields in _QUERIES.items() if params.get(name)]
    alternatives: dict[str, list[Test]] = {}
    for part in params.get("filter", "").split(","):
        if not part.strip():
            continue
        name, colon, value = part.strip().partition(":")
        if name not in _FILTERS and _moment_of(name) is None:
            valid = ", ".join(sorted([*_FILTERS, *(f"{end}-{each}-date" for end in _ENDS for each in _MOMENTS)]))
            raise Refused(
                "filter-not-available",
                name,
                f"Filter {name} specified but there is no such filter for this route. Valid filters for this route"
                f" are: {valid}",
            )
        if not colon or not value:
            raise Refused("filter-not-valid", part.strip(), f"Filter {name} needs a value: {name}:VALUE")
        alternatives.setdefault(name, []).append(_filter(name, value))
    return [*tests, *map(_any_of, alternatives.values())]


def _any_of(tests: list[Test]) -> Test:
    return lambda work: any(test(work) for test in tests)


def rank_of(params: Mapping[str, str]) -> tuple[str, bool]:
    """Return the field that the works are sorted by, "" for the service's own order, and whether from the greatest."""
    sort, order = params.get("sort", "score"), params.get("order", "desc")
    if sort not in SORTS:
        raise Refused("sort-not-valid", sort, f"Sort {sort} specified but there is no such sort: {', '.join(SORTS)}")
    if order not in ("asc", "desc"):
        raise Refused("order-not-valid", order, f"Order {order} specified but must be one of asc, desc")
    return SORTS[sort], order == "desc"


def moment(work: Mapping[str, Any], name: str) -> int:
    """Return a moment of a work in seconds since 1970; of a date without a time, its first second; 0 without one."""
    value = work.get(name) or {}
    if "timestamp" in value:
        return int(value["timestamp"]) // 1000
    parts = [part for part in (value.get("date-parts") or [[]])[0] if part]
    return _first(*parts[:3]) if parts else 0


def _first(year: int, month: int = 1, day: int = 1, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    return calendar.timegm((year, month, day, hour, minute, second))


def _span(text: str) -> tuple[int, int]:
    """Return the first and the last second of a date that may be as coarse as a year."""
    match = _DATE.fullmatch(text)
    parts = [int(part) for part in match.groups() if part is not None] if match is not None else []
    try:
        datetime.datetime(*[*parts, 1, 1][: max(3, len(parts))])  # type: ignore[arg-type]  # noqa: DTZ001  # is it one?
    except (ValueError, TypeError):
        raise Refused(
            "date-not-valid", text, f"Date specified as {text} but must be of the form: yyyy or yyyy-MM or yyyy-MM-dd"
        ) from None
    first = _first(*parts)
    if len(parts) == 1:
        return first, _first(parts[0] + 1) - 1
    if len(parts) == 2:
        return first, first + calendar.monthrange(*parts)[1] * 86400 - 1
    return first, first + (86400, 3600, 60, 1)[len(parts) - 3] - 1


_ENDS = ("from", "until")


def _moment_of(name: str) -> tuple[str, str] | None:
    """Return which end and which moment a filter of dates is about, None for another filter."""
    end, _, rest = name.partition("-")
    kind, _, date = rest.rpartition("-")
    return (end, _MOMENTS[kind]) if end in _ENDS and date == "date" and kind in _MOMENTS else None


def _filter(name: str, value: str) -> Test:
    about = _moment_of(name)
    if about is None:
        return lambda work: value.lower() in _FILTERS[name](work)
    end, field = about
    first, last = _span(value)
    if end == "from":
        return lambda work: moment(work, field) >= first
    return lambda work: 0 < moment(work, field) <= last


def _tail(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2].lower()


def _people(work: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [*work.get("author", ()), *work.get("editor", ())]


def _funders(work: Mapping[str, Any]) -> set[str]:
    dois = [str(funder.get("DOI", "")).lower() for funder in work.get("funder", ())]
    return {*dois, *(doi.partition("/")[2] for doi in dois)} - {""}


def _has(*names: str) -> Callable[[Mapping[str, Any]], set[str]]:
    return lambda work: {"true", "1"} if any(work.get(name) for name in names) else {"false", "0"}


_FILTERS: dict[str, Callable[[Mapping[str, Any]], set[str]]] = {
    "issn": lambda work: {issn.lower() for issn in work.get("ISSN", ())},
    "isbn": lambda work: {_tail(isbn) for isbn in work.get("ISBN", ())},
    "orcid": lambda work: {
        form for person in _people(work) if (url := person.get("ORCID")) for form in (_tail(url), url.lower())
    },
    "funder": _funders,
    "doi": lambda work: {work["DOI"]},
    "type": lambda work: {str(work.get("type", ""))},
    "member": lambda work: {str(work.get("member", ""))},
    "prefix": lambda work: {str(work.get("prefix", ""))},
    "has-abstract": _has("abstract"),
    "has-references": _has("reference"),
    "has-update": _has("update-to"),
    "is-update": _has("update-to"),
    "has-funder": _has("funder"),
}


def _words(text: str, fields: tuple[str, ...]) -> Test:
    """Ask for all words of a text; the service, which ranks, is content with some of them."""
    words = re.findall(r"\w+", text.lower())
    return lambda work: set(words) <= _text(work, fields)


def _text(work: Mapping[str, Any], fields: tuple[str, ...]) -> set[str]:
    parts: list[str] = []
    for field in fields:
        if field == "author":
            parts += [str(person.get(name, "")) for person in _people(work) for name in ("given", "family", "name")]
        else:
            value = work.get(field, "")
            parts += map(str, value) if isinstance(value, list) else [str(value)]
    return set(re.findall(r"\w+", " ".join(parts).lower()))


_TITLES = ("title", "subtitle", "container-title")
_QUERIES = {
    "query": (*_TITLES, "author", "publisher", "abstract", "DOI"),
    "query.bibliographic": (*_TITLES, "author", "issued"),
    "query.author": ("author",),
    "query.container-title": ("container-title",),
}
