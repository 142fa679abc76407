r"""Papers as BibTeX.

Written here and not by a library: pybtex's writer leaves ``$``, ``\``, ``~`` and braces unescaped, bibtexparser's
escapes nothing. Rules of BibTeX that matter: it counts braces, also those behind a backslash, so none is written that
has no partner; ``{\`` outside of braces begins a "special character", whose letters change their case; in names a word
in lower case that is not the last begins or continues a particle, and ``and`` separates outside of braces alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Final

from leftoff.errors import MissingExtra
from leftoff.papers import citing
from leftoff.papers.export_csl import language
from leftoff.papers.exported import Exported
from leftoff.papers.names import Name, is_small, is_taken_apart, name_of

TYPES: Final = {
    "article-journal": "article", "paper-conference": "inproceedings", "chapter": "incollection",
    "entry-encyclopedia": "incollection", "book": "book", "thesis": "phdthesis", "report": "techreport",
}  # fmt: skip
CONTAINERS: Final = {
    "article": "journal", "inproceedings": "booktitle", "incollection": "booktitle", "book": "series",
    "techreport": "series", "misc": "howpublished",
}  # fmt: skip
PUBLISHERS: Final = {"phdthesis": "school", "techreport": "institution"}
MONTHS: Final = "jan feb mar apr may jun jul aug sep oct nov dec".split()
ESCAPES: Final = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_"},
        "\\": "\\textbackslash{}", "{": "\\textbraceleft{}", "}": "\\textbraceright{}", "~": "\\textasciitilde{}",
        "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}",
    }
)  # fmt: skip
VERBATIM: Final = str.maketrans({"{": "%7B", "}": "%7D", "\\": "%5C"})  # of a DOI, as a URL has them
# What pylatexenc writes otherwise: another accent, a letter of mathematics outside of it, a command that LaTeX lacks.
LETTERS: Final = {
    "\u0171": "\\H{u}", "\u0170": "\\H{U}", "\u0453": "\\'\\cyrg", "\u0403": "\\'\\CYRG",
    "\u045c": "\\'\\cyrk", "\u040c": "\\'\\CYRK", "\u025b": "\\ensuremath{\\varepsilon}",
    **{letter: letter for letter in "\u0127\u0126\u0138\u0149\u0167\u0166"},
}  # fmt: skip
WORD = re.compile(r"[^\W_](?:(?:[^\s\"()\[\],;:\u2013\u2014-]|-(?!-))*[^\W_])?")
AND = re.compile(r"\band\b", re.IGNORECASE)

Encode = Callable[[str], str]


def bibtex_writer(*, latex: bool) -> Callable[[IO[bytes], Iterable[Exported]], None]:
    """Return the function that writes papers as BibTeX, an entry a paper.

    Raises MissingExtra for latex where pylatexenc is not installed.
    """
    encode = _latex() if latex else escaped

    def write(file: IO[bytes], papers: Iterable[Exported]) -> None:
        for paper in papers:
            file.write(entry(paper, encode).encode())

    return write


def entry(paper: Exported, encode: Encode) -> str:
    """Return a paper as an entry, with an empty line behind it."""
    of = _type(paper)
    lines = [f"  {name} = {value}" for name, value in _fields(paper, of, encode) if value]
    return "@{}{{{},\n{}\n}}\n\n".format(of, citing.citation_key(paper), ",\n".join(lines))


def escaped(text: str) -> str:
    """Return a text that LaTeX prints as it is; what is not ASCII stays."""
    return text.translate(ESCAPES)


def _latex() -> Encode:
    try:
        from pylatexenc.latexencode import RULE_DICT, UnicodeToLatexConversionRule, UnicodeToLatexEncoder
    except ImportError as error:
        raise MissingExtra(
            f'LaTeX commands need {error.name}, which is not installed: pip install "leftoff[papers]"'
        ) from error
    letters = UnicodeToLatexConversionRule(RULE_DICT, {ord(letter): text for letter, text in LETTERS.items()})
    encoder = UnicodeToLatexEncoder(
        conversion_rules=[letters, "defaults"],
        non_ascii_only=True,
        replacement_latex_protection="braces-all",  # {\'e}: a special character of BibTeX, one letter of a name
        unknown_char_policy="keep",
        unknown_char_warning=False,
    )
    return lambda text: str(encoder.unicode_to_latex(escaped(text)))


def _type(paper: Exported) -> str:
    of = TYPES.get(citing.kind(paper), "misc")
    return "misc" if of == "article" and not citing.container(paper) else of


def _fields(paper: Exported, of: str, encode: Encode) -> Iterator[tuple[str, str]]:
    """Iterate the fields of an entry, some of which are empty."""

    def braced(text: str) -> str:
        return f"{{{encode(text)}}}" if text else ""

    parts = citing.date_parts(paper)
    container, publisher = citing.container(paper), citing.one_line(paper.publisher or "")
    if of == "misc" and not container:
        container, publisher = publisher, ""
    authors = " and ".join(written(name_of(each), encode) for each in paper.authors)
    yield "author", f"{{{authors}}}" if authors else ""
    title = citing.title(paper)
    yield "title", f"{{{_protected(title, encode)}}}" if title else ""
    yield CONTAINERS.get(of, "series"), braced(container)
    yield "year", f"{{{parts[0]:04}}}" if parts else ""
    yield "month", MONTHS[parts[1] - 1] if len(parts) > 1 else ""
    yield "volume", braced(citing.said(paper.volume))
    yield "number", braced(citing.said(paper.issue))
    yield "pages", braced(", ".join(map(_with_dash, citing.pages(paper))))
    yield PUBLISHERS.get(of, "publisher"), braced(publisher)
    yield "issn", braced(citing.several(paper.issn))
    yield "isbn", braced(citing.several(paper.isbn))
    yield "doi", f"{{{paper.doi.translate(VERBATIM)}}}" if paper.doi else ""
    yield "pmid", "" if paper.pmid is None else f"{{{paper.pmid}}}"
    yield "pmcid", braced(paper.pmcid or "")
    yield "language", braced(language(paper))
    yield "keywords", braced("; ".join(citing.keywords(paper)))
    yield "abstract", braced("\n\n".join(citing.paragraphs(paper.abstract or "")))


def written(name: Name, encode: Encode) -> str:
    """Return a name as BibTeX has it, ``von Last, Jr, First``; what it must not take apart is in braces."""
    if name.literal:
        return f"{{{encode(name.literal)}}}"
    family = encode(name.family)
    if _is_open(name.family) or is_taken_apart(name.family) or (is_small(name.family) and not name.particle):
        family = f"{{{family}}}"
    last = f"{encode(name.particle)} {family}" if name.particle else family
    given = f"{{{encode(name.given)}}}" if _is_open(name.given) else encode(name.given)
    suffix = f"{{{encode(name.suffix)}}}" if _is_open(name.suffix) else encode(name.suffix)
    return ", ".join([last, suffix, given] if suffix else [last, given] if given else [last])


def _with_dash(part: str) -> str:
    """Return a span of pages with the dash of LaTeX; the number of an article keeps its hyphens."""
    span = citing.span(part)
    return part if span is None else f"{span.words}{span.first}--{span.last}"


def _is_open(part: str) -> bool:
    """Say whether BibTeX would end a part of a name inside of this one."""
    return "," in part or AND.search(part) is not None or part.lower() == "others"


def _protected(title: str, encode: Encode) -> str:
    """Return a title in which words that keep their capitals are in braces.

    A style writes titles in lower case but for their first letter. A word with a capital behind its beginning keeps
    it; one with a capital at its beginning too, unless all capitals are the habit of the title.
    """
    words, first = WORD.findall(title), WORD.search(title)
    long = [word for word in words[1:] if len(word) > 3 and word[0].isalpha() and word[1:] == word[1:].lower()]
    in_capitals = len(words) > 1 and title == title.upper()
    in_title_case = len(long) > 2 and 3 * sum(word[0].isupper() for word in long) > 2 * len(long)

    def protect(match: re.Match[str]) -> str:
        word = match.group()
        inner = any(character.isupper() for character in word[1:])
        is_first = first is not None and match.start() == first.start()
        # A style leaves the first character alone: that is the word's, or a bracket in front of it.
        initial = word[0].isupper() and (match.start() > 0 if is_first else not in_title_case)
        own = inner or initial
        return f"\x00{word}\x01" if own and not in_capitals else word

    marked = WORD.sub(protect, title)  # marks that no title has: control characters are taken out
    return encode(marked).replace("\x00", "{").replace("\x01", "}")
