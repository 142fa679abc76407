from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import leftoff
from tests.cli.conftest import call


def test_the_rows_are_printed_as_json_lines(two_runs: str) -> None:
    """Without a file each item is an object on stdout, run by run."""
    ended = call("export", two_runs)
    assert (ended.code, ended.err) == (0, "")
    found = [(row["run"], row["key"], row["fate"], row["value"]) for row in ended.json_lines]
    assert found == [
        ("ingest", "a", "done", "A"), ("ingest", "c", "done", "C"), ("ingest", "e", "done", "E"),
        ("ingest", "b", "dead", None), ("ingest", "d", "dead", None),
        ("clean", "x", "done", None), ("clean", "y", "done", None),
    ]  # fmt: skip
    assert call("export", two_runs, "--json").out == ended.out


def test_one_run_and_one_fate_can_be_chosen(two_runs: str) -> None:
    """--run and --fate leave the others out; a run that is not there is a usage error."""
    printed = call("export", two_runs, "--run", "ingest", "--fate", "dead", "--format", "csv").out
    assert [row["error_type"] for row in csv.DictReader(printed.splitlines())] == ["ValueError"] * 2
    assert call("export", two_runs, "--run", "nothing").code == 2
    assert call("export", two_runs, "--fate", "missing").code == 2


def test_a_file_is_written_and_told(ingest: str) -> None:
    """-o writes a file in the format of its suffix, says so in one line, or as an object with --json."""
    assert call("export", ingest, "-o", "out.csv").out == "out.csv: 5 rows of 1 run, csv\n"
    assert len(list(csv.reader(io.StringIO(Path("out.csv").read_bytes().decode(), newline="")))) == 6
    told = call("export", ingest, "-o", "out.txt", "--format", "jsonl", "--json").json
    assert told == {"journal": ingest, "file": "out.txt", "rows": 5, "runs": ["ingest"], "format": "jsonl"}
    assert [json.loads(line)["key"] for line in Path("out.txt").read_text().splitlines()] == ["a", "c", "e", "b", "d"]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["-o", "out"], "its suffix chooses the format"),
        (["--format", "parquet"], "is written to a file: -o FILE.parquet"),
        (["--format", "csv", "--json"], "the rows themselves are printed"),
        (["-o", "{place}", "--format", "csv"], "is a journal, and would be replaced by its export"),
    ],
)
def test_a_wrong_call_changes_nothing(ingest: str, words: list[str], what: str) -> None:
    """Exit code 2, what to do instead, and the journal as it was."""
    before = Path(ingest).read_bytes()
    ended = call("export", ingest, *(word.format(place=ingest) for word in words))
    assert (ended.code, ended.out) == (2, "")
    assert what in ended.err
    assert Path(ingest).read_bytes() == before
    assert call("export", "none.jsonl").code == 1


def test_the_reader_may_go_away() -> None:
    """`leftoff export | head` ends quietly with 141."""
    with leftoff.open("work.jsonl", durability="process") as journal:
        list(journal.run("r").each(range(20_000), progress=False))
    words = [sys.executable, "-m", "leftoff.cli", "export", "work.jsonl"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["key"] == "0"
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(60) == 141


@pytest.mark.parametrize("wanted", ["csv", "jsonl"])
def test_a_key_cannot_drive_the_terminal(wanted: str) -> None:
    """On a terminal what is not printable is shown escaped, a file or a pipe gets it exact."""
    key = "\x1b[2J\u202eü"
    with leftoff.open("work.jsonl") as journal:
        list(journal.run("r").each([key], progress=False))
    words = [sys.executable, "-m", "leftoff.cli", "export", "work.jsonl", "--format", wanted]
    master, terminal = pty.openpty()
    subprocess.run(words, check=True, stdout=terminal)
    os.close(terminal)
    shown = os.read(master, 100_000).decode()
    os.close(master)
    assert not set(shown) & set("\x1b\u202e")
    assert ("\\x1b[2J\\u202eü" if wanted == "csv" else "\\u001b[2J\\u202e\\u00fc") in shown
    exact = subprocess.run(words, check=True, capture_output=True).stdout.decode()
    assert (key in exact) if wanted == "csv" else (json.loads(exact)["key"] == key)
