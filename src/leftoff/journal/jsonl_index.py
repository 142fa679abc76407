"""What a run of a JSON Lines journal holds, found by reading the file once.

Keys are found by one pattern that begins with a newline: a newline byte never stands inside a JSON string, so nothing
that a user wrote into a key or a value can look like the beginning of a line.
"""

from __future__ import annotations

import json
import os
import re
from array import array
from collections.abc import Iterator
from typing import Final

from leftoff.journal.entry import NAMED, SUPERSEDING, Entry, Tries, fold_open
from leftoff.journal.jsonl_scan import BLOCK, HEADER_LENGTH, entries_on
from leftoff.journal.store import Mark

TEXT: Final = r'[^"\\]*(?:\\.[^"\\]*)*'


def blocks(fd: int, start: int, end: int, size: int = BLOCK) -> Iterator[tuple[int, str]]:
    """Yield the whole lines between two offsets in pieces, each with the offset of its first character's byte."""
    offset = start
    while offset < end:
        block = os.pread(fd, min(size, end - offset), offset)
        while (cut := block.rfind(b"\n") + 1) == 0:
            block += os.pread(fd, min(size, end - offset - len(block)), offset + len(block))
        yield offset, block[:cut].decode()
        offset += cut


def line_at(fd: int, offset: int) -> bytes:
    """Return the line that begins at an offset."""
    piece = os.pread(fd, SECTOR_READ, offset)
    while (end := piece.find(b"\n") + 1) == 0:
        more = os.pread(fd, BLOCK, offset + len(piece))
        if not more:
            return piece
        piece += more
    return piece[:end]


SECTOR_READ: Final = 4096


class Index:
    """Hold what is known of one run: fates, the offsets of named entries, and the items without conclusion."""

    def __init__(self, run: str) -> None:
        """Know nothing yet; `read` brings it up to an offset."""
        self.run = run
        self.start = HEADER_LENGTH  # none of its lines lies before
        self.fates: dict[str, Mark] = {}
        self.named: dict[tuple[str, str], int] = {}
        self.open_items: dict[str, Tries] = {}
        self.since_mark = 0
        self.newest = b""  # the run's last line, while nobody owns it here
        self.end = HEADER_LENGTH
        self.owned = False  # then its owner keeps it current, and nothing is read twice
        self.places: array[int] | None = None  # offset of conclusion n at [n - 1]; made when a value is first asked for
        self.concluded = 0
        self.dead = 0
        run_text = re.escape(json.dumps(run, ensure_ascii=False))
        # [^a]*: seq, commit and synced hold no "a"; measured: a third quicker than spelling them out
        lead = rf'\n\{{"seq":[^a]*at":"[^"]*","run":{run_text},"epoch":\d+,"'
        self._conclusion = re.compile(rf'{lead}(?:done":"({TEXT})"|(?:dead|forgotten|retried|{"|".join(NAMED)})":)')
        self._line = re.compile(lead)

    def read_span(self, fd: int, span: tuple[int, int], end: int) -> None:
        """Take in the lines up to ``end`` of a run whose lines all lie in a span of offsets."""
        self.start, last = span
        self.end = self.start
        self.read(fd, last)
        self.end = end

    def read(self, fd: int, end: int) -> None:
        """Take in the lines up to ``end``, all of which were checked."""
        mark = self.end
        for offset, text in blocks(fd, self.end, end):
            self._read_conclusions(offset, text)
            mark = self._newest_mark(offset, text, mark)
        self._read_open_items(fd, mark, end)
        if self.places is not None:
            self.places.extend(self.find_places(fd, end, self.end))
        self.end = end

    def _read_conclusions(self, offset: int, text: str) -> None:
        found = self._conclusion.findall("\n" + text)
        if "" in found or ("\\" in text and any("\\" in key for key in found)):
            for place, key, line in self._found(offset, text):
                if key is not None:
                    self.conclude("done", json.loads(f'"{key}"'))
                else:
                    self._take(next(entries_on(line.encode())), place)
            return
        first = self.concluded + 1
        self.concluded += len(found)
        self.fates.update(zip(found, range(first, self.concluded + 1), strict=True))

    def _found(self, offset: int, text: str) -> Iterator[tuple[int, str | None, str]]:
        """Yield each line that concludes or names something: its offset, its key as written if it is `done`, itself."""
        plain = text.isascii()
        text = "\n" + text
        at = 0
        for match in self._conclusion.finditer(text):
            start, end = match.start(), text.index("\n", match.end()) + 1
            offset += start - at if plain else len(text[at:start].encode())
            at = start
            yield offset, match[1], text[start + 1 : end]

    def _take(self, entry: Entry, place: int) -> None:
        if entry.kind in NAMED:
            self.named[entry.kind, entry.key] = place
        else:
            self.conclude(entry.kind, entry.key)

    def conclude(self, kind: str, key: str) -> Mark:
        """Take in one done, dead, forgotten or retried entry; return the key's mark."""
        if kind in SUPERSEDING:
            self.dead -= (
                self.fates.pop(key, 0) < 0
            )  # and not only set to 0: the order stays that of the last conclusions
            return 0
        self.concluded += 1
        self.dead += (kind == "dead") - (self.fates.get(key, 0) < 0)
        self.fates[key] = self.concluded if kind == "done" else -self.concluded
        return self.fates[key]

    def _newest_mark(self, offset: int, text: str, default: int) -> int:
        """Return the offset of the run's last `open` entry in a block, or the default."""
        at = len(text)
        while (at := text.rfind('"open":"",', 0, at)) >= 0:
            start = text.rfind("\n", 0, at)
            match = self._line.match(text if start >= 0 else "\n" + text, max(start, 0))
            if match and match.end() == at + 1 + (start < 0):
                return offset + len(text[: start + 1].encode())
        return default

    def _read_open_items(self, fd: int, start: int, end: int) -> None:
        for _, text in blocks(fd, start, end):
            for line in text.split("\n")[:-1]:
                if self._line.match("\n" + line):
                    self.newest = line.encode()
                    for entry in entries_on(self.newest):
                        fold_open(self.open_items, entry.kind, entry.key, entry.value)
                        self.since_mark = 0 if entry.kind == "open" else self.since_mark + 1

    def conclusions(self, fd: int, keys: list[str], end: int) -> list[Entry | None]:
        """Return the conclusions of keys, None for one without; the file is checked up to ``end``."""
        if self.places is None:
            self.places = self.find_places(fd, end, self.start)
        marks = [self.fates.get(key, 0) for key in keys]
        return [entry_at(fd, self.places[abs(mark) - 1]) if mark else None for mark in marks]

    def find_places(self, fd: int, end: int, start: int = HEADER_LENGTH) -> array[int]:
        """Return the offsets of the run's conclusions, in the order in which they are numbered."""
        places = array("Q")
        for offset, text in blocks(fd, start, end):
            for place, key, line in self._found(offset, text):
                if key is not None or next(entries_on(line.encode())).kind == "dead":
                    places.append(place)
        return places


def entry_at(fd: int, offset: int) -> Entry:
    """Return the first entry of the line at an offset."""
    return next(entries_on(line_at(fd, offset)))
