"""`leftoff papers`: bring what PubMed and Crossref find into a local database, and list it."""

from __future__ import annotations

import shlex
import shutil
import sys
from typing import TYPE_CHECKING

import click

from leftoff.cli.arguments import json_option
from leftoff.cli.paper_line import line_of
from leftoff.cli.papers_duplicates import duplicates
from leftoff.cli.papers_export import export_papers
from leftoff.cli.papers_project import accounts_code, sync_due
from leftoff.cli.papers_report import report as report_papers
from leftoff.cli.papers_search import search
from leftoff.cli.papers_show import show
from leftoff.cli.papers_split import split
from leftoff.cli.text import as_json as to_json
from leftoff.cli.text import echo_json, plural, printable

if TYPE_CHECKING:
    from leftoff.papers import Source, SyncReport

# What needs an extra is imported inside the commands, so that the help is there without it.


@click.group()
def papers() -> None:
    """Bring papers from PubMed and Crossref into a local database.

    The commands need an extra: pip install "leftoff[papers]".
    """


for command in (report_papers, search, show, export_papers, duplicates, split):
    papers.add_command(command)


@papers.command()
@click.argument("query", required=False, default="")
@click.option("--db", metavar="FILE", help="The database, made if absent; its name ends in .db.")
@click.option(
    "--source",
    type=click.Choice(["pubmed", "crossref", "both"]),
    help="Which service is asked; pubmed, unless a project says otherwise.",
)
@click.option("--since", metavar="DATE", help="Only papers added from this day on, such as 2026-01-31.")
@click.option("--limit", metavar="N", type=int, help="The newest N that a service lists.")
@click.option("--issn", metavar="ISSN", multiple=True, help="Of Crossref only what is in this journal; repeatable.")
@click.option("--orcid", metavar="ORCID", multiple=True, help="Of Crossref only what is by this author; repeatable.")
@click.option("--funder", metavar="ID", multiple=True, help="Of Crossref only what this funder paid for; repeatable.")
@click.option("--dois", metavar="FILE", help="Look up at Crossref what this file lists, a DOI a line; - is stdin.")
@click.option("--batch", metavar="N", type=int, default=200, show_default=True, help="Records a request, 1 to 200.")
@click.option(
    "--email",
    metavar="ADDRESS",
    envvar="NCBI_EMAIL",
    show_envvar=True,
    help="NCBI writes there before it blocks; Crossref answers faster.",
)
@click.option(
    "--api-key",
    metavar="KEY",
    envvar="NCBI_API_KEY",
    show_envvar=True,
    help="Of your NCBI account: 10 requests a second in place of 3. It is written nowhere.",
)
@click.option(
    "--ncbi-url",
    metavar="PREFIX",
    envvar="LEFTOFF_NCBI_URL",
    show_envvar=True,
    help="What /esearch.fcgi is appended to, in place of the live service.",
)
@click.option(
    "--crossref-url",
    metavar="PREFIX",
    envvar="LEFTOFF_CROSSREF_URL",
    show_envvar=True,
    help="What /works is appended to, in place of the live service.",
)
@click.option("--log", metavar="FILE.jsonl", help="Keep a progress log there, a line a paper.")
@click.option("--from-log", metavar="FILE", help="Search nothing; fetch what this log has and the database lacks.")
@click.option("--project", metavar="FILE", help="Without QUERY: the project file; default: leftoff.toml.")
@click.option("--all", "run_all", is_flag=True, help="Of a project also the queries that are not due.")
@click.option("--only", metavar="NAME", multiple=True, help="Of a project only this query; repeatable.")
@json_option
def sync(
    query: str,
    db: str | None,
    source: Source | None,
    since: str | None,
    limit: int | None,
    issn: tuple[str, ...],
    orcid: tuple[str, ...],
    funder: tuple[str, ...],
    dois: str | None,
    batch: int,
    email: str | None,
    api_key: str | None,
    ncbi_url: str | None,
    crossref_url: str | None,
    log: str | None,
    from_log: str | None,
    project: str | None,
    only: tuple[str, ...],
    *,
    run_all: bool,
    as_json: bool,
) -> int:
    """Store each paper that the services find for QUERY and the database lacks.

    Without QUERY the queries of the project file (leftoff.toml) that are due are run, one after the other.

    Kill it at any instant and run the same command again: nothing is lost, and little is fetched twice. Run it again
    another day: it brings what was added or revised since. QUERY is in PubMed's language, and for Crossref words; with
    --from-log or --dois it is not needed, and not searched. With --json the last line on stdout is one object, the
    report.
    """
    from leftoff.papers import sync as sync_papers

    lists = {"--dois": dois, "--from-log": from_log, "--issn": issn, "--orcid": orcid, "--funder": funder}
    single = [name for name, given in {"QUERY": query.strip(), **lists}.items() if given]
    if not single:
        return sync_due(
            project,
            only=only,
            due_only=not run_all,
            db=db,
            source=source,
            since=since,
            limit=limit,
            batch=batch,
            email=email,
            api_key=api_key,
            ncbi_url=ncbi_url,
            crossref_url=crossref_url,
            log=log,
            as_json=as_json,
        )
    if project is not None or only or run_all:
        raise click.UsageError(f"--project, --only and --all run queries of a project: leave {single[0]} out.")
    if db is None:
        raise click.UsageError("Missing option '--db': name the database.")
    report = sync_papers(
        query,
        db,
        source=source or "pubmed",
        since=since,
        limit=limit,
        batch=batch,
        email=email,
        api_key=api_key,
        ncbi_url=ncbi_url,
        crossref_url=crossref_url,
        issn=issn,
        orcid=orcid,
        funder=funder,
        dois=dois,
        log=log,
        from_log=from_log,
    )
    if as_json:
        echo_json(report.as_dict())
    else:
        click.echo(_paragraph(db, report))
    return accounts_code(report)


@papers.command("list")
@click.option("--db", metavar="FILE", required=True, help="A database that papers sync made.")
@json_option
def list_papers(db: str, *, as_json: bool) -> None:
    """List the papers of a database.

    One paper a line, by ascending PMID: its PMIDs (or its DOI), year and title, cut to the width of the terminal.
    Before the title stands what has become of the paper: [RETRACTED], [WITHDRAWN], [PARTLY RETRACTED], [CONCERN],
    [DELETED] by all services that had it, or [CORRECTED]. With --json each line is an object: key, doi, pmids, title,
    year, status. Nothing is locked or changed; a sync may go on then.
    """
    from leftoff.papers import listed

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for paper in listed(db):
        # Not click.echo, which flushes each line: there may be millions.
        sys.stdout.write(f"{to_json(paper) if as_json else line_of(paper, width)}\n")


def _paragraph(db: str, report: SyncReport) -> str:
    """Say for people what a sync did."""
    parts = [f"{report.stored:,} stored", f"{report.skipped:,} there before"]
    if report.absent:
        parts.append(f"{report.absent:,} absent (listed or asked for, and not sent)")
    if report.merged:
        parts.append(f"{report.merged:,} of the stored joined a paper that was there")
    what = f"{plural(report.asked, 'paper')} listed: {', '.join(parts)}"
    lines = [
        f"{printable(db)}: {what if report.asked else 'nothing is listed for this query that is not here'}",
        *(_of_service(name, each) for name, each in report.services.items() if len(report.services) > 1),
        f"  {plural(report.requests, 'request')}, {report.waited_s:,.1f} s waited for the service",
    ]
    if report.dead:
        lines.append(f"  {plural(report.dead, 'dead letter')}: look with: {shlex.join(['leftoff', 'dead', db])}")
    if report.missing:
        lines.append(f"  {report.missing:,} MISSING: run the same command again, it lists the same days once more")
    return "\n".join(lines)


def _of_service(name: str, report: SyncReport) -> str:
    return f"  {name}: {report.asked:,} listed, {report.stored:,} stored" + (
        f", {report.missing:,} MISSING" if report.missing else ""
    )
