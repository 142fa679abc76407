"""Change journal/ in small ways, one at a time, and count which are seen: mutate.py [--sample N] [--seed S].

1. mutmut makes all mutants, some ten thousand. Those that change the case of SQL alone are none, and left out.
2. mypy, as strict as `make lint` has it, refuses more than half of them, as it would refuse such an edit.
3. Of the others a sample is drawn by a seed, and each is run against the tests that reach it: seconds a mutant.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

LEAST = 0.9
SEEN = ("killed", "timeout", "segfault")
ANY = "leftoff.journal.entry.x_created__mutmut_1"  # asked to run one, mutmut makes all
MUTMUT = [sys.executable, "-m", "mutmut"]
SOURCES = Path("mutants/src")
# What mypy says of the way in which mutmut writes mutants down, not of what they change.
OF_THE_MAKING = ("no-redef", "unused-ignore", "ignore-without-code")
SQL = re.compile(r"(?i)\b(SELECT|INSERT|UPDATE|DELETE|BEGIN|PRAGMA|SET|ANALYZE|CREATE|DROP|FROM|WHERE|ORDER|LIMIT)\b")


def run(*names: str) -> None:
    """Run mutants; a server that a mutant has left running is stopped."""
    with tempfile.TemporaryDirectory(prefix="leftoff-mutants-", ignore_cleanup_errors=True) as places:
        Path(places).chmod(0o711)  # a server of the tests is another user's
        subprocess.run(
            [*MUTMUT, "run", *names], check=True, stdout=subprocess.DEVNULL, env={**os.environ, "TMPDIR": places}
        )
        for left in Path(places).glob("*/data/postmaster.pid"):
            with suppress(ProcessLookupError):
                os.kill(int(left.read_text().split("\n", 1)[0]), signal.SIGQUIT)


def results() -> dict[str, str]:
    """Return what became of each mutant, by its name."""
    listed = subprocess.run([*MUTMUT, "results", "--all", "true"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(line.strip().split(": ", 1) for line in listed.splitlines())


def mutants(file: Path) -> Iterator[tuple[str, range, bool]]:
    """Yield a mutated file's mutants: the name, its lines, and whether it is another text than before."""
    text = file.read_text("utf-8")
    lines = text.split("\n")
    functions = {
        node.name: range(node.lineno, (node.end_lineno or 0) + 1)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and "__mutmut_" in node.name
    }
    module = ".".join(file.relative_to(SOURCES).with_suffix("").parts)
    for name, span in functions.items():
        if not name.endswith("orig"):
            before = functions[name[: name.rindex("__mutmut_")] + "__mutmut_orig"]
            old, new = (lines[among.start : among.stop - 1] for among in (before, span))
            pairs = [(a, b) for a, b in zip(old, new, strict=False) if a != b] if len(old) == len(new) else [("", "x")]
            same = bool(pairs) and all(a.casefold() == b.casefold() and SQL.search(a) for a, b in pairs)
            yield f"{module}.{name}", span, not same


def refused() -> dict[str, set[int]]:
    """Return the lines of each mutated file that mypy refuses."""
    command = [sys.executable, "-m", "mypy", "--output", "json", "src/leftoff"]
    said = subprocess.run(command, check=False, cwd="mutants", stdout=subprocess.PIPE, text=True).stdout
    lines: dict[str, set[int]] = {}
    for error in map(json.loads, said.splitlines()):
        if error["severity"] == "error" and error["code"] not in OF_THE_MAKING:
            lines.setdefault(error["file"], set()).add(error["line"])
    return lines


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sample", type=int, default=400)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    asked = options.parse_args()
    shutil.rmtree("mutants", ignore_errors=True)
    run(ANY)
    lines = refused()
    found = [
        (name, lines.get(str(file.relative_to("mutants")), set()).isdisjoint(span))
        for file in sorted((SOURCES / "leftoff/journal").glob("*.py"))
        for name, span, differs in mutants(file)
        if differs
    ]
    passed = [name for name, passes in found if passes]
    drawn = sorted(random.Random(asked.seed).sample(passed, min(asked.sample, len(passed))))
    print(f"{len(found)} mutants, {len(passed)} of them let pass by mypy, {len(drawn)} drawn by --seed {asked.seed}")
    run(*drawn)
    became = results()
    for name in drawn:
        if became[name] not in SEEN:
            print(f"{became[name]}: {name}")
    counts = Counter(became[name] for name in drawn)
    share = sum(counts[status] for status in SEEN) / len(drawn)
    score = 1 - (1 - share) * len(passed) / len(found)
    print(f"of those run, {share:.1%} were seen by the tests {dict(counts)}; of all, {score:.1%} by types or tests")
    sys.exit(score < LEAST)


if __name__ == "__main__":
    main()
