"""Scripts of the kinds that people write, wrong and right: each wrong one is found out, no right one is accused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leftoff.prove import Proof
from tests.prove.conftest import HERE

KILLS = {"power": False}  # what is wrong shows after a kill, and no missing sync is needed to call it so

NAIVE: dict[str, tuple[dict[str, Any], str]] = {
    "append_without_sync": ({"kills": 4}, "results.csv was written and never synced"),
    "count_lines": (KILLS, "results.csv: lost: paper-"),
    "counter_file": (KILLS, "ValueError: invalid literal for int()"),
    "csv_half_line": (KILLS, "abstracts.csv: lost: paper-"),
    "except_pass": (KILLS, "summary.csv: lost: "),
    "json_in_place": (KILLS, "results.csv: repeated: paper-"),
    "mark_before_output": (KILLS, "results.csv: lost: paper-"),
    "output_before_mark": (KILLS, "results.csv: repeated: paper-"),
    "pickle_in_place": (KILLS, "EOFError: Ran out of input"),
    "pool_with_done_list": ({**KILLS, "any_order": True}, "results.csv: repeated: paper-"),
    "rename_without_sync": ({"kills": 4}, "results.json was renamed into place and never synced"),
    "skip_if_exists": (KILLS, ".txt: lost: "),
    "sqlite_two_commits": (KILLS, "papers.db, table paper: repeated: key='paper-"),
    "write_every_hundred": ({**KILLS, "ledger": "-"}, "they cost more than the item in hand"),
}  # fmt: skip


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("name", NAIVE)
def test_what_is_wrong_with_a_naive_script_is_found(name: str, proven: Callable[..., Proof], seed: int) -> None:
    """Each of these scripts is found out within 40 kills, and told what it is that went wrong."""
    options, expected = NAIVE[name]
    proof = proven(HERE / "naive" / f"{name}.py", seed=seed, **options)
    assert not proof.proven
    assert expected in "\n".join(proof.lines()), proof.lines()


def test_every_naive_script_is_tried() -> None:
    """No script lies in the folder without being among those that are found out."""
    assert {path.stem for path in (HERE / "naive").glob("*.py")} == set(NAIVE)


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("path", sorted((HERE / "sound").glob("*.py")), ids=lambda path: path.stem)
def test_a_sound_script_is_not_accused(path: Path, proven: Callable[..., Proof], seed: int) -> None:
    """A script that resumes, whether with leftoff or by hand, is proven, missing syncs included."""
    proof = proven(path, seed=seed, kills=8)
    assert proof.proven, proof.lines()
    assert proof.verdict == "prove: 8 kills, 0 lost, 0 repeated, 0 different: it resumes"
    assert proof.not_durable == []
    assert proof.compared


@pytest.mark.prove
@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("path", sorted((HERE / "sound").glob("*.py")), ids=lambda path: path.stem)
def test_a_sound_script_is_not_accused_after_many_kills(path: Path, proven: Callable[..., Proof], seed: int) -> None:
    """Three hundred kills, up to three in a journey, find nothing in a script that resumes."""
    proof = proven(path, seed=seed, kills=300, kills_per_run=3)
    assert proof.verdict == "prove: 300 kills, 0 lost, 0 repeated, 0 different: it resumes", proof.lines()


def test_without_strace_a_wide_gap_is_found(proven: Callable[..., Proof], seed: int) -> None:
    """Where no call is traced, kills by the clock find a mark that is set before the work; the report says so."""
    text = (HERE / "naive" / "mark_before_output.py").read_text("utf-8")
    assert "0.004" in text
    # Longer work: the start of a process on a busy machine takes a time of its own.
    proof = proven(text.replace("0.004", "0.03"), seed=seed, strace=False)
    assert proof.failure is not None, proof.lines()
    assert proof.lost > 0
    assert proof.not_durable is None
    assert "no kill was aimed between two calls" in "\n".join(proof.lines())
