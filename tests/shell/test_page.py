"""The lines of docs/commands.md run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.shell.conftest import ENVIRONMENT

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def program(name: str, script: str) -> None:
    Path("bin").mkdir(exist_ok=True)
    Path("bin", name).write_text(script)
    Path("bin", name).chmod(0o755)


def test_the_first_lines_of_the_page_run() -> None:
    """Each line that a user would copy does what is said of it, also the second time."""
    program("leftoff", f'#!/bin/sh\nexec {sys.executable} -m leftoff.cli "$@"\n')
    program("curl", '#!/bin/sh\nfor url; do :; done\necho "$url" >>fetched; echo "a href b"\n')
    program("mail", '#!/bin/sh\necho "$1 $2" >>mailed\n')
    Path("mail").symlink_to("bin/mail")
    for name in ("a.log", "b c.log"):
        Path(name).write_text(name)
    Path("urls.txt").write_text("https://example.org/1\nhttps://example.org/2\n")
    Path("people.csv").write_text('id,name\n1,"Hara, Ann"\n2,Bo\n')
    lines = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE))
    assert lines.count("leftoff each") == 5
    environment = {**ENVIRONMENT, "PATH": f"{Path('bin').absolute()}:{os.environ['PATH']}"}
    for _ in range(2):
        ended = subprocess.run(["bash", "-ec", lines], env=environment, capture_output=True, check=False, text=True)
        assert ended.returncode == 0, ended.stderr
        assert (
            Path("mailed").read_text() == "1 Hara, Ann\n2 Bo\n" or Path("mailed").read_text() == "2 Bo\n1 Hara, Ann\n"
        )
        assert len(Path("fetched").read_text().splitlines()) == 4  # two for their files, two for what they link to
    assert Path("b c.log.gz").exists()
