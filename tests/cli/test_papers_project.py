"""`leftoff papers sync` without a query, and `papers report`: their words, their exit codes, their files."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import leftoff.papers
from leftoff.errors import ServiceRefused
from leftoff.papers import Outcome, ProjectReport, SyncReport, service
from leftoff.papers.reply import Rejected
from leftoff.testing.ncbi_process import Running, serve
from tests.cli.conftest import call
from tests.cli.test_papers import RECORDS

PROJECT = """
[papers]
db = "papers.db"
ncbi_url = "{url}"

[papers.queries.cancer]
query = "cancer"

[papers.queries."\\u001b[2Jall"]
query = "all[sb]"
every = "7d"
"""


@pytest.fixture(scope="module")
def replica() -> Iterator[Running]:
    with serve(RECORDS, "--limit", "0") as served:
        yield served


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no setting of the one who runs the tests in; with a key the client is quicker."""
    for name in ("NCBI_EMAIL", "LEFTOFF_NCBI_URL", "LEFTOFF_CROSSREF_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NCBI_API_KEY", "canary-6")


@pytest.fixture
def project(replica: Running) -> None:
    Path("leftoff.toml").write_text(PROJECT.format(url=replica.eutils))


@pytest.mark.usefixtures("project")
def test_a_line_a_query() -> None:
    """Each query has its line, printed as it ends, whatever its name holds; then nothing is due."""
    ended = call("papers", "sync")
    assert ended.code == 0, ended.err
    first, second = ended.out.splitlines()
    assert first.startswith("cancer: ")
    assert first.endswith(" stored, 0 there before")
    assert second.startswith("\\x1b[2Jall: ")
    ended = call("papers", "sync")
    assert [line.split(": ")[1][:14] for line in ended.out.splitlines()] == ["not due before"] * 2
    ended = call("papers", "sync", "--all", "--only", "cancer")
    assert ended.out == "cancer: 0 stored, 0 there before\n"
    assert "canary" not in ended.out + ended.err


@pytest.mark.usefixtures("project")
def test_json_is_one_object() -> None:
    """With --json nothing but one object is printed, with what became of each query."""
    told = call("papers", "sync", "--json").json
    assert list(told) == ["project", "db", "queries"]
    assert [list(each) for each in told["queries"]] == [["name", "due", "next_at", "report", "error"]] * 2
    assert told["queries"][0]["report"]["missing"] == 0


FINE = SyncReport(1, 1, 0, 0, 0, 2, 0.5, 0)
ENDS = {
    "fine": (Outcome("fine", "d", report=FINE), 0),
    "not due": (Outcome("not due", None, "2026-03-11T12:00:00.000000Z"), 0),
    "refused": (Outcome("refused", "d", error=ServiceRefused("busy\x1b")), 75),
    "rejected": (Outcome("rejected", "d", error=Rejected("wrong")), 1),
    "missing": (Outcome("missing", "d", report=SyncReport(2, 1, 0, 0, 0, 2, 0.5, 1)), 1),
    "dead": (Outcome("dead", "d", report=SyncReport(2, 1, 0, 0, 0, 2, 0.5, 1, 1)), 3),
}


@pytest.mark.parametrize(
    ("names", "code"),
    [
        *(((name,), code) for name, (_, code) in ENDS.items()),
        (("fine", "refused", "fine"), 75),
        (("refused", "rejected", "dead"), 1),
        (("dead", "fine", "refused"), 75),
        (("fine", "dead", "not due"), 3),
        ((), 0),
    ],
)
def test_the_worst_decides_the_exit_code(names: tuple[str, ...], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 before 75 before 3 before 0; what failed is said on its line."""
    outcomes = tuple(ENDS[name][0] for name in names)

    def double(project: str, *, on_outcome: Any, **options: Any) -> ProjectReport:
        for outcome in outcomes:
            on_outcome(outcome)
        return ProjectReport(project, "papers.db", outcomes)

    monkeypatch.setattr(leftoff.papers, "sync_project", double)
    ended = call("papers", "sync")
    assert ended.code == code
    assert len(ended.out.splitlines()) == len(names)
    assert "\x1b" not in ended.out
    assert ("FAILED" in ended.out) == bool({"refused", "rejected"} & set(names))


def test_each_option_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command calls the library with what it was given, and adds nothing."""
    got: dict[str, Any] = {}

    def double(project: str, *, on_outcome: Any, **options: Any) -> ProjectReport:
        got.update(options, project=project)
        return ProjectReport(project, "papers.db", ())

    monkeypatch.setattr(leftoff.papers, "sync_project", double)
    options = {
        "db": "a.db", "since": "2026-01-31", "limit": "5", "batch": "7", "email": "a@b.org", "api-key": "k",
        "ncbi-url": "http://x", "log": "l.jsonl", "source": "both", "crossref-url": "http://y", "project": "p.toml",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    assert call("papers", "sync", *words, "--only", "a", "--only", "b", "--all").code == 0
    expected = {name.replace("-", "_"): value for name, value in options.items()}
    assert got == {**expected, "limit": 5, "batch": 7, "only": ("a", "b"), "due_only": False}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_stop_is_resumable(number: signal.Signals, code: int) -> None:
    """A signal ends all of it with its code; the next call goes on with the query that was interrupted."""
    with serve(RECORDS, "--limit", "0", "--latency", "0.1") as replica:
        Path("leftoff.toml").write_text(PROJECT.format(url=replica.eutils))
        words = [sys.executable, "-m", "leftoff.cli", "papers", "sync", "--batch", "10"]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while sum("efetch" in line["path"] for line in replica.log()) < 4:
            assert process.poll() is None
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        assert process.returncode == code
        assert "run the same again" in said
        told = call("papers", "sync", "--json").json["queries"]
    assert [each["due"] for each in told] == [None, "its last search was interrupted"]
    assert told[1]["report"]["skipped"] >= 20
    assert (told[1]["report"]["asked"], told[1]["report"]["missing"]) == (120, 0)


def test_a_service_that_refuses_is_75(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each query is tried, each has its line, and what is to be done next is said."""
    monkeypatch.setattr(service, "ATTEMPTS", 2)
    monkeypatch.setattr(service.retry, "delay", lambda failures: 0.001)
    with serve(RECORDS, "--limit", "0", "--fault", "500:1") as replica:
        Path("leftoff.toml").write_text(PROJECT.format(url=replica.eutils))
        ended = call("papers", "sync")
    assert ended.code == 75
    assert [line.partition(": ")[2][:6] for line in ended.out.splitlines()] == ["FAILED"] * 2


@pytest.mark.usefixtures("project")
def test_the_report_in_three_forms() -> None:
    """Text for people, one object for programs, one page for a browser: the same numbers; the file's name is enough."""
    assert call("papers", "sync").code == 0
    told = call("papers", "report", "--json").json
    assert call("papers", "report", "--format", "json").json["totals"] == told["totals"]
    assert told["totals"]["new"] == 120
    text = call("papers", "report").out
    assert text.startswith("papers.db: 120 new papers since ")
    assert "\x1b" not in text
    assert "\\x1b[2Jall" in text
    assert "… and 100 more" in text
    ended = call("papers", "report", "-o", "page.html", "--since", "1d")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith("page.html: 120 new papers since ")
    assert Path("page.html").read_text("utf-8").startswith("<!doctype html>")
    assert call("papers", "report", "-o", "r.json").code == 0
    assert json.loads(Path("r.json").read_text())["totals"] == told["totals"]
    assert call("papers", "report", "--format", "html").out.startswith("<!doctype html>")
    of_db = call("papers", "report", "--db", "papers.db", "--json").json
    assert [each["name"] for each in of_db["queries"]] == ["cancer", "all[sb]"]
    assert of_db["totals"] == told["totals"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "there is no project file leftoff.toml"),
        (["--db", "none.db"], 1, "there is no database"),
        (["--db", "none.db", "--since", "now"], 2, "is no day"),
        (["--db", "none.db", "--json", "--format", "html"], 2, "contradict each other"),
        (["--db", "none.db", "-o", "page.html"], 1, "there is no database"),
    ],
)
def test_a_wrong_report_is_named_and_makes_nothing(words: list[str], code: int, said: str, tmp_path: Path) -> None:
    """Each wrong call exits with its own words, and leaves no file."""
    ended = call("papers", "report", *words)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("project")
def test_a_page_is_replaced_whole_or_not_at_all() -> None:
    """A report that fails leaves the page of yesterday."""
    Path("page.html").write_text("yesterday")
    assert call("papers", "report", "-o", "page.html").code == 1
    assert Path("page.html").read_text() == "yesterday"
