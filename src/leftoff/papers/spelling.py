"""Compare names as people type them: without case and marks, and with initials for given names."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Letters that Unicode does not take apart, as they are written where a keyboard lacks them.
PLAIN = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "\u0131": "i", "þ": "th"}
)
SPECIAL = re.compile("[ßẞæÆœŒøØđĐðÐłŁ\u0131þÞ]")  # not IGNORECASE, which takes a dotless i for an i
WORD = re.compile(r"[^\W_]+")


def folded(text: str) -> str:
    """Return the text in lower case without marks: ``Łukasz Müller-Sørensen`` is ``lukasz muller-sorensen``."""
    apart = unicodedata.normalize("NFKD", text).casefold().translate(PLAIN)
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def contains(name: str | None, wanted: str) -> bool:
    """Say whether the words of ``wanted`` stand in the name side by side."""
    return f" {_words(wanted)} " in f" {_words(name or '')} "


def cited(last: str | None, fore: str | None, initials: str | None) -> str | None:
    """Return a person's name as PubMed cites it, ``Lovelace AB``; None for what has no last name and initials."""
    short = initials or _initials(fore)
    return f"{last} {short}" if last and short else None


def is_called(name: str, fore: str | None, initials: str | None, wanted: str) -> bool:
    """Say whether an author may be called so: ``Lovelace``, ``Ada Lovelace``, ``Lovelace, A.``, ``Lovelace AB``.

    Each word that is wanted is a word of the name, a single letter the first of one, the initials, or two or three
    capitals that these begin with.
    """
    left = WORD.findall(folded(name))
    short = WORD.findall(folded(initials or _initials(fore)))  # "Mde L" has two words
    words = sorted(WORD.findall(wanted), key=len, reverse=True)  # whole words choose first
    for word in words:
        plain = folded(word)
        if plain in left:
            left.remove(plain)
        elif plain in short or (1 < len(word) <= 3 and word.isupper() and short and short[0].startswith(plain)):
            continue  # whole initials may be long or have small letters: "BJLN", "IuI"
        elif len(plain) == 1 and (match := next((each for each in left if each.startswith(plain)), None)):
            left.remove(match)
        else:
            return False
    return bool(words)


def _initials(fore: str | None) -> str:
    return "".join(part[0] for part in WORD.findall(fore or "")).upper()


@lru_cache(maxsize=10_000)  # journals come again and again
def _words(text: str) -> str:
    return " ".join(WORD.findall(folded(text)))
