"""The faults of both replicas, as a test of a whole `sync` switches them on, and what is there to be found."""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from leftoff.testing import crossref_faults, ncbi_faults
from leftoff.testing.crossref_works import load
from leftoff.testing.ncbi_process import Running as Ncbi
from leftoff.testing.replica_process import Running

LEFT_OUT = {
    "refuse-after": "nothing would ever be complete",
    "growing": "what is compared has to stand still: test_daily_story.py has it",
    "shrinking": "what is compared has to stand still: test_walks.py and test_sync.py have it",
    "revised": "it comes with a new day: test_daily_story.py has it",
    "large": "of batches above 500, and leftoff asks for 200 at most",
    "bad-webenv": "of the history, which leftoff does not use",
    "webenv-expiry": "of the history, which leftoff does not use",
    "shared-doi": "of clones, and here are none",
}
STANDING = {"always-missing": 0.05, "doi-variants": 0.2}
LONGEST = 1.0  # seconds: twice as long as a request is under way at these replicas at most
SENDING = ("--stall", str(LONGEST / 2), "--drip", "0")


def faults_of(table: Iterable[str], rate: float) -> list[str]:
    """Return the options that switch on all faults of a replica, each at this rate, without those of `LEFT_OUT`."""
    chosen = [f"{name}:{STANDING.get(name, rate)}" for name in table if name not in LEFT_OUT]
    return [*SENDING, "--fault", *chosen]


def ncbi_faults_at(rate: float) -> list[str]:
    """Return the options for PubMed's replica."""
    return faults_of(ncbi_faults.FAULTS, rate)


def crossref_faults_at(rate: float) -> list[str]:
    """Return the options for Crossref's replica."""
    return faults_of(crossref_faults.FAULTS, rate)


def calm(replica: Running) -> None:
    """Switch off what a request may meet; what is wrong with a record stays so."""
    for name in replica.ask()["faults"]:
        if name not in STANDING:
            replica.ask("fault", name=name, rate="0")


def found_at_pubmed(replica: Ncbi, words: str) -> tuple[set[str], set[str]]:
    """Return the PMIDs that a calm replica finds, as many as it counts, and those of them that it sends."""

    def ask(tool: str, **params: str) -> str:
        form = urllib.parse.urlencode({"db": "pubmed", "api_key": "a-judge", **params}).encode()
        with urllib.request.urlopen(f"{replica.eutils}/{tool}.fcgi", form, 60) as answer:
            return str(answer.read(), "utf-8")

    found = ask("esearch", term=words, retmax="9999")
    listed = set(re.findall(r"<Id>([0-9]+)</Id>", found))
    assert f"<Count>{len(listed)}</Count>" in found
    return listed, set(ask("efetch", id=",".join(listed), rettype="uilist", retmode="text").split())


def found_at_crossref(replica: Running, words: str) -> set[str]:
    """Return the DOIs that a calm replica finds, as many as it counts."""
    asked = urllib.parse.urlencode({"query": words, "rows": "1000", "mailto": "a-judge@example.org"})
    with urllib.request.urlopen(f"{replica.url}/works?{asked}", timeout=60) as answer:
        message = json.load(answer)["message"]
    found = {work["DOI"] for work in message["items"]}
    assert len(found) == message["total-results"]
    return found


def some_works(folder: Path, data: Path, number: int) -> Path:
    """Fill a folder with the newest versions of so many real works, enough for some pages of a small size."""
    folder.mkdir(exist_ok=True)
    lines = [json.dumps(work.versions[-1]) for work in list(load(data).values())[:number]]
    (folder / "works.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
