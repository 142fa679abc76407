"""What the process exits with: the one table, and the one place where an error becomes a code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Final

import click

from leftoff.cli.text import printable
from leftoff.errors import (
    JournalBusy,
    JournalDamaged,
    JournalFull,
    LeftoffError,
    OwnershipLost,
    ServiceRefused,
    Stopped,
    UsageError,
)


class Exit(IntEnum):
    """Be one exit code of every command."""

    COMPLETE = 0
    FAILED = 1
    USAGE = 2
    DEAD_LETTERS = 3
    DAMAGED = 4
    BUSY = 5
    STOPPED = 75
    INTERRUPTED = 130
    UNREAD = 141


MEANINGS: Final[dict[Exit, str]] = {
    Exit.COMPLETE: "complete",
    Exit.FAILED: "failed",
    Exit.USAGE: "the command was called wrongly; nothing was changed",
    Exit.DEAD_LETTERS: "complete, but with dead letters",
    Exit.DAMAGED: "the journal is damaged",
    Exit.BUSY: "another process owns the run",
    Exit.STOPPED: "stopped (SIGTERM, deadline, disk full, a service that keeps refusing); run it again to go on",
    Exit.INTERRUPTED: "stopped by Ctrl-C; run it again to go on",
    Exit.UNREAD: "the reader of the output went away, as after `| head`",
}

_CODES: Final[tuple[tuple[type[BaseException], Exit], ...]] = (  # the first that fits decides
    (UsageError, Exit.USAGE),
    (JournalDamaged, Exit.DAMAGED),
    (JournalBusy, Exit.BUSY),
    (OwnershipLost, Exit.BUSY),
    (JournalFull, Exit.STOPPED),
    (ServiceRefused, Exit.STOPPED),
    (LeftoffError, Exit.FAILED),
    (BrokenPipeError, Exit.UNREAD),
    (KeyboardInterrupt, Exit.INTERRUPTED),
)


def code_of(error: BaseException) -> int:
    """Return what a process exits with after this error."""
    if isinstance(error, Stopped):
        return error.code
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Exit.STOPPED
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.FAILED)


@contextmanager
def errors_as_codes() -> Iterator[None]:
    """Turn what went wrong into one line on stderr and an exit code; an error of our own making keeps its traceback."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError as error:
        _discard_output()
        raise click.exceptions.Exit(code_of(error)) from None
    except Stopped as stopped:
        if not stopped.told:
            click.echo(f"leftoff: {printable(stopped.message)}", err=True)
        raise click.exceptions.Exit(stopped.code) from None
    except (LeftoffError, OSError) as error:
        click.echo(f"leftoff: {printable(_message(error))}", err=True)
        raise click.exceptions.Exit(code_of(error)) from None
    except KeyboardInterrupt as error:
        raise click.exceptions.Exit(code_of(error)) from None


def _message(error: BaseException) -> str:
    if isinstance(error, OSError) and not isinstance(error, LeftoffError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)


def _discard_output() -> None:
    """Send what is still buffered nowhere, or Python would complain of the closed pipe once more at its exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
