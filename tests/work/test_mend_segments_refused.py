"""Whoever works on a directory of segments keeps it from being repaired, and what cannot be mended is refused."""

from __future__ import annotations

import os
import subprocess
import sys
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
    JournalReadOnly,
    JournalTooNew,
    LocksUnavailable,
    NotAJournal,
    UsageError,
)
from leftoff.journal import jsonl_repair, segments, segments_repair
from leftoff.journal.lock import Hold
from leftoff.journal.segments import SegmentsStore
from leftoff.journal.store import values_of
from leftoff.work.look import look
from leftoff.work.mend import plan, repair
from tests.contract.drafts import done
from tests.journal.jsonl_files import seal
from tests.journal.segments_files import change, files, lock_nobody_out, write
from tests.work.mended_segments import HERE, everything, fates, lose, mend

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
        values_of(other, "r", ["b"])
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
