from __future__ import annotations

import json
import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from tests.cli import conftest
from tests.cli.conftest import call
from tests.shell.conftest import ledger, run, start, wait_for

NOTE = """echo "$1" >>ledger; echo "out $1"; echo "err $1" >&2"""
GO = 'echo "$1" >>ledger; until [ -e go ]; do sleep 0.01; done; echo "$1"'
SH = ("--", "sh", "-c", NOTE, "sh", "{}")


def fates() -> tuple[list[str], list[str]]:
    """Return which keys are done, and which are dead."""
    done, dead = conftest.fates("leftoff.jsonl", "each")
    return sorted(done), sorted(dead)


def test_a_command_is_run_for_each_item() -> None:
    """Each item's command runs once, and what it wrote is printed; the journal is the default one."""
    ended = run("each", "-k", ":::", "a", "b c", "-x", *SH)
    assert (ended.returncode, ended.stdout, ended.stderr) == (
        0,
        b"out a\nout b c\nout -x\n",
        b"err a\nerr b c\nerr -x\n",
    )
    assert ledger() == {"a": 1, "b c": 1, "-x": 1}
    assert fates() == (["-x", "a", "b c"], [])


def test_what_is_done_is_skipped() -> None:
    """The second time only what is new runs, in whatever order the list is now, and the accounts are told."""
    call("each", ":::", "a", "b", *SH)
    ended = run("each", ":::", "c", "b", "a", "c", *SH)
    assert (ended.returncode, ended.stdout) == (0, b"out c\n")
    assert b"each: 3 items = 3 done + 0 dead + 0 missing, 2 were done before, 1 duplicates skipped\n" in ended.stderr
    assert ledger() == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize("journal", ["work.jsonl", "work.db", "work/"])
def test_every_journal_will_do(journal: str) -> None:
    """A list is resumed from each kind of journal, and bytes that are no text are kept in each."""
    script = 'echo "$1" >>ledger; printf "\\0\\377$1"'
    for _ in range(2):
        ended = run("each", "--journal", journal, "--replay", ":::", "a", "--", "sh", "-c", script, "sh", "{}")
        assert (ended.returncode, ended.stdout) == (0, b"\0\xffa")
    assert ledger() == {"a": 1}


def test_items_come_from_a_list_or_a_pipe() -> None:
    """-a names a file, - or nothing is standard input, -0 says that NULs end the items."""
    Path("list").write_text("a\n\nb\n")
    assert run("each", "--run", "1", "-k", "-a", "list", "echo").stdout == b"a\nb\n"
    assert run("each", "--run", "2", "-k", "--", "echo", stdin="c\nd").stdout == b"c\nd\n"
    assert run("each", "--run", "3", "-k", "-a", "-", "-0", "--", "echo", stdin=b"e\nf\0g\0").stdout == b"e\nf\ng\n"
    assert b"1: 1 empty item skipped\n" in run("each", "--run", "1", "-a", "list", "echo").stderr


def test_items_come_from_the_records_of_a_csv() -> None:
    """Columns go where their names are, and the key may be one of them."""
    Path("people.csv").write_text('id,name\n7,"O\'Hara, Ann"\n8,Bo\n')
    ended = run("each", "-k", "--csv", "-a", "people.csv", "--key", "id", "--", "echo", "{name}", "<{id}>", "{}")
    assert ended.stdout == b"O'Hara, Ann <7> 7,\"O'Hara, Ann\"\nBo <8> 8,Bo\n"
    assert fates() == (["7", "8"], [])


def test_a_failing_item_is_a_dead_letter() -> None:
    """Exit code 3: the item is named with its error, set aside, and tried again once it is to be."""
    script = '[ "$1" != b ] || [ -e mended ] || { echo "no $1" >&2; exit 7; }; echo "$1" >>ledger'
    words = ("each", ":::", "a", "b", "c", "--", "sh", "-c", script, "sh", "{}")
    ended = run(*words)
    assert (ended.returncode, ended.stderr.count(b"no b\n")) == (3, 1)
    assert b"each: 1 dead letter: b; leftoff retry leftoff.jsonl --run each\n" in ended.stderr
    assert call("dead", "leftoff.jsonl").out.splitlines()[2] == "  CommandFailed: exit status 7: no b"
    Path("mended").touch()
    assert run(*words).returncode == 3
    assert run("each", "--resume-failed", *words[1:]).returncode == 0
    assert ledger() == {"a": 1, "b": 1, "c": 1}


def test_a_failing_item_is_tried_again() -> None:
    """--attempts, or --retries as GNU parallel calls it, are tries in all; only the last one's output is printed."""
    script = 'echo "$LEFTOFF_ATTEMPT $LEFTOFF_TOKEN" | tee -a ledger; [ "$LEFTOFF_ATTEMPT" = 3 ]'
    ended = run("each", "--retries", 3, ":::", "a", "--", "sh", "-c", script)
    assert ended.returncode == 0
    (one, two, three), tokens = zip(*map(str.split, ledger()), strict=True)
    assert (one, two, three, len(set(tokens))) == ("1", "2", "3", 1)
    assert ended.stdout.decode().split() == ["3", tokens[0]]


def test_results_are_files() -> None:
    """--results keeps each item's output in a private folder of its own, a failed one's too, and replays it."""
    words = (
        "each",
        "-k",
        "--results",
        "out",
        ":::",
        "a",
        "../b",
        "*",
        "--",
        "sh",
        "-c",
        f"{NOTE}; [ $1 != '*' ]",
        "sh",
        "{}",
    )
    ended = run(*words)
    assert (ended.returncode, ended.stdout) == (3, b"out a\nout ../b\nout *\n")
    folders = sorted(Path("out").iterdir())
    assert {(folder / "stdout").read_text() for folder in folders} == {"out a\n", "out ../b\n", "out *\n"}
    assert Path("out/a/stderr").read_text() == "err a\n"
    assert {stat.S_IMODE(each.stat().st_mode) for each in [Path("out"), *folders]} == {0o700}
    assert stat.S_IMODE(Path("out/a/stdout").stat().st_mode) == 0o600
    assert run(*words).stdout == b""
    assert run("each", "--replay", *words[1:]).stdout == b"out a\nout ../b\n"
    assert ledger() == {"a": 1, "../b": 1, "*": 1}


def test_results_that_are_gone_are_told() -> None:
    """What cannot be replayed is named, with what to do."""
    run("each", "--results", "out", ":::", "a", *SH)
    ended = run("each", "--replay", "--results", "other", ":::", "a", *SH)
    assert ended.returncode == 1
    assert b"leftoff: the output of a is not in other/a; give the --results of the run that kept it" in ended.stderr


def test_long_output_is_kept_beside_the_journal() -> None:
    """Output that is too long for the journal is whole in files beside it, when printed and when replayed."""
    words = (
        "each",
        "--replay",
        ":::",
        "200000",
        "--",
        sys.executable,
        "-c",
        "import sys; print('x' * int(sys.argv[1]))",
        "{}",
    )
    first, second = run(*words), run(*words)
    assert first.stdout == second.stdout == b"x" * 200_000 + b"\n"
    assert Path("leftoff.jsonl.outputs/each/200000/stdout").stat().st_size == 200_001
    assert Path("leftoff.jsonl").stat().st_size < 5000


def test_output_is_whole_and_in_order() -> None:
    """Lines of different items never mix; -k prints in the order of the items, --tag says whose each line is."""
    script = 'for i in 1 2 3; do echo "$1-$i"; sleep 0.0$1; done; printf end'
    words = (":::", "5", "1", "3", "--", "sh", "-c", script, "sh", "{}")
    items = [f"{n}-1\n{n}-2\n{n}-3\nend" for n in "513"]
    assert run("each", "--run", "1", "-j3", "-k", *words).stdout.decode() == "".join(items)
    found = run("each", "--run", "2", "-j3", *words).stdout.decode()
    assert sorted(found.split("end")) == sorted("".join(items).split("end"))
    tagged = run("each", "--run", "3", "-k", "--tag", ":::", "a", "b\nc", "--", "printf", "1\r\n2\n%s").stdout
    assert tagged == b"a\t1\r\na\t2\na\tab\\nc\t1\r\nb\\nc\t2\nb\\nc\tb\nb\\nc\tc"


def test_json_is_a_line_for_each_item_and_one_for_all() -> None:
    """Programs get each item as an object, and the accounts last."""
    script = f'[ "$1" = b ] && printf "\\377"; {NOTE}; [ "$1" != c ]'
    words = ("each", "--json", "-k", ":::", "a", "b", "c", "", "--", "sh", "-c", script, "sh", "{}")
    lines = [json.loads(line) for line in run(*words).stdout.splitlines()]
    for each in lines[:-1]:
        assert each.pop("seconds") >= 0
    assert lines[0] == {
        "key": "a",
        "exit": 0,
        "stdout": "out a\n",
        "stderr": "err a\n",
        "error": None,
        "resumed": False,
    }
    assert lines[1]["stdout"] == {"$bytes": "/291dCBiCg=="}
    assert (lines[2]["exit"], lines[2]["error"]) == (1, "exit status 1: err c")
    assert (lines[3]["total"], lines[3]["done"], lines[3]["dead"], lines[3]["empty"]) == (3, 2, 1, 1)
    again = [json.loads(line) for line in run("each", "--replay", *words[1:]).stdout.splitlines()]
    assert [each.get("resumed") for each in again] == [True, True, True, 3]


def test_a_dry_run_prints_what_would_run() -> None:
    """--dry-run prints each command as a shell would need it, leaves out what is done, and writes nothing."""
    words = (":::", "a", "b c", "$x", "b c", "--", "echo", "<{}>")
    assert call("each", "--dry-run", *words).out == "echo '<a>'\necho '<b c>'\necho '<$x>'\n"
    assert list(Path().iterdir()) == []
    run("each", ":::", "a", "--", "echo")
    before = Path("leftoff.jsonl").read_bytes()
    assert call("each", "--dry-run", *words).out == "echo '<b c>'\necho '<$x>'\n"
    assert Path("leftoff.jsonl").read_bytes() == before


def test_a_timeout_is_an_error_of_the_item() -> None:
    """--timeout takes seconds or a text, ends the command, and says so."""
    ended = run("each", "--timeout", "0.3s", ":::", "0", "600", "--", "sleep")
    assert ended.returncode == 3
    assert call("dead", "leftoff.jsonl").out.splitlines()[2] == "  CommandFailed: it took longer than --timeout 0.3 s"
    assert fates() == (["0"], ["600"])


def test_halt_now_ends_what_runs_and_gives_it_back() -> None:
    """--halt now,fail=1: exit code 75 with the reason, the rest is neither done nor dead, and a resumed run does it."""
    script = """if [ "$1" = bad ]; then until [ -e long ]; do sleep 0.01; done; exit 1; fi
        touch "$1"; [ -e free ] || sleep 600"""
    words = ("each", "-j2", "--halt", "now,fail=1", ":::", "long", "bad", "more", "--", "sh", "-c", script, "sh", "{}")
    ended = run(*words)
    assert ended.returncode == 75
    assert b"stopped by --halt now,fail=1; everything finished is kept: run the same again to go on\n" in ended.stderr
    assert fates() == ([], ["bad"])
    assert not Path("more").exists()
    Path("free").touch()
    assert run(*words).returncode == 3
    assert fates() == (["long", "more"], ["bad"])


def test_halt_soon_finishes_what_runs() -> None:
    """--halt soon,fail=50%: what runs ends by itself and is printed, and nothing more is begun."""
    script = (
        """[ "$1" = 3 ] && until grep -q '"dead":"2"' leftoff.jsonl; do sleep 0.01; done; echo "$1"; [ "$1" = 3 ]"""
    )
    words = ("-j2", "--halt", "soon,fail=50%", ":::", "3", "1", "2", "4", "--", "sh", "-c", script, "sh", "{}")
    ended = run("each", *words)
    assert ended.returncode == 75
    assert sorted(ended.stdout.split()) == [b"1", b"2", b"3"]
    assert b"stopped by --halt soon,fail=50%;" in ended.stderr
    assert fates() == (["3"], ["1", "2"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_finishes_what_runs(number: int) -> None:
    """Ctrl-C and SIGTERM do not reach the commands: these end by themselves, are printed, and nothing more is begun."""
    process = start("each", "-j2", ":::", *"abcd", "--", "sh", "-c", GO, "sh", "{}")
    wait_for(lambda: len(ledger()) == 2)
    process.send_signal(number)
    line = process.stderr.readline()
    assert line == b"finishing 2 items; again to stop now\n"
    Path("go").touch()
    out, err = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else 75)
    assert sorted(out.split()) == [b"a", b"b"]
    assert b"everything finished is kept" in err
    assert ledger() == {"a": 1, "b": 1}


def test_the_second_signal_ends_what_runs() -> None:
    """What runs is ended, group and all, before the journal is given up, and counts against nothing."""
    script = 'trap "echo $1 >>ended; exit 0" TERM; echo "$1" >>ledger; sleep 600 & wait'
    process = start("each", "-j2", ":::", *"abcd", "--", "sh", "-c", script, "sh", "{}")
    wait_for(lambda: len(ledger()) == 2)
    process.send_signal(signal.SIGTERM)
    process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 75
    assert ledger("ended") == {"a": 1, "b": 1}
    assert [each["kind"] for each in call("log", "leftoff.jsonl", "--json").json_lines][-2:] == ["released", "released"]


def test_a_signal_that_the_commands_get_too_is_no_error_of_theirs() -> None:
    """Where a service's end sends SIGTERM to all of it, what dies of that is given back."""
    process = start("each", "-j2", ":::", *"abcd", "--", "sh", "-c", "echo $$ >>ledger; sleep 600", "sh", "{}")
    wait_for(lambda: len(ledger()) == 2)
    for pid in map(int, ledger()):
        os.killpg(pid, signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 75
    assert fates() == ([], [])


def test_time_is_over() -> None:
    """--stop-after stops before the end, resumably."""
    ended = run(
        "each",
        "-j1",
        "--stop-after",
        "0.1",
        ":::",
        *"abcdefgh",
        "--",
        "sh",
        "-c",
        "echo $1 >>ledger; sleep 0.2",
        "sh",
        "{}",
    )
    assert ended.returncode == 75
    assert b"stopped by stop_after=0.1;" in ended.stderr
    assert 1 <= len(ledger()) < 8


def test_a_second_process_is_refused() -> None:
    """Two processes on one list: the second ends with exit code 5, and runs nothing."""
    words = (
        "each",
        ":::",
        "a",
        "b",
        "--",
        "sh",
        "-c",
        'echo "$1" >>ledger; until [ -e go ]; do sleep 0.01; done',
        "sh",
        "{}",
    )
    process = start(*words)
    wait_for(lambda: len(ledger()) == 2)
    ended = run(*words)
    assert ended.returncode == 5
    assert b"is owned by process" in ended.stderr
    Path("go").touch()
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert ledger() == {"a": 1, "b": 1}


def test_an_item_that_was_in_hand_too_often_is_a_dead_letter() -> None:
    """After --crashes kills of leftoff with it in hand an item is set aside, and the others go on."""
    script = 'echo "$1" >>ledger; [ "$1" = b ] || sleep 600'
    words = ("each", "--crashes", 2, "-j1", ":::", "a", "b", "--", "sh", "-c", script, "sh", "{}")
    for turn in (1, 2):
        process = start(*words)
        wait_for(lambda turn=turn: ledger()["a"] == turn)
        process.kill()
        process.communicate()
    assert run(*words).returncode == 3
    assert fates() == (["b"], ["a"])
    assert ledger() == {"a": 2, "b": 1}


def test_a_reader_that_goes_away_ends_it() -> None:
    """`leftoff each … | head` ends with exit code 141, and what was finished is kept."""
    Path("list").write_text("".join(f"{number}\n" for number in range(1000)))
    process = start("each", "-a", "list", "-j2", "--", "echo")
    process.stdout.readline()
    process.stdout.close()
    process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 141
    assert run("each", "-a", "list", "-j2", "--", "echo").returncode == 0
    assert len(fates()[0]) == 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Name the COMMAND to be run for each item, behind --."),
        ((":::", "a", "b"), "Write -- between the items and the command: ::: a b c -- COMMAND {}"),
        ((":::", "a", "--"), "Name the COMMAND to be run for each item, behind --."),
        (("echo", "{}", ":::", "a"), "The items come first: leftoff each ::: a b c -- COMMAND {}"),
        (
            (":::", "a", ":::", "b", "--", "echo"),
            "There is a second ::: among the items",
        ),
        (
            ("::::", "list", "--", "echo"),
            "::::: give the items of a file with -a LIST",
        ),
        (("-a", "x", ":::", "a", "--", "echo"), "Give ::: ITEM... or -a LIST, not both."),
        (("-0", ":::", "a", "--", "echo"), "-0, --csv and --key are for lists"),
        (("-a", "nowhere", "--", "echo"), "leftoff: the list nowhere cannot be read: No such file or directory"),
        (("-j", "0", ":::", "a", "--", "echo"), "leftoff: -j 0: say how many commands may run at once"),
        (("--attempts", "0", ":::", "a", "--", "echo"), "leftoff: attempts=0: at least one try is needed"),
        (("--timeout", "soon", ":::", "a", "--", "echo"), "leftoff: timeout='soon': give seconds"),
        (("--halt", "soon", ":::", "a", "--", "echo"), "leftoff: --halt soon: write never, or now or soon"),
        (("--rate", "x", ":::", "a", "--", "echo"), "leftoff: rate 'x' is not understood"),
        (("--run", "", ":::", "a", "--", "echo"), "leftoff: --run: the name of the run is empty"),
        ((":::", "a", "--", "no-such-command"), "leftoff: no-such-command: there is no such command"),
        ((":::", "a", "--", "echo", "{.}"), "leftoff: {.} in '{.}': leftoff replaces {}"),
        (("--journal", "x.txt", ":::", "a", "--", "echo"), "leftoff: x.txt: the name chooses the journal"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_done(words: tuple[str, ...], message: str) -> None:
    """Exit code 2, one line that says what to write, and nothing was made."""
    ended = call("each", *words)
    assert ended.code == 2
    assert message in ended.err
    assert list(Path().iterdir()) == []


def test_the_command_may_hold_any_word() -> None:
    """Behind the -- words are the command's, also those that are ours before it."""
    Path("list").write_text("a\n")
    assert run("each", ":::", "a", "--", "echo", "--", ":::", "-j", "{}").stdout == b"-- ::: -j a\n"
    assert run("each", "--run", "2", "-a", "list", "--", "echo", ":::", "{}").stdout == b"::: a\n"


def test_nothing_to_do_is_complete() -> None:
    """An empty list is done at once."""
    assert run("each", "--", "echo", stdin="").returncode == 0
