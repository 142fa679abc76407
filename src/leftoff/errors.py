"""Every error of leftoff, as one tree; this module imports nothing.

LeftoffError
├── UsageError (ValueError)        the calling program is wrong; nothing was written
│   ├── UnusableKey                 an item that cannot be its own key
│   ├── DuplicateKey                two items of one pass share a key
│   ├── UnusableValue               a result that a journal cannot hold
│   │   └── ValueTooLarge
│   ├── RunInUse                    two loops met under one run name
│   ├── WrongThread                 a loop or connection used from another thread
│   ├── PendingRows                 an inner loop or step begun over uncommitted rows
│   ├── TransactionEnded            the item's transaction was ended by a statement of its own
│   └── MissingExtra (ImportError)  an optional dependency is not installed
├── JournalError                   the place where progress is kept
│   ├── JournalMissing (FileNotFoundError)
│   ├── NotAJournal                 the file is something else
│   ├── JournalTooNew               written by a newer release; left untouched
│   ├── JournalReadOnly (PermissionError)
│   ├── JournalFull (OSError)       no space left; everything committed is intact
│   ├── JournalUnusable (OSError)   the system could not open, read or write it: an I/O error, a limit
│   ├── JournalDamaged              bytes changed after they were written
│   ├── JournalMoved                the run goes on in another journal
│   ├── JournalLost                 the file was deleted or replaced underneath
│   ├── JournalBusy                 another process owns the run
│   ├── OwnershipLost               this process is no longer the owner
│   ├── JournalInDoubt              a commit failed: it may or may not be durable
│   ├── JournalUnreachable (ConnectionError)  the server that keeps it does not answer
│   ├── JournalClosed
│   ├── ForkedHandle                used in a child process after fork
│   ├── LocksUnavailable            the file system cannot keep a second process out
│   └── DurabilityUnavailable       the platform cannot give what was asked
├── IncompleteRun                  a completed loop left items unaccounted for
├── CodeChanged                    results were made by another version of the function, and on_change is "refuse"
├── NoSuchPaper (LookupError)      a name that no paper of a database has
└── ServiceError                   a remote service
    └── ServiceRefused              it keeps refusing; everything so far is kept

Stopped (KeyboardInterrupt, SystemExit) stands outside, so that no ``except Exception`` eats it.
"""

from __future__ import annotations


class LeftoffError(Exception):
    """Be the root of every error that leftoff raises."""


class UsageError(LeftoffError, ValueError):
    """Say that the calling program is wrong; nothing was written."""


class UnusableKey(UsageError):
    """Refuse an item that cannot be its own key."""


class DuplicateKey(UsageError):
    """Refuse a second item with a key that this pass has already met."""


class UnusableValue(UsageError):
    """Refuse a result that a journal cannot hold."""


class ValueTooLarge(UnusableValue):
    """Refuse a result above the size that a journal is meant for."""


class RunInUse(UsageError):
    """Refuse a run name that another loop or another program already uses."""


class WrongThread(UsageError):
    """Refuse a loop or a connection used from a thread that does not own it."""


class PendingRows(UsageError):
    """Refuse an inner loop or step while the outer item has uncommitted rows."""


class TransactionEnded(UsageError):
    """Refuse a statement after the item's transaction was ended underneath it."""


class MissingExtra(UsageError, ImportError):
    """Name the optional dependency that has to be installed."""


class JournalError(LeftoffError):
    """Say that the place where progress is kept cannot be used."""


class JournalMissing(JournalError, FileNotFoundError):
    """Say that there is no journal at this place."""


class NotAJournal(JournalError):
    """Say that the file at this place is not a journal."""


class JournalTooNew(JournalError):
    """Refuse a journal that a newer release wrote; it is left untouched."""


class JournalReadOnly(JournalError, PermissionError):
    """Say that the journal can be read but not written."""


class JournalFull(JournalError, OSError):
    """Say that no space was left; everything committed before is intact."""


class JournalUnusable(JournalError, OSError):
    """Say that the system could not open, read or write the journal; nothing that was committed has changed."""


class JournalDamaged(JournalError):
    """Name the entry whose bytes changed after they were written."""


class JournalMoved(JournalError):
    """Say that the run was moved: it goes on in another journal, which is named."""


class JournalLost(JournalError):
    """Say that the journal's file was deleted or replaced underneath."""


class JournalBusy(JournalError):
    """Name the process that owns the run."""


class OwnershipLost(JournalError):
    """Refuse a commit because another owner has taken the run over."""


class JournalInDoubt(JournalError):
    """Say that a commit failed and may or may not be durable; reopen to know."""


class JournalUnreachable(JournalError, ConnectionError):
    """Say that the server that keeps the journal does not answer; what was committed is kept there."""


class JournalClosed(JournalError):
    """Refuse work on a journal that was closed."""


class ForkedHandle(JournalError):
    """Refuse a journal handle inherited through fork."""


class LocksUnavailable(JournalError):
    """Refuse a file system without working locks for a journal that needs them."""


class DurabilityUnavailable(JournalError):
    """Refuse a durability that the platform cannot give."""


class IncompleteRun(LeftoffError):
    """Say that a completed loop left items that are neither done nor dead."""


class CodeChanged(LeftoffError):
    """Refuse to mix results of two versions of a function, as ``on_change="refuse"`` asks."""


class NoSuchPaper(LeftoffError, LookupError):
    """Say that no paper of a database has this name."""


class ServiceError(LeftoffError):
    """Say what a remote service answered that cannot be used."""


class ServiceRefused(ServiceError):
    """Say that a service keeps refusing; everything so far is kept."""


class Stopped(KeyboardInterrupt, SystemExit):
    """Say that the run was asked to stop and everything finished is committed.

    ``code`` is the process's exit code: 130 after Ctrl-C, 75 after SIGTERM. Uncaught, it ends the process with
    that code and without a traceback. ``told`` says that the user has read the message already.
    """

    code: int
    told: bool = False

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.message = message
        self.code = code

    def __str__(self) -> str:
        return self.message
