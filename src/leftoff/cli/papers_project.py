"""`leftoff papers sync` without a query: what is due of a project; a line a query, and one exit code for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from leftoff.cli.exits import Exit, code_of
from leftoff.cli.text import echo_json, printable

if TYPE_CHECKING:
    from leftoff.papers import Outcome, SyncReport

WORST = (Exit.FAILED, Exit.STOPPED, Exit.DEAD_LETTERS)  # the first that a query ended with is the command's


def sync_due(project: str | None, *, as_json: bool, **options: Any) -> int:
    """Bring up to date what is due of a project, print what became of each query, and return the exit code."""
    from leftoff.papers import sync_project
    from leftoff.papers.project import FILE

    report = sync_project(
        project or FILE,
        **options,
        on_outcome=None if as_json else lambda outcome: click.echo(line(outcome)),
    )
    if as_json:
        echo_json(report.as_dict())
    codes = [_code(each) for each in report.outcomes]
    return next((code for code in WORST if code in codes), Exit.COMPLETE)


def line(outcome: Outcome) -> str:
    """Say for people what became of one query."""
    name = printable(outcome.name)
    if outcome.error is not None:
        return f"{name}: FAILED: {printable(str(outcome.error))}"
    if outcome.report is None:
        return f"{name}: not due before {(outcome.next_at or '')[:19].replace('T', ' ')}Z"
    report = outcome.report
    parts = [f"{report.stored:,} stored", f"{report.skipped:,} there before"]
    parts += [f"{report.absent:,} absent"] if report.absent else []
    parts += [f"{report.dead:,} dead letters"] if report.dead else []
    parts += [f"{report.missing:,} MISSING: run it again"] if report.missing else []
    return f"{name}: {', '.join(parts)}"


def accounts_code(report: SyncReport) -> Exit:
    """Return the exit code that the accounts of one sync call for."""
    if report.dead:
        return Exit.DEAD_LETTERS
    return Exit.FAILED if report.missing else Exit.COMPLETE


def _code(outcome: Outcome) -> int:
    if outcome.error is not None:
        return code_of(outcome.error)
    return Exit.COMPLETE if outcome.report is None else accounts_code(outcome.report)
