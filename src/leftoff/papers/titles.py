"""Read what a title says besides its words: which part of a series it names, and whether it is about another paper.

1. Text is compared folded: no case, no accents, no marks, Greek letters by their names, ligatures spelled out.
2. A reply, a correction or a retraction is never the paper that it is about, though it has its title.
3. "Editorial" and what else is printed in every issue is the title of thousands of papers.
"""

from __future__ import annotations

import re
import unicodedata

GREEK = dict(
    zip(
        "αβγδεζηθικλμνξοπρστυφχψω",
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi"
        " chi psi omega".split(),
        strict=True,
    )
)
LETTERS = "ς:sigma ø:o ł:l đ:d ð:d þ:th æ:ae œ:oe \u0131:i"  # those that no decomposition of Unicode's reaches
SPELLED = str.maketrans({**GREEK, **dict(each.split(":") for each in LETTERS.split())})
QUOTES = re.compile(r"['\u2018\u2019\u02bc`\u00b4]")
WORD = re.compile(r"[^\W_]+")
ROMAN = frozenset("ii iii iv vi vii viii ix xi xii xiii xiv xv xvi xvii xviii xix xx".split())
COUNTED = frozenset(
    "one two three four five six seven eight nine ten"
    " first second third fourth fifth sixth seventh eighth ninth tenth".split()
)
MARK = re.compile(r"^(?:retracted|withdrawn|removed)(?: (?:article|paper|chapter))?\b\s*")
NOTICES = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("correction", r"^(?:(?:author|publisher|editorial) )?(?:corrections?|corrigend\w+|errat\w+|addend\w+)\b"),
        ("correction", r"\b(?:errat\w+|corrigend\w+)$"),
        ("retraction", r"^(?:notice of )?(?:partial )?(?:retraction|withdrawal notice)\b"),
        ("retraction", r"\bretraction(?: notice| note)?$"),
        ("concern", r"^(?:editorial )?expressions? of concern\b"),
        ("reply", r"^(?:in )?(?:the )?(?:authors? )?(?:repl(?:y|ies)|respon[sd]\w*)(?: (?:to|from|by)\b|$)"),
        ("reply", r"\b(?:authors? (?:repl(?:y|ies)|response)|reply|rebuttal)$"),
        ("comment", r"^(?:re|comments?|(?:invited |editorial )?commentary)\b(?= )"),
        ("comment", r"^(?:letter|discussion|editorial) (?:on|of|to|by|regarding)\b"),
        ("comment", r"\b(?:invited commentary|a commentary|comment|discussion)$"),
        ("review", r"^book reviews?\b"),
    )
)
SHORT = 16  # letters: what is shorter, or has less than three words, is no title of its own
GENERIC = frozenset(
    (
        "acknowledgement to reviewers|acknowledgment to reviewers|announcements and notices|calendar of events|"
        "from the editor|from the editors|guest editors introduction|image of the month|in this issue|"
        "information for authors|instructions for authors|instructions to authors|letter from the editor|"
        "letter to the editor|letters to the editor|list of contributors|list of reviewers|masthead and contents|"
        "message from the president|news and views|news in brief|note from the editor|notes and news|"
        "notes on contributors|outside front cover|table of contents|thank you to reviewers|the authors reply|"
        "the author replies|the authors respond|this month in the journal|conflict of interest|editorial board page|"
        "from the editors desk|letters to editor|papers to appear in forthcoming issues|list of abstracts"
    ).split("|")
)


def folded(text: str | None) -> str:
    """Return the words of a text as they are compared, joined by a space."""
    if not text:
        return ""
    plain = QUOTES.sub("", text)
    if not plain.isascii():
        apart = unicodedata.normalize("NFKD", plain.casefold())
        plain = "".join(c for c in apart if not unicodedata.combining(c)).translate(SPELLED)
    return " ".join(WORD.findall(plain.lower()))


def numbers(words: str) -> tuple[str, list[str]]:
    """Return what tells the parts of a series apart: all digits, and Roman numerals, number words, single letters."""
    parts = words.split()
    series = [each for each in parts if each in ROMAN or each in COUNTED or (len(each) == 1 and each.isalpha())]
    is_letter = parts[-1:] == ["a"]  # "…, part A", and no article
    return "".join(c for c in words if c.isdigit()), sorted(each for each in series if each != "a" or is_letter)


def notice(words: str) -> str | None:
    """Return what a folded title says it is to another paper: a correction, a retraction, a reply; None: nothing."""
    return next((kind for kind, pattern in NOTICES if pattern.search(words)), None)


def is_generic(words: str) -> bool:
    """Say whether a folded title says too little to be anybody's own."""
    return len(words) < SHORT or words.count(" ") < 2 or words in GENERIC
