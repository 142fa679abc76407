"""The program that is killed: `sync` as a user calls it. Quick: without the waits, which have tests of their own."""

import json
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from leftoff.errors import ServiceRefused
from leftoff.papers import crossref, entrez, service, sync, sync_project, tables
from leftoff.testing.kills import Ledger
from leftoff.work.rate import SECOND, Limiter


def run(plan):
    """Sync as planned; print the report, and the most memory that this process held (kB)."""
    if plan.pop("quick", True):
        _hurry()
    ledger = Ledger(plan.pop("ledger"))
    _write_down_starts(ledger)
    ledger.note("began", "")
    with suppress(ServiceRefused):
        print(json.dumps(sync(**plan).as_dict() | {"peak": _peak()}), flush=True)


def within_limits(plan):
    """Sync as planned, at the pace that the services demand. Short are only the waits that no limit asks for.

    longest: the seconds that an answer of this service takes at most, so long a request of a killed process may count.
    """
    crossref.LINGER = plan.pop("longest")
    service.retry.delay = lambda failures: 0.02 * failures
    run({**plan, "quick": False})


def daily(plan):
    """Sync what is due of a project, as on the day that is planned; print what became of it."""
    _hurry()
    noon = datetime.fromisoformat(f"{plan.pop('day')}T12:00:00").replace(tzinfo=timezone.utc)
    tables.clock = lambda: noon
    print(json.dumps(sync_project(**plan).as_dict()), flush=True)


def _hurry():
    entrez.SPACING_WITH_KEY = crossref.SPACING = crossref.SPACING_POLITE = 0.0001
    service.retry.delay = lambda failures: 0.001 * failures
    service.ATTEMPTS = 30
    crossref.LINGER = 0.0


def _write_down_starts(ledger):
    """Note the moment of each request as the limiter, under its lock, writes it down."""
    remember = Limiter._remember

    def remembered(self, fd, now, last, not_before):
        remember(self, fd, now, last, not_before)
        if last == now:
            ledger.note(f"start-{self.name}", now / SECOND)

    Limiter._remember = remembered


def _peak():
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), None)
