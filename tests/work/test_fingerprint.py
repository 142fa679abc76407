"""One meaning of a function is told from another, whatever its form (promise P12)."""

from __future__ import annotations

import functools
import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from leftoff.errors import UsageError
from leftoff.work.fingerprint import Version, changed_parts, version_of

PROGRAM = '''
"""The papers."""
import functools
import json

from package import parsing
from package.parsing import Parser, parse

LIMIT = 3


@functools.lru_cache(maxsize=8)
def fetch(doi):
    """Fetch one."""
    return parse(json.dumps(doi)) + parsing.strip(doi) + Parser().run(doi)
'''
PARSING = '''
import json as j


def parse(text):
    return clean(text)


def clean(text):
    return text.strip()


def strip(text):
    return text[1:]


def unused(text):
    return text


class Base:
    def check(self, text):
        return len(text)


class Parser(Base):
    """Parse."""

    def run(self, text):
        return self.check(text)
'''
SHOW = "from package.papers import fetch; from leftoff.work.fingerprint import version_of; print(version_of(fetch))"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "papers.py").write_text(PROGRAM)
    (folder / "parsing.py").write_text(PARSING)
    return folder


def shown(package: Path) -> Version:
    """Return the version of `fetch` in a process of its own."""
    command = [sys.executable, "-B", "-c", SHOW]
    text = subprocess.run(command, cwd=package.parent, check=True, capture_output=True, text=True).stdout
    return eval(text, {"Version": Version})  # what we have just printed


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_all_that_the_function_refers_to_in_its_package_is_part_of_it(package: Path) -> None:
    """Functions and classes of the package count, through modules, classes and their bases; nothing else does."""
    names = ["papers.fetch", "parsing.Base", "parsing.Parser", "parsing.clean", "parsing.parse", "parsing.strip"]
    assert sorted(shown(package).parts) == names


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("papers.py", '"""Fetch one."""', '"""Fetch one paper."""'),
        ("papers.py", '    """Fetch one."""\n', ""),
        ("papers.py", "\n    return parse", "\n\n    # one\n    return (  # two\n        parse"),
        ("papers.py", "LIMIT = 3", "LIMIT = 4\n\n\ndef other():\n    return 1\n"),
        ("parsing.py", "return text[1:]", "return text[ 1 : ]"),
        ("parsing.py", '    """Parse."""\n', '    """Parse.\n\n    And more.\n    """\n'),
        ("parsing.py", "def unused(text):\n    return text", "def unused(text):\n    return text + text"),
    ],
)
def test_a_change_of_form_is_no_change(package: Path, file: str, old: str, new: str) -> None:
    """Comments, docstrings, formatting and whatever the function does not use leave its version as it was."""
    before = shown(package)
    edit(package / file, old, new)
    if "(  # two" in new:
        edit(package / file, "Parser().run(doi)", "Parser().run(doi)\n    )")
    assert shown(package) == before


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("papers.py", "json.dumps(doi)", "json.dumps([doi])", ["papers.fetch"]),
        ("papers.py", "maxsize=8", "maxsize=9", ["papers.fetch"]),
        ("parsing.py", "text.strip()", "text.lstrip()", ["parsing.clean"]),
        ("parsing.py", "len(text)", "len(text) + 1", ["parsing.Base"]),
        (
            "parsing.py",
            "return clean(text)",
            "return unused(text)",
            ["parsing.clean", "parsing.parse", "parsing.unused"],
        ),
    ],
)
def test_a_change_of_meaning_is_named(package: Path, file: str, old: str, new: str, changed: list[str]) -> None:
    """Wherever in the package it is, what has changed is named: where it was, where it is new, where it went."""
    before = shown(package)
    edit(package / file, old, new)
    after = shown(package)
    assert after.id != before.id
    assert changed_parts(before.parts, after.parts) == changed


def test_a_function_that_moves_is_the_same(package: Path) -> None:
    """Where a function stands has no meaning: in another file of the package it is what it was."""
    before = shown(package)
    (package / "more.py").write_text("def strip(text):\n    return text[1:]\n")
    edit(package / "parsing.py", "def strip(text):\n    return text[1:]\n", "from package.more import strip\n")
    after = shown(package)
    assert (after.id, "more.strip" in after.parts) == (before.id, True)


def test_a_script_is_one_with_what_lies_beside_it(package: Path) -> None:
    """A script's modules are part of it, and it is the same imported or run, but what is installed is not part."""
    script = package.parent / "script.py"
    script.write_text(
        "import parsing_beside, click\nfrom leftoff.work.fingerprint import version_of\n\n\ndef work(x):\n"
        "    return parsing_beside.parse(click.echo(x))\n\n\nprint(version_of(work))\n"
    )
    (package.parent / "parsing_beside.py").write_text(PARSING)
    for command in (["script.py"], ["-m", "script"], ["-c", "import script"]):
        run = subprocess.run([sys.executable, *command], cwd=package.parent, check=True, capture_output=True, text=True)
        version = eval(run.stdout, {"Version": Version})  # what we have just printed
        assert sorted(version.parts) == ["parsing_beside.clean", "parsing_beside.parse", "script.work"]


class Client:
    """Something with a method."""

    def __init__(self) -> None:
        self.count = 0

    def fetch(self, item: str) -> str:
        """Fetch."""
        return item + str(self.count)

    __call__ = fetch


async def awaited(item: str) -> str:
    return Client().fetch(item)


def twice(item: str, times: int = 2) -> str:
    return item * times


def test_whatever_can_be_called_has_a_version() -> None:
    """Methods, objects that can be called, partial functions, coroutine functions and lambdas are told apart."""
    client, offset = Client(), 3
    shorter = lambda item: twice(item, offset)  # noqa: E731  # one is wanted
    kinds: list[Any] = [client.fetch, client, functools.partial(twice, times=3), awaited, twice, shorter]
    found = [version_of(kind) for kind in kinds]
    assert None not in found
    assert [sorted(version.parts) for version in found if version is not None] == [
        ["test_fingerprint.Client"],
        ["test_fingerprint.Client"],
        ["arguments", "test_fingerprint.twice"],
        ["test_fingerprint.Client", "test_fingerprint.awaited"],
        ["test_fingerprint.twice"],
        [
            "test_fingerprint.test_whatever_can_be_called_has_a_version.<locals>.<lambda>",
            "test_fingerprint.twice",
        ],
    ]
    assert version_of(functools.partial(twice, times=4)) != found[2]
    assert version_of(functools.partial(twice, times=object())) is not None


shared = Client()
fetch_shared = shared.fetch
thrice = functools.partial(twice, times=3)


def with_helpers(item: str) -> str:
    return fetch_shared(thrice(item))


def test_what_a_function_calls_may_be_a_method_or_partial_function() -> None:
    """The class of a bound method and what a partial function calls are part of the function that calls them."""
    version = version_of(with_helpers)
    assert version is not None
    assert sorted(version.parts) == [
        "test_fingerprint.Client",
        "test_fingerprint.twice",
        "test_fingerprint.with_helpers",
    ]


def test_a_file_that_was_broken_since_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python runs what it has read; a version cannot be told from a file that has no meaning any more."""
    file = tmp_path / "broken_since.py"
    file.write_text("def work(item):\n    return item\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    function = importlib.import_module("broken_since").work
    assert version_of(function) is not None
    file.write_text("def work(item:\n")
    assert version_of(function) is None


def test_two_functions_that_differ_in_form_alone_are_equal() -> None:
    """Their sums are the same; those of two that differ in a word are not."""

    def one() -> Any:
        def fetch(item: str) -> str:
            """Fetch."""
            return item  # one

        return fetch

    def two() -> Any:
        def fetch(item: str) -> str:
            return item

        return fetch

    def three() -> Any:
        def fetch(item: str) -> str:
            return item + item

        return fetch

    sums = [list(version.parts.values()) for make in (one, two, three) if (version := version_of(make()))]
    assert sums[0] == sums[1] != sums[2]


def test_what_has_no_source_has_no_version() -> None:
    """What is built in, or was typed at a prompt, has none, whatever parameters are declared with it."""
    typed: dict[str, Any] = {}
    exec("def typed(x): return x", typed)  # as a prompt does
    for function in (len, str.upper, typed["typed"], functools.partial(len), SimpleNamespace().__init__):
        assert version_of(function) is None
        assert version_of(function, {"model": "a"}) is None


def test_our_own_functions_count_for_nothing() -> None:
    """What an application of this package does is declared in its parameters, and outlives its upgrades."""
    assert version_of(changed_parts) is None
    assert version_of(changed_parts, ["cp", "{}"]) == version_of(None, ["cp", "{}"])


def test_a_cell_that_is_not_filled_yet_stands_for_nothing() -> None:
    """A function may refer to what its surroundings have not made yet."""

    def work(item: str) -> str:
        return later(item)

    version = version_of(work)

    def later(item: str) -> str:
        return item

    assert version is not None
    assert len(version.parts) == 1
    assert len((version_of(work) or version).parts) == 2


def test_parameters_count_by_their_value() -> None:
    """Declared parameters make a version of their own, in whatever order they are written; JSON alone is taken."""
    assert version_of(None) is None
    assert version_of(None, {"a": 1, "b": [2]}) == version_of(None, {"b": [2], "a": 1})
    assert version_of(None, {"a": 1}) != version_of(None, {"a": 2})
    one, other = version_of(twice, {"model": "a"}), version_of(twice, {"model": "b"})
    assert one is not None
    assert other is not None
    assert changed_parts(one.parts, other.parts) == ["parameter model"]
    with pytest.raises(UsageError, match=r"parameters=.*: give what JSON can hold"):
        version_of(twice, {"model": object()})
