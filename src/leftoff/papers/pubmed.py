"""Read PubMed's XML, one record at a time.

A DOI, PMID or PMCID is the record's own only at the places named in `_identifiers`: the lists of cited and commented
works hold the same elements.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import IO

from lxml import etree

from leftoff.papers import doi as dois
from leftoff.papers.dates import published
from leftoff.papers.links import links_of_citation
from leftoff.papers.record import Author, Heading, Record
from leftoff.papers.record_set import BOOK, cut, parse
from leftoff.papers.reply import Inconsistent
from leftoff.papers.text import Children, by_name, grandchildren, plain, text_of

SOURCE = "pubmed"
ORCID = re.compile(r"([0-9]{4})-?([0-9]{4})-?([0-9]{4})-?([0-9]{3}[0-9Xx])\s*$")
PMC = re.compile(r"(?:PMC)?\s*([0-9]+)(?:\.[0-9]+)?", re.IGNORECASE)
NO_TITLE = {"", "[not available].", "[not available]"}

_heading = lru_cache(maxsize=20_000)(Heading)  # the same headings come again and again


def records(source: bytes | IO[bytes]) -> Iterator[Record]:
    """Iterate the records of a PubmedArticleSet, articles and books, in the order of the set.

    source: the bytes of a reply, or a binary file that is read as it goes.

    Raises what `cut` does, possibly after records were yielded: a set counts only when the iteration has ended.
    """
    yield from map(record, cut(source))


def record(raw: bytes) -> Record:
    """Return what one PubmedArticle or PubmedBookArticle says.

    Raises Truncated if it is damaged, Inconsistent if it has no PMID.
    """
    element = parse(raw)
    book = element.tag == BOOK
    data = by_name(element)
    citation = data.get("BookDocument" if book else "MedlineCitation")
    said = by_name(citation)
    if citation is None or not (number := text_of(said, "PMID") or "").isdecimal():
        raise Inconsistent(f"a {element.tag} came without a PMID")
    if not (version := said["PMID"].get("Version") or "1").isdecimal():
        raise Inconsistent(f"PMID {number} has a version that is no number: {version[:20]!r}")
    article = citation if book else said.get("Article", citation)  # one without an Article says little
    parts = by_name(article)
    journal, whole_book = by_name(parts.get("Journal")), by_name(parts.get("Book"))
    issue = by_name(journal.get("JournalIssue"))
    when = published(_published(element, said, parts, issue))
    types = tuple(_types(parts, article, book=book))
    own = _identifiers(data, article, parts)
    return Record(
        source=SOURCE,
        identifier=int(number),
        version=int(version),
        digest=hashlib.sha256(raw).digest(),
        doi=own.get("doi"),
        pmcid=own.get("pmc"),
        title=_title(parts, whole_book),
        abstract=_abstract(article),
        journal=text_of(journal, "Title", "ISOAbbreviation")
        or text_of(whole_book, "BookTitle")
        or text_of(by_name(said.get("MedlineJournalInfo")), "MedlineTA"),
        year=when.year,
        date=when.date,
        type="; ".join(types) or None,
        language="; ".join(plain(each).lower() for each in article.iterchildren("Language")) or None,
        authors=tuple(_authors(article) or _authors(parts.get("Book"))),
        mesh=tuple(_mesh(citation)),
        volume=text_of(issue, "Volume"),
        issue=text_of(issue, "Issue"),
        pages=text_of(by_name(parts.get("Pagination")), "MedlinePgn") or _number(article),
        publisher=text_of(by_name(whole_book.get("Publisher")), "PublisherName"),
        issn="; ".join(_distinct(parts.get("Journal"), "ISSN")) or None,
        isbn="; ".join(_distinct(parts.get("Book"), "Isbn")) or None,
        raw=raw,
        links=links_of_citation(citation, types, when.date),
    )


def _distinct(element: etree._Element | None, name: str) -> list[str]:
    children = () if element is None else element.iterchildren(name)
    return list(dict.fromkeys(text for each in children if (text := plain(each))))


def _identifiers(data: Children, article: etree._Element, parts: Children) -> dict[str, str]:
    """Return the record's own DOI (normal form) and PMCID.

    They stand in the ArticleIdList that is a direct child of the record's data, or, a DOI, in the article's
    ELocationID unless ValidYN is N. A book's own ELocationID is a chapter's only if there is no chapter.
    """
    own = [
        (each.get("IdType"), each)
        for name in ("PubmedData", "BookDocument", "PubmedBookData")
        if name in data
        for each in grandchildren(data[name], "ArticleIdList", "ArticleId")
    ]
    located = parts["Book"] if "Book" in parts and "ArticleTitle" not in parts else article
    own += [(each.get("EIdType"), each) for each in located.iterchildren("ELocationID") if each.get("ValidYN") != "N"]
    found: dict[str, str] = {}
    for kind, each in own:
        if kind == "doi" and "doi" not in found and (name := dois.normal(plain(each))):
            found["doi"] = name
        elif kind == "pmc" and "pmc" not in found and (match := PMC.search(plain(each))):
            found["pmc"] = f"PMC{match[1]}"
    return found


def _title(parts: Children, whole_book: Children) -> str | None:
    title = text_of(parts, "ArticleTitle") or ""
    if title.lower() in NO_TITLE:
        return text_of(parts, "VernacularTitle") or text_of(whole_book, "BookTitle") or title or None
    return title


def _abstract(article: etree._Element) -> str | None:
    """Return the abstract, a paragraph each section, led by its label."""
    sections = []
    for each in grandchildren(article, "Abstract", "AbstractText"):
        text, label = plain(each), " ".join((each.get("Label") or "").split())
        if text:
            sections.append(f"{label}: {text}" if label and label.upper() != "UNLABELLED" else text)
    return "\n\n".join(sections) or None


def _published(element: etree._Element, said: Children, parts: Children, issue: Children) -> Iterator[etree._Element]:
    """Iterate the places that tell when it was published, the best first."""
    if "PubDate" in issue:
        yield issue["PubDate"]
    if "ArticleDate" in parts:
        yield parts["ArticleDate"]
    for path in (
        "BookDocument/Book/PubDate",
        "BookDocument/ContributionDate",
        "PubmedData/History/PubMedPubDate[@PubStatus='pubmed']",
        "PubmedData/History/PubMedPubDate[@PubStatus='entrez']",
        "PubmedBookData/History/PubMedPubDate[@PubStatus='pubmed']",
    ):
        if (place := element.find(path)) is not None:
            yield place
    if "DateCompleted" in said:
        yield said["DateCompleted"]


def _types(parts: Children, article: etree._Element, *, book: bool) -> Iterator[str]:
    if book:
        yield "Book Chapter" if "ArticleTitle" in parts else "Book"
    for each in (
        *grandchildren(article, "PublicationTypeList", "PublicationType"),
        *article.iterchildren("PublicationType"),
    ):
        if text := plain(each):
            yield text


def _number(article: etree._Element) -> str | None:
    """Return the number of an article that has no pages."""
    for each in article.iterchildren("ELocationID"):
        if each.get("EIdType") == "pii":
            return plain(each) or None
    return None


def _authors(element: etree._Element | None) -> list[Author]:
    """Return the authors in their order, never the editors."""
    return [
        _author(each)
        for authors in (() if element is None else element.iterchildren("AuthorList"))
        if authors.get("Type", "authors") == "authors"
        for each in authors.iterchildren("Author")
        if each.get("ValidYN") != "N"  # else an earlier spelling; the valid one stands beside it
    ]


def _author(element: etree._Element) -> Author:
    last = fore = initials = suffix = body = orcid = None
    places = []
    for child in element:  # once through them: a look for each name costs more
        name = child.tag
        if name == "LastName":
            last = last or plain(child)
        elif name == "ForeName":
            fore = fore or plain(child)
        elif name == "Initials":
            initials = initials or plain(child)
        elif name == "AffiliationInfo":
            places += [plain(each) for each in child if each.tag == "Affiliation"]
        elif name == "Identifier":
            if orcid is None and child.get("Source") == "ORCID":
                orcid = ORCID.search(plain(child))
        elif name == "CollectiveName":
            body = body or plain(child)
        elif name == "Suffix":
            suffix = suffix or plain(child)
        elif name == "Affiliation":
            places.append(plain(child))
    return Author(
        last or None,
        fore or None,
        initials or None,
        suffix or None,
        body or None,
        "\n".join(filter(None, places)) or None,
        None if orcid is None else "-".join(orcid.groups()).upper(),
    )


def _mesh(citation: etree._Element) -> Iterator[Heading]:
    for heading in grandchildren(citation, "MeshHeadingList", "MeshHeading"):
        name, ui, major, qualified = "", None, False, False
        for child in heading:  # the descriptor comes first
            if child.tag == "DescriptorName":
                name, ui, major = plain(child), child.get("UI"), child.get("MajorTopicYN") == "Y"
            elif child.tag == "QualifierName" and name:
                qualified = True
                yield _heading(name, ui, plain(child), child.get("UI"), major or child.get("MajorTopicYN") == "Y")
        if name and not qualified:
            yield _heading(name, ui, None, None, major)
