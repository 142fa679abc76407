"""Every real paper in the formats of citation managers, read back by other people's programs, loses no field."""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import bibtexparser
import pybtex.database
import pytest
import rispy
from bibtexparser import middlewares
from citeproc.source.json import CiteProcJSON

from leftoff.papers.citing import KINDS, citation_key
from leftoff.papers.export_bibtex import bibtex_writer
from leftoff.papers.export_csl import write_csl
from leftoff.papers.export_ris import write_ris
from leftoff.papers.exported import Exported
from leftoff.papers.record import Author
from leftoff.papers.works import LANGUAGES
from tests.papers.accounted import PAGE, quoted
from tests.papers.conftest import SHARED
from tests.papers.exporting import a_line, library, made, written
from tests.papers.test_export_bibtex import decoder, essence

Said = dict[str, Any]
SIGNS = str.maketrans("\u2010\u2212\u2032\u2217\u2206\u02d9\u22c5\u2223", "--'*\u0394\u00b7\u00b7|", "^\u02da\u2061")
NOTHING = ("n/a", "n/a-n/a", "no-no", "null", "undefined")
LATEX = "pybtex and pylatexenc"
ARTICLE, OTHER = "journal-article", "any other"


def expected(paper: Exported) -> Said:
    """Return what the database says of a paper, as all formats have it; said here anew, not by the code under test."""
    parts = [int(part) for part in (paper.date or "").split("-") if part]
    journal, title = a_line(paper.journal), a_line(paper.title)
    return {
        "title": plain(title).rstrip(". "),
        "authors": [whole_name(author) for author in paper.authors],
        "journal": plain("" if journal == title else journal),
        "year": parts[0] if parts else None,
        "month": parts[1] if len(parts) > 1 else None,
        "day": parts[2] if len(parts) > 2 else None,
        "volume": something(paper.volume),
        "issue": something(paper.issue),
        "pages": spelled_out(something(paper.pages)),
        "publisher": plain(a_line(paper.publisher)),
        "numbers": [*listed(paper.issn), *listed(paper.isbn)],
        "doi": paper.doi,
        "pmid": None if paper.pmid is None else str(paper.pmid),
        "pmcid": paper.pmcid,
        "language": listed(paper.language),
        "keywords": list(dict.fromkeys(heading.descriptor for heading in paper.mesh)),
        "abstract": plain(a_line(paper.abstract)),
    }


def whole_name(author: Author) -> tuple[str, str, str]:
    """Return last name with its particle, given names without spaces, and suffix; a single name is a last one."""
    last, suffix = a_line(author.last), a_line(author.suffix)
    if not suffix and (match := re.fullmatch(r"(.+?), *((?:Jr|Sr|II|III|IV)\.?)", last)):
        last, suffix = match[1], match[2]
    given = a_line(author.fore or author.initials)
    if author.collective or not last or not given:
        return plain(a_line(author.collective) or " ".join(filter(None, (given, last, suffix)))), "", ""
    return plain(last), plain(given).replace(" ", ""), suffix


def folded(said: Any) -> Any:
    """Return what is said with one sign for those that LaTeX has one command for, and without those of its own."""
    if isinstance(said, (list, tuple)):
        return [folded(each) for each in said]
    if not isinstance(said, str):
        return said
    plain_signs = unicodedata.normalize("NFKC", said.translate(SIGNS)).translate(SIGNS)
    return plain_signs.replace('"', "''").replace("\u221a()", "\u221a")


def listed(text: str | None) -> list[str]:
    return text.split("; ") if text else []


def something(text: str | None) -> str:
    return "" if a_line(text).lower() in NOTHING else plain(a_line(text))


def plain(text: str) -> str:
    """Return a text with the dashes and quotes of ASCII: LaTeX writes them its own way."""
    return essence(text)


def spelled_out(pages: str) -> str:
    """Return pages whose spans have all digits, without spaces: "E550-6, 9" is "E550-E556,9"."""

    def spell(match: re.Match[str]) -> str:
        letters, first, again, last = match.groups()
        longer = first[: max(0, len(first) - len(last))] + last
        return (
            match[0]
            if again not in ("", letters) or int(longer) < int(first)
            else f"{letters}{first}-{letters}{longer}"
        )

    spans = re.sub(
        r"(?<![\w.-])([A-Za-z]*)(\d+)-([A-Za-z]*)(\d+)(?![\w.(-])", spell, re.sub("[\u2010-\u2015]", "-", pages)
    )
    return spans.replace(" ", "").replace(";", ",")


# -- what each program reads ---------------------------------------------------------------------------------------


def by_pybtex(papers: dict[str, Exported], *, latex: bool = False) -> dict[str, Said]:
    """Names in their parts; it raises for a key that comes twice."""
    decode = decoder()
    text = written(bibtex_writer(latex=latex), papers.values())
    found = {}
    for key, entry in pybtex.database.parse_string(text, "bibtex").entries.items():
        authors = [
            (
                [*each.prelast_names, *each.last_names],
                [*each.first_names, *each.middle_names],
                each.lineage_names,
            )
            for each in entry.persons.get("author", ())
        ]
        found[key] = of_bibtex(entry.type, dict(entry.fields), authors, decode)
    return found


def by_bibtexparser(papers: dict[str, Exported]) -> dict[str, Said]:
    """It takes names apart by itself."""
    decode = decoder()
    text = written(bibtex_writer(latex=False), papers.values())
    read = bibtexparser.parse_string(
        text, append_middleware=[middlewares.SeparateCoAuthors(), middlewares.SplitNameParts()]
    )
    assert not read.failed_blocks
    found = {}
    for entry in read.entries:
        fields = {field.key: field.value for field in entry.fields}
        authors = [([*each.von, *each.last], each.first, each.jr) for each in fields.pop("author", ())]
        found[entry.key] = of_bibtex(entry.entry_type, fields, authors, decode)
    return found


def of_bibtex(kind: str, fields: dict[str, str], authors: list[Any], decode: Callable[[str], str]) -> Said:
    """Return what an entry says."""
    names = {*fields, *(["author"] if authors else [])}
    said = {name: decode(value) if name not in ("doi", "month") else value for name, value in fields.items()}
    within = "howpublished" if kind == "misc" else "journal" if kind == "article" else "booktitle"
    within = "series" if within not in said and within != "howpublished" else within
    month = said.get("month", "")[:3].lower()
    return {
        "title": plain(a_line(said.get("title"))).rstrip(". "),
        "authors": [
            (plain(last), plain(given).replace(" ", ""), suffix)
            for last, given, suffix in (map(decode, map(" ".join, parts)) for parts in authors)
        ],
        "journal": plain(a_line(said.get(within))),
        "year": int(said["year"]) if "year" in said else None,
        "month": "jan feb mar apr may jun jul aug sep oct nov dec".split().index(month) + 1 if month else None,
        "volume": plain(said.get("volume", "")),
        "issue": plain(said.get("number", "")),
        "pages": re.sub("-+", "-", plain(said.get("pages", ""))).replace(" ", ""),
        "publisher": plain(said.get("publisher") or said.get("school") or said.get("institution") or ""),
        "numbers": [each for name in ("issn", "isbn") if name in said for each in said[name].split(", ")],
        "doi": said.get("doi"),
        "pmid": said.get("pmid"),
        "pmcid": said.get("pmcid"),
        "language": said.get("language", ""),
        "keywords": said["keywords"].split("; ") if "keywords" in said else [],
        "abstract": plain(a_line(said.get("abstract"))),
        "type": kind,
        "fields": names,
    }  # fmt: skip


def by_rispy(papers: dict[str, Exported]) -> dict[str, Said]:
    """A comma ends a part of a name, also of a body's: the whole of it is compared."""
    text = written(write_ris, papers.values())
    tags = {*re.findall(r"^(\w\w)  - ", text, re.MULTILINE)} - {"ER"}  # the program has names of its own for them
    found = {}
    for entry in rispy.loads(text):
        paper = papers[entry["id"]]
        authors = []
        for name, author in zip(entry.get("authors", ()), paper.authors, strict=True):
            last, given, suffix = (*([name] if author.collective else name.split(", ")), "", "")[:3]
            authors.append((plain(last), plain(given).replace(" ", ""), suffix))
        parts = [int(part) for part in entry.get("date", "").split("/") if part]
        ends = entry.get("end_page", "")
        found[entry["id"]] = {
            "title": plain(entry.get("title", "")).rstrip(". "),
            "authors": authors,
            "journal": plain(entry.get("secondary_title", "")),
            "year": int(entry["year"]) if "year" in entry else None,
            "month": parts[1] if len(parts) > 1 else None,
            "day": parts[2] if len(parts) > 2 else None,
            "volume": plain(entry.get("volume", "")),
            "issue": plain(entry.get("number", "")),
            "pages": spelled_out(plain(entry.get("start_page", "") + (f"-{ends}" if ends else ""))),
            "publisher": plain(entry.get("publisher", "")),
            "numbers": entry["issn"].split(", ") if "issn" in entry else [],
            "doi": entry.get("doi"),
            "pmid": entry.get("accession_number"),
            "pmcid": entry.get("custom2"),
            "language": entry["language"].split(", ") if "language" in entry else [],
            "keywords": entry.get("keywords", []),
            "abstract": plain(entry.get("abstract", "")),
            "type": entry["type_of_reference"],
            "fields": tags,
        }
    return found


def by_citeproc(papers: dict[str, Exported]) -> dict[str, Said]:
    """What a processor of citations has of each item."""
    items = json.loads(written(write_csl, papers.values()))
    fields = {item["id"]: set(item) for item in items}
    found = {}
    for key, read in CiteProcJSON(items).items():
        text = {name: "".join(map(str, value)) for name, value in read.items() if isinstance(value, (str, list))}
        date = read.get("issued", {})
        found[key] = {
            "title": plain(text.get("title", "")).rstrip(". "),
            "authors": [
                (
                    plain(
                        name.get("literal")
                        or " ".join(filter(None, (name.get("non-dropping-particle"), name["family"])))
                    ),
                    plain(name.get("given", "")).replace(" ", ""),
                    name.get("suffix", ""),
                )
                for name in read.get("author", ())
            ],
            "journal": plain(text.get("container_title") or text.get("collection_title") or ""),
            "year": date.get("year"),
            "month": date.get("month"),
            "day": date.get("day"),
            "volume": plain(text.get("volume", "")),
            "issue": plain(text.get("issue", "")),
            "pages": spelled_out(plain(text.get("page", ""))),
            "publisher": plain(text.get("publisher", "")),
            "numbers": [each for name in ("ISSN", "ISBN") if name in text for each in text[name].split(", ")],
            "doi": text.get("DOI"),
            "pmid": text.get("PMID"),
            "pmcid": text.get("PMCID"),
            "language": text.get("language", ""),
            "keywords": text["keyword"].split("; ") if "keyword" in text else [],
            "abstract": plain(a_line(text.get("abstract"))),
            "type": read["type"],
            "fields": fields[key],
        }
    return found


READERS: dict[str, tuple[str, Callable[[dict[str, Exported]], dict[str, Said]]]] = {
    "pybtex": ("BibTeX", by_pybtex),
    LATEX: ("BibTeX", functools.partial(by_pybtex, latex=True)),
    "bibtexparser": ("BibTeX", by_bibtexparser),
    "rispy": ("RIS", by_rispy),
    "citeproc-py": ("CSL-JSON", by_citeproc),
}


@functools.cache
def papers() -> dict[str, Exported]:
    """Return every real paper by its citation key."""
    return {citation_key(paper): paper for paper in library().values()}


@functools.cache
def read_back(program: str) -> dict[str, Said]:
    """Return what a program reads of every real paper."""
    return READERS[program][1](papers())


def table(header: str) -> list[dict[str, str]]:
    """Return a table of the page, a row by its columns."""
    lines = PAGE[PAGE.index(header) :].partition("\n\n")[0].splitlines()
    names, _, *found = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [dict(zip(names, row, strict=True)) for row in found]


def kind_of(paper: Exported, format_: str) -> str:
    """Return what the page says that a paper is in a format."""
    by_type = {name: row for row in table("| type |") for name in quoted(row["type"]) or [row["type"]]}
    default = ARTICLE if "pubmed" in paper.source else OTHER
    named = next((each for each in listed(paper.type) if each in by_type), default)
    (kind,) = quoted(by_type[named][format_])
    return kind


@pytest.mark.parametrize("program", READERS)
def test_no_field_of_any_real_paper_is_lost(program: str) -> None:
    """Each mapped field that is read back says what the database says."""
    format_, found = READERS[program][0], read_back(program)
    assert list(found) == list(papers())
    two = {three: two for two, three in LANGUAGES.items()}
    lost = []
    for key, paper in papers().items():
        said, should = found[key], expected(paper)
        if format_ == "BibTeX":
            del should["day"]
            if said["type"] == "misc" and not should["journal"]:  # there it is what published it
                should |= {"journal": should["publisher"], "publisher": ""}
        if format_ == "RIS":
            should["authors"] = [tuple(part.replace(",", "") for part in name) if not author.collective else name
                                 for name, author in zip(should["authors"], paper.authors, strict=True)]  # fmt: skip
        else:
            first = should["language"][0] if should["language"] else ""
            should["language"] = "" if first == "und" else two.get(first, first)
        should["type"] = kind_of(paper, format_)
        if format_ == "BibTeX" and should["type"] == "article" and not expected(paper)["journal"]:
            should["type"] = "misc"
        if program == LATEX:
            said, should = ({name: folded(value) for name, value in each.items()} for each in (said, should))
        lost += [(key, name, said[name], should[name]) for name in should if said[name] != should[name]]
    assert lost == [], f"{len(lost)}: {lost[:20]}"


@pytest.mark.parametrize("program", READERS)
def test_the_fields_of_a_format_are_those_of_the_page(program: str) -> None:
    """Real papers together have all fields that the page names, and no other."""
    met = set().union(*(said["fields"] for said in read_back(program).values()))
    named = {name for row in table("| column |") for name in quoted(row[READERS[program][0]])}
    assert met == named if SHARED.is_dir() else met <= named  # the examples have no thesis


def test_the_kinds_of_papers_are_those_of_the_page() -> None:
    """Made: each type of both services is in each format what the page says, also one that no real paper has."""
    found = {name: row for row in table("| type |") for name in quoted(row["type"])}
    assert {*found} == {*KINDS}
    for name, row in [*found.items(), ("component", table("| type |")[-1])]:
        paper = made(type=name)
        csl = json.loads(written(write_csl, [paper]))[0]["type"]
        bibtex = written(bibtex_writer(latex=False), [paper])[1:].partition("{")[0]
        ris = written(write_ris, [paper])[6:].partition("\r")[0]
        assert [f"`{each}`" for each in (csl, bibtex, ris)] == [row["CSL-JSON"], row["BibTeX"], row["RIS"]], name
    assert kind_of(made(type="Review", source="pubmed"), "RIS") == "JOUR"
