"""Who writes a segment: the owner of a share of a run's keys.

It claims its share by the first commit, and reads what the others have said only then: from that commit on, nobody who
looks for a living owner of one of these keys can miss it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from json.encoder import encode_basestring

from leftoff.journal.entry import SUPERSEDING, Draft, created
from leftoff.journal.jsonl_owner import Appender, JsonlOwner
from leftoff.journal.lock import whoami
from leftoff.journal.segments_merged import Merged
from leftoff.journal.shard import WHOLE, Shard
from leftoff.journal.store import Mark


class SegmentOwner(JsonlOwner):
    """Own a share of a run's keys; write to a file of this process alone."""

    _index: Merged

    def __init__(self, appender: Appender, run: str, epoch: int, shard: Shard, forget: Callable[[], object]) -> None:
        """Write nothing yet: `claim` does, `take_over` makes it an owner; ``forget`` is called with the release."""
        self.run = run
        self._forget = forget
        self.epoch = epoch
        self._shard = shard
        self._appender = appender
        self._ident = f'"run":{encode_basestring(run)},"epoch":{epoch},"'

    def claim(self, program: str | None, run_id: str | None) -> None:
        """Say durably whose keys these are from now on; ``run_id`` where this file does not tell of the run yet."""
        durability = "power" if self._appender.power else "process"
        value = {**whoami(), "durability": durability}
        if self._shard != WHOLE:
            value["shard"] = list(self._shard)
        drafts = [] if run_id is None else [created(program, run_id)]
        drafts.append(Draft("owner", "", json.dumps(value, separators=(",", ":"))))
        with self._appender.lock:
            self._appender.append(self._lines(drafts))

    def take_over(self, merged: Merged) -> None:
        """Go on from what all segments say; what was in flight in those of dead writers has crashed."""
        merged.owned = True
        merged.open_items = merged.taken_over(self._shard)
        self._index = merged
        self._fates = merged.fates
        self.open_items = merged.open_items

    def commit(self, drafts: Sequence[Draft]) -> list[Mark]:
        """Append the drafts as one commit; return the marks of the done and dead among them."""
        if any(draft.kind in SUPERSEDING for draft in drafts):
            drafts = [self._with_names(draft) if draft.kind in SUPERSEDING else draft for draft in drafts]
        return super().commit(drafts)

    def _with_names(self, draft: Draft) -> Draft:
        """Name the segments of which something is taken back: only what is named no longer holds."""
        told = self._index.told_by(draft.key)
        return draft._replace(value=json.dumps({"of": told}, separators=(",", ":"))) if told else draft
