"""What every test gets: places of its own, and no deadline from hypothesis."""

from __future__ import annotations

import signal
from pathlib import Path

import hypothesis
import pytest

# A busy machine is no failure; a failure prints what reproduces it.
hypothesis.settings.register_profile("leftoff", deadline=None, print_blob=True)
hypothesis.settings.load_profile("leftoff")


if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A background process ignores Ctrl-C and so would every program that a test starts and sends one to.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_places(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in an empty folder, with rate limits of its own, so that none meets another's default."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEFTOFF_RATE_DIR", str(tmp_path_factory.mktemp("rate")))
