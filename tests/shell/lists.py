"""Thirty lists with a command each, and what either tool has done with them, counted by the commands themselves."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

RECORD = """#!/bin/sh
# Keep the arguments, each ended by a NUL, in a file of this process; then print, and fail where that is asked for.
for word; do printf '%s\\0' "$word"; done >>"ledger/$$"
[ -z "$PAUSE" ] || sleep "$PAUSE"
printf 'out %s\\n' "$1"
case $1 in *fail*) exit 3 ;; esac
"""


@dataclass(frozen=True)
class Listed:
    """Be one list, and how a command takes its items."""

    name: str
    data: bytes
    items: int  # that are to be worked on once
    way: str = "lines"  # null, csv, words
    arguments: tuple[str, ...] = ("./record", "{}")
    end: int = 0  # the exit code
    differs: str = ""  # what GNU parallel does otherwise, by intention


def lines(*items: str | bytes) -> bytes:
    return b"".join((item.encode() if isinstance(item, str) else item) + b"\n" for item in items)


HORRORS = [
    "it's",
    'say "hi"',
    "$HOME",
    "`id`",
    "$(id)",
    "a;b",
    "a|b",
    "a&b",
    "a>b",
    "a\\b",
    "\\",
    "'",
    '"',
    "a\tb",
    "*",
    "?",
    "[a]",
]

LISTS = [
    Listed("plain", lines("a", "b", "c", "d", "e"), 5),
    Listed("spaces", lines("a b", " lead", "trail ", "a  b"), 4),
    Listed("quotes", lines("it's", 'say "hi"', "'", '"', "''", '""'), 6),
    Listed("dollars", lines("$HOME", "${HOME}", "$$", "$1", "$(id)", "`id`"), 6),
    Listed("backslashes", lines("a\\b", "\\", "\\\\", "\\n", "a\\"), 5),
    Listed("unicode", lines("é", "日本", "🙂", "e\u0301", "\u202e"), 5),
    Listed("dashes", lines("-x", "--y", "-", "--", "-e"), 5),
    Listed("globs", lines("*", "?", "[a-z]", "~", "{a,b}"), 5),
    Listed("shell words", lines("a;b", "a|b", "a&b", "a>b", "a<b", "#c", "!x", "a=b", "&&"), 9),
    Listed("all horrors in one", lines(" ".join(HORRORS), "".join(HORRORS)), 2),
    Listed("tabs", lines("a\tb", "\t", "a\t"), 3),
    Listed("no last newline", b"a\nb\nc", 3),
    Listed("empty lines", b"a\n\nb\n\n", 2, differs="empty"),
    Listed("duplicates", lines("a", "b", "a", "a", "c"), 3, differs="twice"),
    Listed("carriage returns", b"a\r\nb\r\n", 2),
    Listed("separated by NUL", b"a\0b c\0d\ne\0-f", 4, "null"),
    Listed("newlines inside", b"a\nb\0\nc\0d\n\0", 3, "null"),
    Listed("bytes that are no UTF-8", lines(b"caf\xe9", b"\xff\xfe", b"ok"), 3),
    Listed("braces", lines("{}", "{", "{name}", "{1}"), 4),
    Listed("one item", b"only\n", 1),
    Listed("no items", b"", 0),
    Listed("long lines", lines("x" * 10_000, "y" * 5_000), 2),
    Listed("a thousand", lines(*map(str, range(1000))), 1000),
    Listed("failing", lines("a", "fail 1", "b", "fail 2", "c"), 5, end=3),
    Listed("words", lines("a b", "-c", "*"), 3, "words"),
    Listed("inside an argument", lines("a", "b c"), 2, arguments=("./record", "<{}>", "x{}y{}")),
    Listed("no placeholder", lines("a", "b c", "$d"), 3, arguments=("./record", "first")),
    Listed("a quoted command", lines("a", "b"), 2, arguments=("./record", "it's $HOME", "a  b", "*", "{}", "")),
    Listed("records", b'id,name\n1,Ann\n2,"O\'Hara, Bo"\n', 2, "csv", ("./record", "{name}", "<{id}>")),
    Listed("quotes in records", b'id,name\n1,"say ""hi"""\n2,"a, b"\n', 2, "csv", ("./record", "{id}", "{name}")),
    Listed("newlines in records", b'id,name\n1,"two\nlines"\n2,b\n', 2, "csv", ("./record", "{id}", "{name}")),
    Listed(
        "output of all sizes",
        lines("0", "1", "1000", "32768", "32769", "70000", "1000000"),
        7,
        arguments=("sh", "-c", './record "$1"; head -c "$1" /dev/zero', "sh", "{}"),
    ),
]


def split(listed: Listed) -> tuple[bytes, list[bytes]]:
    """Return what stands before the items, and each item with its end; the records here are one line each or two."""
    head, data = b"", listed.data
    if listed.way == "csv":
        head, _, data = data.partition(b"\n")
        head += b"\n"
        return head, re.findall(rb'(?:[^"\n]|"[^"]*")+\n', data)
    end = b"\0" if listed.way == "null" else b"\n"
    return head, [item + end for item in data.removesuffix(end).split(end) if item]


def prepare(folder: Path, listed: Listed) -> None:
    """Make a folder to work in: the list, the program and an empty ledger."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "ledger").mkdir(parents=True)
    (folder / "record").write_text(RECORD)
    (folder / "record").chmod(0o755)
    (folder / "list").write_bytes(listed.data)


def leftoff_words(listed: Listed) -> list[bytes | str]:
    """Return how the list is worked through with leftoff."""
    words: list[bytes | str] = [sys.executable, "-m", "leftoff.cli", "each", "-k", "-j2"]
    if listed.way == "words":
        return [*words, ":::", *listed.data.splitlines(), "--", *listed.arguments]
    flags = {"lines": [], "null": ["-0"], "csv": ["--csv"]}[listed.way]
    return [*words, *flags, "-a", "list", "--", *listed.arguments]


def parallel_words(listed: Listed, *more: str) -> list[bytes | str]:
    """Return how it is with GNU parallel; -q: no shell reads the command."""
    words: list[bytes | str] = ["parallel", "--will-cite", "-q", "-k", "-j2", *more]
    if listed.way == "words":
        return [*words, *listed.arguments, ":::", *listed.data.splitlines()]
    flags = {"lines": [], "null": ["-0"], "csv": ["--csv", "--header", ":"]}[listed.way]
    return [*words, *flags, "-a", "list", *listed.arguments]


def worked(folder: Path) -> Counter[bytes]:
    """Return how often a command was begun with which arguments."""
    return Counter(file.read_bytes() for file in (folder / "ledger").iterdir())


def environment(**more: str) -> dict[str, str]:
    """Return the environment that both tools get."""
    import leftoff

    return {**os.environ, "PYTHONPATH": str(Path(leftoff.__file__).parents[1]), **more}
