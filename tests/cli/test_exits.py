from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

import leftoff
from leftoff import errors
from leftoff.cli.exits import MEANINGS, Exit, code_of, errors_as_codes
from tests.cli.conftest import call
from tests.contract.program import started, until, write

TABLE = [
    (errors.UsageError("x"), 2),
    (errors.RunInUse("x"), 2),
    (errors.MissingExtra("x"), 2),
    (errors.JournalDamaged("x"), 4),
    (errors.JournalBusy("x"), 5),
    (errors.OwnershipLost("x"), 5),
    (errors.JournalFull("x"), 75),
    (errors.ServiceRefused("x"), 75),
    (OSError(errno.ENOSPC, "No space left on device"), 75),
    (errors.Stopped("x", 75), 75),
    (errors.Stopped("x", 130), 130),
    (KeyboardInterrupt(), 130),
    (errors.JournalMissing("x"), 1),
    (errors.JournalTooNew("x"), 1),
    (errors.JournalInDoubt("x"), 1),
    (errors.IncompleteRun("x"), 1),
    (errors.ServiceError("x"), 1),
    (PermissionError(errno.EACCES, "Permission denied"), 1),
    (BrokenPipeError(), 141),
]


@pytest.mark.parametrize(("error", "code"), TABLE, ids=[f"{type(error).__name__}-{code}" for error, code in TABLE])
def test_each_error_has_its_code(error: BaseException, code: int) -> None:
    """Scripts can rely on the code of each kind of error."""
    assert code_of(error) == code


def test_the_table_is_complete() -> None:
    """Each code says what it means, and they are the numbers that were promised."""
    assert set(MEANINGS) == set(Exit)
    assert [int(code) for code in Exit] == [0, 1, 2, 3, 4, 5, 75, 130, 141]


def test_an_error_is_one_line_without_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """What went wrong is said in one line on stderr that cannot drive the terminal."""
    with pytest.raises(click.exceptions.Exit) as ended, errors_as_codes():
        raise errors.JournalBusy("run \x1b[2J is owned\nby another")
    assert ended.value.exit_code == 5
    assert capsys.readouterr() == ("", "leftoff: run \\x1b[2J is owned\\nby another\n")


@pytest.mark.parametrize("code", [75, 130])
def test_a_stop_is_told_once(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A stop that a loop has told already is not told again, and its own code is the exit code."""
    for told in (False, True):
        stop = errors.Stopped("stopped by hand", code)
        stop.told = told
        with pytest.raises(click.exceptions.Exit) as ended, errors_as_codes():
            raise stop
        assert ended.value.exit_code == code
        assert capsys.readouterr().err == ("" if told else "leftoff: stopped by hand\n")


def stopped_loop() -> None:
    with leftoff.open("a.jsonl") as journal:
        for item in journal.run("ingest").each("abc", progress=False):
            if item == "b":
                signal.raise_signal(signal.SIGTERM)


def test_a_loop_that_stops_has_told_it(capsys: pytest.CaptureFixture[str]) -> None:
    """A loop says itself that it was stopped, so that a program without a command line says it too."""
    with pytest.raises(click.exceptions.Exit) as ended, errors_as_codes():
        stopped_loop()
    assert ended.value.exit_code == 75
    assert capsys.readouterr().err.count("stopped by SIGTERM") == 1


def test_ctrl_c_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C where nothing is at stake ends with 130 and without a word."""
    with pytest.raises(click.exceptions.Exit) as ended, errors_as_codes():
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    assert capsys.readouterr() == ("", "")


def test_a_system_error_names_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    """An error of the system says what and where, without a traceback."""
    with pytest.raises(click.exceptions.Exit), errors_as_codes():
        raise PermissionError(errno.EACCES, "Permission denied", "secret/run.jsonl")
    assert capsys.readouterr().err == "leftoff: Permission denied: secret/run.jsonl\n"


def test_a_mistake_of_ours_keeps_its_traceback() -> None:
    """An error that nobody foresaw is not dressed up as one of the user's."""
    with pytest.raises(ZeroDivisionError), errors_as_codes():
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("name", "content", "code", "message"),
    [
        ("absent.jsonl", None, 1, "there is no journal absent.jsonl"),
        ("absent.db", None, 1, "there is no journal absent.db"),
        ("notes.jsonl", b"dear diary\n", 1, "notes.jsonl is not a leftoff journal"),
        ("notes.db", b"dear diary\n" * 100, 1, "notes.db is not an SQLite database"),
        ("notes.txt", b"", 2, "the name chooses the journal"),
        ("new.jsonl", b'{"leftoff":"journal","format":9,"id"', 1, "was written in format 9"),
        ("mysql://host/db", None, 2, "journals are kept in progress.jsonl"),
    ],
)
def test_a_wrong_place_is_told_apart_and_never_touched(
    tmp_path: Path, name: str, content: bytes | None, code: int, message: str
) -> None:
    """A look at what is no journal says what it is, creates nothing and changes nothing, whichever command it is."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    for words in (["status"], ["log"], ["dead"], ["retry"], ["forget", "--all"], ["verify"]):
        ended = call(words[0], name, *words[1:])
        assert (words, ended.code, ended.out) == (words, code, "")
        assert ended.err.startswith("leftoff: ")
        assert message in ended.err
    assert {path.name for path in tmp_path.iterdir()} == (set() if content is None else {name})
    assert content is None or (tmp_path / name).read_bytes() == content


def test_a_directory_is_not_a_journal(tmp_path: Path) -> None:
    """A directory in the journal's place is named as such."""
    (tmp_path / "dir.jsonl").mkdir()
    ended = call("status", "dir.jsonl")
    assert ended.code == 1
    assert "dir.jsonl is a directory" in ended.err


def test_a_run_that_is_owned_is_not_mended(place: str, tmp_path: Path) -> None:
    """While another process owns the run, retry and forget are refused with 5, and name it."""
    program = """
        import sys
        import leftoff

        with leftoff.open(sys.argv[1]) as journal:
            run = journal.run("ingest")
            list(run.map(lambda item: 1 // item, [0, 1], attempts=1, progress=False))
            for item in run.each([2], progress=False):
                print("in hand")
                sys.stdin.readline()
    """
    with started(write(tmp_path, program), place) as process:
        until(process, "in hand")
        for words in (["retry"], ["forget", "--all"]):
            ended = call(words[0], place, *words[1:])
            assert ended.code == 5
            assert f"process {process.pid} on " in ended.err


def test_a_closed_pipe_is_quiet(ingest: str) -> None:
    """A reader that wants no more gets no complaint: the exit code is that of SIGPIPE."""
    reading, writing = os.pipe()
    os.close(reading)
    for words in (["log"], ["log", "--json"], ["status"], ["dead"], ["dead", "--json"], ["verify"]):
        command = [sys.executable, "-m", "leftoff.cli", words[0], ingest, *words[1:]]
        ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
        assert (words, ended.returncode, ended.stderr) == (words, 141, "")
    os.close(writing)


def test_an_encoding_that_lacks_a_character_is_no_failure(ingest: str) -> None:
    """A terminal that cannot show a key gets it escaped."""
    with leftoff.open(ingest) as journal:
        list(journal.run("ünï").each(["→"], progress=False))
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "leftoff.cli", "log", ingest, "--run", "ünï", "-n", "2"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "\\u2192" in ended.stdout
