"""The replica reads PubMed's search language as far as clients use it."""

from __future__ import annotations

import datetime
import random

import pytest

from leftoff.testing import ncbi_query as query

FACTS = query.Facts(
    {
        "title": query.normal("Breast cancer: a review"),
        "tiab": query.normal("Breast cancer: a review") + query.normal("Of the p53 gene."),
        "journal": query.normal("Nature medicine"),
        "all": query.normal("Breast cancer: a review Of the p53 gene. Nature medicine"),
    },
    dict.fromkeys(("edat", "crdt", "mdat", "pdat"), datetime.date(2020, 6, 15).toordinal()),
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("all[sb]", True),
        ("CANCER breast", True),
        ("cancer lung", False),
        ("cancer OR lung", True),
        ("lung OR cancer NOT review", False),
        ("NOT lung", True),
        ("(lung OR breast) AND (p53)", True),
        ('"breast cancer"', True),
        ('"cancer breast"', False),
        ("canc*", True),
        ("canc", False),
        ("nature medicine[journal]", True),
        ("cancer[Journal]", False),
        ("p53[tiab] AND review[ti]", True),
        ("p53[ti]", False),
        ("cancer[no such field]", True),
        ("(cancer", True),
        ("cancer) AND p53", True),
        ('("2020/01/01"[EDAT] : "2020/12/31"[EDAT])', True),
        ("2020/06/15:2020/06/15[edat]", True),
        ("2020/06/16:3000[edat]", False),
        ("cancer 2019:2020[dp]", True),
        ("2020/06[mdat]", True),
        ("2019[dp]", False),
    ],
)
def test_a_term_finds_what_it_means(text: str, found: bool) -> None:
    """Words, phrases, truncation, fields, operators, brackets and dates are read as PubMed reads them."""
    assert query.read(text)(FACTS) == (query.ALL if found else query.NONE)


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("4:10[UID]", ((4, 10),)),
        ("7[UID]", ((7, 7),)),
        ("cancer AND 4:10[uid]", ((4, 10),)),
        ("lung AND 4:10[uid]", ()),
        ("4:10[UID] OR 8:20[UID]", ((4, 20),)),
        ("4:10[UID] NOT 6:7[UID]", ((4, 5), (8, 10))),
        ("10:4[UID]", ()),
        ("4 9 7[pmid]", ((4, 4), (7, 7), (9, 9))),
    ],
)
def test_uid_ranges_cut_what_is_found(text: str, spans: query.Spans) -> None:
    """A UID range admits its PMIDs only, alone and combined."""
    assert query.read(text)(FACTS) == spans


@pytest.mark.parametrize("text", ["", "  ", "2020/13/01:2020/12/31[edat]", "a:b[edat]", "1:2[journal]"])
def test_what_means_nothing_is_refused(text: str) -> None:
    """An empty term, a date that is none and a range of words are errors."""
    with pytest.raises(ValueError, match=r"nothing todo|date|month|range"):
        query.read(text)


def test_spans_and_ranges_agree_with_sets() -> None:
    """Interval arithmetic and the cutting of ranges give what sets of numbers give."""
    seed = 20260105
    print("seed", seed)
    dice = random.Random(seed)

    def spans() -> query.Spans:
        made: query.Spans = ()
        for _ in range(dice.randrange(4)):
            low = dice.randrange(60)
            made = query.either(made, ((low, low + dice.randrange(20)),))
        return made

    def numbers(made: query.Spans) -> set[int]:
        return {number for low, high in made for number in range(low, min(high, 200) + 1)}

    for _ in range(500):
        one, other = spans(), spans()
        assert numbers(query.both(one, other)) == numbers(one) & numbers(other)
        assert numbers(query.either(one, other)) == numbers(one) | numbers(other)
        assert numbers(query.without(one, other)) == numbers(one) - numbers(other)
        ids = range(dice.randrange(30), dice.randrange(30, 90), dice.randrange(1, 9))
        cut = [number for part in query.clip(ids, one) for number in part]
        assert sorted(cut) == sorted(set(ids) & numbers(one))
