"""Read PubMed's XML, one record at a time.

A DOI, PMID or PMCID is the record's own only at the places named in `_identifiers`: the lists of cited and commented
works hold the same elements.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import IO

from lxml import etree

from leftoff.papers import doi as dois
from leftoff.papers.dates import published
from leftoff.papers.links import links_of_citation
from leftoff.papers.record import Author, Heading, Record
from leftoff.papers.record_set import BOOK, cut, parse
from leftoff.papers.reply import Inconsistent
from leftoff.papers.text import plain, text_at, texts

SOURCE = "pubmed"
ORCID = re.compile(r"([0-9]{4})-?([0-9]{4})-?([0-9]{4})-?([0-9]{3}[0-9Xx])\s*$")
PMC = re.compile(r"(?:PMC)?\s*([0-9]+)(?:\.[0-9]+)?", re.IGNORECASE)
NAMES = ("LastName", "ForeName", "Initials", "Suffix", "CollectiveName")
NO_TITLE = {"", "[not available].", "[not available]"}


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
    citation = element.find("BookDocument" if book else "MedlineCitation")
    pmid = None if citation is None else citation.find("PMID")
    if citation is None or pmid is None or not (number := plain(pmid)).isdecimal():
        raise Inconsistent(f"a {element.tag} came without a PMID")
    if not (version := pmid.get("Version") or "1").isdecimal():
        raise Inconsistent(f"PMID {number} has a version that is no number: {version[:20]!r}")
    article = citation if book else citation.find("Article")
    if article is None:
        article = citation  # a record without an Article is one that says little
    own = _identifiers(element, article)
    when = published(_published(element, citation, article))
    journal, whole_book = article.find("Journal"), article.find("Book")
    issue = None if journal is None else journal.find("JournalIssue")
    issued = {} if issue is None else texts(issue)
    types = tuple(_types(article, book=book))
    return Record(
        source=SOURCE,
        identifier=int(number),
        version=int(version),
        digest=hashlib.sha256(raw).digest(),
        doi=own.get("doi"),
        pmcid=own.get("pmc"),
        title=_title(article),
        abstract=_abstract(article),
        journal=text_at(journal, "Title", "ISOAbbreviation")
        or text_at(whole_book, "BookTitle")
        or text_at(citation, "MedlineJournalInfo/MedlineTA"),
        year=when.year,
        date=when.date,
        type="; ".join(types) or None,
        language="; ".join(plain(each).lower() for each in article.iterchildren("Language")) or None,
        authors=tuple(_authors(article)),
        mesh=tuple(_mesh(citation)),
        volume=issued.get("Volume") or None,
        issue=issued.get("Issue") or None,
        pages=text_at(article, "Pagination/MedlinePgn", "ELocationID[@EIdType='pii']"),
        publisher=text_at(whole_book, "Publisher/PublisherName"),
        issn="; ".join(_distinct(journal, "ISSN")) or None,
        isbn="; ".join(_distinct(whole_book, "Isbn")) or None,
        raw=raw,
        links=links_of_citation(citation, types, when.date),
    )


def _distinct(element: etree._Element | None, name: str) -> list[str]:
    children = () if element is None else element.iterchildren(name)
    return list(dict.fromkeys(text for each in children if (text := plain(each))))


def _identifiers(element: etree._Element, article: etree._Element) -> dict[str, str]:
    """Return the record's own DOI (normal form) and PMCID.

    They stand in the ArticleIdList that is a direct child of the record's data, or, a DOI, in the article's
    ELocationID unless ValidYN is N. A book's own ELocationID is a chapter's only if there is no chapter.
    """
    data = [part for part in element if part.tag in ("PubmedData", "BookDocument", "PubmedBookData")]
    own = [(each.get("IdType"), each) for part in data for each in part.iterfind("ArticleIdList/ArticleId")]
    book = article.find("Book")
    located = article if book is None or article.find("ArticleTitle") is not None else book
    own += [(each.get("EIdType"), each) for each in located.iterchildren("ELocationID") if each.get("ValidYN") != "N"]
    found: dict[str, str] = {}
    for kind, each in own:
        if kind == "doi" and "doi" not in found and (name := dois.normal(plain(each))):
            found["doi"] = name
        elif kind == "pmc" and "pmc" not in found and (match := PMC.search(plain(each))):
            found["pmc"] = f"PMC{match[1]}"
    return found


def _title(article: etree._Element) -> str | None:
    title = text_at(article, "ArticleTitle") or ""
    if title.lower() in NO_TITLE:
        return text_at(article, "VernacularTitle", "Book/BookTitle") or title or None
    return title


def _abstract(article: etree._Element) -> str | None:
    """Return the abstract, a paragraph each section, led by its label."""
    sections = []
    for each in article.iterfind("Abstract/AbstractText"):
        text, label = plain(each), " ".join((each.get("Label") or "").split())
        if text:
            sections.append(f"{label}: {text}" if label and label.upper() != "UNLABELLED" else text)
    return "\n\n".join(sections) or None


def _published(element: etree._Element, citation: etree._Element, article: etree._Element) -> Iterator[etree._Element]:
    """Iterate the places that tell when it was published, the best first."""
    for inside, path in (
        (article, "Journal/JournalIssue/PubDate"),
        (article, "ArticleDate"),
        (citation, "Book/PubDate"),
        (citation, "ContributionDate"),
        (element, "PubmedData/History/PubMedPubDate[@PubStatus='pubmed']"),
        (element, "PubmedData/History/PubMedPubDate[@PubStatus='entrez']"),
        (element, "PubmedBookData/History/PubMedPubDate[@PubStatus='pubmed']"),
        (citation, "DateCompleted"),
    ):
        if (place := inside.find(path)) is not None:
            yield place


def _types(article: etree._Element, *, book: bool) -> Iterator[str]:
    if book:
        yield "Book Chapter" if article.find("ArticleTitle") is not None else "Book"
    for each in (*article.iterfind("PublicationTypeList/PublicationType"), *article.iterchildren("PublicationType")):
        if text := plain(each):
            yield text


def _authors(article: etree._Element) -> Iterator[Author]:
    """Iterate the authors in their order: a chapter's own, else the book's, never its editors."""
    listed = [each for each in article.findall("AuthorList") if each.get("Type", "authors") == "authors"]
    listed = listed or [each for each in article.findall("Book/AuthorList") if each.get("Type", "authors") == "authors"]
    for each in (author for authors in listed for author in authors.iterchildren("Author")):
        if each.get("ValidYN") != "N":  # else an earlier spelling; the valid one stands beside it
            yield _author(each)


def _author(element: etree._Element) -> Author:
    names: dict[str, str] = {}
    places: list[str] = []
    orcid = None
    for child in element:  # once through them: a look for each name costs more
        name = child.tag
        if name in NAMES:
            names.setdefault(name, plain(child))
        elif name == "AffiliationInfo":
            places += map(plain, child.iterchildren("Affiliation"))
        elif name == "Affiliation":
            places.append(plain(child))
        elif name == "Identifier" and orcid is None and child.get("Source") == "ORCID":
            orcid = ORCID.search(plain(child))
    last, fore, initials, suffix, body = (names.get(name) or None for name in NAMES)
    return Author(
        last=last,
        fore=fore,
        initials=initials,
        suffix=suffix,
        collective=body,
        affiliation="\n".join(filter(None, places)) or None,
        orcid=None if orcid is None else "-".join(orcid.groups()).upper(),
    )


def _mesh(citation: etree._Element) -> Iterator[Heading]:
    for heading in citation.iterfind("MeshHeadingList/MeshHeading"):
        descriptor: etree._Element | None = None
        qualifiers: list[tuple[str | None, str | None, bool]] = []
        for child in heading:
            if child.tag == "DescriptorName":
                descriptor = child
            elif child.tag == "QualifierName":
                qualifiers.append((plain(child), child.get("UI"), child.get("MajorTopicYN") == "Y"))
        if descriptor is None:
            continue
        name, ui, major = plain(descriptor), descriptor.get("UI"), descriptor.get("MajorTopicYN") == "Y"
        for qualifier, qualifier_ui, is_major in qualifiers or [(None, None, False)]:
            yield Heading(name, ui, qualifier, qualifier_ui, major or is_major)
