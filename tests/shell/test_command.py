"""The template of a command."""

from __future__ import annotations

import re

import pytest

from leftoff.errors import UsageError
from leftoff.shell.command import Template


@pytest.mark.parametrize(
    ("command", "text", "filled"),
    [
        (["echo", "{}"], "a b", ["echo", "a b"]),
        (["echo", "<{}|{}>", "x"], "a", ["echo", "<a|a>", "x"]),
        (["echo"], "a", ["echo", "a"]),
        (["echo", "{", "}", "{ }"], "a", ["echo", "{", "}", "{ }", "a"]),
        (["awk", "{print}", "{}"], "a", ["awk", "{print}", "a"]),
        (["echo", "${X}", "{}"], "a", ["echo", "${X}", "a"]),
        (["echo", "a{3}"], "x", ["echo", "a{3}", "x"]),
        (["echo", "--", ":::", "{}"], "-x", ["echo", "--", ":::", "-x"]),
        (["echo", "{}"], "{}", ["echo", "{}"]),
        (["echo", ""], "a", ["echo", "", "a"]),
    ],
)
def test_an_item_is_put_where_the_braces_are(command: list[str], text: str, filled: list[str]) -> None:
    """{} in any argument is the item, literally; nothing else is touched; without one the item comes last."""
    assert Template(command).fill(text) == filled


def test_columns_are_put_by_their_names() -> None:
    """{name} is that column; what a field holds is not looked at again, and other words in braces stay."""
    template = Template(["echo", "{id}: {first name} {id}", "{}", "{print}"], ["id", "first name"])
    filled = template.fill("7,{id}", {"id": "7", "first name": "{id}{}"})
    assert filled == ["echo", "7: {id}{} 7", "7,{id}", "{print}"]
    assert Template(["echo"], ["id"]).fill("7", {"id": "7"}) == ["echo", "7"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["echo", "{nmae}.txt"], "{nmae} is no column: did you mean {name}? the columns are id, name"),
        (["echo", "{id}", "{Name}"], "{Name} is no column: did you mean {name}?"),
        (["echo", "{title}"], "{title} is no column: the columns are id, name"),
    ],
)
def test_a_misspelt_column_is_refused(command: list[str], message: str) -> None:
    """What is nearly a column's name, or the only word in braces, would else name one file for all items."""
    with pytest.raises(UsageError) as refused:
        Template(command, ["id", "name"])
    assert message in str(refused.value)


@pytest.mark.parametrize("word", ["{.}", "{/}", "{//}", "{/.}", "{#}", "{%}"])
def test_what_only_parallel_replaces_is_refused(word: str) -> None:
    """A word of GNU parallel's that is not replaced here would name one file for all items."""
    with pytest.raises(UsageError, match=re.escape("leftoff replaces {} and, with --csv, {name} alone")):
        Template(["convert", "{}", f"{word}.png"])


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([], "name the COMMAND"),
        ([""], "name the COMMAND"),
        (["no-such-command", "{}"], "no-such-command: there is no such command"),
        (["/no/such/command"], "/no/such/command: there is no such command"),
        (["./plain"], "./plain is not executable; try chmod +x"),
        (["/"], "/ is a directory"),
    ],
)
def test_a_program_that_cannot_run_is_refused_before_anything_starts(command: list[str], message: str) -> None:
    """What no item could run is a usage error."""
    with open("plain", "w") as file:
        file.write("text")
    with pytest.raises(UsageError, match=re.escape(message)):
        Template(command)


def test_the_program_may_be_the_item() -> None:
    """A program that the items name is looked for when its item comes."""
    assert Template(["{}", "-v"]).fill("./any") == ["./any", "-v"]
