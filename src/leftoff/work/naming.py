"""How a loop that nobody named is called, and what a default name refuses.

Never skip an item because two loops met by accident: under a default name a second call site, the same loop entered
twice and another program's run are refused.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

from leftoff.errors import RunInUse
from leftoff.work.current import outer_item


class Name(NamedTuple):
    """Be a run's name, and the program it belongs to where the name is a default."""

    run: str
    program: str | None


class _Site(NamedTuple):
    file: str
    line: int
    cell: int | None  # a notebook's execution count: a cell that is run again is not a second loop


LONGEST: Final = 200  # characters of a run's name

_entered: dict[tuple[str, str], _Site] = {}


def real_place(place: str) -> str:
    """Return one text for every name of a journal's file; a URL or ``memory:`` is its own."""
    return place if place == "memory:" or "://" in place else os.path.realpath(place)


def default_name(place: str, frame: FrameType, function: Callable[..., Any] | None = None) -> Name:
    """Return the default name of a loop called in ``frame``, after refusing what must not share one.

    place: the journal's; function: of a map, whose name becomes part of the run's. Inside an item of another loop the
    name is that item's, so that the inner loop is a new one for each. Raises RunInUse.
    """
    script, outer = _script(), outer_item()
    run = script.parent.name if script and script.stem == "__main__" else script.stem if script else _session()
    if outer is not None:
        run = f"{outer.run}[{outer.key}]"
    if function is not None:
        run = f"{run}.{getattr(function, '__qualname__', type(function).__qualname__)}"
    run, cell = _fitting(run), _cell()
    site = _Site(frame.f_code.co_filename, frame.f_lineno, cell)
    place = real_place(place)
    entered = _entered if outer is None else outer.inside().entered
    before = entered.setdefault((place, run), site)
    if before is not site:
        if (before.file, before.line) != (site.file, site.line):
            raise RunInUse(
                f"{site.file}:{site.line} would share run {run} with the loop at {before.file}:{before.line};"
                ' name this loop: each(items, run="…")'
            )
        if cell is None or cell == before.cell:
            raise RunInUse(
                f"the loop at {site.file}:{site.line} was entered twice as run {run}; name this loop: each(items,"
                ' run="…")'
            )
        entered[place, run] = site
    if "://" in place:
        return Name(run, str(script) if script else "")  # machines that share a server may share paths, or differ
    return Name(run, os.path.relpath(script, Path(place).parent) if script else "")


def _fitting(name: str) -> str:
    """Return a name that a run can have: an outer item's key may be long, or hold anything."""
    if len(name) <= LONGEST and name.isprintable():
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{''.join(filter(str.isprintable, name))[: LONGEST - 17]}…{digest}"


def _script() -> Path | None:
    """Return the file of the running program; None in a notebook or at a prompt."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(os.path.realpath(file)) if file and _cell() is None else None


def _session() -> str:
    return "notebook" if _cell() is not None else "interactive"


def _cell() -> int | None:
    """Return IPython's execution count, None outside of it."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "execution_count", None)
