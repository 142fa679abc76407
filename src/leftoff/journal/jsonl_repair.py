"""Write a damaged JSON Lines journal anew from what of it can be believed.

1. Kept are whole commits of proven lines and of lines that fit behind a damaged place; displaced ones only when asked.
2. Nothing is made up: a lost entry stays lost, and its seq stays empty.
3. Each run ends with its new owner, higher than any epoch that was read, and the entry `repaired`.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from leftoff.journal.entry import Entry
from leftoff.journal.jsonl_scan import HEADER, entries_on, make_header, time_text, understood
from leftoff.journal.jsonl_verify import DISPLACED, KEPT, Line, examine_jsonl, judged, names_on
from leftoff.journal.jsonl_write import JsonlWriter, draft_text
from leftoff.journal.lock import Hold
from leftoff.journal.rebuilding import keep_original, rebuilding
from leftoff.journal.repairing import Remains
from leftoff.journal.store import Examined, Repair

_ENTRY: Final = re.compile(
    rb'\{"seq":(\d+),"commit":\d+,(?:"synced":\d+,)?(.*?)(,"more":1)?,"sum":".{8}"\}\n', re.DOTALL
)


class Survey:
    """Walk through a damaged file once, and know what a repair keeps."""

    at: float | None = None  # the time of what it adds, seconds since 1970; None for that of the clock

    def __init__(self, fd: int, *, plausible: bool) -> None:
        self.grades = (*KEPT, DISPLACED) if plausible else KEPT
        self.header: bytes | None = None
        self.runs: dict[str, Remains] = {}
        self.kept = self.left_out = self.seq = 0
        self._last = 0  # the seq of the newest entry that is kept; what stands twice is kept once
        self._fd = fd

    def commits(self, url: str) -> Iterator[list[tuple[int, bytes]]]:
        """Yield the commits that are kept, as a writer takes them; the header is known with the first."""
        commit: list[tuple[int, bytes]] = []
        for line in judged(self._fd, os.fstat(self._fd).st_size):
            self.seq = max(self.seq, line.last_seq)
            if line.number == 1:
                self._take_header(line)
            elif line.grade in self.grades and line.seq > self._last:
                self._last = line.last_seq
                commit.append(self._take(line, url))
                if not _more(line):
                    yield commit
                    commit = []
            else:
                self.lose(line)

    def new_header(self) -> bytes:
        """Return the first line of the new file: the old one where it can be believed."""
        return self.header or make_header(secrets.token_hex(8), time_text(time.time()))

    def _take_header(self, line: Line) -> None:
        match = HEADER.match(line.data) if line.grade in KEPT else None
        if match is None:
            self.lose(line)
        else:
            self.header = make_header(match[2].decode(), match[3].decode())

    def _take(self, line: Line, url: str) -> tuple[int, bytes]:
        with understood(url):
            for entry in entries_on(line.data):
                self.take(entry)
        match = _ENTRY.fullmatch(line.data)
        assert match is not None  # noqa: S101  # `judged` keeps nothing else
        return int(match[1]), match[2]

    def take(self, entry: Entry) -> None:
        """Take in one entry that is kept."""
        self.runs.setdefault(entry.run, Remains()).take(entry.kind, entry.key, entry.value, entry.epoch)
        self.kept += 1

    def lose(self, line: Line) -> None:
        """Take in a line that is not kept."""
        if line.grade == DISPLACED:
            self.left_out += line.last_seq - line.seq + 1
        names = list(names_on(line.data))
        for name, run in self.runs.items():
            run.lose((kind, key) for of, kind, key in names if of == name)

    def endings(self, aside: str) -> Iterator[list[tuple[int, bytes]]]:
        """Yield the last commit of each run."""
        for name, run in self.runs.items():
            drafts = run.ending(aside)
            first, self.seq = self.seq + 1, self.seq + len(drafts)
            yield [(first + number, draft_text(name, run.epoch, draft, self.at)) for number, draft in enumerate(drafts)]

    def told(self, examined: Examined, aside: str | None) -> Repair:
        """Say what is kept and what is lost."""
        undone = [(name, key) for name, run in self.runs.items() for key in run.undone]
        renewed = [name for name, run in self.runs.items() if not run.has_header]
        return Repair(examined.damage, self.kept, self.left_out, undone, renewed, aside)


def plan_jsonl(path: Path, url: str, *, plausible: bool) -> Repair:
    """Return what a repair would keep and lose, without writing."""
    examined = examine_jsonl(path, url)
    with open(path, "rb", buffering=0) as file:
        survey = Survey(file.fileno(), plausible=plausible)
        if examined.damage:
            for _ in survey.commits(url):
                pass
        return survey.told(examined, None)


def repair_jsonl(path: Path, url: str, *, plausible: bool) -> Repair:
    """Keep the original aside and put what can be believed in its place; a sound journal is left alone."""
    hold = Hold(path, 0, f"{url} (JSON Lines has one writer a file)")
    try:
        examined = examine_jsonl(path, url)
        if not examined.damage:
            return Repair([], 0, 0, [], [], None)
        aside = keep_original(path, "damaged")
        with open(path, "rb", buffering=0) as file, rebuilding(path) as temporary:
            survey = Survey(file.fileno(), plausible=plausible)
            write_anew(survey, temporary, url, aside.name)
        return survey.told(examined, aside.name)
    finally:
        hold.release()


def write_anew(survey: Survey, temporary: Path, url: str, aside: str) -> None:
    """Write what is kept to the empty file at ``temporary``, each run with its ending, and check it."""
    commits = survey.commits(url)
    first = next(commits, None)  # the header stands before it
    writer = JsonlWriter(temporary, survey.new_header())
    try:
        if first is not None:
            writer.commit(first)
        for commit in commits:
            writer.commit(commit)
        for commit in survey.endings(aside):
            writer.commit(commit)
    finally:
        writer.close()
    for damage in examine_jsonl(temporary, url).damage:
        raise AssertionError(f"a repaired journal is damaged ({damage}): this is a bug of leftoff's")


def _more(line: Line) -> bool:
    return b',"more":1,"sum":"' in line.data[-40:]
