"""A real PostgreSQL server for the tests, with fsync on; it can be killed and started again."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from leftoff.journal.postgres_connection import Guarded

PATIENCE = 60.0  # seconds


def find_binaries() -> Path | None:
    """Return the folder of the newest server's programs, None where there is no server."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


class Server:
    """One server in a folder of its own, on a free port; its user is `postgres`, everybody is trusted."""

    def __init__(self, binaries: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="leftoff-pg-"))
        self._binaries = binaries
        self._as = []
        if os.getuid() == 0:  # initdb refuses root
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._run("initdb", "-D", f"{self.folder}/data", "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8")
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(self._binaries / program), *arguments]
        with (self.folder / "output").open("a") as output:
            subprocess.run(command, check=True, cwd=self.folder, stdout=output, stderr=output, timeout=PATIENCE)

    def start(self) -> None:
        """Start, and recover where it was killed."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c shared_buffers=16MB"
        options += " -c autovacuum=off -c max_wal_size=256MB"
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-w", "-l", f"{self.folder}/log", "-o", options, "start")

    def pid(self) -> int:
        return int((self.folder / "data/postmaster.pid").read_text().split("\n", 1)[0])

    def kill(self) -> None:
        """SIGKILL the server and each of its processes; return when all are gone."""
        postmaster = self.pid()
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        os.kill(postmaster, signal.SIGSTOP)  # it must not tidy up behind its children
        for pid in map(int, children):
            os.kill(pid, signal.SIGKILL)
        os.kill(postmaster, signal.SIGKILL)
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in (postmaster, *children)))

    def stop(self) -> None:
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.folder)

    @property
    def environment(self) -> dict[str, str]:
        """What makes ``postgresql:///`` mean this server."""
        return {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "postgres", "PGDATABASE": "postgres"}

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def second(self) -> str:
        """Return the URL of an empty database beside the first."""
        url = f"{self.url.rpartition('/')[0]}/second"
        with psycopg.connect(self.url, autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = 'second'").fetchone() is None:
                connection.execute("CREATE DATABASE second")
        self.clean(url)
        return url

    def clean(self, url: str | None = None) -> None:
        """Drop what an earlier test left in a database, and end whoever is still connected to any."""
        with psycopg.connect(url or self.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'"
            )
            connection.execute("SET client_min_messages = error")
            connection.execute(
                "DROP SCHEMA IF EXISTS leftoff CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public"
            )


def settings_at_commits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note from now on with which `synchronous_commit` our connections commit; return the notes."""
    own, seen = Guarded.own, []

    def asking(self: Guarded, sql: str, parameters: Any = ()) -> Any:
        if sql == "COMMIT":
            seen.append(own(self, "SHOW synchronous_commit").fetchone()[0])
        return own(self, sql, parameters)

    monkeypatch.setattr(Guarded, "own", asking)
    return seen


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something holds, and fail where it never does."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
