"""How a loop that nobody named is called, and which meetings are refused."""

from __future__ import annotations

import pytest

import leftoff
from leftoff.errors import RunInUse
from tests.contract import program
from tests.contract.stores import on_files


def names(place: str) -> list[str]:
    with leftoff.open(place) as journal:
        return journal.runs()


@on_files
def test_a_loop_is_called_like_its_script(place, tmp_path):
    """The file's stem; for a map also the function's name, however nested; the whole again finds all done."""
    text = f"""
        import leftoff
        class Source:
            @staticmethod
            def fetch(x):
                return x
        for x in leftoff.each(range(2), {place!r}):
            print("each", x)
        for o in leftoff.map(Source.fetch, range(2), {place!r}):
            print("map", o.value, o.resumed)
        """
    script = program.write(tmp_path, text, "ingest_papers.py")
    assert program.run(script).stdout.split("\n")[:4] == ["each 0", "each 1", "map 0 False", "map 1 False"]
    assert program.run(script).stdout.split("\n")[:2] == ["map 0 True", "map 1 True"]
    assert names(place) == ["ingest_papers", "ingest_papers.Source.fetch"]


def test_a_module_that_is_run_is_called_like_its_package(tmp_path):
    """`python -m package` is called package, not __main__."""
    (tmp_path / "harvest").mkdir()
    main = tmp_path / "harvest" / "__main__.py"
    main.write_text("import leftoff\nfor x in leftoff.each([1], 'run.jsonl'): pass\n", "utf-8")
    program.run(main)
    assert names(str(main.parent / "run.jsonl")) == ["harvest"]


REFUSED = {
    "a second call site": """
        for x in leftoff.each([1], PLACE): pass
        for x in leftoff.each([2], PLACE): print("worked")
        """,
    "the same loop entered twice": """
        for n in range(2):
            for x in leftoff.each([n], PLACE): print("worked" if n else "")
        """,
    "the same function mapped twice": """
        list(leftoff.map(str, [1], PLACE))
        print(*("worked" for o in leftoff.map(str, [2], PLACE)))
        """,
    "two loops through two names of one file": """
        import os
        os.symlink("sub", "other")
        for x in leftoff.each([1], "sub/" + PLACE): pass
        for x in leftoff.each([2], "other/" + PLACE): print("worked")
        """,
}


@on_files
@pytest.mark.parametrize("meeting", REFUSED)
def test_loops_that_would_share_a_default_name_are_refused(place, meeting, tmp_path):
    """The second is refused before it skips or does anything, and told to take a name."""
    (tmp_path / "sub").mkdir()
    script = program.write(
        tmp_path, "import leftoff\n" + program.dedent(REFUSED[meeting].replace("PLACE", repr(place)))
    )
    ended = program.run(script, code=1)
    assert "RunInUse" in ended.stderr
    assert 'name this loop: each(items, run="…")' in ended.stderr
    assert "worked" not in ended.stdout


@on_files
def test_named_loops_may_meet_as_they_like(place, tmp_path):
    """Two call sites, a loop entered twice, other functions, other journals, other programs: a name serves them all."""
    text = f"""
        import leftoff
        for n in range(2):
            for x in leftoff.each([n], {place!r}, run="named"): print(x)
        for x in leftoff.each([0, 1, 2], {place!r}, run="named"): print(x)
        for x in leftoff.each([7], {place!r}): print(x)
        for x in leftoff.each([8], "another.jsonl"): print(x)
        for o in leftoff.map(str, [9], {place!r}): print(o.value)
        for o in leftoff.map(int, [9], {place!r}): print(o.value)
        """
    assert program.run(program.write(tmp_path, text, "one.py")).stdout.split() == "0 1 2 7 8 9 9".split()
    other = f'import leftoff\nfor x in leftoff.each([2, 3], {place!r}, run="named"): print(x)'
    assert program.run(program.write(tmp_path, other, "two.py")).stdout.split() == ["3"]


@on_files
def test_another_programs_run_is_refused_under_a_default_name(place, tmp_path):
    """Two scripts of one name in two folders do not meet; a script moved together with its journal goes on."""
    text = f"import leftoff\nfor x in leftoff.each([1, 2], {'../' + place!r}): print(x)"
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    first, second = (program.write(tmp_path / folder, text, "ingest.py") for folder in "ab")
    program.run(first)
    ended = program.run(second, code=1)
    assert "RunInUse: run ingest of " in ended.stderr
    assert "was begun by" in ended.stderr
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in [tmp_path / "a", *tmp_path.glob(f"{place}*")]:
        path.rename(moved / path.name)
    assert program.run(moved / "a" / "ingest.py").stdout == ""


@on_files
def test_an_explicit_name_is_not_taken_over_by_a_default(place, tmp_path):
    """A run that somebody named `ingest` is not the unnamed loop of ingest.py."""
    with leftoff.open(place) as journal:
        list(journal.run("ingest").each([1]))
    script = program.write(tmp_path, f"import leftoff\nfor x in leftoff.each([1], {place!r}): print(x)", "ingest.py")
    assert "was begun by a program that named it" in program.run(script, code=1).stderr


def test_a_name_must_be_printable():
    """Empty, over-long and control characters are refused by name."""
    with leftoff.open("memory:") as journal:
        for bad in ("", "x" * 201, "a\nb", "a\0b"):
            with pytest.raises(leftoff.UsageError, match="1 to 200 printable characters"):
                journal.run(bad)


def test_run_in_use_is_a_usage_error():
    """Whoever catches wrong uses catches this one."""
    assert issubclass(RunInUse, leftoff.UsageError)


def test_on_a_server_a_default_name_belongs_to_the_programs_path(postgres, tmp_path):
    """Two programs of one name in two folders are two programs, and the second is refused."""
    text = """
        import leftoff
        for x in leftoff.each(range(2), "postgresql:///"):
            print(x)
        """
    (tmp_path / "other").mkdir()
    first = program.run(program.write(tmp_path, text))
    assert first.stdout.split() == ["0", "1"], first.stderr
    second = program.run(program.write(tmp_path / "other", text), code=1)
    assert "RunInUse" in second.stderr
