"""Write a whole JSON Lines file: what copies, repairs and compactions have in common."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from leftoff.journal.entry import Draft, Entry
from leftoff.journal.jsonl_scan import seal, time_text
from leftoff.journal.sync import write_all

_BLOCK: Final = 1 << 20  # bytes in one write


class JsonlWriter:
    """Write commits to a file that nobody else has; each with its offset and sums."""

    def __init__(self, path: Path, header: bytes) -> None:
        """Begin the empty file at ``path`` with a header."""
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._block = header
        self._offset, self._crc = len(header), crc32(header)

    def commit(self, lines: Sequence[tuple[int, bytes]]) -> None:
        """Write one commit, given the seq of each line and what stands on it from ``"at"`` on."""
        begin, last = self._offset, len(lines) - 1
        for number, (seq, rest) in enumerate(lines):
            more = b',"more":1' if number < last else b""
            line, self._crc = seal(b'{"seq":%d,"commit":%d,%s%s,"sum":"' % (seq, begin, rest, more), self._crc)
            self._block += line
            self._offset += len(line)
        if len(self._block) >= _BLOCK:
            self._flush()

    def _flush(self) -> None:
        write_all(self._fd, self._block)
        self._block = b""

    def close(self) -> None:
        """Write what is left and close; syncing is for whoever gives the file its name."""
        try:
            self._flush()
        finally:
            os.close(self._fd)


def entry_text(entry: Entry) -> bytes:
    """Return what stands on an entry's line from ``"at"`` on."""
    value = None if entry.value is None else _json(entry.value)
    return _text(entry.at.timestamp(), entry.run, entry.epoch, Draft(entry.kind, entry.key, value))


def draft_text(run: str, epoch: int, draft: Draft, at: float | None = None) -> bytes:
    """Return what stands on the line of a new entry from ``"at"`` on; ``at`` in seconds since 1970, None for now."""
    return _text(time.time() if at is None else at, run, epoch, draft)


def _text(at: float, run: str, epoch: int, draft: Draft) -> bytes:
    value = "" if draft.value is None else f',"value":{draft.value}'
    return (
        f'"at":"{time_text(at)}","run":{encode_basestring(run)},"epoch":{epoch},'
        f'"{draft.kind}":{encode_basestring(draft.key)}{value}'
    ).encode()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
