"""GNU parallel's ``--joblog``: a line for each command that ended.

A line says which command ended, and how. It has the number of the command in the list of that time, and the command
itself, quoted for the shell; the item is read back from the command (`command.py`), or found by its number in the list.
A torn line has the next one glued to it, for parallel appends behind whatever is there: neither is believed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Final

from leftoff.adopt.command import Template, may_be_of
from leftoff.adopt.found import Done, Doubt, Found, Line, NotDone, last_words, lines_of, open_source
from leftoff.errors import UsageError

HEADER: Final = b"Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand"
_TIMES: Final = r"\t *\d+\.\d+\t *-?\d+\.\d+\t-?\d+\t"
_RECORD: Final = re.compile(rf"(\d+)\t[^\t\n]+{_TIMES}-?\d+\t(-?\d+)\t(-?\d+)\t(.*)", re.DOTALL)
_WORDS: Final = re.compile(r"""(?:'[^']*'|"[^"]*"|\\.|[^\s'"\\])+""", re.DOTALL)
_COMPARED: Final = 10_000  # so many commands tell in which word all differ
_GLUED: Final = re.compile(rf"{_TIMES}.*{_TIMES}|\0{{8}}", re.DOTALL)  # the times of two lines, or a hole of zeros


def joblog(path: str, *, command: str | None = None, items: str | None = None) -> Iterator[Found]:
    """Yield what a joblog says of each item; the last word about an item counts.

    path: the file; command: the command template as parallel was given it, such as ``'convert {} out/{}.png'``, or
    ``'{}'`` where each line of the list was a command; items: the file of the list that parallel was given *at that
    time*, for a command that does not hold the item. Without both the item is the one word in which all commands
    differ. Raises UsageError where there is none, or what is given does not fit.
    """
    if command is None and items is None:
        command = _inferred(path)
    if command is None and items is None:
        raise UsageError(
            f"{path} has the commands, not the items: say which command parallel was given, such as --command 'convert"
            " {} out/{}.png' ('{}' where each line of the list was a command), or its list: --items LIST"
        )
    template = None if command is None else Template(command)
    if template is not None and template.needs_items and items is None:
        raise UsageError(f"the command {template.text} does not hold the item itself; give the list, too: --items LIST")
    return _read(path, template, items)


def _inferred(path: str) -> str | None:
    """Return the template of a log whose commands differ in one word, wherever that stands in them; else None.

    Where the item was only a part of that word, this finds keys that no list has: they harm nobody.
    """
    commands: list[list[str]] = []
    with open_source(path) as file:
        for line in lines_of(file, os.fstat(file.fileno()).st_size):
            match = _RECORD.fullmatch(line.data.decode("utf-8", "surrogateescape")) if line.ended else None
            if match is not None and not _GLUED.search(match[0]):
                words = _WORDS.findall(match[4])
                if " ".join(words) != match[4]:
                    return None
                if len(commands) < _COMPARED or len(words) != len(commands[0]):
                    commands.append(words)
    if len(commands) < 2 or len({len(words) for words in commands}) > 1:
        return None
    columns = list(zip(*commands, strict=True))
    differing = [words for words in columns if len(set(words)) > 1]
    if not differing or any(words != differing[0] for words in differing):
        return None
    return " ".join(words[0] if words not in differing else "{}" for words in columns)


def _read(path: str, template: Template | None, items: str | None) -> Iterator[Found]:
    listed = None if items is None else _Listed(items)
    with open_source(path) as file:
        log = _Log(path, template, listed)
        end = os.fstat(file.fileno()).st_size
        yield from last_words(lambda: log.read(lines_of(file, end)))


class _Listed:
    """Hold the list that parallel was given, a line an item."""

    def __init__(self, path: str) -> None:
        self.path = path
        with open_source(path) as file:
            text = file.read().decode("utf-8", "surrogateescape")  # and no line's end is translated
        self.items = text.removesuffix("\n").split("\n")

    def item(self, seq: int) -> str | None:
        return self.items[seq - 1] if 0 < seq <= len(self.items) else None


class _Log:
    """Read one joblog, as often as needed."""

    def __init__(self, path: str, template: Template | None, listed: _Listed | None) -> None:
        self.path, self.template, self.listed = path, template, listed

    def read(self, lines: Iterator[Line]) -> Iterator[Found]:
        """Yield what each line says. Raise UsageError at the end where whole lines were read and none fitted."""
        fitting, misfit = False, ""
        for line in lines:
            if line.number == 1 and line.ended and line.data == HEADER:
                continue
            where = f"{self.path}, line {line.number}"
            text = line.data.decode("utf-8", "surrogateescape")
            match = _RECORD.fullmatch(text) if line.ended else None
            if match is None or _GLUED.search(text):
                yield Doubt(where, "the line is torn, or glued to a torn one")
                continue
            # A line break of an item is a zero byte in the log.
            text = match[4].replace("\0", "\n")
            item = self._item(int(match[1]), text)
            if item is None:
                misfit = misfit or text
                yield Doubt(where, f"the command is another one: {text}")
                continue
            fitting = True
            code, signal = match[2], match[3]
            if (code, signal) == ("0", "0"):
                yield Done(item)
            else:
                yield NotDone(item, f"exit code {code}" if signal == "0" else f"signal {signal}")
        if misfit and not fitting:
            wanted = self.template.text if self.template is not None else ""
            raise UsageError(f"{self.path} has no command that fits {wanted!r}; it has, for one: {misfit}")

    def _item(self, seq: int, command: str) -> str | None:
        if self.listed is None:
            return self.template.item_of(command) if self.template is not None else None
        item = self.listed.item(seq)
        if self.template is not None:
            return None if item is None else self.template.item_of(command, item)
        if item is None or not may_be_of(item, command):
            raise UsageError(
                f"{self.listed.path} is not the list that parallel had: command {seq} was {command!r}, and line {seq}"
                f" is {'not there' if item is None else repr(item)}. Give the list of that time, or --command, which"
                " needs none"
            )
        return item
