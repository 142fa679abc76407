"""What an item of a list costs beside its command: `leftoff each`, GNU parallel and xargs -P, as a user calls them.

``python benchmarks/commands.py [--items N] [--rounds N] [--folder DIR]``. The wall time of the whole command line, from
start to end, over its items; two at once. The command is /bin/true, so what is measured is the tool; with ``echo``,
that its output is kept and printed; the third list was done before. parallel keeps a --joblog, as a run that is to be
resumed does; xargs keeps nothing, prints as it comes and cannot resume. Medians over rounds in turns, with [min..max];
what a process costs at all, and a line that is appended and synced, stand before and behind.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORKERS = "-j2"
LEFTOFF = (sys.executable, "-m", "leftoff.cli", "each", WORKERS, "-a", "list", "--durability")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")}


def ways(command: str, folder: Path) -> dict[str, list[str]]:
    """Return the command lines that do the same."""
    found = {
        "xargs -P": ["xargs", "-P2", "-I{}", "-a", "list", command, "{}"],
        "leftoff process": [*LEFTOFF, "process", "--", command, "{}"],
        "leftoff power": [*LEFTOFF, "power", "--", command, "{}"],
        "leftoff --results": [*LEFTOFF, "power", "--results", "out", "--", command, "{}"],
        "parallel": ["parallel", "--will-cite", WORKERS, "--joblog", "log", "-a", "list", command, "{}"],
    }
    if shutil.which("parallel") is None:
        print("GNU parallel: not installed")
        del found["parallel"]
    if command == "/bin/true":
        del found["leftoff --results"]
    (folder / "list").write_text("")
    return found


def clean(folder: Path) -> None:
    """Begin anew."""
    for name in ("log", "leftoff.jsonl", "leftoff.jsonl.lock"):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "out", ignore_errors=True)


def measure(words: list[str], folder: Path, count: int) -> float:
    """Return the milliseconds of an item."""
    begun = time.perf_counter()
    quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    subprocess.run(words, cwd=folder, env=ENVIRONMENT, check=True, **quiet)
    return (time.perf_counter() - begun) / count * 1e3


def compare(name: str, command: str, count: int, rounds: int, folder: Path, *, resumed: bool = False) -> None:
    """Measure the ways in turns, and print what an item costs in each."""
    all_ways = ways(command, folder)
    if resumed:
        del all_ways["xargs -P"]
        all_ways.pop("parallel", None)
        if shutil.which("parallel"):
            all_ways["parallel"] = [
                "parallel",
                "--will-cite",
                WORKERS,
                "--joblog",
                "log",
                "--resume",
                "-a",
                "list",
                command,
            ]
    (folder / "list").write_text("".join(f"{number}\n" for number in range(count)))
    spans: dict[str, list[float]] = {way: [] for way in all_ways}
    for _ in range(rounds):
        for way, words in all_ways.items():
            clean(folder)
            if resumed:
                measure(words, folder, count)
            spans[way].append(measure(words, folder, count))
    for way, times in spans.items():
        line = f"{name:14} {way:18} {statistics.median(times):7.2f} ms an item [{min(times):.2f}..{max(times):.2f}]"
        others = spans.get("parallel")
        ratio = "" if others is None else f"  {statistics.median(times) / statistics.median(others):5.2f} of parallel"
        print(line + ratio, flush=True)


def probe(folder: Path) -> None:
    """Print what a process and a durable line cost here and now."""
    times: dict[str, list[float]] = {"process": [], "append + fdatasync": []}
    fd = os.open(folder / "probe", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for _ in range(200):
        begun = time.perf_counter()
        os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0)
        between = time.perf_counter()
        os.write(fd, b"x" * 149 + b"\n")
        os.fdatasync(fd)
        times["process"].append(between - begun)
        times["append + fdatasync"].append(time.perf_counter() - between)
    os.close(fd)
    print(", ".join(f"{what}: {statistics.median(spans) * 1e3:.2f} ms" for what, spans in times.items()), flush=True)


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="leftoff-bench-", dir=options.folder))
    try:
        probe(folder)
        compare("true", "/bin/true", options.items, options.rounds, folder)
        compare("output kept", "echo", options.items, options.rounds, folder)
        compare("done before", "/bin/true", options.items, options.rounds, folder, resumed=True)
        probe(folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
