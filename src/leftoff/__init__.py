"""Pick up where you left off: loops and long operations that survive being killed at any instant."""

from leftoff.errors import (
    IncompleteRun,
    JournalBusy,
    JournalDamaged,
    JournalError,
    LeftoffError,
    RunInUse,
    Stopped,
    UsageError,
)
from leftoff.journal.entry import Entry
from leftoff.work.current import Current, current
from leftoff.work.journal import Journal, open  # noqa: A004  # leftoff.open
from leftoff.work.loops import aeach, amap, batches, each, map  # noqa: A004  # leftoff.map
from leftoff.work.outcome import Outcome
from leftoff.work.replacing import replacing
from leftoff.work.report import Report
from leftoff.work.run import Run
from leftoff.work.step import Cursor
from leftoff.work.values import Failure

__version__ = "0.1.0.dev0"

__all__ = [
    "Current",
    "Cursor",
    "Entry",
    "Failure",
    "IncompleteRun",
    "Journal",
    "JournalBusy",
    "JournalDamaged",
    "JournalError",
    "LeftoffError",
    "Outcome",
    "Report",
    "Run",
    "RunInUse",
    "Stopped",
    "UsageError",
    "aeach",
    "amap",
    "batches",
    "current",
    "each",
    "map",
    "open",
    "replacing",
]
