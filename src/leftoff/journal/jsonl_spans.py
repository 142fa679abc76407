"""Where in a JSON Lines file the lines of each run lie, so that a run among thousands is read without the others.

A loop inside an item is a run of its own; each of ten thousand would else be looked for in all that the others wrote.
"""

from __future__ import annotations

import json
import re
from typing import Final

from leftoff.journal.jsonl_index import TEXT, blocks
from leftoff.journal.jsonl_scan import HEADER_LENGTH

_PIECE: Final = 1 << 16  # bytes: as exactly as this a place is known
_RUN: Final = re.compile(rf'\n\{{"seq":[^a]*at":"[^"]*","run":("{TEXT}")')


class Spans:
    """Know between which offsets the lines of each run lie, as far as the file was read."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._first: str | None = None
        self._spans: dict[str, tuple[int, int]] = {}
        self._end = HEADER_LENGTH

    def of(self, run: str, fd: int, end: int) -> tuple[int, int]:
        """Return where the lines of a run lie in a file that was checked up to ``end``; nowhere is at its end.

        The first run that is asked for may lie anywhere: where there is no other, nothing is read to find it.
        """
        if self._first in (None, run):
            self._first = run
            return HEADER_LENGTH, end
        for offset, text in blocks(fd, self._end, end, _PIECE):
            behind = offset + len(text.encode())
            for name in set(_RUN.findall("\n" + text)):
                self._spans[name] = (self._spans.get(name, (offset,))[0], behind)
        self._end = end
        return self._spans.get(json.dumps(run, ensure_ascii=False), (end, end))
