"""Tell what becomes of items: to the standard `logging`, under the name ``leftoff``, and to a function of the user's.

Logged are the run, the key, the attempt and the type of an error; never a value or an error's message, which may hold
what belongs into no log. Those stand in the journal, which only its owner may read.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from leftoff.journal.entry import Draft, Tries
from leftoff.work.values import Failure

OnFate = Callable[[str, str, int, Failure | None], object]
LOGGER: Final = logging.getLogger("leftoff")
LOGGER.addHandler(logging.NullHandler())  # a program that set up no logging sees nothing of it
_LEVELS: Final = {"done": logging.DEBUG, "failed": logging.WARNING, "dead": logging.ERROR}


class Fates:
    """Tell the fates of one loop's items, once they are committed."""

    def __init__(self, run: str, on_fate: OnFate | None) -> None:
        """``on_fate`` is called with a fate, the item's key, the number of the attempt and what it raised."""
        self._run, self._on_fate = run, on_fate
        self.wanted = on_fate is not None or LOGGER.isEnabledFor(logging.DEBUG)
        """Whether anybody wants to know what is done; what failed is always told."""

    def attempts(self, drafts: Sequence[Draft], tries: Mapping[str, Tries]) -> dict[str, int]:
        """Return which attempts end with success by these entries; to be asked before they are committed."""
        if not self.wanted:
            return {}
        found = {draft.key: tries.get(draft.key, Tries()) for draft in drafts if draft.kind == "done"}
        return {key: 1 + each.errors + each.crashes for key, each in found.items()}

    def tell(self, drafts: Sequence[Draft], attempts: Mapping[str, int]) -> None:
        """Tell the fates among entries that were just committed."""
        for draft in drafts:
            if draft.kind == "done":
                if self.wanted:
                    self._tell("done", draft.key, attempts[draft.key], None)
            elif draft.kind in _LEVELS:
                value = json.loads(draft.value or "{}")
                self._tell(draft.kind, draft.key, sum(value["tries"].values()), Failure(**value["error"]))

    def _tell(self, fate: str, key: str, attempt: int, failure: Failure | None) -> None:
        LOGGER.log(
            _LEVELS[fate],
            "%s: %s %s (attempt %d)%s",
            self._run,
            fate,
            key if key.isprintable() else repr(key),
            attempt,
            f": {failure.type}" if failure is not None else "",
            extra={"run": self._run, "key": key, "attempt": attempt},
        )
        if self._on_fate is not None:
            self._on_fate(fate, key, attempt, failure)
