"""Papers as BibTeX."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
from pylatexenc import latex2text

from leftoff.errors import MissingExtra
from leftoff.papers.citing import citation_key
from leftoff.papers.export_bibtex import bibtex_writer, entry, escaped
from leftoff.papers.names import name_of
from leftoff.papers.record import Author
from tests.papers.exporting import a_line, body, library, made, person, written

SPECIAL = "".join(map(chr, range(32, 127)))
COMMANDS = {"less": "<", "greater": ">", "bar": "|", "braceleft": "{", "braceright": "}", "asciicircum": "^"}


def field(name: str, text: str) -> str | None:
    """Return a field of an entry as it stands there."""
    match = re.search(rf"^  {name} = (.*?),?$", text, re.MULTILINE)
    return match and match[1]


def balanced(text: str) -> bool:
    """Say whether each brace has its partner, counted as BibTeX counts: a backslash hides none."""
    depth = 0
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            return False
    return depth == 0


def decoder() -> Any:
    """Return a reader of LaTeX that is not ours; what it does not know of LaTeX's own commands is added."""
    known = latex2text.get_default_latex_context_db()
    macros = [latex2text.MacroTextSpec(f"text{name}", text) for name, text in COMMANDS.items()]
    known.add_context_category("text", macros=macros, prepend=True)
    read = latex2text.LatexNodes2Text(latex_context=known, strict_latex_spaces=True, keep_comments=True).latex_to_text

    def decode(text: str) -> str:
        plain = text  # the parser is slow, and most abstracts have no more than these
        for command, meant in (("\\%", "%"), ("\\&", "&"), ("\\textless{}", "<"), ("\\textgreater{}", ">")):
            plain = plain.replace(command, meant)
        return read(text) if "\\" in plain else plain.replace("{", "").replace("}", "")

    return decode


def essence(text: str) -> str:
    """Return a text without what LaTeX's own typography makes of dashes and quotes, and without control characters."""
    dashes = re.sub("[-\u2013\u2014]+", "-", a_line(text))
    return dashes.translate(
        dict.fromkeys(map(ord, "\u201c\u201d"), '"') | dict.fromkeys(map(ord, "\u2018\u2019`"), "'")
    )


def test_braces_of_every_real_paper_have_partners() -> None:
    """Nothing in an entry ends it early, and it has one line a field but for the paragraphs of its abstract."""
    for paper in library().values():
        text = entry(paper, escaped)
        assert balanced(text)
        assert re.fullmatch(r"@[a-z]+\{[a-z]+[0-9]*-[a-z2-7]{10},\n.*\n\}\n\n", text, re.DOTALL)


def test_each_special_character_is_escaped() -> None:
    """Made: all of ASCII in a title stays balanced, and LaTeX prints it as it is."""
    text = entry(made(title=f"x {SPECIAL} }}{{ \\end{{document}} 5% $a_b^c$"), escaped)
    assert balanced(text)
    title = field("title", text) or ""
    # What is left without a backslash in front is what LaTeX prints as it is, or a brace of ours.
    assert not re.search(r"(?<!\\)[&%$#_~^<>|]", title)
    assert r"5\% \${a\_b\textasciicircum{}c}\$" in title or r"5\% \$a\_b\textasciicircum{}c\$" in title
    assert set(re.findall(r"\\[a-z]+", title)) == {
        *("\\textbackslash", "\\textbraceleft", "\\textbraceright", "\\textasciitilde", "\\textasciicircum"),
        *("\\textless", "\\textgreater", "\\textbar"),
    }
    assert essence(decoder()(title)) == essence(f"x {SPECIAL} }}{{ \\end{{document}} 5% $a_b^c$")


def test_control_characters_and_line_breaks_do_not_reach_a_field() -> None:
    """Made: a title is a line without controls; an abstract keeps its paragraphs."""
    text = entry(made(title="a\nb\x00\x1b[31m\x80c\td", abstract="A: one\ntwo\n\nB: three"), escaped)
    assert field("title", text) == "{a b[31mc d}"
    assert "abstract = {A: one two\n\nB: three}" in text


@pytest.mark.parametrize(
    ("author", "expected"),
    [
        (person("Lovelace", "Ada B"), "Lovelace, Ada B"),
        (person("van der Woude", "A M"), "van der Woude, A M"),
        (person("de la Fuente-Aguado", "J"), "de la Fuente-Aguado, J"),
        (person("Van den Berg-Vos", "R"), "{Van den Berg-Vos}, R"),
        (person("Amaro e Silva", "J"), "{Amaro e Silva}, J"),
        (person("el Alami el Faricha", "E H"), "el {Alami el Faricha}, E H"),
        (person("A ba-bai-ke-re", "M"), "{A ba-bai-ke-re}, M"),
        (person("deVere White", "R"), "{deVere White}, R"),
        (person("el-Aziz", "A"), "{el-Aziz}, A"),
        (person("Smith", "Sidney C", "Jr"), "Smith, Jr, Sidney C"),
        (person("de Souza", "Luis A", "Jr"), "de Souza, Jr, Luis A"),
        (person("Gschneidner, Jr.", "K."), "Gschneidner, Jr., K."),
        (person("Smith, of Bath", "A"), "{Smith, of Bath}, A"),
        (person("Research and Practice", "Gastroenterology"), "{Research and Practice}, Gastroenterology"),
        (person("Basappa"), "Basappa"),
        (person("Yuting Yin"), "{Yuting Yin}"),
        (person("이영주"), "이영주"),
        (person("Xu", None, None, "JP"), "Xu, J P"),
        (person("others"), "{others}"),
        (person("O'Brien & Sons", "A"), r"O'Brien \& Sons, A"),
        (
            body("Centers for Disease Control and Prevention, U.S."),
            "{Centers for Disease Control and Prevention, U.S.}",
        ),
        (body("R&D {Group}"), r"{R\&D \textbraceleft{}Group\textbraceright{}}"),
    ],
)
def test_names_are_taken_apart_where_they_should_be(author: Author, expected: str) -> None:
    """Particles, suffixes, bodies and single names; BibTeX itself would find a particle inside of some last names."""
    assert field("author", entry(made(author, title="T"), escaped)) == f"{{{expected}}}"


def test_authors_are_joined_by_and() -> None:
    """All of them, in their order."""
    text = entry(made(person("B", "X"), body("C and D"), person("A"), title="T"), escaped)
    assert field("author", text) == "{B, X and {C and D} and A}"


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("DNA repair in Drosophila by mRNA and pH", "{DNA} repair in {Drosophila} by {mRNA} and {pH}"),
        ("Effect of COVID-19 on X-ray use", "Effect of {COVID-19} on {X-ray} use"),
        ("Human Gene Mutation and DNA Repair in Mice", "Human Gene Mutation and {DNA} Repair in Mice"),
        ("THE COUNTRY DOCTOR", "THE COUNTRY DOCTOR"),
        ("E1365", "E1365"),
        ("[Detection of something--IV. Effects]", "[{Detection} of something--{IV}. {Effects}]"),
        ("Vitamin D and E_coli & Élan", r"Vitamin {D} and {E\_coli} \& {Élan}"),
        ("模糊测试技术研究", "模糊测试技术研究"),
    ],
)
def test_capitals_of_their_own_are_protected(title: str, expected: str) -> None:
    """A style that writes titles in lower case leaves acronyms and proper names alone."""
    assert field("title", entry(made(title=title), escaped)) == f"{{{expected}}}"


@pytest.mark.parametrize(
    ("fields", "type_", "container"),
    [
        ({"type": "journal-article"}, "article", "journal"),
        ({"type": "Journal Article; Review", "source": "pubmed"}, "article", "journal"),
        ({"type": "proceedings-article"}, "inproceedings", "booktitle"),
        ({"type": "book-chapter"}, "incollection", "booktitle"),
        ({"type": "reference-entry"}, "incollection", "booktitle"),
        ({"type": "Book Chapter; Review", "source": "pubmed"}, "incollection", "booktitle"),
        ({"type": "monograph"}, "book", "series"),
        ({"type": "report"}, "techreport", "series"),
        ({"type": "dissertation"}, "phdthesis", "series"),
        ({"type": "dataset"}, "misc", "howpublished"),
        ({"type": "posted-content"}, "misc", "howpublished"),
        ({"type": None}, "misc", "howpublished"),
    ],
)
def test_types_of_entries(fields: dict[str, str], type_: str, container: str) -> None:
    """What both services call a paper has its entry, and what it is part of the field that this entry has."""
    text = entry(made(title="T", **fields), escaped)
    assert text.startswith(f"@{type_}{{")
    assert field(container, text) == "{J}"


def test_who_published_it_is_where_the_type_has_it() -> None:
    """A school, an institution, or a publisher; an article without a journal is misc, as its journal is required."""
    for kind, name in (("dissertation", "school"), ("report", "institution"), ("book", "publisher")):
        assert field(name, entry(made(type=kind, publisher="P & Q"), escaped)) == r"{P \& Q}"
    text = entry(made(type="journal-article", journal=None, publisher="P"), escaped)
    assert (text[:6], field("howpublished", text), field("publisher", text)) == ("@misc{", "{P}", None)


def test_a_date_is_as_exact_as_it_is_known() -> None:
    """Without a year there is neither year nor month; the month is BibTeX's own word."""
    text = entry(made(title="T"), escaped)
    assert (field("year", text), field("month", text)) == (None, None)
    assert re.match(r"@article\{paper-[a-z2-7]{10},", text)
    text = entry(made(year=2007, date="2007-09-14"), escaped)
    assert (field("year", text), field("month", text)) == ("{2007}", "sep")


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        ("153-154", "{153--154}"),
        ("123-8", "{123--128}"),
        ("E550-556", "{E550--E556}"),
        ("b1\u2013b4", "{b1--b4}"),
        ("1475-6; author reply 1475-6", "{1475--1476, author reply 1475--1476}"),
        ("402-4, 455", "{402--404, 455}"),
        ("13,771-13,794", "{13,771--13,794}"),
        ("77-95, viii", "{77--95, viii}"),
        ("iv-xii", "{iv--xii}"),
        ("604.4-604", "{604.4--604}"),
        ("bcr-2016-218715", "{bcr-2016-218715}"),
        ("ENEURO.0172-19.2019", "{ENEURO.0172-19.2019}"),
        ("e4580/correction-1", "{e4580/correction-1}"),
        ("106240", "{106240}"),
        ("455-13", "{455--13}"),
        ("no-no", None),
        ("n/a-n/a", None),
        (None, None),
    ],
)
def test_pages(pages: str | None, expected: str | None) -> None:
    """Spans have all their digits and LaTeX's dash; numbers of articles keep their hyphens; "no-no" is nothing."""
    assert field("pages", entry(made(pages=pages), escaped)) == expected


def test_a_doi_is_verbatim() -> None:
    """Styles read it as it is; a brace, which no real one has, is written as a URL has it."""
    doi = "10.1002/(sici)1098-2361(2000)19:1<65::aid_zoo7>3.0.co;2-#"
    assert field("doi", entry(made(doi=doi), escaped)) == f"{{{doi}}}"
    assert field("doi", entry(made(doi="10.1000/{a\\"), escaped)) == "{10.1000/%7Ba%5C}"


def test_several_issns_are_in_one_field() -> None:
    """BibTeX has a field once."""
    text = entry(made(issn="1234-5678; 8765-4321", isbn="1; 2"), escaped)
    assert (field("issn", text), field("isbn", text)) == ("{1234-5678, 8765-4321}", "{1, 2}")


def test_latex_writes_commands_in_braces() -> None:
    """An accent is a letter of a name to BibTeX, what has no command stays, and the rest is as without."""
    paper = made(person("Élan", "Ø"), title="β-carotene & 模 in Ärzte", abstract="50 % <x>")
    text = written(bibtex_writer(latex=True), [paper])
    assert field("author", text) == r"{{\'E}lan, {\O}}"
    assert field("title", text) == r"{{\ensuremath{\beta}}-carotene \& 模 in {{\"A}rzte}}"
    assert r"50 \% \textless{}x\textgreater{}" in text


@pytest.mark.parametrize(
    ("letters", "commands"),
    [
        ("Sz\u0171cs \u0170", r"Sz{\H{u}}cs {\H{U}}"),
        ("\u0453\u0403\u045c\u040c", r"{\'\cyrg}{\'\CYRG}{\'\cyrk}{\'\CYRK}"),
        ("\u025b", r"{\ensuremath{\varepsilon}}"),
        ("\u0127 \u0149", "{\u0127} {\u0149}"),
    ],
)
def test_latex_writes_letters_that_its_library_has_wrong(letters: str, commands: str) -> None:
    """Made: a double acute is none, and what LaTeX has no command for stays."""
    text = written(bibtex_writer(latex=True), [made(publisher=letters)])
    assert field("publisher", text) == f"{{{commands}}}"


def test_latex_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other form needs none."""
    monkeypatch.setitem(sys.modules, "pylatexenc", None)
    monkeypatch.setitem(sys.modules, "pylatexenc.latexencode", None)
    with pytest.raises(MissingExtra, match=r"pylatexenc.*leftoff\[papers\]"):
        bibtex_writer(latex=True)
    assert written(bibtex_writer(latex=False), [made()]).startswith("@article{")


def test_citation_keys_depend_on_their_paper_alone() -> None:
    """Each real paper has its own, made of name, year and identity."""
    keys = [citation_key(paper) for paper in library().values()]
    assert len(set(keys)) == len(keys)
    assert citation_key(made(person("O'Neill-Ödegård", "A"), year=1999)) == "oneillodegard1999-cuwkn7fbww"
    assert citation_key(made(person("이영주"))).startswith("paper-")
    assert name_of(person("이영주")).family == "이영주"
