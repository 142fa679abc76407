"""Papers that may be the same: what is found, what is never suggested, and that nothing is changed by asking."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.errors import JournalMissing, NotAJournal, UsageError
from leftoff.papers import Duplicate, blocks, duplicates, split, tables
from leftoff.papers.record import Author, Record
from leftoff.papers.store import store_record
from tests.papers.library import DAY, stored, work
from tests.papers.overlap import Work, changed, derived, real_works, without_doi, write_library
from tests.papers.test_pubmed import made
from tests.papers.test_store import paper

# A real pair among the works: a preprint of bioRxiv and its article.
PREPRINT = {"10.1002/ece3.2314", "10.1101/014852"}
TITLE = "Effects of long-term salbutamol on airway inflammation in adults with persistent asthma"


def article(pmid: int, title: str = TITLE, **fields: Any) -> Record:
    """Return a record of PubMed made for a test, without a DOI."""
    whole = {
        "year": 2001, "journal": "The Journal of asthma", "issn": "0277-0903", "volume": "38", "issue": "2",
        "pages": "101-110", "authors": (author("Özdemir", "A B"),), "type": "Journal Article",
    } | fields  # fmt: skip
    return replace(made(pmid=str(pmid), title=title), doi=None, date=str(whole["year"]), **whole)


def author(last: str | None, fore: str | None = None, collective: str | None = None) -> Author:
    return Author(last, fore, None, None, collective, None, None)


def crossref(number: int, title: str = TITLE, **fields: Any) -> Record:
    """Return a record of Crossref that says the same as `article`, in Crossref's words."""
    whole = {
        "year": 2001, "journal": "Journal of Asthma", "issn": "0277-0903; 1532-4303", "volume": "38", "issue": "2",
        "pages": "101-10", "authors": (author("Ozdemir", "Ahmet B."),),
    } | fields  # fmt: skip
    return replace(work(f"10.1000/{number}", title), date=str(whole["year"]), **whole)


def suggested(db: Path, records: Iterable[Record], threshold: float = 90) -> list[Duplicate]:
    """Return what is suggested among records as they are: fields that were replaced are not in what they came from."""
    with closing(sqlite3.connect(db)) as connection, connection:
        tables.create(connection)
        for record in records:
            store_record(connection, record, DAY)
    return list(duplicates(db, threshold=threshold))


def names(pair: Duplicate) -> set[str]:
    """Return what the two papers are known by."""
    return {name for each in pair["papers"] for name in each["pmids"] or [each["doi"] or ""]}


def recall(found: Iterable[Duplicate], works: dict[int, Work]) -> tuple[int, list[set[str]]]:
    """Return how many of the papers were found, and which pairs are none of these."""
    true = {frozenset((str(pmid), str(work["DOI"]).lower())) for pmid, work in works.items()}
    pairs = [names(pair) for pair in found]
    return sum(pair in true for pair in pairs), [pair for pair in pairs if pair not in true]


@pytest.fixture(scope="module")
def noise() -> list[Record]:
    """Every real work of Crossref."""
    return real_works()


def test_papers_of_both_services_find_each_other(
    tmp_path: Path, every_record: list[Record], noise: list[Record]
) -> None:
    """Of 702 papers whose DOI PubMed was not told at least 99 % are found among 4,825 others, and nothing wrong is."""
    overlap = derived(every_record)
    write_library(tmp_path / "papers.db", [*without_doi(every_record), *noise], overlap.values())
    found, others = recall(duplicates(tmp_path / "papers.db"), overlap)
    print(f"{found} of {len(overlap)}")
    assert found >= 0.99 * len(overlap)
    assert all(pair == PREPRINT for pair in others)


@pytest.mark.parametrize(("times", "least"), [(1, 0.95), (2, 0.86)])
def test_papers_are_found_whatever_a_service_got_wrong(
    tmp_path: Path, every_record: list[Record], noise: list[Record], times: int, least: float
) -> None:
    """With one or two changes of each work most papers are still found, and still nothing wrong is."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    overlap = {pmid: changed(work, rng, times) for pmid, work in derived(every_record).items()}
    write_library(tmp_path / "papers.db", [*without_doi(every_record), *noise], overlap.values())
    found, others = recall(duplicates(tmp_path / "papers.db"), overlap)
    print(f"{found} of {len(overlap)}")
    assert found >= least * len(overlap)
    assert all(pair == PREPRINT for pair in others)


NO_PLACE = {"volume": None, "pages": None}
NOTICES = (
    "Erratum:", "Correction to:", "Corrigendum to", "Retraction:", "Retraction notice to:", "Expression of concern:",
    "Re:", "Comment on:", "Reply to:", "Author response to:",
)  # fmt: skip
GENERIC = ("Editorial", "Index", "Reply", "Letters to the editor", "Book reviews")


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        (article(1), crossref(1), {"title", "first author", "year", "journal", "volume", "pages"}),
        (article(1), crossref(1, volume=None, pages=None), {"title", "first author", "year", "journal"}),
        (article(1), crossref(1, year=2002), {"title", "first author", "journal", "volume", "pages"}),
        (article(1), crossref(1, authors=()), {"title", "year", "journal", "volume", "pages"}),
        (article(1, authors=(author("Ahmet", "Oz"),)), crossref(1, authors=(author("Oz", "Ahmet"),)), {"first author"}),
        (article(1, "β2-Adrenergic receptors: “Öl”"), crossref(1, "Beta2 adrenergic receptors: Ol"), {"title"}),
        (article(1, f"[{TITLE}]."), crossref(1, "Langzeitwirkung von Salbutamol auf die Atemwege"), {"pages"}),
        (article(1), crossref(1, TITLE.partition(" in ")[0]), {"pages", "volume"}),
        (article(1), crossref(1, issn=None, journal="J Asthma"), {"journal"}),
        (article(1, pmcid="PMC12"), crossref(1, "Salbutamol", pmcid="PMC12", pages="5", volume="1"), {"pmcid"}),
        (article(1, f"RETRACTED: {TITLE}"), crossref(1), {"title", "pages"}),
        (article(1, f"Erratum: {TITLE}", pages="999"), crossref(1, f"Erratum: {TITLE}", pages="999"), {"pages"}),
        (article(1, type="Dataset; Journal Article"), crossref(1), {"title", "pages"}),
    ],
)  # fmt: skip
def test_the_same_paper_is_suggested(tmp_path: Path, one: Record, other: Record, agree: set[str]) -> None:
    """Whatever a service wrote in another way, or not at all; the reasons are the fields that agree."""
    (pair,) = suggested(tmp_path / "papers.db", [one, other])
    assert names(pair) == {"1", "10.1000/1"}
    assert pair["kind"] == "duplicate"
    assert agree <= set(pair["agree"])
    assert not set(pair["agree"]) & set(pair["differ"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (article(1, f"{TITLE}. I"), crossref(1, f"{TITLE}. II", pages="111-20")),
        (article(1, f"{TITLE}. I", **NO_PLACE), crossref(1, f"{TITLE}. II", **NO_PLACE)),
        (article(1, f"{TITLE}: part 1", **NO_PLACE), crossref(1, f"{TITLE}: part 2")),
        (article(1, f"{TITLE}: first report", **NO_PLACE), crossref(1, f"{TITLE}: second report")),
        (article(1, f"{TITLE}, part A", **NO_PLACE), crossref(1, f"{TITLE}, part B", **NO_PLACE)),
        (article(1, TITLE, **NO_PLACE), crossref(1, f"{TITLE}. II", **NO_PLACE)),
        (article(1, f"{TITLE} in men", **NO_PLACE), crossref(1, f"{TITLE} in women", **NO_PLACE)),
        (article(1, "Treatment of hypotension in the elderly patient at home", **NO_PLACE),
         crossref(1, "Treatment of hypertension in the elderly patient at home", **NO_PLACE)),
        (article(1, f"{TITLE}. I"), crossref(1, f"{TITLE}. II")),  # on one page
        (article(1, f"{TITLE}: part 1"), crossref(1, f"{TITLE}: part 2")),
        *((article(1, title), crossref(1, title, pages="7")) for title in GENERIC),
        *((article(1, title, **NO_PLACE), crossref(1, title, **NO_PLACE)) for title in GENERIC),
        (article(1, "Front Matter", authors=(), pages="i-iv"), crossref(1, "Front Matter", authors=(), pages="i-iv")),
        *((article(1, f"{notice} {TITLE}"), crossref(1)) for notice in NOTICES),
        *((article(1), crossref(1, f"{notice} {TITLE}")) for notice in NOTICES),
        (article(1, type="Published Erratum"), crossref(1)),
        (article(1, type="Retraction of Publication"), crossref(1)),
        (article(1, f"RETRACTED: {TITLE}", pages="999"), crossref(1)),
        (article(1, f"Erratum: {TITLE}", pages="999"), crossref(1, f"Erratum: {TITLE}", pages="500")),
        (article(1), crossref(1, pages="501-9")),
        (article(1), crossref(1, volume="39")),
        (article(1, **NO_PLACE), crossref(1, year=1995, **NO_PLACE)),
        (article(1, **NO_PLACE), crossref(1, authors=(author("Yilmaz", "A"),), **NO_PLACE)),
        (article(1, **NO_PLACE), crossref(1, authors=(author("Ozdemir", "Zeynep"),), **NO_PLACE)),
        (article(1), crossref(1, "Asthma in dogs: a survey of veterinary practices")),
        (article(1), crossref(1, type="component")),
        (article(1), crossref(1, type="peer-review")),
        (article(1), crossref(1, type="book-chapter")),
        (article(1, None), crossref(1)),
        (crossref(2, **NO_PLACE), crossref(1, **NO_PLACE)),
        (article(2, **NO_PLACE), article(1, **NO_PLACE)),
    ],
)  # fmt: skip
def test_what_is_another_paper_is_not_suggested(tmp_path: Path, one: Record, other: Record) -> None:
    """Parts of a series, what is in every issue, notices, and whatever differs where a paper cannot, stay unsaid."""
    assert suggested(tmp_path / "papers.db", [one, other]) == []


def test_a_preprint_is_told_apart(tmp_path: Path) -> None:
    """It has another DOI and no place; with the title, first author and at most three years it is called a preprint."""
    preprint = crossref(1, type="posted-content", journal=None, issn=None, year=2000, **NO_PLACE)
    (pair,) = suggested(tmp_path / "a.db", [crossref(2), preprint])
    assert (pair["kind"], names(pair)) == ("preprint", {"10.1000/1", "10.1000/2"})
    assert suggested(tmp_path / "b.db", [crossref(2, year=2004), preprint]) == []
    assert suggested(tmp_path / "c.db", [crossref(2, year=1999), preprint]) == []


def test_what_was_split_is_not_suggested(tmp_path: Path) -> None:
    """Who took two records apart knows better."""
    same = "10.1000/a"
    db = stored(tmp_path / "papers.db", [paper(1, same, TITLE), paper(2, same, TITLE), work(same, TITLE)])
    split(same, db)
    assert list(duplicates(db, threshold=0)) == []


def test_the_surest_come_first_and_the_threshold_cuts(tmp_path: Path) -> None:
    """Pairs come by falling score, from 0 to 100, each once; a higher threshold leaves the first of them."""
    records = [article(1), crossref(1), article(2, "Quite another title about quite another thing", pages="7")]
    records.append(crossref(2, "Quite another titel about quite another thingy", pages="7", year=2002))
    both = suggested(tmp_path / "papers.db", records)
    scores = [pair["score"] for pair in both]
    assert len(both) == 2
    assert 100 >= scores[0] > scores[1] >= 90
    assert list(duplicates(tmp_path / "papers.db", threshold=scores[0])) == both[:1]
    assert [each["pmids"] for each in both[0]["papers"]] == [["1"], []]


def test_the_order_of_records_does_not_matter(tmp_path: Path, every_record: list[Record], noise: list[Record]) -> None:
    """However they came, the same pairs are suggested, in the same order."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    overlap = list(derived(every_record).items())[:60]
    both = {pmid for pmid, _ in overlap}
    records = [*(each for each in without_doi(every_record) if each.identifier in both), *noise[:200]]
    results = []
    for name in ("a.db", "b.db"):
        rng.shuffle(records)
        rng.shuffle(overlap)
        write_library(tmp_path / name, records, [work for _, work in overlap])
        results.append(list(duplicates(tmp_path / name, threshold=50)))
    assert results[0] == results[1]
    assert len(results[0]) > 20


def test_asking_changes_nothing(tmp_path: Path) -> None:
    """Not a byte of the database, also while a sync owns it."""
    db = stored(tmp_path / "papers.db", [paper(1, title=TITLE), work("10.1000/a", TITLE)])
    with leftoff.open(db) as journal:
        journal.run("pubmed").own()
        before = hashlib.sha256(db.read_bytes()).hexdigest()
        list(duplicates(db))
        assert hashlib.sha256(db.read_bytes()).hexdigest() == before


def test_a_crowd_is_compared_with_its_neighbours(monkeypatch: pytest.MonkeyPatch, papers: sqlite3.Connection) -> None:
    """What a thousand papers have in common costs a thousand times some comparisons, not a million."""
    for number in range(1000):
        papers.execute(
            "INSERT INTO paper (key, title, journal, volume, pages, source, fetched_at)"
            " VALUES (?, ?, 'J', '1', '7', 'crossref', '')",
            (str(number), f"Abstract number {number} of a very long meeting"),
        )
    pairs = list(blocks.Blocks(papers).pairs())
    assert 1000 <= len(pairs) <= 1000 * blocks.CROWD * 4


@pytest.mark.parametrize("threshold", [-1, 100.5, float("nan")])
def test_a_threshold_that_is_none_is_refused(tmp_path: Path, threshold: float) -> None:
    """It is said at once, before the database is looked at."""
    with pytest.raises(UsageError, match="from 0 to 100"):
        duplicates(tmp_path / "papers.db", threshold=threshold)


def test_only_a_database_of_papers_is_read(tmp_path: Path) -> None:
    """A file that is not there is named and not made; one without papers is named."""
    with pytest.raises(JournalMissing, match="papers sync makes one"):
        list(duplicates(tmp_path / "papers.db"))
    assert not list(tmp_path.iterdir())
    sqlite3.connect(tmp_path / "other.db").close()
    with pytest.raises(NotAJournal, match=r"other\.db"):
        list(duplicates(tmp_path / "other.db"))


def test_without_rapidfuzz_it_says_what_to_install() -> None:
    """The rest of the papers works without it."""
    script = "import sys; sys.modules['rapidfuzz'] = None; from leftoff.papers import duplicates; duplicates('a.db')"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (
        'MissingExtra: duplicates need rapidfuzz, which is not installed: pip install "leftoff[papers]"' in ended.stderr
    )
