"""`leftoff papers split`: take a merged paper apart, or bring it together again."""

from __future__ import annotations

import shutil
import sys

import click

from leftoff.cli.arguments import json_option
from leftoff.cli.paper_line import line_of
from leftoff.cli.text import echo_json, plural, printable


@click.command()
@click.argument("paper", metavar="DOI|PMID|PMCID|KEY")
@click.option("--db", metavar="FILE", required=True, help="A database that papers sync made.")
@click.option("--undo", is_flag=True, help="Bring together again what was taken apart.")
@json_option
def split(paper: str, db: str, *, undo: bool, as_json: bool) -> None:
    """Take the records of one paper apart, so that each is a paper of its own.

    With a PMID just this record leaves the paper that it shares; with a DOI or a key all its records part. They
    stay apart when they are synced again, until --undo brings them together as if nothing had been. Nothing that a
    service said is lost. What is printed are the papers that have the DOI then. Refused while a sync is at work.
    """
    from leftoff.papers import split as split_paper

    papers = split_paper(paper, db, undo=undo)
    if as_json:
        echo_json({"undone": undo, "papers": papers})
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    doi = papers[0]["doi"] or ""
    click.echo(f"{printable(db)}: {printable(doi)} is {plural(len(papers), 'paper')} now")
    for each in papers:
        click.echo(line_of(each, width))
