"""The client of PubMed's E-utilities.

Single answers come from httpx's MockTransport, a mock of the transport alone; whole conversations from the replica.
"""

from __future__ import annotations

import itertools
import json
import time
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from leftoff.errors import ServiceRefused, UsageError
from leftoff.papers import entrez as client
from leftoff.papers.entrez import Entrez
from leftoff.papers.record import Record
from leftoff.papers.reply import Rejected
from leftoff.papers.windows import Window, everything, walk
from leftoff.work.retry import after
from tests.papers.conftest import RealRecords

DAY = date(2026, 7, 1)
ALL = everything(DAY)
KEY = "0123456789abcdef"
FOUND = b"<eSearchResult><Count>2</Count><IdList><Id>7</Id><Id>8</Id></IdList></eSearchResult>"
SET = "<PubmedArticleSet>{}</PubmedArticleSet>"
RECORD = "<PubmedArticle><MedlineCitation><PMID>{}</PMID><Article/></MedlineCitation></PubmedArticle>"

Answer = httpx.Response | Exception


def a_set(*pmids: int) -> httpx.Response:
    """Return an answer with bare records."""
    return httpx.Response(200, text=SET.format("".join(map(RECORD.format, pmids))))


class Mock:
    """Answer from a list (a mock), and keep what was sent."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, str, dict[str, str]]] = []
        self.waits: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        fields = dict(urllib.parse.parse_qsl(request.content.decode()))
        self.sent.append((request.method, request.url.path, fields))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def entrez(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Entrez]]:
    """Make clients of a mock that wait for nothing but what they write down."""
    monkeypatch.setattr(client, "SPACING", 1e-6)
    monkeypatch.setattr(client, "SPACING_WITH_KEY", 1e-6)
    made: list[Entrez] = []

    def make(mock: Mock, url: str = "http://replica.test/eutils", **options: object) -> Entrez:
        one = Entrez(url, sleep=mock.waits.append, transport=httpx.MockTransport(mock), **options)  # type: ignore[arg-type]
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


def test_a_search_is_posted_with_tool_and_email(entrez: Callable[..., Entrez]) -> None:
    """Each request is a POST that says who asks; a window is a date type with both of its days."""
    mock = Mock(httpx.Response(200, content=FOUND), httpx.Response(200, content=FOUND), a_set(7))
    one = entrez(mock, email="a@b.org", api_key=KEY)
    assert one.search("asthma", ALL).pmids == ("7", "8")
    one.search("asthma OR x", Window("mdat", date(2026, 1, 2), DAY, 5, 9))
    one.fetch(["7"])
    assert {method for method, _, _ in mock.sent} == {"POST"}
    assert [path for _, path, _ in mock.sent] == ["/eutils/esearch.fcgi"] * 2 + ["/eutils/efetch.fcgi"]
    for _, _, fields in mock.sent:
        assert (fields["tool"], fields["email"], fields["api_key"]) == ("leftoff", "a@b.org", KEY)
    whole, part, fetch = (fields for _, _, fields in mock.sent)
    assert whole["term"] == "asthma"
    assert "mindate" not in whole
    assert part["term"] == "(asthma OR x) AND 5:9[UID]"
    assert (part["datetype"], part["mindate"], part["maxdate"]) == ("mdat", "2026/01/02", "2026/07/01")
    assert fetch["id"] == "7"
    assert one.requests == 3


BAD_SEARCHES = [
    httpx.Response(429, json={"error": "API rate limit exceeded"}, headers={"Retry-After": "0"}),
    httpx.Response(500, html="<html>no</html>"),
    httpx.Response(502, html="<html>no</html>"),
    httpx.Response(504),
    httpx.Response(408),
    httpx.Response(400, text="<eFetchResult><ERROR>502 Bad Gateway</ERROR></eFetchResult>"),
    httpx.Response(200, text="<eSearchResult><ERROR>Search Backend failed</ERROR></eSearchResult>"),
    httpx.Response(200, text="<ERROR>Unable to obtain query #1</ERROR>"),
    httpx.Response(200, content=b""),
    httpx.Response(200, html="<!DOCTYPE html><html><body><p>blocked<br></body></html>"),
    httpx.Response(200, text="Database is not supported: pubmed"),
    httpx.Response(200, content=FOUND[:60]),
    httpx.Response(200, text="<eSearchResult><Count>3</Count><IdList><Id>7</Id></IdList></eSearchResult>"),
    httpx.Response(200, text="<eSearchResult><IdList/></eSearchResult>"),
    httpx.ConnectError("refused"),
    httpx.ReadTimeout("slow"),
    httpx.RemoteProtocolError("peer closed connection"),
    httpx.DecodingError("bad gzip"),
]


@pytest.mark.parametrize("bad", BAD_SEARCHES, ids=lambda bad: repr(bad)[:40])
def test_a_bad_answer_is_asked_for_again(entrez: Callable[..., Entrez], bad: Answer) -> None:
    """What cannot be used is never taken for a search without hits: the request is made again after a wait."""
    mock = Mock(bad, httpx.Response(200, content=FOUND))
    one = entrez(mock)
    assert one.search("asthma", ALL).count == 2
    assert (one.requests, len(mock.sent)) == (2, 2)
    assert one.waited_s > 0
    assert mock.waits


@pytest.mark.parametrize("bad", BAD_SEARCHES, ids=lambda bad: repr(bad)[:40])
def test_a_service_that_keeps_failing_is_given_up(entrez: Callable[..., Entrez], bad: Answer) -> None:
    """After its attempts a request ends as refused, which names the service and says that everything is kept."""
    mock = Mock(*[bad] * 3)
    with pytest.raises(ServiceRefused, match=r"http://replica\.test/eutils gives no usable answer.*kept"):
        entrez(mock, attempts=3).search("asthma", ALL)
    assert len(mock.sent) == 3


def test_retry_after_holds_everybody_back(entrez: Callable[..., Entrez]) -> None:
    """The next request, of this client and of any other of the machine, waits at least as long as was asked."""
    mock = Mock(httpx.Response(429, headers={"Retry-After": "1"}), httpx.Response(200, content=FOUND))
    begun = time.monotonic()
    one = entrez(mock)
    one.search("asthma", ALL)
    assert time.monotonic() - begun >= 1.0
    assert one.waited_s >= 1.0


def test_a_very_long_retry_after_ends_the_run(entrez: Callable[..., Entrez]) -> None:
    """When the service wants hours of peace, the run ends instead of hanging."""
    mock = Mock(httpx.Response(429, headers={"Retry-After": "7200"}))
    with pytest.raises(ServiceRefused):
        entrez(mock).search("asthma", ALL)


def test_a_block_is_not_knocked_at(entrez: Callable[..., Entrez]) -> None:
    """A 403 means that this machine is blocked: one request is enough to know."""
    mock = Mock(httpx.Response(403, text="blocked"))
    with pytest.raises(ServiceRefused, match="refuses this machine"):
        entrez(mock).search("asthma", ALL)


@pytest.mark.parametrize("status", [400, 404, 414, 301])
def test_a_wrong_request_is_not_repeated(entrez: Callable[..., Entrez], status: int) -> None:
    """What is wrong with the request itself stays wrong: one attempt, and words on what to check."""
    mock = Mock(httpx.Response(status, json={"error": "API key invalid"}))
    with pytest.raises(Rejected, match="check the URL"):
        entrez(mock).search("asthma", ALL)


@pytest.mark.parametrize(
    "bad",
    [
        httpx.Response(400, json={"error": f"API key invalid: {KEY}", "api-key": KEY}),
        httpx.Response(403, text=f"key {KEY} is blocked"),
        httpx.Response(500, text=f"key {KEY}"),
        httpx.Response(200, text=f"<ERROR>key {KEY}</ERROR>"),
        httpx.Response(200, text=f"key {KEY}"),
        httpx.ConnectError(f"key {KEY}"),
    ],
    ids=lambda bad: repr(bad)[:40],
)
def test_no_message_holds_the_key(entrez: Callable[..., Entrez], bad: Answer) -> None:
    """Whatever the service says back, the API key is in no error and in none of its causes."""
    with pytest.raises((ServiceRefused, Rejected)) as caught:
        entrez(Mock(bad, bad), api_key=KEY, attempts=2).search("asthma", ALL)
    error: BaseException | None = caught.value
    while error is not None:
        assert KEY not in str(error)
        error = error.__cause__ if error.__suppress_context__ else error.__context__  # what a traceback shows


def test_a_key_that_is_a_word_changes_no_record(entrez: Callable[..., Entrez]) -> None:
    """Hiding the key in messages never touches what is stored, however short the key is."""
    (record,) = entrez(Mock(a_set(7)), api_key="e").fetch(["7"])
    assert record.raw == RECORD.format(7).encode()


def test_records_come_in_the_order_asked(entrez: Callable[..., Entrez]) -> None:
    """The service's order does not matter."""
    one = entrez(Mock(a_set(3, 1, 2)))
    assert [record.pmid for record in one.fetch(["1", "2", "3"])] == ["1", "2", "3"]


def test_a_short_answer_is_asked_for_the_rest(entrez: Callable[..., Entrez]) -> None:
    """What an answer lacks is asked for again, while that brings something; the rest is left out."""
    mock = Mock(a_set(1), a_set(3), a_set())
    one = entrez(mock)
    assert [record.pmid for record in one.fetch(["1", "2", "3"])] == ["1", "3"]
    assert [fields["id"] for _, _, fields in mock.sent] == ["1,2,3", "2,3", "2"]


@pytest.mark.parametrize(
    "bad",
    [
        httpx.Response(200, text=SET.format(RECORD.format(9))),
        httpx.Response(200, text=SET.format(RECORD.format(1))[:-9]),
        httpx.Response(200, text="<eFetchResult><ERROR>Empty Response</ERROR></eFetchResult>"),
        httpx.Response(200, content=b""),
    ],
    ids=["foreign", "truncated", "error", "empty"],
)
def test_a_bad_set_is_fetched_again(entrez: Callable[..., Entrez], bad: httpx.Response) -> None:
    """A record that nobody asked for, a torn set, an error and nothing are all fetched again, never half used."""
    mock = Mock(bad, a_set(1))
    assert [record.pmid for record in entrez(mock).fetch(["1"])] == ["1"]
    assert len(mock.sent) == 2


def test_the_wrong_uses_are_named(entrez: Callable[..., Entrez]) -> None:
    """An empty query, too many ids and a bad URL are refused before anything is sent."""
    mock = Mock()
    with pytest.raises(UsageError, match="query is empty"):
        entrez(mock).search("  ", ALL)
    with pytest.raises(UsageError, match="at most 200"):
        entrez(mock).fetch([str(n) for n in range(201)])
    for url in ("eutils.ncbi.nlm.nih.gov", "ftp://x/y", "http://"):
        with pytest.raises(UsageError, match="is no URL"):
            entrez(mock, url=url)
    assert not mock.sent


def test_a_retry_after_is_read_in_each_of_its_forms() -> None:
    """Seconds, doubled seconds, and a date; anything else is none."""
    later = datetime.now(timezone.utc) + timedelta(seconds=100)
    assert after("2") == 2.0
    assert after("2, 2") == 2.0
    assert 90 < (after(format_datetime(later, usegmt=True)) or 0) <= 100
    assert after("") is None
    assert after("soon") is None


def test_the_replica_is_searched_and_read_within_its_limits(
    replica: Callable[..., str], real: RealRecords, tmp_path: Path
) -> None:
    """All real records are found and come as they are; the service sees no burst and knows who asks."""
    url = replica()
    with Entrez(url, email="a@b.org") as one:
        ((_, hits),) = walk(ALL, lambda window: one.search("all[sb]", window))
        assert real.total in (None, hits.count)
        came = one.fetch(hits.pmids[:100]) + one.fetch(hits.pmids[100:200])
        assert [record.pmid for record in came] == list(hits.pmids[:200])
        known = {record.pmid: record.raw for record in real.records()}
        assert all(known[record.pmid] == record.raw for record in came)
    log = [json.loads(line) for line in (tmp_path / "access.jsonl").read_text().splitlines()]
    assert [entry["status"] for entry in log] == [200] * 3
    assert all(later["at"] - entry["at"] > 0.33 for entry, later in itertools.pairwise(log))
    assert {entry["params"]["email"] for entry in log} == {"a@b.org"}


def test_clones_beyond_the_cap_are_all_found(replica: Callable[..., str]) -> None:
    """Twelve thousand records (clones of real ones) on one day are found without loss by days and PMIDs."""
    url = replica("--clones", "12000", "--clones-on", "2020-05-05")
    with Entrez(url, api_key="test-key") as one:
        found = [pmid for _, hits in walk(ALL, lambda window: one.search("all[sb]", window)) for pmid in hits.pmids]
    assert len(found) == len(set(found)) == 12_000


@pytest.mark.parametrize("fault", ["truncated", "short-length", "reset", "error-200", "empty-200", "html-200", "429"])
def test_a_fault_of_the_replica_is_survived(
    replica: Callable[..., str], every_record: list[Record], fault: str
) -> None:
    """With half of all answers broken in one way, what comes is what was asked."""
    pmids = [record.pmid for record in every_record[:20]]
    url = replica("--fault", f"{fault}:0.5", "--seed", "7")
    with Entrez(url, attempts=12, sleep=lambda seconds: time.sleep(min(seconds, 0.5))) as one:
        assert [record.pmid for record in one.fetch(pmids)] == pmids


def test_a_drip_has_an_end(replica: Callable[..., str], every_record: list[Record]) -> None:
    """An answer that comes a few bytes at a time ends at the deadline, and the run can end with what it has."""
    pmids = [record.pmid for record in every_record[:20]]
    url = replica("--fault", "drip:1", "--drip", "0.05")
    with Entrez(url, attempts=1, deadline=0.5) as one, pytest.raises(ServiceRefused, match="not complete after"):
        one.fetch(pmids)
