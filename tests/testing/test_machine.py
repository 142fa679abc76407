"""The state machine of the whole journal, on every store; and that it finds what is wrong with one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from leftoff.testing.machine import JournalMachine
from tests.postgres import Server

QUICK = settings(
    max_examples=30, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
EXAMPLES = {"memory:": 1.0, "journal.jsonl": 1.0, "journal.db": 0.5, "journal/": 0.5}


def machine(place: str, **more: Any) -> type[JournalMachine]:
    return type("Machine", (JournalMachine,), {"place": place, **more})


def examples(place: str, times: int) -> settings:
    return settings(QUICK, max_examples=round(QUICK.max_examples * EXAMPLES.get(place, 0.2) * times))


@pytest.mark.parametrize("place", EXAMPLES)
def test_a_journal_holds_what_dictionaries_would(place: str) -> None:
    """Whatever is done with a journal and happens to it, it holds what plain dictionaries hold."""
    run_state_machine_as_test(machine(place), settings=examples(place, 1))


def test_a_journal_in_postgres_holds_what_dictionaries_would(postgres: Server) -> None:
    """The same in PostgreSQL."""
    place = "postgresql:///"
    run_state_machine_as_test(machine(place, clean=lambda _: postgres.clean()), settings=examples(place, 1))


@pytest.mark.prove
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("place", EXAMPLES)
def test_a_journal_holds_what_dictionaries_would_at_length(place: str) -> None:
    """The same, for ten times as many examples."""
    run_state_machine_as_test(machine(place), settings=examples(place, 10))
