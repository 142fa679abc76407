from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.errors import UsageError
from leftoff.prove.compare import Difference, Reference, Rules, named_files

FILES = {
    "lines.csv": ("a,1\nb,2\nc,3\n", {
        "a,1\nb,2\nc,3\n": "",
        "a,1\nc,3\n": "lost: b,2",
        "a,1\nb,2\nb,2\nc,3\n": "repeated: b,2",
        "a,1\nb,2\nc,3": "different: c,3 (no line end)",
        "a,1\nb,2c,3\n": "different: b,2c,3",
        "a,1\nc,3\nb,2\n": "reordered: b,2 is now c,3",
        "": "lost: c,3",
    }),
    "state.json": ('{"a": 1, "b": [1, 2]}', {
        '{"b": [1,2],\n"a": 1}': "",
        '{"a": 1, "b": [2, 1]}': "different: b: [2, 1], was [1, 2]",
        '{"a": 1}': "lost: b: [1, 2]",
        '{"a": 1, "b": [1, 2], "c": 0}': "different: c: 0, was not there",
        '{"a": 1, "b"': "different: is no JSON any more",
    }),
    "list.json": ("[1, 2]", {"[2, 1]": "reordered: 1 is now 2", "[1, 2, 2]": "repeated: 2", "[1]": "lost: 2"}),
    "one.json": ("3", {"3 ": "", "4": "different: its value: 4, was 3"}),
    "bytes.bin": ("a\0b", {"a\0b": "", "a\0c": "different: its bytes: 3 bytes"}),
}  # fmt: skip


def differ(tmp_path: Path, name: str, before: Any, after: Any, **rules: Any) -> Difference:
    """Compare one file, given as text or by what makes it."""
    for folder, content in (("clean", before), ("killed", after)):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / name
        path.write_text(content, "utf-8") if isinstance(content, str) else content(path)
    return Reference(tmp_path / "clean", [name], Rules(**rules)).compare(tmp_path / "killed")


@pytest.mark.parametrize(("name", "after"), [(name, after) for name, (_, others) in FILES.items() for after in others])
def test_files_are_compared_as_what_they_hold(name: str, after: str, tmp_path: Path) -> None:
    """Lines, JSON values and bytes: what was lost, repeated, is different or stands in another order is told."""
    before, others = FILES[name]
    found = differ(tmp_path, name, before, after)
    assert found.is_fault(0) is bool(others[after])
    assert any(example.startswith(f"{name}: {others[after]}") for example in found.examples) is bool(others[after])


def test_another_order_can_be_allowed(tmp_path: Path) -> None:
    """With any_order lines may move, and a repeated one is still repeated."""
    found = differ(tmp_path, "x.csv", "a\nb\n", "b\na\nb\n", any_order=True)
    assert (found.lost, found.repeated, found.different, found.reordered) == (0, 1, 0, 0)
    assert found.is_fault(0)
    assert not found.is_fault(1)


def table(*statements: str):
    def make(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    return make


KEYED = "CREATE TABLE paper (key TEXT PRIMARY KEY, n INTEGER, at TEXT)"
PLAIN = "CREATE TABLE paper (key TEXT, n INTEGER, at TEXT)"
ONE, TWO = "INSERT INTO paper VALUES ('a', 1, 't1')", "INSERT INTO paper VALUES ('b', 2, 't2')"


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        ((PLAIN, ONE, TWO), (PLAIN, TWO, ONE), (0, 0, 0)),
        ((PLAIN, ONE, TWO), (PLAIN, ONE), (1, 0, 0)),
        ((PLAIN, ONE, TWO), (PLAIN, ONE, ONE, TWO), (0, 1, 0)),
        ((KEYED, ONE, TWO), (KEYED, ONE, TWO, "UPDATE paper SET n = 9 WHERE n = 2"), (0, 0, 1)),
        ((KEYED, ONE, TWO), (KEYED, ONE, "INSERT INTO paper VALUES ('c', 2, 't2')"), (1, 0, 1)),
        ((KEYED, ONE), ("CREATE TABLE other (x)",), (1, 0, 0)),
        ((KEYED, ONE, "CREATE TABLE leftoff_x (y)", "INSERT INTO leftoff_x VALUES (1)"), (KEYED, ONE), (0, 0, 0)),
    ],
)
def test_tables_are_compared_by_row(before: Any, after: Any, counts: tuple[int, int, int], tmp_path: Path) -> None:
    """Rows are a set without order; a primary key tells a changed row from a lost one; leftoff's tables are its own."""
    found = differ(tmp_path, "p.db", table(*before), table(*after))
    assert (found.lost, found.repeated, found.different) == counts


def test_a_column_can_be_left_out(tmp_path: Path) -> None:
    """What differs in an ignored column is equal, also where the column belongs to the key."""
    changed = "UPDATE paper SET at = 'later'"
    found = differ(tmp_path, "p.db", table(KEYED, ONE, TWO), table(KEYED, ONE, TWO, changed), ignore=["at"])
    assert found == Difference()
    other = Rules(ignore=["other.at", "other.*"])
    for one in (Rules(ignore=["paper.at"]), Rules(ignore=["paper.*"])):
        assert Reference(tmp_path / "clean", ["p.db"], one).compare(tmp_path / "killed") == Difference()
    assert Reference(tmp_path / "clean", ["p.db"], other).compare(tmp_path / "killed").different == 2
    without_key = Rules(ignore=["key"])
    assert Reference(tmp_path / "clean", ["p.db"], without_key).compare(tmp_path / "killed").different == 2


def journal(values: dict[str, int], *, fail: str = "", cursor: int = 1):
    def make(path: Path) -> None:
        with leftoff.open(path if path.suffix else f"{path}/") as opened:
            run = opened.run("fetch")
            for _ in run.map(lambda key: values[key] // (key != fail), values, attempts=1, progress=False):
                pass
            run.cursor("since", start=0).advance(cursor)

    return make


@pytest.mark.parametrize("name", ["work.jsonl", "work.db", "work"])
def test_journals_are_compared_by_their_fates(name: str, tmp_path: Path) -> None:
    """Keys, values, dead letters and cursors count; times, owners, order and side files do not."""
    clean = journal({"a": 1, "b": 2, "c": 3})
    cases = {
        "same": (journal({"c": 3, "b": 2, "a": 1}), (0, 0)),
        "value": (journal({"a": 1, "b": 2, "c": 4}), (0, 1)),
        "lost": (journal({"a": 1, "b": 2}), (1, 0)),
        "dead": (journal({"a": 1, "b": 2, "c": 3}, fail="b"), (0, 1)),
        "cursor": (journal({"a": 1, "b": 2, "c": 3}, cursor=2), (0, 1)),
    }
    for case, (killed, counts) in cases.items():
        folder = tmp_path / case
        folder.mkdir()
        found = differ(folder, name, clean, killed)
        assert (case, found.lost, found.different, found.repeated) == (case, *counts, 0)
        files = [str(path.relative_to(folder / "clean")) for path in (folder / "clean").rglob("*") if path.is_file()]
        without = Reference(folder / "clean", [name], Rules(ignore=["cursor"])).compare(folder / "killed")
        assert without.is_fault(0) is (case in ("value", "lost", "dead"))
        assert len(files) > 1
        assert not [file for file in Reference(folder / "clean", files, Rules()).files if file.endswith(".lock")]
        assert list(Reference(folder / "clean", files, Rules()).kinds) == [name]


@pytest.mark.parametrize("name", ["work.jsonl", "p.db"])
def test_what_is_no_journal_any_more_is_different(name: str, tmp_path: Path) -> None:
    """A journal or database that is damaged, and a file that is gone, are counted and explained."""
    found = differ(tmp_path, name, journal({"a": 1}), "dear diary\n")
    assert (found.lost, found.different) == (0, 1)
    (tmp_path / "killed" / name).unlink()
    gone = Reference(tmp_path / "clean", [name], Rules()).compare(tmp_path / "killed")
    assert (gone.lost, gone.different) == (2, 0)
    assert gone.examples == [f"{name}: lost: the whole file"]


def test_what_cannot_be_read_without_a_kill_is_the_callers(tmp_path: Path) -> None:
    """A damaged journal that an uninterrupted run left is named, with the way to leave it out."""
    (tmp_path / "work.jsonl").write_text('{"leftoff":"journal"} nonsense\n')
    with pytest.raises(UsageError, match=r"work\.jsonl cannot be read after an uninterrupted run.*--exclude"):
        Reference(tmp_path, ["work.jsonl"], Rules())
    assert list(Reference(tmp_path, ["work.jsonl"], Rules(exclude=["*.jsonl"])).kinds) == []


def test_patterns_name_files(tmp_path: Path) -> None:
    """Patterns are those of a shell, a folder stands for all in it, exclusion has the last word; new files are told."""
    for folder in ("clean", "killed"):
        (tmp_path / folder / "out" / "deep").mkdir(parents=True)
        for name in ("a.csv", "out/1.txt", "out/deep/2.txt", "log.txt"):
            (tmp_path / folder / name).write_text("x\n")
    clean = tmp_path / "clean"
    assert named_files(clean, Rules(["*.csv"])) == ["a.csv"]
    assert named_files(clean, Rules(["out"])) == ["out/1.txt", "out/deep/2.txt"]
    assert named_files(clean, Rules(["**/*.txt"], exclude=["log.*", "out/deep/*"])) == ["out/1.txt"]
    rules = Rules(["out/*.txt"])
    (tmp_path / "killed" / "out" / "3.txt").write_text("")
    assert Reference(clean, [], rules).compare(tmp_path / "killed").examples == ["new file: different: out/3.txt"]


def test_few_examples_stand_for_many(tmp_path: Path) -> None:
    """A thousand lost lines are counted, three are shown, long ones shortened."""
    lines = "".join(f"{number} {'x' * 500}\n" for number in range(1000))
    found = differ(tmp_path, "x.csv", lines, "")
    assert found.lost == 1000
    assert len(found.examples) == 4
    assert found.examples[-1] == "x.csv: lost: and 997 more"
    assert max(map(len, found.examples)) < 130
