"""Programs as users write them, run in a process of their own, so that they can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = 60.0  # seconds: a program that hangs fails its test instead of the whole suite


dedent = textwrap.dedent


def write(folder: Path, text: str, name: str = "program.py") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text), "utf-8")
    return path


def run(program: Path, *arguments: object, code: int | None = 0, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; ``code`` is the exit code that is expected, None for any."""
    command = [sys.executable, str(program), *map(str, arguments)]
    given: dict[str, Any] = {
        "capture_output": True,
        "text": True,
        "timeout": PATIENCE,
        "cwd": program.parent,
        **options,
    }
    done = subprocess.run(command, check=False, **given)
    assert code is None or done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@contextmanager
def started(program: Path, *arguments: object, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a program and leave nothing of it behind."""
    command = [sys.executable, "-u", str(program), *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, cwd=program.parent, **{**pipes, **options})
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(process: subprocess.Popen[str], word: str) -> list[str]:
    """Read the program's lines up to the one that is ``word``."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if lines[-1] == word:
            return lines
    errors = process.stderr.read() if process.stderr is not None else ""
    raise AssertionError(f"the program ended before it said {word!r}: {lines}\n{errors}")


def finish(process: subprocess.Popen[str], sent: signal.Signals | None = None) -> tuple[int, str, str]:
    """Send a signal and wait for the end; return exit code, output and errors."""
    if sent is not None:
        os.kill(process.pid, sent)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def finish_with(process: subprocess.Popen[str], text: str) -> tuple[int, str, str]:
    """Give the program what it waits for and wait for the end; return exit code, output and errors."""
    out, err = process.communicate(text, timeout=PATIENCE)
    return process.returncode, out, err
