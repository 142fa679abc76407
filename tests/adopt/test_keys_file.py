from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from leftoff.adopt import Done, NotDone, keys_of_csv, keys_of_jsonl, keys_of_lines
from leftoff.errors import UsageError
from tests.adopt.conftest import NASTY, sorted_out


def test_each_line_is_a_key() -> None:
    """Spaces count, empty lines do not; neither a byte order mark nor Windows' end of a line is part of a key."""
    Path("done.txt").write_bytes("\ufeffa\n b \n\nc\r\nü\n".encode())
    assert sorted_out(keys_of_lines("done.txt")) == (["a", " b ", "c", "ü"], [], [])


def test_json_lines_hold_keys_as_texts_integers_or_fields() -> None:
    """What is no object is its own key; of an object the named field is, and another may be the result."""
    Path("own.jsonl").write_text('"a"\n7\n\n"b c"\n')
    assert sorted_out(keys_of_jsonl("own.jsonl")) == (["a", "7", "b c"], [], [])
    rows = [{"doi": key, "n": {"size": number}} for number, key in enumerate(NASTY)]
    Path("log.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert list(keys_of_jsonl("log.jsonl", key="doi", value="n")) == [
        Done(key, {"size": number}) for number, key in enumerate(NASTY)
    ]


def test_csv_holds_keys_in_a_column() -> None:
    """Quotes, line breaks and commas of a cell are the cell's; a file of one column need not name it."""
    keys = [*NASTY, "two\nlines", "a,b", 'say ""']
    with Path("done.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["key", "size"], *([key, "1"] for key in keys)])
    assert list(keys_of_csv("done.csv", key="key", value="size")) == [Done(key, "1") for key in keys]
    Path("one.tsv").write_text("key\na,b\n'c\n")
    assert sorted_out(keys_of_csv("one.tsv")) == (["a,b", "'c"], [], [])


def test_only_what_says_so_is_done_and_the_last_word_counts() -> None:
    """A log that has good and bad lines is read with where: what failed later is not done, what was done later is."""
    words = [("a", "ok"), ("b", "ok"), ("c", "error"), ("b", "error"), ("c", "ok"), ("d", "error")]
    Path("log.jsonl").write_text("".join(f'{{"key":"{key}","status":"{word}"}}\n' for key, word in words))
    Path("log.csv").write_text("key,status\n" + "".join(f"{key},{word}\n" for key, word in words))
    for found in (keys_of_jsonl, keys_of_csv):
        path = f"log.{found.__name__.removeprefix('keys_of_')}"
        done, failed, doubts = sorted_out(found(path, key="key", where=("status", "ok")))
        assert (done, sorted(failed), doubts) == (["a", "c"], ["b", "d"], [])
    Path("flag.jsonl").write_text('{"key":"a","ok":true}\n{"key":"b","ok":false}\n{"key":"c"}\n')
    assert list(keys_of_jsonl("flag.jsonl", key="key", where=("ok", "true"))) == [
        NotDone("b", "ok is false"), NotDone("c", "ok is null"), Done("a"),
    ]  # fmt: skip


def test_what_may_have_been_in_hand_is_doubted() -> None:
    """With in_hand the keys that were named last, however often, are worked on again."""
    Path("feed.jsonl").write_text("".join(f'{{"url":"{url}","n":{n}}}\n' for n in range(3) for url in "ab"))
    with Path("feed.jsonl").open("a") as file:
        file.writelines(f'{{"url":"{url}"}}\n' for url in "cdc")
    done, _, doubts = sorted_out(keys_of_jsonl("feed.jsonl", key="url", in_hand=2))
    assert (set(done), {doubt.where for doubt in doubts}) == ({"a", "b"}, {"c", "d"})


@pytest.mark.parametrize(
    ("name", "read", "body"),
    [
        ("done.txt", keys_of_lines, "a\nb\nlonger key\n"),
        ("done.jsonl", keys_of_jsonl, '"a"\n"b"\n12345\n"longer key"\n'),
        ("done.csv", keys_of_csv, 'key\na\n"b, or not"\nlonger key\n"two\nlines"\nlast\n'),
    ],
)
def test_a_torn_end_is_no_key(name: str, read: Callable[..., Any], body: str) -> None:
    """Cut at each byte: what stands whole before the cut is done, and nothing else, least of all a shorter key."""
    Path(name).write_text(body)
    whole = sorted_out(read(name))[0]
    assert len(whole) > 2
    first = body.index("\n") + 1
    for at in range(first, len(body)):
        Path(name).write_text(body[:at])
        done, failed, _ = sorted_out(read(name))
        assert (done, failed) == (whole[: len(done)], []), at
        assert len(done) >= len(whole) - body[at:].count("\n") - 1, at


def test_a_line_that_is_no_key_is_named() -> None:
    """What is torn in the middle, has no such field, or a value that is no key is said with its line."""
    lines = [
        '{"k":"a"}',
        '{"k":"b',
        '{"other":1}',
        '{"k":1.5}',
        '{"k":true}',
        '{"k":null}',
        "7",
        '{"k":"c"}',
        "[" * 9999,
    ]
    Path("log.jsonl").write_text("".join(f"{line}\n" for line in lines))
    done, _, doubts = sorted_out(keys_of_jsonl("log.jsonl", key="k"))
    assert done == ["a", "c"]
    assert [doubt.where for doubt in doubts] == [f"log.jsonl, line {number}" for number in (2, 3, 4, 5, 6, 7, 9)]
    Path("log.csv").write_text('k,v\na,1\nb\nc,1,2\n\n"d" x,1\ne,1\n')
    done, _, doubts = sorted_out(keys_of_csv("log.csv", key="k"))
    assert (done, len(doubts)) == (["a", "e"], 3)
    Path("log.txt").write_bytes(b"a\n\0\0\0\nb\n")
    assert sorted_out(keys_of_lines("log.txt"))[0] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "body", "options", "what"),
    [
        ("a.jsonl", '{"doi":"a","n":1}\n', {}, "a.jsonl has the fields doi, n: say which holds the key with --key"),
        ("a.jsonl", '{"doi":"a"}\n', {"key": "dio"}, "a.jsonl has the fields doi"),
        ("a.jsonl", '{"doi":"a"}\n', {"key": "doi", "value": "n"}, "a.jsonl has the fields doi"),
        ("a.jsonl", '"a"\n', {"key": "doi"}, 'a.jsonl has no fields: its first line is "a"'),
        ("a.jsonl", '{"leftoff":"journal","format":1}\n', {}, "a.jsonl is a journal of leftoff itself"),
        ("a.csv", "doi,n\na,1\n", {}, "a.csv has the columns doi, n: say which holds the key with --key"),
        ("a.csv", "doi,n\na,1\n", {"key": "dio"}, "a.csv has the columns doi, n"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(name: str, body: str, options: dict[str, str], what: str) -> None:
    """A field that is not there, or was not named, is an error that names those there are, before anything is found."""
    Path(name).write_text(body)
    with pytest.raises(UsageError, match=re.escape(what)):
        next((keys_of_csv if name.endswith(".csv") else keys_of_jsonl)(name, **options))
    for missing in ("none.jsonl", "."):
        with pytest.raises(UsageError):
            next(keys_of_jsonl(missing))


def test_whatever_a_file_holds_it_is_read_to_its_end(rng: random.Random) -> None:
    """JSON Lines and CSV with bytes lost, doubled and flipped at random raise nothing but what a user can mend."""
    rows = [f'{{"key":"key-{number}","ok":true}}\n' for number in range(30)]
    for _ in range(300):
        data = bytearray("".join(rows), "utf-8")
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            match rng.randrange(3):
                case 0:
                    data[at] ^= 1 << rng.randrange(8)
                case 1:
                    del data[at : at + rng.randrange(60)]
                case _:
                    data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(60)))
        Path("log.jsonl").write_bytes(data)
        Path("log.csv").write_bytes(b"key\n" + data)
        with suppress(UsageError):  # its first line was hit
            assert len(sorted_out(keys_of_jsonl("log.jsonl", key="key"))[0]) < 40
        assert len(sorted_out(keys_of_csv("log.csv"))[0]) < 200
