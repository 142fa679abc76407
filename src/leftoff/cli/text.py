"""How things are shown: to people safely and readably, to programs as JSON."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from leftoff.journal.entry import Entry


def printable(text: str) -> str:
    """Return the text with every character escaped that could drive a terminal or hide: controls, bidi marks."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def shortened(text: str, width: int) -> str:
    """Return a printable text of at most so many characters."""
    text = printable(text)
    return text if len(text) <= width else f"{text[: width - 1]}…"


def as_json(value: Any) -> str:
    """Return one line of JSON in ASCII, so that neither an encoding nor a terminal can be in its way."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def echo_json(value: Any) -> None:
    """Print one object as a line of JSON."""
    click.echo(as_json(value))


def iso(at: datetime) -> str:
    """Return a time in UTC as JSON has it: 2026-11-23T22:20:01.123Z."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(at: datetime) -> str:
    """Return a time in UTC as people read it: 2026-11-23 22:20:01Z."""
    return f"{at:%Y-%m-%d %H:%M:%S}Z"


def plural(count: int, word: str, words: str = "") -> str:
    """Return a count with its word: 1 item, 2 items; ``words`` is the plural of a word that takes no -s."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {words or word + 's'}"


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    if count < 1000:
        return plural(count, "byte")
    for unit, factor in (("kB", 1e3), ("MB", 1e6)):
        if count < 999.5 * factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count / 1e9:,.3g} GB"


def ago(seconds: float) -> str:
    """Return a span of time before now as people say it."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            return f"{plural(int(seconds // length), unit)} ago"
    return f"{plural(max(int(seconds), 0), 'second')} ago"


def entry_object(entry: Entry) -> dict[str, Any]:
    """Return an entry as an object for JSON."""
    return {
        "seq": entry.seq, "at": iso(entry.at), "run": entry.run, "epoch": entry.epoch,
        "kind": entry.kind, "key": entry.key, "value": entry.value,
    }  # fmt: skip
