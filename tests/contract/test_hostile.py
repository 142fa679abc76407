"""Journals and keys made to do harm: nothing in one is run, and no text is SQL (P11)."""

from __future__ import annotations

import ast
import json
import sqlite3
import uuid
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

import leftoff
from leftoff.errors import LeftoffError
from tests.contract.stores import PLACES, Lives
from tests.journal.jsonl_files import line, seal

PACKAGE = Path(leftoff.__file__).parent
HOSTILE = [
    '{"$bytes": "gASVHgAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAVmYWxzZZSFlFKULg=="}',  # a pickle of os.system("false")
    '{"py/object": "os.system"}',
    '{"__class__": "subprocess.Popen", "args": "false"}',
    "\"__import__('os').system('false')\"",
    '"%n%n%s{0.__class__}{{7*7}}${jndi:ldap://x}"',
    json.dumps({"a": ["lol"] * 10_000}),
    "[" * 190 + "]" * 190,
]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_value_that_means_something_elsewhere_is_data_here(value: str, tmp_path: Path) -> None:
    """Failure mode 31: pickles, object notations, format strings and wide or deep JSON come back as what they are."""
    path = tmp_path / "hostile.jsonl"
    path.write_bytes(seal(line(f'"done":"k","value":{value}')))
    with leftoff.open(path) as journal:
        (entry,) = journal.entries()
        assert entry.value == json.loads(value)


def test_nothing_that_could_run_a_journals_data_is_imported() -> None:
    """Failure mode 31: no module of the package names pickle, marshal, shelve, eval, exec or a YAML loader."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [node.func.id] if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else []
            found += [f"{path.name}: {name}" for name in names if name.partition(".")[0] in FORBIDDEN]
    assert found == []


FORBIDDEN = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "eval", "exec", "compile", "jsonpickle"}


@pytest.mark.parametrize(
    "body",
    [
        "CREATE VIEW leftoff_extra AS SELECT load_extension('/tmp/evil.so')",
        "CREATE TRIGGER evil AFTER INSERT ON leftoff_entry BEGIN SELECT load_extension('/tmp/evil.so'); END",
        "CREATE TRIGGER evil AFTER UPDATE ON leftoff_run BEGIN DELETE FROM leftoff_entry; END",
        "ALTER TABLE leftoff_run RENAME TO t; CREATE VIEW leftoff_run AS SELECT * FROM t",
    ],
)
def test_code_in_a_schema_is_refused_before_it_could_run(body: str) -> None:
    """Failure mode 31: a trigger on our tables, or a view in the place of one, is damage, and nothing has fired."""
    with leftoff.open("run.db") as journal:
        list(journal.run("r").each("ab", progress=False))
    connection = sqlite3.connect("run.db")
    connection.executescript(body)
    connection.close()
    before = Path("run.db").read_bytes()
    if "leftoff_extra" in body:
        with leftoff.open("run.db") as journal:  # a view that nobody asks is nothing
            assert list(journal.run("r").keys("done")) == ["a", "b"]
        return
    with pytest.raises(LeftoffError, match=r"run\.db: the schema is not what leftoff created"):
        list(leftoff.each("abc", "run.db", run="r"))
    assert Path("run.db").read_bytes() == before


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
SQL = st.sampled_from(["'", '"', ";", "--", "/*", "%s", "?", ":a", "$1", "\\", "x'); DROP TABLE leftoff_entry; --"])


@pytest.mark.parametrize("place", PLACES)
@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=15, suppress_health_check=list(hypothesis.HealthCheck))
def test_any_text_is_a_key_and_never_sql(place: str, data: st.DataObject) -> None:
    """Failure mode 33: whatever text is a key, a step, a cursor or a value is found again, and nothing else is."""
    keys = data.draw(
        st.lists(TEXTS | st.builds("{}{}{}".format, TEXTS, SQL, TEXTS), min_size=1, max_size=5, unique=True)
    )
    name = uuid.uuid4().hex  # of this example alone: one that is tried again must not find what it left
    lives = data.draw(st.builds(Lives, st.just(place)))
    with lives.open() as journal:
        run = journal.run(name)
        assert list(run.each(keys, progress=False)) == keys
        for key in keys:
            assert run.step(key, lambda key: key, key) == key
            run.cursor(key).advance(key)
    with lives.open() as journal:
        run = journal.run(name)
        assert list(run.keys("done")) == keys
        assert list(run.each(keys, progress=False)) == []
        for key in keys:
            assert (run.step(key, lambda _: "again", key), run.cursor(key).value) == (key, key)
        assert run.forget([keys[0]]) == 1
        assert list(run.keys("done")) == keys[1:]
        assert journal.verify() == []


def test_sql_is_made_of_constants() -> None:
    """Failure mode 33: what is put into the text of a statement is a constant, never a key or a name."""
    suspicious = []
    for path in sorted((PACKAGE / "journal").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.JoinedStr):
                continue
            text = "".join(part.value for part in node.values if isinstance(part, ast.Constant)).lstrip()
            if not text.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "PRAGMA", "SET ")):
                continue
            inside = [ast.unparse(part.value) for part in node.values if isinstance(part, ast.FormattedValue)]
            suspicious += [f"{path.name}:{node.lineno} {{{name}}}" for name in inside if name in USERS]
    assert suspicious == []


USERS = {"key", "keys", "run", "name", "value", "self.run", "row.name", "run.name", "self._name", "kind"}
