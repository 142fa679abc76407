"""Are the tests good enough? Each of these bugs, planted in a copy of the product, makes them fail.

A bug counts as found where every test that `bugs.py` names for it *fails*; a copy that does not run is no find.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

import leftoff
from tests.planted.bugs import BUGS, Bug

PACKAGE = Path(leftoff.__file__).parent
CHECKOUT = Path(__file__).parents[2]
MISTAKES = ("ImportError", "SyntaxError", "NameError", "UnboundLocalError", "AttributeError")


class Runner:
    """Run tests on a copy of the package, in a process that has loaded pytest already."""

    def __init__(self) -> None:
        """Start it, without what a measurement of coverage or another run of pytest left in the environment."""
        environment = {name: text for name, text in os.environ.items() if not name.startswith(("COV", "PYTEST_"))}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("runner.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT,
            env={**environment, "LEFTOFF_CI": "1"},
        )  # fmt: skip

    def failures(self, package: Path, tests: tuple[str, ...]) -> dict[str, str]:
        """Return the tests that failed, each with what it said."""
        folder = package.parent.parent
        report, output = folder / "report.xml", folder / "output"
        # hypothesis is loaded before pytest could rewrite its assertions, which nobody misses
        arguments = ["-q", "-m", "", "-W", "ignore::pytest.PytestAssertRewriteWarning", "-p", "no:cacheprovider"]
        arguments += [f"--basetemp={folder}/tmp", f"--junitxml={report}"]
        arguments += [f"tests/{test}" for test in tests]
        order = {"source": str(package.parent), "arguments": arguments, "output": str(output)}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        code = self.process.stdout.readline().strip()
        assert code in ("0", "1"), output.read_text("utf-8")
        assert report.exists(), output.read_text("utf-8")
        cases = list(ElementTree.parse(report).iter("testcase"))
        assert len(cases) == len(tests), [case.get("name") for case in cases]
        assert all(case.find("error") is None and case.find("skipped") is None for case in cases), output.read_text()
        failed = [(case, case.find("failure")) for case in cases]
        return {f"{case.get('name')}": f"{what.get('message')}" for case, what in failed if what is not None}


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    started = Runner()
    yield started
    started.process.communicate()
    assert started.process.returncode == 0


def copy_of_product(folder: Path) -> Path:
    """Copy the package, with its compiled files; return where."""
    return Path(shutil.copytree(PACKAGE, folder / "src" / "leftoff"))


def test_nothing_fails_where_no_bug_is_planted(runner: Runner, tmp_path: Path) -> None:
    """The tests that must find the bugs pass on a copy of the product as it is."""
    tests = tuple(dict.fromkeys(test for bug in BUGS for test in bug.tests))
    assert runner.failures(copy_of_product(tmp_path), tests) == {}


@pytest.mark.parametrize(
    "bug", [pytest.param(bug, id=bug.name, marks=[pytest.mark.prove] if bug.slow else []) for bug in BUGS]
)
def test_a_planted_bug_is_found(runner: Runner, bug: Bug, tmp_path: Path) -> None:
    """Each test that is named for a bug fails while the bug is in the product."""
    package = copy_of_product(tmp_path)
    path = package / bug.file
    source = path.read_text("utf-8")
    assert source.count(bug.old) == 1, f"{bug.file} has changed: say how the bug would be made today"
    path.write_text(source.replace(bug.old, bug.new), "utf-8")
    compile(path.read_text("utf-8"), bug.file, "exec")
    found = runner.failures(package, bug.tests)
    assert len(found) == len(bug.tests), f"of {bug.tests} only these failed: {found}"
    assert {test: said for test, said in found.items() if any(word in said for word in MISTAKES)} == {}


def test_bugs_have_names_of_their_own() -> None:
    """No bug hides another of the same name, and there are at least 25."""
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 25
