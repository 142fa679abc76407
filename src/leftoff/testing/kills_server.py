"""The process that programs are forked from, and what a program sees of it. `kills.ForkServer` is its other end.

It has one thread and everything imported, so a fork of it is a sound process that starts in a millisecond or two, and
ends as the interpreter ends: what is registered at exit runs.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib.util
import json
import mmap
import os
import select
import signal
import sys
import threading
import time
from types import ModuleType
from typing import Any, NoReturn

from leftoff.testing import faults_board
from leftoff.testing.kills_lines import LineSwitch
from leftoff.testing.kills_switch import BOARD, CALLS, LINES, Switch

_FAULTS = LINES + BOARD.size

raw_write = os.write
"""`os.write` as it was before a switch was armed."""

_report = -1  # tells the server: BEGUN, KILL_ME, or by its end that the program has ended
_BEGUN, _KILL_ME = b"b", b"k"


def tell_begun() -> None:
    """Start the server's clock, where there is a server."""
    if _report >= 0:
        raw_write(_report, _BEGUN)


def ask_for_kill() -> NoReturn:
    """Ask the server for a SIGKILL, and wait for it for ever."""
    raw_write(_report, _KILL_ME)
    while True:
        threading.Event().wait()


def serve(program: str, output: str) -> int:
    """Fork a child for each request on stdin and answer on stdout; return once in every child, too, as its end."""
    module = _load(program)
    requests, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    gc.freeze()
    while line := _read_line(requests):
        request = json.loads(line)
        board = mmap.mmap(-1, _FAULTS + faults_board.SIZE)
        watch, report = os.pipe()
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            for fd in (requests, answers, watch):
                os.close(fd)
            _become(report, output, request["limit"])
            if request["folder"] is not None:
                os.chdir(request["folder"])
            if request["from_start"]:
                tell_begun()
            if request["fault"] is None:
                _arm(request, board)
            else:
                faults_board.arm(board, _FAULTS, request["fault"])
            getattr(module, request["function"])(*request["arguments"])
            return 0
        os.close(report)
        hung = _attend(pid, watch, requests, began, request)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(watch)
        fault, fault_at = faults_board.read(board, _FAULTS)
        seconds = time.monotonic() - began
        reply = {"code": code, "seconds": seconds, "hung": hung, "fault": fault, "fault_at": fault_at}
        for name, at in (("calls", CALLS), ("lines", LINES)):
            (reply[name],) = BOARD.unpack_from(board, at)
        os.write(answers, json.dumps(reply).encode() + b"\n")
    return 0


def _arm(request: dict[str, Any], board: mmap.mmap) -> None:
    Switch(request["boundary"], board).arm()
    if request["line"] is not None or request["record"] is not None:
        lines = {name: request[name] for name in ("line", "sent", "inside", "record")}
        LineSwitch(**lines, board=board).arm()


def _load(program: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("program", program)
    if spec is None or spec.loader is None:
        raise ImportError(f"{program} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules["program"] = module
    spec.loader.exec_module(module)
    return module


def _read_line(fd: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(fd, 1 << 16)
        if not data:
            return b""
        line += data
    return line


def _become(report: int, output: str, limit: float) -> None:
    """Make this fork a program of its own: its output goes to a file, and its stacks too, if it hangs."""
    global _report  # noqa: PLW0603  # a process has one
    _report = report
    os.register_at_fork(after_in_child=_let_go)  # else a child of the program would hide its death
    fd = os.open(output, os.O_WRONLY | os.O_TRUNC | os.O_APPEND)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    faulthandler.dump_traceback_later(limit * 0.9, file=2)


def _let_go() -> None:
    global _report  # noqa: PLW0603
    os.close(_report)
    _report = -1


def _attend(pid: int, watch: int, requests: int, began: float, request: dict[str, Any]) -> bool:
    """Wait for the child's death, or bring it about; return whether it was killed because it hung."""
    deadline, begun = began + request["limit"], False
    while True:
        ready, _, _ = select.select([watch, requests], [], [], max(0.0, deadline - time.monotonic()))
        told = os.read(watch, 1) if watch in ready else _KILL_ME
        if not told:
            return False
        if told == _KILL_ME:
            os.kill(pid, signal.SIGKILL)
            return not ready and not begun
        if request["after"] is not None and not begun:
            deadline, begun = time.monotonic() + request["after"], True
