"""PostgreSQL when the client, a backend, the server or the network dies: nothing lost, rows whole (P1, P2, P5, P7, P9).

Failure modes 38 and 39 of the list in docs/promises.md's source: a paused worker, a database that restarts.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
import pytest

import leftoff
from leftoff.errors import JournalUnreachable, OwnershipLost
from leftoff.journal.entry import Draft
from leftoff.journal.postgres_connection import Guarded
from leftoff.testing.cutting import CuttingProxy
from tests.contract import program
from tests.postgres import Server

KEYS = [f"k{n}" for n in range(4)]


class Place:
    """One database, and what was executed from outside its point of view."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.executed: Counter[str] = Counter()
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE made (key text)")

    def walk(self, url: str) -> None:
        with leftoff.open(url) as journal:
            run = journal.run("work")
            for key in run.each(KEYS, progress=False):
                self.executed[key] += 1
                run.connection.execute("INSERT INTO made VALUES (%s)", (key,))

    def check(self, kills: int) -> None:
        """Walk to the end; each item is done once, with one row, and repeated at most once for each kill."""
        self.walk(self.server.url)
        with leftoff.open(self.server.url) as journal:
            assert list(journal.run("work").keys("done")) == KEYS
            assert journal.verify() == []
        with psycopg.connect(self.server.url) as connection:
            assert sorted(key for (key,) in connection.execute("SELECT key FROM made")) == KEYS
        assert sum(self.executed.values()) - len(KEYS) <= kills


def on_statement(monkeypatch: pytest.MonkeyPatch, number: int, strike: object) -> list[str]:
    """Strike before the statement of that number that the journal sends; return what will have been sent."""
    sent: list[str] = []
    own = Guarded.own

    def counted(self, sql, parameters=()):
        if len(sent) == number:
            sent.append(sql)
            strike(self)
        else:
            sent.append(sql)
        return own(self, sql, parameters)

    monkeypatch.setattr(Guarded, "own", counted)
    return sent


@pytest.mark.parametrize("victim", ["backend", "server"])
def test_a_killed_server_or_backend_at_every_statement(
    postgres: Server, monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    """Killed before any statement of the journal's, it costs at most one repeat; what was done stays, its row once."""
    number, sent = 0, ["something"]

    def strike(connection: Guarded) -> None:
        if victim == "backend":
            with psycopg.connect(postgres.url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 10000)", (connection.info.backend_pid,))
        else:
            postgres.kill()
            postgres.start()

    step = 1 if victim == "backend" else 7
    while True:
        postgres.clean()
        place = Place(postgres)
        with monkeypatch.context() as patch:
            sent = on_statement(patch, number, strike)
            struck = None
            try:
                place.walk(postgres.url)
            except (JournalUnreachable, psycopg.OperationalError) as error:
                struck = error
        if len(sent) <= number:
            break
        place.check(1)
        number += step
    assert number > 20
    assert struck is None, "the walk that nobody struck"


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_cut_at_every_byte_of_a_commit_loses_and_repeats_nothing(postgres: Server, direction: str) -> None:
    """A commit that the network cut is looked up, sent again if it is not there, and the owner goes on."""
    with CuttingProxy(("127.0.0.1", postgres.port)) as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres"
        with leftoff.open(url) as journal:
            run = journal.run("work")
            owner = run.own()
            for warm in range(3):
                owner.commit([Draft("done", f"warm{warm}")])
            before = proxy.passed[direction]
            owner.commit([Draft("done", "measured")])
            size = proxy.passed[direction] - before
            assert size > 50
            keys = []
            for byte in range(1, size + 1, 1 if direction == "down" else 5):
                keys.append(f"cut{byte}")
                owner = run.own()
                proxy.arm(direction, byte)
                owner.commit([Draft("done", keys[-1])])
                proxy.disarm()
            assert proxy.cuts > size // 6
            done = [key for key in run.keys("done") if key.startswith("cut")]
            assert done == keys
            entries = [entry.key for entry in journal.entries("work") if entry.kind == "done"]
            assert len(entries) == len(set(entries)), "a commit was sent again though it was there"
            assert journal.verify() == []


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_commit_in_doubt_is_looked_up_and_believed_only_if_it_is_there(
    postgres: Server, monkeypatch: pytest.MonkeyPatch, direction: str
) -> None:
    """A commit lost on its way up is sent again, one whose answer was lost on its way down is not."""
    own, struck = Guarded.own, []

    def lost(self: Guarded, sql: str, parameters: Any = ()) -> Any:
        if not struck and sql.startswith("WITH moved"):
            struck.append(sql)
            if direction == "down":
                own(self, sql, parameters)
            with psycopg.connect(postgres.url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 10000)", (self.info.backend_pid,))
        return own(self, sql, parameters)

    with leftoff.open(postgres.url) as journal:
        owner = journal.run("work").own()
        monkeypatch.setattr(Guarded, "own", lost)
        (mark,) = owner.commit([Draft("done", "a")])
        assert struck
        assert owner.mark("a") == mark
        assert [entry.seq for entry in journal.entries("work") if entry.key == "a"] == [mark]
        assert journal.verify() == []


def test_a_cut_in_the_commit_of_a_users_rows_keeps_them_with_their_entry(postgres: Server) -> None:
    """Wherever the network breaks, an item's row and its entry are both there or both not."""
    byte, step = 1, 41
    with CuttingProxy(("127.0.0.1", postgres.port)) as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres"
        while True:
            postgres.clean()
            place = Place(postgres)
            cuts = proxy.cuts
            proxy.arm("up", byte)
            try:
                place.walk(url)
            except (JournalUnreachable, psycopg.OperationalError):
                assert proxy.cuts > cuts
            proxy.disarm()
            if proxy.cuts == cuts:
                break
            place.check(1)
            byte += step * 5
    assert byte > 2000


def test_a_client_killed_inside_a_commit_loses_nothing(postgres: Server, tmp_path: Path) -> None:
    """SIGKILL of the client before each statement of an item costs at most that item's repeat."""
    text = f"""
        import os, signal, sys
        import leftoff
        from leftoff.journal.postgres_connection import Connection
        left, own = int(sys.argv[1]), Connection.own
        def counted(self, sql, parameters=()):
            global left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return own(self, sql, parameters)
        Connection.own = counted
        with leftoff.open("postgresql:///") as journal:
            run = journal.run("work")
            for key in run.each({KEYS!r}, progress=False):
                print(key, flush=True)
                run.connection.execute("INSERT INTO made VALUES (%s)", (key,))
        """
    path = program.write(tmp_path, text)
    for number in (12, 14, 16, 18, 20, 21, 22, 23):
        postgres.clean()
        place = Place(postgres)
        end = program.run(path, number, code=None)
        assert end.returncode in (0, -signal.SIGKILL), end.stderr
        place.executed.update(end.stdout.split())
        place.check(1)


def test_a_paused_owner_that_lost_its_run_is_refused(postgres: Server, tmp_path: Path) -> None:
    """Stopped, its sessions ended and its run taken over, an owner that wakes up writes nothing and is told so."""
    text = """
        import sys
        import leftoff
        from leftoff.errors import OwnershipLost
        from leftoff.journal.entry import Draft
        with leftoff.open("postgresql:///") as journal:
            owner = journal.run("work").own()
            owner.commit([Draft("done", "a")])
            print("owned", flush=True)
            sys.stdin.readline()
            try:
                owner.commit([Draft("done", "stale")])
            except OwnershipLost:
                print("refused", flush=True)
        """
    with program.started(program.write(tmp_path, text)) as paused:
        program.until(paused, "owned")
        os.kill(paused.pid, signal.SIGSTOP)
        with psycopg.connect(postgres.url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'"
            )
        with leftoff.open(postgres.url) as journal:
            owner = journal.run("work").own()
            os.kill(paused.pid, signal.SIGCONT)
            code, out, err = program.finish_with(paused, "\n")
            assert (code, out.split()) == (0, ["refused"]), err
            owner.commit([Draft("done", "b")])
            assert list(journal.run("work").keys("done")) == ["a", "b"]


def test_an_owner_of_an_older_epoch_writes_nothing(postgres: Server) -> None:
    """With its connections alive, too, an owner whose run was taken over is refused by the commit itself."""
    with leftoff.open(postgres.url) as journal:
        owner = journal.run("work").own()
        with psycopg.connect(postgres.url, autocommit=True) as other:
            other.execute("UPDATE leftoff.run SET epoch = epoch + 1")
        with pytest.raises(OwnershipLost):
            owner.commit([Draft("done", "stale")])
        with psycopg.connect(postgres.url) as other:
            assert other.execute("SELECT count(*) FROM leftoff.entry WHERE kind = 'done'").fetchone() == (0,)


def test_a_password_appears_nowhere(postgres: Server) -> None:
    """The password of a URL is in no message, and not in what the journal is called."""
    for url in (
        "postgresql://me:s3cret@127.0.0.1:1/db", "postgresql://127.0.0.1:1/db?user=me&password=s3cret",
        "postgresql://me:s3cret@127.0.0.1:s3cret/db", "postgresql://me:s3cret@127.0.0.1:1/db?nonsense=1",
    ):  # fmt: skip
        with pytest.raises(leftoff.LeftoffError) as refused:
            leftoff.open(url)
        if ":s3cret/" not in url:
            assert "s3cret" not in str(refused.value)
    with leftoff.open(postgres.url.replace("postgres@", "postgres:s3cret@")) as journal:
        assert "s3cret" not in journal.url
        assert journal.runs() == []
