"""Small JSON Lines journals to damage: written by the store itself, or sealed by hand around any text."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from leftoff.journal import jsonl, jsonl_owner, sync
from leftoff.journal.entry import Draft
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.jsonl_scan import make_header

HEADER = make_header("8f14e45fceea167a", "2026-11-23T22:20:01.123Z")


def no_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let thousands of small journals be opened without waiting for the disk."""
    for module in (jsonl, jsonl_owner, sync):
        monkeypatch.setattr(module, "sync_file", lambda fd: None)
    for other in (jsonl, sync):
        monkeypatch.setattr(other, "sync_directory", lambda path: None)


def small_journal(path: Path, durability: Any) -> list[int]:
    """Write a journal with all that can be on a line; return the offsets at which its commits end."""
    store = JsonlStore(path, durability)
    owner, ends = store.own("ingest"), []

    def commit(who: Any, *drafts: Draft) -> None:
        who.commit(drafts)
        ends.append(path.stat().st_size)

    ends.append(path.stat().st_size)
    commit(owner, Draft("started", "a b@"))
    commit(owner, Draft("done", "a b@", '{"n":1}'), Draft("started", "9"))
    commit(owner, Draft("done", "9"), Draft("started", "é\n"))
    commit(owner, Draft("failed", "é\n", '{"tries":{"errors":1},"error":{"type":"E","message":"m"}}'))
    other = store.own("other")
    ends.append(path.stat().st_size)
    commit(other, Draft("started", "x"), Draft("started", "y", '{"crashes":1}'), Draft("started", "z"))
    commit(
        other, Draft("done", "x", '"v"'), Draft("dead", "y", '{"tries":{"crashes":5}}'), Draft("released", "z", "{}")
    )
    commit(owner, Draft("step", "build", "[1,2]"), Draft("cursor", "since", '"2026"'))
    commit(
        owner, Draft("done", "é\n"), Draft("started", "m1"), Draft("started", "m2"), Draft("pass", "", '{"total":3}')
    )
    store.close()
    return ends


def seal(*bodies: bytes, header: bytes = HEADER) -> bytes:
    """Make a journal of lines whose sums fit, whatever the lines say. A body ends where its sum would begin."""
    data = header
    for body in bodies:
        line = body + b',"sum":"'
        data += line + b'%08x"}\n' % crc32(data + line)
    return data


def line(
    rest: str, seq: int = 1, offset: int = len(HEADER), at: str = "2026-11-23T22:20:01.207Z", more: str = ""
) -> bytes:
    return f'{{"seq":{seq},"commit":{offset},"at":"{at}","run":"r","epoch":1,{rest}{more}'.encode()


def commits_of(ends: list[int]) -> list[tuple[int, int]]:
    return list(pairwise([len(HEADER), *ends]))


def built(*commits: list[str], header: bytes = HEADER, synced: bool = False) -> bytes:
    """Make a journal of commits, each given by what its lines say from the kind on; the rest is as a writer has it.

    A text that begins with ``"run"`` names run and epoch itself; ``synced``: each line says that the header was synced.
    """
    data, seq = header, 1
    for commit in commits:
        begin = len(data)
        for number, rest in enumerate(commit):
            of = rest if rest.startswith('"run"') else f'"run":"r","epoch":1,{rest}'
            lead = f'{{"seq":{seq},"commit":{begin},' + (f'"synced":{len(header)},' if synced else "")
            more = ',"more":1' if number < len(commit) - 1 else ""
            body = f'{lead}"at":"2026-11-23T22:20:01.207Z",{of}{more},"sum":"'.encode()
            data += body + b'%08x"}\n' % crc32(data + body)
            seq += 2 if '"done"' in rest and '"started"' in rest else 1
    return data
