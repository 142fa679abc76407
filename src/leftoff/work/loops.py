"""The loops as short as tqdm: they open their journal, choose a name, and close when they are done."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Iterable
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from leftoff.errors import UsageError
from leftoff.journal.store import Durability
from leftoff.work.aeach import AsyncLoop
from leftoff.work.each import Loop
from leftoff.work.executors import ExecutorOrFactory
from leftoff.work.journal import Journal, at_work, make_store, place_text
from leftoff.work.naming import Name, default_name, real_place
from leftoff.work.options import LoopOptions, takes_options
from leftoff.work.outcome import Outcome

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")
R = TypeVar("R")
Place = str | os.PathLike[str]
DEFAULT: Final = "leftoff.jsonl"

_lent: dict[str, tuple[Journal, int]] = {}  # by real path: a journal that loops of this process share, and how many


@takes_options
def each(
    items: Iterable[T],
    journal: Place = DEFAULT,
    *,
    run: str | None = None,
    key: Callable[[T], Any] | str | None = None,
    durability: Durability = "power",
    **options: Unpack[LoopOptions],
) -> Loop[T]:
    """Yield every item that is not done yet; an item is done when its body has come back for the next one.

    Do not hand the loop to something that reads ahead (``list``, ``pool.map``): it would mark items done that nobody
    worked on; use `map`. items: any iterable, also endless; journal: a place as `open` takes it; run: the loop's name
    (default: the script's); durability: see `open`; the rest is as in `Run.each`.
    """
    lent = _Lent(journal, durability, run, sys._getframe(1), None)
    return lent.loop(
        lent.run.each(
            items,
            key=key,
            **options,
        )
    )


@takes_options
def batches(
    items: Iterable[T],
    journal: Place = DEFAULT,
    *,
    size: int,
    run: str | None = None,
    key: Callable[[T], Any] | str | None = None,
    durability: Durability = "power",
    **options: Unpack[LoopOptions],
) -> Loop[list[T]]:
    """Yield lists of at most ``size`` items that are not done yet; all are done when the next list is asked for.

    The arguments are those of `each`.
    """
    lent = _Lent(journal, durability, run, sys._getframe(1), None)
    return lent.loop(
        lent.run.batches(
            items,
            size,
            key=key,
            **options,
        )
    )


@takes_options
def map(  # noqa: A001  # leftoff.map
    function: Callable[[T], R],
    items: Iterable[T],
    journal: Place = DEFAULT,
    *,
    run: str | None = None,
    key: Callable[[T], Any] | str | None = None,
    workers: int | None = None,
    executor: ExecutorOrFactory | None = None,
    ordered: bool = True,
    write: Callable[[Any, Outcome[T, R]], object] | None = None,
    result_type: type[R] | None = None,
    timeout: float | None = None,
    durability: Durability = "power",
    **options: Unpack[LoopOptions],
) -> Loop[Outcome[T, R]]:
    """Yield an `Outcome` for every item, resumed or fresh; an outcome that is yielded is durable.

    The arguments are those of `each` and of `Run.map`.
    """
    lent = _Lent(journal, durability, run, sys._getframe(1), function)
    return lent.loop(
        lent.run.map(
            function,
            items,
            key=key,
            workers=workers,
            executor=executor,
            ordered=ordered,
            write=write,
            result_type=result_type,
            timeout=timeout,
            **options,
        )
    )


@takes_options
def aeach(
    items: Iterable[T] | AsyncIterable[T],
    journal: Place = DEFAULT,
    *,
    run: str | None = None,
    key: Callable[[T], Any] | str | None = None,
    durability: Durability = "power",
    **options: Unpack[LoopOptions],
) -> AsyncLoop[T]:
    """Yield every item that is not done yet to an ``async for``, whose body may await.

    The arguments are those of `each` and of `Run.aeach`.
    """
    lent = _Lent(journal, durability, run, sys._getframe(1), None)
    return lent.async_loop(lent.run.aeach(items, key=key, **options))


@takes_options
def amap(
    function: Callable[[T], Awaitable[R]],
    items: Iterable[T] | AsyncIterable[T],
    journal: Place = DEFAULT,
    *,
    run: str | None = None,
    key: Callable[[T], Any] | str | None = None,
    concurrency: int = 8,
    ordered: bool = True,
    write: Callable[[Any, Outcome[T, R]], object] | None = None,
    result_type: type[R] | None = None,
    timeout: float | None = None,
    durability: Durability = "power",
    **options: Unpack[LoopOptions],
) -> AsyncLoop[Outcome[T, R]]:
    """Yield an `Outcome` for every item to an ``async for``; an outcome that is yielded is durable.

    The arguments are those of `each` and of `Run.amap`.
    """
    lent = _Lent(journal, durability, run, sys._getframe(1), function)
    return lent.async_loop(
        lent.run.amap(
            function,
            items,
            key=key,
            concurrency=concurrency,
            ordered=ordered,
            write=write,
            result_type=result_type,
            timeout=timeout,
            **options,
        )
    )


class _Lent:
    """Lend a journal to one loop, and give it back when the loop has nothing left in hand."""

    def __init__(
        self,
        place: Place,
        durability: Durability,
        run: str | None,
        frame: FrameType,
        function: Callable[..., Any] | None,
    ) -> None:
        url = place_text(place)
        name = Name(run, None) if run is not None else default_name(url, frame, function)
        self._real = real_place(url)
        journal, count = _lent.get(self._real, (None, 0))
        self._is_borrowed = False
        if journal is None and (journal := at_work(self._real)) is not None:
            self._is_borrowed = True  # who opened it closes it
        if journal is not None and journal.durability != durability:
            raise UsageError(f"{url} is open with durability={journal.durability!r} in this process; use the same here")
        self._journal = journal if journal is not None else Journal(make_store(url, durability))
        if not self._is_borrowed:
            _lent[self._real] = (self._journal, count)
        self._given_back = False
        self.run = self._journal.run(name.run, program=name.program)

    def loop(self, inner: Loop[R]) -> Loop[R]:
        """Wrap a loop so that the journal closes behind the last one that uses it, if nobody else has opened it."""
        if self._is_borrowed:
            return inner
        walking = self._walk(inner)
        self._lend_to(walking)
        return Loop(self.run, walking, self._close_if_idle)

    def async_loop(self, inner: AsyncLoop[R]) -> AsyncLoop[R]:
        """Do the same for an asynchronous loop."""
        if self._is_borrowed:
            return inner
        walking = self._walk_async(inner)
        self._lend_to(walking)
        return AsyncLoop(self.run, walking, self._close_if_idle)

    def _lend_to(self, walking: object) -> None:
        journal, count = _lent[self._real]
        _lent[self._real] = (journal, count + 1)  # from now on: a loop may be walked long after it was made, or never
        weakref.finalize(walking, self._give_back).atexit = False

    def _walk(self, inner: Loop[R]) -> Generator[R, None, None]:
        try:
            yield from inner
        finally:
            self._give_back()

    async def _walk_async(self, inner: AsyncLoop[R]) -> AsyncGenerator[R, None]:
        generator = inner.generator
        try:
            async for each in generator:
                yield each
        finally:
            await generator.aclose()
            self._give_back()

    def _give_back(self) -> None:
        if not self._given_back:
            self._given_back = True
            journal, count = _lent[self._real]
            _lent[self._real] = (journal, count - 1)
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        """Close the journal behind its last loop; an item in hand waits to be settled, by the next loop or at exit."""
        journal, count = _lent.get(self._real, (self._journal, 1))
        if count == 0 and all(run.in_hand is None for run in journal.owned_runs()):
            del _lent[self._real]
            journal.close()
