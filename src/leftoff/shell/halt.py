"""When to stop before the end of the list, in the words of GNU parallel: ``now,fail=1``, ``soon,fail=10%``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from leftoff.errors import UsageError

_TEXT: Final = re.compile(r"(now|soon),(fail|success|done)=([1-9]\d*)(%?)")
_OLD: Final = {"0": "never", "1": "soon,fail=1", "2": "now,fail=1", "-1": "soon,success=1", "-2": "now,success=1"}


@dataclass(slots=True)
class Halt:
    """Count what has become of the items of this run, and say when it is enough.

    ``now``: what runs is ended and given back, else it is finished.
    """

    text: str
    now: bool = False
    what: str = "never"
    limit: float = math.inf
    done: int = 0
    failed: int = 0

    def is_reached(self, fate: str) -> bool:
        """Count one more item that is ``"done"`` or ``"dead"``; return whether it is enough."""
        self.done += fate == "done"
        self.failed += fate == "dead"
        counts = {"success": self.done, "fail": self.failed, "done": self.done + self.failed}
        return counts.get(self.what, 0) >= self.limit


def is_percent(text: str) -> bool:
    """Return whether the number of all items has to be known."""
    return text.endswith("%")


def parse_halt(text: str, total: int) -> Halt:
    """Return when to stop; a percentage is of ``total`` items. Raise UsageError for another text."""
    text = _OLD.get(text, text)
    if text == "never":
        return Halt(text)
    found = _TEXT.fullmatch(text)
    if found is None or (found[4] and int(found[3]) > 100):
        raise UsageError(
            f"--halt {text}: write never, or now or soon, what, and how many: now,fail=1 soon,fail=10% now,success=1"
            " soon,done=100"
        )
    count = int(found[3])
    limit = total * count / 100 if found[4] else count
    return Halt(text, found[1] == "now", found[2], limit)
