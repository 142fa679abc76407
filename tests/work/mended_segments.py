"""How the tests of repairs of directories harm `progress/`, mend it, and look at what it is then."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from leftoff.journal.entry import Draft
from leftoff.journal.segments import SegmentsStore
from leftoff.work.mend import Repair, examine, plan, repair

HERE = Path("progress")


def forgotten(key: str) -> Draft:
    return Draft("forgotten", key)


def everything() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(HERE.iterdir()) if path.suffix != ".lock"}


def fates(run: str = "r") -> tuple[set[str], set[str]]:
    """What is done and what is dead, once the directory can be opened."""
    assert examine("progress/").damage == []
    store = SegmentsStore(HERE)
    told = set(store.keys(run, "done")), set(store.keys(run, "dead"))
    store.close()
    return told


def id_of(run: str = "r") -> str:
    store = SegmentsStore(HERE)
    entry = store.latest(run, "created")
    store.close()
    assert entry is not None
    return str(entry.value["id"])


def lose(path: Path, text: str, *, last: bool = False) -> bytes:
    """Let the line that holds a text be lost, and still be readable: its epoch is not what was written."""
    data = path.read_bytes()
    at = data.rindex(text.encode()) if last else data.index(text.encode())
    begin, end = data.rindex(b"\n", 0, at) + 1, data.index(b"\n", at) + 1
    line = re.sub(rb'"epoch":\d', b'"epoch":9', data[begin:end])
    path.write_bytes(data[:begin] + line + data[end:])
    return data


def wipe(path: Path, text: str) -> bytes:
    """Let the line that holds a text be lost, and nothing of it be readable."""
    data = path.read_bytes()
    at = data.index(text.encode())
    begin, end = data.rindex(b"\n", 0, at) + 1, data.index(b"\n", at)
    path.write_bytes(data[:begin] + b"?" * (end - begin) + data[end:])
    return data


def mend(**options: Any) -> Repair:
    """Plan and repair: the plan writes nothing, and the repair does what it says and is repeated by nobody."""
    before = everything()
    wanted = plan("progress/", **options)
    assert everything() == before
    told = repair("progress/", **options)
    bare = told._replace(parts=tuple((name, part._replace(aside=None)) for name, part in told.parts))
    assert bare == wanted
    after = everything()
    for name, part in told.parts:
        assert after[part.aside or ""] == before[name]
        assert (HERE / (part.aside or "")).stat().st_mode & 0o777 == 0o600
    mended_names = {name for name, _ in told.parts}
    assert {name: data for name, data in before.items() if name not in mended_names}.items() <= after.items()
    assert set(after) == set(before) | {part.aside for _, part in told.parts}
    assert repair("progress/") == ([], 0, 0, [], [], None, ())
    assert everything() == after
    assert examine("progress/").damage == []
    return told
