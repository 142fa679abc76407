"""Read a project file: named queries, and where their papers go; nothing in it is taken that is not known."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from leftoff.errors import UsageError
from leftoff.work.deadline import seconds_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "leftoff.toml"
EVERY = "1d"

# What each name may hold, in words; `_checked` knows them.
PAPERS = {
    "db": "a path", "log": "a path", "email": "text", "source": "text", "ncbi_url": "text", "crossref_url": "text",
    "every": "a time", "queries": "a table",
}  # fmt: skip
QUERY = {
    "query": "text", "source": "text", "issn": "a list", "orcid": "a list", "funder": "a list", "dois": "a path",
    "since": "a day", "limit": "a number", "every": "a time",
}  # fmt: skip
SECRETS = ("api_key", "apikey", "api-key", "ncbi_api_key", "key", "token", "password", "secret")


@dataclass(frozen=True)
class Query:
    """Be one query of a project, as `sync` takes it, and how often it is asked (seconds)."""

    name: str
    every: float
    query: str = ""
    source: str = "pubmed"
    issn: tuple[str, ...] = ()
    orcid: tuple[str, ...] = ()
    funder: tuple[str, ...] = ()
    dois: str | None = None
    since: date | str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Project:
    """Be what a project file says: paths are as they are used, queries in the file's order."""

    path: Path
    db: str | None
    log: str | None
    email: str | None
    ncbi_url: str | None
    crossref_url: str | None
    queries: tuple[Query, ...]


def read_project(path: str | PathLike[str]) -> Project:
    """Return what a project file says.

    Raises UsageError, with the place, for a file that is not there or no TOML, for a name that is not known (and tells
    the nearest that is), a value of another type, a secret, or if there is no query in it.
    """
    file = Path(fspath(path))
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UsageError(
            f"there is no project file {file}: write one (docs/papers.md), or name a query and --db"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is no TOML: {error}") from error
    _refuse_unknown(file, "", content, ["papers"])
    papers = _table(file, "papers", content.get("papers", {}), PAPERS)
    named = papers.pop("queries", {})
    if not named:
        raise UsageError(f'{file} names no query: write one as [papers.queries.NAME] with query = "…"')
    shared = {"every": papers.pop("every", EVERY), "source": papers.pop("source", "pubmed")}
    queries = tuple(_query(file, name, table, shared) for name, table in named.items())
    return Project(
        file, **{name: papers.get(name) for name in PAPERS if name not in ("queries", *shared)}, queries=queries
    )


def _query(file: Path, name: str, table: Any, shared: Mapping[str, Any]) -> Query:
    place = f"papers.queries.{name}"
    given = _table(file, place, table, QUERY)
    given = {**shared, **({"source": "crossref"} if "dois" in given else {}), **given}
    every = given.pop("every")
    try:
        return Query(name, seconds_of(every, "every"), **given)
    except UsageError as error:
        raise UsageError(f"{file}: {place}: {error}") from None


def _table(file: Path, place: str, table: Any, known: Mapping[str, str]) -> dict[str, Any]:
    """Return a table with each value checked, in the form in which it is used."""
    if not isinstance(table, dict):
        raise UsageError(f"{file}: {place} is to be a table: write [{place}] above its lines")
    _refuse_unknown(file, place, table, known)
    return {name: _checked(file, f"{place}.{name}", value, known[name]) for name, value in table.items()}


def _refuse_unknown(file: Path, place: str, table: Mapping[str, Any], known: Mapping[str, str] | list[str]) -> None:
    for name in table:
        if name in known:
            continue
        full = f"{place}.{name}" if place else name
        if name.lower() in SECRETS:
            raise UsageError(
                f"{file}: {full}: no secret is read from a file. Take it out, and set NCBI_API_KEY in the environment, "
                "or keep it in the keyring: keyring set leftoff ncbi"
            )
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        raise UsageError(f"{file}: {full} is not known: {hint}")


def _checked(file: Path, place: str, value: Any, wanted: str) -> Any:
    """Return a value in the form in which it is used. Raise UsageError for one of another type."""
    if wanted == "a list":
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return tuple(value)
        if isinstance(value, str):
            return (value,)
    elif wanted == "a path" and isinstance(value, str) and value.strip():
        return str(file.parent / value)
    elif wanted == "a day" and isinstance(value, (date, str)):
        return value.date() if isinstance(value, datetime) else value
    elif isinstance(value, bool):
        pass  # which Python takes for a number
    elif (
        (wanted == "text" and isinstance(value, str) and value.strip())
        or (wanted == "a number" and isinstance(value, int))
        or (wanted == "a time" and isinstance(value, (int, float, str)))
        or (wanted == "a table" and isinstance(value, dict))
    ):
        return value
    raise UsageError(f"{file}: {place} is to be {wanted}{EXAMPLES.get(wanted, '')}, not {_kind(value)}")


def _kind(value: Any) -> str:
    words = {bool: "true or false", str: "a text", int: "a number", float: "a number", list: "a list", dict: "a table"}
    return next((word for kind, word in words.items() if isinstance(value, kind)), "a time")


EXAMPLES = {
    "a list": ' of texts, such as ["0091-6749"]',
    "a path": ', such as "papers.db"',
    "a day": ", such as 2026-01-31",
    "a number": ", such as 100",
    "a time": ', such as "12h" or "7d"',
    "text": " in quotes, and not empty",
}
