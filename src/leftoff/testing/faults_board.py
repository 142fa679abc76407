"""The memory that the preloaded library `faults.c`, the program in which it faults and the server of both share."""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import Any, Final, NamedTuple

LONGEST_FOLDER: Final = 1024
"""Bytes, the zero behind them included."""


class _Board(ctypes.Structure):
    """Be `struct board` of faults.c."""

    _fields_ = (
        ("at", ctypes.c_long),
        ("calls", ctypes.c_long),
        ("injected", ctypes.c_long),
        ("when", ctypes.c_double),
        ("error", ctypes.c_int),
        ("lasting", ctypes.c_int),
        ("mask", ctypes.c_uint),
        ("folder", ctypes.c_char * LONGEST_FOLDER),
        ("where", ctypes.c_char * 256),
    )


SIZE: Final = ctypes.sizeof(_Board)


class Injected(NamedTuple):
    """Be what was faulted: the first call and its file's name, "" for none, and when (monotonic seconds)."""

    where: str
    when: float


def arm(board: mmap.mmap, offset: int, request: dict[str, Any]) -> None:
    """Begin to count and to fault, in this process and for good."""
    shared = _Board.from_buffer(board, offset)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(shared))  # never freed: the last calls come when all else has been
    shared.at, shared.error, shared.lasting = request["at"], request["error"], request["lasting"]
    shared.mask, shared.folder = request["mask"], os.fsencode(request["folder"])
    ctypes.c_void_p.in_dll(ctypes.CDLL(None), "leftoff_board").value = ctypes.addressof(shared)


def read(board: mmap.mmap, offset: int) -> Injected:
    """Return what was faulted, also where the process is dead."""
    shared = _Board.from_buffer_copy(board, offset)
    return Injected(shared.where.decode("utf-8", "replace"), shared.when)
