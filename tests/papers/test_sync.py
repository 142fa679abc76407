"""`sync` against the replica: complete, resumable, mannered, accounted for."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import JournalBusy, ServiceRefused, UsageError
from leftoff.papers import SyncReport, doi, listed, sync
from leftoff.papers import log as logs
from leftoff.papers.record import Record
from leftoff.work.journal import open as open_journal
from tests.papers.evidence import asked_for, content, held, query, requests
from tests.papers.test_pubmed import MADE

KEY = "secret-test-key"
ALL = "all[sb]"


def tell(url: str, what: str) -> None:
    """Change the replica while it runs."""
    with urllib.request.urlopen(url.replace("/entrez/eutils", f"/replica/{what}")) as answer:
        assert answer.status == 200


def in_words(report: SyncReport) -> dict[str, Any]:
    """Return the accounts that do not depend on time."""
    return {name: value for name, value in report.as_dict().items() if name not in ("requests", "waited_s")}


def run_of(db: Path) -> Any:
    """Return the counts of done and dead of the run, and its done keys."""
    with open_journal(db) as journal:
        return sorted(journal.run("pubmed").keys("done"))


def test_everything_found_is_stored_once(
    replica: Callable[..., str], every_record: list[Record], tmp_path: Path
) -> None:
    """The first run stores all papers with explicit ids; a second one fetches nothing; both account for every PMID."""
    url, db, total = replica(), tmp_path / "papers.db", len(every_record)
    first = sync(ALL, db, ncbi_url=url, api_key=KEY, email="a@b.org")
    assert in_words(first) == {
        "asked": total, "stored": total, "skipped": 0, "absent": 0, "merged": 0, "missing": 0
    }  # fmt: skip
    assert asked_for(tmp_path) == Counter(record.pmid for record in every_record)
    for entry in requests(tmp_path):
        assert entry["method"] == "POST"
        assert len(entry["ids"]) <= 200
        assert not {"WebEnv", "retstart"} & entry["params"].keys()
    assert first.requests == len(requests(tmp_path)) + len(requests(tmp_path, "esearch"))
    fetches = len(requests(tmp_path))
    again = sync(ALL, db, ncbi_url=url, api_key=KEY)
    assert len(requests(tmp_path)) == fetches
    assert (again.stored, again.missing) == (0, 0)
    assert len(list(listed(db))) == total
    assert run_of(db) == sorted(f"pmid:{record.pmid}" for record in every_record)


def begun(url: str, db: Path, *, batch: int) -> subprocess.Popen[bytes]:
    """Begin sync in a process of its own."""
    call = f"sync({ALL!r}, {str(db)!r}, batch={batch}, ncbi_url={url!r}, api_key={KEY!r})"
    return subprocess.Popen(
        [sys.executable, "-c", f"from leftoff.papers import sync; {call}"], stderr=subprocess.DEVNULL
    )


def wait_for_fetches(process: subprocess.Popen[bytes], folder: Path, count: int) -> None:
    """Return when the replica has seen so many fetches in all."""
    while len(requests(folder)) < count:
        try:
            process.wait(timeout=0.01)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail("sync ended before it could be interrupted")


def killed(url: str, db: Path, folder: Path, *, fetches: int, batch: int) -> None:
    """Run sync in a process of its own and kill it when the replica has seen so many more fetches."""
    target = len(requests(folder)) + fetches
    process = begun(url, db, batch=batch)
    wait_for_fetches(process, folder, target)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_what_was_begun_goes_first(replica: Callable[..., str], tmp_path: Path) -> None:
    """A process that died while it stored a batch leaves suspects: they are fetched together, before anything else."""
    url, db = replica(), tmp_path / "papers.db"
    script = (
        "import os; from leftoff.papers import keeping, sync\n"
        "keeping._kept = lambda *_: os._exit(9)\n"
        f"sync({ALL!r}, {str(db)!r}, limit=21, batch=7, ncbi_url={url!r}, api_key={KEY!r})"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, stderr=subprocess.DEVNULL).returncode == 9
    report = sync(ALL, db, limit=21, batch=7, ncbi_url=url, api_key=KEY)
    assert report.stored == 21
    (begun, *rest) = [entry["ids"] for entry in requests(tmp_path)]
    assert sorted(rest[0]) == sorted(begun)
    assert [len(ids) for ids in rest] == [7, 7, 7]


def test_absent_ids_are_recorded_and_asked_again_next_time(
    replica: Callable[..., str], every_record: list[Record], tmp_path: Path
) -> None:
    """What the service lists and does not send is counted, not missed; the next search asks for it again."""
    url, db = replica("--fault", "always-missing:0.1"), tmp_path / "papers.db"
    first = sync(ALL, db, ncbi_url=url, api_key=KEY)
    assert 0 < first.absent < len(every_record) / 4
    assert (first.stored, first.missing) == (len(every_record) - first.absent, 0)
    rows = sqlite3.connect(db).execute("SELECT count(*) FROM absent").fetchone()
    assert rows == (first.absent,)
    tell(url, "fault?name=always-missing&rate=0")
    connection = sqlite3.connect(db)
    connection.execute("DELETE FROM search")  # as if nothing had ever been complete
    connection.commit()
    again = sync(ALL + " ", db, ncbi_url=url, api_key=KEY)
    assert (again.stored, again.skipped, again.absent) == (first.absent, first.stored, 0)
    assert connection.execute("SELECT count(*) FROM absent").fetchone() == (0,)
    connection.close()


def test_a_stored_record_that_is_not_sent_is_marked_as_deleted(
    replica: Callable[..., str], every_record: list[Record], tmp_path: Path
) -> None:
    """It stays, is listed as deleted and counted as absent; when it is sent again the mark goes."""
    url, db = replica("--fault", "revised:0.1", "--fault", "always-missing:0"), tmp_path / "papers.db"
    sync(ALL, db, ncbi_url=url, api_key=KEY)
    tell(url, f"today?date={_days_ahead(3)}")
    tell(url, "fault?name=always-missing&rate=1")
    report = sync(ALL, db, log=tmp_path / "log.jsonl", ncbi_url=url, api_key=KEY)
    assert len(query(db, "SELECT 1 FROM raw WHERE deleted_at IS NOT NULL")) == report.absent > 0
    marked = Counter(paper["status"] for paper in listed(db))
    assert report.absent - marked["retracted"] <= marked["deleted"] <= report.absent  # the stronger word stands
    assert (report.stored, report.missing) == (0, 0)
    assert len(list(listed(db))) == len(every_record)
    assert [line["what"] for line in logs.read(tmp_path / "log.jsonl")][-report.absent :] == ["deleted"] * report.absent
    tell(url, "fault?name=always-missing&rate=0")
    tell(url, f"today?date={_days_ahead(6)}")
    sync(ALL, db, ncbi_url=url, api_key=KEY)
    assert query(db, "SELECT 1 FROM raw WHERE deleted_at IS NOT NULL") == []
    assert query(db, "SELECT 1 FROM absent") == []


def test_a_short_answer_is_made_up_for(replica: Callable[..., str], every_record: list[Record], tmp_path: Path) -> None:
    """Records that an answer happens to leave out are asked for again, not taken for absent."""
    url = replica("--fault", "shortfall:0.5", "--seed", "3")
    report = sync(ALL, tmp_path / "papers.db", ncbi_url=url, api_key=KEY)
    assert report.stored >= len(every_record) * 0.99
    assert report.missing == 0


def test_a_service_that_refuses_from_some_paper_on(
    replica: Callable[..., str], every_record: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """429 from paper 500 on ends the run with everything kept; the next one fetches just what is missing."""
    monkeypatch.setattr("leftoff.papers.service.ATTEMPTS", 2)
    total = len(every_record)
    last = 500 if total > 500 else 60
    url, db, batch = replica("--fault", f"refuse-after:{last}"), tmp_path / "papers.db", last // 5
    with pytest.raises(ServiceRefused, match="kept"):
        sync(ALL, db, batch=batch, ncbi_url=url, api_key=KEY)
    kept = len(list(listed(db)))
    assert len(held(db)) == last
    assert last - 20 < kept <= last  # some are one paper with two PMIDs
    fetches = len(requests(tmp_path))
    report = sync(ALL, db, batch=batch, ncbi_url=replica(), api_key=KEY)
    assert (report.stored, report.skipped) == (total - last, last)
    again = [pmid for entry in requests(tmp_path)[fetches:] for pmid in entry["ids"]]
    assert sorted(again) == sorted({record.pmid for record in every_record} - set(before_refusal(tmp_path, fetches)))


def before_refusal(folder: Path, fetches: int) -> list[str]:
    """Return the PMIDs that the first so many fetches brought."""
    return [pmid for entry in requests(folder)[:fetches] for pmid in entry["served"]]


def test_a_limit_takes_the_first_so_many(replica: Callable[..., str], tmp_path: Path) -> None:
    """A limit is of the list, so that the same call again has nothing to do and a larger one goes on."""
    url, db = replica(), tmp_path / "papers.db"
    assert in_words(sync(ALL, db, limit=30, ncbi_url=url, api_key=KEY))["stored"] == 30
    assert sync(ALL, db, limit=30, ncbi_url=url, api_key=KEY).stored <= 30
    assert sync(ALL, db, limit=50, ncbi_url=url, api_key=KEY).asked == 50


def test_new_and_revised_papers_are_fetched_the_next_day(
    replica: Callable[..., str], every_record: list[Record], tmp_path: Path
) -> None:
    """On a later day just those are fetched that were added, or revised since they were fetched."""
    url, db = replica("--fault", "revised:0.02"), tmp_path / "papers.db"
    sync(ALL, db, ncbi_url=url, api_key=KEY)
    fetched = asked_for(tmp_path)
    tell(url, f"today?date={_days_ahead(3)}")
    report = sync(ALL, db, ncbi_url=url, api_key=KEY)
    again = asked_for(tmp_path) - fetched
    assert 0 < report.stored < len(every_record) / 5
    assert sum(again.values()) == report.stored
    searches = requests(tmp_path, "esearch")[1:]
    assert {entry["params"]["datetype"] for entry in searches} == {"edat", "mdat"}


def _days_ahead(days: int) -> str:
    """Return a day after today, as the replica's calendar counts."""
    return (datetime.now(timezone.utc) + timedelta(days=days)).date().isoformat()


def test_since_asks_for_a_window(replica: Callable[..., str], tmp_path: Path) -> None:
    """Only what was added from that day on is listed."""
    url, db = replica(), tmp_path / "papers.db"
    report = sync(ALL, db, since="2019-01-01", ncbi_url=url, api_key=KEY)
    assert 0 < report.asked == report.stored
    first, *_ = requests(tmp_path, "esearch")
    assert (first["params"]["datetype"], first["params"]["mindate"]) == ("edat", "2019/01/01")
    rest = sync(ALL, db, ncbi_url=url, api_key=KEY)
    assert rest.skipped == report.stored
    assert rest.stored > 0


def test_the_log_has_each_paper_and_brings_back_a_lost_database(replica: Callable[..., str], tmp_path: Path) -> None:
    """The log has a line for each paper; from it a lost database is fetched again, exactly, without a search."""
    url, log = replica(), tmp_path / "log.jsonl"
    sync(ALL, tmp_path / "papers.db", limit=60, log=log, ncbi_url=url, api_key=KEY)
    pmids = {str(line["pmid"]) for line in logs.read(log)}
    assert len(pmids) == 60
    searches = len(requests(tmp_path, "esearch"))
    report = sync("", tmp_path / "new.db", from_log=log, ncbi_url=url, api_key=KEY)
    assert (report.asked, report.stored) == (60, 60)
    assert len(requests(tmp_path, "esearch")) == searches
    new, lost = content(tmp_path / "new.db"), content(tmp_path / "papers.db")
    assert (new.pop("found"), len(lost.pop("found"))) == ([], 60)  # a log is no query
    assert new == lost
    report = sync("", tmp_path / "new.db", from_log=log, ncbi_url=url, api_key=KEY)
    assert report.asked == 0


def test_a_row_that_is_gone_is_fetched_again(replica: Callable[..., str], tmp_path: Path) -> None:
    """A done mark without its row, which somebody deleted, does not keep the record away."""
    url, db = replica(), tmp_path / "papers.db"
    sync(ALL, db, limit=20, ncbi_url=url, api_key=KEY)
    connection = sqlite3.connect(db)
    (pmid,) = connection.execute("SELECT identifier FROM raw ORDER BY identifier LIMIT 1").fetchone()
    connection.execute("DELETE FROM raw WHERE identifier = ?", (pmid,))
    connection.commit()
    connection.close()
    sync(ALL, db, ncbi_url=url, api_key=KEY)
    assert asked_for(tmp_path)[str(pmid)] == 2
    assert max(asked_for(tmp_path).values()) == 2


def test_two_pmids_with_one_doi_are_one_paper(tmp_path: Path, replica: Callable[..., str]) -> None:
    """The two records (made) become one paper with two PMIDs, and the report counts the merge."""
    folder = tmp_path / "data"
    folder.mkdir()
    ids = '<ArticleId IdType="doi">10.1002/14651858.CD002020</ArticleId>'
    made = "".join(MADE.format(pmid=pmid, date="", title="T", more="", ids=ids) for pmid in (11034741, 11406024))
    (folder / "made.xml").write_text(f"<PubmedArticleSet>{made}</PubmedArticleSet>")
    url = replica("--data", str(folder))
    report = sync(ALL, tmp_path / "papers.db", ncbi_url=url, api_key=KEY)
    assert (report.stored, report.merged) == (2, 1)
    (paper,) = listed(tmp_path / "papers.db")
    assert (paper["key"], paper["pmids"]) == (doi.digest("10.1002/14651858.cd002020"), ["11034741", "11406024"])


def test_an_interrupted_search_brings_what_came_meanwhile(
    replica: Callable[..., str], every_record: list[Record], tmp_path: Path
) -> None:
    """The list that was interrupted is finished, and what was added since is there when the call ends."""
    db, held = tmp_path / "papers.db", [record.pmid for record in every_record[:30]]
    url = replica()
    tell(url, f"delete?id={','.join(held)}")
    killed(url, db, tmp_path, fetches=2, batch=len(every_record) // 20)
    report = sync(ALL, db, ncbi_url=replica(), api_key=KEY)
    assert (report.asked, report.missing) == (len(every_record), 0)
    assert report.stored + report.skipped == len(every_record)
    assert {pmid for paper in listed(db) for pmid in paper["pmids"]} == {record.pmid for record in every_record}


def test_sigterm_ends_a_sync_at_once_and_resumably(
    replica: Callable[..., str], every_record: list[Record], tmp_path: Path
) -> None:
    """SIGTERM ends it with 75, also while the service is silent; the next call has all that was stored before."""
    url, db = replica("--fault", "stall:0", "--stall", "60"), tmp_path / "papers.db"
    batch = len(every_record) // 20
    process = begun(url, db, batch=batch)
    wait_for_fetches(process, tmp_path, 3)
    tell(url, "fault?name=stall&rate=1")
    wait_for_fetches(process, tmp_path, len(requests(tmp_path)) + 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 75
    assert sync(ALL, db, ncbi_url=replica(), api_key=KEY).skipped >= batch


def test_the_key_is_nowhere_on_disk(replica: Callable[..., str], tmp_path: Path) -> None:
    """The API key is in no journal, database or log."""
    folder = tmp_path / "mine"
    folder.mkdir()
    url = replica()
    sync(ALL, folder / "papers.db", limit=20, log=folder / "log.jsonl", ncbi_url=url, api_key=KEY)
    for path in folder.iterdir():
        assert KEY.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"query": " "}, "query is empty"),
        ({"batch": 201}, "from 1 to 200"),
        ({"batch": 0}, "from 1 to 200"),
        ({"limit": 0}, "at least one"),
        ({"since": "soon"}, "2026-01-31"),
        ({"ncbi_url": "example.org"}, "is no URL"),
        ({"db": "papers.jsonl"}, "tables"),
    ],
)
def test_wrong_arguments_are_named_before_anything_happens(
    arguments: dict[str, Any], words: str, tmp_path: Path
) -> None:
    """Each wrong argument is its own words, and neither a file nor a request is made of it."""
    given = {"query": ALL, "db": "papers.db", "ncbi_url": "http://127.0.0.1:9"} | arguments
    with pytest.raises(UsageError, match=words):
        sync(**given)
    assert "papers.db" not in {path.name for path in tmp_path.iterdir()}


def test_a_second_sync_of_one_database_is_refused(tmp_path: Path) -> None:
    """While another process (here: another handle) syncs, a second one is refused by name."""
    with open_journal(tmp_path / "papers.db") as journal:
        journal.run("pubmed").own()
        with pytest.raises(JournalBusy):
            sync(ALL, tmp_path / "papers.db", ncbi_url="http://127.0.0.1:9")
