"""The house rules that no linter knows: who imports what, what is public, what is documented, what a test says."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import types
from pathlib import Path

import click
import pytest

import leftoff

PACKAGE = Path(leftoff.__file__).parent
CHECKOUT = Path(__file__).parent.parent

# What may be imported besides the standard library and leftoff itself: the longest matching path decides.
THIRD_PARTY = {
    "": set[str](),
    "journal/postgres": {"psycopg"},
    "work/progress.py": {"tqdm"},
    "papers/": {"httpx", "keyring", "lxml", "rapidfuzz", "tomli"},
    "papers/export_bibtex.py": {"pylatexenc"},
    "export/parquet.py": {"pyarrow"},
    "cli/": {"click"},
    "testing/": {"click", "httpx", "hypothesis", "lxml", "pytest"},
}


def imported(tree: ast.AST) -> set[str]:
    """Return the first part of every absolute import, the lazy ones inside functions included, those for type checkers
    not.
    """
    unseen = {node for each in ast.walk(tree) if _is_for_types(each) for node in ast.walk(each)}
    nodes = [node for node in ast.walk(tree) if node not in unseen]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.partition(".")[0] for name in names}


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def foreign(path: str, source: str) -> set[str]:
    """Return what the module at `path`, relative to the package, imports without being allowed to."""
    allowed = THIRD_PARTY[max((rule for rule in THIRD_PARTY if path.startswith(rule)), key=len)]
    newer = {"tomllib"}  # of the standard library too, but not of the oldest Python's
    return imported(ast.parse(source)) - sys.stdlib_module_names - newer - {"leftoff"} - allowed


def test_each_room_imports_only_what_it_may() -> None:
    """The core stands on the standard library, tqdm's bar and click's commands apart; an extra stays in its room."""
    broken = {
        str(path.relative_to(PACKAGE)): names
        for path in sorted(PACKAGE.rglob("*.py"))
        if (names := foreign(path.relative_to(PACKAGE).as_posix(), path.read_text("utf-8")))
    }
    assert not broken


@pytest.mark.parametrize(
    ("path", "source", "found"),
    [
        ("journal/jsonl.py", "def f():\n    import orjson.lib", {"orjson"}),
        ("work/each.py", "from tqdm.auto import tqdm", {"tqdm"}),
        ("work/progress.py", "from tqdm.auto import tqdm", set()),
        ("cli/papers.py", "import click, httpx", {"httpx"}),
        ("work/run.py", "if TYPE_CHECKING:\n    import typing_extensions\nimport typing", set()),
        ("papers/fetch.py", "import httpx, json\nfrom . import parse\nfrom leftoff.work import retry", set()),
    ],
)
def test_the_import_rule_bites(path: str, source: str, found: set[str]) -> None:
    """The rule sees lazy, dotted and from-imports, and the longest path decides."""
    assert foreign(path, source) == found


def test_importing_leftoff_loads_the_core_alone() -> None:
    """A program that only loops pays for no HTTP client, XML parser, command line, application or test double."""
    apart = {"click", "httpx", "lxml", "psycopg", "pyarrow", "leftoff.cli", "leftoff.papers", "leftoff.testing"}
    script = "import sys, leftoff; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert apart & set(loaded.stdout.split()) == set()


def test_public_names_are_what_can_be_imported() -> None:
    """`__all__` names every public thing of the root, nothing else, at most 25, and each resolves."""
    public = {
        name
        for name in dir(leftoff)
        if not name.startswith("_")
        and name != "annotations"
        and not isinstance(getattr(leftoff, name), types.ModuleType)
    }
    assert public == {name for name in leftoff.__all__ if not name.startswith("_")}
    assert 0 < len(public) <= 25
    assert all(getattr(leftoff, name).__doc__ for name in public)


def commands(group: click.Group, words: tuple[str, ...] = ("leftoff",)) -> list[tuple[str, click.Command]]:
    """Return every command below `group` with the words that call it."""
    found: list[tuple[str, click.Command]] = []
    for name, command in group.commands.items():
        inner = (*words, name)
        found += commands(command, inner) if isinstance(command, click.Group) else [(" ".join(inner), command)]
    return found


def every_command() -> list[tuple[str, click.Command]]:
    main = importlib.import_module("leftoff.cli").main
    assert isinstance(main, click.Group)
    return commands(main)


def documentation() -> str:
    pages = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
    return "\n".join(page.read_text("utf-8") for page in pages)


def test_every_public_name_is_documented() -> None:
    """Each public name of the root stands in the docs as `leftoff.NAME`."""
    text = documentation()
    public = (name for name in leftoff.__all__ if not name.startswith("_"))
    assert [name for name in public if not re.search(rf"\bleftoff\.{name}\b", text)] == []


def test_every_command_is_documented_and_has_help() -> None:
    """Each command has a help text, is shown in the docs, and so is each of its long options."""
    text = documentation()
    missing = []
    for words, command in every_command():
        missing += [] if command.help else [f"{words}: no help"]
        missing += [] if re.search(rf"\b{words}\b", text) else [words]
        options = [name for option in command.params for name in option.opts if name.startswith("--")]
        missing += [f"{words} {name}" for name in options if name not in text]
    assert missing == []


def test_every_command_speaks_json() -> None:
    """No command leaves a program to parse prose."""
    assert [words for words, command in every_command() if not any("--json" in p.opts for p in command.params)] == []


def test_changelog_covers_this_version() -> None:
    """A development version has an Unreleased section; a release has one of its own."""
    section = "Unreleased" if "dev" in leftoff.__version__ else leftoff.__version__
    assert f"## [{section}]" in (CHECKOUT / "CHANGELOG.md").read_text("utf-8")


def test_every_test_says_what_it_holds() -> None:
    """Each test has a docstring: one sentence about behaviour."""
    silent = [
        f"{path.relative_to(CHECKOUT)}:{node.lineno} {node.name}"
        for path in sorted((CHECKOUT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []
