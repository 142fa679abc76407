"""The command that is run for each item: arguments with placeholders, checked before anything starts."""

from __future__ import annotations

import difflib
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from leftoff.errors import UsageError
from leftoff.shell.names import text_of

_WORD: Final = re.compile(r"(?<!\$)\{([A-Za-z_][\w-]*)\}")  # ${X} is a shell's
_FOREIGN: Final = re.compile(r"(?<!\$)\{(?:\.|/|//|/\.|#|%)\}")
_CLOSE: Final = 0.75  # of difflib's ratio: `{nmae}` is meant for `{name}`


class Template:
    """Make an item's command: ``{}`` in any argument is the item, ``{name}`` its column of that name.

    Where COMMAND names neither, the item is its last argument. What is put in is never looked at again, and no shell
    reads any of it.
    """

    def __init__(self, command: Sequence[str], columns: Sequence[str] = ()) -> None:
        """Check a command and compile it.

        Raise UsageError where its program cannot be run, or where it seems to name what there is not.
        """
        if not command or not command[0]:
            raise UsageError("name the COMMAND to be run for each item, behind --")
        self.command = tuple(map(text_of, command))
        names = {"{}", *(f"{{{name}}}" for name in columns)}
        self._pattern = re.compile("|".join(re.escape(name) for name in sorted(names)))
        self._filled = [self._pattern.search(word) is not None for word in self.command]
        self._appends = not any(self._filled)
        self._refuse_foreign()
        self._refuse_misspelt(columns)
        if not self._filled[0]:
            check_program(command[0])

    def fill(self, text: str, columns: Mapping[str, str] | None = None) -> list[str]:
        """Return the arguments for one item."""
        values = {"{}": text}
        if columns is not None:
            values |= {f"{{{name}}}": value for name, value in columns.items()}
        if self._appends:
            return [*self.command, text]
        return [
            self._pattern.sub(lambda found: values[found[0]], word) if is_filled else word
            for word, is_filled in zip(self.command, self._filled, strict=True)
        ]

    def _refuse_foreign(self) -> None:
        """Refuse what GNU parallel would replace: left as it is, all items would share a file called ``{.}``."""
        for word in self.command:
            if found := _FOREIGN.search(self._pattern.sub("", word)):
                raise UsageError(
                    f"{found[0]} in {word!r}: leftoff replaces {{}} and, with --csv, {{name}} alone; derive other names"
                    " in a script, or in: sh -c '…' sh {}"
                )

    def _refuse_misspelt(self, columns: Sequence[str]) -> None:
        if not columns:
            return
        for word in self.command:
            for name in _WORD.findall(self._pattern.sub("", word)):
                folded = {column.casefold(): column for column in columns}
                near = difflib.get_close_matches(name.casefold(), list(folded), 1, _CLOSE)
                if near or self._appends:
                    meant = f"did you mean {{{folded[near[0]]}}}? " if near else ""
                    raise UsageError(f"{{{name}}} is no column: {meant}the columns are {', '.join(columns)}")


def check_program(program: str) -> None:
    """Raise UsageError unless a program of this name can be run."""
    if shutil.which(program) is not None:
        return
    if os.sep in program and Path(program).exists():
        what = "is a directory" if Path(program).is_dir() else "is not executable; try chmod +x"
        raise UsageError(f"{program} {what}")
    raise UsageError(f"{program}: there is no such command; leftoff starts programs, no shell's own commands")
