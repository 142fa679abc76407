"""What every test gets: places of its own, and no deadline from hypothesis."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.figures import (  # noqa: F401  # pytest finds them here
    counted,
    pytest_configure,
    pytest_report_header,
    pytest_terminal_summary,
)
from tests.postgres import Server, find_binaries

# A busy machine is no failure; a failure prints what reproduces it.
hypothesis.settings.register_profile("leftoff", deadline=None, print_blob=True)
hypothesis.settings.load_profile("leftoff")


if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A background process ignores Ctrl-C and so would every program that a test starts and sends one to.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_places(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in an empty folder, with rate limits of its own, so that none meets another's default.

    The programs that it starts can import the tests.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
    monkeypatch.setenv("LEFTOFF_RATE_DIR", str(tmp_path_factory.mktemp("rate")))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Start a PostgreSQL server, once."""
    binaries = find_binaries()
    if binaries is None:
        missing = "there is no PostgreSQL server here: install the Debian package postgresql"
        (pytest.fail if os.environ.get("LEFTOFF_CI") else pytest.skip)(missing)
    started = Server(binaries)
    yield started
    started.stop()


@pytest.fixture
def postgres(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Let ``postgresql:///`` be an empty database of that server."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.clean()
    return server


@pytest.fixture(autouse=True)
def postgres_where_named(request: pytest.FixtureRequest) -> None:
    """Give a test that runs on every place its database, where the place is one."""
    given = getattr(request.node, "callspec", None)
    if given is not None and any(
        str(getattr(value, "file", value if isinstance(value, str) else "")).startswith("postgresql:")
        for value in given.params.values()
    ):
        request.getfixturevalue("postgres")
