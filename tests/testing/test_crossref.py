"""The replica of Crossref: what it lists, how its cursors behave, what it refuses, and its limits."""

from __future__ import annotations

import datetime
import gzip
import json
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leftoff.testing import crossref_query as query
from leftoff.testing.crossref_query import Refused
from leftoff.testing.crossref_works import CLONES, Library, load
from leftoff.testing.replica_process import Running, serve
from tests.testing.naive_crossref import get, harvest, page

CHECKOUT = Path(__file__).parents[2]
SHARED = CHECKOUT.parent / "shared" / "papers-data"
WORKS = SHARED / "crossref" if SHARED.is_dir() else CHECKOUT / "examples" / "papers" / "works"
RECORDED = SHARED if SHARED.is_dir() else CHECKOUT / "tests" / "data" / "crossref"  # some of the same exchanges
MODULE = "leftoff.testing.crossref"
FREELY = ("--limit", "0", "--polite-limit", "0", "--concurrency", "0", "--polite-concurrency", "0")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with some hundred real works, all versions of each."""
    folder = tmp_path_factory.mktemp("works")
    known = load(WORKS)
    chosen = [*known][:300] + [doi for doi, work in known.items() if len(work.versions) > 1][:40]
    lines = [json.dumps(version) for doi in dict.fromkeys(chosen) for version in known[doi].versions]
    (folder / "works.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def replica(few: Path) -> Iterator[Running]:
    with serve(MODULE, few, *FREELY) as running:
        yield running


def recorded(name: str) -> list[Any]:
    with gzip.open(RECORDED / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def message(replica: Running, path: str = "/works", **params: object) -> Any:
    status, _, body = get(f"{replica.url}{path}", **params)
    assert status == 200, body
    return json.loads(body)["message"]


# -- works -------------------------------------------------------------------------------------------------------


def test_every_real_work_is_served_as_its_file_has_it() -> None:
    """All that is there, in its newest version, and without the mark of the data's makers."""
    library = Library(WORKS)
    assert len(library.works) == (4825 + 702 if SHARED.is_dir() else 320)
    for work in library.works.values():
        served = library.work(work.doi)
        assert served == work.versions[-1]
        assert "_derived_from_pmid" not in served


def test_a_work_is_what_it_was_on_the_replicas_day() -> None:
    """Before its creation there is none; then each version is served from the day on which it was indexed."""
    library = Library(WORKS)
    work = max(library.works.values(), key=lambda work: len(work.versions))
    seen = []
    for year in range(1999, 2027):
        library.today = datetime.date(year, 12, 31).toordinal()
        seen.append(library.work(work.doi))
    assert seen[0] is None
    assert seen[-1] == work.versions[-1]
    assert len({json.dumps(each) for each in seen if each}) > 1


def test_one_work_is_asked_for_by_its_doi(replica: Running, few: Path) -> None:
    """Percent-encoded or not, in any case; what is none is text under a type that says JSON."""
    for doi in list(load(few))[:40]:
        for form in (doi, doi.upper()):
            found = message(replica, f"/works/{urllib.parse.quote(form, safe='')}")
            assert found["DOI"] == doi
    status, headers, body = get(f"{replica.url}/works/10.5555/nothing")
    assert (status, headers["content-type"], body) == (404, "application/json", b"Resource not found.")


def test_clones_are_made_when_asked_for(few: Path) -> None:
    """They are as many as wanted, have DOIs of their own, and say whose they are by them."""
    library = Library(few, clones=1000)
    real = len(library.works)
    dois = library.found(lambda work: True, lambda work: work["DOI"])
    assert (len(dois), len(set(dois))) == (1000, 1000)
    clones = [doi for doi in dois if doi.startswith(CLONES)]
    assert len(clones) == 1000 - real
    assert all(library.work(doi)["DOI"] == doi for doi in clones)  # type: ignore[index]
    assert library.work(f"{CLONES}{1000 - real}") is None


# -- lists -------------------------------------------------------------------------------------------------------


def test_lists_look_as_the_recorded_ones_do(replica: Running) -> None:
    """The same fields around the works, with a cursor and without."""
    samples = [each for each in recorded("http-samples.jsonl.gz") if '"work-list"' in each["body_head"]]
    heads = {
        each["body_head"].split('"items"')[0].partition('"facets"')[0] for each in samples if each["year"] > "2020"
    }
    assert heads == {'{"status":"ok","message-type":"work-list","message-version":"1.0.0","message":{'}
    _, _, body = get(f"{replica.url}/works", rows=2)
    told = json.loads(body)
    assert {name: told[name] for name in ("status", "message-type", "message-version")} == {
        "status": "ok", "message-type": "work-list", "message-version": "1.0.0"
    }  # fmt: skip
    assert set(told["message"]) == {"facets", "total-results", "items", "items-per-page", "query"}
    assert set(message(replica, rows=2, cursor="*")) == {*told["message"], "next-cursor"}


@pytest.mark.parametrize(
    ("field", "name"), [("created", "created"), ("update", "deposited"), ("index", "indexed"), ("pub", "issued")]
)
def test_windows_of_dates_are_inclusive(replica: Running, few: Path, field: str, name: str) -> None:
    """Two windows that meet share no work and leave none out, whatever their dates' form."""
    whole = {work.doi for work in load(few).values()}
    halves = []
    for first, last in (("1900", "2014-06"), ("2014-07-01", "2014-07-01T11"), ("2014-07-01T12:00:00", "2100-01-01")):
        only = f"from-{field}-date:{first},until-{field}-date:{last}"
        halves.append(set(harvest(replica.url, filter=only)))
    assert sum(map(len, halves)) == len(set().union(*halves))
    undated = whole - set().union(*halves)
    assert name == "issued" or not undated


def test_filters_choose_by_what_a_work_says(few: Path) -> None:
    """One of several values of a filter is enough, each filter must hold; the words of a query all occur."""
    works = [work.versions[-1] for work in load(few).values()]

    def count(**params: str) -> int:
        tests = query.tests_of({name.replace("_", "."): value for name, value in params.items()})
        return sum(all(test(work) for test in tests) for work in works)

    issns = sorted({issn for work in works for issn in work.get("ISSN", ())})[:2]
    one, two = (count(filter=f"issn:{issn}") for issn in issns)
    assert count(filter=f"issn:{issns[0]},issn:{issns[1]}") in range(max(one, two), one + two + 1)
    assert count(filter=f"issn:{issns[0]},type:journal-issue,type:report") <= one
    orcids = [person["ORCID"] for work in works for person in work.get("author", ()) if "ORCID" in person]
    assert count(filter=f"orcid:{orcids[0]}") == count(filter=f"orcid:{orcids[0].rpartition('/')[2]}") > 0
    funders = [funder["DOI"] for work in works for funder in work.get("funder", ()) if "DOI" in funder]
    assert count(filter=f"funder:{funders[0]}") == count(filter=f"funder:{funders[0].partition('/')[2]}") > 0
    assert count(filter=f"doi:{works[0]['DOI'].upper()}") == 1
    author = next(work["author"][0]["family"] for work in works if work.get("author"))
    assert 0 < count(query_author=author) <= count(query=author)
    assert count(query="no such word anywhere") == 0


def test_what_is_asked_for_wrongly_is_refused_in_the_services_words(replica: Running) -> None:
    """As recorded: the failure is a list of one, with type, value and message."""
    samples = [each for each in recorded("http-samples.jsonl.gz") if '"validation-failure"' in each["body_head"]]
    kinds = {json.loads(each["body_head"])["message"][0]["type"] for each in samples if each["body_len"] < 400}
    for params, kind in (
        ({"rows": "things"}, "integer-not-valid"),
        ({"rows": "1001"}, "integer-not-valid"),
        ({"offset": "10001"}, "integer-not-valid"),
        ({"filter": "has-assertion:true"}, "filter-not-available"),
        ({"sample_size": "2"}, "parameter-not-allowed"),
        ({"query.title": "x"}, "unknown-parameter"),
        ({"cursor": "*", "offset": "2"}, "parameter-not-allowed"),
    ):
        status, _, body = get(f"{replica.url}/works", **params)
        told = json.loads(body)
        assert (status, told["status"], told["message-type"]) == (400, "failed", "validation-failure")
        assert [set(each) for each in told["message"]] == [{"type", "value", "message"}]
        assert told["message"][0]["type"] == kind in kinds
    for params in ({"sort": "size"}, {"order": "up"}, {"filter": "issn"}, {"filter": "from-created-date:2024-13"}):
        with pytest.raises(Refused):
            query.rank_of(params)
            query.tests_of(params)
    assert get(f"{replica.url}/works/10.5555/x", **{"query.author": "a"})[0] == 400
    assert get(f"{replica.url}/elsewhere")[0] == 404


def test_sorted_lists_are_the_same_each_time_and_the_services_own_order_is_not(replica: Running) -> None:
    """By date, to and fro; without a sort two lists differ, so that an offset shows some twice and others never."""

    def listed(**params: Any) -> list[dict[str, Any]]:
        return list(message(replica, rows=400, **params)["items"])

    rising, falling = listed(sort="created", order="asc"), listed(sort="created")
    dates = [work["created"]["timestamp"] // 1000 for work in rising]
    assert dates == sorted(dates)
    assert rising != falling
    assert {work["DOI"] for work in rising} == {work["DOI"] for work in falling}
    assert listed() != listed()
    cited = [work["is-referenced-by-count"] for work in listed(sort="is-referenced-by-count")]
    assert cited == sorted(cited, reverse=True)


def test_select_names_the_fields_of_each_work(replica: Running) -> None:
    """A field that a work lacks is missing."""
    works = message(replica, rows=200, select="DOI,subtitle")["items"]
    assert {frozenset(work) for work in works} == {frozenset({"DOI"}), frozenset({"DOI", "subtitle"})}
    status, _, body = get(f"{replica.url}/works", select="DOI,colour")
    assert (status, json.loads(body)["message"][0]["value"]) == (400, "colour")


# -- cursors -----------------------------------------------------------------------------------------------------


def test_a_cursor_is_no_position(replica: Running) -> None:
    """As in all recorded walks since 2021: the same cursor all the way, which gives the next page each time."""
    steps = [step for walk in recorded("cursor-samples.jsonl.gz") for step in walk if step["year"] >= "2021"]
    steps = [step for step in steps if step["cursor_sent"] != "*"]
    assert len(steps) > 50
    assert all(step["next_cursor"] == step["cursor_sent"] for step in steps)
    first = message(replica, rows=100, cursor="*")
    pages, cursor = [first], first["next-cursor"]
    while pages[-1]["items"]:
        pages.append(message(replica, rows=100, cursor=cursor))
    assert {page["next-cursor"] for page in pages} == {cursor}
    dois = [work["DOI"] for page in pages for work in page["items"]]
    assert len(dois) == len(set(dois)) == first["total-results"]
    assert "+" in urllib.parse.unquote(cursor) or "/" in cursor, "it must be encoded in a URL"


def test_a_cursor_that_is_none_or_too_old_is_refused(few: Path) -> None:
    """404, as recorded in 2026; one that is used stays, one that rests for its life is gone."""
    sample = next(each for each in recorded("http-samples.jsonl.gz") if "cursor-invalid" in each["body_head"])
    with serve(MODULE, few, *FREELY, "--cursor-life", "0.5") as replica:
        status, _, body = get(f"{replica.url}/works", cursor="thing")
        assert (status, json.loads(body)) == (404, json.loads(sample["body_head"]))
        cursor = message(replica, rows=1, cursor="*")["next-cursor"]
        for _ in range(4):
            time.sleep(0.2)
            assert message(replica, rows=1, cursor=cursor)["items"]
        time.sleep(0.8)
        assert get(f"{replica.url}/works", rows=1, cursor=cursor)[0] == 404


def test_a_walk_shows_the_list_as_it_was(few: Path) -> None:
    """What enters meanwhile is in the next list."""
    with serve(MODULE, few, *FREELY, "--today", "2012-01-01") as replica:
        first = message(replica, rows=20, cursor="*")
        replica.ask("today", date="2013-01-01")
        second = message(replica, rows=20, cursor=first["next-cursor"])
        assert second["total-results"] == first["total-results"] < message(replica, rows=0)["total-results"]


# -- limits ------------------------------------------------------------------------------------------------------


def test_headers_tell_the_limits_of_the_pool(few: Path) -> None:
    """As recorded in 2026: public and polite, each with its own."""
    samples = {each["headers"]["x-api-pool"]: each["headers"] for each in recorded("http-samples.jsonl.gz")
               if each["year"] == "2026" and "x-concurrency-limit" in each["headers"]}  # fmt: skip
    with serve(MODULE, few) as replica:
        with urllib.request.urlopen(f"{replica.url}/works?rows=0", timeout=60) as answer:
            public = {name.lower(): value for name, value in answer.headers.items()}
        _, polite, _ = get(f"{replica.url}/works", rows=0)
    for told in (public, polite):
        names = ("x-api-pool", "x-rate-limit-limit", "x-rate-limit-interval", "x-concurrency-limit")
        assert {name: told[name] for name in names} == {name: samples[told["x-api-pool"]][name] for name in names}
    assert (public["x-api-pool"], polite["x-api-pool"]) == ("public", "polite")


def test_who_asks_too_often_is_refused_and_banned(few: Path) -> None:
    """By the replica's own clock; then every request is refused for good."""
    with serve(MODULE, few, "--ban-after", "3") as replica:
        statuses = [get(f"{replica.url}/works", rows=0, mailto="a@example.org")[0] for _ in range(30)]
        assert statuses[:10] == [200] * 10
        assert statuses[-1] == 403
        about = replica.ask()
        assert about["banned"] == ["a@example.org"]
        assert sum(entry["violation"] for entry in replica.log()) == 3
        assert get(f"{replica.url}/works", rows=0, mailto="b@example.org")[0] == 200


@pytest.mark.parametrize(("at_once", "refused"), [(3, 0), (5, 2)])
def test_so_many_at_a_time(few: Path, at_once: int, refused: int) -> None:
    """Three of the polite may be under way; one more is a violation, however slowly they come."""
    with serve(MODULE, few, "--latency", "1", "--ban-after", "0") as replica:
        statuses: list[int] = []

        def ask() -> None:
            statuses.append(get(f"{replica.url}/works", rows=0, mailto="a@example.org")[0])

        threads = [threading.Thread(target=ask) for _ in range(at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses.count(429) == refused
        assert max(entry["open"] for entry in replica.log()) == at_once
        ask()
        assert statuses[-1] == 200


def test_one_after_the_other_is_never_two_at_a_time(few: Path) -> None:
    """Who has an answer may ask again at once."""
    with serve(
        MODULE, few, "--limit", "0", "--ban-after", "1", "--polite-limit", "0", "--polite-concurrency", "1"
    ) as replica:
        for _ in range(200):
            page(replica.url, patient=False, rows=0)
        assert not any(entry["violation"] for entry in replica.log())


def test_a_start_without_works_is_refused(tmp_path: Path) -> None:
    """What is wrong with the data is said."""
    with pytest.raises(RuntimeError, match="name a directory of files with one work a line"), serve(MODULE, tmp_path):
        pass
    (tmp_path / "works.jsonl").write_text('{"title": []}\n')
    with pytest.raises(RuntimeError, match=r"line 1 is no work: it has no DOI"), serve(MODULE, tmp_path):
        pass
