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

What is not modelled: files mapped for writing (SQLite's ``-shm`` apart, which is never trusted after a crash), and
disks that lie about a sync or rot. The method is that of ALICE (Pillai et al., OSDI 2014) and CrashMonkey (Mohan et
al., OSDI 2018). A real file system that loses its power is `leftoff.testing.powercut`.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from hashlib import blake2b
from itertools import cycle, islice
from pathlib import Path
from typing import Final, NamedTuple

from leftoff.testing.power_disk import CHANGES, MODES, SURE, Disk, Operation
from leftoff.testing.power_trace import CALLS, Call, Reader, calls

_SHOWN: Final = 5  # so many of the wrong images are described
_ROUNDS: Final = 4  # so often images are built for those that are to be judged: many come out equal
_NEXT: Final = "folder"  # what a program tells that begins with its next folder


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
        files = {operation.file for operation in operations if operation.kind == "link"}
        syncs = [operation.began for operation in operations if operation.kind == "sync" and operation.file in files]
        newest = max(syncs, default=-1)
        lines = ((*o.name.partition(" ")[::2], o.ended < newest) for o in operations if o.kind == "told")
        return [Told(word, key, safe) for word, key, safe in lines]

    def image(self, instant: int, mode: str, rng: random.Random) -> dict[str, bytes]:
        """Return files that the disk may hold when the power fails at an instant."""
        return next(self.disks([instant]))[1].image(mode, rng)

    def disks(self, instants: Sequence[int]) -> Iterator[tuple[int, Disk]]:
        """Yield the disk at each of some instants, in order; it goes on changing."""
        disk, taken = Disk(), 0
        for instant in sorted(instants):
            for operation in self.operations[taken:instant]:
                disk.take(operation)
            taken = instant
            yield instant, disk

    def failing(self, which: Callable[[Operation], bool]) -> Recording:
        """Return the same with some syncs failing: sound where the program would not have noticed."""
        return Recording(tuple(replace_kind(o) if o.kind == "sync" and which(o) else o for o in self.operations))

    def lying(self) -> Recording:
        """Return the same on a disk that says it has synced and has not."""
        return Recording(tuple(o for o in self.operations if o.kind != "sync"))


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
    process; codes: the exit codes it may end with. The command must name the folder's files by absolute paths; the
    processes that it starts are recorded with it.

    Raises RuntimeError where strace is missing, or the program ends otherwise; ValueError for what cannot be recorded.
    """
    _refuse_what_is_there(folder)
    return _recording(folder, _trace(command, inject, environment, codes))


def record_each(
    command: Sequence[str | os.PathLike[str]], folders: Sequence[Path], *, environment: Mapping[str, str] | None = None
) -> list[Recording]:
    """Record one command that works in some empty folders, in one after the other; return a recording of each.

    It must ``tell("folder", PATH)`` when it begins with one, and have no process or thread left from the one before.
    Most of what a short recording costs is the start of its program; so it is paid once.
    """
    parts: list[list[Call]] = [[]]
    starts = [f"{_NEXT} {folder}\n".encode() for folder in folders]
    for folder in folders:
        _refuse_what_is_there(folder)
    for call in _trace(command, None, environment, (0,)):
        if call.name == "write" and call.number == 1 and call.strings[0] in starts:
            parts.append([])
        else:
            parts[-1].append(call)
    if len(parts) != len(folders) + 1:
        raise ValueError(f"the program told of {len(parts) - 1} folders, not of {len(folders)}")
    return [_recording(folder, part) for folder, part in zip(folders, parts[1:], strict=True)]


def _refuse_what_is_there(folder: Path) -> None:
    if any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty: what a recording does not see being made, it cannot cut off")


def _recording(folder: Path, found: Sequence[Call]) -> Recording:
    return Recording(tuple(Reader(str(folder.resolve())).read(found)))


def _trace(
    command: Sequence[str | os.PathLike[str]],
    inject: str | None,
    environment: Mapping[str, str] | None,
    codes: Sequence[int],
) -> list[Call]:
    """Run a command under strace and return the calls that it made."""
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
            return calls(line.rstrip("\n") for line in lines)


class Wrong(NamedTuple):
    """Be one image that the judge found wrong; `Recording.image` with ``random.Random(seed)`` builds it again."""

    what: str
    instant: int
    mode: str
    seed: int


@dataclass(frozen=True)
class Findings:
    """Be what a survey found: a fingerprint of each image that was judged, and the images that are wrong.

    Two images are alike if the disk holds the same and as much had been told.
    """

    seen: frozenset[bytes] = frozenset()
    wrong: tuple[Wrong, ...] = ()

    @property
    def images(self) -> int:
        """How many images were judged, no two of them alike."""
        return len(self.seen)

    def __add__(self, other: Findings) -> Findings:
        return Findings(self.seen | other.seen, self.wrong + other.wrong)

    def __str__(self) -> str:
        shown = [f"  {wrong.what} ({wrong.mode}, instant {wrong.instant})" for wrong in self.wrong[:_SHOWN]]
        return "\n".join([f"{len(self.wrong)} of {self.images} images are wrong", *shown])


def survey(
    recording: Recording,
    judge: Judge,
    *,
    images: int,
    seed: int,
    modes: Sequence[str] = MODES,
    executor: Executor | None = None,
    parts: int = 1,
) -> Findings:
    """Judge up to ``images`` different disks, spread over all instants of a recording.

    seed: makes the same images again; modes: what becomes of what was not synced, one of them for each image;
    executor: where to judge, in so many ``parts``: the judge must be importable.
    """
    shares = [(recording, judge, -(-images // parts), seed, modes, part, parts) for part in range(parts)]
    results = map(_share, shares) if executor is None else executor.map(_share, shares)
    return sum(results, Findings())


def _share(share: tuple[Recording, Judge, int, int, Sequence[str], int, int]) -> Findings:
    """Judge the images of every so-many-th instant."""
    recording, judge, images, seed, modes, part, parts = share
    seen: set[bytes] = set()
    wrong: list[Wrong] = []
    picks = _picks(recording, range(part, len(recording.operations) + 1, parts), modes, random.Random(f"{seed} {part}"))
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="leftoff-power-", dir=memory) as place:
        folder = Path(place, "disk")
        for _ in range(_ROUNDS):
            chosen = sorted(islice(picks, images - len(seen)))
            disks = recording.disks([pick.instant for pick in chosen])
            for pick, (_, disk) in zip(chosen, disks, strict=True):
                told = recording.told(pick.instant)
                files = disk.image(pick.mode, random.Random(pick.seed))
                fingerprint = _fingerprint(files, told)
                if fingerprint in seen:
                    continue
                seen.add(fingerprint)
                if what := judge(_lay(folder, files), told):
                    wrong.append(pick._replace(what=what))
                shutil.rmtree(folder)
    return Findings(frozenset(seen), tuple(wrong))


def _picks(recording: Recording, instants: Sequence[int], modes: Sequence[str], rng: random.Random) -> Iterator[Wrong]:
    """Choose images without end: where nothing is left to chance at any instant, else where something changed."""
    instants = rng.sample(instants, len(instants))
    changed = [n for n in instants if n and recording.operations[n - 1].kind in CHANGES]
    every, each_change = cycle(instants), cycle(changed or instants)
    while instants:
        mode = rng.choice(modes)
        yield Wrong("", next(every if mode in SURE else each_change), mode, rng.getrandbits(64))


def _fingerprint(files: Mapping[str, bytes], told: Sequence[Told]) -> bytes:
    digest = blake2b(f"{len(told)}".encode(), digest_size=8)
    for name in sorted(files):
        digest.update(f"|{name}|{len(files[name])}|".encode() + files[name])
    return digest.digest()


def _lay(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Put an image's files into a new folder."""
    folder.mkdir()
    for name in sorted(files):  # a folder comes before what is in it
        if name.endswith("/"):
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(files[name])
    return folder
