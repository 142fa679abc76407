"""The project file: what it may say, and what is refused with its place."""

from __future__ import annotations

import sys
import types
from datetime import date
from pathlib import Path

import pytest

from leftoff.errors import UsageError
from leftoff.papers.api_key import find_api_key
from leftoff.papers.project import Project, read_project

SMALL = '[papers]\ndb = "p.db"\n[papers.queries.a]\nquery = "asthma"\n'


def written(text: str, name: str = "leftoff.toml") -> Path:
    Path(name).write_text(text, encoding="utf-8")
    return Path(name)


def read(text: str) -> Project:
    return read_project(written(text))


def test_a_whole_file_is_read_as_it_is_meant() -> None:
    """Each name arrives, paths are relative to the file, and what a query does not say the file's head says."""
    folder = Path("deep")
    folder.mkdir()
    path = folder / "p.toml"
    path.write_text(
        """
        [papers]
        db = "papers.db"
        log = "../log.jsonl"
        email = "a@example.org"
        source = "crossref"
        every = "12h"
        ncbi_url = "http://n"
        crossref_url = "http://c"

        [papers.queries.first]
        query = "asthma"
        source = "both"
        issn = ["0091-6749", "1081-1206"]
        orcid = "0000-0002-1825-0097"
        funder = "100000001"
        since = 2026-01-31
        limit = 5
        every = 90

        [papers.queries."a name"]
        dois = "list.txt"

        [papers.queries.third]
        query = "c"
        since = "2026-02-01"
        """,
        encoding="utf-8",
    )
    project = read_project(path)
    assert (project.db, project.log) == (str(folder / "papers.db"), str(folder / "../log.jsonl"))
    assert (project.email, project.ncbi_url, project.crossref_url) == ("a@example.org", "http://n", "http://c")
    first, second, third = project.queries
    assert (first.name, first.query, first.source, first.every) == ("first", "asthma", "both", 90.0)
    assert (first.issn, first.orcid) == (("0091-6749", "1081-1206"), ("0000-0002-1825-0097",))
    assert (first.funder, first.since, first.limit) == (("100000001",), date(2026, 1, 31), 5)
    assert (second.name, second.dois, second.source) == ("a name", str(folder / "list.txt"), "crossref")
    assert (third.source, third.every, third.since) == ("crossref", 12 * 3600.0, "2026-02-01")


def test_what_is_left_out_has_its_default() -> None:
    """A query is PubMed's and daily unless it is said otherwise."""
    (query,) = read(SMALL).queries
    assert (query.source, query.every, query.since, query.limit, query.issn) == ("pubmed", 86400.0, None, None, ())


def test_a_list_of_dois_is_crossrefs_unless_it_is_said_otherwise() -> None:
    """Nobody has to say where DOIs are looked up."""
    (query,) = read('[papers]\ndb = "p.db"\n[papers.queries.a]\ndois = "d.txt"\n').queries
    assert query.source == "crossref"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no query"),
        ("[papers]\ndb = 'p.db'\n", "names no query"),
        ("[papers\n", "is no TOML"),
        ("[paper]\n", "paper is not known: did you mean papers?"),
        (SMALL.replace("db =", "bd ="), "papers.bd is not known: did you mean db?"),
        (SMALL.replace("query =", "qeury ="), "papers.queries.a.qeury is not known: did you mean query?"),
        (SMALL + "xyzzy = 'red'\n", "papers.queries.a.xyzzy is not known: known are query, source"),
        (SMALL + "limit = '5'\n", "papers.queries.a.limit is to be a number, such as 100, not a text"),
        (SMALL + "limit = true\n", "papers.queries.a.limit is to be a number, such as 100, not true or false"),
        (SMALL + "issn = [1]\n", 'papers.queries.a.issn is to be a list of texts, such as ["0091-6749"], not a list'),
        (SMALL + "since = 2026\n", "papers.queries.a.since is to be a day, such as 2026-01-31, not a number"),
        (SMALL + "every = 'often'\n", "papers.queries.a: every='often': give seconds, or a text such as"),
        (SMALL.replace('"asthma"', '" "'), "papers.queries.a.query is to be text in quotes, and not empty, not a text"),
        (SMALL.replace('"p.db"', "7"), 'papers.db is to be a path, such as "papers.db", not a number'),
        ("[papers]\nqueries = 'a'\n", "papers.queries is to be a table, not a text"),
        ("[papers.queries]\na = 'asthma'\n", "papers.queries.a is to be a table: write [papers.queries.a] above"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, said: str) -> None:
    """Each error names the file, the place in it, and what it is to be, or the nearest name that is known."""
    with pytest.raises(UsageError) as caught:
        read(text)
    assert str(caught.value).startswith("leftoff.toml")
    assert said in str(caught.value)


@pytest.mark.parametrize("place", ["[papers]", "[papers.queries.a]"])
@pytest.mark.parametrize("name", ["api_key", "API_KEY", "token"])
def test_no_secret_is_read_from_the_file(place: str, name: str) -> None:
    """A key there is refused with what to do instead, and is not repeated."""
    with pytest.raises(UsageError, match=r"NCBI_API_KEY.*keyring set leftoff ncbi") as caught:
        read(SMALL.replace(place, f'{place}\n{name} = "canary-1"'))
    assert "canary" not in str(caught.value)


def test_a_file_that_is_not_text_is_named() -> None:
    """Bytes that are no UTF-8 are refused by name; a mark at the beginning, as some editors write it, is no harm."""
    Path("leftoff.toml").write_bytes(SMALL.encode("utf-16"))
    with pytest.raises(UsageError, match=r"leftoff\.toml is no TOML"):
        read_project("leftoff.toml")
    assert read("\ufeff" + SMALL).queries[0].name == "a"


def test_the_key_is_the_environments_else_the_keyrings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment comes first; a keyring that is not installed, has no backend or is locked is no failure."""
    told: list[str] = []
    monkeypatch.delenv("NCBI_API_KEY", raising=False)
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert find_api_key(told.append) is None
    keyring, errors = types.ModuleType("keyring"), types.ModuleType("keyring.errors")

    class KeyringError(Exception):
        """As keyring has it."""

    class NoKeyringError(KeyringError, RuntimeError):
        """As keyring has it."""

    def locked(service: str, user: str) -> str | None:
        raise KeyringError("canary-2 is locked")

    def none(service: str, user: str) -> str | None:
        raise NoKeyringError

    kept = {("leftoff", "ncbi"): "canary-2"}
    errors.KeyringError, errors.NoKeyringError = KeyringError, NoKeyringError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    for ask, found in ((lambda *name: kept.get(name), "canary-2"), (lambda *name: "", None), (none, None)):
        monkeypatch.setattr(keyring, "get_password", ask, raising=False)
        assert find_api_key(told.append) == found
    assert told == []
    monkeypatch.setattr(keyring, "get_password", locked)
    assert find_api_key(told.append) is None
    assert told == ["the keyring cannot be read (KeyringError): going on without an NCBI key"]
    monkeypatch.setenv("NCBI_API_KEY", "canary-3")
    assert find_api_key(told.append) == "canary-3"
