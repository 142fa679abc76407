"""The command `leftoff` itself: which commands there are, loaded when they are asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, MutableMapping
from importlib.util import find_spec
from io import TextIOWrapper
from typing import Any, Final

import click

from leftoff import __version__
from leftoff.cli.exits import MEANINGS, errors_as_codes

COMMANDS: Final = (
    *("status", "log", "plan", "dead", "retry", "forget", "verify", "repair", "compact", "copy", "export", "adopt"),
    *("prove", "each", "papers"),
)
"""Each is the attribute of its own name in the module of its own name."""


class LazyCommands(MutableMapping[str, click.Command]):
    """Map each command's name to the command, imported when asked for; one whose module is absent is not there."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = [name for name in names if find_spec(f"leftoff.cli.{name}") is not None]
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            if name not in self._names:
                raise KeyError(name)
            module = importlib.import_module(f"leftoff.cli.{name}")
            self._loaded[name] = getattr(module, name)
        return self._loaded[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._loaded[name] = command
        if name not in self._names:
            self._names.append(name)

    def __delitem__(self, name: str) -> None:
        self._names.remove(name)
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Leftoff(click.Group):
    """Run one command, whose return value is the exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's
        """Return the names in the order of `COMMANDS`."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it raises or returns becomes the exit code."""
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a key that the terminal's encoding lacks is no failure
        with errors_as_codes():
            code = super().invoke(ctx)
        ctx.exit(code or 0)


def _codes() -> str:
    lines = "\n".join(f"{code:5d}  {meaning}" for code, meaning in MEANINGS.items())
    return f"\b\nExit codes:\n{lines}"


@click.group(
    name="leftoff",
    cls=Leftoff,
    commands=LazyCommands(COMMANDS),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_codes(),
)
@click.version_option(__version__, prog_name="leftoff")
def main() -> None:
    """Pick up where you left off: run what can be interrupted, look at its journals, and mend them."""
