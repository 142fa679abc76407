"""How a map works: what it was told beside the options that all loops share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from leftoff.errors import UsageError
from leftoff.work.executors import ExecutorOrFactory


@dataclass(frozen=True, slots=True)
class How:
    """Be the function and the seconds it may take, who calls it, and what becomes of its results."""

    function: Callable[[Any], Any]
    workers: int | None = None
    executor: ExecutorOrFactory | None = None
    ordered: bool = True
    write: Callable[[Any, Any], object] | None = None
    result_type: type[Any] | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise UsageError(f"map({self.function!r}): the first argument is the function, the second the items")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers={self.workers}: at least one is needed")
        if self.timeout is not None and not self.timeout > 0:
            raise UsageError(f"timeout={self.timeout}: give the seconds that an item may take")

    def check(self, connection: Any, url: str) -> None:
        """Raise UsageError where rows are to be written and the journal has no tables."""
        if self.write is not None and connection is None:
            raise UsageError(f"map(write=…) needs a journal with tables, such as papers.db; {url} has none")
