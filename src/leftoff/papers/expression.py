"""Read what a person types into a search as an expression of FTS5, which it then always is.

    words            each of them
    "two words"      side by side
    word*            what begins so
    a OR b           one of both; it binds closer than standing side by side: ``x a OR b`` is ``x (a OR b)``
    -word, NOT word  without it
    field:word       only in the title, the abstract, an author's name (author) or a MeSH heading (mesh)
    ( )              around any of this

OR, AND and NOT are of the language in capitals only. PubMed's tags for these fields, such as [ti], are read behind a
word or a phrase. Everything else is text, and quoted: of ``IL-6`` and ``10.1000/abc`` the parts stand side by side.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from leftoff.errors import UsageError
from leftoff.papers.spelling import SPECIAL, folded

FIELDS = {
    "title": "title", "ti": "title", "abstract": "abstract", "ab": "abstract", "author": "author", "au": "author",
    "mesh": "mesh", "mh": "mesh", "mesh terms": "mesh", "tiab": "{title abstract}",
    "title/abstract": "{title abstract}",
}  # fmt: skip
OPTIONS = {"dp": "year", "pdat": "year", "ta": "journal", "journal": "journal", "pt": "type"}  # tags that are no field
DEEPEST = 20  # groups within groups; SQLite's own stack holds some 100
QUOTES = str.maketrans({**dict.fromkeys("\u201c\u201d\u201e\u201f\uff02", '"'), "\0": " "})
TAG = re.compile(rf"\[({'|'.join(sorted(FIELDS | OPTIONS, key=len, reverse=True))})\]", re.IGNORECASE)
HEAD = re.compile(
    rf"\s*(?P<sign>-(?=[^\s)]))?(?:(?P<field>{'|'.join(filter(str.isalpha, FIELDS))}):\s*(?P<inner>-)?(?=[^\s)]))?",
    re.IGNORECASE,
)
PHRASE = re.compile(r'"([^"]*)"?(\*)?')
WORD = re.compile(rf'(?:(?!{TAG.pattern})[^\s"])+', re.IGNORECASE)


@dataclass(frozen=True)
class Expression:
    """Be what is to be found (empty: anything), and what is not (empty: nothing is left out), in FTS5's words."""

    found: str
    without: str

    def __str__(self) -> str:
        return f"(({self.found}) NOT ({self.without}))" if self.without else self.found


@dataclass(frozen=True)
class _Token:
    """Be a bracket, an operator, or text that is looked for."""

    kind: str  # ( ) OR AND NOT text
    negated: bool = False
    field: str | None = None
    text: str = ""


def expression(query: str) -> Expression:
    """Return what a query says; it says nothing where it has no word.

    Raises UsageError for what cannot be searched: alternatives of which one is left out, too many groups within each
    other, PubMed's tags for what is an option here.
    """
    plain = query.encode("utf-8", "replace").decode().translate(QUOTES)
    return _read(_tokens(plain), None, 0)


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while (head := HEAD.match(text, place)) and (place := head.end()) < len(text):
        token = _Token(
            "text", bool(head["sign"]) != bool(head["inner"]), FIELDS[head["field"].lower()] if head["field"] else None
        )
        if text[place] in "()":
            yield replace(token, kind=text[place])
            place += 1
        elif phrase := PHRASE.match(text, place):
            place = phrase.end()
            tag, place = _tag(text, place)
            yield replace(token, text=phrase[1] + (phrase[2] or ""), field=tag or token.field)
        elif word := WORD.match(text, place):
            said = _without_closing(word[0])
            tag, place = _tag(text, place + len(said))
            plain = not (token.negated or token.field or tag) and said in ("OR", "AND", "NOT")
            yield _Token(said) if plain else replace(token, text=said, field=tag or token.field)
        else:
            _, place = _tag(text, place)  # of nothing


def _tag(text: str, place: int) -> tuple[str | None, int]:
    """Return the field of the tag that stands here, and where it ends."""
    found = TAG.match(text, place)
    if found is None:
        return None, place
    name = found[1].lower()
    if name in OPTIONS:
        raise UsageError(f"[{name}] is PubMed's tag: name it with --{OPTIONS[name]} ({OPTIONS[name]}=) in its place")
    return FIELDS[name], found.end()


def _without_closing(word: str) -> str:
    """Leave the brackets that close a group outside: those that the word did not open."""
    while len(word) > 1 and word.endswith(")") and word.count(")") > word.count("("):
        word = word[:-1]
    return word


@dataclass
class _Sequence:
    """Be what stands side by side: terms, each of alternatives, and what is left out."""

    terms: list[list[str]] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    joining: bool = False
    negated: bool = False
    last: str = ""

    def add(self, said: str, *, negated: bool) -> None:
        """Take in what is said next."""
        negated = negated != self.negated
        if self.joining and (negated or self.last == "without"):
            raise UsageError("OR stands between words that are to be found, and one beside it is to be left out")
        if negated:
            self.without.append(said)
        elif self.joining and self.last:
            self.terms[-1].append(said)
        else:
            self.terms.append([said])
        self.last = "without" if negated else "term"
        self.joining = self.negated = False

    def expression(self) -> Expression:
        """Return all of it."""
        found = [each[0] if len(each) == 1 else f"({' OR '.join(each)})" for each in self.terms]
        return Expression(" AND ".join(found), " OR ".join(self.without))


def _read(tokens: Iterator[_Token], within: str | None, depth: int) -> Expression:
    """Read up to the bracket that closes this group, or to the end."""
    if depth > DEEPEST:
        raise UsageError(f"the query has more than {DEEPEST} groups within each other")
    found = _Sequence()
    for token in tokens:
        if token.kind == ")":
            if depth:
                break
        elif token.kind == "(":
            group = _read(tokens, token.field or within, depth + 1)
            if group.without and not group.found:
                raise UsageError("a group in brackets names only what is to be left out: put - before the brackets")
            if group.found:
                found.add(f"({group})", negated=token.negated)
        elif token.kind == "text":
            if said := _quoted(token.text, token.field or within):
                found.add(said, negated=token.negated)
        else:
            found.joining = token.kind == "OR"
            found.negated = token.kind == "NOT"
    return found.expression()


def _quoted(text: str, within: str | None) -> str:
    """Return a word or phrase as FTS5 has it; empty for what has neither letter nor digit."""
    if not any(unicodedata.category(letter)[0] in "LN" for letter in text):
        return ""
    forms = [text, folded(text)] if SPECIAL.search(text) else [text]
    star = "*" if text.endswith("*") else ""
    said = " OR ".join('"{}"{}'.format(form.replace('"', " "), star) for form in forms)
    if within is not None:
        return f"{within} : ({said})"
    return f"({said})" if len(forms) > 1 else said
