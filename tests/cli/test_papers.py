"""`leftoff papers`: the two commands, their words, their exit codes and what they keep to themselves."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import leftoff
import leftoff.papers
from leftoff.papers import SyncReport, doi
from leftoff.testing.ncbi_process import Running, serve
from tests.cli.conftest import Ended, call

RECORDS = Path(__file__).parents[2] / "examples" / "papers" / "records"
KEY = "canary-8c1f0a77"
KEYS = ["asked", "stored", "skipped", "absent", "merged", "requests", "waited_s", "missing"]


@pytest.fixture(scope="module")
def replica() -> Iterator[Running]:
    with serve(RECORDS, "--ban-after", "1") as served:
        yield served


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no setting of the one who runs the tests in; with a key the replica is quicker."""
    for name in ("NCBI_EMAIL", "LEFTOFF_NCBI_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NCBI_API_KEY", KEY)


def sync(served: Running, *words: object) -> Ended:
    return call("papers", "sync", "--db", "papers.db", "--ncbi-url", served.eutils, *words)


def test_sync_ends_with_its_accounts_and_list_has_each_paper(replica: Running) -> None:
    """The last line of `sync --json` and the lines of `list --json` are the objects that the page names."""
    ended = sync(replica, "all[sb]", "--json")
    assert ended.code == 0, ended.err
    accounts = json.loads(ended.out.splitlines()[-1])
    assert list(accounts) == KEYS
    numbers = {name: accounts[name] for name in KEYS if name not in ("requests", "waited_s")}
    assert numbers == {"asked": 120, "stored": 120, "skipped": 0, "absent": 0, "merged": 0, "missing": 0}
    papers = call("papers", "list", "--db", "papers.db", "--json").json_lines
    assert [list(paper) for paper in papers] == [["key", "doi", "pmids", "title", "year", "status"]] * 120
    assert papers[0] == {
        "key": doi.digest("10.1016/0006-291x(75)90506-9"),
        "doi": "10.1016/0006-291x(75)90506-9",
        "pmids": ["4"],
        "title": "Effect of chloroquine on cultured fibroblasts: release of lysosomal hydrolases and inhibition of"
        " their uptake.",
        "year": 1975,
        "status": "",
    }
    assert all(paper["key"] == f"pmid:{paper['pmids'][0]}" for paper in papers if paper["doi"] is None)
    assert sync(replica, "all[sb]", "--json").json["stored"] == 0


def test_people_read_what_happened(replica: Running) -> None:
    """Without --json both commands print words; a run that had nothing to fetch says so."""
    ended = sync(replica, "all[sb]", "--limit", "30")
    assert ended.out.startswith("papers.db: 30 papers listed: 30 stored, 0 there before\n")
    lines = call("papers", "list", "--db", "papers.db").out.splitlines()
    assert len(lines) == 30
    nothing = sync(replica, "nosuchword[ti]")
    assert nothing.out.startswith("papers.db: nothing is listed for this query that is not here\n")


def test_retracted_papers_are_marked(replica: Running) -> None:
    """A word in brackets stands before the title of what was retracted or corrected; programs get it as a field."""
    assert sync(replica, "all[sb]").code == 0
    papers = call("papers", "list", "--db", "papers.db", "--json").json_lines
    marked = {paper["pmids"][0]: paper["status"] for paper in papers if paper["status"]}
    assert set(marked.values()) == {"retracted", "corrected"}
    assert marked["31541003"] == "retracted"
    lines = call("papers", "list", "--db", "papers.db").out.splitlines()
    words = {line.split()[0]: line.split()[2] for line in lines if "[RETRACTED] " in line or "[CORRECTED] " in line}
    assert words == {pmid: f"[{status.upper()}]" for pmid, status in marked.items()}


def test_settings_come_from_the_environment_too(replica: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """NCBI_API_KEY, NCBI_EMAIL and LEFTOFF_NCBI_URL stand in for their options, the last also for the library's."""
    monkeypatch.setenv("NCBI_EMAIL", "a@b.org")
    monkeypatch.setenv("LEFTOFF_NCBI_URL", replica.eutils)
    start = len(replica.log())
    assert call("papers", "sync", "cancer", "--db", "papers.db").code == 0
    leftoff.papers.sync("cancer", "other.db", api_key="another")
    sent = [line["params"] for line in replica.log()[start:]]
    assert {(params["api_key"], params.get("email"), params["tool"]) for params in sent} == {
        (KEY, "a@b.org", "leftoff"),
        ("another", None, "leftoff"),
    }


def test_each_option_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command calls the library with what it was given, and adds nothing."""
    got: dict[str, Any] = {}

    def double(query: str, db: str, **options: Any) -> SyncReport:
        got.update(options, query=query, db=db)
        return SyncReport(1, 1, 0, 0, 0, 2, 0.5, 0)

    monkeypatch.setattr(leftoff.papers, "sync", double)
    options = {
        "db": "a.db", "since": "2026-01-31", "limit": "5", "batch": "7", "email": "a@b.org", "api-key": "k",
        "ncbi-url": "http://x", "log": "l.jsonl", "from-log": "f.jsonl", "source": "both", "crossref-url": "http://y",
        "dois": "d.txt",
    }  # fmt: skip
    repeated = {"issn": ("1", "2"), "orcid": ("3",), "funder": ("4", "5")}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    words += [word for name, values in repeated.items() for value in values for word in (f"--{name}", value)]
    assert call("papers", "sync", "QUERY", *words).code == 0
    expected = {name.replace("-", "_"): value for name, value in options.items()}
    assert got == {**expected, **repeated, "query": "QUERY", "limit": 5, "batch": 7}


@pytest.mark.parametrize(
    ("accounts", "code"),
    [
        ({"stored": 1}, 0),
        ({"absent": 1}, 0),
        ({"missing": 1}, 1),
        ({"missing": 1, "dead": 1}, 3),
    ],
)
def test_the_accounts_decide_the_exit_code(
    accounts: dict[str, int], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Absent ids alone are no failure; missing papers are, and dead letters are told apart; both are said."""
    report = SyncReport(**{**dict.fromkeys(KEYS, 0), "asked": 1, "waited_s": 0.0, **accounts})
    monkeypatch.setattr(leftoff.papers, "sync", lambda *_, **__: report)
    ended = call("papers", "sync", "q", "--db", "papers.db")
    assert ended.code == code
    assert ("1 MISSING" in ended.out) == (code != 0)
    assert ("leftoff dead papers.db" in ended.out) == (code == 3)
    ended = call("papers", "sync", "q", "--db", "papers.db", "--json")
    assert (ended.code, list(ended.json)) == (code, KEYS)


def test_a_record_that_cannot_be_stored_becomes_a_dead_letter(
    replica: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails to be stored again and again is set aside: 3, all the rest stored, and `retry` brings it back."""
    store = leftoff.papers.keeping.store_record

    def refuse_one(connection: sqlite3.Connection, record: Any, at: str) -> Any:
        if record.pmid == "14":
            raise ValueError("14 is no good")
        return store(connection, record, at)

    with monkeypatch.context() as patched:
        patched.setattr(leftoff.papers.keeping, "store_record", refuse_one)
        for _ in range(3):
            with pytest.raises(ValueError, match="no good"):
                sync(replica, "all[sb]")
        ended = sync(replica, "all[sb]", "--json")
    assert (ended.code, ended.json["missing"]) == (3, 1)
    assert [line["key"] for line in call("dead", "papers.db", "--json").json_lines] == ["pmid:14"]
    assert call("retry", "papers.db").code == 0
    ended = sync(replica, "all[sb]", "--json")
    assert (ended.code, ended.json["stored"], ended.json["missing"]) == (0, 1, 0)
    assert len(call("papers", "list", "--db", "papers.db", "--json").json_lines) == 120


def test_a_service_that_keeps_refusing_ends_it_resumably(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is 75, what came is kept, and the key is in no output though the service repeats it."""
    monkeypatch.setattr("leftoff.papers.service.ATTEMPTS", 2)
    with serve(RECORDS, "--fault", "refuse-after:40") as replica:
        ended = sync(replica, "all[sb]", "--batch", "20")
    assert ended.code == 75
    assert "Everything so far is kept" in ended.err
    assert KEY not in ended.out + ended.err
    assert len(call("papers", "list", "--db", "papers.db", "--json").json_lines) == 40


def test_another_sync_of_the_database_is_refused(replica: Running) -> None:
    """While it is owned, a second sync exits with 5 and names the owner, and a list still works."""
    assert sync(replica, "cancer", "--limit", "5").code == 0
    with leftoff.open("papers.db") as journal:
        journal.run("pubmed").own()
        ended = sync(replica, "cancer")
        assert len(call("papers", "list", "--db", "papers.db", "--json").json_lines) == 5
    assert ended.code == 5
    assert "process" in ended.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_stop_is_prompt_and_resumable(number: signal.Signals, code: int) -> None:
    """Ctrl-C and SIGTERM end it with their codes and a last line; the next run has what was stored, and then all."""
    with serve(RECORDS, "--latency", "0.1") as replica:
        words = ["papers", "sync", "all[sb]", "--db", "papers.db", "--batch", "10", "--ncbi-url", replica.eutils]
        process = subprocess.Popen([sys.executable, "-m", "leftoff.cli", *words], stderr=subprocess.PIPE, text=True)
        while sum("efetch" in line["path"] for line in replica.log()) < 3:
            assert process.poll() is None
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        assert process.returncode == code
        *finishing, last = said.splitlines()
        assert "run the same again" in last
        assert [line.partition(" of ")[0] for line in finishing] in ([], ["finishing a batch"])  # where it met a batch
        ended = sync(replica, "all[sb]", "--json")
    accounts = ended.json
    assert (ended.code, accounts["missing"]) == (0, 0)
    assert accounts["skipped"] >= 20
    assert accounts["skipped"] + accounts["stored"] == 120


def test_from_log_needs_no_query(replica: Running) -> None:
    """A log brings back what the database lacks, without a search, and with one named none is made either."""
    assert sync(replica, "all[sb]", "--limit", "40", "--log", "log.jsonl").code == 0
    with closing(sqlite3.connect("papers.db")) as connection, connection:
        connection.execute("DELETE FROM raw WHERE identifier IN (SELECT identifier FROM raw LIMIT 3)")
    start = len(replica.log())
    assert sync(replica, "--from-log", "log.jsonl", "--json").json["stored"] == 3
    assert sync(replica, "ignored", "--from-log", "log.jsonl", "--json").json["asked"] == 0
    (fetch,) = replica.log()[start:]
    assert len(fetch["ids"]) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["q"], "Missing option '--db'"),
        (["--db", "a.db"], "no project file leftoff.toml: write one (docs/papers.md), or name a query"),
        (["--project", "p.toml"], "no project file p.toml"),
        (["q", "--db", "a.db", "--only", "x"], "leave QUERY out"),
        (["--dois", "d", "--all"], "leave --dois out"),
        (["--source", "pubmed", "--issn", "1", "--db", "a.db"], "is Crossref's"),
        (["q", "--db", "a.db", "--batch", "500"], "from 1 to 200"),
        (["q", "--db", "a.db", "--limit", "0"], "at least one"),
        (["q", "--db", "a.db", "--since", "yesterday"], "2026-01-31"),
        (["q", "--db", "a.db", "--ncbi-url", "pubmed"], "is no URL"),
        (["q", "--db", "a.jsonl"], "tables"),
        (["asthma", "2024", "--db", "a.db"], "unexpected extra argument"),
    ],
)
def test_a_wrong_call_is_named_and_makes_nothing(words: list[str], said: str, tmp_path: Path) -> None:
    """Each wrong argument exits with 2 and its own words, before a file or a request is made."""
    ended = call("papers", "sync", *words)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_says_what_to_install() -> None:
    """Without httpx the help is there, and a command names what to install."""
    script = (
        "import sys; sys.modules['httpx'] = None\nfrom leftoff.cli import main\nmain(sys.argv[1:], prog_name='leftoff')"
    )
    python = [sys.executable, "-c", script, "papers"]
    for words in (["sync", "q", "--db", "papers.db"], ["list", "--db", "papers.db"]):
        ended = subprocess.run([*python, *words], check=False, capture_output=True, text=True)
        assert ended.returncode == 2
        assert 'pip install "leftoff[papers]"' in ended.stderr
        assert "Traceback" not in ended.stderr
    assert subprocess.run([*python, "sync", "--help"], check=False, capture_output=True).returncode == 0
    assert not Path("papers.db").exists()


def test_the_key_is_nowhere(replica: Running) -> None:
    """A key is in no output and in no file that is left behind."""
    ended = sync(replica, "all[sb]", "--log", "log.jsonl", "--json")
    said = ended.out + ended.err + sync(replica, "x" * 9, "--ncbi-url", f"{replica.url}/wrong").err
    assert "rejects the request" in said
    assert KEY not in said
    files = [path for path in Path().rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"papers.db", "log.jsonl"}
    for path in files:
        assert KEY.encode() not in path.read_bytes(), path
