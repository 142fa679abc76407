"""What becomes of a run when its function has changed (promise P12): the user's policy decides, nothing is wiped."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.errors import CodeChanged, UsageError
from tests.contract.stores import Lives, everywhere

POLICIES = ["warn", "refuse", "redo"]


def one(item: str) -> str:
    return f"{item} one"


def two(item: str) -> str:
    return f"{item} two"


def fails(item: str) -> str:
    raise ValueError(item)


def values(run: leftoff.Run, function: Any, items: str, **options: Any) -> dict[str, Any]:
    return {outcome.key: outcome.value for outcome in run.map(function, items, progress=False, **options)}


def versions(run: leftoff.Run, function: Any, items: str, **options: Any) -> dict[str, str | None]:
    return {outcome.key: outcome.version for outcome in run.map(function, items, progress=False, **options)}


@everywhere
def test_results_of_before_are_kept_and_said_to_be(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By default a change is said once, with what has changed; results stay, and each tells its version."""
    lives = Lives(place)
    with lives.open() as journal:
        old = versions(journal.run("r"), one, "ab")
    assert capsys.readouterr().err == ""
    with lives.open() as journal:
        assert values(journal.run("r"), two, "abc") == {"a": "a one", "b": "b one", "c": "c two"}
    said = capsys.readouterr().err
    assert "2 of its items were concluded before test_versions.one, test_versions.two changed; they are kept" in said
    with lives.open() as journal:
        new = versions(journal.run("r"), two, "abcd")
    assert (new["a"], new["b"]) == (old["a"], old["b"])
    assert new["c"] == new["d"] != old["a"] is not None
    assert "changed" not in capsys.readouterr().err


@everywhere
def test_a_change_is_refused_before_anything_is_written(place: str) -> None:
    """With "refuse" the loop does not begin, as often as it is tried; without results nothing is refused."""
    lives = Lives(place)
    with lives.open() as journal:
        assert values(journal.run("r"), one, "ab", on_change="refuse") == {"a": "a one", "b": "b one"}
        before = len(list(journal.entries()))
    for _ in range(2):
        with lives.open() as journal:
            with pytest.raises(CodeChanged, match=r"^r: 2 of its items were .*'redo' works on them.*forget .* --all$"):
                list(journal.run("r").map(two, "abc", on_change="refuse", progress=False))
            assert len(list(journal.entries())) == before
            assert set(versions(journal.run("other"), two, "a", on_change="refuse").values()) != {None}
            before = len(list(journal.entries()))


@everywhere
def test_what_another_version_did_is_redone(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With "redo" all that another version did, dead letters too, is worked on again, and what this one did is not."""
    lives = Lives(place)
    for function, items in ((one, "ab"), (fails, "c"), (two, "de")):
        with lives.open() as journal:
            values(journal.run("r"), function, items, attempts=1)
    capsys.readouterr()
    with lives.open() as journal:
        run = journal.run("r")
        outcomes = {outcome.key: outcome for outcome in run.map(two, "abcdef", on_change="redo", progress=False)}
        assert {key: outcome.value for key, outcome in outcomes.items()} == {key: f"{key} two" for key in "abcdef"}
        assert [key for key, outcome in outcomes.items() if outcome.resumed] == ["d", "e"]
        assert len({outcome.version for outcome in outcomes.values()}) == 1
        assert run.dead() == []
    assert "; 3 that another version did are worked on again" in capsys.readouterr().err
    with lives.open() as journal:
        assert all(o.resumed for o in journal.run("r").map(two, "abcdef", on_change="redo", progress=False))
    assert "changed" not in capsys.readouterr().err


@everywhere
def test_a_function_changed_in_one_process_is_told_apart(place: str) -> None:
    """Where a notebook's cell is edited and run again, the results of before and after differ in their version."""
    lives = Lives(place)
    with lives.open() as journal:
        run = journal.run("r")
        first, second = versions(run, one, "ab"), versions(run, two, "abc")
        third = versions(run, one, "abcd")
    assert first["a"] == second["a"] == third["a"] == third["d"]
    assert second["c"] == third["c"] != first["a"]


@pytest.mark.parametrize("place", ["run.jsonl", "run.db"])
def test_versions_outlive_a_compaction_a_repair_and_a_copy(place: str) -> None:
    """Whatever is left out of a journal, what is kept tells the same version."""
    for function, items in ((one, "a"), (two, "b"), (one, "c")):
        with leftoff.open(place) as journal:
            made = versions(journal.run("r"), function, "abc"[: "abc".index(items) + 1])
    for words in (["compact", place], ["copy", place, "copied.jsonl"]):
        subprocess.run([sys.executable, "-m", "leftoff.cli", *words], check=True, capture_output=True)
    for where in (place, "copied.jsonl"):
        with leftoff.open(where) as journal:
            assert versions(journal.run("r"), one, "abc") == made
    assert len(set(made.values())) == 2


def test_parameters_are_part_of_the_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    """What is declared with parameters= counts like the function, in loops without a function, too."""
    with leftoff.open("run.jsonl") as journal:
        run = journal.run("r")
        assert list(run.each("ab", parameters={"model": "small"}, progress=False)) == ["a", "b"]
        assert list(run.each("ab", parameters={"model": "small"}, progress=False)) == []
        assert list(run.batches("ab", 2, parameters={"model": "small"}, progress=False)) == []
        with pytest.raises(CodeChanged, match=r"before parameter model changed"):
            list(run.each("ab", parameters={"model": "large"}, on_change="refuse", progress=False))
        assert list(run.each("ab", parameters={"model": "large"}, on_change="redo", progress=False)) == ["a", "b"]
        assert list(run.each("ab", progress=False)) == []

        async def awaited() -> list[str]:
            return [item async for item in run.aeach("ab", parameters=1, on_change="redo", progress=False)]

        assert asyncio.run(awaited()) == ["a", "b"]
    capsys.readouterr()


def test_a_wrong_policy_is_refused() -> None:
    """A policy that is none, and parameters that JSON cannot hold, are refused before a journal is made."""
    with pytest.raises(UsageError, match=r"on_change='ignore': write one of 'warn', 'refuse', 'redo'"):
        leftoff.map(one, "a", "run.jsonl", run="r", on_change="ignore")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"parameters="):
        list(leftoff.map(one, "a", "run.jsonl", run="r", parameters={1, 2}))
    assert not Path("run.jsonl").exists()


def test_results_from_before_versions_were_known_are_kept() -> None:
    """What nobody recorded a version for is no other version's: it is neither refused nor redone."""
    with leftoff.open("run.jsonl") as journal:
        list(journal.run("r").each("ab", progress=False))
        for policy in POLICIES:
            found = versions(journal.run("r"), one, "ab", on_change=policy)
            assert found == {"a": None, "b": None}


@pytest.mark.parametrize("place", ["run.jsonl", "run.db", "run/"])
def test_a_redo_that_is_killed_goes_on(place: str, tmp_path: Path) -> None:
    """Killed at any item, also in the first, a redo ends with every result made by the new version, none of it twice
    but the one in hand.
    """
    program = tmp_path / "redo.py"
    program.write_text(
        "import leftoff, os, sys\n"
        "def work(item):\n"
        "    with open('ledger', 'a') as ledger:\n"
        "        ledger.write(f'{item}\\n')\n"
        "    if str(item) == sys.argv[2]:\n"
        "        os.kill(os.getpid(), 9)\n"
        "    return 'VERSION'\n"
        "for outcome in leftoff.map(work, range(1200), sys.argv[1], run='r', durability='process', progress=False,\n"
        "                           on_change='redo'):\n"
        "    assert outcome.value == 'VERSION', outcome\n"
    )
    subprocess.run([sys.executable, program, place, "none"], check=True)
    Path("ledger").unlink()
    program.write_text(program.read_text().replace("VERSION", "other"))
    for kill in ("0", "700", "none"):
        code = subprocess.run([sys.executable, program, place, kill], check=False, capture_output=True).returncode
        assert code == (0 if kill == "none" else -signal.SIGKILL)
    worked = Path("ledger").read_text().split()
    assert set(worked) == {*map(str, range(1200))}
    assert len(worked) == 1202
