"""Read the limits that Crossref tells in the headers of its answers, in whatever shape they come."""

from __future__ import annotations

import re
from collections.abc import Mapping

UNITS = {"s": 1, "m": 60, "h": 3600}


def limits_in(headers: Mapping[str, str]) -> tuple[float | None, int | None]:
    """Return what the headers of an answer say of limits: seconds between two requests, and requests at a time.

    None for what they do not say. There are two spellings, a header may come twice ("10, 10"), and what contradicts
    itself counts as its stricter half.
    """
    spacings = []
    for spelling in ("x-rate-limit", "x-ratelimit"):
        counts = _numbers(headers.get(f"{spelling}-limit", ""))
        spans = [value * UNITS[unit] for value, unit in _spans(headers.get(f"{spelling}-interval", ""))]
        if counts and spans:
            spacings.append(max(spans) / min(counts))
    at_once = _numbers(headers.get("x-concurrency-limit", ""))
    return max(spacings, default=None), min(at_once, default=None)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in (each.strip() for each in text.split(",")) if part.isdecimal() and int(part) > 0]


def _spans(text: str) -> list[tuple[int, str]]:
    found = [re.fullmatch(r"([0-9]+)([smh])?", each.strip()) for each in text.split(",")]
    return [(int(match[1]), match[2] or "s") for match in found if match is not None and int(match[1]) > 0]
