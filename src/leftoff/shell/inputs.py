"""The items: words, or the lines of a file or a pipe, or the records of a CSV with names in its first line."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final, NamedTuple

from leftoff.errors import DuplicateKey, UsageError
from leftoff.shell.names import bytes_of, key_of, text_of

_LISTED: Final = 64 << 20  # bytes: a longer file is read as it is needed, and its number of items not known before
_BLOCK: Final = 1 << 16


class Item(NamedTuple):
    """Be one item: its text, bytes that are no UTF-8 as ``surrogateescape`` has them, and its number in the input."""

    text: str
    number: int
    key: str
    columns: dict[str, str] | None = None


@dataclass(slots=True)
class Source:
    """Be the items of an input, a list where all are at hand; ``empty`` counts those skipped so far for being empty."""

    items: list[Item] | Iterator[Item] = field(default_factory=list)
    columns: tuple[str, ...] = ()
    empty: int = 0

    def listed(self) -> list[Item]:
        """Read the input to its end, and return all items."""
        if not isinstance(self.items, list):
            self.items = list(self.items)
        return self.items

    def texts(self, texts: Iterable[str]) -> Iterator[Item]:
        """Yield the items of these texts."""
        number = 0
        for text in texts:
            if not text:
                self.empty += 1
                continue
            if "\0" in text:
                raise UsageError(f"item {number + 1} holds a NUL, which no argument can; if NULs end the items: -0")
            yield Item(text, number, key_of(text))
            number += 1


def from_words(words: Sequence[str]) -> Source:
    """Return the items that stand on the command line."""
    source = Source()
    source.items = list(source.texts(map(text_of, words)))
    return source


def from_file(place: str = "-", *, null: bool = False, csv: bool = False, key: str | None = None) -> Source:
    """Return the items of a file, or of standard input (``-``): each line, or record.

    null: items end with a NUL, not with a line's end; csv: the first record has the names of the columns, and an item
    is the record as it stands there; key: the column that is an item's key. Raises UsageError for what cannot be read.
    """
    if null and csv:
        raise UsageError("-0 and --csv: a CSV's records end with the line")
    if key is not None and not csv:
        raise UsageError(f"--key {key}: only the records of a --csv have columns")
    stream, is_short = _opened(place)
    try:
        source = _begun(stream, place, null=null, csv=csv, key=key)
        if is_short:
            source.listed()
    except BaseException:
        stream.close()
        raise
    return source


def _begun(stream: BinaryIO, place: str, *, null: bool, csv: bool, key: str | None) -> Source:
    source = Source()
    if csv:
        records = _records(stream, place)
        source.columns = _header(records, place, key)
        source.items = source_records(source, records, key, place)
    else:
        texts = _split(stream) if null else _lines(stream)
        source.items = source.texts(text.decode("utf-8", "surrogateescape") for text in texts)
    return source


def _opened(place: str) -> tuple[BinaryIO, bool]:
    """Open an input; say whether it is short enough to be read at once."""
    try:
        # Not sys.stdin: a thread that waits in its lock would break the interpreter's end.
        stream = open(os.dup(0) if place == "-" else place, "rb")  # noqa: PTH123, SIM115  # closed at its end
    except OSError as error:
        name = "standard input" if place == "-" else place
        raise UsageError(f"the list {name} cannot be read: {error.strerror}") from error
    status = os.fstat(stream.fileno())
    return stream, stat.S_ISREG(status.st_mode) and status.st_size <= _LISTED


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        for line in stream:
            yield line[:-1] if line.endswith(b"\n") else line


def _split(stream: BinaryIO) -> Iterator[bytes]:
    rest = b""
    with stream:
        while block := os.read(stream.fileno(), _BLOCK):  # what is there, without waiting for more
            *whole, rest = (rest + block).split(b"\0")
            yield from whole
    if rest:
        yield rest


class Record(NamedTuple):
    """Be a record of a CSV: its text as it stands in the file, the line it ends on, and its fields."""

    text: str
    line: int
    fields: list[str]


def _records(stream: BinaryIO, place: str) -> Iterator[Record]:
    taken: list[str] = []

    def lines() -> Iterator[str]:
        # A spreadsheet's byte order mark is no part of the first name.
        with io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="") as file:
            for line in file:
                taken.append(line)
                yield line

    reader = csv.reader(lines(), strict=True)
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise UsageError(f"{place}, line {reader.line_num}: this is no CSV: {error}") from None
        if fields is None:
            return
        text = "".join(taken)
        taken.clear()
        yield Record(text.removesuffix("\n").removesuffix("\r"), reader.line_num, fields)


def _header(records: Iterator[Record], place: str, key: str | None) -> tuple[str, ...]:
    names = next(records, Record("", 0, [])).fields
    if not names:
        raise UsageError(f"{place} has no first line with the names of its columns, as --csv needs")
    if "" in names or len(set(names)) < len(names):
        raise UsageError(f"{place}: its first line has to name each column, once: {', '.join(names)}")
    if key is not None and key not in names:
        raise UsageError(f"--key {key}: {place} has no such column; its columns are {', '.join(names)}")
    return tuple(names)


def source_records(source: Source, records: Iterator[Record], key: str | None, place: str) -> Iterator[Item]:
    """Yield the items of these records. Raise `DuplicateKey` at one whose key another record has, too."""
    number = 0
    digests: dict[str, bytes] = {}
    for text, line, fields in records:
        if not fields:
            source.empty += 1
            continue
        if len(fields) != len(source.columns):
            raise UsageError(f"{place}, line {line}: {len(fields)} fields for {len(source.columns)} columns: {text!r}")
        columns = dict(zip(source.columns, fields, strict=True))
        own = text if key is None else columns[key]
        if not own:
            raise UsageError(f"{place}, line {line}: its {key} is empty, and cannot be its key: {text!r}")
        if "\0" in text:
            raise UsageError(f"{place}, line {line} holds a NUL, which no argument can")
        if key is not None:
            digest = hashlib.sha256(bytes_of(text)).digest()
            if digests.setdefault(own, digest) != digest:
                raise DuplicateKey(f"--key {key}: {place}, line {line}: another record has the key {own}: {text!r}")
        yield Item(text, number, key_of(own), columns)
        number += 1


def is_terminal() -> bool:
    """Return whether standard input is somebody at a terminal, not a list."""
    return sys.stdin is not None and sys.stdin.isatty()
