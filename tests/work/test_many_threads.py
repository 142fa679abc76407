"""Many threads on one journal: each goes through or is told why not."""

from __future__ import annotations

import threading
from pathlib import Path

import leftoff
from tests.contract.stores import Lives, everywhere

THREADS = 32


@everywhere
def test_32_threads_on_one_handle_go_through_or_are_told_why_not(place: str, tmp_path: Path) -> None:
    """Each thread walks a run of its own through one handle: what it was told is done is done, and nothing is damaged.

    Failure mode 17: threads.
    """
    with Lives(place).open() as journal:
        barrier = threading.Barrier(THREADS)
        acknowledged: dict[int, list[int]] = {number: [] for number in range(THREADS)}
        raised: list[BaseException] = []

        def walk(number: int) -> None:
            barrier.wait()
            try:
                for item in journal.run(f"run-{number}").each(range(4), progress=False):
                    if item:
                        acknowledged[number].append(item - 1)
                acknowledged[number].append(3)
            except BaseException as error:
                raised.append(error)

        threads = [threading.Thread(target=walk, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number, items in acknowledged.items():
            done = set(journal.run(f"run-{number}").keys("done"))
            assert set(map(str, items)) <= done
        assert journal.verify() == []
    assert [error for error in raised if not isinstance(error, leftoff.LeftoffError)] == []
    assert any(acknowledged.values())
