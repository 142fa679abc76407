"""What happens to a run's results when the meaning of its function has changed (P12): the user's policy decides."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final, NamedTuple

from leftoff.errors import CodeChanged
from leftoff.journal.entry import Draft
from leftoff.work.deciding import supersede
from leftoff.work.fingerprint import Version
from leftoff.work.versions import OnChange, Versions, versions_of

if TYPE_CHECKING:
    from leftoff.work.run import Run

_NAMED: Final = 5  # so many changed parts are named
_CHUNK: Final = 500


def refuse_change(run: Run, version: Version, on_change: OnChange) -> None:
    """Raise `CodeChanged` where the user wants that, before anything is written."""
    changed = versions_of(run.store, run.name).changed(version)
    if on_change == "refuse" and changed and any(run.store.counts(run.name)):
        raise CodeChanged(
            f"{run.label}: {_what(run, changed)}; on_change='warn' keeps them, 'redo' works on them again; to start"
            f" over: {shlex.join(['leftoff', 'forget', run.store.url, '--run', run.name, '--all'])}"
        )


class Change(NamedTuple):
    """Be the version that a loop begins with, what the user is to know of it, and what its first commit is to say."""

    version: str
    news: str | None
    drafts: list[Draft]


def bring_in(run: Run, version: Version, on_change: OnChange) -> Change:
    """Let a version be the one in force under the run's owner.

    It is recorded with the first commit of the loop, so a "redo" that is killed half-way goes on the next time.
    """
    versions = versions_of(run.store, run.name)
    changed, news = versions.changed(version), None
    if changed and any(run.store.counts(run.name)):
        news = f"{_what(run, changed)}; they are kept (on_change='redo' would work on them again)"
    redo = on_change == "redo" and versions.has_others(version)
    if redo:
        what = _what(run, changed or [])
        news = f"{what}; {_take_back(run, versions, version)} that another version did are worked on again"
    if redo or versions.newest is None or changed:
        owner = run.own_anew() if run.has_concluded else run.own()
        return Change(version.id, news, [versions.draft(version, owner.epoch, alone=redo)])
    return Change(version.id, news, [])


def _take_back(run: Run, versions: Versions, version: Version) -> int:
    """Forget what is known to be another version's; return how many keys that were."""
    store, count = run.store, 0
    for fate in ("done", "dead"):
        keys = list(store.keys(run.name, fate))
        for begin in range(0, len(keys), _CHUNK):
            entries = store.conclusions(run.name, keys[begin : begin + _CHUNK])
            made = [(entry.key, versions.of(entry.epoch)) for entry in entries if entry is not None]
            count += supersede(run, "forgotten", [key for key, id_ in made if id_ not in (None, version.id)], fate)
    return count


def _what(run: Run, changed: list[str]) -> str:
    names = ", ".join(changed[:_NAMED]) + (f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else "")
    concluded = sum(run.store.counts(run.name))
    return f"{concluded} of its items were concluded before {names or 'its function'} changed"
