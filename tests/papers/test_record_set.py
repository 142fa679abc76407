"""Sets of records cut into records, whatever surrounds them; what no real set shows is made here."""

from __future__ import annotations

import gzip
import io
import random
import re
import zlib

import pytest

from leftoff.papers import pubmed, record_set
from leftoff.papers.record_set import cut, parse
from leftoff.papers.reply import Inconsistent, NotXML, Truncated
from leftoff.papers.store import reread
from tests.papers.conftest import RealRecords

ONE = b"<PubmedArticle><MedlineCitation><PMID>1</PMID></MedlineCitation></PubmedArticle>"
BOOK = b"<PubmedBookArticle ><BookDocument/></PubmedBookArticle\n>"
SET = b"<PubmedArticleSet>%s</PubmedArticleSet>"


def test_records_are_the_bytes_that_were_sent(real: RealRecords) -> None:
    """Nothing of a real set is changed, left out or taken twice, and what is left is the set without its records."""
    for data in real.files():
        rest = data
        for raw in cut(data):
            before, found, rest = rest.partition(raw)
            assert found
            assert not re.search(rb"<Pubmed(?:Book)?Article[ >]", before)
        assert not re.search(rb"<Pubmed(?:Book)?Article[ >]", rest)


def test_a_cut_is_the_same_wherever_a_read_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read may end inside of a tag, a record, or what stands between."""
    body = b'<?xml version="1.0"?>\n' + SET % (
        ONE + b"\n" + BOOK + ONE + b"<DeleteCitation><PMID>5</PMID></DeleteCitation>"
    )
    for size in range(1, len(body) + 1):
        monkeypatch.setattr(record_set, "CHUNK", size)
        assert list(cut(body)) == [ONE, BOOK, ONE]
        assert list(cut(io.BytesIO(body))) == [ONE, BOOK, ONE]


def test_a_file_is_read_as_it_goes() -> None:
    """A compressed file needs no seeking, and is read no further than the next record needs."""
    with gzip.open(io.BytesIO(gzip.compress(SET % (ONE * 5000)))) as file:
        found = cut(file)
        assert next(found) == ONE
        assert file.tell() == record_set.CHUNK
        assert sum(1 for _ in found) == 4999


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(SET % (ONE + b"<!-- " + ONE + b" -->"), Inconsistent, id="in a comment"),
        pytest.param(SET % (b"<![CDATA[" + ONE + b"]]>"), Inconsistent, id="in text"),
        pytest.param(SET % (b"<?say " + ONE + b"?>"), Inconsistent, id="in an instruction"),
        pytest.param(SET % (b"<Other>" + ONE + b"</Other>" + ONE), Inconsistent, id="in something else"),
        pytest.param(SET % (ONE + b"<PubmedArticle/>"), Inconsistent, id="empty"),
        pytest.param(SET % (b"</PubmedArticle>" + ONE), Truncated, id="an end without a begin"),
        pytest.param(SET % (ONE + b"<PubmedArticle>"), Truncated, id="a begin without an end"),
        pytest.param(SET % ONE + ONE, Truncated, id="behind the set"),
        pytest.param(ONE + SET % ONE, Truncated, id="before the set"),
        pytest.param(ONE, NotXML, id="without a set"),
        pytest.param(b"<html>" + ONE + b"</html>", NotXML, id="in a page"),
        pytest.param(SET % ONE + b"\0", Truncated, id="a zero behind it"),
        pytest.param(b'<?xml version="1.0" encoding="ISO-8859-1"?>' + SET % ONE, Inconsistent, id="in Latin-1"),
        pytest.param((b'<?xml version="1.0"?>' + SET % ONE).decode().encode("utf-16"), Inconsistent, id="in UTF-16"),
    ],
)
def test_what_is_no_set_of_records_raises(body: bytes, error: type[Exception]) -> None:
    """A record counts only where one belongs; nothing that looks like one passes, and none is dropped in silence."""
    with pytest.raises(error):
        list(cut(body))


@pytest.mark.parametrize("encoding", ["UTF-8", "utf-8", "utf8", "US-ASCII", "ascii"])
def test_an_encoding_may_be_named_in_any_case(encoding: str) -> None:
    """All of these are read as UTF-8."""
    assert list(cut(f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + SET % ONE)) == [ONE]


@pytest.mark.parametrize(
    "raw",
    [
        b"<PubmedArticle><A></PubmedArticle>",
        b"<PubmedArticle>\xff</PubmedArticle>",
        b"<PubmedArticle><PubmedArticle></PubmedArticle>",
        b"<PubmedArticle><![CDATA[</PubmedArticle>",
    ],
)
def test_a_damaged_record_raises(raw: bytes) -> None:
    """A set around it may be whole: the record is not."""
    assert list(cut(SET % raw)) == [raw]
    with pytest.raises(Truncated, match=r"^a record is damaged: "):
        parse(raw)
    with pytest.raises(Truncated):
        list(pubmed.records(SET % raw))


def test_memory_is_bounded_where_no_record_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes on and on without the end of a record is given up."""
    monkeypatch.setattr(record_set, "LONGEST", 1 << 20)
    endless = io.BytesIO(b"<PubmedArticleSet><PubmedArticle>" + b" " * (3 << 20))
    with pytest.raises(Truncated, match="no record ends within 1 MB"):
        list(cut(endless))
    assert endless.tell() < 2 << 20


def test_a_name_of_the_set_s_own_is_read_again_without_the_set() -> None:
    """A record that uses an entity is kept, and what is kept reads as the same record."""
    text = ONE.replace(b"</PMID>", b"</PMID><Article><ArticleTitle>a&own;b &Auml;</ArticleTitle></Article>")
    (record,) = pubmed.records(b'<!DOCTYPE PubmedArticleSet [<!ENTITY own "ha">]>' + SET % text)
    assert record.title == "a&own;b Ä"
    assert reread("pubmed", zlib.compress(record.raw)) == record


def test_a_set_that_was_changed_anywhere_never_gives_fewer_records(real: RealRecords) -> None:
    """With a byte changed, taken out or put in, a set raises or has as many records as before."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    data = min(real.files(), key=len)
    whole = sum(1 for _ in cut(data))
    for _ in range(300):
        place, byte = rng.randrange(len(data)), bytes([rng.choice(b"<>/&-![]?aP \0\xff")])
        taken = rng.choice([0, 1])
        changed = data[:place] + byte * rng.choice([0, 1]) + data[place + taken :]
        try:
            found = sum(1 for _ in pubmed.records(changed))
        except (Truncated, NotXML, Inconsistent):
            continue
        assert found == whole
