from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.export import Columns, Row, export, rows
from tests.adopt.conftest import NASTY
from tests.contract.stores import FILES

VALUES: dict[str, Any] = {
    "a": {"n": 1, "text": "=1+1", "deep": {"x": [1, 2]}, "flag": True, "mixed": 1, "real": 1, "big": 1 << 70},
    "b": {"n": 2, "text": 'two\r\n"lines"', "flag": False, "mixed": "one", "real": 0.5, "empty": None},
    "c": "plain", "d": 7, "e": None, "f": [1, "ü"], "g": b"\0bytes", "h": {"$n": 5},
}  # fmt: skip
FIELDS = {
    "n": "int", "text": "text", "deep": "json", "flag": "bool", "mixed": "json", "real": "float", "big": "json",
    "empty": "none", "$n": "int",
}  # fmt: skip


@pytest.fixture(params=[*FILES, "work/", "postgresql:///"])
def journal(request: pytest.FixtureRequest) -> Iterator[leftoff.Journal]:
    """Hold a journal of two runs: every kind of result and a dead letter, and keys that are hard to write."""

    def work(item: str) -> Any:
        if item == "dead":
            raise ValueError('no,\n"good"')
        return VALUES[item]

    with leftoff.open(request.param) as journal:
        list(journal.run("ingest").map(work, [*VALUES, "dead"], attempts=1, progress=False))
        list(journal.run("nasty").each([*NASTY, "two\nlines", "a\r\nb"], progress=False))
        yield journal


def as_json(value: Any) -> Any:
    """Return a result as the journal holds it (docs/format.md)."""
    return {"$bytes": "AGJ5dGVz"} if value == b"\0bytes" else {"$$n": 5} if value == {"$n": 5} else value


def test_json_lines_have_each_result_as_it_is(journal: leftoff.Journal) -> None:
    """A row an item, the done ones first, in the order of the journal; a dead letter has its error."""
    assert export(journal, "out.jsonl", progress=False) == (
        len(VALUES) + 1 + len(NASTY) + 2,
        ["ingest", "nasty"],
        "jsonl",
    )
    lines = [json.loads(line) for line in Path("out.jsonl").read_text("utf-8").splitlines()]
    assert [line["key"] for line in lines] == [*VALUES, "dead", *NASTY, "two\nlines", "a\r\nb"]
    assert [line["value"] for line in lines[: len(VALUES)]] == [as_json(value) for value in VALUES.values()]
    dead = lines[len(VALUES)]
    assert dead.pop("traceback").endswith('ValueError: no,\n"good"\n')
    del dead["at"]
    assert re.fullmatch("[0-9a-f]{12}", dead.pop("version"))
    assert dead == {
        "run": "ingest", "key": "dead", "fate": "dead", "errors": 1, "crashes": 0, "value": None,
        "error_type": "ValueError", "error_message": 'no,\n"good"',
    }  # fmt: skip


def test_each_row_has_its_time(journal: leftoff.Journal) -> None:
    """The time of the newest conclusion stands in the row."""
    at = {(entry.run, entry.key): entry.at for entry in journal.entries() if entry.kind in ("done", "dead")}
    assert {(row.run, row.key): row.at for row in rows(journal.store, journal.runs(), "all")} == at


def test_csv_gives_back_what_it_was_given(journal: leftoff.Journal) -> None:
    """Whatever a key, a result or an error holds, a reader of CSV gets it back; a result is JSON."""
    export(journal, "out.csv", progress=False)
    with Path("out.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file, strict=True))
    assert [row["key"] for row in read] == [*VALUES, "dead", *NASTY, "two\nlines", "a\r\nb"]
    values = [json.loads(row["value"]) if row["value"] else None for row in read[: len(VALUES)]]
    assert values == [as_json(value) for value in VALUES.values()]
    assert read[len(VALUES)]["error_message"] == 'no,\n"good"'
    assert set(read[0]) == set(Row._fields)


def test_the_fields_of_results_become_columns(journal: leftoff.Journal) -> None:
    """With flatten each field has a column: texts as they are, what is a list or an object as JSON."""
    export(journal, "out.csv", runs=["ingest"], fate="done", flatten=True, progress=False)
    with Path("out.csv").open(newline="", encoding="utf-8") as file:
        read = {row["key"]: row for row in csv.DictReader(file, strict=True)}
    assert {name: read["a"][f"value.{name}"] for name in FIELDS} == {
        "n": "1", "text": "=1+1", "deep": '{"x":[1,2]}', "flag": "true", "mixed": "1", "real": "1", "empty": "",
        "big": str(1 << 70), "$n": "",
    }  # fmt: skip
    assert (read["b"]["value.text"], read["b"]["value.mixed"]) == ('two\r\n"lines"', '"one"')
    assert (read["a"]["value"], read["c"]["value"], read["c"]["value.n"]) == ("", '"plain"', "")
    export(journal, "out.jsonl", runs=["ingest"], fate="done", flatten=True, progress=False)
    first = json.loads(Path("out.jsonl").read_text("utf-8").splitlines()[0])
    assert {name.removeprefix("value."): part for name, part in first.items() if "." in name} == VALUES["a"]


def test_columns_have_the_type_of_what_they_hold(journal: leftoff.Journal) -> None:
    """A column of whole numbers is one of integers; one that holds two types, or too large ones, is JSON."""
    columns = Columns.of_fields(rows(journal.store, ["ingest"], "all"))
    assert columns.fields == FIELDS


def test_too_many_fields_are_refused() -> None:
    """Objects whose names are data would make a table of a million columns."""
    with leftoff.open("wide.jsonl") as journal:
        list(journal.run("r").map(lambda n: {f"{n}-{m}": m for m in range(600)}, range(2), progress=False))
        with pytest.raises(leftoff.UsageError, match="more than 1000 fields; leave --flatten out"):
            export(journal, "out.csv", flatten=True, progress=False)
    assert not Path("out.csv").exists()


def test_one_fate_can_be_chosen(journal: leftoff.Journal) -> None:
    """Done, dead or all; what was forgotten has no row, what was done again has one."""
    journal.run("ingest").forget(["a", "b"])
    list(journal.run("ingest").each(["b"], progress=False))
    for fate, keys in (("done", ["c", "d", "e", "f", "g", "h", "b"]), ("dead", ["dead"])):
        assert [row.key for row in rows(journal.store, ["ingest"], fate)] == keys
    stream = io.BytesIO()
    assert export(journal, stream, runs=["ingest"], progress=False).rows == len(stream.getvalue().splitlines()) == 8


def test_a_file_is_private_and_replaced_as_a_whole(journal: leftoff.Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file is for its owner alone, an old one keeps its mode; an export that fails leaves it as it was."""
    export(journal, "out.csv", progress=False)
    assert stat.S_IMODE(Path("out.csv").stat().st_mode) == 0o600
    Path("out.csv").chmod(0o640)
    Path("out.csv").write_text("old")

    def torn(self: Columns, row: Row) -> Iterator[Any]:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Columns, "values", torn)
        with pytest.raises(OSError, match="no space left"):
            export(journal, "out.csv", progress=False)
    assert Path("out.csv").read_text() == "old"
    assert sorted(path.name for path in Path().glob("*out*")) + sorted(p.name for p in Path().glob(".*")) == ["out.csv"]
    export(journal, "out.csv", progress=False)
    assert stat.S_IMODE(Path("out.csv").stat().st_mode) == 0o640


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_half_file(sent: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C or SIGTERM in the middle: neither the file nor a temporary one is there."""
    with leftoff.open("work.jsonl") as journal:
        list(journal.run("r").each(range(2000), progress=False))
        asked = Columns.values

        def values(self: Columns, row: Row) -> Iterator[Any]:
            if row.key == "700":
                os.kill(os.getpid(), sent)
            return asked(self, row)

        monkeypatch.setattr(Columns, "values", values)
        with pytest.raises(leftoff.Stopped, match="nothing was written"):
            export(journal, "out.csv", progress=False)
    assert [path.name for path in Path().iterdir() if "out" in path.name] == []


@pytest.mark.parametrize(
    ("target", "options", "what"),
    [
        ("out", {}, "its suffix chooses the format"),
        ("none/out.csv", {}, "there is no directory none"),
        ("folder.csv", {}, "is a directory"),
        ("work.jsonl", {}, "is a journal, and would be replaced"),
        ("other.jsonl", {}, "is a journal, and would be replaced"),
        ("other.db", {"format": "csv"}, "is a journal, and would be replaced"),
        ("out.csv", {"format": "xml"}, "write 'jsonl', 'csv', 'parquet'"),
    ],
)
def test_a_wrong_target_is_refused(target: str, options: dict[str, str], what: str) -> None:
    """Above all a journal is never replaced by an export, be it its own or another."""
    Path("folder.csv").mkdir()
    for name in ("work.jsonl", "other.jsonl", "other.db"):
        with leftoff.open(name) as journal:
            list(journal.run("r").each("a", progress=False))
    with leftoff.open("work.jsonl") as journal:
        before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
        with pytest.raises(leftoff.UsageError, match=what):
            export(journal, target, progress=False, **options)
        assert {path: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before
