"""What happens to a JSON Lines journal whose bytes are not what was written (P8)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import JournalDamaged, JournalTooNew, LeftoffError, NotAJournal
from leftoff.journal.entry import Draft, Entry
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.jsonl_scan import SECTOR
from leftoff.journal.store import values_of
from tests.journal.jsonl_files import HEADER, commits_of, line, no_syncs, seal, small_journal

BOTH = pytest.mark.parametrize("durability", ["power", "process"])


@pytest.fixture
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    no_syncs(monkeypatch)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def entries(path: Path, durability: Any) -> list[Entry]:
    store = JsonlStore(path, durability)
    try:
        return list(store.entries())
    finally:
        store.close()


def asides(path: Path) -> list[bytes]:
    return [found.read_bytes() for found in sorted(path.parent.glob(f"{path.name}.torn-*"))]


@BOTH
def test_every_flipped_bit_is_refused(path, durability, unsynced):
    """Each bit of a small journal, flipped alone (failure mode 5), makes opening raise, and nothing is written."""
    small_journal(path, durability)
    whole = path.read_bytes()
    accepted = []
    with path.open("r+b", buffering=0) as file:
        for offset, byte in enumerate(whole):
            for bit in range(8):
                file.seek(offset)
                file.write(bytes([byte ^ 1 << bit]))
                try:
                    JsonlStore(path, durability).close()
                except LeftoffError:
                    continue
                accepted.append((offset, bit))
            file.seek(offset)
            file.write(bytes([byte]))
    assert accepted == []
    assert path.read_bytes() == whole
    assert sorted(p.name for p in path.parent.iterdir()) == ["run.jsonl", "run.jsonl.lock"]


@BOTH
def test_a_flipped_bit_stops_an_owner_before_anything_is_written(path, durability, unsynced):
    """Taking a damaged journal over is refused too, with the file as it was."""
    small_journal(path, durability)
    whole = path.read_bytes()
    seed = 20
    print("seed", seed)
    for _ in range(200):
        offset, bit = random.Random(seed := seed + 1).randrange(len(whole) * 8) // 8, seed % 8
        damaged = whole[:offset] + bytes([whole[offset] ^ 1 << bit]) + whole[offset + 1 :]
        path.write_bytes(damaged)
        with pytest.raises(LeftoffError):
            JsonlStore(path, durability).own("ingest")
        assert path.read_bytes() == damaged
    assert asides(path) == []


@BOTH
def test_damage_names_the_place(path, durability, unsynced):
    """The error says behind which entry and at which offset, and that nothing was changed."""
    ends = small_journal(path, durability)
    data = bytearray(path.read_bytes())
    data[ends[2] - 40] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalDamaged, match=rf"the entry behind seq \d+ \(offset {ends[1]}\).*nothing was changed"):
        JsonlStore(path, durability)


@BOTH
def test_a_cut_at_any_byte_loses_what_was_cut(path, durability, unsynced):
    """A clean prefix remains (failure mode 1); recovery keeps its incomplete last commit aside, and removes no more."""
    ends = small_journal(path, durability)
    whole, all_entries = path.read_bytes(), entries(path, durability)
    counts = [len(entries_before(path, whole[:end], durability)) for end in ends]
    for size in range(len(whole)):
        for aside in path.parent.glob("*.torn-*"):
            aside.unlink()
        path.write_bytes(whole[:size])
        kept = max((end for end in [len(HEADER), *ends] if end <= size), default=0)
        expected = all_entries[: counts[ends.index(kept)]] if kept in ends else []
        assert entries(path, durability) == expected, size
        assert path.read_bytes() == whole[:size], "reading must not cut"
        store = JsonlStore(path, "power")  # what is cut is decided by the lines alone; no thread to wait for
        store.own("new").commit([Draft("done", "k")])
        assert [e for e in store.entries() if e.run != "new"] == expected, size
        assert list(store.verify()) == []
        store.close()
        if kept:
            assert path.read_bytes().startswith(whole[:kept])
            assert asides(path) == ([whole[kept:size]] if size > kept else []), size
            assert bool(store.notes) == (size > kept)
        else:
            assert asides(path) == [], "nothing can have been acknowledged before the header was durable"


def entries_before(path: Path, data: bytes, durability: Any) -> list[Entry]:
    shorter = path.with_name("shorter.jsonl")
    shorter.write_bytes(data)
    return entries(shorter, durability)


def big_commit(path: Path, durability: Any, *, lines: int = 6) -> tuple[int, int]:
    """Write a journal with a last commit of many sectors; return where it begins and ends."""
    small_journal(path, durability)
    store = JsonlStore(path, durability)
    owner = store.own("ingest")
    begin = path.stat().st_size
    owner.commit([Draft("done", f"k{n}", '"' + "v" * 400 + '"') for n in range(lines)])
    store.close()
    return begin, path.stat().st_size


def holes(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Every run of whole sectors within a commit, cut to it."""
    edges = sorted({begin, end, *(at for at in range(0, end, SECTOR) if begin < at < end)})
    return ((a, b) for i, a in enumerate(edges) for b in edges[i + 1 :])


def test_sectors_of_the_last_commit_that_read_as_zeros_are_a_torn_tail(path, unsynced):
    """Any run of sectors that never reached the disk, within the last commit, costs that commit alone."""
    begin, end = big_commit(path, "power")
    whole = path.read_bytes()
    before = [e for e in entries(path, "power") if not e.key.startswith("k")]
    seen = 0
    for hole_begin, hole_end in holes(begin, end):
        for aside in path.parent.glob("*.torn-*"):
            aside.unlink()
        torn = whole[:hole_begin] + bytes(hole_end - hole_begin) + whole[hole_end:]
        path.write_bytes(torn)
        store = JsonlStore(path, "power")
        store.own("ingest")
        assert [e for e in store.entries() if e.kind != "owner"] == [e for e in before if e.kind != "owner"]
        assert path.read_bytes().startswith(whole[:begin])
        assert asides(path) == [torn[begin:]]
        store.close()
        seen += 1
    assert seen >= 10


def test_a_line_end_alone_in_its_sector_may_be_lost(path, unsynced):
    """Where a sector begins with the last commit's line end, that sector can be missing though the line is whole."""
    store = JsonlStore(path, "power")
    owner = store.own("ingest")
    owner.commit([Draft("started", "k")])
    begin = path.stat().st_size
    owner.commit([Draft("done", "k")])
    short = (1 - path.stat().st_size) % SECTOR
    store.close()
    path.unlink()
    store = JsonlStore(path, "power")
    owner = store.own("ingest")
    owner.commit([Draft("started", "k")])
    owner.commit([Draft("done", "k" * (1 + short))])
    store.close()
    whole = path.read_bytes()
    assert len(whole) % SECTOR == 1
    path.write_bytes(whole[:-1] + b"\0")
    store = JsonlStore(path, "power")
    store.own("ingest")
    assert asides(path) == [whole[begin:-1] + b"\0"]
    assert [entry.kind for entry in store.entries()].count("done") == 0
    store.close()


def test_sectors_before_the_last_commit_that_read_as_zeros_are_damage(path, unsynced):
    """With "power" the commits before the last had been synced: a hole there is never cut."""
    begin, end = big_commit(path, "power")
    whole = path.read_bytes()
    for at in range(0, begin, SECTOR):
        stop = min(at + SECTOR, begin)
        path.write_bytes(whole[:at] + bytes(stop - at) + whole[stop:])
        with pytest.raises(LeftoffError):
            JsonlStore(path, "power")
    assert end > begin


@pytest.mark.parametrize("synced", [False, True])
def test_with_process_a_hole_is_a_tear_only_behind_what_had_been_synced(path, synced, unsynced):
    """A power failure may take what was not synced yet; once a line says that it was, a hole before it is damage."""
    store = JsonlStore(path, "process")
    owner = store.own("r")
    appender = owner._appender
    appender._stop.set()  # the syncer says nothing from here on
    if appender._syncer is not None:
        appender._syncer.join()
    commits = []
    for number in range(4):
        if synced and number == 3:
            appender._synced = appender.offset
        begin = appender.offset
        owner.commit([Draft("done", f"k{number}", '"' + "v" * 1500 + '"')])
        commits.append((begin, appender.offset))
    whole = path.read_bytes()
    begin, _ = commits[1]
    at = (begin // SECTOR + 1) * SECTOR
    torn = whole[:at] + bytes(SECTOR) + whole[at + SECTOR :]
    copy = path.with_name("copy.jsonl")
    copy.write_bytes(torn)
    if synced:
        with pytest.raises(JournalDamaged):
            JsonlStore(copy, "process").own("r")
        assert copy.read_bytes() == torn
    else:
        again = JsonlStore(copy, "process")
        again.own("r")
        assert list(again.keys("r", "done")) == ["k0"]
        assert asides(copy) == [torn[begin:]]
        again.close()
    store.close()


@pytest.mark.parametrize("tail", [b"x", b'{"seq":', b'{"seq":99,"commit":', bytes(1), bytes(700), b"\xff\xfe"])
@BOTH
def test_garbage_without_a_line_end_is_a_torn_tail(path, durability, tail, unsynced):
    """What can be the beginning of a write that was cut off is cut off, and kept."""
    small_journal(path, durability)
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    store = JsonlStore(path, durability)
    store.own("ingest")
    assert path.read_bytes().startswith(whole)
    assert asides(path) == [tail]
    assert store.notes == [f"{path}: its last commit was torn; {len(tail)} bytes were cut and kept in run.jsonl.torn-1"]
    store.close()


@pytest.mark.parametrize("tail", [b"x\n", b"\n", b"{}\n", b"null\n", b'{"seq":1}\n', b"\0x\0\n", HEADER])
@BOTH
def test_a_whole_line_that_does_not_fit_is_damage(path, durability, tail, unsynced):
    """Somebody else's line, or a second header, is refused and left."""
    small_journal(path, durability)
    data = path.read_bytes() + tail
    path.write_bytes(data)
    with pytest.raises(JournalDamaged):
        JsonlStore(path, durability).own("ingest")
    assert path.read_bytes() == data


@BOTH
def test_lines_moved_dropped_doubled_or_brought_in_are_damage(path, durability, unsynced):
    """A line is at its place or nowhere: the chain sees what each line alone could not."""
    ends = small_journal(path, durability)
    whole = path.read_bytes()
    parts = [whole[: len(HEADER)], *(whole[begin:end] for begin, end in commits_of(ends))]
    other = path.with_name("other.jsonl")
    small_journal(other, durability)
    foreign = other.read_bytes()
    wrong = [b"".join([*parts[:n], *parts[n + 1 :]]) for n in range(1, len(parts) - 1)]
    wrong += [b"".join([*parts[:n], parts[n], *parts[n:]]) for n in range(1, len(parts))]
    wrong += [b"".join([*parts[:n], parts[n + 1], parts[n], *parts[n + 2 :]]) for n in range(1, len(parts) - 1)]
    wrong += [whole + foreign[ends[-2] : ends[-1]], foreign[: len(HEADER)] + whole[len(HEADER) :]]
    for data in wrong:
        path.write_bytes(data)
        with pytest.raises(JournalDamaged):
            JsonlStore(path, durability)


@BOTH
def test_a_newer_format_is_left_untouched(path, durability):
    """A journal of a later release is refused, read or owned, byte for byte as it was, and nothing stands beside it."""
    small_journal(path, durability)
    (path.with_name("run.jsonl.lock")).unlink()
    newer = path.read_bytes().replace(b'"format":1', b'"format":2', 1) + b'{"new":"things"}\n'
    path.write_bytes(newer)
    with pytest.raises(JournalTooNew, match="written in format 2; this release reads up to 1: upgrade leftoff"):
        JsonlStore(path, durability).own("ingest")
    assert path.read_bytes() == newer
    assert [p.name for p in path.parent.iterdir()] == ["run.jsonl"]


@pytest.mark.parametrize("version", [b"2", b"10", b"9" * 30, b"9" * 5000, b"2.5", b"3e1"])
def test_a_newer_header_need_not_look_like_ours(path, version):
    """Whatever else a later format writes into its first line, its number is understood."""
    data = b'{"leftoff":"journal","format":' + version + b',"changed":true}\n{"x":1}\n'
    path.write_bytes(data)
    with pytest.raises(JournalTooNew):
        JsonlStore(path)
    assert path.read_bytes() == data


@pytest.mark.parametrize("filler", [0, 1, 300])
def test_a_header_torn_at_any_byte_is_completed(path, filler, unsynced):
    """What is there of an interrupted creation, with or without zeros behind it, becomes a journal."""
    for size in range(len(HEADER)):
        path.write_bytes(HEADER[:size] + bytes(filler))
        store = JsonlStore(path)
        assert list(store.entries()) == []
        store.own("r").commit([Draft("done", "k")])
        store.close()
        assert [e.key for e in entries(path, "power") if e.kind == "done"] == ["k"]
    assert asides(path) == []


@pytest.mark.parametrize(
    "content", [b"hello", b'{"doi":"10.1/x"}\n', b"\n", b" ", b"[1]", b'{"leftoff":"other"}\n', b"\0" * 600 + b"x"]
)
def test_what_is_no_journal_is_left_alone(path, content):
    """A file of the user's that happens to have the suffix is refused, not completed."""
    path.write_bytes(content)
    with pytest.raises((NotAJournal, JournalDamaged)):
        JsonlStore(path).own("r")
    assert path.read_bytes() == content


DEEP = "[" * 100_000 + "]" * 100_000
HUGE = "9" * 5000
FORGED = {
    "deep value": [line(f'"done":"k","value":{DEEP}')],
    "huge number": [line(f'"done":"k","value":{HUGE}')],
    "huge seq": [line('"done":"k"').replace(b'"seq":1', b'"seq":' + HUGE.encode())],
    "huge commit": [line('"done":"k"').replace(b'"commit":', b'"commit":' + HUGE.encode())],
    "huge epoch": [line('"owner":"","value":{}').replace(b'"epoch":1', b'"epoch":' + HUGE.encode())],
    "bad time": [line('"done":"k"', at="yesterday")],
    "far time": [line('"done":"k"', at="9999-12-31T23:59:59.999Z"), line('"done":"j"', at="0001-01-01T00:00:00.000Z")],
    "not an object": [b'["x"'],
    "no fields": [b'{"a":1'],
    "no kind": [line('"value":1')],
    "no run": [b'{"seq":1,"commit":100,"at":"2026-11-23T22:20:01.207Z","epoch":1,"done":"k"'],
    "key is a list": [line('"done":["k"]')],
    "key is a number": [line('"dead":7')],
    "key is null": [line('"started":null')],
    "started is null": [line('"done":"k","started":null')],
    "seq is a text": [line('"done":"k"').replace(b'"seq":1', b'"seq":"one"')],
    "epoch is a text": [line('"owner":"","value":{}').replace(b'"epoch":1', b'"epoch":"one"')],
    "tries are a list": [line('"started":"k","value":[1]'), line('"failed":"k","value":[1]', 2)],
    "tries are texts": [line('"started":"k","value":{"errors":"many"}')],
    "mark is a list": [line('"open":"","value":[1]')],
    "mark holds texts": [line('"open":"","value":{"k":"x"}')],
    "bytes are not base64": [line('"done":"k","value":{"$bytes":"a"}')],
    "not UTF-8": [line('"done":"k"')[:-2] + b'\xff"'],
    "surrogate": [line('"done":"\\ud800"')],
    "bad escape": [line('"done":"\\x"')],
    "not JSON": [line('"done":"k",nonsense')],
    "unknown kind": [line('"celebrated":"k","value":1')],
}


@pytest.mark.parametrize("name", FORGED)
def test_whatever_a_sealed_line_says_surfaces_as_an_error_of_ours(path, name, unsynced):
    """Lines whose sums fit but which no release would write raise a LeftoffError or are read, in every way to look."""
    data = seal(*FORGED[name])
    looks = {
        "entries": lambda s: list(s.entries()),
        "keys": lambda s: [*s.keys("r", "done"), *s.keys("r", "dead")],
        "values": lambda s: values_of(s, "r", ["k", "7"]),
        "open_items": lambda s: s.open_items("r"),
        "latest": lambda s: s.latest("r", "owner"),
        "counts": lambda s: s.counts("r"),
        "runs": lambda s: s.runs(),
        "verify": lambda s: list(s.verify()),
        "own": lambda s: s.own("r").commit([Draft("done", "new")]),
    }
    odd = {}
    for look, call in looks.items():
        path.write_bytes(data)
        store = None
        try:
            store = JsonlStore(path)
            call(store)
        except LeftoffError:
            pass
        except Exception as error:
            odd[look] = repr(error)[:200]
        finally:
            if store is not None:
                store.close()
    assert odd == {}


@pytest.mark.parametrize("name", ["key is a list", "key is a number", "key is null", "started is null"])
def test_a_key_that_is_no_text_is_refused(path, name, unsynced):
    """What no release writes as a key is damage where it is read, and never a key of an item."""
    path.write_bytes(seal(*FORGED[name]))
    with pytest.raises(JournalDamaged, match="run and key are texts"):
        entries(path, "power")
