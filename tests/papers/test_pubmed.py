"""PubMed's XML, read from real records; what none of them shows is made here after NLM's format and says so."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from leftoff.papers import pubmed
from leftoff.papers.record import Record
from leftoff.papers.reply import EmptyBody, ErrorElement, Inconsistent, NotXML, Truncated
from tests.papers.conftest import RealRecords

HEAD = (
    b'<?xml version="1.0" ?>\n<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January 2027//EN"'
    b' "http://127.0.0.1:9/pubmed_270101.dtd">\n'
)

MADE = """<PubmedArticle><MedlineCitation><PMID Version="2">{pmid}</PMID><Article>
<Journal><JournalIssue><PubDate>{date}</PubDate></JournalIssue><Title>Made</Title></Journal>
<ArticleTitle>{title}</ArticleTitle>{more}<Language>ENG</Language></Article>
<CommentsCorrectionsList><CommentsCorrections><PMID>77</PMID></CommentsCorrections></CommentsCorrectionsList>
</MedlineCitation><PubmedData><ArticleIdList>{ids}</ArticleIdList><ReferenceList><Reference><ArticleIdList>
<ArticleId IdType="doi">10.9999/cited</ArticleId><ArticleId IdType="pmc">PMC77</ArticleId></ArticleIdList></Reference>
</ReferenceList></PubmedData></PubmedArticle>"""

BOOK = """<PubmedBookArticle><BookDocument><PMID Version="1">20301295</PMID>
<ArticleIdList><ArticleId IdType="bookaccession">NBK1116</ArticleId></ArticleIdList>
<Book><BookTitle book="gene">GeneReviews</BookTitle><PubDate><Year>1993</Year></PubDate>
<AuthorList Type="editors"><Author><LastName>Editor</LastName></Author></AuthorList>
<ELocationID EIdType="doi">10.1000/book</ELocationID></Book>
{chapter}<Language>eng</Language>
<AuthorList Type="authors"><Author><LastName>Writer</LastName><Initials>A</Initials></Author></AuthorList>
<PublicationType UI="D016454">Review</PublicationType><Abstract><AbstractText>Text.</AbstractText></Abstract>
</BookDocument><PubmedBookData><ArticleIdList><ArticleId IdType="pubmed">20301295</ArticleId></ArticleIdList>
</PubmedBookData></PubmedBookArticle>"""


def made(
    *, pmid: str = "1", date: str = "<Year>2001</Year>", title: str = "T", more: str = "", ids: str = ""
) -> Record:
    """Return a record made for a test."""
    text = MADE.format(pmid=pmid, date=date, title=title, more=more, ids=ids)
    (record,) = pubmed.records(HEAD + f"<PubmedArticleSet>{text}</PubmedArticleSet>".encode())
    return record


def test_every_real_record_parses(real: RealRecords, every_record: list[Record]) -> None:
    """No record is lost, and each has what every record of PubMed has."""
    tags = sum(len(re.findall(rb"<Pubmed(?:Book)?Article[ >]", data)) for data in real.files())
    assert len(every_record) == tags > 0
    assert len({record.pmid for record in every_record}) == (real.total or tags)
    for record in every_record:
        assert record.title
        assert record.journal
        assert record.type
        assert record.language
        assert record.year is not None
        assert record.date is not None
        assert record.date.startswith(str(record.year))
        assert all(author.name for author in record.authors)


def test_own_dois_are_those_that_were_counted(real: RealRecords, every_record: list[Record]) -> None:
    """Of the real records just those have a DOI that were counted to have one of their own; none is shared."""
    dois = [record.doi for record in every_record if record.doi]
    assert len(set(dois)) == len(dois)
    if real.with_doi is not None:
        assert len(dois) == real.with_doi
        assert len(every_record) - len(dois) == 253
    else:
        assert dois


def test_a_cited_work_lends_no_identifier() -> None:
    """DOIs, PMCIDs and PMIDs of references and comments are not the record's."""
    record = made()
    assert (record.pmid, record.doi, record.pmcid) == ("1", None, None)


@pytest.mark.parametrize(
    ("ids", "more", "doi"),
    [
        ('<ArticleId IdType="doi">10.1000/A</ArticleId>', "", "10.1000/a"),
        ("", '<ELocationID EIdType="doi" ValidYN="Y">10.1000/b</ELocationID>', "10.1000/b"),
        ("", '<ELocationID EIdType="doi">10.1000/b</ELocationID>', "10.1000/b"),
        ("", '<ELocationID EIdType="doi" ValidYN="N">10.1000/b</ELocationID>', None),
        ("", '<ELocationID EIdType="pii">10.1000/b</ELocationID>', None),
        ('<ArticleId IdType="doi">none</ArticleId>', '<ELocationID EIdType="doi">10.1000/b</ELocationID>', "10.1000/b"),
    ],
)
def test_an_own_doi_stands_in_two_places(ids: str, more: str, doi: str | None) -> None:
    """The DOI comes from the record's id list, else from a valid location; what is no DOI is passed over."""
    assert made(ids=ids, more=more).doi == doi


def test_a_pmcid_is_written_one_way() -> None:
    """The version that some PMCIDs carry is not part of them."""
    assert made(ids='<ArticleId IdType="pmc">PMC123.2</ArticleId>').pmcid == "PMC123"


@pytest.mark.parametrize(
    ("date", "year", "exact"),
    [
        ("<Year>2019</Year><Month>Mar</Month><Day>5</Day>", 2019, "2019-03-05"),
        ("<Year>2019</Year><Month>03</Month>", 2019, "2019-03"),
        ("<Year>2019</Year><Season>Winter</Season>", 2019, "2019"),
        ("<Year>2019</Year><Month>Jun</Month><Day>31</Day>", 2019, "2019-06"),
        ("<MedlineDate>1998 Dec-1999 Jan</MedlineDate>", 1998, "1998-12"),
        ("<MedlineDate>2000 Sep/Oct</MedlineDate>", 2000, "2000-09"),
        ("<MedlineDate>1979-1980</MedlineDate>", 1979, "1979"),
        ("<MedlineDate>Spring 2000</MedlineDate>", 2000, "2000"),
        ("<MedlineDate>2007 May 19-26</MedlineDate>", 2007, "2007-05-19"),
        ("<MedlineDate>undated</MedlineDate>", None, None),
    ],
)
def test_dates_are_as_exact_as_they_are_known(date: str, year: int | None, exact: str | None) -> None:
    """Year, month and day, a season, and what Medline says in words come to one form."""
    record = made(date=date)
    assert (record.year, record.date) == (year, exact)


def test_markup_is_read_as_text() -> None:
    """Subscripts, formulas and comments leave their words, not their mark-up."""
    record = made(title="H<sub>2</sub>O and\n <i>E. <b>coli</b></i><!-- no --> &#233;")
    assert record.title == "H2O and E. coli é"


def test_a_title_that_is_not_available_gives_way() -> None:
    """A record without an English title shows the one in its own language."""
    more = "<VernacularTitle>Über alles</VernacularTitle>"
    assert made(title="[Not Available].", more=more).title == "Über alles"
    assert made(title="[On everything].", more=more).title == "[On everything]."


def test_a_structured_abstract_keeps_its_labels() -> None:
    """Each section is a paragraph, led by its label; a copyright line is none."""
    more = (
        '<Abstract><AbstractText Label="AIM">Find <i>x</i>.</AbstractText><AbstractText>More.</AbstractText>'
        "<CopyrightInformation>(c)</CopyrightInformation></Abstract>"
    )
    assert made(more=more).abstract == "AIM: Find x.\n\nMore."


def test_authors_keep_their_order() -> None:
    """People and bodies stand in their order with affiliations and ORCIDs; a superseded spelling is left out."""
    more = """<AuthorList><Author ValidYN="Y"><LastName>Lee</LastName><ForeName>Ann</ForeName><Suffix>Jr</Suffix>
    <Identifier Source="ORCID">http://orcid.org/000000021825009x</Identifier>
    <AffiliationInfo><Affiliation>A.</Affiliation></AffiliationInfo>
    <AffiliationInfo><Affiliation>B.</Affiliation></AffiliationInfo></Author>
    <Author ValidYN="N"><LastName>Lea</LastName></Author>
    <Author ValidYN="Y"><CollectiveName>The Group</CollectiveName></Author></AuthorList>"""
    first, second = made(more=more).authors
    assert (first.name, first.orcid, first.affiliation) == ("Ann Lee Jr", "0000-0002-1825-009X", "A.\nB.")
    assert (second.name, second.collective) == ("The Group", "The Group")


def test_real_orcids_have_one_form(every_record: list[Record]) -> None:
    """ORCIDs come as URLs, with and without hyphens; all are read, and to one form."""
    orcids = [author.orcid for record in every_record for author in record.authors if author.orcid]
    assert all(re.fullmatch(r"(?:\d{4}-){3}\d{3}[\dX]", orcid) for orcid in orcids)
    written = sum(record.raw.count(b'Source="ORCID"') for record in every_record)
    assert len(orcids) == written > 0


def test_mesh_headings_come_with_their_qualifiers(every_record: list[Record]) -> None:
    """Each qualifier is a heading; it is major if it or its descriptor is."""
    with_mesh = [record for record in every_record if record.mesh]
    assert with_mesh
    assert any(heading.qualifier and heading.major for record in with_mesh for heading in record.mesh)
    for record in with_mesh:
        bare = len(re.findall(rb"<DescriptorName", record.raw))
        assert len(record.mesh) >= bare


def test_a_chapter_of_a_book_parses() -> None:
    """A chapter (made, after NLM's format) has its own title and authors, and not the DOI of the book around it."""
    (record,) = pubmed.records(
        f"<PubmedArticleSet>{BOOK.format(chapter='<ArticleTitle>A chapter</ArticleTitle>')}</PubmedArticleSet>".encode()
    )
    assert (record.pmid, record.title, record.journal) == ("20301295", "A chapter", "GeneReviews")
    assert (record.doi, record.year, record.type) == (None, 1993, "Book Chapter; Review")
    assert [author.name for author in record.authors] == ["A Writer"]


def test_a_whole_book_parses() -> None:
    """A book (made, after NLM's format) shows its title, and its DOI is its own."""
    (record,) = pubmed.records(f"<PubmedArticleSet>{BOOK.format(chapter='')}</PubmedArticleSet>".encode())
    assert (record.title, record.doi, record.type) == ("GeneReviews", "10.1000/book", "Book; Review")


CHAPTER = b"<PubmedBookArticle><BookDocument>%b</BookDocument></PubmedBookArticle>"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", EmptyBody),
        (b" \n", EmptyBody),
        (b"<html><body/></html>", NotXML),
        (b"<!DOCTYPE html>\n<html><head><title>x</title></head><body><p>a<br></body></html>", NotXML),
        (b'{"error":"API rate limit exceeded"}', NotXML),
        (b"Database is not supported: pubmed", NotXML),
        (b'<?xml version="1.0"?><eFetchResult><ERROR>Error: 502</ERROR></eFetchResult>', ErrorElement),
        (b"<PubmedArticleSet><ERROR>x</ERROR></PubmedArticleSet>", ErrorElement),
        (b"<eFetchResult></eFetchResult>", Inconsistent),
        (b"<PubmedArticleSet><PubmedArticle>", Truncated),
        (b'<?xml version="1.0"?>', Truncated),
        (b"<PubmedArticleSet><PubmedArticle><MedlineCitation/></PubmedArticle></PubmedArticleSet>", Inconsistent),
        (b"<PubmedBookArticleSet>" + CHAPTER % b'<PMID Version="b">1</PMID>', Inconsistent),
    ],
)
def test_what_is_no_set_never_looks_like_one(body: bytes, error: type[Exception]) -> None:
    """Errors, foreign pages, nothing at all and torn sets raise what they are, each by its own name."""
    with pytest.raises(error):
        list(pubmed.records(body))


def test_an_empty_set_is_a_result() -> None:
    """A set without records is what the service sends for ids that it does not know."""
    assert list(pubmed.records(HEAD + b"<PubmedArticleSet></PubmedArticleSet>")) == []


def test_a_real_set_cut_anywhere_raises(real: RealRecords) -> None:
    """A set that ends early raises wherever it was cut, so that its whole records cannot pass for all of them."""
    data = min(real.files(), key=len)
    whole = data.rstrip()
    for cut in range(1, len(whole), max(1, len(whole) // 60)):
        with pytest.raises((Truncated, NotXML)):
            list(pubmed.records(whole[:cut]))


def test_no_entity_is_expanded_and_nothing_is_loaded(tmp_path: Path) -> None:
    """An entity that names a file brings nothing of the file into the text, and one of the set's own stays a name."""
    secret = tmp_path / "secret"
    secret.write_text("PRIVATE")
    head = f'<!DOCTYPE PubmedArticleSet [<!ENTITY file SYSTEM "{secret.as_uri()}"><!ENTITY own "ha">]>'
    text = MADE.format(pmid=1, date="", title="a&file;b&own;c", more="", ids="")
    (record,) = pubmed.records(f"{head}<PubmedArticleSet>{text}</PubmedArticleSet>".encode())
    assert record.title == "a&file;b&own;c"


def test_an_entity_that_multiplies_itself_does_not_grow() -> None:
    """A billion laughs are refused or left as a name, depending on the XML library, and never laughed."""
    bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    text = MADE.format(pmid=1, date="", title="a&e11;c", more="", ids="")
    body = f'<!DOCTYPE PubmedArticleSet [<!ENTITY e0 "ha">{bomb}]><PubmedArticleSet>{text}</PubmedArticleSet>'
    try:
        (record,) = pubmed.records(body.encode())
    except Truncated:
        return
    assert record.title == "a&e11;c"


def test_deletions_in_a_set_are_passed_over() -> None:
    """A DeleteCitation block of the bulk files is no record."""
    body = b"<PubmedArticleSet><DeleteCitation><PMID>5</PMID></DeleteCitation></PubmedArticleSet>"
    assert list(pubmed.records(body)) == []


def test_records_come_while_the_set_is_read() -> None:
    """The first record is there before the last one was read, so that memory holds one at a time."""
    one = MADE.format(pmid=1, date="", title="T", more="", ids="")
    stream = io.BytesIO(f"<PubmedArticleSet>{one * 3000}</PubmedArticleSet>".encode())
    found = pubmed.records(stream)
    next(found)
    assert stream.tell() < len(stream.getvalue()) / 2
    found.close()


def test_the_raw_text_reads_back_as_the_same_record(every_record: list[Record]) -> None:
    """What is kept of a record is enough to make the record again."""
    for record in every_record[::25]:
        (again,) = pubmed.records(b"<PubmedArticleSet>" + record.raw + b"</PubmedArticleSet>")
        assert again == record
