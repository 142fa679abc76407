"""What is said of each damaged place of a JSON Lines journal, word for word."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leftoff.journal import jsonl_verify
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.jsonl_verify import Line, examine_jsonl, judged
from tests.journal.jsonl_files import built

CREATED = '"created":"","value":{"id":"0123456789abcdef","program":null,"parent":null}'
OWNER = '"owner":"","value":{"host":"h","pid":1,"start":"s","durability":"power"}'
DATA = built(
    [CREATED, OWNER],  # lines 2 and 3
    ['"started":"a"'],  # line 4, seq 3
    ['"done":"a","started":"b"'],  # line 5, seq 4 and 5
    ['"failed":"b","value":{}', '"step":"s","value":1'],  # lines 6 and 7
    ['"done":"c"'],
    ['"done":"d"'],
)
LINES = DATA.splitlines(keepends=True)
READ = "what can still be read there, not to be believed"
OF, FIT, DISPLACED = " of run r", "fit each other, at their places", "fit each other, but not at their places"


def scratched(number: int) -> bytes:
    """Return the journal with a line that cannot be read."""
    return b"".join([*LINES[: number - 1], b"x" * (len(LINES[number - 1]) - 1) + b"\n", *LINES[number:]])


def resummed(*numbers: int) -> bytes:
    """Return the journal with the last digit of some lines' sums changed."""
    lines = list(LINES)
    for number in numbers:
        line = lines[number - 1]
        lines[number - 1] = line[:-4] + (b"1" if line[-4:-3] == b"0" else b"0") + line[-3:]
    return b"".join(lines)


def at(number: int) -> int:
    """Return the offset at which a line begins."""
    return sum(map(len, LINES[: number - 1]))


PLACES: dict[str, tuple[bytes, list[tuple[str, str, str, str]]]] = {
    "a commit of one line": (
        DATA.replace(b'"started":"a"', b'"started":"A"'),
        [
            (
                f"line 4 (offset {at(4)})",
                "not what was written",
                f"entry 3; {READ}: started 'A' of run r",
                f"everything before it, entries up to 2; behind it 6 entries that {FIT}",
            )
        ],
    ),
    "a line of two entries": (
        DATA.replace(b'"done":"a"', b'"done":"A"'),
        [
            (
                f"line 5 (offset {at(5)})",
                "not what was written",
                f"entries 4 to 5; {READ}: done 'A' of run r, started 'b' of run r",
                f"everything before it, entries up to 3; behind it 4 entries that {FIT}",
            )
        ],
    ),
    "the second line of a commit": (
        DATA.replace(b'"step":"s"', b'"step":"S"'),
        [
            (
                f"lines 6 to 7 (offset {at(6)})",
                "not what was written",
                f"entries 6 to 7; {READ}: failed 'b' of run r, step 'S' of run r",
                f"everything before it, entries up to 5; behind it 2 entries that {FIT}",
            )
        ],
    ),
    "the first commit": (
        DATA.replace(b'"parent"', b'"PARENT"'),
        [
            (
                f"lines 2 to 3 (offset {at(2)})",
                "not what was written",
                f"entries 1 to 2; {READ}: created '' of run r, owner '' of run r",
                f"everything before it, the header; behind it 7 entries that {FIT}",
            )
        ],
    ),
    "a first line that cannot be read": (
        scratched(2),
        [
            (
                f"lines 2 to 3 (offset {at(2)})",
                "not what was written",
                f"entries 1 to 2; {READ}: owner '' of run r; the rest cannot be read",
                f"everything before it, the header; behind it 7 entries that {FIT}",
            )
        ],
    ),
    "a line of a last commit that was cut short too": (
        DATA.replace(b'"failed":"b"', b'"failed":"B"')[: at(7) + 30],
        [
            (
                f"lines 6 to 7 (offset {at(6)})",
                "not what was written",
                f"every entry from 6 on; {READ}: failed 'B' of run r; the rest cannot be read",
                "everything before it, entries up to 5",
            )
        ],
    ),
    "a line that cannot be read, with the commit behind it": (
        scratched(4),
        [
            (
                f"lines 4 to 5 (offset {at(4)})",
                "not what was written",
                f"entries 3 to 5; {READ}: done 'a' of run r, started 'b' of run r; the rest cannot be read",
                f"everything before it, entries up to 2; behind it 4 entries that {FIT}",
            )
        ],
    ),
    "a line that cannot be read between two that can": (
        scratched(7),
        [
            (
                f"lines 6 to 8 (offset {at(6)})",
                "not what was written",
                f"entries 6 to 8; {READ}: failed 'b' of run r, done 'c' of run r; the rest cannot be read",
                f"everything before it, entries up to 5; behind it 1 entry that {FIT}",
            )
        ],
    ),
    "the last line": (
        DATA.replace(b'"done":"d"', b'"done":"D"'),
        [
            (
                f"line 9 (offset {at(9)})",
                "not what was written",
                f"every entry from 9 on; {READ}: done 'D' of run r; the rest cannot be read",
                "everything before it, entries up to 8",
            )
        ],
    ),
    "a last line that cannot be read": (
        scratched(9),
        [
            (
                f"line 9 (offset {at(9)})",
                "not what was written",
                "every entry from 9 on, of any run; which keys cannot be told",
                "everything before it, entries up to 8",
            )
        ],
    ),
    "the header": (
        DATA.replace(b"8f14", b"8f15"),
        [
            (
                "line 1 (offset 0)",
                "the header is not what was written",
                "the journal's id; no entry",
                f"nothing before it; behind it 9 entries that {FIT}",
            )
        ],
    ),
    "the header and nothing else": (
        LINES[0].replace(b"8f14", b"8f15"),
        [
            (
                "line 1 (offset 0)",
                "the header is not what was written",
                "the journal's id; no entry",
                "nothing before it",
            )
        ],
    ),
    "the header and the first commit": (
        DATA.replace(b"8f14", b"8f15").replace(b'"parent"', b'"PARENT"'),
        [
            (
                "lines 1 to 3 (offset 0)",
                "not what was written",
                f"entries 1 to 2; {READ}: created '' of run r, owner '' of run r",
                f"nothing before it; behind it 7 entries that {FIT}",
            )
        ],
    ),
    "a byte that vanished": (
        DATA.replace(b'"started":"a"', b'"started":""'),
        [
            (
                f"line 4 (offset {at(4)})",
                "not what was written: bytes are missing here, or do not belong here",
                f"entry 3; {READ}: started '' of run r",
                f"everything before it, entries up to 2; behind it 6 entries that {DISPLACED}",
            )
        ],
    ),
    "a line that vanished": (
        b"".join([*LINES[:3], *LINES[4:]]),
        [
            (
                f"line 4 (offset {at(4)})",
                "not what was written: bytes are missing here, or do not belong here",
                f"entries 3 to 5; {READ}: done 'a' of run r, started 'b' of run r",
                f"everything before it, entries up to 2; behind it 4 entries that {DISPLACED}",
            )
        ],
    ),
    "two sums, apart": (
        resummed(4, 8),
        [
            (
                f"line 4 (offset {at(4)})",
                "its sum is not what was written, its entry is",
                "nothing",
                f"everything before it, entries up to 2; behind it 4 entries that {FIT}",
            ),
            (
                f"line 8 (offset {at(8)})",
                "its sum is not what was written, its entry is",
                "nothing",
                f"everything before it, entries up to 7; behind it 1 entry that {FIT}",
            ),
        ],
    ),
    "two sums, one behind the other": (
        resummed(4, 5),
        [
            (
                f"lines 4 to 7 (offset {at(4)})",
                "not what was written",
                f"entries 3 to 7; {READ}: started 'a'{OF}, done 'a'{OF}, started 'b'{OF}, failed 'b'{OF}, step 's'{OF}",
                f"everything before it, entries up to 2; behind it 2 entries that {FIT}",
            )
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_a_damaged_place_is_told_word_for_word(tmp_path: Path, name: str) -> None:
    """Lines, offset, what is wrong, which entries and keys are in doubt, and what is sound before and behind it."""
    data, expected = PLACES[name]
    path = tmp_path / "a.jsonl"
    path.write_bytes(data)
    told = [(f"a.jsonl: {where}", what, affects, sound) for where, what, affects, sound in expected]
    assert examine_jsonl(path, "a.jsonl") == (told, 0)


@pytest.mark.parametrize("block", [1, 100, 4096])
def test_places_are_the_same_however_a_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """Numbers and offsets do not depend on where a block that is read ends."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(DATA[:-5])
    monkeypatch.setattr(jsonl_verify, "BLOCK", block)
    with path.open("rb") as file:
        lines = list(judged(file.fileno(), len(DATA) - 5))
    assert [(line.number, line.offset, line.data) for line in lines] == [
        (number, at(number), LINES[number - 1][: len(DATA) - 5 - at(number)]) for number in range(1, 10)
    ]
    assert [(line.seq, line.last_seq) for line in lines] == [
        (0, 0), (1, 1), (2, 2), (3, 3), (4, 5), (6, 6), (7, 7), (8, 8), (0, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "pairs", "after", "named"),
    [
        (8, 0, 0, ""),
        (9, 0, 0, " and 1 more"),
        (7, 1, 0, " and 1 more"),
        (7, 1, 2, " and 3 more"),
        (0, 6, 0, " and 4 more"),
    ],
)
def test_eight_keys_are_named_and_the_others_counted(
    tmp_path: Path, before: int, pairs: int, after: int, named: str
) -> None:
    """However many entries a damaged commit has, what is said of it has an end."""
    commit = [f'"started":"s{n}"' for n in range(before)]
    commit += [f'"done":"d{n}","started":"e{n}"' for n in range(pairs)]
    commit += [f'"dead":"x{n}"' for n in range(after)]
    data = built(['"started":"a"'], commit, ['"done":"d"'])
    path = tmp_path / "a.jsonl"
    path.write_bytes(data.replace(b'd0"' if pairs and not before else b's0"', b'xx"', 1))
    ((_, _, affects, sound),) = examine_jsonl(path, "a.jsonl").damage
    entries, _, read = affects.partition("; ")
    assert entries == f"entries 2 to {1 + before + 2 * pairs + after}"
    assert read.count(" of run r") == 8
    assert read.endswith(f" of run r{named}")
    assert sound == f"everything before it, entries up to 1; behind it 1 entry that {FIT}"


@pytest.mark.parametrize("cut", [at(9) - 1, at(9), at(9) + 1, at(9) + 60, len(DATA) - 1])
def test_a_torn_end_behind_damage_is_told_by_its_length(tmp_path: Path, cut: int) -> None:
    """What a crash left at the end is no damage, and costs the damaged place before it nothing."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(DATA.replace(b'"started":"a"', b'"started":"A"')[:cut])
    damage, torn = examine_jsonl(path, "a.jsonl")
    begin, fitting = (at(9), 5) if cut >= at(9) else (at(8), 4)
    assert ([one.where for one in damage], torn) == ([f"a.jsonl: line 4 (offset {at(4)})"], cut - begin)
    assert damage[0].sound.endswith(f"; behind it {fitting} entries that {FIT}")


@pytest.mark.parametrize("cut", [at(7), at(7) + 1, at(8) - 1])
def test_a_commit_that_lacks_a_line_behind_damage_is_torn_as_a_whole(tmp_path: Path, cut: int) -> None:
    """All lines of an unfinished commit are its tail, be they whole or not."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(DATA.replace(b'"started":"a"', b'"started":"A"')[:cut])
    damage, torn = examine_jsonl(path, "a.jsonl")
    assert ([one.where for one in damage], torn) == ([f"a.jsonl: line 4 (offset {at(4)})"], cut - at(6))


@pytest.mark.parametrize(
    ("first", "fitting"), [(DATA.replace(b'"started":"a"', b'"started":"A"'), 4), (DATA.replace(b"8f14", b"8f15"), 7)]
)
def test_places_end_where_a_line_fits(tmp_path: Path, first: bytes, fitting: int) -> None:
    """Each place counts what fits up to the next one, which counts on from there."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(first.replace(b'"done":"c"', b'"done":"C"'))
    one, two = examine_jsonl(path, "a.jsonl").damage
    assert one.sound.endswith(f"; behind it {fitting} entries that {FIT}")
    assert two == (
        f"a.jsonl: line 8 (offset {at(8)})",
        "not what was written",
        f"entry 8; {READ}: done 'C' of run r",
        f"everything before it, entries up to 7; behind it 1 entry that {FIT}",
    )


@pytest.mark.parametrize("size", range(0, len(LINES[0]) + 1, 10))
def test_a_header_that_was_not_finished_is_no_damage(tmp_path: Path, size: int) -> None:
    """A creation that was interrupted holds nothing: no damaged place, and no torn tail either."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES[0][:size])
    assert examine_jsonl(path, "a.jsonl") == ([], 0)


def test_a_sound_journal_tells_its_torn_tail(tmp_path: Path) -> None:
    """The bytes that the next owner will cut are counted, by a check and by an opening alike."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(DATA[:-30])
    assert examine_jsonl(path, "a.jsonl") == ([], len(LINES[-1]) - 30)
    store = JsonlStore(path)
    assert store.torn() == len(LINES[-1]) - 30
    store.close()


def test_a_file_that_gets_shorter_while_it_is_judged_ends_there(tmp_path: Path) -> None:
    """Lines are read up to the size that was told, or to the end of the file where that comes first."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(DATA)
    with path.open("rb") as file:
        assert [line.number for line in judged(file.fileno(), len(DATA) + 1000)] == list(range(1, 10))
        assert [line.number for line in judged(file.fileno(), at(3))] == [1, 2]
        os.truncate(path, 0)
        assert list(judged(file.fileno(), len(DATA))) == []


@pytest.mark.parametrize(
    ("seq", "rest", "seqs"),
    [
        ("7", '"done":"a","started":"b"', (7, 8)),
        ("7", '"done":"a"', (7, 7)),
        ("7", '"dead":"a","value":{"started":"b"}', (7, 7)),
        ("1" * 19, '"dead":"a"', (int("1" * 19), int("1" * 19))),
        ("1" * 20, '"dead":"a"', (0, 0)),
        ("x", '"dead":"a"', (0, 0)),
    ],
)
def test_a_line_tells_the_seqs_of_its_entries(seq: str, rest: str, seqs: tuple[int, int]) -> None:
    """A line of two entries ends one seq later; what does not read as an entry of ours has none."""
    data = f'{{"seq":{seq},"commit":1,"at":"","run":"r","epoch":1,{rest},"sum":"00000000"}}\n'.encode()
    one = Line(2, 0, data, "proven")
    assert (one.seq, one.last_seq) == seqs
