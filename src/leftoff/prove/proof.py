"""What was found: the verdict in one line, and everything that a person needs to see it happen again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from leftoff.prove.compare import Difference


@dataclass(frozen=True)
class Failure:
    """Be the first journey that went wrong.

    journey: its number, from 1; kills: where it was killed, in words; what: what is wrong; clean, killed: the two
    folders that differ.
    """

    journey: int
    kills: list[str]
    what: list[str]
    clean: str
    killed: str


@dataclass
class Proof:
    """Be what `prove` found.

    kills: that hit the program; lost, repeated, different, reordered: records of the compared files; begun_again:
    times work on an item began once more than in the uninterrupted run, None without a ledger; repeats, workers: what
    was allowed; strace: None if calls were traced, else why they were not; not_durable: what a power failure could
    take, None if that was not read; failure: the first journey that went wrong; warnings: what limits the proof.
    """

    seed: int
    repeats: int = 0
    workers: int = 1
    kills: int = 0
    journeys: int = 0
    compared: list[str] = field(default_factory=list)
    records: int = 0
    lost: int = 0
    repeated: int = 0
    different: int = 0
    reordered: int = 0
    begun_again: int | None = None
    strace: str | None = None
    not_durable: list[str] | None = None
    failure: Failure | None = None
    warnings: list[str] = field(default_factory=list)

    def count(self, difference: Difference, kills: int) -> None:
        """Take in what one journey's comparison said."""
        self.kills += kills
        self.journeys += 1
        self.lost += difference.lost
        self.repeated += difference.repeated
        self.different += difference.different
        self.reordered += difference.reordered

    @property
    def proven(self) -> bool:
        """Whether nothing was found, and something was tried."""
        return self.failure is None and not self.not_durable and self.kills > 0

    @property
    def verdict(self) -> str:
        """One line: how often it was killed, what that cost, and whether it resumes."""
        allowed = f" (<= {self.repeats} per kill)" if self.repeats else ""
        counts = f"{self.lost} lost, {self.repeated} repeated{allowed}, {self.different} different"
        if self.reordered:
            counts += f", {self.reordered} reordered"
        if self.begun_again is not None:
            counts += f", work begun again {self.begun_again} times (<= {self.workers} per kill allowed)"
        return f"prove: {self.kills} {'kill' if self.kills == 1 else 'kills'}, {counts}: {self._conclusion()}"

    def _conclusion(self) -> str:
        if self.failure is not None:
            return "it does NOT resume"
        if not self.kills:
            return "NOT proven: no kill hit the program before it ended; give it more to do"
        if self.not_durable:
            return "it resumes after a kill, NOT after a power failure"
        return "it resumes"

    def lines(self) -> list[str]:
        """Return the verdict and what stands behind it, for people."""
        lines = [self.verdict]
        if self.failure is not None:
            lines += [f"  {what}" for what in self.failure.what]
            words = ["killed", *["started again, then killed"] * len(self.failure.kills)]
            lines += [f"  {word} {where}" for word, where in zip(words, self.failure.kills, strict=False)]
        lines += [f"  not durable: {sentence}" for sentence in self.not_durable or ()]
        if self.strace is not None:
            lines.append(f"  {self.strace}: no kill was aimed between two calls, and missing syncs were not looked for")
        lines += [f"  warning: {warning}" for warning in self.warnings]
        if self.failure is not None:
            lines.append(f"  kept: {self.failure.clean} (uninterrupted) and {self.failure.killed} (killed)")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Return everything as what JSON can hold."""
        return {"proven": self.proven, "verdict": self.verdict, **asdict(self)}
