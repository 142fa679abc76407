"""The replica answers as PubMed does: searches, dates, caps, history, fetches, calendar."""

from __future__ import annotations

import datetime
import gzip
import http.client
import json
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from leftoff.testing.ncbi_process import Running, serve
from leftoff.testing.ncbi_records import RECORD, Library
from tests.testing import naive

CHECKOUT = Path(__file__).parents[2]
SHIPPED = CHECKOUT / "examples" / "papers" / "records"
SHARED = CHECKOUT.parent / "shared" / "papers-data" / "pubmed"
DATA = SHARED if SHARED.is_dir() else SHIPPED
FREELY = ("--limit", "0", "--today", "2026-01-05")
TODAY = datetime.date(2026, 1, 5)


@pytest.fixture(scope="module")
def replica() -> Iterator[Running]:
    with serve(DATA, *FREELY) as running:
        yield running


@pytest.fixture(scope="module")
def many() -> Iterator[Running]:
    with serve(SHIPPED, *FREELY, "--clones", "25000", "--clones-on", "2025-03-01") as running:
        yield running


def call(
    running: Running, tool: str, *, get: bool = False, **params: object
) -> tuple[int, bytes, http.client.HTTPMessage]:
    form = urllib.parse.urlencode({"db": "pubmed"} | params)
    url = f"{running.eutils}/{tool}.fcgi"
    try:
        with urllib.request.urlopen(f"{url}?{form}" if get else url, None if get else form.encode()) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


def search(running: Running, term: str, **params: object) -> ET.Element:
    status, body, _ = call(running, "esearch", term=term, **params)
    assert status == 200
    return ET.fromstring(body)


def count(running: Running, term: str, **params: object) -> int:
    return int(search(running, term, retmax=0, **params).findtext("Count", ""))


def ids(running: Running, term: str, **params: object) -> list[str]:
    return [element.text or "" for element in search(running, term, **params).iter("Id")]


def fetch(running: Running, *pmids: object, **params: object) -> list[str]:
    _, body, _ = call(running, "efetch", id=",".join(map(str, pmids)), retmode="xml", **params)
    return [record.findtext(".//PMID", "") for record in ET.fromstring(body)]


def test_every_real_record_is_served_as_its_file_has_it(replica: Running) -> None:
    """A fetch by id, by GET or POST, returns the bytes that NLM produced, books included."""
    library = Library(DATA)
    _, body, _ = call(replica, "efetch", id=",".join(map(str, library.records)), retmode="xml")
    served = {match.group() for match in RECORD.finditer(body)}
    assert served == {record.versions[0].raw for record in library.records.values()}
    first = next(iter(library.records))
    assert call(replica, "efetch", id=first, get=True)[1] == call(replica, "efetch", id=first)[1]


def test_a_book_is_served_and_lost_by_who_looks_for_articles_only() -> None:
    """PubmedBookArticle comes among the articles; a client that iterates over PubmedArticle loses it."""
    with serve(SHIPPED, *FREELY) as running:
        everything = naive.harvest(running.eutils, "all[sb]")
        articles = naive.harvest(running.eutils, "all[sb]", kind="PubmedArticle")
    assert everything.keys() - articles.keys() == {"29465922"}
    assert len(everything) == 120


def test_a_search_returns_20_ids_unless_asked_for_more(replica: Running) -> None:
    """The default page is 20 ids; Count is that of all."""
    found = search(replica, "all[sb]")
    assert len(list(found.iter("Id"))) == 20
    assert int(found.findtext("Count", "")) == len(Library(DATA).records)
    assert len(set(ids(replica, "all[sb]", retmax=10_000))) == len(Library(DATA).records)


def test_only_the_first_9999_can_be_reached(many: Running) -> None:
    """Past the cap the page is adjusted with a warning, then refused by an ERROR under 200, while Count stays exact."""
    found = search(many, "all[sb]", retmax=10_000)
    assert (found.findtext("Count"), found.findtext("RetMax"), len(list(found.iter("Id")))) == ("25000", "9999", 9999)
    assert found.findtext(".//OutputMessage") == "Restrictions achieved. start and count adjusted to 0, 9999"
    last = search(many, "all[sb]", retstart=9998, retmax=10)
    assert len(list(last.iter("Id"))) == 1
    assert last.findtext(".//OutputMessage") == "Restrictions achieved. start and count adjusted to 9998, 1"
    error = search(many, "all[sb]", retstart=9999).findtext("ERROR", "")
    assert error.startswith("Search Backend failed: Exception:\n'retstart' cannot be larger than 9998.")


def test_past_the_cap_the_json_is_invalid(many: Running) -> None:
    """In JSON the raw line feed of that error is what breaks the parser; an ordinary answer is fine."""
    status, body, _ = call(many, "esearch", term="all[sb]", retstart=9999, retmode="json")
    assert status == 200
    with pytest.raises(json.JSONDecodeError, match="Invalid control character"):
        json.loads(body)
    result = json.loads(call(many, "esearch", term="all[sb]", retmode="json", usehistory="y")[1])["esearchresult"]
    assert (result["count"], len(result["idlist"]), result["querykey"]) == ("25000", 20, "1")
    assert result["webenv"]


def test_one_day_above_the_cap_is_split_by_uid(many: Running) -> None:
    """A day that holds more than 9,999 records cannot be narrowed by date; UID ranges part it exactly."""
    day = {"datetype": "edat", "mindate": "2025/03/01", "maxdate": "2025/03/01"}
    assert count(many, "all[sb]", **day) == 24_880
    parts = [f"{low}:{low + 4999}[UID]" for low in range(50_000_000, 50_025_000, 5_000)]
    assert sum(count(many, f"(all[sb]) AND {part}", **day) for part in parts) == 24_880
    assert ids(many, parts[0], retmax=10_000, **day) != []


def test_date_windows_part_all_records(replica: Running) -> None:
    """Each record has one day of each type: adjoining windows add up, borders included, however a date is written."""
    total = len(Library(DATA).records)
    for kind in ("edat", "crdt", "mdat", "pdat"):
        whole = count(replica, "all[sb]", datetype=kind, mindate="1000", maxdate="3000")
        halves = [("1000/01/01", "2010/06/30"), ("2010/07", "2015"), ("2016/01/01", "3000/12/31")]
        assert (kind, whole) == (kind, total)
        assert sum(count(replica, "all[sb]", datetype=kind, mindate=low, maxdate=high) for low, high in halves) == total
    written = count(replica, '("2010/07/01"[EDAT] : "2015/12/31"[EDAT])')
    assert written == count(replica, "all[sb]", datetype="edat", mindate="2010/07", maxdate="2015") > 0


def test_one_date_alone_is_ignored_and_reldate_counts_back(replica: Running) -> None:
    """A mindate without maxdate changes nothing; reldate is the window of the last days."""
    total = len(Library(DATA).records)
    assert count(replica, "all[sb]", datetype="edat", mindate="2020/01/01") == total
    days = (TODAY - datetime.date(2019, 1, 1)).days
    expected = count(replica, "all[sb]", datetype="edat", mindate="2019/01/01", maxdate="2026/01/05")
    assert count(replica, "all[sb]", datetype="edat", reldate=days) == expected > 0


def test_a_date_that_is_none_is_an_error(replica: Running) -> None:
    """An impossible date and an empty term are answered by an ERROR element under 200."""
    assert search(replica, "all[sb]", mindate="2019/02/31", maxdate="2019/03/01").findtext("ERROR")
    assert search(replica, "  ").findtext("ERROR") == "Empty term and query_key - nothing todo"


def test_the_order_within_a_day_changes_from_call_to_call(many: Running) -> None:
    """Two equal searches list the same records in different orders."""
    day = {"datetype": "edat", "mindate": "2025/03/01", "maxdate": "2025/03/01", "retmax": 10_000}
    pages = [ids(many, "50000000:50000999[UID]", **day) for _ in range(2)]
    assert pages[0] != pages[1]
    assert set(pages[0]) == set(pages[1])


def test_a_stored_search_is_fetched_by_its_webenv(replica: Running) -> None:
    """A fetch by WebEnv and query key pages through a stored search; a wrong one of either is an ERROR."""
    found = search(replica, "4:1000[UID] OR 29465922[UID]", usehistory="y", retmax=0)
    keys = {"WebEnv": found.findtext("WebEnv"), "query_key": found.findtext("QueryKey")}
    total = int(found.findtext("Count", ""))
    pages = [
        ET.fromstring(call(replica, "efetch", **keys, retstart=start, retmax=2)[1]) for start in range(0, total, 2)
    ]
    assert len({record.findtext(".//PMID") for page in pages for record in page}) == total > 2
    for wrong in ({"WebEnv": "MCID_0"}, {"query_key": "9"}):
        status, body, _ = call(replica, "efetch", **(keys | wrong))
        assert status in (200, 400)
        assert ET.fromstring(body).findtext("ERROR")


def test_a_stored_search_expires() -> None:
    """After --webenv-life a WebEnv is gone."""
    with serve(SHIPPED, *FREELY, "--webenv-life", "0") as running:
        found = search(running, "all[sb]", usehistory="y")
        body = call(running, "efetch", WebEnv=found.findtext("WebEnv"), query_key=1)[1]
    assert ET.fromstring(body).findtext("ERROR")


def test_too_many_ids_in_a_get_are_refused(replica: Running) -> None:
    """More than 300 ids in a GET are a 414; a POST takes them."""
    pmids = ",".join(str(number) for number in range(1, 400))
    assert call(replica, "efetch", id=pmids, get=True)[0] == 414
    assert call(replica, "efetch", id=pmids)[0] == 200


def test_unknown_ids_are_silently_absent(replica: Running) -> None:
    """An id without a record is left out; a list without a single id is a 400 that says so."""
    assert fetch(replica, 4, 999_999_999) == ["4"]
    status, body, _ = call(replica, "efetch", id="999999999")
    assert (status, list(ET.fromstring(body))) == (200, [])
    status, body, _ = call(replica, "efetch", id="abc,0")
    assert (status, ET.fromstring(body).findtext("ERROR")) == (400, "ID list is empty! Possibly it has no correct IDs.")
    assert fetch(replica, 4, 4, 14) == ["4", "14"]


def test_the_doctype_is_that_of_the_year(replica: Running) -> None:
    """The document type names the DTD of the replica's calendar year."""
    assert b"https://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_260101.dtd" in call(replica, "efetch", id=4)[1]


def test_gzip_is_sent_to_who_accepts_it(replica: Running) -> None:
    """The body is compressed exactly when the request accepts gzip."""
    plain = call(replica, "efetch", id=4)[1]
    request = urllib.request.Request(f"{replica.eutils}/efetch.fcgi?id=4", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(answer.read()) == plain


def test_a_connection_is_kept(replica: Running) -> None:
    """Several requests, errors among them, go over one connection."""
    address = urllib.parse.urlsplit(replica.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    for pmid in ("4", "x", "14", "15"):
        connection.request("GET", f"/entrez/eutils/efetch.fcgi?id={pmid}")
        assert connection.getresponse().read()
    connection.close()
    assert len({entry["port"] for entry in replica.log()[-4:]}) == 1


def test_clones_are_announced() -> None:
    """Clones have their own PMIDs and DOIs, say in a comment what they are, and are counted apart."""
    with serve(SHIPPED, *FREELY, "--clones", "300") as running:
        about = running.ask()
        papers = naive.harvest(running.eutils, "all[sb]")
        _, body, _ = call(running, "efetch", id="50000000")
        announced = running.errors.read_text()
    assert (about["real_records"], about["clones"], len(papers)) == (120, 180, 300)
    dois = [doi for _, doi in papers.values() if doi]
    assert len(dois) == len(set(dois))
    assert re.search(rb"<!-- clone of PMID \d+, made by the replica -->", body)
    assert "180 CLONES" in announced


def test_clones_take_no_memory_of_their_own() -> None:
    """A million clones are as many entries in memory as the real records are."""
    library = Library(SHIPPED, clones=1_000_000)
    assert len(library.groups) == 2 * len(library.records)
    assert b"50999000" in (library.fetch(50_999_000) or b"")
    assert library.fetch(51_000_000) is None


def test_a_record_appears_on_its_day() -> None:
    """Before its entry date a record is neither found nor fetched; from that day on it is."""
    library = Library(SHIPPED)
    newest = max(library.records.values(), key=lambda record: record.edat)
    eve = datetime.date.fromordinal(newest.edat - 1)
    with serve(SHIPPED, "--limit", "0", "--today", str(eve)) as running:
        before = set(ids(running, "all[sb]", retmax=10_000))
        assert fetch(running, newest.pmid) == []
        running.ask("today", date=str(eve + datetime.timedelta(days=1)))
        assert set(ids(running, "all[sb]", retmax=10_000)) - before == {str(newest.pmid)}
        assert fetch(running, newest.pmid) == [str(newest.pmid)]


def test_a_second_version_appears_on_the_next_day() -> None:
    """Another real version of a record replaces it when a day has passed, and is found by its modification date."""
    with serve(SHIPPED, *FREELY) as running:
        before = call(running, "efetch", id=4)[1]
        window = {"datetype": "mdat", "mindate": "2026/01/06", "maxdate": "2026/01/06"}
        assert ids(running, "all[sb]", **window) == []
        running.ask("today", date="2026-01-06")
        assert ids(running, "all[sb]", **window) == ["4"]
        assert call(running, "efetch", id=4)[1] != before


def test_a_deleted_record_is_gone_on_the_next_day(tmp_path: Path) -> None:
    """A DeleteCitation takes its records away when a day has passed; /replica/delete does so at once."""
    (tmp_path / "a.xml").write_bytes((SHIPPED / "net-synergy.xml").read_bytes())
    (tmp_path / "b.xml").write_text(
        "<PubmedArticleSet><DeleteCitation><PMID>14</PMID></DeleteCitation></PubmedArticleSet>"
    )
    with serve(tmp_path, *FREELY) as running:
        assert fetch(running, 4, 14) == ["4", "14"]
        running.ask("today", date="2026-01-06")
        assert fetch(running, 4, 14) == ["4"]
        assert ids(running, "4:14[UID]") == ["4"]
        running.ask("delete", id="4")
        assert ids(running, "4:14[UID]") == []


def test_several_processes_are_served_at_once(replica: Running) -> None:
    """Four clients in processes of their own all get everything."""
    script = f"from tests.testing.naive import harvest; print(len(harvest({replica.eutils!r}, 'all[sb]', batch=50)))"
    clients = [
        subprocess.Popen([sys.executable, "-c", script], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert {client.communicate()[0].strip() for client in clients} == {str(len(Library(DATA).records))}


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    """A folder that holds no record ends the start with what was looked for."""
    with pytest.raises(RuntimeError, match=r"no PubmedArticle in .*: name a directory"), serve(tmp_path):
        pass


def test_the_first_line_is_the_address() -> None:
    """The first line on stdout is `listening on http://127.0.0.1:PORT`, and SIGTERM ends the replica with 0."""
    command = [sys.executable, "-m", "leftoff.testing.ncbi", "--data", str(SHIPPED)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert re.fullmatch(r"listening on http://127\.0\.0\.1:\d+\n", process.stdout.readline())
        process.terminate()
    assert process.returncode == 0
