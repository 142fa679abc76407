from __future__ import annotations

import os
import pty
import sys
from pathlib import Path

from leftoff.journal.segments import SegmentsStore
from tests.cli.conftest import call, fates
from tests.cli.test_verify import damage
from tests.contract.drafts import done
from tests.journal.segments_files import change, write


def test_a_sound_journal_is_left_alone(ingest: str) -> None:
    """Nothing is asked or written."""
    before = Path(ingest).read_bytes()
    assert call("repair", ingest).out == f"{ingest} is sound; there is nothing to repair\n"
    assert call("repair", ingest, "--json").json["damage"] == []
    assert Path(ingest).read_bytes() == before


def test_nobody_is_asked_where_nobody_is(ingest: str) -> None:
    """Without a terminal and without --yes a repair is refused with exit code 2, and nothing is changed."""
    path = damage(ingest)
    before = path.read_bytes()
    for words in ([], ["--json"]):
        ended = call("repair", ingest, *words)
        assert ended.code == 2
        assert "--yes" in ended.err
    assert path.read_bytes() == before


def test_a_repair_for_scripts(ingest: str) -> None:
    """--yes repairs unasked, one line says what was kept and where the original is; what was lost is to be done."""
    before = damage(ingest).read_bytes()
    ended = call("repair", ingest, "--yes")
    assert ended.code == 0
    assert ended.out.endswith(f"the original is {ingest}.damaged-1\n")
    assert Path(f"{ingest}.damaged-1").read_bytes() == before
    assert call("verify", ingest).out == f"{ingest} is sound\n"
    assert fates(ingest) == (["a", "c", "e"], ["d"])


def test_a_repair_is_told_to_programs(ingest: str) -> None:
    """--json --yes prints one object: the damage, what was kept, what is undone, and where the original is."""
    damage(ingest)
    said = call("repair", ingest, "--yes", "--json").json
    assert said["undone"] == [{"run": "ingest", "key": "b"}]
    assert (said["journal"], said["aside"], said["renewed"]) == (ingest, f"{ingest}.damaged-1", [])
    assert said["kept"] > 5
    assert len(said["damage"]) == 1


def test_a_directory_is_repaired_file_by_file(tmp_path: Path) -> None:
    """Each damaged file is told with what is kept of it, asked for once, and repaired with the others."""
    folder = tmp_path / "many"
    first, second = (write(folder, done(f"{n}a"), done(f"{n}b"), done(f"{n}c")) for n in range(2))
    for n, path in enumerate((first, second)):
        change(path, f'"done":"{n}b"'.encode(), f'"done":"{n}B"'.encode())
    change(folder / "journal.json", b'"id"', b'"iD"')
    place = f"{folder}/"
    assert call("verify", place).code == 4
    assert call("repair", place).code == 2
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "leftoff.cli", "repair", place])
    os.write(terminal, b"n\n")
    shown = b""
    while piece := _read(terminal):
        shown += piece
    os.close(terminal)
    os.waitpid(pid, 0)
    text = shown.decode().replace("\r\n", "\n")
    assert text.count("kept: 4 entries\n") == 2
    assert text.index("journal.json") < text.index(first.name) < text.index(second.name)
    assert "worked on again: 0B of r, 1B of r, and whatever" in text
    ended = call("repair", place, "--yes")
    assert ended.code == 0
    originals = f"journal.json.damaged-1, {first.name}.damaged-1, {second.name}.damaged-1"
    assert ended.out == f"{place} is repaired: 8 entries are kept, the originals are {originals}\n"
    assert call("verify", place).out == f"{place} is sound\n"
    change(folder / "journal.json", b'"id"', b'"Id"')
    assert call("repair", place, "--yes").out == f"{place} is repaired: the original is journal.json.damaged-2\n"
    change(second, b'"done":"1c"', b'"done":"1C"')
    damaged = second.read_bytes()
    said = call("repair", place, "--yes", "--json").json
    assert (folder / said["parts"][0]["aside"]).read_bytes() == damaged
    assert (said["aside"], [part["file"] for part in said["parts"]]) == (None, [second.name])
    assert said["parts"][0]["undone"] == said["undone"] == [{"run": "r", "key": "1C"}]
    assert call("repair", place).out == f"{place} is sound; there is nothing to repair\n"


def test_a_directory_that_somebody_works_on_is_not_repaired(tmp_path: Path) -> None:
    """A living writer is exit code 5, and its pid is told by the name of its file."""
    path = write(tmp_path / "many", done("a"), done("b"))
    store = SegmentsStore(path.parent)
    store.own("r")
    change(path, b'"done":"a"', b'"done":"c"')
    ended = call("repair", f"{path.parent}/", "--yes")
    assert (ended.code, f"-{os.getpid()}-" in ended.err) == (5, True)
    store.close()
    assert call("repair", f"{path.parent}/", "--yes").code == 0


def test_somebody_at_a_terminal_is_asked(ingest: str) -> None:
    """The plan is shown first: `n` changes nothing, `y` repairs."""
    path = damage(ingest)
    before = path.read_bytes()
    for answer, repaired in ((b"n\n", False), (b"y\n", True)):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(sys.executable, [sys.executable, "-m", "leftoff.cli", "repair", ingest])
        os.write(terminal, answer)
        shown = b""
        while piece := _read(terminal):
            shown += piece
        os.close(terminal)
        assert (os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0) == repaired
        assert b"affects: " in shown
        assert b"worked on again: b of ingest" in shown
        assert (path.read_bytes() != before) == repaired


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux says so when the other end is closed
        return b""
