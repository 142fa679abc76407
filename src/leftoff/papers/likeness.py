"""Say how sure it is that two papers are the same, and why.

1. Nothing that speaks against it is outweighed by what speaks for it: another first page, another part of a series,
   another kind of thing, a reply and what it answers are never suggested.
2. A title alone proves nothing. With the same volume and first page it may differ somewhat; without a place the titles
   must be all but equal, and first author and year agree.
3. Titles that many papers have (`Fingerprint.is_generic`), and notices, need all: place, journal, year and author.
4. Two DOIs, or two PMIDs, are two works to those who gave them: only all of it together suggests otherwise.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from rapidfuzz import fuzz
from rapidfuzz.distance import OSA

from leftoff.papers.fingerprint import Fingerprint

Kind = Literal["duplicate", "preprint"]


@dataclass(frozen=True)
class Likeness:
    """Be how alike two papers are: 0 to 100, which fields agree, and which say something else."""

    score: float
    kind: Kind
    agree: tuple[str, ...]
    differ: tuple[str, ...]


@dataclass(frozen=True)
class _Facts:
    """Be what the comparison of each field brought: True, False, or None where one of the papers does not say."""

    title: float
    year: bool | None
    author: bool | None
    journal: bool | None
    volume: bool | None
    pages: bool | None

    @property
    def place(self) -> bool | None:
        """Whether both stand at the same place: volume and first page, of a journal or an author that agrees."""
        if self.volume and self.pages:
            return True if self.journal or self.author else None
        return False if self.pages is False or self.volume is False else None

    def likeness(self, score: float, kind: Kind, *also: str) -> Likeness:
        """Return the likeness with what agrees and what does not."""
        fields = {
            "title": self.title >= 90, "first author": self.author, "year": self.year, "journal": self.journal,
            "volume": self.volume, "pages": self.pages,
        }  # fmt: skip
        agree = (*also, *(name for name, said in fields.items() if said))
        differ = tuple(name for name, said in fields.items() if said is False)
        return Likeness(round(max(0.0, min(score, 100.0)), 1), kind, agree, differ)


def likeness(one: Fingerprint, other: Fingerprint, *, common: bool = False) -> Likeness | None:
    """Return how alike two papers are, None where something says that they are two.

    common: whether more papers than these have their title.
    """
    if _are_two(one, other):
        return None
    facts = _facts(one, other)
    if one.pmcid is not None and one.pmcid == other.pmcid:
        return facts.likeness(95 + facts.title / 20, "duplicate", "pmcid")
    if "preprint" in (one.kind, other.kind):
        return _preprint(one, other, facts)
    if one.kind != other.kind or facts.place is False or _years(one, other) > 1:
        return None
    if common or _needs_all(one, other):
        return _all_of_it(one, other, facts)
    return _at_a_place(one, other, facts) if facts.place else _without_a_place(one, other, facts)


def _are_two(one: Fingerprint, other: Fingerprint) -> bool:
    """Say whether they cannot be the same, whatever else agrees. With one DOI they were set apart."""
    if one.kind is None or other.kind is None or one.notice != other.notice:
        return True
    return one.doi is not None and one.doi == other.doi


def _needs_all(one: Fingerprint, other: Fingerprint) -> bool:
    """Say whether a title says too little here, or two identifiers of one kind say something else."""
    if (one.doi and other.doi) or (one.pmid and other.pmid):
        return True
    return bool(one.notice) or one.is_marked != other.is_marked or one.is_generic or other.is_generic


def _facts(one: Fingerprint, other: Fingerprint) -> _Facts:
    return _Facts(
        title=_title(one, other),
        year=_both(one.year, other.year),
        author=_author(one, other),
        journal=_journal(one, other),
        volume=_both(one.volume_number, other.volume_number),
        pages=_pages(one, other),
    )


def _all_of_it(one: Fingerprint, other: Fingerprint, facts: _Facts) -> Likeness | None:
    """Judge what needs everything to agree; a notice with a title of its own may name no author."""
    nobody = not (one.is_generic or one.authored or other.authored)
    if not (facts.place and facts.journal and facts.year and facts.title >= 95 and (facts.author or nobody)):
        return None
    if one.numbers != other.numbers or _says_another_word(one, other):
        return None
    return facts.likeness(facts.title - 5, "duplicate")


def _at_a_place(one: Fingerprint, other: Fingerprint, facts: _Facts) -> Likeness | None:
    """Judge two papers with the same volume and first page: several short ones may begin on one page."""
    title = max(facts.title, 0.97 * _subset(one, other))
    translated = any((each.title or "").startswith("[") for each in (one, other))
    if translated and title < 70 and facts.author and facts.journal and facts.year:
        return facts.likeness(90, "duplicate")
    if title < 70 or (facts.author is False and title < 95) or _are_parts(one, other):
        return None
    lost = (100 - title) / 3 + 5 * (facts.author is not True) + 2 * (not facts.year) + 2 * (not facts.journal)
    if one.numbers != other.numbers or (facts.title > 85 and _says_another_word(one, other)):
        lost += 8
    return facts.likeness(100 - lost, "duplicate")


def _without_a_place(one: Fingerprint, other: Fingerprint, facts: _Facts) -> Likeness | None:
    """Judge two papers of which one does not say where it stands."""
    if facts.author is False or one.numbers != other.numbers or _says_another_word(one, other):
        return None
    title = (
        max(facts.title, 0.95 * _subset(one, other)) if facts.author and facts.year and facts.journal else facts.title
    )
    lost = 2 + 2 * (not facts.year) + (0 if facts.journal else 8 if facts.journal is False else 3)
    lost += 0 if facts.author else 12
    return facts.likeness(title - lost, "duplicate")


def _preprint(one: Fingerprint, other: Fingerprint, facts: _Facts) -> Likeness | None:
    """Judge a preprint and an article, which comes out with it or up to three years later."""
    first, then = (one, other) if one.kind == "preprint" else (other, one)
    if then.kind != "article" or first.year is None or then.year is None or not 0 <= then.year - first.year <= 3:
        return None
    if not facts.author or one.numbers != other.numbers or one.notice or one.is_generic or other.is_generic:
        return None
    return facts.likeness(facts.title - 2, "preprint")


def _both(one: object, other: object) -> bool | None:
    return None if one is None or other is None else one == other


def _years(one: Fingerprint, other: Fingerprint) -> int:
    """Return how many years lie between them; a paper appears online in one and in print in the next."""
    return 0 if one.year is None or other.year is None else abs(one.year - other.year)


def _title(one: Fingerprint, other: Fingerprint) -> float:
    if one.words.replace(" ", "") == other.words.replace(" ", ""):
        return 100.0 if one.words else 0.0
    return max(fuzz.ratio(one.words, other.words), fuzz.token_sort_ratio(one.words, other.words))


def _subset(one: Fingerprint, other: Fingerprint) -> float:
    """Return how much of the shorter title is in the longer one, as when a subtitle is lost; 0 for too few words."""
    return fuzz.token_set_ratio(one.words, other.words) if min(len(one.tokens), len(other.tokens)) >= 5 else 0.0


def _are_parts(one: Fingerprint, other: Fingerprint) -> bool:
    """Say whether both have numbers and one has others, rather than more: parts of a series begin on one page, too."""
    (digits, series), (other_digits, other_series) = one.numbers, other.numbers
    more = digits.startswith(other_digits) or other_digits.startswith(digits)
    return not more or bool(series and other_series and series != other_series)


def _says_another_word(one: Fingerprint, other: Fingerprint) -> bool:
    """Say whether each has a word where the other has another one: male and female, hyper- and hypotension.

    A letter more, less or other is a typing error, or British.
    """
    if one.words.replace(" ", "") == other.words.replace(" ", ""):
        return False
    mine, theirs = Counter(one.tokens), Counter(other.tokens)
    left, right = list((mine - theirs).elements()), list((theirs - mine).elements())
    for word in list(left):
        near = next((each for each in right if min(len(word), len(each)) > 3 and OSA.distance(word, each) <= 1), None)
        if near is not None:
            left.remove(word)
            right.remove(near)
    return bool(left and right and "".join(left) != "".join(right))


def _author(one: Fingerprint, other: Fingerprint) -> bool | None:
    """Compare the first authors: by last name, also a part of it or in the place of the first, and first initial."""
    if not one.last_name or not other.last_name:
        return None
    if {one.last_name, one.first_names} == {other.last_name, other.first_names}:
        return True
    names = one.last_name.split(), other.last_name.split()
    same = names[0][-1] == names[1][-1] or one.last_name.replace(" ", "") == other.last_name.replace(" ", "")
    if not same and min(len(one.last_name), len(other.last_name)) > 3:
        same = OSA.distance(one.last_name, other.last_name) <= 1
    initials = one.first_names[:1], other.first_names[:1]
    return same and (not all(initials) or initials[0] == initials[1])


def _journal(one: Fingerprint, other: Fingerprint) -> bool | None:
    """Compare the journals: by ISSN, else by name, of which one may be an abbreviation."""
    if one.issns & other.issns:
        return True
    if not one.journal_words or not other.journal_words:
        return None
    if fuzz.ratio(one.journal_words, other.journal_words) >= 90:
        return True
    short, long = sorted(
        (one.journal_words.split(), other.journal_words.split()), key=lambda words: sum(map(len, words))
    )
    rest = iter(long)
    return all(any(word.startswith(part) for word in rest) for part in short)


def _pages(one: Fingerprint, other: Fingerprint) -> bool | None:
    pages = one.first_page, other.first_page
    if None in pages:
        return None
    if pages[0] != pages[1] and "1" in pages:
        return None  # one counts the pages of the article, the other has its number
    return pages[0] == pages[1]
