"""The plain loop: what is done when, and what becomes of an item that is not finished."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.errors import DuplicateKey, RunInUse, UnusableKey, UsageError, WrongThread
from tests.contract.stores import Lives, everywhere, on_files


def work(lives: Lives, items: Any, **options: Any) -> list[Any]:
    """Walk the items to their end in a life of their own, and return what was worked on."""
    with lives.open() as journal:
        return list(journal.run("r").each(items, **options))


def kinds(lives: Lives, key: str) -> list[str]:
    with lives.open() as journal:
        return [entry.kind for entry in journal.entries("r") if entry.key == key]


@everywhere
def test_items_come_in_order_and_are_skipped_when_done(place):
    """Every item is worked on once over two runs, in the order of the input; the second run only brings what is new."""
    lives = Lives(place)
    assert work(lives, ["a", "b", "c"]) == ["a", "b", "c"]
    assert work(lives, ["new", "c", "b", "newer", "a"]) == ["new", "newer"]
    with lives.open() as journal:
        run = journal.run("r")
        assert list(run.keys("done")) == ["a", "b", "c", "new", "newer"]
        report = run.report()
    assert (report.total, report.done, report.dead, report.missing, report.duplicates) == (5, 5, 0, 0, 0)
    assert (report.resumed, report.repeated, report.open) == (3, 0, 0)


@everywhere
def test_an_item_is_done_when_the_body_comes_back_for_the_next(place):
    """In the body of item i everything before it is done, and i itself is begun."""
    lives = Lives(place)
    with lives.open() as journal:
        run = journal.run("r")
        for number, item in enumerate(run.each(iter("abcd"))):
            assert list(run.keys("done")) == list("abcd"[:number])
            assert [e.key for e in journal.entries("r") if e.kind == "started"][-1] == item
        assert list(run.keys("done")) == list("abcd")


@on_files
def test_done_and_the_next_start_are_one_commit_where_the_next_is_at_hand(place):
    """Over a list one commit says both; over a generator `done` does not wait for what may never come."""
    lives = Lives(place)
    with lives.open() as journal:
        list(journal.run("list").each(["a", "b"]))
        list(journal.run("generator").each(iter(["a", "b"])))
    if place.endswith(".jsonl"):
        lines = [json.loads(line) for line in Path(place).read_text("utf-8").splitlines()]
        both = [line["run"] for line in lines if "done" in line and "started" in line]
        assert both == ["list"]
    with lives.open() as journal:
        for name in ("list", "generator"):
            seen = [(e.kind, e.key) for e in journal.entries(name) if e.kind in ("started", "done")]
            assert seen == [("started", "a"), ("done", "a"), ("started", "b"), ("done", "b")]


@everywhere
def test_an_input_is_never_read_ahead(place):
    """A generator is asked for just the items that are given out, and its last item is done before it is asked."""
    lives = Lives(place)
    journal = lives.open()
    run = journal.run("r")
    asked: list[str] = []

    def source() -> Iterator[str]:
        for item in "abc":
            assert list(run.keys("done")) == asked, "what came before is done before the source may make us wait"
            asked.append(item)
            yield item

    for item in run.each(source()):
        assert asked[-1] == item
    assert asked == ["a", "b", "c"]
    journal.close()


@everywhere
def test_an_endless_input_is_streamed(place):
    """A loop over an endless input works until it is left."""
    lives = Lives(place)
    for expected in (range(3), range(2, 5)):
        with lives.open() as journal:
            seen = []
            for item in journal.run("r").each(itertools.count()):
                seen.append(item)
                if len(seen) == 3:
                    break
            assert seen == list(expected), "the item that was left by break comes again"


@everywhere
def test_a_break_gives_the_item_back(place):
    """The item in hand is not done, counts as no error, and comes first next time."""
    lives = Lives(place)
    for _ in range(7):
        with lives.open() as journal:
            for item in journal.run("r").each(["a", "b", "c"], attempts=2, crashes=2):
                if item == "b":
                    break
    assert set(kinds(lives, "b")) == {"started", "released"}
    assert work(lives, ["a", "b", "c"], attempts=2, crashes=2) == ["b", "c"]


@everywhere
def test_a_closed_loop_gives_the_item_back(place):
    """`close` on the loop ends it with the item given back at once."""
    lives = Lives(place)
    with lives.open() as journal:
        loop = journal.run("r").each(["a", "b"])
        assert next(loop) == "a"
        loop.close()
        assert [e.kind for e in journal.entries("r")][-2:] == ["started", "released"]
        assert list(loop) == []
    assert work(lives, ["a", "b"]) == ["a", "b"]


@everywhere
def test_an_exception_counts_against_the_item_and_three_make_a_dead_letter(place, capsys):
    """Each run that an item ends with an exception is one attempt; then it stands aside and the rest goes on."""
    lives = Lives(place)
    for attempt in (1, 2, 3):
        with pytest.raises(ZeroDivisionError), lives.open() as journal:
            for item in journal.run("r").each(["a", "bad", "c"]):
                assert leftoff.current().attempt == (attempt if item == "bad" else 1)
                if item == "bad":
                    1 / 0  # noqa: B018
    assert kinds(lives, "bad") == ["started", "failed", "started", "failed", "started", "dead"]
    capsys.readouterr()
    assert work(lives, ["a", "bad", "c"]) == ["c"]
    told = capsys.readouterr().err
    assert "r: 1 dead letter from before: bad" in told
    assert "r: 1 dead letter: bad; leftoff retry" in told
    with lives.open() as journal:
        (letter,) = journal.run("r").dead()
        assert (letter.key, letter.value, letter.resumed) == ("bad", None, True)
        assert letter.error is not None
        assert (letter.error.type, letter.error.message) == ("ZeroDivisionError", "division by zero")
        assert "1 / 0" in letter.error.traceback
        report = journal.run("r").report()
        assert (report.total, report.done, report.dead, report.missing) == (3, 2, 1, 0)


@everywhere
def test_a_caught_exception_looks_like_break(place):
    """An exception that never leaves the journal's block cannot be told from `break`: the item is given back."""
    lives = Lives(place)
    with lives.open() as journal:
        try:
            for item in journal.run("r").each(["a", "b"]):
                if item == "b":
                    raise KeyError(item)
        except KeyError:
            pass
    assert kinds(lives, "b") == ["started", "released"]


@everywhere
def test_a_loop_under_with_knows_its_end_exactly(place):
    """`with run.each(…) as items` counts the exception that leaves it, though it is caught right behind."""
    lives = Lives(place)
    with lives.open() as journal:
        run = journal.run("r")
        with pytest.raises(KeyError), run.each(["a", "b"]) as items:
            for item in items:
                if item == "b":
                    raise KeyError(item)
        assert [e.kind for e in journal.entries("r") if e.key == "b"] == ["started", "failed"]
        with run.each(["a", "b"]) as items:
            assert list(items) == ["b"]
    assert kinds(lives, "b") == ["started", "failed", "started", "done"]


@everywhere
def test_a_repeated_item_is_worked_on_once(place):
    """[a, a, b] is two items and one duplicate, fresh and resumed, from a list and from a generator."""
    for number, make in enumerate((list, iter)):
        lives = Lives(place)
        name = f"r{number}"
        for expected, resumed in ((["a", "b"], 0), ([], 2)):
            with lives.open() as journal:
                run = journal.run(name)
                assert list(run.each(make(["a", "a", "b"]))) == expected
                report = run.report()
            assert (report.total, report.done, report.duplicates, report.missing) == (2, 2, 1, 0)
            assert report.resumed == resumed


@everywhere
@pytest.mark.parametrize("items", [["a", "a"], ["a", "b", "a"], ["x", "a", "b", "b", "c"]])
def test_a_key_met_twice_under_key_is_an_error_at_that_item(place, items):
    """With key= two items of one key are refused where the second comes, fresh and resumed; skip counts them."""
    lives = Lives(place)
    first = next(n for n, item in enumerate(items) if item in items[:n])
    for life in range(2):
        seen: list[str] = []
        with pytest.raises(DuplicateKey, match=f"the key {items[first]} was met twice"), lives.open() as journal:
            for item in journal.run("r").each(items, key=str):
                seen.append(item)
        assert seen == ([] if life else items[:first])
    with lives.open() as journal:
        run = journal.run("r")
        assert list(run.keys("done")) == items[:first], "what came before is done"
        list(run.each(items, key=str, duplicates="skip"))
        assert run.report().duplicates == len(items) - len(set(items))
        assert run.report().missing == 0


@everywhere
def test_rows_have_keys(place):
    """A field's name or a function makes the key of rows: dictionaries, objects, pairs of enumerate."""
    lives = Lives(place)
    rows = [{"pmid": 7, "title": "x"}, {"pmid": 8, "title": "y"}]

    class Row:
        def __init__(self, pmid: int) -> None:
            self.pmid = pmid

    assert work(lives, rows, key="pmid") == rows
    assert work(lives, [Row(7), Row(8)], key="pmid") == []
    assert work(lives, list(enumerate(["8", "9"])), key=lambda pair: pair[1]) == [(1, "9")]
    with lives.open() as journal:
        assert list(journal.run("r").keys("done")) == ["7", "8", "9"]


@everywhere
def test_an_unusable_key_ends_the_loop_with_everything_before_it_done(place):
    """The error names item and remedy; the items before it are done, none is in hand."""
    lives = Lives(place)
    with pytest.raises(UnusableKey, match=r"key="):
        work(lives, ["a", 1.5, "b"])
    with lives.open() as journal:
        assert list(journal.run("r").keys("done")) == ["a"]
        assert journal.run("r").report().open == 0


@everywhere
def test_an_input_that_raises_leaves_nothing_in_hand(place):
    """What a generator raises comes out of the loop as it is, with all its earlier items done."""

    def source() -> Iterator[str]:
        yield "a"
        raise OSError("the service went away")

    lives = Lives(place)
    with pytest.raises(OSError, match="went away"):
        work(lives, source())
    with lives.open() as journal:
        assert list(journal.run("r").keys("done")) == ["a"]
        assert journal.run("r").report().open == 0


@everywhere
def test_a_second_thread_is_refused(place):
    """A loop belongs to the thread that began it; the refusal names what shares work."""
    lives = Lives(place)
    caught: list[BaseException] = []
    with lives.open() as journal:
        loop = journal.run("r").each(["a", "b"])
        next(loop)

        def steal() -> None:
            try:
                next(loop)
            except UsageError as error:
                caught.append(error)

        thread = threading.Thread(target=steal)
        thread.start()
        thread.join()
    assert isinstance(caught[0], WrongThread)
    assert "map(…, workers=N)" in str(caught[0])
    assert list(work(lives, ["a", "b"])) == ["a", "b"], "neither was done"


@everywhere
def test_a_newer_loop_on_the_same_run_takes_it_over(place):
    """The older loop's item is given back, and its next request says who has the run."""
    lives = Lives(place)
    with lives.open() as journal:
        run = journal.run("r")
        older = run.each(["a", "b"])
        assert next(older) == "a"
        assert list(run.each(["b", "c"])) == ["b", "c"]
        with pytest.raises(RunInUse, match="a newer loop took this run over"):
            next(older)
        assert list(run.keys("done")) == ["b", "c"]
    assert work(lives, ["a", "b", "c"]) == ["a"]


@everywhere
def test_loops_nest_under_different_runs(place):
    """An inner loop on another run is a loop of its own; both are complete, and resumed by themselves."""
    lives = Lives(place)
    with lives.open() as journal:
        for outer in journal.run("outer").each(["a", "b"]):
            for inner in journal.run(f"inner {outer}").each([1, 2]):
                assert leftoff.current().key == str(inner)
            assert leftoff.current().key == outer
        assert list(journal.run("outer").keys("done")) == ["a", "b"]
        assert [list(journal.run(f"inner {o}").keys("done")) for o in "ab"] == [["1", "2"], ["1", "2"]]


@everywhere
def test_what_reads_ahead_marks_items_done_unworked(place):
    """The trap that the docs name first: `list` over the loop comes back for each next item, so all are done."""
    lives = Lives(place)
    assert work(lives, ["a", "b"]) == ["a", "b"]
    with lives.open() as journal:
        assert list(journal.run("r").keys("done")) == ["a", "b"]
    for text in (leftoff.each.__doc__, leftoff.Run.each.__doc__):
        assert text is not None
        assert "Do not hand the loop to something that reads ahead (``list``, ``pool.map``)" in text
        assert "use `map`" in " ".join(text.split())


@everywhere
def test_a_second_complete_run_says_so_in_one_line(place, capsys):
    """The line names the run and the way to start over."""
    lives = Lives(place)
    work(lives, ["a", "b"])
    capsys.readouterr()
    work(lives, ["b", "a"])
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "r: all 2 items were done before; to start over: leftoff forget " in err
    assert "--run r --all" in err


@on_files
def test_a_loop_that_nobody_walks_does_nothing(place):
    """Making a loop creates no journal and owns nothing."""
    with leftoff.open(place) as journal:
        journal.run("r").each(["a"])
    leftoff.each(["a"], place)
    assert list(Path().iterdir()) == []


@everywhere
def test_an_empty_input_is_a_complete_run(place):
    """Nothing in, nothing missing."""
    lives = Lives(place)
    assert work(lives, []) == []
    with lives.open() as journal:
        report = journal.run("r").report()
    assert (report.total, report.done, report.missing) == (0, 0, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attempts": 0}, "attempts=0"),
        ({"crashes": 0}, "crashes=0"),
        ({"duplicates": "drop"}, "duplicates='drop'"),
        ({"rate": "fast"}, "rate 'fast'"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(options, message):
    """An option that cannot be meant is named, and no item is begun."""
    with pytest.raises(UsageError, match=message), leftoff.open("run.jsonl") as journal:
        list(journal.run("r").each(["a"], **options))
    if Path("run.jsonl").exists():
        assert '"started"' not in Path("run.jsonl").read_text("utf-8")
