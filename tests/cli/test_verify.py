from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import leftoff
from tests.cli.conftest import call


def damage(place: str) -> Path:
    """Change one bit of one value, wherever the file holds a copy of it."""
    path = Path(place)
    if path.suffix == ".db":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = path.read_bytes()
    assert b"b is no good" in data
    path.write_bytes(data.replace(b"b is no good", b"c is no good"))
    return path


def test_a_sound_journal_is_said_to_be_sound(ingest: str) -> None:
    """Nothing damaged: one line, exit code 0."""
    ended = call("verify", ingest)
    assert (ended.code, ended.out, ended.err) == (0, f"{ingest} is sound\n", "")
    assert call("verify", ingest, "--json").json == {
        "journal": ingest, "sound": True, "damage": [], "torn_bytes": 0,
    }  # fmt: skip


def test_a_flipped_bit_is_found(ingest: str) -> None:
    """One bit of one value: the place is named, the exit code is 4, and nothing is changed."""
    path = damage(ingest)
    before = path.read_bytes()
    ended = call("verify", ingest)
    assert ended.code == 4
    assert "\n  affects: " in ended.out
    assert "'b'" in ended.out
    assert ended.err == f"{ingest} is damaged in 1 place\nwhat can be saved: leftoff repair {ingest}\n"
    ended = call("verify", ingest, "--json")
    assert ended.code == 4
    assert ended.json["sound"] is False
    assert len(ended.json["damage"]) == 1
    assert set(ended.json["damage"][0]) == {"where", "what", "affects", "sound"}
    assert path.read_bytes() == before


def test_a_damaged_journal_stops_every_other_command(ingest: str) -> None:
    """No command works on a damaged journal as if nothing were: exit code 4, and one line that says what is wrong."""
    damage(ingest)
    for words in (["status"], ["log"], ["dead"], ["retry"], ["forget", "--all"]):
        ended = call(words[0], ingest, *words[1:])
        assert (words, ended.code) == (words, 4)
        assert ended.err.startswith("leftoff: ")
        assert ended.err.count("\n") == 1


def test_a_torn_tail_is_no_damage(tmp_path: Path) -> None:
    """What the next run cuts by itself does not make a journal unsound."""
    with leftoff.open("torn.jsonl") as journal:
        list(journal.run("ingest").each("abc", progress=False))
    path = tmp_path / "torn.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    ended = call("verify", "torn.jsonl")
    assert ended.code == 0
    assert "its last commit is torn: the next run will cut" in ended.out
    assert call("verify", "torn.jsonl", "--json").json["torn_bytes"] > 0


def test_an_ancestor_is_proven(ingest: str) -> None:
    """--against OLD proves where a compacted journal came from, and exit code 4 says that it did not."""
    aside = call("compact", ingest, "--keep", "--json").json["aside"]
    old = str(Path(aside).rename(f"old-{ingest}"))
    ended = call("verify", ingest, "--against", old)
    assert (ended.code, ended.out) == (0, f"{ingest} is sound, and came of {old}\n")
    refused = call("verify", old, "--against", ingest)
    assert refused.code == 4
    assert refused.err == f"{old} did not come of {ingest}\n"
