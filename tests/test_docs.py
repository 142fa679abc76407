"""The documentation's code runs, page by page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from leftoff.testing.ncbi_process import serve

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = sorted(
    page for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")] if BLOCK.search(page.read_text("utf-8"))
)


@pytest.fixture(scope="module")
def replica() -> Iterator[str]:
    """Serve the shipped records in PubMed's place."""
    with serve(ROOT / "examples" / "papers" / "records") as served:
        yield served.eutils


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_of_page_runs(page: Path, tmp_path: Path, replica: str) -> None:
    """A page's code blocks, put one after the other, are a program that ends well, twice."""
    program = tmp_path / "page.py"
    program.write_text("\n".join(BLOCK.findall(page.read_text("utf-8"))), "utf-8")
    environment = {**os.environ, "LEFTOFF_NCBI_URL": replica}
    for _ in range(2):
        ended = subprocess.run(
            [sys.executable, str(program)],
            check=False,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == 0, ended.stderr


def test_pages_are_found() -> None:
    """The page about loops is among those whose code runs, so an empty search cannot pass for success."""
    assert ROOT / "docs" / "loops.md" in PAGES
