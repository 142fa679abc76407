"""Bring a DOI to one form, so that the same paper is found again whatever wrote it down.

The form is what identity rests on, so it has a version: a hash begins with `SCHEME`, and a change of any rule below is
a new scheme. Rules, in their order: entities are read, zero-width characters and outer white space go; a prefix
(``doi:``, a resolver's URL, ``info:doi/``) goes, and what came as a URL is percent-decoded; what is left must look like
a DOI; A-Z become a-z, and nothing else is folded, since DOI names compare by ASCII case only (DOI Handbook 2.4).
Everything else stays: ``<>;()#+[]`` and ``//`` occur in real DOIs, and so do DOIs that end in ``-`` or ``#``.
"""

from __future__ import annotations

import hashlib
import html
import re
from urllib.parse import unquote

SCHEME = "doi1"
SHAPE = re.compile(r"10\.[0-9]{4,9}(?:\.[0-9]+)*/.+")
USUAL = re.compile(r"10\.[0-9]{4,9}/[a-z0-9._()/-]+")  # no rule changes anything in it, as in nearly all
WITHIN = re.compile(r"10\.[0-9]{4,9}(?:\.[0-9]+)*/\S+")
LABEL = re.compile(r"(?:(?:urn|info):)?doi[:/]\s*", re.IGNORECASE)
RESOLVER = re.compile(r"(?:https?://)?(?:(?:dx|www)\.)?doi\.org/+", re.IGNORECASE)
# Only entities with their semicolon: html.unescape would also read the "&reg" of "10.1000/a&region".
ENTITY = re.compile(r"&(?:#[0-9]+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);")
INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))
FOLD = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
CLOSING = {")": "(", "]": "[", "}": "{", ">": "<"}


def normal(text: str | None) -> str | None:
    """Return the normal form of a field that holds one DOI, None if it holds none.

    Applying it again changes nothing. A full stop or bracket at the end belongs to the DOI: for prose use `find`.
    """
    if text is not None and USUAL.fullmatch(text):
        return text
    name = _bare(_plain(text or ""))
    return name.translate(FOLD) if SHAPE.fullmatch(name) else None


def find(text: str | None) -> str | None:
    """Return the normal form of the first DOI in free text, without the punctuation that follows it, None if none."""
    plain = _plain(text or "")
    match = WITHIN.search(plain)
    if match is None:
        return None
    name = match.group()
    if RESOLVER.search(plain[: match.start()][-20:]):
        name = _decoded(name)
    return normal(_without_punctuation(name))


def digest(normal_form: str) -> str:
    """Return the hash by which papers with this DOI are one: the scheme's name and the SHA-256 of the UTF-8 form.

    Raises ValueError for text that is not in normal form: an empty string must never become anybody's identity.
    """
    if normal(normal_form) != normal_form:
        raise ValueError(f"{normal_form!r} is no DOI in normal form: use normal() first")
    return f"{SCHEME}:{hashlib.sha256(normal_form.encode('utf-8')).hexdigest()}"


def _plain(text: str) -> str:
    while (read := ENTITY.sub(lambda match: html.unescape(match.group()), text)) != text:
        text = read  # "&amp;lt;" was escaped twice on its way
    return text.translate(INVISIBLE).strip()


def _bare(name: str) -> str:
    """Take the prefixes off, also stacked ones such as ``doi:https://doi.org/10.…``."""
    url = False
    while match := LABEL.match(name) or RESOLVER.match(name):
        url = url or match.re is RESOLVER
        name = name[match.end() :]
    return _decoded(name) if url else name


def _decoded(name: str) -> str:
    try:
        return _plain(unquote(name, errors="strict"))
    except UnicodeDecodeError:  # a per cent sign that never was an escape
        return name


def _without_punctuation(name: str) -> str:
    """Take off trailing ``.,;``, quotes, and brackets that nothing in the name opened."""
    while name:
        last = name[-1]
        unopened = last in CLOSING and name.count(last) > name.count(CLOSING[last])
        if not unopened and last not in ".,;:\"'":
            break
        name = name[:-1]
    return name
