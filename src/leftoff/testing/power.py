"""Cut the power at every instant: record a program once, then judge every disk that a power failure could have left.

`record` runs a program under strace (Linux) and keeps, in order, what it did to the files of one folder and what it
told: lines such as ``acknowledged KEY`` that it prints with `tell`. `survey` then builds, for instants all over the
recording, disks that `power_disk` says are possible, and asks a judge of yours about each one.

    recording = record([sys.executable, "program.py", folder], folder)
    findings = survey(recording, judge, images=5000, seed=1)
    assert not findings.wrong, findings

    def judge(folder, told):                    # told: what the program had said by then
        done = set(leftoff.open(folder / "work.db").run("work").keys("done"))
        lost = {line.key for line in told if line.word == "acknowledged"} - done
        return f"lost: {lost}" if lost else None

What is not modelled: programs of several processes, files mapped for writing (SQLite's ``-shm`` apart, which is never
trusted after a crash), folders within the folder, and disks that lie about a sync or rot. The method is that of ALICE
(Pillai et al., OSDI 2014) and CrashMonkey (Mohan et al., OSDI 2018).
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from leftoff.testing.power_disk import CHANGES, MODES, Operation, image
from leftoff.testing.power_trace import CALLS, Reader

_SHOWN: Final = 5  # so many of the wrong images are described
_TRIES: Final = 4  # so many images are built for each one that is to be judged: many come out equal


class Told(NamedTuple):
    """Be one line that the program told; ``safe`` if a sync of a file has begun since and ended well."""

    word: str
    key: str
    safe: bool = False


Judge = Callable[[Path, list[Told]], str | None]
"""Say what is wrong with a folder, given what the program had told; None for nothing."""


def tell(word: str, key: object) -> None:
    """Print a line, at once and by one call: what was done before it was done before it was told."""
    os.write(1, f"{word} {key}\n".encode())


@dataclass(frozen=True)
class Recording:
    """Be what a program did to the files of a folder."""

    operations: tuple[Operation, ...]

    def told(self, instant: int) -> list[Told]:
        """Return what had been told before an instant: the number of operations before the power fails."""
        operations = self.operations[:instant]
        syncs = [operation.began for operation in operations if operation.kind == "sync" and operation.file]
        newest = max(syncs, default=-1)
        lines = ((*o.name.partition(" ")[::2], o.ended < newest) for o in operations if o.kind == "told")
        return [Told(word, key, safe) for word, key, safe in lines]

    def image(self, instant: int, mode: str, rng: random.Random) -> dict[str, bytes]:
        """Return files that the disk may hold when the power fails at an instant."""
        return image(self.operations[:instant], mode, rng)

    def failing(self, which: Callable[[Operation], bool]) -> Recording:
        """Return the same with some syncs failing: sound where the program would not have noticed."""
        return Recording(tuple(replace_kind(o) if o.kind == "sync" and which(o) else o for o in self.operations))


def replace_kind(operation: Operation) -> Operation:
    """Return a sync as one that failed."""
    return operation._replace(kind="failed")


def record(
    command: Sequence[str | os.PathLike[str]],
    folder: Path,
    *,
    inject: str | None = None,
    environment: Mapping[str, str] | None = None,
    codes: Sequence[int] = (0,),
) -> Recording:
    """Run a command under strace and return what it did to the files of ``folder``, which must be empty.

    inject: what strace is to inject, such as ``fdatasync:error=EIO:when=3``; environment: what is added to that of this
    process; codes: the exit codes it may end with. The command must name the folder's files by absolute paths.

    Raises RuntimeError where strace is missing, or the program ends otherwise; ValueError for what cannot be recorded.
    """
    if any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty: what a recording does not see being made, it cannot cut off")
    if shutil.which("strace") is None:
        raise RuntimeError("strace is not installed, and nothing can be recorded without it: apt-get install strace")
    with tempfile.TemporaryDirectory(prefix="leftoff-trace-") as place:
        trace = Path(place, "trace")
        strace = ["strace", "-f", "-qq", "-xx", "-s", "16777216", "-e", f"trace={CALLS}", "-e", "signal=none"]
        if inject is not None:
            strace += ["-e", f"inject={inject}"]
        ran = subprocess.run(
            [*strace, "-o", trace, *command],
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode not in codes:
            raise RuntimeError(f"the program ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        with trace.open(encoding="utf-8", errors="surrogateescape") as lines:
            operations = Reader(str(folder.resolve())).read(line.rstrip("\n") for line in lines)
    return Recording(tuple(operations))


class Wrong(NamedTuple):
    """Be one image that the judge found wrong; `Recording.image` with ``random.Random(seed)`` builds it again."""

    what: str
    instant: int
    mode: str
    seed: int


@dataclass(frozen=True)
class Findings:
    """Be what a survey found: how many images were judged, no two of them alike, and those that are wrong."""

    images: int = 0
    wrong: tuple[Wrong, ...] = ()

    def __add__(self, other: Findings) -> Findings:
        return replace(self, images=self.images + other.images, wrong=self.wrong + other.wrong)

    def __str__(self) -> str:
        shown = [f"  {wrong.what} ({wrong.mode}, instant {wrong.instant})" for wrong in self.wrong[:_SHOWN]]
        return "\n".join([f"{len(self.wrong)} of {self.images} images are wrong", *shown])


def survey(
    recording: Recording, judge: Judge, *, images: int, seed: int, executor: Executor | None = None, parts: int = 1
) -> Findings:
    """Judge up to ``images`` different disks, spread over all instants of a recording.

    seed: makes the same images again; executor: where to judge, in so many ``parts``: the judge must be importable.
    """
    shares = [(recording, judge, -(-images // parts), seed, part, parts) for part in range(parts)]
    results = map(_share, shares) if executor is None else executor.map(_share, shares)
    return sum(results, Findings())


def _share(share: tuple[Recording, Judge, int, int, int, int]) -> Findings:
    """Judge the images of every so-many-th instant."""
    recording, judge, images, seed, part, parts = share
    rng = random.Random(f"{seed} {part}")
    instants = list(range(part, len(recording.operations) + 1, parts))
    rng.shuffle(instants)
    changed = [n for n in instants if n and recording.operations[n - 1].kind in CHANGES] or instants
    seen: set[tuple[int, int]] = set()
    wrong: list[Wrong] = []
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="leftoff-power-", dir=memory) as place:
        for turn in range(_TRIES * images):
            if len(seen) == images or not instants:
                break
            # First all instants with nothing and with everything; then the rest, where there is something to mix up.
            if turn < 2 * len(instants):
                instant, mode = instants[turn % len(instants)], MODES[turn // len(instants)]
            else:
                instant, mode = rng.choice(changed), rng.choice(MODES[2:])
            image_seed = rng.getrandbits(64)
            told = recording.told(instant)
            files = recording.image(instant, mode, random.Random(image_seed))
            fingerprint = (hash(frozenset(files.items())), len(told))
            if fingerprint in seen:
                continue
            seen.add(fingerprint)
            if what := judge(_lay(Path(place, str(turn)), files), told):
                wrong.append(Wrong(what, instant, mode, image_seed))
            shutil.rmtree(Path(place, str(turn)))
    return Findings(len(seen), tuple(wrong))


def _lay(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Put an image's files into a new folder."""
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder
