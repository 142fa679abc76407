"""What every loop can be told, said once: for callers, for type checkers, and for `help()`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypedDict, TypeVar

from leftoff.errors import UsageError
from leftoff.journal.shard import make_shard
from leftoff.work.attempt import RetryOn, check_retry_on
from leftoff.work.current import check_amounts
from leftoff.work.deadline import Span, seconds_of
from leftoff.work.fates import OnFate
from leftoff.work.versions import ON_CHANGE, OnChange

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
Duplicates = Literal["refuse", "skip"]
Key = Callable[[Any], Any] | str | None
KeyOf = Callable[[T], Any] | str | None


class LoopOptions(TypedDict, total=False):
    """Be the options that all loops share, as they are passed; `Run.each` says what each of them does."""

    attempts: int
    crashes: int
    retry_on: RetryOn
    rate: str | None
    progress: bool
    on_fate: OnFate | None
    stop_after: Span | None
    grace: Span | None
    budget: Mapping[str, float] | None
    on_change: OnChange
    parameters: Any
    duplicates: Duplicates | None
    shard: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Options:
    """Be the same with what holds where nothing was passed, checked."""

    key: Key = None
    attempts: int = 3
    crashes: int = 5
    retry_on: RetryOn = Exception
    rate: str | None = None
    progress: bool = True
    on_fate: OnFate | None = None
    stop_after: Span | None = None
    grace: Span | None = None
    budget: Mapping[str, float] | None = None
    on_change: OnChange = "warn"
    parameters: Any = None
    duplicates: Duplicates | None = None
    shard: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name in ("attempts", "crashes"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}={getattr(self, name)}: at least one try is needed")
        if self.duplicates not in (None, "refuse", "skip"):
            raise UsageError(f"duplicates={self.duplicates!r}: write 'refuse' or 'skip'")
        if self.on_change not in ON_CHANGE:
            raise UsageError(f"on_change={self.on_change!r}: write one of {', '.join(map(repr, ON_CHANGE))}")
        if self.budget is not None:
            check_amounts(self.budget, f"budget={self.budget!r}")
        check_retry_on(self.retry_on)
        if self.on_fate is not None and not callable(self.on_fate):
            raise UsageError(f"on_fate={self.on_fate!r}: give a function of a fate, a key, an attempt and a failure")
        make_shard(self.shard)
        for name in ("stop_after", "grace"):
            if getattr(self, name) is not None:
                seconds_of(getattr(self, name), name)


def takes_options(loop: F) -> F:
    """Let `help()` and `inspect` show the options of a loop one by one where it takes them as ``**options``."""
    signature = inspect.signature(loop)
    own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    annotations = LoopOptions.__annotations__
    shared = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=getattr(annotations[field.name], "__forward_arg__", annotations[field.name]),
        )
        for field in fields(Options)
        if field.name in annotations
    ]
    loop.__signature__ = signature.replace(parameters=[*own, *shared])  # type: ignore[attr-defined]
    return loop


def make_options(loop: str, key: Key, options: LoopOptions) -> Options:
    """Check what was passed to a loop of this name."""
    if unknown := options.keys() - LoopOptions.__annotations__.keys():
        raise TypeError(f"{loop}() got an unexpected keyword argument {min(unknown)!r}")
    return Options(key, **options)
