"""Run many cases in forked children, each of which may crash, hang or eat memory without harm to the others."""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NoReturn

from leftoff.testing.damage_judge import Verdict

Work = Callable[[range], Iterator[tuple[int, str, Verdict]]]
_SHARE: Final = 500  # cases of one child: what it holds in memory stays small, and a fork costs little beside


class _Child:
    """Be a child at work on some cases: which one it has in hand, and until when it may take."""

    def __init__(self, work: Work, numbers: range, memory: int) -> None:
        self.numbers = numbers
        self.next = numbers.start
        self.buffer = b""
        self.began = time.monotonic()
        self.fd, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _be_child(work, numbers, memory, write)
        os.close(write)

    def take(self) -> Iterator[tuple[int, str, Verdict]]:
        """Yield what it has told; at its end, that the case it had in hand killed it, unless all are done."""
        data = os.read(self.fd, 1 << 16)
        self.began = time.monotonic()
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        for line in lines:
            number, kind, verdict, detail = json.loads(line)
            self.next = number + 1
            yield number, kind, Verdict(verdict, detail)
        if not data:
            yield from self.end("crashed")

    def end(self, verdict: str) -> Iterator[tuple[int, str, Verdict]]:
        """Reap the child; yield the case that it did not finish."""
        if verdict == "hung":
            os.kill(self.pid, signal.SIGKILL)
        os.close(self.fd)
        self.fd = -1
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if self.next < self.numbers.stop:
            yield self.next, "", Verdict(verdict, f"exit code {code}")
            self.next += 1


def _be_child(work: Work, numbers: range, memory: int, write: int) -> NoReturn:
    code = 1
    try:
        gc.freeze()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if sys.platform == "linux":
            used = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
        for number, kind, verdict in work(numbers):
            os.write(write, json.dumps([number, kind, *verdict]).encode() + b"\n")
        code = 0
    finally:
        os._exit(code)  # nothing of the parent's is flushed, closed or ended twice


def run_in_children(
    work: Work, cases: range, children: int, seconds: float, memory: int
) -> Iterator[tuple[int, str, Verdict]]:
    """Yield what ``work`` says of each case; of one that its child did not survive, ``crashed`` or ``hung``, no kind.

    children: at a time; seconds: for one case; memory: bytes beyond what a child is forked with.
    """
    shares = deque(range(start, min(start + _SHARE, cases.stop)) for start in range(cases.start, cases.stop, _SHARE))
    at_work: list[_Child] = []
    try:
        while shares or at_work:
            while shares and len(at_work) < children:
                at_work.append(_Child(work, shares.popleft(), memory))
            patience = min(child.began for child in at_work) + seconds - time.monotonic()
            ready, _, _ = select.select([child.fd for child in at_work], [], [], max(0.0, patience))
            for child in list(at_work):
                if child.fd in ready:
                    yield from child.take()
                elif time.monotonic() - child.began > seconds:
                    yield from child.end("hung")
                if child.fd < 0:
                    at_work.remove(child)
                    if child.next < child.numbers.stop:
                        shares.append(range(child.next, child.numbers.stop))
    finally:
        for child in at_work:
            os.kill(child.pid, signal.SIGKILL)
            os.close(child.fd)
            os.waitpid(child.pid, 0)
