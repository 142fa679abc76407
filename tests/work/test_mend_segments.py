"""A directory of segments is repaired file by file: what is sound stays, an item is rather repeated than skipped."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.errors import (
    JournalBusy,
    JournalDamaged,
    JournalFull,
    JournalLost,
    JournalMissing,
    JournalMoved,
    JournalReadOnly,
    JournalTooNew,
    LocksUnavailable,
    NotAJournal,
    UsageError,
)
from leftoff.journal import jsonl_repair, segments, segments_repair
from leftoff.journal.entry import Draft
from leftoff.journal.jsonl_scan import HEADER_LENGTH
from leftoff.journal.lock import Hold
from leftoff.journal.segments import SegmentsStore
from leftoff.testing.kills import ForkServer, choose
from leftoff.work.copy import move
from leftoff.work.look import look
from leftoff.work.mend import Repair, examine, plan, repair
from tests.contract.drafts import dead, done, started
from tests.journal.jsonl_files import no_syncs, seal
from tests.journal.segments_files import change, files, lock_nobody_out, write
from tests.work import mended

HERE = Path("progress")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    both = Path(mended.__file__).parents[2], Path(leftoff.__file__).parents[1]  # the program imports its neighbours
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, both)))
    return tmp_path


def forgotten(key: str) -> Draft:
    return Draft("forgotten", key)


def everything() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(HERE.iterdir()) if path.suffix != ".lock"}


def fates(run: str = "r") -> tuple[set[str], set[str]]:
    """What is done and what is dead, once the directory can be opened."""
    assert examine("progress/").damage == []
    store = SegmentsStore(HERE)
    told = set(store.keys(run, "done")), set(store.keys(run, "dead"))
    store.close()
    return told


def id_of(run: str = "r") -> str:
    store = SegmentsStore(HERE)
    entry = store.latest(run, "created")
    store.close()
    assert entry is not None
    return str(entry.value["id"])


def lose(path: Path, text: str, *, last: bool = False) -> bytes:
    """Let the line that holds a text be lost, and still be readable: its epoch is not what was written."""
    data = path.read_bytes()
    at = data.rindex(text.encode()) if last else data.index(text.encode())
    begin, end = data.rindex(b"\n", 0, at) + 1, data.index(b"\n", at) + 1
    line = re.sub(rb'"epoch":\d', b'"epoch":9', data[begin:end])
    path.write_bytes(data[:begin] + line + data[end:])
    return data


def wipe(path: Path, text: str) -> bytes:
    """Let the line that holds a text be lost, and nothing of it be readable."""
    data = path.read_bytes()
    at = data.index(text.encode())
    begin, end = data.rindex(b"\n", 0, at) + 1, data.index(b"\n", at)
    path.write_bytes(data[:begin] + b"?" * (end - begin) + data[end:])
    return data


def mend(**options: Any) -> Repair:
    """Plan and repair: the plan writes nothing, and the repair does what it says and is repeated by nobody."""
    before = everything()
    wanted = plan("progress/", **options)
    assert everything() == before
    told = repair("progress/", **options)
    bare = told._replace(parts=tuple((name, part._replace(aside=None)) for name, part in told.parts))
    assert bare == wanted
    after = everything()
    for name, part in told.parts:
        assert after[part.aside or ""] == before[name]
        assert (HERE / (part.aside or "")).stat().st_mode & 0o777 == 0o600
    mended_names = {name for name, _ in told.parts}
    assert {name: data for name, data in before.items() if name not in mended_names}.items() <= after.items()
    assert set(after) == set(before) | {part.aside for _, part in told.parts}
    assert repair("progress/") == ([], 0, 0, [], [], None, ())
    assert everything() == after
    assert examine("progress/").damage == []
    return told


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
        assert journal.store.values("r", ["a", "d"]) == [1, 4]


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


# -- who works, and who looks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["the damaged file", "another file"])
def test_while_a_writer_lives_nothing_is_changed(whose: str) -> None:
    """Whoever writes here knows places in the files, so any living writer is named, and its end waited for."""
    if whose == "another file":
        first = write(HERE, done("a"), done("b"))
    script = (
        "import leftoff, sys\n"
        "for _ in leftoff.open('progress/').run('r').each('xyz', progress=False):\n"
        "    if _ == 'z': print('in hand', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"in hand\n"
        (written,) = [name for name, data in files(HERE).items() if b'"started":"x"' in data]
        lose(first if whose == "another file" else HERE / written, '"done":"')
        before = everything()
        with pytest.raises(JournalBusy, match=rf"^progress/ is worked on: .*-{owner.pid}-.*\.jsonl .* lives; wait"):
            repair("progress/")
        assert everything() == before
        owner.kill()
    mend()


def test_nobody_claims_anything_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that had the directory open before it was damaged has to wait, and then to open it again."""
    first = write(HERE, done("a"), done("b"))
    other = SegmentsStore(HERE)
    assert other.counts("r") == (2, 0)
    change(first, b'"done":"a"', b'"done":"c"')
    monkeypatch.setattr(segments, "_PATIENCE", 0.0)
    keep = segments_repair.keep_original

    def claimed(path: Path, word: str) -> Path:
        with pytest.raises(JournalBusy, match="for a moment, is owned by process"):
            other.own("r")
        return keep(path, word)

    monkeypatch.setattr(segments_repair, "keep_original", claimed)
    assert repair("progress/").undone == [("r", "c")]
    with pytest.raises(JournalLost, match=rf"{first.name} was replaced while it was open, .*; open the journal again"):
        other.own("r")
    with pytest.raises(JournalLost, match="was replaced"):
        other.values("r", ["b"])
    other.close()
    assert fates() == ({"b"}, set())


def test_a_claim_that_never_ends_is_waited_for_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who hangs in a claim of its own, or repairs already, is named."""
    lose(write(HERE, done("a"), done("b")), '"done":"a"')
    before = everything()
    monkeypatch.setattr(segments, "_PATIENCE", 0.0)
    hanging = Hold(HERE / "journal.json", 0, "it")
    with pytest.raises(JournalBusy, match=rf"progress/, for a moment, is owned by process {os.getpid()}"):
        repair("progress/")
    hanging.release()
    assert everything() == before
    mend()


def test_without_locks_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody's life can be known a repair is refused, and can be made on a copy; a plan needs no locks."""
    lose(write(HERE, done("a"), done("b")), '"done":"a"')
    before = everything()
    with monkeypatch.context() as patch:
        lock_nobody_out(patch)
        assert plan("progress/").undone == [("r", "a")]
        with pytest.raises(LocksUnavailable, match=r"^progress/: .* no working locks, .*copy the directory to a local"):
            repair("progress/")
    assert everything() == before
    mend()


def test_what_was_kept_aside_is_no_part_of_the_journal() -> None:
    """Readers, copies and the size leave the originals out; the status tells their bytes."""
    first = write(HERE, done("a"), done("b"))
    lose(first, '"done":"a"')
    mend()
    aside = (HERE / f"{first.name}.damaged-1").stat().st_size
    with leftoff.open("progress/") as journal:
        status = look(journal)
        journal.copy("copy.jsonl")
    assert status.aside == aside
    assert status.size == sum(path.stat().st_size for path in HERE.iterdir()) - aside
    with leftoff.open("copy.jsonl") as journal:
        assert list(journal.run("r").keys("done")) == ["b"]


# -- what is refused -------------------------------------------------------------------------------------------------


def test_a_header_that_nothing_else_tells_is_refused() -> None:
    """The id follows from the runs' ids where they began here; of a copied run, or of none, it does not."""
    with leftoff.open("a.jsonl") as journal:
        list(journal.run("r").each("ab", progress=False))
        journal.copy("progress/")
    header = HERE / "journal.json"
    whole = change(header, b'"id":"', b'"id":"g')
    before = everything()
    for _ in range(2):
        for call in (plan, repair):
            with pytest.raises(JournalDamaged, match=r"journal\.json is not what was written, .* restore a copy of"):
                call("progress/")
        assert everything() == before
        for name in files(HERE):
            (HERE / name).unlink()
        before = everything()
    header.write_bytes(whole.replace(b'"format":1', b'"format":2'))
    with pytest.raises(JournalTooNew, match="upgrade"):
        repair("progress/")


def test_a_header_is_made_anew_and_nothing_else() -> None:
    """Where only `journal.json` is damaged it is the one part, and new runs get the ids that they would have got."""
    write(HERE, done("a"))
    before = (HERE / "journal.json").read_bytes()
    (HERE / "journal.json").write_bytes(b"\0" * len(before))
    told = mend()
    assert [(name, part.kept) for name, part in told.parts] == [("journal.json", 0)]
    assert told.damage[0].where == "progress/journal.json"
    assert (HERE / "journal.json").read_bytes()[:60] == before[:60]
    assert fates() == ({"a"}, set())


def test_files_that_cannot_be_mended_are_refused_before_anything_is_changed() -> None:
    """A file of another journal, of a later format or of something else keeps the others as they are, too."""
    first = write(HERE, done("a"), done("b"))
    lose(first, '"done":"a"')
    (stranger,) = [write(Path("there"), done("b"))]
    cases: list[tuple[bytes, type[Exception], str]] = [
        (stranger.read_bytes(), JournalDamaged, "progress/z.jsonl belongs to another journal: .*; move it away"),
        (b"notes\n", NotAJournal, r"progress/z\.jsonl is not a leftoff journal"),
        (stranger.read_bytes().replace(b'"format":1', b'"format":2'), JournalTooNew, r"progress/z\.jsonl was written"),
    ]
    for data, error, said in cases:
        (HERE / "z.jsonl").write_bytes(data)
        before = everything()
        for call in (plan, repair):
            with pytest.raises(error, match=said):
                call("progress/")
        assert everything() == before
    (HERE / "z.jsonl").unlink()
    mend()


def test_a_file_of_another_journal_is_told_also_where_nothing_is_damaged() -> None:
    """A directory whose files are each sound but do not belong together is not called sound."""
    write(HERE, done("a"))
    (HERE / "z.jsonl").write_bytes(write(Path("there"), done("b")).read_bytes())
    for call in (plan, repair):
        with pytest.raises(JournalDamaged, match="belongs to another journal"):
            call("progress/")


def test_a_sound_file_that_says_what_no_release_writes_is_told() -> None:
    """A claim of what is no share, sealed as if it was written so, is nothing to repair and is not called sound."""
    path = write(HERE, done("a"))
    header, *lines = path.read_bytes().splitlines(keepends=True)
    bodies = [line[: line.rindex(b',"sum":"')] for line in lines]
    bodies[1] = bodies[1][: bodies[1].rindex(b"}")] + b',"shard":[2,2]}'
    path.write_bytes(seal(*bodies, header=header))
    for call in (plan, repair):
        with pytest.raises(JournalDamaged, match=rf"{path.name}: entry 2 claims what is no share"):
            call("progress/")


def test_what_is_no_directory_of_segments_is_refused() -> None:
    """Nothing there, an empty directory, one of somebody else's, a file, a server: each has its answer."""
    Path("empty").mkdir()
    Path("data").mkdir()
    Path("data/results.jsonl").write_text("{}\n")
    Path("file.txt").touch()
    for call in (plan, repair):
        with pytest.raises(JournalMissing, match="there is no journal none/"):
            call("none/")
        assert call("empty/").damage == []
        with pytest.raises(NotAJournal, match=r"data/ is no journal: it holds 'results\.jsonl', but no journal\.json"):
            call("data/")
        with pytest.raises(NotAJournal, match="no directory"):
            call("file.txt/")
        for place in ("memory:", "postgresql:///"):
            with pytest.raises(UsageError, match=r"is no file, so it cannot be kept aside.*leftoff copy"):
                call(place)
    assert list(Path("empty").iterdir()) == []


def test_a_directory_may_be_named_without_the_slash() -> None:
    """What is there and is a directory is one of segments, as for every other call."""
    first = write(HERE, done("a"), done("b"))
    lose(first, '"done":"a"')
    assert plan("progress").damage[0].where.startswith(f"progress/{first.name}: line")
    assert repair(HERE).undone == [("r", "a")]


def test_a_directory_that_may_not_be_listed_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The permission that lacks is named with the directory."""
    write(HERE, done("a"))

    def refuse(path: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", refuse)
    for call in (plan, repair):
        with pytest.raises(JournalReadOnly, match="progress/ cannot be read: Permission denied"):
            call("progress/")


def test_without_space_for_the_second_the_first_is_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails in one file leaves it as it is, with nothing half-written; the same call then goes on."""
    paths = [write(HERE, done(f"{n}a"), done(f"{n}b")) for n in range(2)]
    for n, path in enumerate(paths):
        lose(path, f'"done":"{n}a"')
    before, first, second = everything(), *sorted(path.name for path in paths)

    def full(survey: Any, temporary: Path, *rest: Any) -> None:
        if temporary.name.startswith(second):
            raise OSError(28, "No space left on device")
        jsonl_repair.write_anew(survey, temporary, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(segments_repair, "write_anew", full)
        with pytest.raises(JournalFull, match="no space left"):
            repair("progress/")
    halfway = everything()
    assert halfway[first] != before[first]
    assert halfway == {
        **before, first: halfway[first], f"{first}.damaged-1": before[first], f"{second}.damaged-1": before[second]
    }  # fmt: skip
    assert [name for name, _ in repair("progress/").parts] == [second]
    assert fates() == ({"0b", "1b"}, set())
    assert not list(HERE.glob("*.damaged-2"))


# -- any damage, any instant -----------------------------------------------------------------------------------------


def flip(data: bytearray, at: int, chance: random.Random) -> None:
    data[at] ^= 1 << chance.randrange(8)


def zero(data: bytearray, at: int, chance: random.Random) -> None:
    data[at : at + chance.randrange(1, 600)] = bytes(chance.randrange(600))


def drop(data: bytearray, at: int, chance: random.Random) -> None:
    del data[at : at + chance.randrange(1, 600)]


def garble(data: bytearray, at: int, chance: random.Random) -> None:
    data[at : at + 300] = chance.randbytes(300)


def forgets(key: str, data: bytes) -> int:
    """The number of places that can still be read as taking a key back."""
    return len(re.findall(rb'"run":"r","epoch":\d+,"forgotten":"' + key.encode() + b'"', data))


HARMS: list[Callable[[bytearray, int, random.Random], None]] = [flip, flip, zero, drop, garble]


def test_whatever_is_damaged_nothing_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failure mode 5: one to three files damaged in any way are repaired, or refused untouched.

    What is done then was done before, but for keys that were forgotten where that is torn or can no longer be read.
    """
    no_syncs(monkeypatch)
    write(HERE, done("a"), done("b"), dead("c"), started("d"), done("e", "v"))
    write(HERE, forgotten("a"), Draft("retried", "c"), done("c"), forgotten("b"), done("b"), done("f"))
    write(HERE, forgotten("b"), done("g"), started("h"), done("h"), forgotten("e"))
    done_before, identity = fates()[0], id_of()
    assert done_before == {"c", "f", "g", "h"}
    whole = everything()
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance, repaired = random.Random(seed), 0
    for _ in range(200):
        for path in HERE.iterdir():
            path.unlink()
        harmed = dict(whole)
        for name in chance.sample(sorted(whole), chance.choice((1, 1, 2, 3))):
            data = bytearray(whole[name])
            chance.choice(HARMS)(data, chance.randrange(len(data) - 10), chance)
            harmed[name] = bytes(data)
        for name, data in harmed.items():
            (HERE / name).write_bytes(data)
        try:
            told = repair("progress/", plausible=bool(chance.randrange(2)))
        except leftoff.LeftoffError:
            assert everything() == harmed
            continue
        repaired += bool(told.damage)
        for name, part in told.parts:
            assert everything()[part.aside or ""] == harmed[name]
        assert {name: harmed[name] for name in harmed if name not in dict(told.parts)}.items() <= everything().items()
        assert repair("progress/").damage == []
        may_return = {
            key
            for key in "abe"
            for name in whole
            if harmed[name] != whole[name]
            and forgets(key, whole[name]) > (forgets(key, harmed[name]) if name in dict(told.parts) else 0)
        }  # what is torn was not acknowledged
        now_done, _ = fates()
        assert now_done - done_before <= may_return, (harmed, told)
        named = b"".join(whole[name] + harmed[name] for name in whole if harmed[name] != whole[name])
        assert all(f'"{key}"'.encode() in named for key in done_before - now_done), (
            "a conclusion is lost of which no damaged line tells"
        )
        store = SegmentsStore(HERE)
        if store.runs():
            assert id_of() == identity
        store.own("r").commit([done("on we go")])
        store.close()
    assert repaired > 60


def killable(place: str) -> dict[str, bytes]:
    """Make a directory with two damaged segments and a damaged header; return its files."""
    shutil.copytree("template", place)
    return {path.name: path.read_bytes() for path in Path(place).iterdir() if path.suffix != ".lock"}


def check_killed(server: ForkServer, place: str, before: dict[str, bytes], at: object) -> None:
    """Each original is in its place or aside; the same command goes on, and then nothing that was kept is lost."""
    for name, data in before.items():
        aside = Path(place, f"{name}.damaged-1")
        assert data in (Path(place, name).read_bytes(), aside.exists() and aside.read_bytes()), at
    assert server.run("repair", place).code == 0, at
    assert examine(place).damage == [], at
    found = {path.name: path.read_bytes() for path in Path(place).iterdir() if path.suffix != ".lock"}
    harmed = [name for name in before if found[name] != before[name]]
    assert len(harmed) == 3, at
    assert set(found) == {*before, *(f"{name}.damaged-1" for name in harmed)}, at
    assert all(found[f"{name}.damaged-1"] == before[name] for name in harmed), at
    with leftoff.open(place) as journal:
        assert set(journal.run("first").keys("done")) == {"item-0", "item-2", "item-3", "item-6", "item-8"}, at
        assert set(journal.run("second").keys("done")) == {f"item-{n}" for n in (0, 2, 3, 5, 6, 7, 8, 9, 10)}, at


def test_killed_at_every_boundary() -> None:
    """Failure mode 24: killed around each call that changes the disk, the same command mends the rest."""
    mended.make_many("template/")
    with ForkServer(Path(mended.__file__)) as server:
        killable("whole/")
        whole, killed = server.run("repair", "whole/"), 0
        assert whole.code == 0
        for boundary in range(2 * whole.calls):
            before = killable(f"{boundary}/")
            end = server.run("repair", f"{boundary}/", boundary=boundary)
            assert end.killed or end.code == 0, (boundary, end)
            killed += end.killed
            check_killed(server, f"{boundary}/", before, boundary)
            shutil.rmtree(f"{boundary}/")
        assert killed >= whole.calls


@pytest.mark.timeout(1800)  # seconds; many of them on a busy machine
@pytest.mark.parametrize("count", [150, pytest.param(10**6, marks=pytest.mark.prove)])
def test_killed_at_every_line(count: int) -> None:
    """Failure mode 13: killed before a line of ours that a repair comes to, the same command mends the rest."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    mended.make_many("template/")
    with ForkServer(Path(mended.__file__)) as server:
        killable("whole/")
        assert server.run("repair", "whole/", record="record").code == 0
        places = Path("record").read_text().splitlines()
        lines = choose(places, min(count, len(set(places))), random.Random(seed))
        for line in lines:
            before = killable(f"{line}/")
            assert server.run("repair", f"{line}/", line=line).killed, places[line]
            check_killed(server, f"{line}/", before, places[line])
            shutil.rmtree(f"{line}/")
        print(f"{len(lines)} kills, each before another line")
        assert any("segments_repair" in places[line] for line in lines)
