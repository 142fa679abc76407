from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

import leftoff
from tests.cli.conftest import call
from tests.contract.program import finish, started, until, write

WORKING = """
    import sys
    import leftoff

    with leftoff.open(sys.argv[1]) as journal:
        for item in journal.run("ingest").each("abcdefg", progress=False):
            if item == "f":
                print("in hand")
                sys.stdin.readline()
"""


def test_a_finished_run_is_accounted_for(two_runs: str) -> None:
    """Each run is shown with what is done, dead, open and missing, and with who owned it last."""
    ended = call("status", two_runs)
    assert ended.code == 0
    assert ended.out.startswith(f"{two_runs}: ")
    assert "2 runs\n\ningest\n  3 done, 2 dead, 0 open, 0 missing, 5 in all\n  last activity 20" in ended.out
    assert "\n\nclean\n  2 done, 0 dead, 0 open, 0 missing, 2 in all\n" in ended.out
    assert ended.out.count(f"not running; last owned by process {os.getpid()} on {os.uname().nodename} since 20") == 2


def test_one_run_can_be_chosen(two_runs: str) -> None:
    """--run leaves the others out, and a name that is not there is a usage error."""
    assert "ingest" not in call("status", two_runs, "--run", "clean").out
    assert call("status", two_runs, "--run", "nothing").code == 2


def test_json_has_the_numbers(ingest: str) -> None:
    """--json prints one object: the journal, and each run with its accounts, newest entry and owner."""
    seen = call("status", ingest, "--json").json
    (run,) = seen.pop("runs")
    assert seen == {
        "journal": ingest, "bytes": seen["bytes"], "torn_bytes": 0, "aside_bytes": 0,
        "droppable_entries": seen["droppable_entries"],
    }  # fmt: skip
    assert seen["bytes"] >= Path(ingest).stat().st_size > 0
    assert [run[name] for name in ("run", "total", "done", "dead", "missing", "open")] == ["ingest", 5, 3, 2, 0, 0]
    assert run["newest"]["kind"] == "pass"
    assert run["owner"]["pid"] == os.getpid()
    assert (run["owner"]["durability"], run["owner"]["epoch"], run["owner"]["runs"]) == ("power", 1, False)


def test_a_total_that_nobody_can_know_is_not_made_up(place: str) -> None:
    """Before an input was walked to its end neither the total nor what is missing is a number."""
    with leftoff.open(place) as journal:
        for item in journal.run("ingest").each("abc", progress=False):
            if item == "b":
                break
    assert "1 done, 0 dead, 0 open, total not known before the input was walked to its end" in call("status", place).out
    (run,) = call("status", place, "--json").json["runs"]
    assert (run["total"], run["missing"]) == (None, None)


def test_a_live_owner_is_told_from_a_dead_one(place: str, tmp_path: Path) -> None:
    """While another process works, status says that it owns the run now; once killed, no more."""
    with started(write(tmp_path, WORKING), place) as process:
        until(process, "in hand")
        ended = call("status", place)
        assert "5 done, 0 dead, 1 open" in ended.out
        assert f"owned now by process {process.pid} on " in ended.out
        assert call("status", place, "--json").json["runs"][0]["owner"]["runs"] is True
        finish(process, signal.SIGKILL)
        assert f"not running; last owned by process {process.pid} on " in call("status", place).out


def test_a_process_that_works_on_another_run_does_not_run_this_one(ingest: str, tmp_path: Path) -> None:
    """The owner that is shown as running is the run's own, not whoever happens to write the file."""
    program = write(tmp_path, WORKING.replace('"ingest"', '"other"'))
    with started(program, ingest) as process:
        until(process, "in hand")
        owners = {run["run"]: run["owner"]["runs"] for run in call("status", ingest, "--json").json["runs"]}
    assert owners == {"ingest": False, "other": True}


def test_what_is_kept_aside_and_what_compacting_gives_are_said(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes beside the journal are counted apart, and a journal that is mostly past is said to be worth compacting."""
    monkeypatch.setattr("leftoff.work.look._FEW", 10)
    with leftoff.open(place, durability="process") as journal:
        for _ in journal.run("ingest").each((str(n) for n in range(40)), progress=False):
            pass
        journal.run("ingest").forget()
    assert "leftoff compact drops them" in call("status", place).out
    assert call("compact", place, "--keep").code == 0
    ended = call("status", place)
    assert "leftoff compact drops them" not in ended.out
    assert "more are kept aside beside it" in ended.out
    assert call("status", place, "--json").json["aside_bytes"] == Path(f"{place}.before-1").stat().st_size


def test_a_torn_tail_is_said_and_left_alone(tmp_path: Path) -> None:
    """What a crash tore is announced with its size; only the next run cuts it."""
    with leftoff.open("torn.jsonl") as journal:
        list(journal.run("ingest").each("abc", progress=False))
    path = tmp_path / "torn.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    torn = path.read_bytes()
    tail = len(torn) - torn.rindex(b"\n") - 1
    ended = call("status", "torn.jsonl")
    assert f"its last commit is torn: the next run will cut {tail} bytes and keep them aside" in ended.out
    assert call("status", "torn.jsonl", "--json").json["torn_bytes"] == tail
    assert path.read_bytes() == torn


def test_a_journal_without_runs_is_no_failure(tmp_path: Path, place: str) -> None:
    """An interrupted creation leaves an empty file, which holds no run yet."""
    (tmp_path / place).touch()
    ended = call("status", place)
    assert (ended.code, ended.out) == (0, f"{place}: 0 bytes, no run yet\n")


def test_the_name_of_a_run_cannot_drive_the_terminal(tmp_path: Path) -> None:
    """What stands in the journal of somebody else is shown escaped."""
    with leftoff.open("a.jsonl") as journal:
        journal.store.own("\x1b[2Jrun")
    ended = call("status", "a.jsonl")
    assert "\x1b" not in ended.out
    assert "\\x1b[2Jrun" in ended.out
    assert json.loads(call("status", "a.jsonl", "--json").out)["runs"][0]["run"] == "\x1b[2Jrun"
