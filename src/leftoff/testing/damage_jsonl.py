"""Ways to damage a JSON Lines journal that its sums cannot tell, and what it may be read as without an error."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from typing import Final

from leftoff.journal.jsonl_scan import seal
from leftoff.testing.damage_bytes import same_length

_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|\{[^{}]*\}|\[[^\[\]]*\]')
_SUM: Final = b',"sum":"'
_ODD: Final = (
    *(b"null", b"true", b"-1", b"0", b"1.5", b"1e999", b"NaN", b"-Infinity", b'""', b"[]", b"{}", b"[[1],{}]"),
    *(b"9" * 30, b"9" * 5000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 50_000, b"nonsense", b"\xff\xfe"),
    *(b'"\\ud800"', b'"\\u0000"', b'"\\x"', b'"' + b"x" * 100_000 + b'"', b'{"errors":"many"}', b'{"tries":[1]}'),
    *(b'{"$bytes":"a"}', b'{"k":"x"}', b'"9999-12-31T23:59:59.999Z"', b'"0000-00-00"', b'"owner"', b'"done"'),
)


def resealed(rng: random.Random, data: bytes) -> bytes:
    """Let some lines say nonsense, and compute every sum anew."""
    lines = data.split(b"\n")
    bodies = [line[: line.rindex(_SUM)] if _SUM in line else line for line in lines if line]
    for _ in range(rng.choice([1, 1, 2, 5])):
        number = rng.randrange(len(bodies))
        bodies[number] = _with_nonsense(rng, bodies[number])
    whole, crc = b"", 0
    for body in bodies:
        line, crc = seal(body + _SUM, crc)
        whole += line
    return whole


def _with_nonsense(rng: random.Random, body: bytes) -> bytes:
    tokens = list(_TOKEN.finditer(body))
    if not tokens or rng.random() < 0.1:
        return rng.choice(_ODD)
    token, odd = rng.choice(tokens), rng.choice(_ODD)
    if rng.random() < 0.2:
        odd = rng.choice(tokens)[0]
    return body[: token.start()] + odd + body[token.end() :]


def earlier(whole: bytes, damaged: bytes, _synced_all: bool) -> Iterator[bytes]:
    """Yield what ``damaged`` may be read as besides ``whole``: the commits before the first changed byte.

    Only where nothing behind them tells that more had been durable (docs/format.md, section 2): a tail that was cut
    off, or one that is torn.
    """
    same = same_length(whole, damaged)
    lines = whole.splitlines(keepends=True)
    header = len(lines[0])
    if same < header:
        if not damaged.strip(b"\0") or (len(damaged) <= 512 and damaged.rstrip(b"\0") == whole[:same].rstrip(b"\0")):
            yield b""  # an interrupted creation: nothing can have been acknowledged
        return
    end = at = header
    lost: list[bytes] = []
    for line in lines[1:]:
        at += len(line)
        lost.append(line)
        if at <= same and b',"more":1,"sum":"' not in line[-40:]:
            end = at
            lost.clear()
    behind = damaged[end:]
    if not any(line in behind and _synced(line) > end for line in lost):
        yield whole[:end]


def _synced(line: bytes) -> int:
    """Return the offset up to which everything had been durable when a sound line was written."""
    fields = json.loads(line)
    return int(fields.get("synced", fields["commit"]))
