"""Look at one damaged journal in every way there is, and say what came of it."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, Final, NamedTuple

from leftoff.errors import LeftoffError
from leftoff.journal.store import Store, values_of
from leftoff.work.journal import Journal, make_store

Opener = Callable[[Path], Store]
Files = Mapping[str, bytes]
Answers = dict[str, Any]

NEW_KEY: Final = "worked on after the damage"


class Verdict(NamedTuple):
    """Be what came of one case, and what was seen of it."""

    verdict: str
    detail: str = ""


class _Found(Exception):  # not an error of the journal: how a look ends early
    def __init__(self, verdict: str, detail: str) -> None:
        super().__init__(verdict)
        self.verdict = Verdict(verdict, detail)


_OF_RUN: Final[dict[str, Callable[[Store, str], Any]]] = {
    "entries": lambda store, run: list(store.entries(run)),
    "done": lambda store, run: list(store.keys(run, "done")),
    "dead": lambda store, run: list(store.keys(run, "dead")),
    "counts": lambda store, run: store.counts(run),
    "open items": lambda store, run: store.open_items(run),
    "newest": lambda store, run: store.newest(run),
    "created": lambda store, run: store.latest(run, "created"),
    "owner": lambda store, run: store.latest(run, "owner"),
    "pass": lambda store, run: store.latest(run, "pass"),
    "version": lambda store, run: store.latest(run, "version"),
    "holder": lambda store, run: store.holder(run),
}


def look(store: Store, keys: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield every question that a store can be asked about these keys of these runs, each with its name."""
    yield "runs", store.runs
    yield "entries", lambda: list(store.entries())
    for run in keys:
        for name, ask in _OF_RUN.items():
            yield f"{name} of {run}", partial(ask, store, run)
        yield f"values of {run}", partial(values_of, store, run, keys[run])


class Judge:
    """Judge damaged journals, one at a time, in a folder of its own."""

    def __init__(self, folder: Path, place: str, files: Files, opener: Opener | None = None) -> None:
        """Know the sound journal; ``opener`` opens the store at a path."""
        self._path = folder / place
        self._open: Opener = opener or (lambda path: make_store(path, "power"))
        self._known: dict[tuple[tuple[str, int], ...], Answers] = {}
        self._whole = files
        self._runs: list[str] = []
        self._keys: dict[str, list[str]] = {}
        self._answers(files)

    def require_sound(self) -> None:
        """Raise ValueError unless the sample opens, verifies, and holds something to be damaged."""
        self._lay(self._whole)
        store = self._open(self._path)
        damage = list(store.verify())
        store.close()
        if damage or not self._runs:
            raise ValueError(f"{self._path.name} is no sound journal with a run in it: {damage}")

    def _lay(self, files: Files) -> None:
        folder = self._path.parent
        shutil.rmtree(folder, ignore_errors=True)
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        folder.mkdir(parents=True, exist_ok=True)

    def _answers(self, files: Files) -> Answers:
        """Return what a sound journal answers."""
        which = tuple((name, hash(data)) for name, data in sorted(files.items()))
        if which not in self._known:
            self._lay(files)
            store = self._open(self._path)
            if not self._runs:
                self._runs = store.runs()
                self._keys = {run: [*store.keys(run, "done"), *store.keys(run, "dead"), "none"] for run in self._runs}
            self._known[which] = {name: ask() for name, ask in look(store, self._keys)}
            store.close()
        return self._known[which]

    def judge(self, files: Files, earlier: Sequence[Files], *, sealed: bool) -> Verdict:
        """Open the damaged files, read everything, check, and work on; ``earlier``: what they may be read as, too."""
        allowed = [self._answers(self._whole), *map(self._answers, earlier)]
        self._lay(files)
        try:
            return self._judge(files, allowed, sealed=sealed)
        except _Found as found:
            return found.verdict
        except LeftoffError as error:
            return self._refused(error)
        except Exception as error:  # noqa: BLE001  # which is what is looked for
            return Verdict("broke", f"{error!r:.300} {traceback.format_exc()[-1500:]}")

    def _judge(self, files: Files, allowed: list[Answers], *, sealed: bool) -> Verdict:
        store = self._open(self._path)
        try:
            refusal, possible = self._read(store, allowed, sealed=sealed)
        finally:
            store.close()
        for name, data in files.items():
            if (self._path.parent / name).read_bytes() != data:
                return Verdict("touched", name)
        try:
            self._work_on(possible, sealed=sealed or refusal is not None)
        except LeftoffError as error:
            refusal = refusal or error
        if refusal is not None:
            return self._refused(refusal)
        if sealed:
            return Verdict("read")
        return Verdict("same" if possible[0] is allowed[0] else "torn")

    def _read(self, store: Store, allowed: list[Answers], *, sealed: bool) -> tuple[LeftoffError | None, list[Answers]]:
        """Ask everything; return the first refusal, and whose answers were given."""
        refusal: LeftoffError | None = None
        possible = list(allowed)
        for name, ask in look(store, self._keys):
            try:
                answer = ask()
            except LeftoffError as error:
                refusal = refusal or error
                continue
            if not sealed:
                possible = self._agreeing(possible, name, answer)
        for damage in store.verify():
            refusal = refusal or LeftoffError(f"{self._path.name}: {damage.where}: {damage.what}")
        return refusal, possible

    def _agreeing(self, possible: list[Answers], name: str, answer: Any) -> list[Answers]:
        agreeing = [answers for answers in possible if answers[name] == answer]
        if not agreeing:
            raise _Found("silent", f"{name}: {answer!r:.700} instead of {possible[0][name]!r:.700}")
        return agreeing

    def _work_on(self, possible: list[Answers], *, sealed: bool) -> None:
        """Do one more item of each run; then everything done before is done, and that item too."""
        with redirect_stderr(StringIO()), Journal(self._open(self._path)) as journal:  # it tells of dead letters
            for run in self._runs:
                assert list(journal.run(run).each([NEW_KEY], progress=False)) == [NEW_KEY]
        store = self._open(self._path)
        try:
            for run in self._runs:
                done = list(store.keys(run, "done"))
                if not sealed:
                    self._agreeing([{"": [*answers[f"done of {run}"], NEW_KEY]} for answers in possible], "", done)
            if not sealed and (damage := list(store.verify())):
                raise _Found("silent", f"working on left {damage}")
        finally:
            store.close()

    def _refused(self, error: LeftoffError) -> Verdict:
        named = self._path.name in str(error)
        return Verdict("refused" if named else "unnamed", f"{type(error).__name__}: {error}"[:700])
