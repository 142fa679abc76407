"""The plain loop, batch by batch: one commit starts a batch, one ends it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from leftoff.errors import RunInUse, UsageError
from leftoff.journal.entry import Draft, Tries
from leftoff.work.each import FIRST
from leftoff.work.lookup import lookup
from leftoff.work.options import Options
from leftoff.work.passes import Pass

if TYPE_CHECKING:
    from leftoff.journal.store import Mark
    from leftoff.work.run import Run

T = TypeVar("T")


def batches(
    run: Run, items: Iterable[T] | Iterable[Iterable[T]], size: int | None, options: Options
) -> Generator[list[T], None, None]:
    """Yield lists of items that are not done; all of a list are done when the next one is asked for.

    size: None where the items come as pages, each of which is a batch.
    """
    if size is not None and size < 1:
        raise UsageError(f"batches(size={size}): a batch holds at least one item")
    if size is None and options.shard is not None:
        raise UsageError("pages come whole: shard= needs items, as in batches(…, size)")
    with run.walk(items, options) as walk:
        yield from _batches(run, walk, (walk.items,) if size is not None else walk.items, size)
        run.report_of_pass = walk.end()


def _batches(run: Run, walk: Pass, pages: Iterable[Iterable[T]], size: int | None) -> Generator[list[T], None, None]:
    owner, guard = walk.owner, walk.guard
    mark_of = lookup(owner) if size is not None else owner.mark  # between pages marks may be forgotten
    for batch in (batch for page in pages for batch in _gather(walk, mark_of, page, size)):
        guard.look()
        walk.may_spend()
        guard.check()
        if walk.limiter is not None:
            walk.limiter.wait(guard.sleep)
        guard.hand = _name(batch)
        tries = {key: owner.open_items.get(key, FIRST) for key in batch}
        owner.commit([Draft("started", key, tries[key].to_json()) for key in batch])
        owner.begin()
        run.in_hand = tries
        walk.hand.key, walk.hand.attempt = next(iter(batch)), 1 + max(t.errors + t.crashes for t in tries.values())
        if guard.urgent:
            guard.check()
        begun = time.monotonic()
        yield list(batch.values())
        if guard.deadline is not None:
            guard.deadline.took(time.monotonic() - begun)
        if run.current_walk is not walk:
            raise RunInUse(f"{run.label}: a newer loop took this run over; name one of them: run=…")
        run.in_hand = walk.hand.key = None
        walk.conclude(
            [*run.take_drafts(), *(Draft("done", key) for key in batch)]
        )  # at once: the next batch may take long to gather
        guard.hand = None
        guard.check()
        if (now := time.time()) >= walk.progress.due:
            walk.show(now)


def _gather(walk: Pass, mark_of: Callable[[str], Mark], items: Iterable[T], size: int | None) -> Iterator[dict[str, T]]:
    """Yield the items to be worked on, as batches; what failed or crashed before comes alone, to harm no neighbour."""
    batch: dict[str, T] = {}
    for item in items:
        walk.pulled += 1
        key = walk.key_of(item)
        if key in batch:
            walk.mark_duplicate(key)
        elif mark := mark_of(key):
            walk.meet_known(key, mark)
        else:
            tries: Tries | None = walk.owner.open_items.get(key)
            if tries is None:
                batch[key] = item
            elif walk.may_start(key, tries):
                if batch:
                    yield batch
                    batch = {}
                yield {key: item}
        if len(batch) == size:
            yield batch
            batch = {}
    if batch:
        yield batch


def _name(batch: dict[str, T]) -> str:
    first = next(iter(batch))
    return first if len(batch) == 1 else f"a batch of {len(batch)} from {first} on"
