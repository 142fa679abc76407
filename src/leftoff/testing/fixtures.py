"""What leftoff gives to pytest: the fixture `kill_and_resume`. pytest finds it by itself where leftoff is installed."""

from __future__ import annotations

import random
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from leftoff.testing.kills_resume import Resumed


@pytest.fixture
def kill_and_resume(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Resumed]:
    """Kill a program at many places, resume it each time, and fail unless that changes nothing.

    kill_and_resume(program, *arguments, at="instants", kills=None, seed=None, compare=(), files=(), in_flight=1,
    check=True, limit=60.0)

    program: a script, or a function defined at the top of a file (arguments: JSON); each run has an empty folder as its
    current one, with copies of ``files`` in it. at: "instants" spread over its time, "boundaries" (right before and
    behind each call of the journal that changes what is on disk) or "lines" (before each line of the program's file and
    of leftoff's journal and loops); kills: how many, by default 20 instants or every boundary or line; seed: repeats
    them; compare: files of that folder that must be the same after all (databases: their rows), or a function that is
    called with the folder and reads what must be; in_flight: how many items one kill may repeat: workers, or the size
    of a batch; limit: seconds after which a run counts as hung.

    Returns `leftoff.testing.kills_resume.Resumed`, and raises AssertionError where something is wrong, unless ``check``
    is False.
    """

    def kill(program: Any, *arguments: Any, seed: int | None = None, check: bool = True, **options: Any) -> Resumed:
        from leftoff.testing import kills_resume

        chosen = random.SystemRandom().randrange(1 << 32) if seed is None else seed
        told = f"repeat with kill_and_resume(…, seed={chosen}) and pytest {shlex.quote(request.node.nodeid)}"
        print(told)  # pytest shows it where the test fails
        folder = tmp_path_factory.mktemp("kills")
        resumed = kills_resume.kill_and_resume(folder, program, *arguments, seed=chosen, **options)
        if check and resumed.wrong:
            raise AssertionError(f"{resumed}\n{told}")
        return resumed

    return kill
