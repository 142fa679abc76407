"""What an item of a list costs beside its command: `leftoff each`, GNU parallel and xargs -P, as a user calls them.

``python benchmarks/commands.py [--items N] [--rounds N] [--folder DIR]``. The wall time of the whole command line, from
start to end, over its items; two at a time. The command is /bin/true, so what is measured is the tool; with ``echo``,
that its output is kept and printed; the third list, a hundred times as long, was done before. parallel has a --joblog,
as a run that is to be resumed does; xargs keeps nothing, prints as it comes and cannot resume. Medians over rounds in
turns, with [min..max]; what a process costs at all, and a line appended and synced, stand before and behind.
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

import leftoff

WORKERS = "-j2"
DONE = "done before"
LEFTOFF = (sys.executable, "-m", "leftoff.cli", "each", WORKERS, "-a", "list", "--durability")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")}


def ways(command: str) -> dict[str, list[str]]:
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


def compare(name: str, all_ways: dict[str, list[str]], count: int, rounds: int, folder: Path) -> None:
    """Measure the ways in turns, each from nothing, and print what an item costs in each."""
    (folder / "list").write_text("".join(f"{number}\n" for number in range(count)))
    spans: dict[str, list[float]] = {way: [] for way in all_ways}
    for _ in range(rounds):
        for way, words in all_ways.items():
            if name != DONE:
                clean(folder)
            spans[way].append(measure(words, folder, count))
    for way, times in spans.items():
        line = f"{name:14} {way:18} {statistics.median(times):7.3f} ms an item [{min(times):.3f}..{max(times):.3f}]"
        others = spans.get("parallel")
        ratio = "" if others is None else f"  {statistics.median(times) / statistics.median(others):5.2f} of parallel"
        print(line + ratio, flush=True)


def kept(item: str) -> dict[str, Any]:
    """Return what is kept of an item's echo."""
    return {"exit": 0, "seconds": 0.0, "stdout": f"{item}\n", "stderr": ""}


def ways_when_done(folder: Path, count: int) -> dict[str, list[str]]:
    """Return the command lines for a list that was done before; write what its runs would have left."""
    clean(folder)
    items = list(map(str, range(count)))
    with leftoff.open(folder / "leftoff.jsonl", durability="process") as journal:
        for _ in journal.run("each").map(
            lambda item: {"exit": 0, "seconds": 0.0, "stdout": f"{item}\n", "stderr": ""}, items
        ):
            pass
    lines = [f"{seq}\t:\t1795709814.441\t     0.002\t0\t0\t0\t0\techo {seq - 1}\n" for seq in range(1, count + 1)]
    head = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"
    (folder / "log").write_text(head + "".join(lines))
    found = ways("echo")
    parallel = {name: [*words[:3], "--resume", *words[3:]] for name, words in found.items() if name == "parallel"}
    return {"leftoff power": found["leftoff power"], **parallel}


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
        compare("true", ways("/bin/true"), options.items, options.rounds, folder)
        compare("output kept", ways("echo"), options.items, options.rounds, folder)
        many = options.items * 100
        compare(DONE, ways_when_done(folder, many), many, options.rounds, folder)
        probe(folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
