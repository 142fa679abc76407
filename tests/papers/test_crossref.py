"""The client of Crossref's REST API.

Single answers come from httpx's MockTransport, a mock of the transport alone: most of them were recorded from the
service. Whole conversations with the replica are in test_walks.py.
"""

from __future__ import annotations

import gzip
import itertools
import json
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from leftoff.errors import ServiceError, ServiceRefused, UsageError
from leftoff.papers import crossref as module
from leftoff.papers.crossref import Crossref, Lost, chunks
from leftoff.papers.question import Question
from leftoff.papers.reply import CursorGone, Limited, NotJSON, Rejected, Truncated, Unavailable, Unusable
from leftoff.papers.spans import Span, everything

CHECKOUT = Path(__file__).resolve().parents[2]
SHARED = CHECKOUT.parent / "shared" / "papers-data"
RECORDED = SHARED if SHARED.is_dir() else CHECKOUT / "tests" / "data" / "crossref"  # some of the same exchanges
ASKED = Question("widget")
ALL = everything(2_000_000_000)

Answer = httpx.Response | Exception


def recorded(name: str) -> list[Any]:
    with gzip.open(RECORDED / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def a_list(*dois: str, total: int | None = None, cursor: str | None = "abc+/=", **headers: str) -> httpx.Response:
    """Return a list of works as the service gives it."""
    message: dict[str, Any] = {"total-results": len(dois) if total is None else total, "facets": {}}
    message["items"] = [{"DOI": doi} for doi in dois]
    if cursor is not None:
        message["next-cursor"] = cursor
    return httpx.Response(200, headers=headers, json={"status": "ok", "message-type": "work-list", "message": message})


def a_work(doi: str) -> httpx.Response:
    return httpx.Response(200, json={"status": "ok", "message-type": "work", "message": {"DOI": doi}})


NO_WORK = httpx.Response(404, text="Resource not found.", headers={"content-type": "application/json"})


class Mock:
    """Answer from a list (a mock), and keep what was sent."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, dict[str, str]]] = []
        self.waits: list[float] = []
        self.agent = ""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.method == "GET"
        self.agent = request.headers["User-Agent"]
        path = urllib.parse.unquote(request.url.raw_path.decode().partition("?")[0])
        self.sent.append((path, dict(request.url.params)))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Crossref]]:
    """Make clients of a mock that wait for nothing but what they write down."""
    monkeypatch.setattr(module, "SPACING", 1e-6)
    monkeypatch.setattr(module, "SPACING_POLITE", 1e-6)
    made: list[Crossref] = []

    def make(mock: Mock, **options: object) -> Crossref:
        one = Crossref(
            "http://replica.test/api",
            sleep=mock.waits.append,
            transport=httpx.MockTransport(mock),
            **options,  # type: ignore[arg-type]
        )
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


# -- what is asked ---------------------------------------------------------------------------------------------------


def test_a_count_asks_for_no_work(client: Callable[..., Crossref]) -> None:
    """A question is words and filters; a span is two dates more; nothing is fetched to be counted."""
    mock = Mock(a_list(total=7, cursor=None), a_list(total=9, cursor=None))
    crossref = client(mock)
    question = Question("heat flow", (("issn", "1932-6203"), ("orcid", "0000-0002-1825-0097")))
    assert crossref.count(question, Span("updated", 1_700_000_000, 1_700_086_399)) == 7
    assert crossref.count(Question("", (("funder", "10.13039/100000001"),)), ALL) == 9
    assert mock.sent == [
        (
            "/api/works",
            {
                "query": "heat flow",
                "filter": "issn:1932-6203,orcid:0000-0002-1825-0097,from-update-date:2023-11-14T22:13:20"
                ",until-update-date:2023-11-15T22:13:19",
                "rows": "0",
            },
        ),
        ("/api/works", {"filter": "funder:10.13039/100000001", "rows": "0"}),
    ]
    assert mock.agent == "leftoff"


def test_an_address_takes_part_in_the_polite_pool(client: Callable[..., Crossref]) -> None:
    """It is in each request and in the User-Agent."""
    mock = Mock(a_list())
    client(mock, email="a@example.org").count(ASKED, ALL)
    assert mock.sent[0][1]["mailto"] == "a@example.org"
    assert mock.agent == "leftoff (mailto:a@example.org)"


def test_a_walk_passes_each_cursor_on_exactly(client: Callable[..., Crossref]) -> None:
    """The cursor of a page asks for the next one, encoded so that + and / arrive; the last page has one, too."""
    mock = Mock(a_list("10.1000/a", "10.1000/b", total=3), a_list("10.1000/c", total=3))
    pages = list(client(mock).walk(ASKED, ALL, 2))
    assert [[work.doi for work in page.works] for page in pages] == [["10.1000/a", "10.1000/b"], ["10.1000/c"]]
    assert [sent["cursor"] for _, sent in mock.sent] == ["*", "abc+/="]
    assert {(sent["rows"], sent["sort"], sent["order"]) for _, sent in mock.sent} == {("2", "created", "desc")}


def test_a_page_is_asked_for_when_the_one_before_was_taken(client: Callable[..., Crossref]) -> None:
    """Nothing is fetched ahead, so that a page can be stored before the next one is asked for."""
    mock = Mock(a_list("10.1000/a", total=2), a_list("10.1000/b", total=2))
    pages = client(mock).walk(ASKED, ALL, 1)
    assert mock.sent == []
    for number, _ in enumerate(pages, start=1):
        assert len(mock.sent) == number
    assert number == 2


def test_a_walk_ends_where_a_page_is_empty(client: Callable[..., Crossref]) -> None:
    """Also when fewer works came than were counted: the one who walks compares."""
    mock = Mock(a_list("10.1000/a", total=5), a_list(total=5))
    assert len(list(client(mock).walk(ASKED, ALL, 1))) == 2
    mock = Mock(a_list(total=0, cursor=None))
    assert [page.total for page in client(mock).walk(ASKED, ALL, 1)] == [0]


# -- what is asked again, and what is not ----------------------------------------------------------------------------

LOSSES: list[Answer] = [
    httpx.Response(504, text="<html><title>504 Gateway Time-out</title></html>"),
    httpx.Response(429, text="<html>429 Too Many Requests</html>"),
    httpx.Response(200, text=""),
    httpx.Response(200, text="<html>maintenance</html>"),
    httpx.Response(200, text='{"status":"ok","message-type":"work-list","message":{"total-'),
    httpx.ReadTimeout("silence"),
    httpx.RemoteProtocolError("peer closed connection"),
    httpx.Response(500, json={"status": "error", "message-type": "exception", "message": {}}),
    httpx.Response(404, json={"status": "failed", "message-type": "resource-failure", "message": [
        {"type": "cursor-invalid", "value": "x", "message": "Cursor specified but it is invalid"}]}),
    a_list("10.1000/c", "10.1000/d", "10.1000/e", total=9),
    a_list("10.1000/c", total=9, cursor=None),
]  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_cursor_is_sent_once(client: Callable[..., Crossref], loss: Answer) -> None:
    """Whatever came in place of a page: the cursor is not repeated, and the walk says that it is lost."""
    mock = Mock(a_list("10.1000/a", "10.1000/b", total=9), loss)
    pages = client(mock).walk(ASKED, ALL, 2)
    next(pages)
    with pytest.raises(Lost):
        next(pages)
    assert [sent["cursor"] for _, sent in mock.sent] == ["*", "abc+/="]
    assert list(pages) == []


@pytest.mark.parametrize("loss", LOSSES[:8], ids=repr)
def test_a_beginning_is_asked_for_again(client: Callable[..., Crossref], loss: Answer) -> None:
    """`*` begins a scroll of its own each time: the first page, and a count, may be asked for again."""
    mock = Mock(loss, a_list("10.1000/a"), loss, a_list(total=4))
    crossref = client(mock)
    (page,) = crossref.walk(ASKED, ALL, 2)
    assert [work.doi for work in page.works] == ["10.1000/a"]
    assert crossref.count(ASKED, ALL) == 4
    assert crossref.requests == 4


def test_it_gives_up_in_time(client: Callable[..., Crossref]) -> None:
    """After so many attempts, or when it is to stay away for longer than anybody waits: ServiceRefused, resumable."""
    mock = Mock(*[httpx.Response(429, text="<html>429</html>")] * 3)
    with pytest.raises(ServiceRefused, match=r"gives no usable answer to /works; the last: 429 .*run the same command"):
        client(mock, attempts=3).count(ASKED, ALL)
    mock = Mock(httpx.Response(429, headers={"Retry-After": "7200"}))
    with pytest.raises(ServiceRefused):
        client(mock).count(ASKED, ALL)
    assert len(mock.sent) == 1


def test_a_loss_is_rested_upon(client: Callable[..., Crossref]) -> None:
    """Between a loss and the new beginning lies a wait, as long as the service asked for; who gives up says so."""
    mock = Mock()
    crossref = client(mock)
    lost = Lost("429")
    lost.retry_after = 5.0
    crossref.rest(lost, 1)
    assert crossref._limiter.peek() > 4
    assert len(mock.waits) == 1
    lost.retry_after = 7200.0
    with pytest.raises(ServiceRefused):
        crossref.rest(lost, 1)


def test_a_block_is_said(client: Callable[..., Crossref]) -> None:
    """403: nothing is asked again, and the words say what to do."""
    mock = Mock(httpx.Response(403, text="<html><title>403 Forbidden</title></html>"))
    with pytest.raises(ServiceRefused, match=r"refuses this machine .*give an e-mail address"):
        client(mock).count(ASKED, ALL)
    assert len(mock.sent) == 1


# -- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "interval", "at_once"),
    [
        ({}, 1e-6, 1),
        ({"x-rate-limit-limit": "10", "x-rate-limit-interval": "1s", "x-concurrency-limit": "3"}, 0.125, 3),
        ({"x-rate-limit-limit": "50, 50", "x-rate-limit-interval": "1s, 1s"}, 0.025, 1),
        ({"x-rate-limit-limit": "5", "x-rate-limit-interval": "1s", "x-ratelimit-limit": "50"}, 0.25, 1),
        (
            {"x-rate-limit-limit": "50", "x-rate-limit-interval": "1s", "x-ratelimit-limit": "5",
             "x-ratelimit-interval": "1s"}, 0.25, 1,
        ),
        ({"x-rate-limit-limit": "10", "x-rate-limit-interval": "1m"}, 7.5, 1),
        ({"x-rate-limit-limit": "0", "x-rate-limit-interval": "1s", "x-concurrency-limit": "0"}, 1e-6, 1),
        ({"x-rate-limit-limit": "many", "x-rate-limit-interval": "soon", "x-concurrency-limit": "-3"}, 1e-6, 1),
        ({"x-rate-limit-limit": "1", "x-rate-limit-interval": "9h"}, 60.0, 1),
        ({"x-rate-limit-limit": "100000", "x-rate-limit-interval": "1s"}, 0.01, 1),
        ({"x-rate-limit-limit": "3"}, 1e-6, 1),
        ({"x-concurrency-limit": "5, 2"}, 1e-6, 2),
    ],
)  # fmt: skip
def test_limits_are_those_that_answers_tell(
    client: Callable[..., Crossref], headers: dict[str, str], interval: float, at_once: int
) -> None:
    """Missing ones leave what held, doubled and contradictory ones count by their stricter half, nonsense never."""
    crossref = client(Mock(a_list(**headers)))
    crossref.count(ASKED, ALL)
    assert (crossref._limiter.interval, crossref._at_once) == (pytest.approx(interval), at_once)


def test_limits_hold_until_others_are_told(client: Callable[..., Crossref]) -> None:
    """An answer without limits, such as a bare 429, changes none; each answer may, also one that refuses."""
    told = {"x-rate-limit-limit": "10", "x-rate-limit-interval": "1s"}
    slower = {"x-rate-limit-limit": "1", "x-rate-limit-interval": "1s"}
    mock = Mock(a_list(**told), httpx.Response(429), httpx.Response(429, headers=slower), a_list())
    crossref = client(mock)
    crossref.count(ASKED, ALL)
    assert crossref._limiter.interval == 0.125
    crossref.count(ASKED, ALL)
    assert crossref._limiter.interval == 1.25


# -- single works ----------------------------------------------------------------------------------------------------


def test_dois_are_looked_up_together_and_then_by_name(client: Callable[..., Crossref]) -> None:
    """What a list does not bring, and what a list cannot ask for (a comma), is asked for by its own address."""
    sici = "10.1002/(sici)1098-2361(2000)19:1<65::aid-zoo7>3.0.co;2-#"
    mock = Mock(a_list("10.1000/A", "10.9999/unasked", cursor=None), a_work(sici), NO_WORK, a_work("10.1000/x,y"))
    found = client(mock).look_up(["10.1000/a", sici, "10.1000/none", "10.1000/x,y"])
    assert {work.doi for work in found} == {"10.1000/a", sici, "10.1000/x,y"}
    assert [path for path, _ in mock.sent] == [
        "/api/works", f"/api/works/{sici}", "/api/works/10.1000/none", "/api/works/10.1000/x,y"
    ]  # fmt: skip
    assert mock.sent[0][1] == {"filter": f"doi:10.1000/a,doi:{sici},doi:10.1000/none", "rows": "3"}


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, text="<html>nginx: not found</html>"),
        httpx.Response(404, json={"status": "error", "message-type": "route-not-found", "message": "Route not found"}),
    ],
)
def test_another_404_is_no_missing_work(client: Callable[..., Crossref], answer: httpx.Response) -> None:
    """A wrong prefix must not make everything absent."""
    with pytest.raises(Rejected, match="check the URL"):
        client(Mock(answer)).look_up(["10.1000/a"])


def test_a_list_that_is_not_there_is_a_wrong_address(client: Callable[..., Crossref]) -> None:
    """404 for `/works` itself is no empty result."""
    with pytest.raises(Rejected):
        client(Mock(NO_WORK)).count(ASKED, ALL)


def test_another_work_than_was_asked_for_is_no_answer(client: Callable[..., Crossref]) -> None:
    """It is asked again."""
    mock = Mock(a_work("10.1000/b"), a_work("10.1000/A"))
    assert [work.doi for work in client(mock).look_up(["10.1000/a"])] == ["10.1000/a"]


def test_dois_are_asked_for_in_requests_of_a_size_that_passes() -> None:
    """At most twenty at a time, and never so many that the address becomes too long; none is left out."""
    dois = [f"10.1000/{'x' * (number * 7 % 600)}{number}" for number in range(200)]
    parts = list(chunks(dois))
    assert list(itertools.chain(*parts)) == dois
    assert max(map(len, parts)) <= 20
    assert all(len("".join(part)) <= 1500 for part in parts)
    assert list(chunks([])) == []


# -- recorded exchanges ----------------------------------------------------------------------------------------------


def test_recorded_exchanges_lead_to_the_right_decisions(client: Callable[..., Crossref]) -> None:
    """Each recorded answer of a list or a work is used, asked again, refused or told as what it is."""
    decisions: dict[str, set[str]] = {}
    for each in recorded("http-samples.jsonl.gz"):
        path = each["url_path"].partition("?")[0]
        parts = path.strip("/").split("/")
        is_list = parts[-1] == "works"
        if parts[0] not in ("works", "members", "types", "journals", "funders", "prefixes") or not (
            is_list or (parts[0] == "works" and len(parts) == 3)
        ):
            continue  # other routes than are asked for
        headers = {name: value for name, value in each["headers"].items() if name.startswith(("x-", "retry"))}
        answer = httpx.Response(int(each["status"]), headers=headers, text=each["body_head"])
        mock = Mock(*[answer] * 2)
        crossref = client(mock, attempts=1)
        try:
            if is_list:
                outcome = f"{len(list(crossref.walk(ASKED, ALL, 1000)))} page"
            else:
                found = crossref.look_up([urllib.parse.unquote("/".join(parts[1:]))])
                outcome = "work" if found else "no such work"
        except ServiceRefused as error:
            outcome = type(error.__cause__).__name__
        except ServiceError as error:
            outcome = type(error).__name__
        whole = "whole" if each["body_len"] <= 400 and each["body_head"] else "cut" if each["body_head"] else "empty"
        cursor = " cursor" if "cursor-invalid" in each["body_head"] else ""
        kind = "list" if is_list else "work"
        decisions.setdefault(f"{each['status']} {kind} {whole}{cursor}", set()).add(outcome)
    expected = {
        "200 list whole": {"1 page"},
        "200 list cut": {"Truncated"},
        "200 list empty": {"EmptyBody"},
        "200 work cut": {"Truncated", "NotJSON"},
        "200 work whole": {"Inconsistent"},
        "200 work empty": {"EmptyBody"},
        "301 work whole": {"Rejected"},
        "400 list whole": {"Rejected"},
        "400 work whole": {"Rejected"},
        "400 work empty": {"Rejected"},
        "404 list whole": {"Rejected"},
        "404 list whole cursor": {"CursorGone"},
        "404 work whole": {"no such work"},
        "500 list whole": {"Unavailable"},
        "500 list cut": {"Unavailable"},
        "500 list empty": {"Unavailable"},
        "504 list whole": {"Unavailable"},
    }
    assert decisions.keys() >= {"200 list cut", "404 work whole", "404 list whole cursor", "400 list whole"}
    assert {what: found for what, found in decisions.items() if not found <= expected.get(what, set())} == {}


def test_recorded_walks_give_the_recorded_works(client: Callable[..., Crossref]) -> None:
    """All pages of each recorded walk are met, with cursors that stay the same and those that change (to 2019)."""
    walks = recorded("cursor-samples.jsonl.gz")
    assert walks
    for walk in walks:
        begins = [place for place, step in enumerate(walk) if step["cursor_sent"] == "*"]
        for steps in (walk[first:end] for first, end in itertools.pairwise([*begins, len(walk)])):
            dois = [[doi.replace("masked:", "10.9999/") for doi in step["dois"]] for step in steps]
            rows = int((steps[0]["rows"] or ["20"])[0])
            answers: list[Answer] = [
                a_list(*page, total=step["total_results"], cursor=step["next_cursor"])
                for page, step in zip(dois, steps, strict=True)
            ]
            mock = Mock(*answers, a_list(total=steps[-1]["total_results"]))
            pages = list(client(mock).walk(ASKED, ALL, rows))
            assert [[work.doi for work in page.works] for page in pages] == [*dois, []]
            assert [sent["cursor"] for _, sent in mock.sent[:-1]] == [step["cursor_sent"] for step in steps]


def test_a_recorded_refusal_is_repeated_in_its_words(client: Callable[..., Crossref]) -> None:
    """The service's list of failures becomes a line that a person can act upon."""
    sample = next(each for each in recorded("http-samples.jsonl.gz") if "integer-not-valid" in each["body_head"])
    with pytest.raises(Rejected, match=r"rejects the request: Integer specified as \w+ but must be a positive integer"):
        client(Mock(httpx.Response(400, text=sample["body_head"]))).count(ASKED, ALL)


# -- answers that are none -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("<html>", NotJSON),
        ('{"status":', Truncated),
        ("[]", Unusable),
        ('{"status":"ok","message-type":"work","message":{}}', Unusable),
        ('{"status":"failed","message-type":"work-list","message":{}}', Unusable),
        ('{"status":"ok","message-type":"work-list","message":[]}', Unusable),
        ('{"status":"ok","message-type":"work-list","message":{"items":[]}}', Unusable),
        ('{"status":"ok","message-type":"work-list","message":{"total-results":true,"items":[]}}', Unusable),
        ('{"status":"ok","message-type":"work-list","message":{"total-results":1}}', Unusable),
        (
            '{"status":"ok","message-type":"work-list","message":{"total-results":0,"items":[{"DOI":"10.1000/a"}]}}',
            Unusable,
        ),
        (
            '{"status":"ok","message-type":"work-list","message":{"total-results":1,"items":[{"title":["x"]}]}}',
            Unusable,
        ),
        ('{"status":"ok","message-type":"work-list","message":{"total-results":1,"items":["10.1000/a"]}}', Unusable),
    ],
)
def test_what_only_looks_like_an_answer_is_none(
    client: Callable[..., Crossref], body: str, error: type[Exception]
) -> None:
    """A foreign, torn or contradictory body never looks like an empty result."""
    with pytest.raises(ServiceRefused) as refused:
        client(Mock(httpx.Response(200, text=body)), attempts=1).count(ASKED, ALL)
    assert isinstance(refused.value.__cause__, error)


def test_bytes_that_are_no_text_are_damage(client: Callable[..., Crossref]) -> None:
    """A flipped byte need not be UTF-8 any more."""
    with pytest.raises(ServiceRefused) as refused:
        client(Mock(httpx.Response(200, content=b'{"status":"\xff\xff')), attempts=1).count(ASKED, ALL)
    assert isinstance(refused.value.__cause__, Truncated)


def test_what_the_errors_are() -> None:
    """Those that are asked again are `Unusable`; a walk that lost a page is one of them, a wrong request is not."""
    assert issubclass(Lost, Unusable)
    assert issubclass(CursorGone, Unusable)
    assert issubclass(Limited, Unusable)
    assert issubclass(Unavailable, Unusable)
    assert not issubclass(Rejected, Unusable)


@pytest.mark.parametrize("url", ["api.crossref.org", "ftp://api.crossref.org", "http://"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    """Before anything is sent."""
    with pytest.raises(UsageError, match="is no URL"):
        Crossref(url)
