"""Draw docs/killed-and-resumed.svg: a real terminal in which a loop is killed and resumed (needs tmux).

Run it from the repository: ``.venv/bin/python docs/make_picture.py``.
"""

from __future__ import annotations

import html
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = """\
import time
import leftoff

papers = [f"10.1000/{n}" for n in range(1, 121)]
for doi in leftoff.each(papers, "progress.jsonl"):
    time.sleep(0.05)  # stands for the request
"""
WIDTH, HEIGHT, LINE = 104, 14, 18
PICTURE = Path(__file__).with_name("killed-and-resumed.svg")


def tmux(*arguments: str) -> str:
    """Run one tmux command on a server of our own and return what it prints."""
    command = ["tmux", "-L", "leftoff-picture", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def film(folder: Path) -> list[str]:
    """Run, kill, look and resume in a terminal; return its lines."""
    (folder / "fetch.py").write_text(PROGRAM, "utf-8")
    shell = f"cd {folder}; PATH={Path(sys.executable).parent}:$PATH; exec bash --norc --noprofile -i"
    tmux("new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), f"PS1='$ ' bash -c \"{shell}\"")
    try:
        for line, seconds in (
            ("PS1='$ '; clear", 0.5),
            ("python fetch.py", 3.5),
            ("", 0.0),
            ("leftoff status progress.jsonl", 1.5),
            ("python fetch.py", 5.5),
        ):
            if not line:
                subprocess.run(["pkill", "-9", "-f", "^python fetch.py"], check=True)
                time.sleep(0.5)
                continue
            tmux("send-keys", line, "Enter")
            time.sleep(seconds)
        screen = tmux("capture-pane", "-p").rstrip()
        return screen.replace("K\nilled", "\nKilled").split("\n")  # the shell prints behind the bar, to the edge
    finally:
        tmux("kill-server")


def draw(lines: list[str]) -> str:
    """Return the lines as a picture of a terminal."""
    rows = "".join(
        f'<text x="14" y="{26 + LINE * n}" xml:space="preserve">{html.escape(line)}</text>\n'
        for n, line in enumerate(lines)
    )
    height = 26 + LINE * len(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * 8 + 28} {height}"'
        f' font-family="monospace" font-size="13" fill="#d7dae0">\n'
        f'<rect width="100%" height="100%" rx="6" fill="#1d2026"/>\n{rows}</svg>\n'
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        screen = film(Path(name))
    PICTURE.write_text(draw(screen), "utf-8")
    print("\n".join(screen))
