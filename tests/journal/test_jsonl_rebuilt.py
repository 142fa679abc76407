"""What stands in a JSON Lines journal that was written anew: by a repair, a compaction or a copy, entry by entry."""

from __future__ import annotations

import sqlite3
import stat
import time
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from leftoff.errors import JournalBusy, UsageError
from leftoff.journal import jsonl_write
from leftoff.journal.copying import appearing, write_jsonl, write_sqlite
from leftoff.journal.entry import Tries
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.jsonl_compact import compact_jsonl
from leftoff.journal.jsonl_repair import plan_jsonl, repair_jsonl
from leftoff.journal.jsonl_verify import examine_jsonl
from leftoff.journal.jsonl_write import JsonlWriter, entry_text
from leftoff.journal.lock import Hold, whoami
from leftoff.journal.repairing import Remains
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.store import Compacted, Repair
from tests.journal.jsonl_files import HEADER, built

CREATED = '"created":"","value":{"id":"0123456789abcdef","program":null,"parent":null}'
OWNER = '"owner":"","value":{"host":"h","pid":1,"start":"s","durability":"process"}'
OTHER = '"run":"ü","epoch":4,'
COMMITS = [
    [CREATED, OWNER],  # seq 1 and 2
    ['"started":"a"'],  # 3
    ['"done":"a","started":"b"'],  # 4 and 5
    [f"{OTHER}{CREATED}", f"{OTHER}{OWNER}", f'{OTHER}"done":"x","value":{{"ü":["ä",1]}}'],  # 6 to 8
    ['"failed":"b","value":{"tries":{"errors":1,"crashes":2}}', '"step":"s","value":1'],  # 9 and 10
    ['"done":"c","value":"c"'],  # 11
    ['"dead":"d","value":{}', '"started":"e"'],  # 12 and 13
    ['"step":"s","value":2', '"cursor":"k","value":"v"'],  # 14 and 15
    ['"forgotten":"a"', '"retried":"d"', '"done":"f"'],  # 16 to 18
    [f'{OTHER}"pass":"p","value":{{"total":1}}'],  # 19
]
DATA = built(*COMMITS)
SOUND: Repair = Repair([], 0, 0, [], [], None)
Row = tuple[int, str, str, str, Any, int]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.jsonl"


def rows(path: Path) -> list[Row]:
    store = JsonlStore(path)
    found = [(e.seq, e.run, e.kind, e.key, e.value, e.epoch) for e in store.entries()]
    store.close()
    return found


def put(path: Path, data: bytes) -> list[Row]:
    path.write_bytes(data)
    return rows(path)


B = {"errors": 1, "crashes": 2, "begun": 0}


@pytest.mark.parametrize("plausible", [False, True])
def test_a_sound_journal_is_left_alone(path: Path, plausible: bool) -> None:
    """Nothing is kept, lost or written, and no copy is made."""
    put(path, DATA)
    assert plan_jsonl(path, "a", plausible=plausible) == repair_jsonl(path, "a", plausible=plausible) == SOUND
    assert path.read_bytes() == DATA
    assert sorted(file.name for file in path.parent.iterdir()) == ["a.jsonl", "a.jsonl.lock"]


@pytest.mark.usefixtures("noon")
def test_a_repair_keeps_each_entry_that_fits_and_ends_each_run(path: Path) -> None:
    """Kept entries stay as they are, the lost one's seq stays empty, each run gets an owner, a note and a mark."""
    whole = put(path, DATA)
    harmed = DATA.replace(b'"done":"c"', b'"done":"C"')
    path.write_bytes(harmed)
    damage = examine_jsonl(path, "url").damage
    plan = plan_jsonl(path, "url", plausible=False)
    assert plan == Repair(damage, 18, 0, [("r", "C")], [], None)
    assert repair_jsonl(path, "url", plausible=False) == plan._replace(aside="a.jsonl.damaged-1")
    found = rows(path)
    assert found[:18] == [row for row in whole if row[0] != 11]
    ending = [("owner", {**whoami(), "durability": "power"}), ("repaired", {"aside": "a.jsonl.damaged-1"})]
    waiting = {"e": {"errors": 0, "crashes": 0, "begun": 1}}
    assert found[18:] == [
        (20 + number, run, kind, "", value, epoch)
        for number, (run, epoch, (kind, value)) in enumerate(
            [
                *(("r", 2, row) for row in (*ending, ("open", {"b": B, **waiting}))),
                *(("ü", 5, row) for row in (*ending, ("open", {}))),
            ]
        )
    ]
    assert path.read_bytes().startswith(DATA[: DATA.index(b'{"seq":11,')]), "what stands before is as it was"
    aside = path.with_name("a.jsonl.damaged-1")
    assert aside.read_bytes() == harmed
    assert stat.S_IMODE(aside.stat().st_mode) == stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("was", "reads", "undone"),
    [
        (b'"epoch":4,"done":"y"', b'"epoch":7,"done":"y"', [("ü", "y")]),
        (b'"epoch":1,"done":"x"', b'"epoch":7,"done":"x"', [("r", "x")]),
        (b'"epoch":1,"step":"z"', b'"epoch":7,"step":"z"', []),
    ],
)
def test_what_a_lost_line_reads_as_counts_for_its_own_run(
    path: Path, was: bytes, reads: bytes, undone: list[tuple[str, str]]
) -> None:
    """There the item is done again; an item of the same key in another run is none of its business."""
    data = built(*COMMITS[:4], [f'{OTHER}"done":"y"'], ['"done":"x"'], ['"step":"z","value":1'], ['"done":"last"'])
    path.write_bytes(data.replace(was, reads))
    assert plan_jsonl(path, "url", plausible=False).undone == undone


@pytest.mark.parametrize(("plausible", "kept", "left_out"), [(False, 3, 14), (True, 17, 0)])
def test_what_stands_elsewhere_is_kept_only_when_asked(path: Path, plausible: bool, kept: int, left_out: int) -> None:
    """Behind bytes that vanished entries fit each other, but not their places: they are counted, or kept."""
    whole = [row for row in put(path, DATA) if row[0] not in (4, 5)]
    path.write_bytes(DATA.replace(b'"done":"a","started":"b"', b'"done":"a"'))
    done = repair_jsonl(path, "url", plausible=plausible)
    assert (done.kept, done.left_out) == (kept, left_out)
    assert rows(path)[:kept] == whole[:kept]
    assert examine_jsonl(path, "url") == ([], 0)


@pytest.mark.parametrize("lost", ["header", "created", "header and created"])
def test_what_a_run_and_a_journal_are_called_by_is_renewed_where_it_was_lost(path: Path, lost: str) -> None:
    """A lost header makes another journal, a lost `created` another run, which is told; else the id stays."""
    harmed = DATA.replace(b"8f14", b"8f15") if "header" in lost else DATA
    if "created" in lost:
        harmed = harmed.replace(b'"parent":null},"more":1', b'"PARENT":null},"more":1', 1)
    put(path, DATA)
    path.write_bytes(harmed)
    done = repair_jsonl(path, "url", plausible=False)
    assert done.renewed == (["r"] if "created" in lost else [])
    assert done.kept == (17 if "created" in lost else 19)
    store = JsonlStore(path)
    head = store.head("r")
    assert head is not None
    assert (head[0] == "8f14e45fceea167a") == ("header" not in lost)
    created = [entry for entry in store.entries("r") if entry.kind == "created"]
    assert len(created) == 1
    assert (created[0].value["id"] == "0123456789abcdef") == ("created" not in lost)
    assert (created[0].seq, created[0].epoch) == ((20, 2) if "created" in lost else (1, 1))
    assert list(store.verify()) == []
    store.close()


def test_a_journal_of_which_only_the_header_is_left_is_repaired_to_an_empty_one(path: Path) -> None:
    """Where no commit can be kept the header is, and no run."""
    put(path, HEADER)
    path.write_bytes(HEADER + b"junk\n")
    done = repair_jsonl(path, "url", plausible=False)
    assert done == Repair(done.damage, 0, 0, [], [], "a.jsonl.damaged-1")
    assert path.read_bytes() == HEADER


def test_nobody_repairs_or_compacts_what_is_owned(path: Path) -> None:
    """Both are refused with the reason, and leave the file as it is."""
    put(path, DATA)
    hold = Hold(path, 0, "it")
    for call in (lambda: repair_jsonl(path, "url", plausible=False), lambda: compact_jsonl(path, "url", keep=False)):
        with pytest.raises(JournalBusy, match=r"\(JSON Lines has one writer a file\)"):
            call()
    hold.release()
    assert path.read_bytes() == DATA


def test_remains_know_what_a_lost_entry_may_have_taken_back() -> None:
    """Fates, what superseded another, open items and epoch, before and behind a damaged place, and how a run ends."""
    run = Remains()
    run.take("owner", "", {}, 3)
    assert (run.has_header, run.epoch, run.superseded) == (False, 3, 0)
    run.take("created", "", {}, 1)
    for kind, key in [("done", "a"), ("dead", "b"), ("done", "c"), ("forgotten", "c"), ("done", "b"), ("retried", "n")]:
        run.take(kind, key, None, 2)
    assert (run.has_header, run.epoch, run.superseded) == (True, 3, 3)
    assert run.fates == {"a": "done", "b": "done"}
    assert (run.count("done"), run.count("dead")) == (2, 0)
    run.take("started", "hand", None, 2)
    run.take("started", "tried", {"errors": 2}, 2)
    run.take("started", "crashed", {"crashes": 1}, 2)
    run.lose([("forgotten", "a"), ("started", "x"), ("done", "lost"), ("step", "s")])
    run.lose([("retried", "b")])
    assert list(run.undone) == ["a", "lost", "b"]
    assert run.open_items == {"tried": Tries(2, 0, begun=False), "crashed": Tries(0, 1, begun=False)}
    run.take("done", "b", None, 2)
    run.take("step", "a", None, 2)
    assert (list(run.undone), run.superseded) == (["a", "lost"], 4)
    drafts = run.ending("kept")
    assert [(draft.kind, draft.key) for draft in drafts] == [
        ("owner", ""), ("forgotten", "a"), ("repaired", ""), ("open", ""),
    ]  # fmt: skip
    assert (run.epoch, list(run.undone), run.fates) == (4, ["lost", "a"], {"b": "done"})
    assert drafts[2].value == '{"aside":"kept"}'
    assert [draft.kind for draft in Remains().ending("kept")] == ["created", "owner", "repaired", "open"]


@pytest.mark.parametrize("keep", [False, True])
def test_a_compaction_keeps_the_newest_of_everything_with_its_number(path: Path, keep: bool) -> None:
    """What was replaced is named at the end of each run, with what is open; counts and sizes are told."""
    put(path, DATA)
    kept = [row for row in rows(path) if row[0] in (1, 2, 6, 7, 8, 11, 14, 15, 18, 19)]
    told = compact_jsonl(path, "url", keep=keep)
    aside = "a.jsonl.before-1" if keep else None
    assert told == Compacted(19, 14, len(DATA), path.stat().st_size, aside)
    if keep:
        assert path.with_name("a.jsonl.before-1").read_bytes() == DATA
    origin = {"id": "8f14e45fceea167a", "seq": 19, "sum": DATA[-11:-3].decode()}
    waiting = {"b": B, "e": {"errors": 0, "crashes": 0, "begun": 1}}
    assert rows(path) == [
        *kept,
        (20, "r", "compacted", "", origin, 1), (21, "r", "open", "", waiting, 1),
        (22, "ü", "compacted", "", origin, 4), (23, "ü", "open", "", {}, 4),
    ]  # fmt: skip
    assert path.read_bytes().startswith(HEADER)
    assert compact_jsonl(path, "url", keep=False)[:2] == (14, 14)


def test_a_compaction_of_one_run_leaves_out_what_takes_nothing_back(path: Path) -> None:
    """An item that was forgotten before it was ever done leaves nothing, and the one run is ended."""
    put(path, built([CREATED, OWNER], ['"forgotten":"nowhere"'], ['"done":"a"']))
    assert compact_jsonl(path, "url", keep=False)[:2] == (4, 5)
    assert [row[:4:2] for row in rows(path)] == [
        (1, "created"),
        (2, "owner"),
        (4, "done"),
        (5, "compacted"),
        (6, "open"),
    ]


@pytest.mark.parametrize("content", [b"", HEADER])
def test_without_a_run_there_is_nothing_to_compact(path: Path, content: bytes) -> None:
    """That is told with the url, and the file stays."""
    path.write_bytes(content)
    with pytest.raises(UsageError) as raised:
        compact_jsonl(path, "url", keep=True)
    assert str(raised.value) == "url holds no run yet, so there is nothing to compact"
    assert path.read_bytes() == content


@pytest.mark.parametrize("block", [1, 300, 1 << 20])
def test_what_is_written_anew_are_the_bytes_that_an_owner_would_have_written(
    path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """Commit by commit, in writes of a block or of one commit: offsets, sums, `more` and texts are the same."""
    commits = [[rest for rest in commit if "started" not in rest] for commit in COMMITS]
    data = built(*filter(None, commits))
    path.write_bytes(data)
    store = JsonlStore(path)
    entries = iter(list(store.entries()))
    store.close()
    writes: list[int] = []
    write_all = jsonl_write.write_all
    monkeypatch.setattr(jsonl_write, "write_all", lambda fd, data: (writes.append(len(data)), write_all(fd, data))[1])
    monkeypatch.setattr(jsonl_write, "_BLOCK", block)
    other = path.with_name("b.jsonl")
    other.touch()
    writer = JsonlWriter(other, HEADER)
    for commit in filter(None, commits):
        writer.commit([(entry.seq, entry_text(entry)) for _, entry in zip(commit, entries, strict=False)])
    writer.close()
    assert other.read_bytes() == data
    assert all(size >= block for size in writes[:-1])
    assert len(writes) == {1: len(list(filter(None, commits))) + 1, 300: len(writes), 1 << 20: 1}[block]
    assert len(writes) > 1 or block > 300


def test_a_copy_has_each_entry_with_a_number_of_its_own(path: Path) -> None:
    """Both formats count what they wrote and take over all but the numbers, which begin at 1 and have no hole."""
    put(path, DATA)
    compact_jsonl(path, "url", keep=False)
    original = rows(path)
    store = JsonlStore(path)
    lines, database = path.with_name("b.jsonl"), path.with_name("b.db")
    for target, write in ((lines, write_jsonl), (database, write_sqlite)):
        with appearing(target) as temporary:
            assert temporary.name == f"{target.name}.copying"
            assert write(temporary, store.entries()) == len(original)
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
    times = [entry.at for entry in store.entries()]
    store.close()
    expected = [(number, *row[1:]) for number, row in enumerate(original, 1)]
    assert rows(lines) == expected
    copied = SqliteStore(database)
    found = list(copied.entries())
    assert [(e.seq, e.run, e.kind, e.key, e.value, e.epoch) for e in found] == expected
    assert [entry.at for entry in found] == times
    assert copied.open_items("r") == {"b": Tries(1, 2, begun=False), "e": Tries(begun=True)}
    copied.close()
    again = JsonlStore(lines)
    assert [entry.at for entry in again.entries()] == times
    again.close()
    assert '{"ü":["ä",1]}'.encode() in lines.read_bytes()


def test_a_copy_in_sqlite_has_the_rows_that_an_owner_would_have_written(path: Path) -> None:
    """Journal and run rows are as of a journal that was written there: head, mark and counts of fates."""
    put(path, DATA)
    store = JsonlStore(path)
    target = path.with_name("b.db")
    target.touch()
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    assert write_sqlite(target, store.entries()) == 19
    after = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    store.close()
    connection = sqlite3.connect(target)
    format_, journal_id, created = connection.execute("SELECT format, id, created FROM leftoff_journal").fetchone()
    assert (format_, len(journal_id), bytes.fromhex(journal_id).hex()) == (1, 16, journal_id)
    assert before <= created <= after
    runs = connection.execute("SELECT run, name, epoch, seq, mark, done, dead, superseded FROM leftoff_run").fetchall()
    assert runs == [(1, "r", 1, 18, 1, 2, 0, 2), (2, "ü", 4, 19, 6, 1, 0, 0)]
    found = connection.execute("SELECT seq, run, at, value, prev FROM leftoff_entry ORDER BY seq").fetchall()
    at = 1795472401207
    salt = crc32(journal_id.encode())
    assert [row[0] for row in found] == list(range(1, 20))
    assert {row[2] for row in found} == {at}
    assert [row[4] for row in found if row[0] in (1, 6)] == [salt, salt]
    assert found[7][3] == '{"ü":["ä",1]}'
    assert found[2][3] is None
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


@pytest.mark.parametrize("side", ["", "-journal", "-wal", "-shm"])
def test_where_something_is_already_no_copy_appears(path: Path, side: str) -> None:
    """The name that is taken is told, before anything is made; it may be a link that leads nowhere."""
    there = Path(f"{path}{side}")
    there.symlink_to("nowhere")
    with pytest.raises(UsageError) as raised, appearing(path):
        pytest.fail("nothing may be made")
    assert str(raised.value) == (
        f"{path}{side} exists; a copy is made under a new name only: name another, or move it away"
    )
    assert [file.name for file in path.parent.iterdir()] == [there.name]
