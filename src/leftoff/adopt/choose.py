"""Which source a text such as ``jobs.log`` or ``csv:done.txt`` means, and what can be told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from leftoff.adopt.found import Found
from leftoff.adopt.joblog import HEADER, joblog
from leftoff.adopt.keys_file import keys_of_csv, keys_of_jsonl, keys_of_lines
from leftoff.adopt.outputs import KEY, outputs
from leftoff.adopt.scrapy import SEEN, requests_seen
from leftoff.errors import UsageError

_FIELDS: Final = ("key", "value", "where", "workers")
_KINDS: Final[dict[str, tuple[Callable[..., Iterator[Found]], tuple[str, ...]]]] = {
    "joblog": (joblog, ("command", "items")),
    "jsonl": (keys_of_jsonl, _FIELDS),
    "csv": (keys_of_csv, _FIELDS),
    "lines": (keys_of_lines, ("workers",)),
    "outputs": (outputs, ("workers", "check")),
    "scrapy": (requests_seen, ("trust_seen",)),
}
_SUFFIXES: Final = {
    ".joblog": "joblog", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv",
    ".txt": "lines", ".list": "lines",
}  # fmt: skip


class Chosen(NamedTuple):
    """Be a source, and the run that goes on from it where that is a matter of course."""

    found: Iterator[Found]
    run: str | None


def choose(source: str, **options: Any) -> Chosen:
    """Return what reads the source that is meant.

    source: a path, or ``KIND:PATH``; options: what was said of it, None or False where nothing was. Raises UsageError
    for a source that is not known, and for an option that says nothing of this kind.
    """
    kind, path = _kind_of(source)
    read, takes = _KINDS[kind]
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    if wrong := [name for name in given if name not in takes]:
        fitting = ", ".join(f"--{name.replace('_', '-')}" for name in takes)
        raise UsageError(
            f"--{wrong[0].replace('_', '-')} says nothing of {path}, which is read as {kind}; that takes {fitting}"
        )
    if "workers" in given:
        given["in_hand"] = given.pop("workers")
    return Chosen(read(path, **given), "each" if kind == "joblog" else None)


def _kind_of(source: str) -> tuple[str, str]:
    kind, colon, path = source.partition(":")
    if colon and kind in _KINDS:
        return kind, path
    there = Path(source)
    if KEY in source:
        return "outputs", source
    if there.name == SEEN or (there / SEEN).is_file():
        return "scrapy", source
    if there.is_file():
        with there.open("rb") as file:
            if file.read(len(HEADER)) == HEADER:
                return "joblog", source
    if there.suffix in _SUFFIXES:
        return _SUFFIXES[there.suffix], source
    if there.is_dir() or "{" in source:
        raise UsageError(
            f"{source}: name the files by a pattern with {KEY} where the key stands, such as 'out/{KEY}.json'"
        )
    if not there.exists():
        raise UsageError(f"there is no {source} to adopt from; nothing was changed")
    raise UsageError(f"{source}: say what it is, with one of {', '.join(f'{kind}:' for kind in _KINDS)} in front")
