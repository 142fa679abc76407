"""Write a JSON Lines journal anew without the entries that no longer matter.

1. Entries that are kept keep seq, run, epoch, time, key and value; numbers that are left out stay empty.
2. Each run then ends with `compacted`, which names what was replaced (the journal's id, its last seq, the sum there),
   and with an `open` entry: what is not concluded, with its tries.
3. Nothing is owned anew and no epoch rises: the next owner finds just what it would have found.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from leftoff.errors import JournalDamaged, UsageError
from leftoff.journal.entry import CONCLUSIONS, NAMED, SUPERSEDING, Entry, open_mark
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.jsonl_scan import HEADER_LENGTH
from leftoff.journal.jsonl_verify import examine_jsonl
from leftoff.journal.jsonl_write import JsonlWriter, draft_text, entry_text
from leftoff.journal.rebuilding import keep_original, rebuilding
from leftoff.journal.store import Compacted, compacted

_FATES: Final = frozenset((*CONCLUSIONS, *SUPERSEDING))


def compact_jsonl(path: Path, url: str, *, keep: bool) -> Compacted:
    """Compact the journal at ``path``; ``keep``: keep the original aside, as `is_ancestor` wants it.

    Raise `JournalBusy` while another process owns a run, and UsageError where there is nothing to compact.
    """
    store = JsonlStore(path)
    try:
        if not store.runs():
            raise UsageError(f"{url} holds no run yet, so there is nothing to compact")
        seq = store.hold_file().seq
        before = path.stat().st_size
        aside = keep_original(path, "before").name if keep else None
        with rebuilding(path) as temporary:
            entries = _write(store, temporary, seq)
            for damage in examine_jsonl(temporary, url).damage:
                raise JournalDamaged(f"{damage.where}: {damage.what}; nothing was changed")
        return Compacted(*entries, before, path.stat().st_size, aside)
    finally:
        store.close()


def _write(store: JsonlStore, temporary: Path, end: int) -> tuple[int, int]:
    """Write what is kept of the entries up to ``end``; return how many there were, and are."""
    with open(store.path, "rb", buffering=0) as file:
        header = file.read(HEADER_LENGTH)
    names = store.runs()
    head = store.head(names[0])
    assert head is not None  # noqa: S101  # it holds a run
    kept = needed(store.entries())
    writer = JsonlWriter(temporary, header)
    before, seq, epochs = 0, end, dict.fromkeys(names, 0)
    try:
        for entry in store.entries():
            before += 1
            epochs[entry.run] = max(epochs[entry.run], entry.epoch)
            if kept[entry.seq]:
                writer.commit([(entry.seq, entry_text(entry))])
        for run, epoch in epochs.items():
            drafts = [compacted(*head), open_mark(store.open_items(run))]
            texts = [draft_text(run, epoch, draft) for draft in drafts]
            writer.commit([(seq + 1, texts[0]), (seq + 2, texts[1])])
            seq += 2
    finally:
        writer.close()
    return before, sum(kept) + seq - end


def needed(entries: Iterable[Entry]) -> array[int]:
    """Return a flag for each seq: 1 for the newest conclusion of a key and for the newest of what has a name."""
    newest: dict[tuple[str, str], dict[str, int]] = {}
    last = 0
    for entry in entries:
        last = entry.seq
        if entry.kind in SUPERSEDING:
            newest.setdefault((entry.run, "fate"), {}).pop(entry.key, None)
        elif entry.kind in _FATES:
            newest.setdefault((entry.run, "fate"), {})[entry.key] = last
        elif entry.kind in NAMED:
            newest.setdefault((entry.run, entry.kind), {})[entry.key] = last
    flags = array("b", bytes(last + 1))
    for seqs in newest.values():
        for seq in seqs.values():
            flags[seq] = 1
    return flags
