"""How many commands at once, and how long each may take, as people write it."""

from __future__ import annotations

import os
import re
import resource
from typing import Final

from leftoff.errors import UsageError
from leftoff.work.deadline import seconds_of

_PLACES: Final = re.compile(r"([+-]?)(\d+)(%?)")
_DESCRIPTORS: Final = 6  # open at once for a command: its two pipes, its worker's sockets, two files of long outputs
_OTHERS: Final = 64


def parse_places(text: str) -> int:
    """Return how many commands run at once: ``8``, ``200%`` of the CPUs, or so many more or less: ``+2``, ``-1``."""
    found = _PLACES.fullmatch(text)
    if found is None:
        raise UsageError(
            f"-j {text}: write a number, a percentage of the CPUs such as 200%, or +1 or -1 for more or less"
        )
    sign, number, percent = found.groups()
    cpus, count = cpu_count(), int(number)
    if percent:
        count = cpus * count // 100
    places = cpus + count if sign == "+" else cpus - count if sign == "-" else count
    if sign or percent:
        places = max(1, places)
    if not places:
        raise UsageError("-j 0: say how many commands may run at once; there is no word for as many as possible")
    room = (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _OTHERS) // _DESCRIPTORS
    if places > room:
        raise UsageError(f"-j {places}: this process may open files for {room} commands at once; see ulimit -n")
    return places


def cpu_count() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parse_span(text: str | float | None, name: str) -> float | None:
    """Return seconds, of a number or of a text such as ``1m30s``; None for None."""
    if text is None:
        return None
    try:
        return seconds_of(float(text), name)
    except ValueError as error:
        if isinstance(error, UsageError):
            raise
        return seconds_of(text, name)
