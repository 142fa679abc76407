"""Tell what came into a database since a day, query by query, held against what the services count.

1. It reads, in one transaction, what one moment has; nothing is written to the database, or locked.
2. A paper came in when the first of its records did. What several queries find counts in each, and once in all.
"""

from __future__ import annotations

import json
import re
import sqlite3
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from os import PathLike, fspath
from pathlib import Path

from leftoff.errors import JournalMissing, NotAJournal, UsageError
from leftoff.papers import tables
from leftoff.papers.asked import check
from leftoff.papers.came import Came, Day, NewPaper, QueryCame, ServiceCame, Totals
from leftoff.papers.project import read_project

SINCE = "7d"
NEWEST = 50  # papers that a report names
Name = tuple[str, str, str]  # of a query in the report, of a service, and the query's in `search`

RETRACTED = "paper.id IN (SELECT paper_id FROM withdrawn)"
PREPARED = f"""
    CREATE TEMP TABLE withdrawn (paper_id INTEGER PRIMARY KEY);
    INSERT INTO withdrawn SELECT paper_id FROM status WHERE status = 'retracted';
    CREATE TEMP TABLE named (name TEXT, source TEXT, query TEXT);
    CREATE TEMP TABLE came (paper_id INTEGER PRIMARY KEY, at TEXT);
    CREATE TEMP TABLE changed (paper_id INTEGER, source TEXT, identifier, what TEXT);
    CREATE TEMP TABLE member (name TEXT, paper_id INTEGER, PRIMARY KEY (paper_id, name)) WITHOUT ROWID;
    CREATE TEMP VIEW touched AS
        SELECT paper_id FROM came UNION SELECT paper_id FROM changed WHERE what = 'updated';
    CREATE TEMP VIEW retracted AS
        SELECT paper_id FROM touched JOIN paper ON paper.id = touched.paper_id WHERE {RETRACTED};
"""  # noqa: S608  (our own words)
CAME = """
    INSERT INTO came SELECT raw.paper_id, min(coalesce(first.at, raw.fetched_at)) AS at FROM raw LEFT JOIN (
        SELECT source, CASE source WHEN 'pubmed' THEN pmid ELSE doi END AS identifier, min(at) AS at FROM event
        WHERE what IN ('stored', 'merged') GROUP BY 1, 2
    ) AS first ON first.source = raw.source AND first.identifier = raw.identifier
    GROUP BY raw.paper_id HAVING min(coalesce(first.at, raw.fetched_at)) >= ?
"""
CHANGED = """
    INSERT INTO changed SELECT DISTINCT raw.paper_id, raw.source, raw.identifier, event.what
    FROM event JOIN raw ON raw.source = event.source
        AND raw.identifier = CASE event.source WHEN 'pubmed' THEN event.pmid ELSE event.doi END
    WHERE event.at >= ? AND event.what IN ('updated', 'merged')
"""
MEMBERS = """
    INSERT OR IGNORE INTO member SELECT named.name, raw.paper_id FROM named
    JOIN found ON found.source = named.source AND found.query = named.query
    JOIN raw ON raw.source = found.source AND raw.identifier = found.identifier
"""
OF_QUERY = """
    SELECT
        (SELECT count(*) FROM came JOIN member USING (paper_id) WHERE name = :name),
        (SELECT count(DISTINCT paper_id) FROM changed JOIN member USING (paper_id)
            WHERE name = :name AND what = 'updated'),
        (SELECT count(*) FROM changed JOIN member USING (paper_id) WHERE name = :name AND what = 'merged'),
        (SELECT count(*) FROM retracted JOIN member USING (paper_id) WHERE name = :name)
"""
OF_ALL = """
    SELECT
        (SELECT count(*) FROM paper), (SELECT count(*) FROM came),
        (SELECT count(DISTINCT paper_id) FROM changed WHERE what = 'updated'),
        (SELECT count(*) FROM changed WHERE what = 'merged'), (SELECT count(*) FROM retracted)
"""
HELD = """
    SELECT count(raw.identifier), count(CASE WHEN raw.identifier IS NULL THEN absent.identifier END) FROM found
    LEFT JOIN raw ON raw.source = found.source AND raw.identifier = found.identifier
    LEFT JOIN absent ON absent.source = found.source AND absent.identifier = found.identifier
    WHERE found.source = ? AND found.query = ? AND found.left_at IS NULL
"""
NEWEST_SEARCH = "FROM search WHERE source = ? AND query = ? AND {} ORDER BY id DESC LIMIT 1"
DAYS = """
    SELECT substr(at, 1, 10) AS day, names, count(*) FROM (
        SELECT at, (SELECT json_group_array(name) FROM member WHERE member.paper_id = came.paper_id) AS names FROM came
    ) GROUP BY 1, 2 ORDER BY 1
"""
PAPERS = f"""
    SELECT key, came.at, title, journal, date, doi, pmid, {RETRACTED},
        (SELECT json_group_array(name) FROM (SELECT name FROM author WHERE paper_id = paper.id ORDER BY position)),
        (SELECT json_group_array(name) FROM member WHERE paper_id = paper.id)
    FROM came JOIN paper ON paper.id = came.paper_id ORDER BY came.at DESC, date DESC, key LIMIT ?
"""  # noqa: S608  (our own words)


def report(
    db: str | PathLike[str] | None = None,
    *,
    project: str | PathLike[str] | None = None,
    since: date | str = SINCE,
    newest: int = NEWEST,
) -> Came:
    """Tell what came into a database since a day, and how its queries stand; nothing is written or locked.

    db: the database, else the project's; project: the file that names the queries (default: all queries of the
    database, by their words); since: the first day of UTC, or a number of days before today such as "7d"; newest: so
    many of the papers that came in are named.

    Raises UsageError for arguments that are wrong and for what is in the file, JournalMissing if there is no such
    database, NotAJournal if it holds no papers.
    """
    first = _first_day(since)
    names = None if project is None else _names(project, db)
    if db is None:
        if names is None:
            raise UsageError("name a database, or a project file that does")
        db = read_project(project or "").db or ""
    with _reading(fspath(db)) as connection:
        _prepare(connection, names, first)
        return _told(connection, fspath(db), first, newest)


def _told(connection: sqlite3.Connection, db: str, first: date, newest: int) -> Came:
    named: dict[str, list[tuple[str, str]]] = {}
    for name, source, query in connection.execute("SELECT name, source, query FROM named ORDER BY rowid"):
        named.setdefault(name, []).append((source, query))
    queries = tuple(_query(connection, name, services) for name, services in named.items())
    services = {(each.source, each.query): each.missing for query in queries for each in query.services}
    papers, new, revised, merged, retracted = connection.execute(OF_ALL).fetchone()
    return Came(
        db=db,
        since=first.isoformat(),
        made_at=tables.now(),
        totals=Totals(papers, new, revised, merged, retracted, sum(services.values())),
        queries=queries,
        days=tuple(_days(connection)),
        papers=tuple(_papers(connection, newest)),
    )


def _query(connection: sqlite3.Connection, name: str, services: Sequence[tuple[str, str]]) -> QueryCame:
    new, revised, merged, retracted = connection.execute(OF_QUERY, {"name": name}).fetchone()
    each = tuple(_service(connection, source, query) for source, query in services)
    return QueryCame(name, new, revised, merged, retracted, sum(service.missing for service in each), each)


def _service(connection: sqlite3.Connection, source: str, query: str) -> ServiceCame:
    def newest(columns: str, which: str) -> tuple[str | int | None, ...]:
        sql = f"SELECT {columns} {NEWEST_SEARCH.format(which)}"
        found: tuple[str | int | None, ...] | None = connection.execute(sql, (source, query)).fetchone()
        return found or (None,) * (columns.count(",") + 1)

    held, absent = connection.execute(HELD, (source, query)).fetchone()
    counted, limit, missing = newest("total, most, missing", "completed_at IS NOT NULL")
    (complete_at,) = newest("opened_at", "completed_at IS NOT NULL AND missing = 0")
    (open_since,) = newest("opened_at", "completed_at IS NULL")
    left = int(missing or 0)
    beyond = None if counted is None or limit is not None else held + absent + left - int(counted)
    return ServiceCame(
        source=source,
        query=query,
        held=held,
        absent=absent,
        missing=left,
        counted=None if counted is None else int(counted),
        surplus=None if beyond is None else max(0, beyond),
        gap=None if beyond is None else max(0, -beyond),
        limit=None if limit is None else int(limit),
        complete_at=None if complete_at is None else str(complete_at),
        open_since=None if open_since is None else str(open_since),
    )


def _days(connection: sqlite3.Connection) -> Iterator[Day]:
    days: dict[str, list[tuple[list[str], int]]] = {}
    for day, names, count in connection.execute(DAYS):
        days.setdefault(day, []).append((json.loads(names), count))
    for day, parts in days.items():
        yield Day(
            day=day,
            new=sum(count for _, count in parts),
            by_query={names[0]: count for names, count in sorted(parts) if len(names) == 1},
            several=sum(count for names, count in parts if len(names) > 1),
            other=sum(count for names, count in parts if not names),
        )


def _papers(connection: sqlite3.Connection, newest: int) -> Iterator[NewPaper]:
    for key, at, title, journal, day, doi, pmid, retracted, authors, names in connection.execute(PAPERS, (newest,)):
        links = [f"https://doi.org/{urllib.parse.quote(doi, safe='/')}"] if doi else []
        links += [f"https://pubmed.ncbi.nlm.nih.gov/{pmid}/"] if pmid else []
        yield NewPaper(
            key=key,
            at=at,
            title=title,
            authors=tuple(json.loads(authors)),
            journal=journal,
            date=day,
            doi=doi,
            pmid=pmid,
            links=tuple(links),
            queries=tuple(json.loads(names)),
            retracted=bool(retracted),
        )


def _prepare(connection: sqlite3.Connection, names: list[Name] | None, first: date) -> None:
    """Lay out, beside the database, what came in and changed since that day, and whose it is."""
    for statement in PREPARED.split(";"):
        connection.execute(statement)
    if names is None:
        searches = connection.execute(
            "SELECT source, query FROM search WHERE query <> '' GROUP BY source, query ORDER BY min(id)"
        )
        names = [(_words(query), source, query) for source, query in searches.fetchall()]
    connection.executemany("INSERT INTO named VALUES (?, ?, ?)", names)
    connection.execute(CAME, (first.isoformat(),))
    connection.execute(CHANGED, (first.isoformat(),))
    connection.execute(MEMBERS)


def _words(query: str) -> str:
    """Return what a query that has no name is called."""
    return f"list of DOIs {query[5:13]}" if re.fullmatch("list [0-9a-f]{64}", query) else query


def _names(project: str | PathLike[str], db: str | PathLike[str] | None) -> list[Name]:
    told = read_project(project)
    place = fspath(db) if db is not None else told.db
    if place is None:
        raise UsageError(f'{told.path} names no database: write db = "papers.db" under [papers], or name one with --db')
    names = []
    for each in told.queries:
        asked = check(
            each.query, place, source=each.source, since=each.since, limit=each.limit, batch=1, issn=each.issn,
            orcid=each.orcid, funder=each.funder, dois=each.dois, from_log=None,
        )  # fmt: skip
        names += [(each.name, service, asked.name_at(service)) for service in asked.services]
    return names


def _first_day(since: date | str) -> date:
    if isinstance(since, datetime):
        return since.date()
    if isinstance(since, date):
        return since
    if match := re.fullmatch("([0-9]{1,5})d", since):
        return tables.clock().date() - timedelta(days=int(match[1]))
    try:
        return date.fromisoformat(since.replace("/", "-"))
    except ValueError:
        raise UsageError(f"since={since!r} is no day: write it as 2026-01-31, or as 7d, seven days ago") from None


@contextmanager
def _reading(db: str) -> Iterator[sqlite3.Connection]:
    path = Path(db).absolute()
    if not path.is_file():
        raise JournalMissing(f"there is no database at {path}: papers sync makes one")
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN")
            connection.execute("SELECT missing FROM search LIMIT 1")
            connection.execute("SELECT 1 FROM found LIMIT 1")
        except sqlite3.DatabaseError as error:
            raise NotAJournal(
                f"{path} holds no papers that can be reported ({error}): name a database that papers sync made, and "
                "sync it once more if an older leftoff did"
            ) from error
        yield connection
