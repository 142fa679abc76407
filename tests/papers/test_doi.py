"""The normal form of a DOI."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leftoff.papers import doi

SICI = "10.1002/(sici)1098-2361(2000)19:1<65::aid-zoo7>3.0.co;2-#"


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("10.1000/ABC", "10.1000/abc"),
        ("  10.1000/abc\n", "10.1000/abc"),
        ("\u200b10.1000/a\u200cbc\ufeff", "10.1000/abc"),
        ("doi:10.1000/abc", "10.1000/abc"),
        ("DOI: 10.1000/abc", "10.1000/abc"),
        ("https://doi.org/10.1000/abc", "10.1000/abc"),
        ("http://dx.doi.org/10.1000/abc", "10.1000/abc"),
        ("info:doi/10.1000/abc", "10.1000/abc"),
        ("doi:https://doi.org/10.1000/abc", "10.1000/abc"),
        ("https://doi.org/10.1000%2FABC%3C1%3E", "10.1000/abc<1>"),
        ("https://doi.org/10.1000/a%2B+b", "10.1000/a++b"),
        ("10.1000/a%2Fb", "10.1000/a%2fb"),
        ("https://doi.org/10.1000/100%", "10.1000/100%"),
        ("10.1002/(SICI)1098-2361(2000)19:1&lt;65::AID-ZOO7&gt;3.0.CO;2-#", SICI),
        ("10.1000/a&amp;lt;b", "10.1000/a<b"),
        ("10.1000/a&region=b", "10.1000/a&region=b"),
        ("10.53555//kuey.v29i4.7348", "10.53555//kuey.v29i4.7348"),
        ("10.1890/0012-9658(2006)87[163:PEAWSA]2.0.CO;2", "10.1890/0012-9658(2006)87[163:peawsa]2.0.co;2"),
        ("10.1002/1099-1166(200112)16:1+<::AID-GPS568>3.0", "10.1002/1099-1166(200112)16:1+<::aid-gps568>3.0"),
        ("10.1000.10/abc", "10.1000.10/abc"),
        ("10.1000/abc.", "10.1000/abc."),
        ("10.1000/abc-", "10.1000/abc-"),
        ("10.1000/\u0130ÉA", "10.1000/\u0130Éa"),
        ("", None),
        (None, None),
        ("10.1000/", None),
        ("10.100/abc", None),
        ("10.1234567890/abc", None),
        ("pii: S0140-6736(20)1", None),
        ("see 10.1000/abc", None),
    ],
)
def test_a_field_comes_to_its_normal_form(written: str | None, form: str | None) -> None:
    """Case, prefixes, escapes and invisible characters go; everything that belongs to the name stays."""
    assert doi.normal(written) == form


@given(st.text(alphabet="10.2/aBZé İ%2Fc&lt;amp#;\u200b?:doihtps", max_size=30).map("10.1000/".__add__))
def test_the_normal_form_is_its_own(text: str) -> None:
    """Bringing a normal form to normal form changes nothing, whatever it was made from."""
    once = doi.normal(text)
    assert once is None or doi.normal(once) == once


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("See https://doi.org/10.1000/ABC.", "10.1000/abc"),
        ("(doi:10.1000/abc), and", "10.1000/abc"),
        ("10.1000/abc;", "10.1000/abc"),
        ("[10.1000/a(1)]", "10.1000/a(1)"),
        ("https://doi.org/10.1000/a%3Cb%3E", "10.1000/a<b>"),
        ("no name here", None),
        ("10.1000/...", None),
    ],
)
def test_a_doi_is_found_in_prose(text: str, form: str | None) -> None:
    """In free text the punctuation behind a DOI is not part of it, while its own brackets are."""
    assert doi.find(text) == form


def test_the_hash_names_its_scheme() -> None:
    """The hash is the SHA-256 of the UTF-8 normal form, behind the name of the scheme."""
    assert doi.digest("10.1000/é") == "doi1:" + hashlib.sha256("10.1000/é".encode()).hexdigest()


@pytest.mark.parametrize("text", ["", "10.1000/ABC", "pmid:1"])
def test_nothing_but_a_normal_form_is_hashed(text: str) -> None:
    """An empty string or an unfolded DOI never becomes an identity."""
    with pytest.raises(ValueError, match="normal form"):
        doi.digest(text)
