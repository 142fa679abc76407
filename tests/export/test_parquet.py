from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.export import export
from tests.contract.program import write

if not os.environ.get("LEFTOFF_CI"):
    pytest.importorskip("pyarrow")

GROUPS = 45_000  # rows: three row groups


def read(name: str) -> Any:
    from pyarrow import parquet

    return parquet.read_table(name)


def test_a_table_has_every_row_and_its_types() -> None:
    """Numbers are numbers, times are times, a whole result is JSON, and each fate has its columns."""

    def work(n: int) -> Any:
        if n == 2:
            raise ValueError("no good")
        return {"n": n, "half": n / 2, "name": f"ü{n}", "even": n % 2 == 0, "more": [n]} if n else "zero"

    with leftoff.open("work.jsonl") as journal:
        list(journal.run("r").map(work, range(4), attempts=1, progress=False))
        assert export(journal, "out.parquet", flatten=True, progress=False) == (4, ["r"], "parquet")
        with pytest.raises(leftoff.UsageError, match="is written to a file"):
            export(journal, io.BytesIO(), format="parquet", progress=False)
    table = read("out.parquet")
    types = {field.name: str(field.type) for field in table.schema}
    assert types["at"] == "timestamp[ms, tz=UTC]"
    assert [types[f"value.{name}"] for name in ("n", "half", "name", "even", "more")] == [
        "int64", "double", "string", "bool", "string",
    ]  # fmt: skip
    assert table["key"].to_pylist() == ["0", "1", "3", "2"]
    assert table["value"].to_pylist() == ['"zero"', None, None, None]
    assert table["value.half"].to_pylist() == [None, 0.5, 1.5, None]
    assert table["value.more"].to_pylist() == [None, "[1]", "[3]", None]
    assert table["errors"].to_pylist() == [None, None, None, 1]
    assert table["error_message"].to_pylist() == [None, None, None, "no good"]


def test_many_rows_are_written_in_groups() -> None:
    """What does not fit into one row group is written in several, each row once."""
    with leftoff.open("work.jsonl", durability="process") as journal:
        list(journal.run("r").each(range(GROUPS), progress=False))
        export(journal, "out.parquet", progress=False)
    assert read("out.parquet")["key"].to_pylist() == [str(n) for n in range(GROUPS)]


def test_large_results_make_smaller_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held in memory is bounded by the text in it, not by the rows alone."""
    from pyarrow import parquet

    monkeypatch.setattr("leftoff.export.parquet._CHARACTERS", 50_000)
    with leftoff.open("work.jsonl") as journal:
        list(journal.run("r").map(lambda n: "x" * 20_000, range(10), progress=False))
        export(journal, "out.parquet", progress=False)
    assert [parquet.ParquetFile("out.parquet").metadata.row_group(n).num_rows for n in range(4)] == [3, 3, 3, 1]


def test_without_pyarrow_the_extra_is_named(tmp_path: Path) -> None:
    """A missing pyarrow is an error that says what to install, before the file is touched."""
    program = write(
        tmp_path,
        """
        import sys
        sys.modules["pyarrow"] = None
        import leftoff
        from leftoff.export import export

        with leftoff.open("work.jsonl") as journal:
            list(journal.run("r").each("a", progress=False))
            try:
                export(journal, "out.parquet")
            except leftoff.UsageError as error:
                print(error)
        """,
    )
    ended = subprocess.run([sys.executable, program], check=False, capture_output=True, text=True)
    assert ended.stdout == "a Parquet file needs pyarrow: pip install 'leftoff[parquet]'\n"
    assert not Path("out.parquet").exists()
