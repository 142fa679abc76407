"""Keys and names of folders for texts that may be anything."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest

from leftoff.shell.names import bytes_of, folder_name, key_of, text_of
from leftoff.work.keys import check_key

WORDS = st.one_of(
    st.binary(min_size=1, max_size=12).filter(lambda data: b"\0" not in data),
    st.sampled_from([b"bytes:a", b"bytes:%FF", b"bytes:\xff", b"a%FF", b"a\xff", b"a%25\xff", b"long:x", b"x" * 5000]),
).map(lambda data: data.decode("utf-8", "surrogateescape"))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("paper 1.pdf", "paper 1.pdf"),
        ("é/ü", "é/ü"),
        ("100%", "100%"),
        ("caf\udce9", "bytes:caf%E9"),
        ("50%\udcff", "bytes:50%25%FF"),
        ("bytes:a", "bytes:bytes:a"),
        ("long:a", "bytes:long:a"),
    ],
)
def test_an_item_is_its_own_key_where_it_can_be(text: str, key: str) -> None:
    """A text that a journal can hold is its own key; bytes that are no UTF-8 are escaped in it."""
    assert key_of(text) == key
    assert check_key(key) == key


def test_a_long_item_has_a_short_key() -> None:
    """An item longer than a key may be is named by its digest, and its beginning can be read."""
    first, second = key_of("x" * 5000), key_of("x" * 5001)
    assert first != second
    assert first.startswith("long:")
    assert first.endswith("x" * 200)
    assert check_key(first) == first


@hypothesis.given(st.lists(WORDS, min_size=2, max_size=8, unique=True))
def test_two_items_have_two_keys(texts: list[str]) -> None:
    """No two different items share a key, and a journal takes each."""
    assert len({check_key(key_of(text)) for text in texts}) == len(texts)


@hypothesis.given(st.binary(max_size=20).filter(lambda data: b"\0" not in data))
def test_bytes_come_back(data: bytes) -> None:
    """Whatever the bytes of an argument, they are the same again."""
    import os

    assert bytes_of(text_of(os.fsdecode(data))) == data


@pytest.mark.parametrize("key", ["paper-1.pdf", "a", "x_y.tar.gz", "2024"])
def test_a_plain_key_is_its_own_name(key: str) -> None:
    """What every file system takes is left as it is."""
    assert folder_name(key) == key


KEYS = st.one_of(
    st.text(min_size=1, max_size=300),
    st.sampled_from(
        [".", "..", "../x", "/etc/passwd", "a/b", "A", "a", "é", "e\u0301", "con", "nul.txt", "a.", "~", "x" * 300]
    ),
)


@hypothesis.given(st.lists(KEYS, min_size=2, max_size=8, unique=True))
def test_names_stay_inside_and_apart(keys: list[str]) -> None:
    """A name is one short part of a path, and two keys differ in it even where case and accents do not count."""
    names = [folder_name(key) for key in keys]
    for name in names:
        assert Path("folder", name).parent == Path("folder")
        assert not name.startswith(".")
        assert len(name.encode()) <= 200
    assert len({unicodedata.normalize("NFC", name.casefold()) for name in names}) == len(keys)


def test_names_of_many_keys_differ() -> None:
    """A hundred thousand keys that look alike have as many names."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    keys = {"".join(chance.choice("aAbB/._ é") for _ in range(chance.randrange(1, 12))) for _ in range(100_000)}
    assert len({folder_name(key).casefold() for key in keys}) == len(keys)
