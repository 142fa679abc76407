"""Run a script as its own interpreter would, but in a fork: `kills_resume` has it in place of a function."""

from __future__ import annotations

import runpy
import sys


def run_script(script: str, *arguments: str) -> None:
    """Run the script with these arguments, its folder first among those that modules come from."""
    sys.argv = [script, *arguments]
    sys.path.insert(0, script.rpartition("/")[0] or ".")
    runpy.run_path(script, run_name="__main__")
