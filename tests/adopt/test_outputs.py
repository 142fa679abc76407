from __future__ import annotations

import gzip
import os
import re
from pathlib import Path

import pytest

from leftoff.adopt import Done, Note, outputs
from leftoff.errors import UsageError
from tests.adopt.conftest import NASTY, sorted_out


def write(name: str, data: bytes = b"{}", age: float = 100.0) -> None:
    """Write a file that is so many seconds old."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (1e9 - age, 1e9 - age))


def test_a_file_that_is_there_is_an_item_that_is_done() -> None:
    """The key is what stands in the name where the pattern has {key}, whatever characters it holds."""
    keys = [key for key in NASTY if "/" not in key]
    for key in keys:
        write(f"out/{key}.json")
    write("out/other.txt")
    write("out/below/deep.json")
    write("out/.hidden.json")
    assert set(sorted_out(outputs("out/{key}.json", in_hand=0))[0]) == {key for key in keys if not key.startswith(".")}


def test_empty_files_are_a_crash_s_leftovers() -> None:
    """A file of no bytes is named as not done; a directory of such a name, or a link into nowhere, is not believed."""
    write("out/a.json")
    write("out/b.json", b"")
    Path("out/c.json").mkdir()
    Path("out/d.json").symlink_to("nowhere")
    Path("out/e.json").symlink_to("a.json")
    done, failed, doubts = sorted_out(outputs("out/{key}.json", in_hand=0))
    assert (set(done), failed, [doubt.where for doubt in doubts]) == ({"a", "e"}, ["b"], ["out/c.json"])


def test_the_newest_file_is_read_where_it_can_prove_that_it_is_whole() -> None:
    """A .json that others show to be JSON, and that is torn, is not done; a whole one is."""
    write("out/old.json")
    write("out/new.json", b'{"half":', age=1)
    assert sorted_out(outputs("out/{key}.json"))[:2] == (["old"], ["new"])
    write("out/new.json", b"{}", age=1)
    assert (set(sorted_out(found := outputs("out/{key}.json"))[0]), list(found)) == ({"old", "new"}, [])


@pytest.mark.parametrize("suffix", ["txt", "json"])
def test_where_nothing_can_be_proven_the_newest_is_named(suffix: str) -> None:
    """Files that are not empty are done; the one that may be half-written is named, with what leaves it out."""
    write(f"out/old.{suffix}", b"no JSON")
    write(f"out/new.{suffix}", b"no JS", age=1)
    found = list(outputs(f"out/{{key}}.{suffix}"))
    assert {each.key for each in found if isinstance(each, Done)} == {"old", "new"}
    (note,) = [each.text for each in found if isinstance(each, Note)]
    assert note.startswith(
        f"out/new.{suffix} is the newest; if the work was killed it may be half-written: --workers 1"
    )


def test_what_was_in_hand_is_doubted() -> None:
    """With in_hand so many of the newest are not believed: a kill leaves them half-written and not empty."""
    for number, key in enumerate("abcd"):
        write(f"out/{key}.json", b'{"half":', age=number)
    assert [doubt.where for doubt in sorted_out(outputs("out/{key}.json", in_hand=1))[2]] == ["out/a.json"]
    assert set(sorted_out(outputs("out/{key}.json", in_hand=3))[0]) == {"d"}
    assert set(sorted_out(outputs("out/{key}.json", in_hand=9))[0]) == set()


@pytest.mark.parametrize(
    ("suffix", "body"), [("json", b'{"a": [1, 2]}'), ("gz", gzip.compress(b"content" * 99, mtime=0))]
)
def test_a_file_that_proves_that_it_is_whole_is_believed(suffix: str, body: bytes) -> None:
    """With check each file is read: cut anywhere it is not done, and none is doubted for being new."""
    write(f"out/whole.{suffix}", body)
    for at in range(1, len(body)):
        write(f"out/cut{at}.{suffix}", body[:at])
    done, failed, doubts = sorted_out(outputs(f"out/{{key}}.{suffix}", check=True))
    assert (done, len(failed), doubts) == (["whole"], len(body) - 1, [])


def test_lines_cannot_prove_that_they_are_all() -> None:
    """A .jsonl that was cut between two lines looks whole: check sees a torn line, and the newest is doubted."""
    write("out/new.jsonl", b"1\n2\n", age=0)
    write("out/old.jsonl", b"1\n2\n")
    write("out/torn.jsonl", b"1\n2")
    write("out/bad.jsonl", b"1\n}\n")
    done, failed, doubts = sorted_out(outputs("out/{key}.jsonl", check=True, in_hand=1))
    assert (done, set(failed), [doubt.where for doubt in doubts]) == (["old"], {"torn", "bad"}, ["out/new.jsonl"])


def test_a_number_does_not_tell_where_it_ends() -> None:
    """A .json that holds no object or array may be cut and still be JSON: 12 of 123."""
    write("out/a.json", b"123")
    assert sorted_out(outputs("out/{key}.json", check=True))[1] == ["a"]


def test_the_key_may_be_a_directory() -> None:
    """A pattern may go on behind the key, and begin before it; where the file below is missing, nothing is done."""
    write("runs/a/result.json")
    write("runs/b/other.json")
    write("runs/x-c/result.json")
    assert set(sorted_out(outputs("runs/{key}/result.json", in_hand=0))[0]) == {"a", "x-c"}
    assert set(sorted_out(outputs("runs/x-{key}/result.json", in_hand=0))[0]) == {"c"}
    absolute = f"{Path('runs').resolve()}/{{key}}/result.json"
    assert set(sorted_out(outputs(absolute, in_hand=0))[0]) == {"a", "x-c"}
    write("top.json")
    assert sorted_out(outputs("{key}.json", in_hand=0))[0] == ["top"]


@pytest.mark.parametrize("pattern", ["out/*.json", "out/{key}/{key}.json", "out/{key}.xml", "none/{key}.json"])
def test_a_pattern_that_finds_nothing_is_refused(pattern: str) -> None:
    """No {key}, two of them, no file or no directory: an error, for an empty list is hardly what was meant."""
    write("out/a.json")
    with pytest.raises(UsageError):
        list(outputs(pattern))


def test_a_format_that_cannot_be_checked_is_refused() -> None:
    """To check a file whose end nothing tells would promise what it cannot."""
    with pytest.raises(UsageError, match=re.escape("leave --check out")):
        outputs("out/{key}.png", check=True)
