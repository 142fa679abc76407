from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from leftoff.cli.exits import MEANINGS

SCRIPT = Path(__file__).parents[2] / "docs" / "generate_cli.py"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_cli", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_what_the_commands_say() -> None:
    """docs/cli.md is what `python docs/generate_cli.py` writes now."""
    module = generator()
    assert module.PAGE.read_text("utf-8") == module.page(), "run: python docs/generate_cli.py"


def test_the_reference_has_every_command_and_code() -> None:
    """The page cannot be current and empty."""
    page = generator().page()
    for name in ("status", "log", "dead", "retry", "forget", "verify"):
        assert f"\n## leftoff {name}\n\n```\nUsage: leftoff {name} [OPTIONS] JOURNAL" in page
    for code in MEANINGS:
        assert f"\n| {code:d} | " in page
