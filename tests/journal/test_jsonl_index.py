"""What a JSON Lines journal answers of its runs, however it is read: at once or bit by bit, in small blocks or big."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import JournalClosed, JournalReadOnly, JournalUnusable
from leftoff.journal import jsonl, jsonl_index, jsonl_scan
from leftoff.journal.entry import Draft, Tries
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.jsonl_index import Index
from leftoff.journal.jsonl_scan import HEADER_LENGTH
from leftoff.journal.lock import whoami
from leftoff.journal.store import Damage, values_of
from tests.contract.drafts import done, mark_every, started
from tests.journal.jsonl_files import HEADER, built

CREATED = '"created":"","value":{"id":"0123456789abcdef","program":null,"parent":null}'
OWNER = '"owner":"","value":{"host":"h","pid":1,"start":"s","durability":"power"}'
OTHER = '"run":"ü\\"r","epoch":1,'
TRIES = '"value":{"tries":{"errors":1},"error":{"type":"E","message":"m"}}'
COMMITS = [
    [CREATED, OWNER],
    ['"started":"a"', '"started":"b"'],
    ['"done":"a","value":{"ü":"ä"},"started":"c"'],
    [f"{OTHER}{CREATED}", f"{OTHER}{OWNER}"],
    [f'{OTHER}"done":"a","value":"the other\'s"', f'{OTHER}"started":"z"'],
    ['"dead":"b","value":{"tries":{"errors":3}}'],
    ['"done":"q\\"\\n\\\\","value":[1,2]'],
    ['"done":"ü\u2028","value":"\u2028"'],
    [f'"failed":"c",{TRIES}', '"started":"d","value":{"crashes":2}'],
    ['"step":"s","value":"one"', '"step":"t","value":"{\\"open\\":\\"\\",\\n"', '"cursor":"since","value":7'],
    ['"done":"f"', '"done":"g","value":"g"', '"dead":"h","value":1'],
    ['"forgotten":"f"', '"retried":"h"', '"forgotten":"nowhere"'],
    [f'{OTHER}"dead":"dead","value":{{}}'],
    ['"open":"","value":{"c":{"errors":1,"crashes":0,"begun":0},"d":{"errors":0,"crashes":2,"begun":1}}'],
    ['"step":"s","value":"two"', '"pass":"p","value":{"total":3}'],
    ['"done":"k","started":"l"'],
    ['"forgotten":"a"', '"dead":"a","value":"given up"'],
    ['"done":"h","value":"late"'],
    [f'{OTHER}"open":"","value":{{}}', f'{OTHER}"done":"w"'],
    ['"released":"l","value":{"tries":{}}', '"retried":"b"', '"done":"b"'],
]
DATA = built(*COMMITS)
ENDS = [len(built(*COMMITS[:count])) for count in range(1, len(COMMITS) + 1)]
KEYS = ["a", "b", "c", "f", "g", "h", "k", 'q"\n\\', "ü\u2028", "nowhere"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def small_blocks(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    for module in (jsonl, jsonl_index, jsonl_scan):
        monkeypatch.setattr(module, "BLOCK", size)
    monkeypatch.setattr(jsonl_index, "SECTOR_READ", size)


def check_answers(store: JsonlStore, torn: int = 0) -> None:
    assert store.runs() == ["r", 'ü"r']
    assert list(store.keys("r", "done")) == ['q"\n\\', "ü\u2028", "g", "k", "h", "b"]
    assert list(store.keys("r", "dead")) == ["a"]
    assert store.counts("r") == (6, 1)
    assert values_of(store, "r", KEYS) == ["given up", None, None, None, "g", "late", None, [1, 2], "\u2028", None]
    assert store.open_items("r") == {"c": Tries(1, 0, begun=False), "d": Tries(0, 2, begun=True)}
    assert list(store.keys('ü"r', "done")) == ["a", "w"]
    assert list(store.keys('ü"r', "dead")) == ["dead"]
    assert store.counts('ü"r') == (2, 1)
    assert values_of(store, 'ü"r', ["a", "w", "dead", "b"]) == ["the other's", None, {}, None]
    assert store.open_items('ü"r') == {}
    assert store.counts("nobody's") == (0, 0)
    found = [store.latest("r", *name) for name in (("step", "s"), ("step", "t"), ("cursor", "since"), ("pass", "p"))]
    assert [entry.value for entry in found if entry] == ["two", '{"open":"",\n', 7, {"total": 3}]
    assert [entry.seq for entry in found if entry] == [27, 17, 18, 28]
    assert [store.latest("r", "step"), store.latest("r", "step", "x"), store.latest("nobody's", "owner")] == [None] * 3
    assert [store.latest(run, "created").seq for run in store.runs()] == [1, 7]  # type: ignore[union-attr]
    newest = [store.newest(run) for run in ("r", 'ü"r', "nobody's")]
    assert [(entry.seq, entry.kind, entry.key) if entry else None for entry in newest] == [
        (38, "done", "b"), (35, "done", "w"), None,
    ]  # fmt: skip
    assert store.length() == DATA.count(b"\n") - 1
    assert store.head("r") == store.head('ü"r') == ("8f14e45fceea167a", 38, int(DATA[-11:-3], 16))
    assert store.head("nobody's") is None
    assert store.torn() == torn
    assert store.holder("r") is None
    assert list(store.verify()) == []


@pytest.mark.parametrize("block", [120, 500, 100_000])
@pytest.mark.parametrize("steps", [1, 3, len(ENDS)])
def test_a_journal_answers_the_same_however_it_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch, block: int, steps: int
) -> None:
    """A handle that followed it commit by commit knows what one knows that reads it at once."""
    small_blocks(monkeypatch, block)
    path.touch()
    store = JsonlStore(path)
    for end in ENDS[:: -(-len(ENDS) // steps)]:
        path.write_bytes(DATA[:end])
        for run in ("r", 'ü"r'):
            store.counts(run)
    path.write_bytes(DATA)
    check_answers(store)
    check_answers(store)
    store.close()


@pytest.mark.parametrize("kept", [[], [1], [0]])
def test_a_run_that_is_owned_answers_as_before(path: Path, kept: list[int]) -> None:
    """Taking a run over and going on changes no answer about the others, and its own just by what is written."""
    path.write_bytes(DATA)
    store = JsonlStore(path)
    owners = [store.own(run) for number, run in enumerate(["r", 'ü"r']) if number in kept]
    assert [owner.epoch for owner in owners] == [2] * len(kept)
    assert list(store.keys("r", "done")) == ['q"\n\\', "ü\u2028", "g", "k", "h", "b"]
    assert values_of(store, "r", KEYS[:2]) == ["given up", None]
    for owner in owners:
        assert owner.commit([done("new", "value")]) == [{"r": 12, 'ü"r': 4}[owner.run]]
        assert values_of(store, owner.run, ["new"]) == ["value"]
        newest = store.newest(owner.run)
        assert newest is not None
        assert (newest.seq, newest.key) == (40, "new")
    crashed = 3 if 0 in kept else 2
    assert store.open_items("r") == {"c": Tries(1, 0, begun=False), "d": Tries(0, crashed, begun=0 not in kept)}
    store.close()


@pytest.mark.parametrize("after", [0, 1, 3, 5, 20, 37, 38, 99])
def test_entries_behind_a_seq_are_those_of_all(path: Path, after: int) -> None:
    """`after` leaves out what was seen, on a line of two entries too, for all runs and for one."""
    path.write_bytes(DATA)
    store = JsonlStore(path)
    everything = list(store.entries())
    assert [entry.seq for entry in everything] == list(range(1, 39))
    for _ in range(2):
        assert list(store.entries(after=after)) == everything[after:]
        assert list(store.entries("r", after)) == [entry for entry in everything[after:] if entry.run == "r"]
    path.write_bytes(built(*COMMITS, ['"done":"m","value":1,"started":"n"']))
    added = [(entry.seq, entry.kind, entry.key, entry.value) for entry in store.entries(after=38)]
    assert added == [(39, "done", "m", 1), (40, "started", "n", None)]
    assert [entry.key for entry in store.entries(after=39)] == ["n"]
    store.close()


@pytest.mark.parametrize("content", [None, b"", HEADER[:50], HEADER])
def test_a_journal_without_an_entry_answers_all_the_same(path: Path, content: bytes | None) -> None:
    """A file that is not there, an empty one, one that was never finished and one that was: none holds anything."""
    if content is not None:
        path.write_bytes(content)
    store = JsonlStore(path)
    assert (store.url, store.notes, store.torn(), store.length()) == (str(path), [], 0, 0)
    assert (store.runs(), list(store.entries()), store.counts("r"), store.open_items("r")) == ([], [], (0, 0), {})
    assert (list(store.keys("r", "done")), list(store.keys("r", "dead")), values_of(store, "r", ["a"])) == (
        [],
        [],
        [None],
    )
    assert (store.latest("r", "owner"), store.newest("r"), store.head("r"), store.holder("r")) == (None,) * 4
    assert list(store.verify()) == []
    store.close()
    assert path.exists() == (content is not None)


def test_a_file_that_got_shorter_is_read_anew(path: Path) -> None:
    """An older copy of the file that was put in its place answers for itself, and what was known is forgotten."""
    path.write_bytes(DATA)
    store = JsonlStore(path)
    check_answers(store)
    os.truncate(path, ENDS[2])
    assert list(store.keys("r", "done")) == ["a"]
    assert values_of(store, "r", ["a", "b"]) == [{"ü": "ä"}, None]
    assert store.length() == 5
    assert store.runs() == ["r"]
    path.unlink()
    assert (store.runs(), store.counts("r")) == ([], (0, 0))
    path.write_bytes(DATA)
    check_answers(store)
    store.close()


@pytest.mark.usefixtures("noon")
def test_the_holder_is_told_while_there_is_one(path: Path) -> None:
    """Whoever can write to the file now is named, whichever run is asked for, and nobody once it has closed."""
    store, reader = JsonlStore(path), JsonlStore(path)
    store.own("r")
    assert reader.holder("r") == reader.holder("any") == whoami()
    store.close()
    assert reader.holder("r") is None
    reader.close()


def test_a_closed_journal_says_so(path: Path) -> None:
    """Each way to look is refused, with the url; closing again does nothing."""
    path.write_bytes(DATA)
    store = JsonlStore(path)
    store.close()
    store.close()
    looks: list[Any] = [
        store.runs, store.torn, store.length, lambda: list(store.entries()), lambda: store.keys("r", "done"),
        lambda: values_of(store, "r", []), lambda: store.counts("r"), lambda: store.head("r"), lambda: store.own("r"),
    ]  # fmt: skip
    for look in looks:
        with pytest.raises(JournalClosed) as raised:
            look()
        assert str(raised.value) == f"{path} was closed; open it again"


def test_a_file_system_that_forgets_is_told_word_for_word(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header that does not read back is no journal to trust work to."""
    monkeypatch.setattr(jsonl, "write_all", lambda fd, data: None)
    store = JsonlStore(path)
    with pytest.raises(JournalReadOnly) as raised:
        store.own("r")
    assert str(raised.value) == f"{path} does not give back what was written to it; use another file system"
    store.close()


def test_a_header_whose_sync_failed_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next try must not believe a header that may never reach the disk; the lock is given back."""
    store = JsonlStore(path)

    def fail(fd: int) -> None:
        assert os.fstat(fd).st_size == HEADER_LENGTH
        raise OSError(5, "I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(jsonl, "sync_file", fail)
        with pytest.raises(JournalUnusable):
            store.own("r")
    assert path.read_bytes() == b""
    other = JsonlStore(path)
    other.own("r")
    other.close()
    store.close()


def test_what_hides_the_rest_is_told_as_damage_of_the_place(path: Path) -> None:
    """A check of a file that is no journal any more gives the error's words, with the url, and raises nothing."""
    path.write_bytes(DATA)
    store = JsonlStore(path)
    path.write_bytes(b"mine")
    said = f"{path} is not a leftoff journal; name another file, or move this one away"
    assert list(store.verify()) == [Damage(str(path), said)]
    path.unlink()
    assert list(store.verify()) == []
    store.close()


def test_a_run_that_is_taken_over_again_knows_its_last_mark(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many marks of two runs, each run's last one counts, wherever its words stand in a key or a value as well."""
    mark_every(monkeypatch, 3)
    store = JsonlStore(path)
    for run in ("r", "s"):
        owner = store.own(run)
        owner.commit([started('"open":"",'), started("lasting", '{"crashes":1}')])
        for number in range(4):
            owner.commit([started(f"{number}"), done(f"{number}", '"open":"",')])
        owner.commit([Draft("step", "t", '"\\"open\\":\\"\\","'), started("last")])
    store.close()
    for block in (200, 1000, 100_000):
        small_blocks(monkeypatch, block)
        again = JsonlStore(path)
        for run in ("r", "s"):
            begun = Tries(begun=True)
            assert again.open_items(run) == {'"open":"",': begun, "lasting": Tries(0, 1, begun=True), "last": begun}
            assert list(again.keys(run, "done")) == ["0", "1", "2", "3"]
        again.close()


def test_each_entry_of_a_fate_is_counted_by_what_was_there_before() -> None:
    """Done and dead are numbered on; a second conclusion replaces the first, and nothing is counted twice."""
    index = Index("r")
    for kind, key, mark, dead in [
        ("dead", "a", -1, 1),
        ("dead", "b", -2, 2),
        ("dead", "c", -3, 3),
        ("dead", "a", -4, 3),  # again
        ("done", "a", 5, 2),
        ("done", "d", 6, 2),
        ("done", "d", 7, 2),
        ("dead", "d", -8, 3),
        ("forgotten", "nowhere", 0, 3),
        ("retried", "b", 0, 2),
        ("forgotten", "a", 0, 2),  # was done
        ("retried", "b", 0, 2),  # is none any more
    ]:
        assert (index.conclude(kind, key), index.dead) == (mark, dead)
    assert index.fates == {"c": -3, "d": -8}
    assert index.concluded == 8


@pytest.mark.parametrize("block", [150, 400, 100_000])
def test_open_items_are_read_from_the_runs_last_mark_on(
    path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """What stands before it is not read for them, whichever other marks there are, and what a value looks like."""
    small_blocks(monkeypatch, block)
    starts: list[int] = []
    blocks = jsonl_index.blocks

    def recorded(fd: int, start: int, end: int) -> Any:
        starts.append(start)
        return blocks(fd, start, end)

    monkeypatch.setattr(jsonl_index, "blocks", recorded)
    table = '"value":{"ü":{"errors":1,"crashes":0,"begun":0}}'
    commits = [
        [CREATED, OWNER], ['"step":"ü","value":"x"'], [f'{OTHER}"open":"",{table}'], ['"started":"a"'],
        [f'"open":"",{table}'], ['"step":"t","value":{"open":"","b":1}'], ['"started":"\\"open\\":\\"\\","'],
        ['"done":"a"', f'"open":"",{table}'], [f'{OTHER}"open":"",{table}'], ['"step":"","value":{"open":"",":":1}'],
    ]  # fmt: skip
    for count in range(1, len(commits) + 1):
        data = built(*commits[:count])
        path.write_bytes(data)
        marks = [at for at in range(len(data)) if data.startswith(b'"run":"r","epoch":1,"open":"",', at)]
        expected = data.rindex(b"\n", 0, marks[-1]) + 1 if marks else HEADER_LENGTH
        store = JsonlStore(path)
        starts.clear()
        store.open_items("r")
        assert starts == [HEADER_LENGTH, expected]
        store.open_items("r")
        assert len(starts) == 2, "nothing is read twice"
        store.close()


def test_owners_that_do_nothing_else_make_a_mark_due_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry that is read counts once towards the next mark."""
    mark_every(monkeypatch, 5)
    for _ in range(12):
        store = JsonlStore(path)
        store.own("r")
        assert store.notes == []
        store.close()
    store = JsonlStore(path)
    assert [entry.seq for entry in store.entries() if entry.kind == "open"] == [7, 14]
    store.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["run.jsonl", "run.jsonl.lock"]
