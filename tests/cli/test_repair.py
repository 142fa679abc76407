from __future__ import annotations

import os
import pty
import sys
from pathlib import Path

from tests.cli.conftest import call, fates
from tests.cli.test_verify import damage


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
