"""GNU parallel and `leftoff each` side by side on the same lists: the same work is done, ours once each."""

from __future__ import annotations

import os
import random
import subprocess
import zlib
from pathlib import Path

import pytest

import leftoff
from leftoff.shell import each_command, from_words
from tests.shell import beside
from tests.shell.beside import LEFTOFF, NOT_FOR_ALL, PARALLEL
from tests.shell.conftest import ledger
from tests.shell.lists import LISTS, environment, leftoff_words, parallel_words, prepare, worked

INTERRUPTED = [listed for listed in LISTS if listed.name not in NOT_FOR_ALL]
DRAWN = 3  # of them are tested where not all are


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A seed, printed; LEFTOFF_SEED repeats it."""
    seed = int(os.environ.get("LEFTOFF_SEED") or random.SystemRandom().randrange(10**6))
    print(f"seed {seed}")
    return seed


@pytest.mark.parametrize("listed", LISTS, ids=lambda listed: listed.name)
def test_both_do_the_same(listed, tmp_path: Path, parallel) -> None:
    """The same commands run with the same arguments and print the same; ours skip repeats and empty items."""
    done, printed = {}, {}
    for name, words in (("ours", leftoff_words(listed)), ("theirs", parallel_words(listed))):
        prepare(tmp_path / name, listed)
        ended = subprocess.run(
            words, cwd=tmp_path / name, env=environment(), capture_output=True, stdin=subprocess.DEVNULL, check=False
        )
        done[name], printed[name] = worked(tmp_path / name), ended.stdout
        assert name == "theirs" or ended.returncode == listed.end, ended.stderr
    assert set(done["ours"].values()) <= {1}
    assert sum(done["ours"].values()) == listed.items
    if listed.differs == "empty":
        del done["theirs"][b"\0"]
    elif listed.differs == "twice":
        done["theirs"] = dict.fromkeys(done["theirs"], 1)
    else:
        assert printed["ours"] == printed["theirs"]
    assert done["ours"] == done["theirs"]


def check(found: beside.Found, scenario: str) -> None:
    """Hold what is promised: nothing is lost, and only what was in hand at a kill is repeated."""
    assert found.lost == 0, found
    assert found.repeated <= 2 * found.kills, found
    if scenario == "two":
        assert set(found.codes) <= {0, 3, 5}, found
    else:
        assert set(found.codes) <= {0, 3}, found


@pytest.mark.parametrize("scenario", beside.SCENARIOS)
def test_some_lists_survive(scenario: str, tmp_path: Path, seed: int) -> None:
    """Killed twice, with a changed list, started twice, with a torn log: no item is lost, and none in vain repeated."""
    chance = random.Random(zlib.crc32(f"{seed}{scenario}".encode()))
    for listed in chance.sample(INTERRUPTED, DRAWN):
        print(listed.name)
        check(beside.SCENARIOS[scenario](tmp_path, LEFTOFF, listed, chance), scenario)


@pytest.mark.prove
@pytest.mark.parametrize("scenario", beside.SCENARIOS)
@pytest.mark.parametrize("listed", INTERRUPTED, ids=lambda listed: listed.name)
def test_all_lists_survive(listed, scenario: str, tmp_path: Path, seed: int) -> None:
    """The same for every list, several times."""
    chance = random.Random(zlib.crc32(f"{seed}{scenario}{listed.name}".encode()))
    for _ in range(3):
        check(beside.SCENARIOS[scenario](tmp_path, LEFTOFF, listed, chance), scenario)


@pytest.mark.prove
def test_the_counts_of_the_scenarios_bite(tmp_path: Path, parallel) -> None:
    """What they count is really lost and repeated: with a position for an identity both are found."""
    plain = LISTS[0]
    found = [beside.changed(tmp_path, PARALLEL, plain, random.Random(seed)) for seed in range(5)]
    assert sum(each.lost for each in found)
    assert sum(each.repeated for each in found)


def torn_at(data: bytes, cut: int, ends: dict[str, int]) -> None:
    """Cut a complete journal behind so many bytes, go on, and hold the ledger against what the cut took."""
    Path("torn.jsonl").write_bytes(data[:cut])
    before = ledger()
    source = from_words(list("abcdef"))
    summary = each_command(["sh", "-c", 'echo "$1" >>ledger', "sh", "{}"], source, "torn.jsonl", jobs=2)
    taken = {key for key, end in ends.items() if end > cut}
    assert (summary.report.done, summary.report.missing) == (6, 0)
    assert ledger() - before == dict.fromkeys(taken, 1)
    for file in Path().glob("torn.jsonl*"):
        file.unlink()


def complete() -> tuple[bytes, dict[str, int]]:
    """Return a complete journal, and where in it the commit ends that holds each item's `done`."""
    each_command(["sh", "-c", 'echo "$1" >>ledger', "sh", "{}"], from_words(list("abcdef")), "whole.jsonl", jobs=2)
    with leftoff.open("whole.jsonl") as journal:
        done = {entry.key for entry in journal.entries("each") if entry.kind == "done"}
    data, ends, at, begun = Path("whole.jsonl").read_bytes(), {}, 0, set[str]()
    for line in data.splitlines(keepends=True):
        at += len(line)
        begun |= {key for key in done if b'"done":"%s"' % key.encode() in line}
        if b',"more":1,' not in line:
            ends |= dict.fromkeys(begun, at)
            begun.clear()
    assert sorted(ends) == list("abcdef")
    return data, ends


def test_a_log_torn_anywhere_costs_what_it_lost(seed: int) -> None:
    """Cut at any byte, the journal still says what is done of the whole lines; the rest is done once more."""
    data, ends = complete()
    chance = random.Random(seed)
    for cut in sorted(chance.sample(range(len(data) // 3, len(data) + 1), 12)):
        torn_at(data, cut, ends)


@pytest.mark.prove
def test_a_log_torn_at_every_byte_of_its_last_lines() -> None:
    """The same for each byte of the last lines."""
    data, ends = complete()
    last = len(b"".join(data.splitlines(keepends=True)[-4:]))
    for cut in range(len(data) - last, len(data) + 1):
        torn_at(data, cut, ends)
