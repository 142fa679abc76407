"""A directory of segments is repaired file by file: what is sound stays, an item is rather repeated than skipped."""

from __future__ import annotations

import json
import time

import pytest

import leftoff
from leftoff.errors import (
    JournalMoved,
)
from leftoff.journal.entry import Draft
from leftoff.journal.jsonl_scan import HEADER_LENGTH
from leftoff.journal.segments import SegmentsStore
from leftoff.journal.store import values_of
from leftoff.work.copy import move
from leftoff.work.mend import repair
from tests.contract.drafts import dead, done, started
from tests.journal.segments_files import change, files, write
from tests.work.mended_segments import HERE, fates, forgotten, id_of, lose, mend, wipe


def test_a_damaged_segment_is_mended_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The damaged place is named by its file; the item whose conclusion was lost is worked on again, and it alone."""
    first = write(HERE, started("a"), done("a", 1), started("b"), done("b", 2), started("c"), done("c", 3))
    second = write(HERE, done("d", 4))
    sound = second.read_bytes()
    lose(first, '"done":"b"')
    told = mend()
    ((name, part),) = told.parts
    assert (name, part.aside) == (first.name, f"{first.name}.damaged-1")
    assert [found.where.partition(": line")[0] for found in told.damage] == [f"progress/{first.name}"]
    assert (told.kept, told.left_out, told.undone, told.renewed, told.aside) == (7, 0, [("r", "b")], [], None)
    assert second.read_bytes() == sound
    assert fates() == ({"a", "c", "d"}, set())
    with leftoff.open("progress/") as journal:
        run = journal.run("r")
        assert [(entry.value, entry.epoch) for entry in journal.entries("r") if entry.kind == "repaired"] == [
            ({"aside": f"{first.name}.damaged-1"}, 3)
        ]
        assert list(run.each("abcd", progress=False)) == ["b"]
        assert values_of(journal.store, "r", ["a", "d"]) == [1, 4]


def test_all_damaged_segments_and_the_header_are_mended_together() -> None:
    """Several damaged files are several parts of one repair, each with its own original beside it."""
    paths = [write(HERE, done(f"{n}a"), done(f"{n}b"), done(f"{n}c")) for n in range(4)]
    header = (HERE / "journal.json").read_bytes()
    for n in (0, 2):
        lose(paths[n], f'"done":"{n}b"')
    change(HERE / "journal.json", b'"id"', b'"Id"')
    told = mend()
    assert [name for name, _ in told.parts] == ["journal.json", *sorted({paths[0].name, paths[2].name})]
    assert set(told.undone) == {("r", "0b"), ("r", "2b")}
    assert len(told.damage) == 3
    assert told.kept == 8
    assert fates() == ({f"{n}{key}" for n in range(4) for key in "abc"} - {"0b", "2b"}, set())
    assert json.loads((HERE / "journal.json").read_bytes())["id"] == json.loads(header)["id"]


def test_what_is_only_torn_is_left_alone() -> None:
    """A torn tail in a sound file stays as it is, and costs no item of another file its conclusion."""
    first, torn = write(HERE, done("a"), done("b"), done("c")), write(HERE, done("d"), forgotten("c"))
    change(torn, torn.read_bytes()[-4:], b"", last=True)
    lose(first, '"done":"b"')
    assert [name for name, _ in mend().parts] == [first.name]
    assert fates() == ({"a", "c", "d"}, set())


# -- what others say of a key ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [[], [done("x")], [done("x"), forgotten("x")]])
def test_what_a_lost_entry_took_back_elsewhere_is_not_done(later: list[Draft]) -> None:
    """A lost line that reads as `forgotten` takes the conclusions of all files back, whatever its writer did then."""
    write(HERE, done("x"), done("y"))
    second = write(HERE, forgotten("x"), *later, done("z"))
    assert ("x" in fates()[0]) == (later == [done("x")])
    lose(second, '"forgotten":"x"')
    assert mend().undone == [("r", "x")]
    assert fates() == ({"y", "z"}, set())


def test_what_a_third_took_back_of_the_redone_is_not_done() -> None:
    """A lost `forgotten` brings no old conclusion back where a third writer took the new one back."""
    write(HERE, done("x"))
    second = write(HERE, forgotten("x"), done("x"))
    write(HERE, forgotten("x"), done("y"))
    lose(second, '"forgotten":"x"')
    mend()
    assert fates() == ({"y"}, set())


def test_two_lines_run_together_are_read_as_two() -> None:
    """Where the end of a line is lost, the entry behind it can still be read, and takes back what it took back."""
    write(HERE, done("x"), done("y"))
    second = write(HERE, done("b"), forgotten("x"), done("y"), forgotten("y"), done("z"))
    data = second.read_bytes()
    for key in ("x", "y"):
        at = data.rindex(b"\n", 0, data.index(f'"forgotten":"{key}"'.encode()))
        data = data[:at] + b"\v" + data[at + 1 :]
    second.write_bytes(data)
    assert {key for _, key in mend().undone} == {"b", "x", "y"}
    assert fates() == ({"z"}, set())


def test_a_run_of_which_a_segment_keeps_nothing_is_still_taken_back() -> None:
    """Where all lines of a run are lost the file gets its header anew, the id that the others tell, to forget by."""
    write(HERE, done("x"), done("y"))
    store = SegmentsStore(HERE)
    store.own("other").commit([done("o")])
    store.own("r").commit([forgotten("x")])
    store.close()
    (second,) = [HERE / name for name, data in files(HERE).items() if b'"other"' in data]
    before = id_of()
    for text in ('"run":"r","epoch":2,"created"', '"run":"r","epoch":2,"owner"', '"forgotten":"x"'):
        lose(second, text)
    assert mend().renewed == []
    assert fates() == ({"y"}, set())
    assert fates("other") == ({"o"}, set())
    assert (id_of(), second.read_bytes().count(before.encode())) == (before, 1)


def test_tries_of_a_key_that_is_taken_back_begin_anew() -> None:
    """Segments that tell only tries of such a key are named, too."""
    write(HERE, Draft("failed", "x", '{"tries":{"errors":2}}'))
    write(HERE, dead("x"))
    third = write(HERE, Draft("retried", "x"), done("y"))
    lose(third, '"retried":"x"')
    mend()
    assert fates() == ({"y"}, set())
    store = SegmentsStore(HERE)
    assert store.open_items("r") == {}
    store.close()


def test_two_damaged_segments_take_back_what_the_other_concludes() -> None:
    """Each of two lost entries takes back what stands in the other damaged file, in whatever order they are mended."""
    first = write(HERE, done("a"), done("b"), forgotten("a"), done("c"))
    second = write(HERE, done("a"), forgotten("b"), done("b"), done("d"))
    lose(first, '"forgotten":"a"')
    lose(second, '"forgotten":"b"')
    assert set(mend().undone) == {("r", "a"), ("r", "b")}
    assert fates() == ({"c", "d"}, set())


def test_what_was_taken_back_by_others_stays_so() -> None:
    """A mended file keeps the id by which another takes its conclusions back, also where its header's sum is lost."""
    first = write(HERE, done("x"), done("y"), done("z"))
    write(HERE, forgotten("x"))
    lose(first, '"done":"y"')
    data = first.read_bytes()
    digit = HEADER_LENGTH - 5  # the header's sum ends with '"}' and a newline
    first.write_bytes(data[:digit] + (b"1" if data[digit:].startswith(b"0") else b"0") + data[digit + 1 :])
    mend()
    assert first.read_bytes()[:60] == data[:60]
    assert fates() == ({"z"}, set())


def test_a_segment_without_its_id_loses_what_was_taken_back_elsewhere() -> None:
    """Where the header is lost nobody can name the file any more: what may have been taken back of it is not done."""
    first = write(HERE, done("x"), done("y"))
    write(HERE, forgotten("x"), done("v"))
    gone = write(HERE, done("g"))
    write(HERE, forgotten("g"), done("w"))
    gone.unlink()
    old = first.read_bytes()[:60]
    change(first, b'"id":"', b'"iD":"')
    assert mend().undone == [("r", "x")]
    assert first.read_bytes()[:60] != old
    assert fates() == ({"y", "v", "w"}, set())
    write(HERE, forgotten("y"))
    assert fates() == ({"v", "w"}, set())


def test_segments_without_their_ids_take_back_what_each_other_concludes() -> None:
    """Two files whose headers are lost name each other by the ids that both are given."""
    first = write(HERE, done("a"), done("b"))
    second = write(HERE, forgotten("a"), done("c"))
    third = write(HERE, forgotten("b"), done("v"), done("d"))
    lose(second, '"forgotten":"a"')
    wipe(third, '"forgotten":"b"')
    for path in (first, second, third):
        change(path, b'"journal"', b'"jourNal"')
    assert ("r", "a") in mend().undone
    assert fates() == ({"b", "c", "d"}, set()), "b comes back: what cannot be read has to be forgotten again"


# -- what a segment begins and ends with -----------------------------------------------------------------------------


def test_a_run_keeps_its_id() -> None:
    """A lost header is written anew with the id that the directory gives the run, so that no token changes."""
    only = write(HERE, done("a"))
    before = id_of()
    wipe(only, '"created":""')
    assert mend().renewed == []
    assert id_of() == before
    write(HERE, done("b"))
    assert fates() == ({"a", "b"}, set())


def test_a_run_is_still_that_of_its_program() -> None:
    """Where another segment tells who began the run, who repairs it does not call it somebody else's."""
    for item in "ab":
        with leftoff.open("progress/") as journal:
            list(journal.run("loop.py", program="loop.py").each(item, progress=False))
    first, _ = sorted(HERE.glob("*.jsonl"))
    wipe(first, '"created":""')
    mend()
    with leftoff.open("progress/") as journal:
        assert list(journal.run("loop.py", program="loop.py").each("abc", progress=False)) == ["c"]


@pytest.mark.parametrize("told", [False, True])
def test_a_run_that_was_copied_keeps_its_id_where_another_segment_tells_it(told: bool) -> None:
    """Where none does, its items have new tokens, and the repair says so."""
    with leftoff.open("a.jsonl") as journal:
        list(journal.run("r").each("ab", progress=False))
        time.sleep(0.01)  # the copy's directory is younger than its entries, as it is in life
        journal.copy("progress/")
    before = id_of()
    (copied,) = [HERE / name for name in files(HERE)]
    if told:
        write(HERE, done("c"))
    wipe(copied, '"created":""')
    assert mend().renewed == ([] if told else ["r"])
    assert (id_of() == before) == told
    assert fates()[0] == {"a", "b"} | ({"c"} if told else set())


@pytest.mark.parametrize("skew", [-3600, 0, 3600])
def test_what_is_added_comes_after_all_else(monkeypatch: pytest.MonkeyPatch, skew: float) -> None:
    """However wrong the clock of who repairs, no time runs back, and the next owner's epoch is above all."""
    first, now = write(HERE, done("a"), done("b")), time.time
    second = write(HERE, done("c"), done("d"))
    lose(first, '"done":"a"')
    lose(second, '"done":"c"')
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now() + skew)
        mend()
    for path in (first, second):
        times = [json.loads(line)["at"] for line in path.read_bytes().splitlines()[1:]]
        assert times == sorted(times)
    store = SegmentsStore(HERE)
    entries = list(store.entries("r"))
    assert [entry.kind for entry in entries[-6:]] == ["owner", "repaired", "open"] * 2
    assert [entry.epoch for entry in entries[-6:]] == [3] * 3 + [4] * 3
    assert [entry.key for entry in entries if entry.key] == ["b", "d"]
    assert store.doubles("r") == []
    owner = store.own("r")
    assert owner.epoch == 5
    owner.commit([done("e")])
    assert [entry.key for entry in store.entries("r")][-1] == "e"
    store.close()


def test_a_run_that_was_moved_stays_so() -> None:
    """The repair's own entries do not call a run back that goes on elsewhere."""
    first = write(HERE, done("a"), done("b"))
    move("progress/", "there.jsonl")
    lose(first, '"done":"a"')
    mend()
    with leftoff.open("progress/") as journal, pytest.raises(JournalMoved, match=r"there\.jsonl"):
        list(journal.run("r").each("ab", progress=False))


def test_nothing_but_a_header_is_left_of_a_segment_that_is_lost() -> None:
    """A file of which no entry can be believed is an empty segment then, and keeps nobody out."""
    first = write(HERE, done("a"))
    write(HERE, done("b"))
    for text in ('"created":""', '"owner":""', '"done":"a"'):
        wipe(first, text)
    assert mend().kept == 0
    assert len(first.read_bytes().splitlines()) == 1
    assert fates() == ({"b"}, set())


def test_what_stands_at_another_place_is_kept_when_asked() -> None:
    """Behind bytes that vanished the lines fit each other: they are left out and counted, or kept with --plausible."""
    first = write(HERE, *(done(key) for key in "abcdef"))
    write(HERE, done("z"))
    data = first.read_bytes()
    at = data.index(b'"done":"c"')
    first.write_bytes(data[:at] + data[at + 10 :])
    damaged = first.read_bytes()
    assert mend().left_out == 3
    assert fates() == ({"a", "b", "z"}, set())
    first.write_bytes(damaged)
    assert repair("progress/", plausible=True).left_out == 0
    assert fates() == ({*"abdefz"}, set())
