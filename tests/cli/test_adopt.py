from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.adopt.conftest import done_entries
from tests.adopt.test_scrapy import RECORDED
from tests.cli.conftest import call

LOG = """\
Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand
1\t:\t1795707498.279\t     0.010\t0\t0\t0\t0\tconvert a.jpg out/a.jpg.png
2\t:\t1795707498.283\t     0.012\t0\t0\t0\t0\tconvert 'b c.jpg' out/'b c.jpg'.png
3\t:\t1795707498.287\t     0.012\t0\t0\t1\t0\tconvert d.jpg out/d.jpg.png
4\t:\t1795707498.2"""
COMMAND = ("--command", "convert {} out/{}.png")


@pytest.fixture
def log() -> str:
    Path("jobs.log").write_text(LOG)
    return "jobs.log"


def test_a_joblog_is_adopted_in_one_line(place: str, log: str) -> None:
    """What was adopted, what failed there and what is not believed is said; run again, all of it is known."""
    ended = call("adopt", place, "--from", log, *COMMAND)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        f"{place}, run each: 2 keys adopted, 0 known before, 1 failed there\n"
        "  1 not believed, so to be worked on again:\n"
        "    jobs.log, line 5: the line is torn, or glued to a torn one\n"
    )
    assert done_entries(place, "each") == ["a.jpg", "b c.jpg"]
    assert "0 keys adopted, 2 known before" in call("adopt", place, "--from", f"joblog:{log}", *COMMAND).out
    assert done_entries(place, "each") == ["a.jpg", "b c.jpg"]


def test_a_program_is_told_all_of_it(place: str, log: str) -> None:
    """--json prints one object with the numbers, and with --dry-run each key before it."""
    *keys, told = call("adopt", place, "--from", log, *COMMAND, "--dry-run", "--json").json_lines
    assert keys == [{"key": "a.jpg", "value": None}, {"key": "b c.jpg", "value": None}]
    assert told == {
        "journal": place, "dry_run": True, "run": "each", "new": True, "adopted": 2, "known": 0, "not_done": 1,
        "doubts": 1, "doubted": [{"where": "jobs.log, line 5", "why": "the line is torn, or glued to a torn one"}],
        "notes": [],
    }  # fmt: skip
    assert not Path(place).exists()
    assert call("adopt", place, "--from", log, *COMMAND, "--json").json == {**told, "dry_run": False}


def test_a_dry_run_prints_the_keys_alone(place: str, log: str) -> None:
    """On stdout there is a key a line, to be counted or compared; the account is on stderr."""
    ended = call("adopt", place, "--from", log, *COMMAND, "--dry-run")
    assert (ended.code, ended.out) == (0, "a.jpg\nb c.jpg\n")
    assert ended.err.startswith(f"{place}, run each: 2 keys would be adopted")
    assert not Path(place).exists()


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("done.jsonl", '{"k":"a","s":"ok"}\n{"k":"b","s":"no"}\n', ["--key", "k", "--value", "s", "--where", "s=ok"]),
        ("done.csv", "k,s\na,ok\nb,no\n", ["--key", "k", "--where", "s=ok"]),
        ("done.tsv", "k\ts\na\tok\nb\tno\n", ["--key", "k", "--where", "s=ok"]),
        ("done.txt", "a\nb\n", ["--workers", "1"]),
        ("lines:done.log", "a\n", []),
        ("out/{key}.json", "{}", ["--check"]),
        ("outputs:out/{key}.json", "{}", ["--workers", "0"]),
    ],
)  # fmt: skip
def test_a_source_is_told_by_its_name(name: str, body: str, words: list[str]) -> None:
    """A suffix, {key}, or a word in front says what a source is; each gives the one key that is done."""
    Path("out").mkdir()
    Path(name.partition(":")[2] or name).write_text(body) if "{key}" not in name else Path("out/a.json").write_text(
        body
    )
    ended = call("adopt", "work.jsonl", "--run", "ingest", "--from", name, *words)
    assert (ended.code, ended.err) == (0, "")
    assert done_entries("work.jsonl", "ingest") == ["a"]


def test_scrapy_s_directory_is_known(place: str) -> None:
    """A JOBDIR, or its requests.seen, is adopted with consent and refused without."""
    for source in (RECORDED / "ended", RECORDED / "ended" / "requests.seen"):
        refused = call("adopt", place, "--run", "crawl", "--from", source)
        assert refused.code == 2
        assert "--trust-seen" in refused.err
    assert not Path(place).exists()
    assert call("adopt", place, "--run", "crawl", "--from", RECORDED / "ended", "--trust-seen").code == 0
    assert len(done_entries(place, "crawl")) == 12


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--from", "nothing.log"], "there is no nothing.log to adopt from"),
        (["--from", "jobs.log"], "say which command parallel was given"),
        (["--from", "jobs.log", "--command", "echo {}"], "has no command that fits 'echo {}'"),
        (["--from", "jobs.log", "--key", "a"], "--key says nothing of jobs.log, which is read as joblog"),
        (["--from", "odd", "--run", "x"], "odd: say what it is, with one of joblog:"),
        (["--from", "out/{}.json"], "name the files by a pattern with {key} where the key stands"),
        (["--from", "."], "name the files by a pattern with {key} where the key stands"),
        (["--from", "a.txt"], "holds no run yet: name the loop that will go on"),
        (["--from", "a.txt", "--run", "x", "--where", "status"], "'status' is not FIELD=TEXT"),
        (["--from", "out/{key}.json", "--run", "x"], "there is no directory out"),
        (["--from", "scrapy:none", "--run", "x", "--trust-seen"], "there is no none to adopt from"),
    ],
)
def test_a_wrong_call_changes_nothing(log: str, words: list[str], what: str) -> None:
    """Exit code 2, an error that says what to do, and no journal."""
    Path("odd").write_text("?")
    Path("a.txt").write_text("a\n")
    ended = call("adopt", "work.jsonl", *words)
    assert (ended.code, ended.out) == (2, "")
    assert what in ended.err
    assert not Path("work.jsonl").exists()


def test_a_source_of_which_nothing_is_believed_is_a_failure() -> None:
    """Where there is something and none of it can be adopted, a script must not go on as if it had been."""
    Path("a.txt").write_text("a")
    ended = call("adopt", "work.jsonl", "--run", "x", "--from", "a.txt")
    assert ended.code == 1
    assert "0 keys adopted" in ended.out


def test_a_name_cannot_drive_the_terminal() -> None:
    """Keys and commands of somebody else's log are shown escaped, and long ones cut."""
    Path("jobs.log").write_text(LOG.replace("a.jpg", "'\x1b[2J'").replace("convert d", "\x1b]0;" + "d" * 999))
    ended = call("adopt", "work.jsonl", "--from", "jobs.log", *COMMAND, "--dry-run")
    assert "\x1b" not in ended.out + ended.err
    assert "\\x1b[2J" in ended.out
    assert "\\x1b]0;ddd" in ended.err
    assert max(map(len, ended.err.splitlines())) < 400


def test_the_reader_of_the_keys_may_go_away() -> None:
    """`--dry-run | head` ends quietly with 141."""
    Path("a.txt").write_text("".join(f"key {number}\n" for number in range(200_000)))
    words = [sys.executable, "-m", "leftoff.cli", "adopt", "w.jsonl", "--run", "x", "--from", "a.txt", "--dry-run"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "key 0\n"
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(60) == 141
