"""How users call `leftoff.papers`: checked by mypy --strict as a contract for their types, never run."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from typing_extensions import assert_type

from leftoff.errors import ServiceError
from leftoff.papers import (
    Came,
    Day,
    NewPaper,
    Outcome,
    ProjectReport,
    QueryCame,
    ServiceCame,
    SyncReport,
    Totals,
    report,
    sync_project,
)

ran = sync_project()
assert_type(ran, ProjectReport)
assert_type(ran.outcomes, tuple[Outcome, ...])
assert_type(ran.outcomes[0].report, SyncReport | None)
assert_type(ran.outcomes[0].error, ServiceError | None)
assert_type(ran.as_dict(), dict[str, Any])
sync_project(Path("p.toml"), only=["a"], due_only=False, source="both", since=date(2026, 1, 31), on_outcome=print)

came = report("papers.db", since="7d")
assert_type(came, Came)
assert_type(came.totals, Totals)
assert_type(came.queries, tuple[QueryCame, ...])
assert_type(came.queries[0].services, tuple[ServiceCame, ...])
assert_type(came.days, tuple[Day, ...])
assert_type(came.papers, tuple[NewPaper, ...])
assert_type(came.as_html(), str)
report(project=Path("leftoff.toml"), since=date(2026, 1, 31), newest=10)

sync_project(source="medline")  # type: ignore[arg-type]
report(7)  # type: ignore[arg-type]
