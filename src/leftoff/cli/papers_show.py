"""`leftoff papers show`: one paper of a database, and where each thing it says is from."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from leftoff.cli.arguments import json_option
from leftoff.cli.text import echo_json, printable

if TYPE_CHECKING:
    from leftoff.papers import Paper
    from leftoff.papers.paper import Conflict, Kept, Merge

NAMED = 20  # authors; --json has all
INDENT = 11


@click.command()
@click.argument("name", metavar="DOI|PMID|KEY")
@click.option("--db", metavar="FILE", required=True, help="A database that papers sync made.")
@click.option("--raw", is_flag=True, help="Print the records as the services sent them, one behind the other.")
@json_option
def show(name: str, db: str, *, raw: bool, as_json: bool) -> None:
    """Show one paper, and which record each field is from.

    A DOI in any form, a PMID, a PMCID or a paper's key names it. Its records are shown, where they contradict each
    other, when they were revised and in what, and how they came together. With --json it is one object with all
    authors and revisions; with --raw too also the text of each record and revision. Nothing is locked or changed.
    """
    from leftoff.papers import show as show_paper

    paper = show_paper(name, db, raw=raw)
    if as_json:
        echo_json(paper)
    elif raw:
        _print_raw(paper)
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        click.echo("\n".join(_text(paper, width)))


def _print_raw(paper: Paper) -> None:
    for record in paper["records"]:
        content = record["content"] or ""
        if sys.stdout.isatty():
            click.echo("\n".join(map(printable, content.split("\n"))))
        else:
            click.echo(content.encode("utf-8", "surrogatepass"))


def _text(paper: Paper, width: int | None) -> Iterator[str]:
    """Iterate the lines that a person reads: what it is, what it says, and who says so."""
    mark = f"[{paper['status'].upper()}] " if paper["status"] else ""
    yield click.style(_wrapped(mark + (paper["title"] or "(no title)"), 0, width), bold=True)
    for line in (_authors(paper), _journal(paper)):
        if line:
            yield _wrapped(line, 0, width)
    for section in SECTIONS:
        rows = [(label, text) for label, text in section(paper) if text]
        if rows:
            yield ""
        for label, text in rows:
            yield _row(label, text, width)


def _authors(paper: Paper) -> str:
    names = [author["name"] for author in paper["authors"]]
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _journal(paper: Paper) -> str:
    """Return the line that cites it: ``The Lancet 2024-05-01; 12(3): 45-67``."""
    volume = (paper["volume"] or "") + (f"({paper['issue']})" if paper["issue"] else "")
    place = ": ".join(part for part in (volume, paper["pages"]) if part)
    head = " ".join(part for part in (paper["journal"], paper["date"]) if part)
    return "; ".join(part for part in (head, place) if part)


def _identifiers(paper: Paper) -> Iterator[tuple[str, str]]:
    yield "DOI", paper["doi"] or ""
    yield "PMID", ", ".join(paper["pmids"])
    yield "PMCID", ", ".join(paper["pmcids"])
    for label, value in (
        ("Type", paper["type"]), ("Language", paper["language"]), ("Publisher", paper["publisher"]),
        ("ISSN", paper["issn"]), ("ISBN", paper["isbn"]), ("Key", paper["key"]),
    ):  # fmt: skip
        yield label, value or ""


def _abstract(paper: Paper) -> Iterator[tuple[str, str]]:
    for place, paragraph in enumerate((paper["abstract"] or "").split("\n\n")):
        yield "" if place else "Abstract", paragraph


def _headings(paper: Paper) -> Iterator[tuple[str, str]]:
    """Yield the MeSH headings, each with its qualifiers; what the paper is about has a star."""
    found: dict[str, list[str]] = {}
    for heading in paper["mesh"]:
        star = "*" if heading["major"] else ""
        qualifiers = found.setdefault(heading["descriptor"], [])
        qualifiers.append(f"/{heading['qualifier']}{star}" if heading["qualifier"] else star)
    yield "MeSH", "; ".join(name + "".join(qualifiers) for name, qualifiers in found.items())


def _links(paper: Paper) -> Iterator[tuple[str, str]]:
    """Yield what the paper is to others, what retracts or corrects it first, and who says so."""
    for place, link in enumerate(paper["links"]):
        name = link["doi"] or (f"PMID {link['pmid']}" if link["pmid"] else link["other"]) or ""
        what = "; ".join(part for part in (name, link["title"] or link["text"], link["date"]) if part)
        said = ", ".join(f"{each['source']} {each['identifier']}" for each in link["said_by"])
        yield "" if place else "Links", f"{link['kind']} {what} (says {said})"


def _origins(paper: Paper) -> Iterator[tuple[str, str]]:
    """Yield each record, with the fields that are from it, and what it says of the others."""
    for record in paper["records"]:
        name = (record["source"], record["identifier"])
        fields = [
            field for field, origin in paper["provenance"].items() if (origin["source"], origin["identifier"]) == name
        ]
        shown = f": {', '.join(fields)}" if fields else ": nothing that another record does not say"
        yield "From", f"{_name(record)} of {record['fetched_at'][:10]}{shown}"
    for conflict in paper["conflicts"]:
        yield "Conflict", f"{conflict['field']}: {_name(conflict)} says {conflict['value']}"


def _history(paper: Paper) -> Iterator[tuple[str, str]]:
    for record in paper["records"]:
        name = (record["source"], record["identifier"])
        mine = [each for each in paper["revisions"] if (each["source"], each["identifier"]) == name]
        if mine:
            yield "Revised", f"{_name(record)}, {'once' if len(mine) == 1 else f'{len(mine):,} times'}"
        for each in mine:
            changed = ", ".join(each["changed"]) or "nothing that is shown"
            yield "", f"{each['replaced_at'][:10]}: {changed}"
    for merge in paper["merges"]:
        before = f" from {merge['old_key']}" if merge["old_key"] else ""
        yield "Merged", f"{merge['at'][:10]}: {_name(merge)}{before} ({merge['reason']})"


def _name(record: Kept | Conflict | Merge) -> str:
    return f"{record['source']} {record['identifier']}"


SECTIONS = (_identifiers, _abstract, _links, _headings, _origins, _history)
"""What is shown below title, authors and journal, in this order; each yields labels and texts."""


def _row(label: str, text: str, width: int | None) -> str:
    return _wrapped(text, INDENT, width, first=f"{label:<{INDENT}}")


def _wrapped(text: str, indent: int, width: int | None, first: str = "") -> str:
    plain = printable(" ".join(text.split()))
    if width is None:
        return first + plain
    return textwrap.fill(
        plain, max(width, 40), initial_indent=first, subsequent_indent=" " * indent, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
