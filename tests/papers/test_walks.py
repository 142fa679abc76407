"""`sync` of Crossref, in whole conversations with its replica."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.errors import ServiceRefused, UsageError
from leftoff.papers import crossref, keeping, listed, service, sync, walks
from leftoff.papers.sync_report import SyncReport
from leftoff.testing.crossref_faults import FAULTS
from leftoff.testing.crossref_works import load
from leftoff.testing.replica_process import Running, serve
from tests.papers.evidence import content, query
from tests.papers.test_works import WORKS
from tests.testing.naive_crossref import get

MODULE = "leftoff.testing.crossref"
FREELY = ("--limit", "0", "--polite-limit", "0", "--ban-after", "1")
SLOW = {"drip", "stall", "refuse-after"}  # these have tests of their own
TODAY = "2026-01-05"


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 240 real works, the newest version of each, and those of which there are several."""
    folder = tmp_path_factory.mktemp("works")
    known = load(WORKS)
    several = [doi for doi, work in known.items() if len(work.versions) > 1][:20]
    chosen = list(dict.fromkeys([*several, *known]))[:240]
    lines = [json.dumps(version) for doi in chosen for version in known[doi].versions]
    (folder / "works.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait next to nothing, and never give up: waits and giving up have tests of their own."""
    monkeypatch.setattr(crossref, "SPACING", 1e-4)
    monkeypatch.setattr(crossref, "SPACING_POLITE", 1e-4)
    monkeypatch.setattr(service.retry, "delay", lambda failures: 0.001)
    monkeypatch.setattr(service, "ATTEMPTS", 50)


def bring(replica: Running, db: Path, words: str = "of", **more: Any) -> SyncReport:
    return sync(words, db, **{"source": "crossref", "crossref_url": replica.url, "batch": 20, **more})


def held(db: Path) -> set[str]:
    return {doi for (doi,) in query(db, "SELECT identifier FROM raw WHERE source = 'crossref'")}


def asked(replica: Running) -> list[dict[str, Any]]:
    return [entry["params"] for entry in replica.log()]


def truth(replica: Running, words: str = "of") -> set[str]:
    """Return what the words find, asked of the replica without a cursor, once and with no fault."""
    _, _, body = get(f"{replica.url}/works", query=words, rows=1000)
    return {work["DOI"] for work in json.loads(body)["message"]["items"]}


def check_accounts(report: SyncReport, replica: Running, db: Path, words: str = "of") -> None:
    """The accounts add up, and the database holds what the service has."""
    assert report.asked == report.stored + report.skipped + report.absent + report.missing
    assert report.missing == 0
    assert held(db) >= truth(replica, words)


def test_a_question_is_walked_and_stored(few: Path, tmp_path: Path) -> None:
    """Every work that it finds is a paper with the record as it came; a second run asks for what is new alone."""
    db = tmp_path / "papers.db"
    with serve(MODULE, few, *FREELY, "--today", TODAY) as replica:
        report = bring(replica, db)
        check_accounts(report, replica, db)
        assert held(db) == truth(replica)
        assert report.stored == report.asked == len(held(db)) > 100
        works = {doi: json.loads(zlib.decompress(raw)) for doi, raw in query(db, "SELECT identifier, content FROM raw")}
        day = int(datetime.fromisoformat(f"{TODAY}T23:59:59+00:00").timestamp())
        assert works == {doi: load(few)[doi].at(day) for doi in works}
        before = content(db)
        assert [params["rows"] for params in asked(replica)].count("0") == 0
        again = bring(replica, db)
        assert (again.stored, again.asked, again.missing) == (0, 0, 0)
        assert [params.get("cursor", "count") for params in asked(replica)][-2:] == ["count", "*"]
    assert content(db) == before
    assert [paper["doi"] for paper in listed(db)] == sorted(works)


def test_a_page_is_stored_before_the_next_is_asked_for(few: Path, tmp_path: Path) -> None:
    """Whenever the replica serves a page, the pages before are in the database."""
    db = tmp_path / "papers.db"
    seen: list[int] = []
    with serve(MODULE, few, *FREELY) as replica:
        ask = crossref.Crossref._get

        def watched(self: crossref.Crossref, path: str, fields: dict[str, str]) -> bytes:
            if fields.get("cursor", "*") != "*":
                seen.append(len(held(db)))
            return ask(self, path, fields)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(crossref.Crossref, "_get", watched)
            bring(replica, db)
    assert seen == [20 * page for page in range(1, len(seen) + 1)]
    assert len(seen) > 4


@pytest.mark.parametrize("name", sorted(FAULTS.keys() - SLOW - {"revised"}))
def test_no_fault_loses_a_work(name: str, few: Path, tmp_path: Path) -> None:
    """With the fault met at every third request: the same database as without, and no cursor sent twice for a page."""
    db = tmp_path / "papers.db"
    limits = ("--polite-limit", "1000", "--ban-after", "1")
    with serve(
        MODULE, few, *limits, "--today", TODAY, "--fault", f"{name}:{0 if name == 'growing' else 0.3}"
    ) as replica:
        if name == "growing":
            replica.ask("fault", name=name, rate="0.3")
        report = bring(replica, db, email="a@example.org")
        replica.ask("fault", name=name, rate="0")
        met = {entry["fault"] for entry in replica.log()}
        assert name in met
        assert report.missing == 0
        again = bring(replica, db, email="a@example.org")  # what entered meanwhile, dated today
        check_accounts(again, replica, db)
        if name != "shrinking":
            assert held(db) == truth(replica)
        log = replica.log()
        assert not any(entry["violation"] for entry in log)
        follow = Counter(
            entry["params"]["cursor"]
            for entry in log
            if entry["params"].get("cursor", "*") != "*" and not entry["served"]
        )
        assert all(count == 1 for count in follow.values()), "a cursor was repeated whose page did not come"


def test_all_faults_at_once_lose_nothing(few: Path, tmp_path: Path) -> None:
    """Every fault together, the limits kept, and the accounts match the service's counts."""
    db, whole = tmp_path / "papers.db", tmp_path / "whole.db"
    with serve(MODULE, few, *FREELY, "--today", TODAY) as replica:
        bring(replica, whole)
    faults = [f"{name}:0.03" for name in FAULTS if name not in {*SLOW, "growing", "shrinking", "revised"}]
    with serve(MODULE, few, *FREELY, "--today", TODAY, "--fault", *faults) as replica:
        report = bring(replica, db)
        assert report.missing == 0
        assert report.asked == len(held(db))
    assert content(db) == content(whole)


def test_large_questions_are_split_into_spans(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No walk has more works than a span may, but for one second; all spans together are all works, each once."""
    db = tmp_path / "papers.db"
    monkeypatch.setattr(walks, "LARGEST", 30)
    with serve(MODULE, few, *FREELY, "--clones", "700", "--today", TODAY) as replica:
        report = bring(replica, db)
        assert report.asked == report.stored == len(held(db)) == len(truth(replica))
        assert report.missing == 0
        begun = [params.get("filter") for params in asked(replica) if params.get("cursor") == "*"]
        assert len(begun) == len(set(begun)) > 10
    walked = query(db, "SELECT span, works, shortfall FROM walked")
    assert sum(works for _, works, _ in walked) == report.asked
    assert {shortfall for *_, shortfall in walked} == {0}


@pytest.mark.parametrize("limit", [1, 7, 20, 33])
def test_a_limit_takes_the_newest(limit: int, few: Path, tmp_path: Path) -> None:
    """Just so many, those that were registered last; and a run without a limit brings the others."""
    db = tmp_path / "papers.db"
    with serve(MODULE, few, *FREELY, "--today", TODAY) as replica:
        report = bring(replica, db, limit=limit)
        assert (report.asked, report.stored, report.missing) == (limit, limit, 0)
        created = {doi: work.created for doi, work in load(few).items()}
        everything = sorted((created[doi] for doi in truth(replica)), reverse=True)
        assert sorted((created[doi] for doi in held(db)), reverse=True) == everything[:limit]
        again = bring(replica, db, limit=limit)
        assert (again.asked, again.stored, again.skipped) == (limit, 0, limit)
        check_accounts(bring(replica, db), replica, db)


def test_later_runs_bring_what_is_new_and_what_changed(few: Path, tmp_path: Path) -> None:
    """On a new day: what was registered since, and what was revised, in place with its history; no more is written."""
    db = tmp_path / "papers.db"
    with serve(MODULE, few, *FREELY, "--today", TODAY, "--fault", "revised:0.2") as replica:
        bring(replica, db)
        first = held(db)
        replica.ask("today", date="2026-01-06")
        # The client's clock is the real one, so that its windows begin later than the replica's days: ask for them.
        revised = bring(replica, db, since="2026-01-06")
        assert held(db) == first
        assert 0 < revised.stored == revised.asked < len(first) / 2
        assert revised.missing == 0
        history = query(db, "SELECT source, identifier, content FROM revision")
        assert len(history) == revised.stored
        changes = Counter(what for (what,) in query(db, "SELECT what FROM event"))
        assert changes == {"stored": len(first), "updated": revised.stored}
        for _, doi, before in history:
            ((now,),) = query(db, f"SELECT content FROM raw WHERE identifier = '{doi}'")
            assert json.loads(zlib.decompress(before))["deposited"] != json.loads(zlib.decompress(now))["deposited"]
        rows = Path(db).read_bytes()
        again = bring(replica, db, since="2026-01-06")
        assert (again.stored, again.skipped) == (0, revised.asked)
        assert len(Path(db).read_bytes()) <= len(rows) + 65_536


def test_what_grew_elsewhere_is_walked_again(few: Path, tmp_path: Path) -> None:
    """When the service counts more than the newer spans explain (works dated back), everything is walked once more."""
    db = tmp_path / "papers.db"
    with serve(MODULE, few, *FREELY) as replica:
        some = sorted(truth(replica))[:5]
        replica.ask("delete", doi=",".join(some))
        assert bring(replica, db).missing == 0
        assert not held(db) & set(some)
    with serve(MODULE, few, *FREELY) as replica:  # where nothing is deleted
        report = bring(replica, db)
        assert held(db) == truth(replica)
        assert (report.stored, report.missing) == (5, 0)
        assert report.asked == len(held(db))


def test_a_list_of_dois_is_looked_up(few: Path, tmp_path: Path) -> None:
    """Each in whatever form and case, those that are none are absent, and nothing else is fetched."""
    db, file = tmp_path / "papers.db", tmp_path / "dois.txt"
    known = sorted(load(few))
    chosen = [*known[:45], next(doi for doi in known if "<" in doi or "(" in doi)]
    lines = [
        f"https://doi.org/{doi.upper()}" if place % 3 else doi.upper()
        for place, doi in enumerate(chosen)
        if "%" not in doi
    ]
    file.write_text("\n".join([*lines, "10.9999/none", "10.9999/no,ne"]) + "\n")
    with serve(MODULE, few, *FREELY) as replica:
        report = bring(replica, db, "", dois=file)
        assert held(db) == {doi.lower() for doi in chosen}
        assert (report.asked, report.stored, report.absent, report.missing) == (
            len(set(chosen)) + 2,
            len(set(chosen)),
            2,
            0,
        )
        assert len(asked(replica)) == 3 + 2
        assert query(db, "SELECT identifier FROM absent ORDER BY 1") == [("10.9999/no,ne",), ("10.9999/none",)]
        again = bring(replica, db, "", dois=file, limit=10)
        assert (again.asked, again.stored, again.skipped) == (10, 0, 10)


def test_what_is_looked_up_may_be_gone_and_come_back(few: Path, tmp_path: Path) -> None:
    """A DOI that is deleted keeps its record and is absent, until it is there again."""
    db, file = tmp_path / "papers.db", tmp_path / "dois.txt"
    doi = min(load(few))
    file.write_text(f"{doi}\n")
    with serve(MODULE, few, *FREELY) as replica:
        bring(replica, db, "", dois=file)
        replica.ask("delete", doi=doi)
        report = bring(replica, db, "", dois=file)
        assert (report.absent, report.stored, held(db)) == (1, 0, {doi})
    with serve(MODULE, few, *FREELY) as replica:
        report = bring(replica, db, "", dois=file)
        assert (report.absent, report.stored, report.asked) == (0, 1, 1)
        assert query(db, "SELECT count(*) FROM absent") == [(0,)]


def test_a_log_alone_brings_the_same_works(few: Path, tmp_path: Path) -> None:
    """A line a work, in the order of what happened; from it another database is filled, by DOI."""
    log = tmp_path / "log.jsonl"
    with serve(MODULE, few, *FREELY) as replica:
        bring(replica, tmp_path / "one.db", limit=50, log=log)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert {line["doi"] for line in lines} == held(tmp_path / "one.db")
        assert {(line["source"], line["pmid"], line["key"][:7]) for line in lines} == {("crossref", None, "doi:10.")}
        report = bring(replica, tmp_path / "other.db", "", from_log=log)
        assert (report.asked, report.stored) == (50, 50)
        lists = [content(tmp_path / name) for name in ("one.db", "other.db")]
        assert len(lists[0].pop("found")) == 50
        assert lists[1].pop("found") == []  # a log is no query
        assert lists[0] == lists[1]
        assert bring(replica, tmp_path / "other.db", "", from_log=log).asked == 0


@pytest.mark.parametrize(
    "filters",
    [{"issn": None}, {"orcid": None}, {"funder": None}, {"issn": None, "funder": None}],
    ids="+".join,
)
def test_filters_narrow_what_is_found(filters: dict[str, None], few: Path, tmp_path: Path) -> None:
    """An ISSN, an ORCID, a funder: just the works that have it, with no words at all."""
    newest = {doi: work.versions[-1] for doi, work in load(few).items()}

    def values(work: dict[str, Any], name: str) -> set[str]:
        if name == "issn":
            return set(work.get("ISSN", ()))
        if name == "orcid":
            return {each["ORCID"].rpartition("/")[2] for each in work.get("author", ()) if each.get("ORCID")}
        return {each["DOI"].lower() for each in work.get("funder", ()) if each.get("DOI")}

    model = next(work for work in newest.values() if all(values(work, name) for name in filters))
    chosen = {name: sorted(values(model, name))[:1] for name in filters}
    wanted = {
        doi for doi, work in newest.items() if all(values(work, name) & set(value) for name, value in chosen.items())
    }
    with serve(MODULE, few, *FREELY) as replica:
        report = bring(replica, tmp_path / "papers.db", "", **chosen)
        assert held(tmp_path / "papers.db") == wanted
        assert report.asked == len(wanted) > 0


def test_a_service_that_refuses_ends_resumably(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ServiceRefused with everything so far kept; the next run walks what is lacking, and all is there."""
    db = tmp_path / "papers.db"
    monkeypatch.setattr(service, "ATTEMPTS", 2)
    with serve(MODULE, few, *FREELY, "--fault", "refuse-after:60") as replica:
        with pytest.raises(ServiceRefused, match="run the same command again later"):
            bring(replica, db)
        assert len(held(db)) == 60
    with serve(MODULE, few, *FREELY) as replica:
        report = bring(replica, db)
        check_accounts(report, replica, db)
        assert report.stored == len(held(db)) - 60


def test_a_second_process_is_refused(few: Path, tmp_path: Path) -> None:
    """One process at a time writes a database; the other is told which one does."""
    db = tmp_path / "papers.db"
    with serve(MODULE, few, *FREELY) as replica:
        bring(replica, db, limit=1)
        with leftoff.open(db) as journal:
            journal.run("crossref").step("hold", int)
            with pytest.raises(leftoff.JournalBusy), leftoff.open(db):
                bring(replica, db)


def test_what_cannot_be_stored_keeps_the_days_open(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A work that fails again and again becomes a dead letter: missing, while the others come; the days stay open."""
    db = tmp_path / "papers.db"
    store = keeping.store_record

    def refuse_one(connection: sqlite3.Connection, record: Any, at: str) -> Any:
        if record.identifier == poison:
            raise ValueError("made to fail")
        return store(connection, record, at)

    with serve(MODULE, few, *FREELY) as replica:
        poison = sorted(truth(replica))[3]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keeping, "store_record", refuse_one)
            for _ in range(3):
                with pytest.raises(ValueError, match="made to fail"):
                    bring(replica, db)
            report = bring(replica, db)
        assert (report.missing, report.dead) == (1, 1)
        assert held(db) == truth(replica) - {poison}
        assert query(db, "SELECT count(*) FROM search WHERE completed_at IS NULL") == [(0,)]
        with leftoff.open(db) as journal:
            assert [letter.key for letter in journal.run("crossref").dead()] == [f"doi:{poison}"]
            journal.run("crossref").retry()
        report = bring(replica, db)
        assert (report.missing, report.stored) == (0, 1)
        assert held(db) == truth(replica)


def test_tables_of_another_time_are_refused(tmp_path: Path) -> None:
    """A database of a development version is named as what it is, and nothing in it is changed."""
    db = tmp_path / "papers.db"
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("CREATE TABLE raw (source TEXT, identifier INTEGER)")
    with pytest.raises(UsageError, match="development version"):
        sync("x", db, source="crossref", crossref_url="http://127.0.0.1:9")


def test_what_changes_while_it_is_walked_is_for_the_next_run(few: Path, tmp_path: Path) -> None:
    """Works that are deposited again between a loss and the new beginning are in no doubt, and in the next run."""
    db = tmp_path / "papers.db"
    with serve(MODULE, few, *FREELY, "--today", TODAY, "--fault", "revised:1", "lost-page:1") as replica:
        rest = crossref.Crossref.rest

        def meanwhile(self: crossref.Crossref, error: crossref.Lost, losses: int) -> None:
            replica.ask("fault", name="lost-page", rate="0")
            replica.ask("today", date="2026-01-06")
            rest(self, error, losses)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(crossref.Crossref, "rest", meanwhile)
            report = bring(replica, db)
        check_accounts(report, replica, db)
        assert query(db, "SELECT count(*) FROM revision") == [(0,)]
        again = bring(replica, db, since="2026-01-06")
        assert again.missing == 0
        assert query(db, "SELECT count(*) FROM revision") == [(20,)]  # the page that was stored before the loss


class Interrupted(BaseException):
    """As good as a kill: what was under way is gone, and nothing tidies up."""


def interrupted(replica: Running, db: Path, patch: pytest.MonkeyPatch, when: Callable[[], bool]) -> None:
    """Bring what there is, until this is so when a request is to be sent."""
    get = crossref.Crossref._get

    def watched(self: crossref.Crossref, path: str, fields: dict[str, str]) -> bytes:
        if when():
            raise Interrupted
        return get(self, path, fields)

    with patch.context() as patched, pytest.raises(Interrupted):
        patched.setattr(crossref.Crossref, "_get", watched)
        bring(replica, db)


def begun(replica: Running, start: int = 0) -> list[str]:
    """Return the filters of the walks that were begun, "" for that of everything."""
    return [params.get("filter", "") for params in asked(replica)[start:] if params.get("cursor") == "*"]


def walked(db: Path) -> list[str]:
    return [span for (span,) in query(db, "SELECT span FROM walked")]


@pytest.mark.parametrize("why", ["lost", "large"])
def test_what_was_halved_stays_so_after_a_kill(
    why: str, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the whole span nor a half that is complete is walked again, and the count of the whole is kept."""
    db = tmp_path / "papers.db"
    if why == "large":
        monkeypatch.setattr(walks, "LARGEST", 100)
    with serve(MODULE, few, *FREELY, "--today", TODAY) as replica:

        def at_the_second_half() -> bool:
            lost = why == "lost" and len(begun(replica)) <= 2  # twice, then it is walked in halves
            replica.ask("fault", name="lost-page", rate=str(int(lost)))
            return len(walked(db)) == 1

        interrupted(replica, db, monkeypatch, at_the_second_half)
        *_, half = before = begun(replica)
        assert before.count("") == (2 if why == "lost" else 1)
        start = len(replica.log())
        report = bring(replica, db)
        after = begun(replica, start)
        check_accounts(report, replica, db)
        assert held(db) == truth(replica)
        assert not {"", half} & {*after}
        (total,) = query(db, "SELECT total FROM search ORDER BY id LIMIT 1")[0]
        assert total == len(held(db))
