"""What is no journal, or a sound one (P8). Each file format has its damage tests beside it.

One of the files of the contract suite: every test runs on every store that gives its promise (docs/promises.md).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from leftoff.errors import JournalError, LeftoffError
from tests.contract.drafts import STRANGE_KEYS, done, started
from tests.contract.stores import Kind, which


@which("P8")
def test_p8_a_sound_journal_verifies(kind: Kind, tmp_path: Path) -> None:
    """`verify` finds nothing wrong with what was written, open or closed, and writes nothing."""
    store = kind.open(tmp_path)
    owner = store.own("r")
    for key in STRANGE_KEYS:
        owner.commit([started(key)])
        owner.commit([done(key, {"v": key})])
    assert list(store.verify()) == []
    store = kind.reopen(store, tmp_path)
    before = (tmp_path / kind.file).read_bytes() if kind.embedded else list(store.entries())
    assert list(store.verify()) == []
    assert before == ((tmp_path / kind.file).read_bytes() if kind.embedded else list(store.entries()))
    store.close()


@which("P8", embedded=True)
@pytest.mark.parametrize(
    "content", [b"hello\n", b"SQLite format 3\0" + bytes(84), b"{}\n", b"\x89PNG\r\n", b"x" * 5000, b"\xff\xfe{"]
)
def test_p8_what_is_no_journal_is_refused_untouched(kind: Kind, tmp_path: Path, content: bytes) -> None:
    """A file of somebody else's is never written to."""
    path = tmp_path / kind.file
    path.write_bytes(content)
    with pytest.raises(LeftoffError, match=kind.file):
        kind.open(tmp_path).own("r")
    assert path.read_bytes() == content


@which("P8", embedded=True)
def test_p8_a_directory_in_its_place_is_refused(kind: Kind, tmp_path: Path) -> None:
    """A directory is named as such."""
    (tmp_path / kind.file).mkdir()
    with pytest.raises(JournalError, match="is a directory"):
        kind.open(tmp_path)
