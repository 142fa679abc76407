from __future__ import annotations

from pathlib import Path

import leftoff
from tests.cli.conftest import call, fates
from tests.postgres import Server


def test_a_copy_is_told_in_one_line(ingest: str) -> None:
    """What was copied, and whether the user's tables came along; a second copy over it is refused with exit code 2."""
    ended = call("copy", ingest, "copy.jsonl")
    assert ended.code == 0
    assert ended.out.startswith("copy.jsonl: ")
    assert "of 1 run, the journal alone" in ended.out
    assert fates("copy.jsonl") == fates(ingest)
    again = call("copy", ingest, "copy.jsonl")
    assert (again.code, again.out) == (2, "")
    assert "copy.jsonl exists" in again.err


def test_a_copy_is_told_to_programs(ingest: str) -> None:
    """One JSON object says from where, where to, how many entries of which runs, and whether tables came along."""
    said = call("copy", ingest, "copy.db", "--json").json
    assert said.pop("entries") > 0
    assert said == {
        "source": ingest, "target": "copy.db", "moved": False, "runs": ["ingest"], "tables": ingest.endswith(".db"),
    }  # fmt: skip


def test_a_move_leaves_a_journal_that_points_to_the_new_one(ingest: str) -> None:
    """After --move every command that would write is refused, `status` tells where it went; again changes nothing."""
    assert call("copy", ingest, "moved.db", "--move").out.endswith("the work goes on there\n")
    refused = call("forget", ingest, "--all")
    assert refused.code == 1
    assert "moved.db; go on there" in refused.err
    assert f"moved to {Path('moved.db').resolve()}" in call("status", ingest).out
    assert call("status", ingest, "--json").json["runs"][0]["owner"]["moved"] == str(Path("moved.db").resolve())
    assert call("copy", ingest, "moved.db", "--move").out == f"{ingest} was moved to moved.db before\n"
    assert call("retry", "moved.db").code == 0


def test_a_journal_in_use_is_copied_and_not_moved(ingest: str) -> None:
    """While a loop of this process runs a copy is made of what is done; nothing to copy is exit code 2."""
    with leftoff.open(ingest) as journal:
        for _ in journal.run("ingest").each(["z"], progress=False):
            assert call("copy", ingest, "copy.db").code == 0
    assert fates("copy.db")[0] == ["a", "c", "e"]
    assert call("copy", "none.jsonl", "other.db").code == 1


def test_a_journal_is_moved_into_postgresql(ingest: str, postgres: Server) -> None:
    """A URL is a target like a file; where it went is told without the password, and a second journal is refused."""
    url = postgres.url.replace("postgres@", "postgres:s3cret@")
    told = call("copy", ingest, url, "--move")
    assert told.out.endswith("the work goes on there\n")
    assert fates(url)[0] == ["a", "c", "e"]
    where = call("status", ingest).out
    assert f"moved to {postgres.url}" in where
    assert "s3cret" not in where + told.out
    assert call("copy", ingest, postgres.url, "--move").out.endswith("before\n")
    assert call("copy", postgres.url, "copy.jsonl").code == 0
    refused = call("copy", "copy.jsonl", postgres.url)
    assert refused.code == 2
    assert "holds a journal already" in refused.err
