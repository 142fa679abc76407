"""Ingest real PubMed records from a local replica, be killed three times, and count from outside what that cost.

Run it with `make demo`. What was fetched is read from the replica's access log, what was kept from the database.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from leftoff.testing.ncbi_process import Running, serve

RECORDS = Path(__file__).parent / "records"
BATCH = 10
TABLES = ("paper", "identifier", "author", "mesh", "raw")
LINE = "  {:<44}{:>9}{:>10}{:>11}"
LIVE = """\
  .venv/bin/leftoff papers sync "asthma[mh] AND 2024[dp]" --db papers.db \\
      --email you@example.org"""


class Demo:
    """Run `leftoff papers sync` against a replica, and know what it fetched and what it kept."""

    def __init__(self, folder: Path, replica: Running) -> None:
        self.folder = folder
        self.began = 0  # where the runs that are counted begin in the access log
        self.replica = replica
        # With a key, as many of the replica's users have: 10 requests a second in place of 3.
        self.environment = os.environ | {
            "LEFTOFF_NCBI_URL": replica.eutils, "NCBI_API_KEY": "demo", "LEFTOFF_RATE_DIR": str(folder / "rate")
        }  # fmt: skip

    def fetched(self, since: int = 0) -> list[str]:
        """Return the PMIDs that the replica has sent, from this line of its access log on."""
        return [pmid for line in self.replica.log()[since:] if "efetch" in line["path"] for pmid in line["served"]]

    def stored(self, db: str) -> set[str]:
        """Return the PMIDs whose records a database holds."""
        return {row[1] for row in self.rows(db, "raw")} if (self.folder / db).exists() else set()

    def rows(self, db: str, table: str) -> Counter[tuple[str, ...]]:
        """Return what a table says, without the numbers of its rows and the time of the fetch."""
        with closing(sqlite3.connect(f"file:{self.folder / db}?mode=ro", uri=True)) as connection:
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            said = ["(SELECT key FROM paper WHERE id = paper_id)" if name == "paper_id" else name
                    for name in names if name not in ("id", "fetched_at")]  # fmt: skip
            found = connection.execute(f"SELECT {', '.join(said)} FROM {table}") if said else ()
            return Counter(tuple(str(value) for value in row) for row in found)

    def sync(self, db: str, *, until: Callable[[], bool] | None = None) -> None:
        """Run sync to its end, or until that is so and kill it then; end the demo if it ended in any other way."""
        command = ["papers", "sync", "all[sb]", "--db", db, "--batch", str(BATCH)]
        with subprocess.Popen(
            [sys.executable, "-m", "leftoff.cli", *command],
            cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            while until is not None and process.poll() is None:
                if until():
                    process.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.002)
            _, said = process.communicate()
        if process.returncode != (0 if until is None else -signal.SIGKILL):
            sys.exit(f"sync ended with {process.returncode}, not as it should:\n{said}")

    def show(self, number: int, what: str, until: Callable[[], bool] | None = None) -> int:
        """Run sync, print what it fetched, and return how much of that had been fetched before."""
        before, start, resumed = set(self.fetched(self.began)), len(self.replica.log()), self.stored("papers.db")
        self.sync("papers.db", until=until)
        fetched = self.fetched(start)
        repeated = len(before & set(fetched)) + len(fetched) - len(set(fetched))
        print(LINE.format(f"{number}  {what}", len(fetched), len(resumed), repeated), flush=True)
        return repeated

    def sent(self, batches: int) -> Callable[[], bool]:
        """Wait for the replica to be sending so many batches more; the last of them has not arrived."""
        target = len(self.fetched()) + batches * BATCH
        return lambda: len(self.fetched()) >= target

    def kept(self, batches: int) -> Callable[[], bool]:
        """Wait for so many batches more to be in the database."""
        target = len(self.stored("papers.db")) + batches * BATCH
        return lambda: len(self.stored("papers.db")) >= target

    def run(self) -> bool:
        """Show all of it, and return whether it went as promised."""
        total = self.replica.ask()["real_records"]
        print(f"\n{total} real records, from a replica of PubMed that keeps PubMed's limits.\n")
        print(f"  leftoff papers sync 'all[sb]' --db papers.db --batch {BATCH}\n", flush=True)
        self.sync("whole.db")
        self.began = len(self.replica.log())
        print(LINE.format("run", "fetched", "resumed", "repeated"))
        repeated = [
            self.show(1, "SIGKILL while its 3rd batch was on the way", self.sent(3)),
            self.show(2, "SIGKILL when it had stored 4 batches", self.kept(4)),
            self.show(3, "SIGKILL while its 3rd batch was on the way", self.sent(3)),
            self.show(4, "not killed: goes on to the end"),
        ]
        end = len(self.fetched())
        repeated.append(self.show(5, "the same once more: nothing left to fetch"))
        return self.judge(max(repeated), again=len(self.fetched()) - end)

    def judge(self, most_repeated: int, *, again: int) -> bool:
        """Compare with the run that was not killed, print what is so, and return whether it is as promised."""
        whole = {table: self.rows("whole.db", table) for table in TABLES}
        same = all(self.rows("papers.db", table) == rows for table, rows in whole.items())
        counts = ", ".join(f"{table} {rows.total():,}" for table, rows in whole.items())
        print(f"\n  {counts} rows:\n  {'the same' if same else 'NOT THE SAME'} as after a run without kills")
        violations = sum(line["violation"] for line in self.replica.log())
        print(f"  {len(self.replica.log())} requests, {violations} of them sooner than PubMed allows")
        lost = len(self.stored("whole.db") - self.stored("papers.db"))
        twice = sum(count - 1 for count in Counter(self.fetched(self.began)).values())
        print(f"\n{lost} lost, {twice} fetched twice (at most one batch per kill)")
        return same and not lost and not violations and not again and most_repeated <= BATCH


def main() -> int:
    """Run the demo and return its exit code: 0 if all went as promised."""
    with tempfile.TemporaryDirectory() as folder, serve(RECORDS, "--latency", "0.05") as replica:
        good = Demo(Path(folder), replica).run()
    print(f"\nThe same with PubMed itself:\n{LIVE}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
