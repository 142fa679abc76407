"""Papers without what they need."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("name", ["httpx", "lxml"])
def test_a_missing_extra_is_named(name: str) -> None:
    """Without httpx or lxml the error says which it is and what to install."""
    script = f"import sys; sys.modules[{name!r}] = None; import leftoff.papers"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert f'MissingExtra: papers need {name}, which is not installed: pip install "leftoff[papers]"' in ended.stderr
