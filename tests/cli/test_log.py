from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import leftoff
from tests.cli.conftest import call
from tests.contract.program import PATIENCE

KINDS = [
    "created",
    "owner",
    "started",
    "version",
    "done",
    "started",
    "dead",
    "started",
    "done",
    "started",
    "dead",
    "started",
    "done",
    "pass",
]


@contextmanager
def following(*words: str) -> Iterator[subprocess.Popen[str]]:
    """Start `leftoff log --follow` in a process of its own."""
    command = [sys.executable, "-m", "leftoff.cli", "log", "--follow", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


def test_each_entry_is_one_line(ingest: str) -> None:
    """Every entry is a line with its number, time, run, kind and key, oldest first; an error is said in words."""
    ended = call("log", ingest)
    lines = [line.split() for line in ended.out.splitlines()]
    assert ended.code == 0
    assert [int(line[0]) for line in lines] == list(range(1, len(KINDS) + 1))
    assert [line[4] for line in lines] == KINDS
    assert {line[3] for line in lines} == {"ingest"}
    assert lines[2][5:] == ["a"]
    assert re.fullmatch("[0-9a-f]{12} of conftest.refuse_two", " ".join(lines[3][5:]))
    assert lines[4][5:] == ["a", '"A"']
    assert " ".join(lines[6][5:]) == "b ValueError: b is no good"
    assert " ".join(lines[-1][5:]) == "5 items: 3 done, 2 dead, 0 missing"


def test_json_has_each_entry_whole(ingest: str) -> None:
    """--json prints each entry as an object with the fields of `leftoff.Entry`, its time in UTC."""
    entries = call("log", ingest, "--json").json_lines
    with leftoff.open(ingest) as journal:
        expected = list(journal.entries())
    assert [(entry["seq"], entry["kind"], entry["key"], entry["value"], entry["epoch"]) for entry in entries] == [
        (entry.seq, entry.kind, entry.key, entry.value, entry.epoch) for entry in expected
    ]
    assert entries[0]["at"].endswith("Z")


def test_only_the_last_entries(two_runs: str) -> None:
    """-n begins so many entries before the end, of the run that was chosen."""
    every = call("log", two_runs).out.splitlines()
    assert call("log", two_runs, "-n", "3").out.splitlines() == every[-3:]
    assert call("log", two_runs, "-n", "0").out == ""
    assert call("log", two_runs, "-n", "1000").out.splitlines() == every
    (last,) = call("log", two_runs, "-n", "1", "--run", "ingest", "--json").json_lines
    assert (last["run"], last["kind"]) == ("ingest", "pass")
    assert call("log", two_runs, "-n", "-1").code == 2


def test_one_run_can_be_chosen(two_runs: str) -> None:
    """--run leaves the others' entries out."""
    assert {entry["run"] for entry in call("log", two_runs, "--run", "clean", "--json").json_lines} == {"clean"}


def test_a_key_cannot_drive_the_terminal(place: str) -> None:
    """Control characters and line ends in keys and errors are shown, not sent."""

    def fail(item: str) -> None:
        raise ValueError(item)

    with leftoff.open(place) as journal:
        list(journal.run("ingest").map(fail, ["\x1b]0;owned\x07\r\nx\u202e"], attempts=1, progress=False))
    for words in (["log"], ["dead"], ["dead", "-v"], ["log", "--json"], ["dead", "--json"]):
        out = call(words[0], place, *words[1:]).out
        assert not set(out) & set("\x1b\x07\r\u202e")
        assert "\\x1b]0;owned\\x07\\r\\nx\\u202e" in out or "\\u001b]0;owned\\u0007\\r\\nx\\u202e" in out


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_following_prints_what_comes_and_ends_quietly(two_runs: str, sent: signal.Signals, code: int) -> None:
    """--follow prints what another process commits, run by run as chosen, until a signal ends it without a word."""
    with following(two_runs, "--run", "clean", "-n", "1") as process:
        assert read(process, 1)[0].split()[4] == "pass"
        for name in ("ingest", "clean"):
            with leftoff.open(two_runs) as journal:
                assert list(journal.run(name).each(["z"], progress=False)) == ["z"]
        assert [line.split()[3:6] for line in read(process, 4)] == [
            ["clean", "owner", "process"], ["clean", "started", "z"], ["clean", "done", "z"], ["clean", "pass", "1"],
        ]  # fmt: skip
        process.send_signal(sent)
        assert process.communicate(timeout=PATIENCE) == ("", "")
        assert process.returncode == code


def test_following_speaks_json_line_by_line(ingest: str) -> None:
    """With --json what is followed can be read object by object as it comes."""
    with following(ingest, "--json", "-n", "1") as process:
        assert json.loads(read(process, 1)[0])["kind"] == "pass"
        call("forget", ingest, "a")
        assert [json.loads(line)["kind"] for line in read(process, 2)] == ["owner", "forgotten"]


def test_following_ends_when_its_reader_goes(ingest: str) -> None:
    """`leftoff log --follow | head` ends with head, though nothing more is committed."""
    with following(ingest) as process:
        assert process.stdout is not None
        read(process, 1)
        process.stdout.close()
        assert process.wait(PATIENCE) == 141
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_following_ends_when_the_journal_goes(place: str) -> None:
    """A journal that is deleted while it is followed ends with an error, not with silence."""
    with leftoff.open(place) as journal:
        list(journal.run("ingest").each("a", progress=False))
    with following(place) as process:
        read(process, 1)
        Path(place).unlink()
        assert process.wait(PATIENCE) == 1
        assert process.stderr is not None
        assert process.stderr.read() == f"leftoff: {place} is gone: it was deleted or moved away\n"
