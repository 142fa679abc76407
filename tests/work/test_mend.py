"""A repair keeps what can be believed and the original; a compaction changes no answer; neither is ever half done."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.errors import JournalBusy, JournalDamaged, JournalMissing, JournalMoved
from leftoff.journal.entry import Draft
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.store import values_of
from leftoff.testing.kills import ForkServer
from leftoff.work.copy import move
from leftoff.work.mend import compact, compare, examine, plan, repair
from tests.contract.stores import FILES
from tests.journal.jsonl_files import no_syncs, small_journal
from tests.work import copied, mended

PROGRAM = Path(mended.__file__)
STORED = [*FILES, "postgresql:///"]
on_files = pytest.mark.parametrize("place", FILES)
everywhere = pytest.mark.parametrize("place", STORED)


def answers(place: str) -> dict[str, Any]:
    """Everything that a journal answers about the runs of `copied`."""
    with leftoff.open(place, create=False) as journal:
        assert journal.verify() == []
        store = journal.store
        return {
            name: (
                list(store.keys(name, "done")), list(store.keys(name, "dead")), values_of(store, name, copied.ITEMS),
                store.counts(name), store.open_items(name), store.latest(name, "created"),
                store.latest(name, "owner"), store.latest(name, "step", "index"),
                store.latest(name, "cursor", "since"), store.latest(name, "pass"), journal.run(name).report(),
            )
            for name in store.runs()
        }  # fmt: skip


@everywhere
def test_a_compacted_journal_answers_as_before(place: str) -> None:
    """Fates, values, tries, ids, steps, cursors, owners and accounts are the same, with the seqs they had."""
    mended.make(place, 6)
    with leftoff.open(place) as journal:
        owner = journal.store.own("first")
        owner.commit([Draft("failed", "tried", '{"tries":{"errors":2}}'), Draft("started", "in hand")])
    before = answers(place)
    with leftoff.open(place) as journal:
        entries = {entry.seq: entry for entry in journal.entries()}
    done = compact(place)
    assert done.before == len(entries)
    assert answers(place) == before
    with leftoff.open(place) as journal:
        after = list(journal.entries())
        assert len(after) == done.after < done.before
        new = [entry for entry in after if entries.get(entry.seq) != entry]
        assert [entry.kind for entry in new] == ["compacted", "open"] * len(copied.RUNS)
        assert min(entry.seq for entry in new) > max(entries)
    assert [key for key in mended.work_on(place) if key.startswith("item")] == ["item-1", "item-6", "item-7", "item-8"]
    again = compact(place)
    assert again.after <= again.before
    assert examine(place).damage == []


@on_files
def test_a_kept_original_is_proven_to_be_the_ancestor(place: str) -> None:
    """`compare` finds nothing against what was compacted, and says what is wrong with any other journal."""
    mended.make(place)
    aside = compact(place, keep=True).aside
    assert aside is not None
    old = str(Path(aside).rename(f"old-{place}"))
    assert compare(place, old) == []
    assert "was not compacted" in compare(old, place)[0].what
    mended.work_on(place)
    assert compare(place, old) == []
    mended.make(f"other-{place}")
    assert "it came of journal" in compare(place, f"other-{place}")[0].what
    mended.work_on(old)
    assert "it came of journal" in compare(place, old)[0].what


@on_files
def test_a_compaction_that_changed_an_entry_is_found(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof rests on no trust in who compacted: each kept entry is held against the original's."""
    mended.make(place)
    aside = compact(place, keep=True).aside
    assert aside is not None
    old = str(Path(aside).rename(f"old-{place}"))
    kind = type(leftoff.open(place).store)
    entries = kind.entries

    def changed(store: Any, run: str | None = None, after: int = 0) -> Any:
        for entry in entries(store, run, after):
            yield replace(entry, value=1) if "old" not in store.url and entry.kind == "step" else entry

    monkeypatch.setattr(kind, "entries", changed)
    assert {damage.what for damage in compare(place, old)} == {f"it is not the one of {old}"}


def test_a_damaged_file_of_a_directory_is_told_by_its_name() -> None:
    """A directory that cannot be opened is examined file by file."""
    mended.make("a/")
    mended.make("a/")
    first, second = sorted(Path("a").glob("*.jsonl"))
    first.write_bytes(first.read_bytes().replace(b'"item-3"', b'"item-4"', 1))
    damage = examine("a/").damage
    assert damage
    assert all(str(first) in found.where and str(second) not in found.where for found in damage)


@on_files
def test_a_journal_without_the_run_is_no_ancestor(place: str) -> None:
    """`compare` says that the older journal holds no such run, be it of other runs or of none."""
    mended.make(place)
    compact(place)
    with leftoff.open(f"other-{place}") as journal:
        for _ in journal.run("third").each("ab", progress=False):
            pass
    Path(f"empty-{place}").touch()
    for old in (f"other-{place}", f"empty-{place}"):
        found = compare(place, old)
        assert [damage.where for damage in found] == ["run first", "run second"]
        assert all(damage.what.endswith(f"; {old} holds no such run") for damage in found)


@on_files
def test_each_original_has_a_name_of_its_own(place: str) -> None:
    """A second compaction or repair keeps its original beside the first one, which stays as it is."""
    mended.make(place, 6)
    assert compact(place, keep=True).aside == f"{place}.before-1"
    first = Path(f"{place}.before-1").read_bytes()
    mended.work_on(place)
    assert compact(place, keep=True).aside == f"{place}.before-2"
    assert Path(f"{place}.before-1").read_bytes() == first
    assert compare(place, str(Path(f"{place}.before-2").rename(f"second-{place}"))) == []
    mended.harm(place)
    assert repair(place).aside == f"{place}.damaged-1"
    first = Path(f"{place}.damaged-1").read_bytes()
    mended.make(place)
    mended.harm(place)
    second = Path(place).read_bytes()
    assert repair(place).aside == f"{place}.damaged-2"
    assert Path(f"{place}.damaged-1").read_bytes() == first
    assert Path(f"{place}.damaged-2").read_bytes() == second


@on_files
def test_a_reader_follows_a_compaction(place: str) -> None:
    """A journal that was open for reading answers from the compacted one, and goes on behind the seq it had."""
    mended.make(place)
    with leftoff.open(place) as reader:
        last = [entry.seq for entry in reader.entries()][-1]
        done = list(reader.store.keys("first", "done"))
        compact(place)
        assert list(reader.store.keys("first", "done")) == done
        assert {entry.kind for entry in reader.entries(after=last)} == {"compacted", "open"}


@everywhere
def test_what_is_owned_is_neither_compacted_nor_repaired(place: str) -> None:
    """While another process owns a run both are refused with its pid, and nothing is changed."""
    mended.make(place)
    script = (
        "import leftoff, sys\n"
        "for _ in leftoff.open(sys.argv[1]).run('second').each('x', progress=False):\n"
        "    print('in hand', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, place]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"in hand\n"
        with pytest.raises(JournalBusy, match=str(owner.pid)):
            compact(place)
        if "://" not in place:
            with pytest.raises(JournalBusy, match=str(owner.pid)):
                repair(place)
        owner.kill()
    assert examine(place).damage == []
    compact(place)


def test_wrong_use_is_refused_before_anything_happens(postgres: object) -> None:
    """No journal, no run, no file, no format, a damaged journal: each is its own error."""
    mended.make("a.jsonl")
    copied.make("postgresql:///")
    for call in (compact, repair, plan, examine):
        with pytest.raises(JournalMissing, match=r"none\.jsonl"):
            call("none.jsonl")
        with pytest.raises(leftoff.UsageError, match="the name chooses the journal"):
            call("none.txt")
    with pytest.raises(leftoff.UsageError, match="is no file"):
        repair("postgresql:///")
    with pytest.raises(leftoff.UsageError, match="is no file"):
        compact("postgresql:///", keep=True)
    mended.make("many/")
    with pytest.raises(leftoff.UsageError, match="is no file"):
        compact("many/")
    for call in (repair, compact):
        with pytest.raises(leftoff.UsageError, match="name that"):
            call(next(Path("many").glob("*.jsonl")))
    with pytest.raises(leftoff.UsageError, match="is for SQLite"):
        compact("a.jsonl", vacuum=True)
    for name in ("empty.jsonl", "empty.db"):
        Path(name).touch()
        with pytest.raises(leftoff.UsageError, match="nothing to compact"):
            compact(name)
    mended.harm("a.jsonl")
    before = Path("a.jsonl").read_bytes()
    with pytest.raises(JournalDamaged):
        compact("a.jsonl")
    assert Path("a.jsonl").read_bytes() == before


def test_a_compacted_database_gets_smaller_when_asked() -> None:
    """VACUUM gives the space back, and the user's own rows are all there."""
    mended.make("a.db")
    with leftoff.open("a.db", durability="process") as journal:
        for _ in journal.run("long").each(range(2000), progress=False):
            pass
    inside = compact("a.db")
    assert inside.before - inside.after > 2000
    outside = compact("a.db", vacuum=True)
    assert outside.bytes_after < outside.bytes_before == inside.bytes_after
    with leftoff.open("a.db") as journal:
        assert journal.reader().execute("SELECT count(*) FROM made").fetchone() == (2,)


@on_files
def test_a_lost_conclusion_is_worked_on_again_and_nothing_else(place: str) -> None:
    """The damaged place is named with its key; the repair keeps the original, redoes that item, and verifies."""
    mended.make(place)
    mended.harm(place)
    before = Path(place).read_bytes()
    found = examine(place).damage
    assert len(found) == 1
    assert "item-5" in found[0].affects
    wanted = plan(place)
    assert (wanted.undone, wanted.aside) == ([("first", "item-5")], None)
    assert Path(place).read_bytes() == before
    done = repair(place)
    assert done == wanted._replace(aside=f"{place}.damaged-1")
    assert Path(f"{place}.damaged-1").read_bytes() == before
    assert Path(f"{place}.damaged-1").stat().st_mode & 0o777 == 0o600
    assert examine(place) == ([], 0)
    with leftoff.open(place) as journal:
        assert [entry.value for entry in journal.entries("first") if entry.kind == "repaired"] == [
            {"aside": f"{place}.damaged-1"}
        ]
        assert list(journal.run("second").keys("done"))[1:4] == ["item-2", "item-3", "item-5"]
    assert mended.work_on(place) == ["item-1", "item-5"]
    assert repair(place).damage == []
    assert not Path(f"{place}.damaged-2").exists()


def test_what_was_taken_back_at_a_damaged_place_is_not_done() -> None:
    """A damaged line that reads as `forgotten` costs its item the conclusion: repeat rather than skip."""
    mended.make("a.jsonl")
    path = Path("a.jsonl")
    data = path.read_bytes()
    assert data.count(b'"forgotten":"item-1"') == 2
    path.write_bytes(data.replace(b'"epoch":1,"forgotten":"item-1"', b'"epoch":7,"forgotten":"item-1"', 1))
    repair("a.jsonl")
    assert "item-1" in mended.work_on("a.jsonl")


def test_what_was_taken_back_behind_a_lost_end_of_line_is_not_done() -> None:
    """Two lines that a damaged end of line runs together read as two entries: both are told, and repeated."""
    mended.make("a.jsonl")
    path = Path("a.jsonl")
    data = path.read_bytes()
    end = data.rindex(b"\n", 0, data.index(b'"forgotten":"item-1"'))
    path.write_bytes(data[:end] + b" " + data[end + 1 :])
    assert "forgotten 'item-1'" in examine("a.jsonl").damage[0].affects
    repair("a.jsonl")
    assert "item-1" in mended.work_on("a.jsonl")


def test_what_stands_twice_is_kept_once() -> None:
    """Bytes that a file holds a second time, behind what took them back, bring nothing back to life."""
    mended.make("a.jsonl")
    path = Path("a.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    old = next(number for number, line in enumerate(lines) if b'"first"' in line and b'"done":"item-1"' in line)
    back = max(number for number, line in enumerate(lines) if b'"forgotten":"item-1"' in line)
    path.write_bytes(b"".join([*lines[: back + 1], *lines[old - 1 : old + 4], *lines[back + 1 :]]))
    assert repair("a.jsonl", plausible=True).left_out > 0
    assert "item-1" in mended.work_on("a.jsonl")


@pytest.mark.parametrize("place", ["a.jsonl", "a.db"])
def test_a_repaired_journal_that_was_moved_goes_on_where_it_was_moved_to(place: str) -> None:
    """Two journals of one run never both go on, whatever happens to the one that was left behind."""
    mended.make(place)
    move(place, "elsewhere.jsonl")
    mended.harm(place)
    assert repair(place).damage
    with pytest.raises(JournalMoved, match=r"elsewhere\.jsonl"):
        mended.work_on(place)


def test_whatever_is_flipped_a_repair_makes_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failure mode 5: any damage of a small journal is repaired or refused; what is done then was done before."""
    no_syncs(monkeypatch)
    path = tmp_path / "a.jsonl"
    ends = small_journal(path, "power")
    data = path.read_bytes()
    store = JsonlStore(path)
    done = {run: set(store.keys(run, "done")) for run in store.runs()}
    store.close()
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance, repaired = random.Random(seed), 0
    for _ in range(300):
        for old in tmp_path.glob("a.jsonl*"):
            old.unlink()
        harmed = bytearray(data)
        at = chance.randrange(len(data) - 10)
        how = chance.randrange(4)
        if how == 0:
            harmed[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            harmed[at : at + chance.randrange(1, 600)] = bytes(chance.randrange(600))
        elif how == 2:
            del harmed[at : at + chance.randrange(1, 600)]
        else:
            harmed[at : at + 300] = chance.randbytes(300)
        path.write_bytes(harmed)
        try:
            outcome = repair(path, plausible=bool(chance.randrange(2)))
        except leftoff.LeftoffError:
            assert path.read_bytes() == harmed
            continue
        if outcome.damage:
            repaired += 1
            assert (tmp_path / str(outcome.aside)).read_bytes() == harmed
        assert examine(path).damage == []
        store = JsonlStore(path)
        for run in store.runs():
            assert set(store.keys(run, "done")) <= done[run]
            store.own(run).commit([Draft("done", "on we go")])
        store.close()
    assert repaired > 100
    assert ends


@pytest.mark.parametrize("function", ["compact", "repair"])
@on_files
def test_killed_at_every_boundary(function: str, place: str) -> None:
    """Failure mode 24: killed around each call that changes the disk, the old journal is there, or the new, whole."""
    with ForkServer(PROGRAM) as server:
        server.run("make", f"whole-{place}")
        if function == "repair":
            mended.harm(f"whole-{place}")
        calls = server.run(function, f"whole-{place}").calls
        killed = 0
        for boundary in range(2 * calls):
            here = Path(f"{boundary}-{place}")
            server.run("make", str(here))
            if function == "repair":
                mended.harm(str(here))
            before = here.read_bytes()
            keys = None if function == "repair" else answers(str(here))
            end = server.run(function, str(here), boundary=boundary)
            killed += end.killed
            assert end.killed or end.code == 0, (boundary, end)
            if function == "repair":
                aside = Path(f"{here}.damaged-1")
                assert examine(here).damage == [] or here.suffix == ".db" or here.read_bytes() == before, boundary
                assert before in (here.read_bytes(), aside.exists() and aside.read_bytes()), boundary
            assert server.run(function, str(here)).code == 0, boundary
            assert examine(here) == ([], 0), boundary
            assert keys is None or answers(str(here)) == keys, boundary
            assert not list(Path().glob(f"{here}*.rebuilding")), boundary
            if here.suffix == ".jsonl":  # SQLite's own half-written log makes the next original another one
                assert not Path(f"{here}.damaged-2").exists(), boundary
            if function == "repair":
                assert aside.read_bytes() == before, boundary
                assert mended.work_on(str(here)) == ["item-1", "item-5"], boundary
        assert killed >= calls / 2
