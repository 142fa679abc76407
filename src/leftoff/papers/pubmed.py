"""Read PubMed's XML, one record at a time.

1. Nothing is loaded from anywhere: no DTD (its name changes each January), no network, no entity is expanded.
2. Memory holds one record of the stream, whatever the length of the set.
3. A set that ends early, an <ERROR>, an empty or a foreign body raises; it never looks like a shorter result.
4. A DOI, PMID or PMCID is the record's own only at the places named in `_identifiers`: the lists of cited and
   commented works hold the same elements.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import IO

from lxml import etree

from leftoff.papers import doi as dois
from leftoff.papers.dates import Published, published
from leftoff.papers.links import links_of_citation
from leftoff.papers.record import Author, Heading, Record
from leftoff.papers.reply import EmptyBody, ErrorElement, Inconsistent, NotXML, Truncated
from leftoff.papers.text import plain, text_at

SOURCE = "pubmed"
ARTICLE, BOOK = "PubmedArticle", "PubmedBookArticle"
SETS = {"PubmedArticleSet", "PubmedBookArticleSet"}
ROOTS = {*SETS, "eFetchResult", "ERROR"}
ORCID = re.compile(r"([0-9]{4})-?([0-9]{4})-?([0-9]{4})-?([0-9]{3}[0-9Xx])\s*$")
PMC = re.compile(r"(?:PMC)?\s*([0-9]+)(?:\.[0-9]+)?", re.IGNORECASE)
NAMES = ("LastName", "ForeName", "Initials", "Suffix", "CollectiveName")
NO_TITLE = {"", "[not available].", "[not available]"}


def records(source: bytes | IO[bytes]) -> Iterator[Record]:
    """Iterate the records of a PubmedArticleSet, articles and books, in the order of the set.

    source: the bytes of a reply, or a binary file that is read as it goes.

    Raises EmptyBody, NotXML, ErrorElement, Truncated or Inconsistent (see `leftoff.papers.reply`), possibly after
    records were yielded: a set counts only when the iteration has ended.
    """
    stream = BytesIO(source) if isinstance(source, bytes) else source
    context = etree.iterparse(
        stream,
        events=("start", "end"),
        tag=(ARTICLE, BOOK, *ROOTS),  # each event costs as much as parsing some elements
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        remove_comments=True,
        remove_pis=True,
        huge_tree=False,  # libxml2's own bounds: 10 MB a text, depth 256; the largest known record is 0.4 MB
    )
    root: etree._Element | None = None
    try:
        for event, element in context:
            if root is None:
                root = element
                _check_root(element)
            if event == "end" and element.tag == "ERROR":
                raise ErrorElement(f"the service answered an error: {plain(element)[:200]}")
            if event == "end" and element.getparent() is root:
                yield record(element)
                _forget(element)
    except etree.XMLSyntaxError as error:
        raise _unreadable(stream, started=root is not None, error=error) from error
    if root is None and context.root is not None:
        _check_root(context.root)
    if root is None or root.tag not in SETS:
        raise Inconsistent("the service answered with neither records nor an error")


def record(element: etree._Element) -> Record:
    """Return what one PubmedArticle or PubmedBookArticle says.

    Raises Inconsistent if it has no PMID.
    """
    book = element.tag == BOOK
    citation = element.find("BookDocument" if book else "MedlineCitation")
    pmid = None if citation is None else citation.find("PMID")
    if citation is None or pmid is None or not (number := plain(pmid)).isdecimal():
        raise Inconsistent(f"a {element.tag} came without a PMID")
    article = citation if book else citation.find("Article")
    if article is None:
        article = citation  # a record without an Article is one that says little
    own = _identifiers(element, article)
    when = _published(element, citation, article)
    raw = etree.tostring(element, encoding="utf-8", xml_declaration=False, with_tail=False)
    issue = article.find("Journal/JournalIssue")
    types = tuple(_types(article, book=book))
    return Record(
        source=SOURCE,
        identifier=int(number),
        version=int(pmid.get("Version") or "1"),
        digest=hashlib.sha256(raw).digest(),
        doi=own.get("doi"),
        pmcid=own.get("pmc"),
        title=_title(article),
        abstract=_abstract(article),
        journal=text_at(article, "Journal/Title", "Journal/ISOAbbreviation", "Book/BookTitle")
        or text_at(citation, "MedlineJournalInfo/MedlineTA"),
        year=when.year,
        date=when.date,
        type="; ".join(types) or None,
        language="; ".join(plain(each).lower() for each in article.findall("Language")) or None,
        authors=tuple(_authors(article)),
        mesh=tuple(_mesh(citation)),
        volume=None if issue is None else text_at(issue, "Volume"),
        issue=None if issue is None else text_at(issue, "Issue"),
        pages=text_at(article, "Pagination/MedlinePgn", "ELocationID[@EIdType='pii']"),
        publisher=text_at(article, "Book/Publisher/PublisherName"),
        issn="; ".join(_distinct(article.findall("Journal/ISSN"))) or None,
        isbn="; ".join(_distinct(article.findall("Book/Isbn"))) or None,
        raw=raw,
        links=links_of_citation(citation, types, when.date),
    )


def _distinct(elements: Iterable[etree._Element]) -> list[str]:
    return list(dict.fromkeys(text for each in elements if (text := plain(each))))


def _check_root(root: etree._Element) -> None:
    if root.tag in ROOTS:
        return
    if str(root.tag).lower() == "html":
        raise NotXML("the service answered with an HTML page in place of records")
    raise NotXML(f"the service answered with <{root.tag}> in place of a PubmedArticleSet")


def _forget(element: etree._Element) -> None:
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def _unreadable(stream: IO[bytes], *, started: bool, error: etree.XMLSyntaxError) -> EmptyBody | NotXML | Truncated:
    if started:
        return Truncated(f"the records end early or are damaged: {error.msg}")
    if stream.seekable():
        stream.seek(0)
        head = stream.read(512)
        if not head.strip():
            return EmptyBody("the service answered with nothing")
        if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<?xml", b"<Pubmed", b"<!DOCTYPE Pubmed")):
            return NotXML(f"the service answered with something that is not XML: {head[:60]!r}")
    return Truncated(f"the records cannot be read: {error.msg}")


def _identifiers(element: etree._Element, article: etree._Element) -> dict[str, str]:
    """Return the record's own DOI (normal form) and PMCID.

    They stand in the ArticleIdList that is a direct child of the record's data, or, a DOI, in the article's
    ELocationID unless ValidYN is N. A book's own ELocationID is a chapter's only if there is no chapter.
    """
    places = ("PubmedData/ArticleIdList", "BookDocument/ArticleIdList", "PubmedBookData/ArticleIdList")
    own = [(each.get("IdType"), each) for place in places for each in element.findall(f"{place}/ArticleId")]
    whole_book = article.find("Book") is not None and article.find("ArticleTitle") is None
    located = article.findall("Book/ELocationID" if whole_book else "ELocationID")
    own += [(each.get("EIdType"), each) for each in located if each.get("ValidYN") != "N"]
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
    for each in article.findall("Abstract/AbstractText"):
        text, label = plain(each), " ".join((each.get("Label") or "").split())
        if text:
            sections.append(f"{label}: {text}" if label and label.upper() != "UNLABELLED" else text)
    return "\n\n".join(sections) or None


def _published(element: etree._Element, citation: etree._Element, article: etree._Element) -> Published:
    places = (
        article.find("Journal/JournalIssue/PubDate"),
        article.find("ArticleDate"),
        citation.find("Book/PubDate"),
        citation.find("ContributionDate"),
        element.find("PubmedData/History/PubMedPubDate[@PubStatus='pubmed']"),
        element.find("PubmedData/History/PubMedPubDate[@PubStatus='entrez']"),
        citation.find("DateCompleted"),
    )
    return published(place for place in places if place is not None)


def _types(article: etree._Element, *, book: bool) -> Iterator[str]:
    if book:
        yield "Book Chapter" if article.find("ArticleTitle") is not None else "Book"
    for each in article.findall("PublicationTypeList/PublicationType") + article.findall("PublicationType"):
        if text := plain(each):
            yield text


def _authors(article: etree._Element) -> Iterator[Author]:
    """Iterate the authors in their order: a chapter's own, else the book's, never its editors."""
    listed = [each for each in article.findall("AuthorList") if each.get("Type", "authors") == "authors"]
    listed = listed or [each for each in article.findall("Book/AuthorList") if each.get("Type", "authors") == "authors"]
    for each in (author for authors in listed for author in authors.findall("Author")):
        if each.get("ValidYN") == "N":
            continue  # an earlier spelling; the valid one stands beside it
        named: dict[str, str] = {}
        for child in each:  # a look for each name costs more
            named.setdefault(str(child.tag), plain(child))
        places = [plain(place) for place in each.findall("AffiliationInfo/Affiliation") + each.findall("Affiliation")]
        orcids = [ORCID.search(plain(mark)) for mark in each.findall("Identifier") if mark.get("Source") == "ORCID"]
        last, fore, initials, suffix, body = (named.get(name) or None for name in NAMES)
        yield Author(
            last=last,
            fore=fore,
            initials=initials,
            suffix=suffix,
            collective=body,
            affiliation="\n".join(place for place in places if place) or None,
            orcid=next(("-".join(match.groups()).upper() for match in orcids if match), None),
        )


def _mesh(citation: etree._Element) -> Iterator[Heading]:
    for each in citation.findall("MeshHeadingList/MeshHeading"):
        name = each.find("DescriptorName")
        if name is None:
            continue
        descriptor, ui, major = plain(name), name.get("UI"), name.get("MajorTopicYN") == "Y"
        qualifiers = each.findall("QualifierName")
        for said in qualifiers:
            yield Heading(descriptor, ui, plain(said), said.get("UI"), major or said.get("MajorTopicYN") == "Y")
        if not qualifiers:
            yield Heading(descriptor, ui, None, None, major)
