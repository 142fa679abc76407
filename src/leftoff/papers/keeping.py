"""Keep what a service sent, batch by batch: each record, or that there is none, and the log's line of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from typing import Protocol

from leftoff.papers.log import NOT_SENT, Event, ProgressLog, note
from leftoff.papers.record import Record
from leftoff.papers.store import record_absence, store_record


class Sent(Protocol):
    """Be what came of one identifier that a service was asked for."""

    @property
    def source(self) -> str:
        """The service."""

    @property
    def identifier(self) -> int | str:
        """What it was asked for, as the tables hold it."""

    @property
    def key(self) -> str:
        """What it is known by in the journal."""

    @property
    def record(self) -> Record | None:
        """What it sent, None: nothing. It is read no sooner than it is kept: one that cannot be is its own failure."""

    @property
    def at(self) -> str:
        """A moment before it was asked, as the tables hold it."""


def keep_all(connection: sqlite3.Connection, batches: Iterable[Collection[Sent]], log: ProgressLog | None) -> None:
    """Keep batch after batch of a run's; the log follows what is committed."""
    for batch in batches:
        if log is not None:
            log.follow()
        events = [_kept(connection, sent) for sent in batch]
        both = zip(batch, events, strict=True)
        came = [(sent.source, sent.identifier) for sent, event in both if event.what not in NOT_SENT]
        connection.executemany("DELETE FROM absent WHERE source = ? AND identifier = ?", came)
        note(connection, events)
    if log is not None:
        log.follow()


def _kept(connection: sqlite3.Connection, sent: Sent) -> Event:
    """Keep one record, or that there is none; return what that did."""
    source, identifier, record = sent.source, sent.identifier, sent.record
    if record is None:
        what: str = record_absence(connection, source, identifier, sent.at)
        doi = None if isinstance(identifier, int) else identifier
    else:
        what = store_record(connection, record, sent.at)
        doi = record.doi
    return Event(sent.at, source, identifier if isinstance(identifier, int) else None, doi, what)
