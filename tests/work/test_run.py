"""What ends a loop and what that counts as; retry, forget and the user's rows; two processes on one journal."""

from __future__ import annotations

import contextlib
import json
import signal
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.errors import JournalBusy, PendingRows, TransactionEnded, UsageError
from tests.contract import program
from tests.contract.stores import Lives, everywhere, on_files

ENDS = {
    "raise ValueError('no')": (1, ["started", "failed"]),
    "sys.exit(3)": (3, ["started", "released"]),
    "break": (0, ["started", "released"]),
    "raise KeyboardInterrupt": (None, ["started", "released"]),
    "os._exit(9)": (9, ["started"]),
    "os.kill(os.getpid(), signal.SIGKILL)": (-9, ["started"]),
}
LOOP = """
import os, signal, sys, leftoff
{before}
for item in {loop}:
    if 2 in (item if isinstance(item, list) else [item]):
        {end}
"""


@on_files
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("loop", ["leftoff.each(range(5), PLACE)", "run.each(range(5))", "run.batches(range(5), 1)"])
def test_what_ended_a_loop_is_recorded(place, end, loop, tmp_path):
    """An exception is an error of the item, a kill a crash, everything else gives it back; nothing else is touched."""
    before = "" if "PLACE" in loop else f"run = leftoff.open({place!r}, durability='process').run('program')"
    text = LOOP.format(before=before, loop=loop.replace("PLACE", f"{place!r}, durability='process'"), end=end)
    code, expected = ENDS[end]
    program.run(program.write(tmp_path, text), code=code)
    with leftoff.open(place) as journal:
        assert [e.kind for e in journal.entries("program") if e.key == "2"] == expected
        assert list(journal.run("program").keys("done")) == ["0", "1"]
        own = journal.run("program").own()
        tries = own.open_items.get("2")
        assert (tries and (tries.errors, tries.crashes)) == {"failed": (1, 0), "started": (0, 1)}.get(expected[-1])


@on_files
def test_an_item_that_kills_its_process_is_set_aside_after_five(place, tmp_path):
    """Four crashes leave an item to be tried again, a fifth makes it a dead letter; its neighbours are innocent."""
    text = f"""
        import os, signal, sys, leftoff
        print("first", flush=True)
        for item in leftoff.each(["a", "poison", "b"], {place!r}, run="r"):
            if item == "poison" and "heal" not in sys.argv:
                os.kill(os.getpid(), signal.SIGKILL)
            print(item, flush=True)
        """
    script = program.write(tmp_path, text)
    for _ in range(4):
        program.run(script, code=-signal.SIGKILL)
    healed = tmp_path / "healed.db" if place.endswith("db") else tmp_path / "healed.jsonl"
    healed.write_bytes(Path(place).read_bytes())
    for side in tmp_path.glob(f"{place}-*"):
        healed.with_name(side.name.replace(place, healed.name)).write_bytes(side.read_bytes())
    again = program.write(tmp_path, script.read_text("utf-8").replace(repr(place), repr(healed.name)), "again.py")
    assert program.run(again, "heal").stdout.split() == ["first", "poison", "b"], "four crashes are not five"
    program.run(script, code=-signal.SIGKILL)
    assert program.run(script).stdout.split() == ["first", "b"]
    with leftoff.open(place) as journal:
        (letter,) = journal.run("r").dead()
        assert letter.key == "poison"
        assert str(letter.error) == "ProcessEnded: the process ended 5 times while this item was being worked on"


@everywhere
def test_retry_and_forget_let_items_be_worked_on_again(place):
    """Retry takes dead letters, forget any conclusion; both say how many, keep old entries, take items for keys."""
    lives = Lives(place)

    def work(n: int) -> int:
        if n % 2:
            raise ValueError(n)
        return n

    with lives.open() as journal:
        run = journal.run("r")
        list(run.map(work, range(6), attempts=1))
        assert [letter.key for letter in run.dead()] == ["1", "3", "5"]
        assert run.retry([0, 1, "nowhere"]) == 1
        assert run.retry() == 2
        assert run.retry() == 0
        assert list(run.dead()) == []
        assert [o.item for o in run.map(lambda n: n, range(6)) if not o.resumed] == [1, 3, 5]
        assert run.forget([2, 2, "nowhere"]) == 1
        assert list(run.each(range(6))) == [2]
        assert run.forget() == 6
        assert list(run.keys("done")) == []
        assert list(run.each(range(6))) == [0, 1, 2, 3, 4, 5]
        assert run.report().missing == 0
        assert len([e for e in journal.entries("r") if e.kind == "done"]) == 6 + 1 + 6


@everywhere
def test_nothing_is_written_for_keys_that_have_no_fate(place):
    """To retry or forget what was never done is no error, and changes nothing."""
    with Lives(place).open() as journal:
        run = journal.run("r")
        list(run.each([1, 2]))
        before = len(list(journal.entries()))
        assert run.forget([f"unknown {n}" for n in range(1200)]) == 0
        assert run.retry([1, 2]) == 0
        assert len(list(journal.entries())) == before
        assert run.forget(["unknown", 1]) == 1


@everywhere
def test_a_retried_item_has_its_attempts_again(place):
    """A dead letter that is retried starts from its first try."""
    lives = Lives(place)
    attempts: list[int] = []

    def work(_: str) -> None:
        attempts.append(leftoff.current().attempt)
        raise ValueError

    with lives.open() as journal:
        run = journal.run("r")
        for _ in range(2):
            list(run.map(work, ["a"], attempts=1))
            run.retry()
    assert attempts == [1, 1]


@everywhere
def test_only_real_fates_have_keys(place):
    """`keys` takes done or dead."""
    with Lives(place).open() as journal, pytest.raises(UsageError, match="write 'done' or 'dead'"):
        journal.run("r").keys("missing")


# -- the user's rows -----------------------------------------------------------------------------------------------


@pytest.fixture
def journal():
    with leftoff.open("run.db", durability="process") as journal:
        journal.run("r").connection.execute("CREATE TABLE row (key TEXT)")
        yield journal


def put(run: leftoff.Run, key: object) -> None:
    run.connection.execute("INSERT INTO row VALUES (?)", (str(key),))


def stored() -> list[str]:
    with leftoff.open("run.db") as journal:
        return [key for (key,) in journal.run("r").reader().execute("SELECT key FROM row ORDER BY rowid")]


@pytest.mark.parametrize("way", ["each", "batches"])
@pytest.mark.parametrize("end", ["break", "raise", "close"])
def test_p5_an_item_that_is_not_finished_leaves_no_row(journal, way, end):
    """Rows are there for the items that are done, and for no other, however the loop ended."""
    run = journal.run("r")
    loop = run.each(range(4)) if way == "each" else run.batches(range(4), 1)
    try:
        for item in loop:
            n = item[0] if isinstance(item, list) else item
            put(run, n)
            run.connection.commit()  # absorbed: it must not make the row durable before the item is done
            assert stored() == [str(i) for i in range(n)]
            if n == 2 and end == "break":
                break
            if n == 2 and end == "raise":
                raise ValueError
            if n == 2:
                loop.close()
                break
    except ValueError:
        pass
    journal.close()
    assert stored() == ["0", "1"]


def test_p5_a_newer_loop_on_the_same_run_takes_no_row_of_the_older_with_it(journal):
    """The older item has written a row: the newer loop is refused, or the row is gone; it is never committed alone."""
    run = journal.run("r")
    older = run.each(["a", "b"])
    next(older)
    put(run, "a")
    with contextlib.suppress(PendingRows):
        assert list(run.each(["c"])) == ["c"]
    journal.close()
    assert stored() == []


@pytest.mark.parametrize(
    "inner",
    [
        lambda journal, run: list(journal.run("inner").each([1])),
        lambda journal, run: list(journal.run("inner").map(int, [1])),
        lambda journal, run: run.step("s", lambda: 1),
        lambda journal, run: journal.run("inner").step("s", lambda: 1),
        lambda journal, run: journal.run("inner").cursor("c").advance(1),
        lambda journal, run: run.forget(),
        lambda journal, run: run.retry(),
        lambda journal, run: journal.run("inner").forget(),
        lambda journal, run: journal.run("inner").connection,
        lambda journal, run: journal.run("inner").report(),
    ],
    ids="each map step other-step other-cursor forget retry other-forget other-connection other-report".split(),
)  # fmt: skip
def test_p5_nothing_begun_inside_an_item_commits_its_rows(journal, inner):
    """Whatever is begun inside an item that has written a row is refused, or leaves the row to its item."""
    for name in ("r", "inner"):
        list(journal.run(name).each(["before"]))
    run = journal.run("r")
    for item in run.each(["a", "b"]):
        put(run, item)
        try:
            inner(journal, run)
        except PendingRows as error:
            assert "before the first row is written" in str(error) or "row" in str(error)  # noqa: PT017
        assert stored() == [], "the row was committed though its item is not done"
        break
    journal.close()
    assert stored() == []


def test_p5_a_journal_that_ends_under_a_suspended_loop_commits_no_row(journal):
    """A loop that is still held when its journal closes has an item that is not done: its row is gone."""
    run = journal.run("r")
    loop = run.each(["a", "b"])
    next(loop)
    put(run, "a")
    journal.close()
    assert stored() == []
    with leftoff.open("run.db") as again:
        assert list(again.run("r").each(["a", "b"])) == ["a", "b"]


def test_outside_an_item_every_statement_commits_by_itself(journal):
    """Rows written before, between and after loops are durable at once."""
    run = journal.run("r")
    put(run, "before")
    assert stored() == ["before"]
    list(run.each([1]))
    put(run, "after")
    assert stored() == ["before", "after"]


def test_a_statement_that_ends_the_items_transaction_is_not_followed_by_another(journal):
    """After OR ROLLBACK took the item's savepoint away, the next statement is refused, and no row stays behind."""
    run = journal.run("r")
    run.connection.execute("CREATE TABLE one (key TEXT UNIQUE)")
    run.connection.execute("INSERT INTO one VALUES ('x')")
    with pytest.raises(TransactionEnded):
        for item in run.each(["a"]):
            put(run, item)
            with pytest.raises(Exception, match="UNIQUE"):
                run.connection.execute("INSERT OR ROLLBACK INTO one VALUES ('x')")
            put(run, "doubled on redo")
    journal.close()
    assert stored() == []


@pytest.mark.parametrize("statement", ["COMMIT", "ROLLBACK", "DELETE FROM leftoff_entry", "PRAGMA synchronous=OFF"])
def test_statements_that_would_break_the_journal_are_refused(journal, statement):
    """A raw COMMIT, our tables and our PRAGMAs are not the user's; the item goes on."""
    run = journal.run("r")
    for item in run.each(["a"]):
        put(run, item)
        with pytest.raises(Exception):  # noqa: B017, PT011  # sqlite3's or ours: what matters is that it does not happen
            run.connection.execute(statement)
    journal.close()
    assert stored() == ["a"]


def test_items_from_a_cursor_of_the_items_connection_are_refused(journal):
    """Such a loop would never end; the error names run.reader()."""
    run = journal.run("r")
    put(run, 1)
    with pytest.raises(UsageError, match=r"run\.reader\(\)"):
        list(run.each(run.connection.execute("SELECT key FROM row"), key=lambda row: row[0]))
    for (key,) in run.each(run.reader().execute("SELECT key FROM row"), key=lambda row: row[0]):
        put(run, f"{key} seen")
    assert stored() == ["1", "1 seen"]


@pytest.mark.parametrize("place", ["memory:", "run.jsonl"])
def test_a_journal_without_tables_says_so(place):
    """`connection` and `reader` name the kind of journal that has them."""
    with leftoff.open(place) as journal:
        for ask in (lambda: journal.run("r").connection, lambda: journal.run("r").reader()):
            with pytest.raises(UsageError, match=r"papers\.db"):
                ask()


# -- two processes -------------------------------------------------------------------------------------------------

OWNER = """
import sys, leftoff
for item in leftoff.each(range(10), {place!r}, run="r", durability="process"):
    with open("log.txt", "a") as log:
        print(item, file=log)
    print("ready", flush=True)
    sys.stdin.readline()
"""


@on_files
def test_two_processes_never_work_on_one_run(place, tmp_path):
    """The second is refused, told who the first is, before it touches an item; a killed first frees it."""
    script = program.write(tmp_path, OWNER.replace("{place!r}", repr(place)))
    with program.started(script) as first:
        program.until(first, "ready")
        second = program.run(script, code=1)
        assert "JournalBusy" in second.stderr
        assert f"process {first.pid} on " in second.stderr
        with pytest.raises(JournalBusy), leftoff.open(place) as journal:
            journal.run("r").own()
        first.kill()
        first.wait()
        assert program.run(script, input="\n" * 20).stdout.split() == ["ready"] * 10
    done = Path("log.txt").read_text("utf-8").split()
    assert sorted(done, key=int) == ["0", *map(str, range(10))], "only the item that was killed came twice"


def test_sqlite_runs_of_one_file_have_owners_of_their_own(tmp_path):
    """Two processes work on two runs of one SQLite journal at once; a JSON Lines file has one, and it says so."""
    text = """
        import sys, leftoff
        for item in leftoff.each(range(3), sys.argv[1], run=sys.argv[2]):
            print("ready", flush=True)
            sys.stdin.readline()
        """
    script = program.write(tmp_path, text)
    for place, code in (("run.db", 0), ("run.jsonl", 1)):
        with program.started(script, place, "one") as first:
            program.until(first, "ready")
            second = program.run(script, place, "two", input="\n" * 5, code=code)
            assert ("JSON Lines has one writer a file" in second.stderr) == bool(code)


@on_files
def test_the_accounts_can_be_read_while_a_loop_runs(place, tmp_path):
    """Another process reads counts, keys and entries of a run that is being worked on, and locks nobody out."""
    with program.started(program.write(tmp_path, OWNER.replace("{place!r}", repr(place)))) as first:
        for done in range(3):
            program.until(first, "ready")
            with leftoff.open(place) as journal:
                run = journal.run("r")
                assert list(run.keys("done")) == [str(n) for n in range(done)]
                report = run.report()
                assert (report.done, report.open, report.missing) == (done, 1, None)
                assert json.dumps([e.kind for e in journal.entries()])
            assert first.stdin is not None
            first.stdin.write("\n")
            first.stdin.flush()


def test_reports_read_well():
    """A report's text names what there is and leaves out what there is not."""
    with leftoff.open("memory:") as journal:
        run = journal.run("r")
        function: Any = {"a": 1}.__getitem__
        list(run.map(function, ["a", "a", "b"], attempts=1))
        assert str(run.report()) == "r: 2 items = 1 done + 1 dead + 0 missing, 1 duplicates skipped"
