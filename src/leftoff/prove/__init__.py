"""Run a user's own program, kill it again and again, and compare what it leaves with an uninterrupted run."""

from __future__ import annotations

from leftoff.prove.campaign import prove
from leftoff.prove.proof import Failure, Proof

__all__ = ["Failure", "Proof", "prove"]
