"""Take the names of authors apart as citation managers want them."""

from __future__ import annotations

import re
from typing import NamedTuple

from leftoff.papers.citing import one_line
from leftoff.papers.record import Author

SUFFIX = re.compile(r"(?P<rest>.+?),\s*(?P<suffix>(?:Jr|Sr|I{2,3}|IV|2nd|3rd|4th)\.?)", re.IGNORECASE)
SEPARATORS = re.compile(r"[\s~-]+")  # what BibTeX takes for the end of a word of a name


class Name(NamedTuple):
    """Be a name in its parts; ``literal`` is that of a body, or of somebody with one name of several words.

    particle: the words in lower case that a last name begins with, such as "van der".
    """

    family: str = ""
    given: str = ""
    particle: str = ""
    suffix: str = ""
    literal: str = ""

    @property
    def last(self) -> str:
        """The last name with its particle."""
        return f"{self.particle} {self.family}" if self.particle else self.family


def name_of(author: Author) -> Name:
    """Return an author's name in its parts."""
    if author.collective:
        return Name(literal=one_line(author.collective))
    last, given = one_line(author.last or ""), one_line(author.fore or "") or _spelled(one_line(author.initials or ""))
    suffix = one_line(author.suffix or "")
    if not suffix and (match := SUFFIX.fullmatch(last)):
        last, suffix = match["rest"], match["suffix"]
    if not last or not given:
        whole = " ".join(part for part in (given, last, suffix) if part)
        return Name(literal=whole) if " " in whole else Name(family=whole)
    particle, family = _without_particle(last)
    return Name(family=family, given=given, particle=particle, suffix=suffix)


def is_small(word: str) -> bool:
    """Say whether the first letter of a word is in lower case."""
    first = next((character for character in word if character.isalpha()), "")
    return first.islower()


def is_taken_apart(family: str) -> bool:
    """Say whether BibTeX would find a particle inside of this family name."""
    words = [word for word in SEPARATORS.split(family) if word]
    return any(map(is_small, words[:-1]))


def _without_particle(last: str) -> tuple[str, str]:
    """Return the particle of a last name, and the rest: at least its last word."""
    words = last.split()
    place = 0
    while place < len(words) - 1 and is_small(words[place]) and words[place] == words[place].lower():
        place += 1
    return " ".join(words[:place]), " ".join(words[place:])


def _spelled(initials: str) -> str:
    """Return initials as words: ``JP`` is two names, and a program that shortens them must see that."""
    return " ".join(initials) if initials.isalpha() and initials.isupper() and len(initials) <= 4 else initials
