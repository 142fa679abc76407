from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from leftoff.adopt import joblog
from leftoff.errors import UsageError
from tests.adopt.conftest import NASTY, sorted_out

Parallel = Callable[..., str]
FUZZED = 400


@pytest.mark.parametrize(
    "template",
    [
        "true {}",
        "true {} out/{}.png",
        'printf "%s\\n" {} > /dev/null',
        "true",
        "true {#} {} {%}",
        "true {.} {} {/} {//} {/.}",
        "true -- x={}:{}",
    ],
)
def test_the_item_is_read_back_from_the_command(parallel: Parallel, template: str) -> None:
    """Whatever an item holds, the real parallel's quoting of it gives just the items that were worked on."""
    log = parallel(template, NASTY)
    assert sorted_out(joblog(log, command=template)) == (NASTY, [], [])


@pytest.mark.parametrize("template", ["true {}", "test -n {} -o {}", "true"])
def test_the_word_in_which_all_commands_differ_is_the_item(parallel: Parallel, template: str) -> None:
    """Without a template it is told by the log itself, where the item is a word of its own."""
    log = parallel(template, [item for item in NASTY if item.strip()])
    done = sorted_out(joblog(log))[0]
    assert done
    assert set(done) <= set(NASTY)
    assert set(done) == set(sorted_out(joblog(log, command=template))[0])


def test_where_no_one_word_differs_the_command_is_asked_for(parallel: Parallel) -> None:
    """One command alone tells nothing, nor do two words that differ in other ways."""
    for template, items in (("true {}", ["one"]), ("true {} {.}", ["a.x", "b.y"])):
        with pytest.raises(UsageError, match="say which command parallel was given"):
            list(joblog(parallel(template, items, log=f"{len(items)}.log")))


def test_an_item_may_hold_a_line_break(parallel: Parallel) -> None:
    """A list that was separated by zero bytes can have items of several lines."""
    log = parallel("true {}", ["a\nb", "c"], "-0", end="\0")
    assert sorted_out(joblog(log, command="true {}")) == (["a\nb", "c"], [], [])


def test_each_line_of_the_list_may_be_a_command(parallel: Parallel) -> None:
    """Where parallel was given no command, the item is the command line itself, unquoted."""
    commands = ["true a b", "test 'x y' = 'x y'", "false", 'echo "$HOME" > /dev/null']
    log = parallel("", commands)
    assert sorted_out(joblog(log, command="{}")) == ([commands[0], commands[1], commands[3]], ["false"], [])


def test_what_failed_or_was_killed_is_not_done(parallel: Parallel) -> None:
    """An exit code or a signal says that an item is to be worked on again; neither is adopted."""
    log = parallel("sh -c {}", ["exit 0", "exit 3", "kill -9 $$"])
    assert sorted_out(joblog(log, command="sh -c {}")) == (["exit 0"], ["exit 3", "kill -9 $$"], [])


def test_the_last_word_about_an_item_counts(parallel: Parallel) -> None:
    """What failed and was done by --resume-failed is done; what was done and failed later is not."""
    parallel("test -e {}", ["a", "b"])
    Path("a").touch()
    log = parallel("test -e {}", ["a", "b"], "--resume-failed")
    assert sorted_out(joblog(log, command="test -e {}")) == (["a"], ["b"], [])
    Path("a").unlink()
    Path("b").touch()
    log = parallel("test -e {}", ["a", "b"], log="+jobs.log").removeprefix("+")
    assert sorted_out(joblog(log, command="test -e {}")) == (["b"], ["a"], [])


def test_the_list_of_that_time_gives_the_items(parallel: Parallel) -> None:
    """With the list that parallel had, an item is the line whose number the log has."""
    items = ["x/a.flac", "b c.flac", "it's.flac", "a\rb.flac", "ü.flac"]
    log = parallel("true {.}.mp3", items)
    assert sorted_out(joblog(log, items="list")) == (items, [], [])
    assert sorted_out(joblog(log, items="list", command="true {.}.mp3")) == (items, [], [])


def test_a_number_is_no_key(parallel: Parallel) -> None:
    """Parallel's own --resume goes by the number: it skips an item that was inserted and runs another one twice."""
    parallel("echo {} >> ran", ["a", "b"])
    parallel("echo {} >> ran", ["z", "a", "b"], "--resume")
    assert Path("ran").read_text().split() == ["a", "b", "b"]
    assert sorted_out(joblog("jobs.log", command="echo {} >> ran"))[0] == ["a", "b", "b"]


def test_a_changed_list_is_refused(parallel: Parallel) -> None:
    """A line that was inserted would let each item pass for another's result: parallel itself falls for that."""
    log = parallel("true {}", ["a1", "b2", "c3"])
    Path("changed").write_text("z0\na1\nb2\nc3\n")
    with pytest.raises(UsageError, match="changed is not the list that parallel had: command 1 was 'true a1'"):
        list(joblog(log, items="changed"))
    Path("changed").write_text("a1\nb2\n")
    with pytest.raises(UsageError, match="command 3 was 'true c3', and line 3 is not there"):
        list(joblog(log, items="changed"))
    with pytest.raises(UsageError, match="has no command that fits"):
        list(joblog(log, items="changed", command="true {.}.png"))


def test_another_command_is_refused_before_anything(parallel: Parallel) -> None:
    """A template that no line fits is named beside a command of the log."""
    log = parallel("true {}", ["a", "b c"])
    with pytest.raises(UsageError, match=re.escape("no command that fits 'echo {}'; it has, for one: true a")):
        list(joblog(log, command="echo {}"))


def test_every_part_of_a_command_must_be_of_the_same_item(parallel: Parallel) -> None:
    """A command of the right shape whose parts tell of two items is another command."""
    log = parallel("true {1} {2}", ["a.x a", "b.x c"], "--colsep", " ")
    done, _, doubts = sorted_out(joblog(log, command="true {} {.}"))
    assert (done, [doubt.why for doubt in doubts]) == (["a.x"], ["the command is another one: true b.x c"])


def test_several_commands_in_one_log_are_told_apart(parallel: Parallel) -> None:
    """Of a log that two commands wrote (--joblog +FILE) only the lines of the named one are believed."""
    parallel("true {}", ["a"])
    parallel("true -x {}", ["b c"], log="+jobs.log")
    done, failed, doubts = sorted_out(joblog("jobs.log", command="true -x {}"))
    assert (done, failed) == (["b c"], [])
    assert [doubt.why for doubt in doubts] == ["the command is another one: true a"]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"command": "true {1}"}, "{1} of the command cannot be read back"),
        ({"command": "true {= s/a// =}"}, "cannot be read back"),
        ({"command": "true {.}"}, "does not hold the item itself"),
        ({"command": "true {#}"}, "says nothing of the item"),
        ({"command": " "}, "the command is empty"),
    ],
)
def test_a_command_that_cannot_be_read_back_is_refused(options: dict[str, str], what: str) -> None:
    """What a template would have to say and does not is an error that tells what to give instead."""
    with pytest.raises(UsageError, match=re.escape(what)):
        joblog("jobs.log", **options)


@pytest.mark.parametrize(
    ("quoted", "item"),
    [
        ("a\\ b", "a b"),
        ("it\\'s", "it's"),
        ("\\$x\\;\\\\", "$x;\\"),
        ("two'\0'lines", "two\nlines"),
        ("''", ""),
        ("a\\\tb", "a\tb"),
    ],
)
def test_an_older_parallel_quotes_with_backslashes(quoted: str, item: str) -> None:
    """Older versions put a backslash before each character that a shell would see: the item is the same."""
    line = f"1\t:\t1795707498.279\t     0.010\t0\t0\t0\t0\tconvert {quoted} out/{quoted}.png\n"
    Path("jobs.log").write_bytes(line.encode())
    assert sorted_out(joblog("jobs.log", command="convert {} out/{}.png")) == ([item], [], [])


def test_several_items_in_one_command_are_not_believed(parallel: Parallel) -> None:
    """What -X put into one command cannot be told apart: it would be one item with spaces."""
    log = parallel("true", ["a", "b"], "-X")
    with pytest.raises(UsageError, match="it has, for one: true a b"):
        list(joblog(log, command="true"))


def cut(whole: bytes, at: int) -> bytes:
    """Return a log whose line was torn at this byte by a power failure, and to which parallel then appended."""
    return whole[:at] + b"7\t:\t1795707498.403\t     0.000\t0\t0\t0\t0\ttrue 'glued on'\n"


def test_a_torn_line_is_not_believed_wherever_it_was_torn(parallel: Parallel) -> None:
    """At each byte where a log may end: no item is done but those whose whole lines stand before, or the glued one."""
    items = ["it's 1", "22", "3 3"]
    log = Path(parallel("true {}", items))
    whole = log.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    for at in range(ends[0], len(whole)):
        full = [item for item, end in zip(items, ends[1:], strict=True) if end <= at]
        log.write_bytes(whole[:at])
        done, failed, doubts = sorted_out(joblog(str(log), command="true {}"))
        assert (done, failed, len(doubts)) == (full, [], int(at not in ends)), at
        log.write_bytes(cut(whole, at))
        done, failed, doubts = sorted_out(joblog(str(log), command="true {}"))
        assert done in (full, [*full, "glued on"]), at  # torn in its number, a line is whole with another number
        assert failed == []


def test_a_line_that_was_torn_in_its_number_is_no_other_item(parallel: Parallel) -> None:
    """`4` and `49 …` glued are a whole line with the number 449: with a list that would be another item's."""
    log = Path(parallel("true {}", [f"item{number}" for number in range(1, 12)]))
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([*lines[:2], b"1", lines[2]]))  # item2 with the number 12
    with pytest.raises(UsageError, match="command 12 was 'true item2', and line 12 is not there"):
        list(joblog(str(log), items="list"))
    log.write_bytes(b"".join([*lines[:2], b"1", lines[1]]))  # item1 with the number 11
    with pytest.raises(UsageError, match="command 11 was 'true item1', and line 11 is 'item11'"):
        list(joblog(str(log), items="list"))


def test_whatever_a_log_holds_nothing_is_done_that_was_not(parallel: Parallel, rng: random.Random) -> None:
    """Torn, appended to, holed and doubled at random: an item is done only if a line says so of just that item."""
    items = [*NASTY, *(f"item {number}" for number in range(20))]
    log = Path(parallel("sh -c 'exit $1' -- 0 {}", items))
    whole = log.read_bytes()
    assert len(sorted_out(joblog(str(log), command="sh -c 'exit $1' -- 0 {}"))[0]) == len(items)
    for _ in range(FUZZED):
        log.write_bytes(damaged(whole, rng))
        try:
            done, _, _ = sorted_out(joblog(str(log), command="sh -c 'exit $1' -- 0 {}"))
        except UsageError:
            continue
        assert set(done) <= set(items), set(done) - set(items)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return a log after one to three accidents of the kinds that a crash has: tears, holes, what is told twice."""
    for _ in range(rng.randint(1, 3)):
        starts = [0, *(found.end() for found in re.finditer(b"\n", data))]
        at, start = rng.randrange(len(data) + 1), rng.choice(starts)
        match rng.randrange(4):
            case 0:
                data = data[:at]
            case 1:
                data = data[:at] + data[start:]  # torn, and appended to
            case 2:
                at -= at % 512
                data = data[:at] + bytes(len(data[at : at + 512])) + data[at + 512 :]
            case _:
                data += data[start : rng.choice(starts)]
    return data
