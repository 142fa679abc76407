"""What makes a directory a journal: its header, which whoever comes first makes in one step, and the names in it."""

from __future__ import annotations

import os
import re
import secrets
import socket
import time
from pathlib import Path
from typing import Final
from zlib import crc32

from leftoff.errors import JournalDamaged, JournalTooNew
from leftoff.journal.entry import FORMAT
from leftoff.journal.jsonl_scan import parse_time, time_text
from leftoff.journal.sync import open_private, sync_directory, sync_file, write_all

HEADER: Final = "journal.json"
_HEADER: Final = re.compile(
    rb'\{"leftoff":"segments","format":(\d{1,9}),"id":"([0-9a-f]{16})","created":"([0-9TZ:.-]{24})","sum":"([0-9a-f]{8})"\}\n'
)


def new_name() -> str:
    """Return a name for a new segment, which tells people when, where and by whom it was begun."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:60]
    stamp = re.sub(r"[-:.]", "", time_text(time.time()))
    return f"{stamp}-{host}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"


def new_run_id(journal_id: str, run: str) -> str:
    """Return the id of a run that begins here: writers that never meet agree on it."""
    return f"{journal_id}{crc32(run.encode()):08x}"


def read_header(path: Path) -> tuple[str, float]:
    """Return the journal's id from its header, and when it was made, in seconds since 1970."""
    data = path.read_bytes()
    match = _HEADER.fullmatch(data)
    if match is not None and int(match[1]) > FORMAT:
        raise JournalTooNew(
            f"{path} was written in format {int(match[1])}; this release reads up to {FORMAT}: upgrade leftoff."
            " The directory is untouched"
        )
    if match is None or crc32(data[:-11]) != int(match[4], 16):
        raise JournalDamaged(f"{path} is not what was written; restore a copy of the file")
    return match[2].decode(), parse_time(match[3].decode())


def header_line(journal_id: str, made: float) -> bytes:
    """Return the header of a journal that was made at ``made`` (seconds since 1970)."""
    fields = (FORMAT, journal_id.encode(), time_text(made).encode())
    body = b'{"leftoff":"segments","format":%d,"id":"%s","created":"%s","sum":"' % fields
    return b'%s%08x"}\n' % (body, crc32(body))


def make_header(folder: Path) -> None:
    """Make the header appear whole, or not at all; raise FileExistsError where somebody else's is there."""
    temporary = folder / f".{HEADER}.{secrets.token_hex(8)}"
    fd = open_private(temporary, os.O_EXCL)
    try:
        write_all(fd, header_line(secrets.token_hex(8), time.time()))
        sync_file(fd)
        os.link(temporary, folder / HEADER)
    finally:
        os.close(fd)
        os.unlink(temporary)
    sync_directory(folder)
