from __future__ import annotations

import subprocess
import sys

import pytest

import leftoff
from leftoff.cli.group import LazyCommands
from tests.cli.conftest import call


def python(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


def test_looking_loads_no_application() -> None:
    """A command that looks at a journal pays for no HTTP client and no XML parser, nor does the list of commands."""
    for words in (["verify", "none.jsonl"], ["--help"]):
        call_it = f"click.testing.CliRunner().invoke(leftoff.cli.main, {words})"
        loaded = python(f"import sys, click.testing, leftoff.cli; {call_it}; print(*sys.modules)").split()
        assert {"httpx", "lxml", "leftoff.papers"} & set(loaded) == set()
        assert "leftoff.cli.verify" in loaded


def test_a_command_is_loaded_when_it_is_asked_for() -> None:
    """Importing the group imports none of its commands."""
    loaded = python("import sys, leftoff.cli; print(*sys.modules)").split()
    assert [name for name in loaded if name in ("leftoff.cli.status", "leftoff.cli.papers")] == []


def test_a_command_whose_module_is_absent_is_not_there() -> None:
    """A name without a module is no command, so that a part can be left out."""
    commands = LazyCommands(("status", "brew_coffee"))
    assert list(commands) == ["status"]
    assert commands["status"].name == "status"
    with pytest.raises(KeyError):
        commands["brew_coffee"]


def test_commands_can_be_added_and_taken_away() -> None:
    """The mapping behaves as click's own does."""
    commands = LazyCommands(("status",))
    commands["again"] = commands["status"]
    assert (len(commands), "again" in commands) == (2, True)
    del commands["status"]
    assert list(commands) == ["again"]


def test_version_and_help() -> None:
    """--version names the release; -h and --help are the same."""
    assert call("--version").out == f"leftoff, version {leftoff.__version__}\n"
    assert call("-h").out == call("--help").out
    assert "75  stopped" in call("-h").out


@pytest.mark.parametrize(
    "words", [["statsu", "a.jsonl"], ["status"], ["status", "a.jsonl", "--jsn"], ["log", "a", "-n", "x"]]
)
def test_a_wrong_call_is_a_usage_error(words: list[str]) -> None:
    """What click finds wrong exits with 2, like what the library finds wrong."""
    ended = call(*words)
    assert (ended.code, ended.out) == (2, "")
    assert "Usage: " in ended.err
