"""What a repair knows of a run, whatever the store: what is kept of it, and what it ends with.

Repeat rather than skip: an item whose conclusion was lost, or whose lost entry reads as one that takes a conclusion
back, is not done. An item that was in hand at a damaged place counts as given back, and not as a crash.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from leftoff.journal.entry import CONCLUSIONS, SUPERSEDING, Draft, Tries, created, fold_open, moved_by, open_mark
from leftoff.journal.lock import owner_value
from leftoff.journal.store import repaired

FATES: Final = (*CONCLUSIONS, *SUPERSEDING)


@dataclass
class Remains:
    """Be what can be believed of one run; entries are taken in, and losses told, in the order of the journal."""

    has_header: bool = False
    epoch: int = 0
    fates: dict[str, str] = field(default_factory=dict)
    superseded: int = 0
    undone: dict[str, None] = field(default_factory=dict)
    open_items: dict[str, Tries] = field(default_factory=dict)
    header: Draft | None = None  # in the place of one that was lost; a new one, with a random id, where None
    moved: str | None = None  # where the run goes on, if not here
    elsewhere: dict[str, str] = field(default_factory=dict)  # what names the other files that conclude an undone key

    def take(self, kind: str, key: str, value: Any, epoch: int) -> None:
        """Take in one entry that is kept."""
        self.has_header |= kind == "created"
        self.epoch = max(self.epoch, epoch)
        if kind == "owner":
            self.moved = moved_by(value)
        fold_open(self.open_items, kind, key, value)
        if kind in FATES:
            self.superseded += key in self.fates or kind in SUPERSEDING
            self.undone.pop(key, None)
            if kind in CONCLUSIONS:
                self.fates[key] = kind
            else:
                self.fates.pop(key, None)

    def lose(self, lost: Iterable[tuple[str, str]]) -> None:
        """Take in what lost entries read as: kind and key; nothing where they cannot be read."""
        self.undone |= {key: None for kind, key in lost if kind in FATES}
        waiting = {key: tries for key, tries in self.open_items.items() if tries.errors or tries.crashes}
        self.open_items = {key: tries._replace(begun=False) for key, tries in waiting.items()}

    def ending(self, aside: str) -> list[Draft]:
        """Draft the last commit of the run; it takes back the conclusions that a lost entry may have taken back."""
        keys = [key for key in self.undone if key in self.fates or key in self.elsewhere]
        back = [Draft("forgotten", key, self.elsewhere.get(key)) for key in keys]
        for draft in back:
            self.take(draft.kind, draft.key, None, self.epoch)
            self.undone[draft.key] = None
        self.epoch += 1
        header = [] if self.has_header else [self.header or created(None)]
        owner = Draft("owner", "", owner_value("power", self.moved))
        return [*header, owner, *back, repaired(aside), open_mark(self.open_items)]

    def tells_of(self, key: str) -> bool:
        """Return whether the key is concluded, or open with its tries."""
        return key in self.fates or key in self.open_items

    def count(self, kind: str) -> int:
        """Return how many keys are done, or dead."""
        return sum(fate == kind for fate in self.fates.values())
