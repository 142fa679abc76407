"""Progress is shown where somebody looks, and costs nothing where nobody does."""

from __future__ import annotations

import fcntl
import io
import json
import math
import os
import re
import struct
import subprocess
import sys
import termios
import time

import nbformat
import pytest
from nbclient import NotebookClient

from leftoff.journal.memory import MemoryStore
from leftoff.work.journal import Journal
from leftoff.work.progress import Progress


class Broken(io.StringIO):
    """A stream whose reader went away."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> float:
    """Let every loop begin at one known moment."""
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    return 1000.0


def test_a_line_a_minute_where_nobody_watches(begun):
    """In a log a line says where the loop is; rate and time left leave resumed items out."""
    stream = io.StringIO()
    progress = Progress("ingest", 2000, stream=stream)
    assert progress.due == begun + 60
    progress.show(begun + 60, done=120, resumed=848, dead=2, failed=7)
    assert stream.getvalue() == (
        "ingest: 970 of 2,000 (48%), 848 resumed, 2 dead, 7 failed, 2.0/s, 0:01:00 so far, 0:08:26 left\n"
    )
    assert progress.due == begun + 120


def test_an_unknown_total_has_no_end(begun):
    """A loop over a stream shows how far it is and how quickly it goes, and promises nothing."""
    stream = io.StringIO()
    Progress("consume", stream=stream).show(begun + 3600, done=30)
    assert stream.getvalue() == "consume: 30, 30.0/h, 1:00:00 so far\n"


def test_resumed_items_alone_give_no_rate(begun):
    """As long as nothing new was done there is nothing to foretell."""
    stream = io.StringIO()
    Progress("ingest", 2000, stream=stream).show(begun + 60, done=0, resumed=848)
    assert stream.getvalue() == "ingest: 848 of 2,000 (42%), 848 resumed, 0:01:00 so far\n"


@pytest.mark.parametrize(("total", "shown"), [(0, "1 of 0"), (1, "1 of 1 (100%)")])
def test_a_wrong_or_empty_total_is_shown_as_it_is(begun, total, shown):
    """A total that the items do not keep to, or of zero, breaks nothing."""
    stream = io.StringIO()
    Progress("ingest", total, stream=stream).show(begun, done=1)
    assert f"ingest: {shown}, 0:00:00 so far\n" == stream.getvalue()


def test_a_clock_set_back_breaks_nothing(begun):
    """A wall clock that went back gives no negative time and no rate from it."""
    stream = io.StringIO()
    Progress("ingest", 10, stream=stream).show(begun - 5000, done=1)
    assert stream.getvalue() == "ingest: 1 of 10 (10%), 0:00:00 so far\n"


def test_a_short_loop_says_nothing_in_a_log():
    """A cron run that ends within the minute sends no mail."""
    stream = io.StringIO()
    Progress("ingest", 10, stream=stream).close(done=10)
    assert stream.getvalue() == ""


def test_a_long_loop_ends_with_a_last_line(begun):
    """Who read lines on the way reads the final counts too, once."""
    stream = io.StringIO()
    progress = Progress("ingest", 10, stream=stream)
    progress.show(begun + 60, done=5)
    progress.close(done=9, dead=1)
    progress.close()
    progress.show(begun + 120, done=10)
    assert stream.getvalue().splitlines()[1:] == ["ingest: 10 of 10 (100%), 1 dead, 0:00:00 so far"]
    assert progress.due == math.inf


def test_what_is_not_enabled_is_never_due():
    """Without progress the loop's one comparison is never true and nothing is written; a note still is."""
    stream = io.StringIO()
    progress = Progress("ingest", 10, enabled=False, stream=stream)
    assert progress.due == math.inf
    progress.show(time.time(), done=1)
    progress.close(done=10)
    assert stream.getvalue() == ""
    progress.note("1 dead letter")
    assert stream.getvalue() == "1 dead letter\n"


def test_no_stderr_is_no_error(monkeypatch):
    """A program without stderr (a service, a window) loops as well."""
    monkeypatch.setattr(sys, "stderr", None)
    progress = Progress("ingest", 10)
    assert progress.due == math.inf
    progress.note("unseen")
    progress.close(done=10)


@pytest.mark.parametrize("how", ["broken", "closed"])
def test_a_stream_that_breaks_is_written_to_no_more(how):
    """A reader that went away ends the display, never the work."""
    stream = Broken() if how == "broken" else io.StringIO()
    shown, noted, closed = (Progress("ingest", 10, stream=stream) for _ in range(3))
    closed._printed = True
    if how == "closed":
        stream.close()
    shown.show(time.time(), done=1)
    noted.note("unseen")
    closed.close(done=1)
    assert [progress.due for progress in (shown, noted, closed)] == [math.inf] * 3


def python(script: str) -> list[str]:
    return [sys.executable, "-W", "error", "-c", script]


def test_tqdm_is_imported_only_to_be_shown():
    """A loop without a terminal does not pay for importing a bar."""
    script = """
import sys, time
from leftoff.work.progress import Progress
progress = Progress("ingest", 10)
progress.show(time.time(), 1)
progress.close(10)
print("tqdm" in sys.modules)
"""
    ended = subprocess.run(python(script), capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "False\n"


def in_terminal(script: str, columns: int = 120) -> str:
    """Run a program on a terminal of its own and return all that it wrote there."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    written = []
    with subprocess.Popen(python(script), stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        try:
            while data := os.read(ours, 65536):
                written.append(data)
        except OSError:  # Linux's way to say that the other end is closed
            pass
        os.close(ours)
    assert process.returncode == 0, b"".join(written).decode()
    return b"".join(written).decode()


BAR = """
import sys, threading, time
from leftoff.work.progress import Progress
progress = Progress("ingest", 20)
assert progress.due <= time.time()
now = time.time()
progress.show(now, done=0, resumed=8)
assert now < progress.due < now + 0.2
sys.stderr.write("|first|")
progress.note("paper 12 is set aside")
progress.show(time.time(), done=7, resumed=8, dead=2, failed=6)
assert threading.active_count() == 1, threading.enumerate()
progress.close(done=10, resumed=8, dead=2, failed=6)
progress.close()
"""


def test_a_terminal_shows_a_bar_that_begins_with_what_was_resumed():
    """The bar says at once how many were resumed, notes stand above it, and the last one stays."""
    first, _, rest = in_terminal(BAR).partition("|first|")
    assert "8/20" in first
    assert "8 resumed" in first
    assert "\n" not in first
    note, bars, end = rest.split("\r\n")
    assert note.endswith("paper 12 is set aside")
    assert end == ""
    assert "17/20" in bars
    last = bars.rpartition("\r")[2]
    assert "100%" in last
    assert "20/20" in last
    assert "8 resumed, 2 dead, 6 failed" in last


def test_a_bar_foretells_from_this_runs_items_alone():
    """Ten items in a thousand seconds leave a thousand for ten more, however many were resumed before."""
    script = """
import time
from leftoff.work.progress import Progress
progress = Progress("ingest", 100)
progress.show(time.time(), done=0, resumed=80)
progress._bar.start_t -= 1000
progress.show(time.time(), done=10, resumed=80)
"""
    assert re.search(r"90/100 \[16:4\d<16:4\d, 100\.\d\ds/it, 80 resumed\]", in_terminal(script))


@pytest.mark.parametrize("columns", [0, 1, 20])
def test_a_terminal_of_any_width_does_no_harm(columns):
    """A terminal that is narrow, or that does not know its width, is no error."""
    assert in_terminal(BAR, columns).count("\n") == 2


def test_an_empty_loop_shows_no_bar():
    """A loop over nothing leaves the terminal as it was."""
    assert in_terminal('from leftoff.work.progress import Progress; Progress("ingest", 0).close(0)') == ""


def test_a_bar_of_resumed_items_only_is_shown_at_the_end():
    """A second complete run ends with a full bar, though no item was ever due."""
    written = in_terminal('from leftoff.work.progress import Progress; Progress("ingest", 9).close(0, resumed=9)')
    assert "9/9" in written
    assert "9 resumed" in written


def test_a_signal_while_drawing_leaves_no_lock():
    """An exception that passes through the drawing leaves tqdm's lock free for other threads."""
    script = """
import threading, time
from leftoff.work.progress import Progress
progress = Progress("ingest", 20)
progress.show(time.time(), 1)
lock = progress._bar.get_lock()
def interrupted():
    raise KeyboardInterrupt
progress._bar.display = interrupted
try:
    progress.show(time.time(), 2)
except KeyboardInterrupt:
    del progress._bar.display
free = []
def other():
    for inner in lock.locks:
        free.append(inner.acquire(timeout=5))
        inner.release()
thread = threading.Thread(target=other)
thread.start()
thread.join()
assert free and all(free), free
"""
    in_terminal(script)


def test_a_notebook_shows_a_widget():
    """In a notebook the bar is a widget that holds the counts, and no lines are printed beside it."""
    cell = """
import time
from leftoff.work.progress import Progress
progress = Progress("ingest", 20)
progress.show(time.time(), done=0, resumed=8)
progress.close(done=12, resumed=8)
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    outputs = notebook["cells"][0]["outputs"]
    assert [output["output_type"] for output in outputs] == ["display_data"]
    assert "application/vnd.jupyter.widget-view+json" in outputs[0]["data"]
    widgets = json.dumps(notebook["metadata"]["widgets"], ensure_ascii=False).replace("\u2007", " ")
    assert "20/20" in widgets
    assert "8 resumed" in widgets


def test_a_stream_that_cannot_say_is_no_terminal(begun):
    """Neither a stream without the question nor a closed one breaks a loop."""
    closed = io.StringIO()
    closed.close()
    for stream in (closed, type("Stream", (), {"write": print, "flush": print})()):
        assert Progress("ingest", 10, stream=stream).due == begun + 60


def test_a_bar_may_be_closed_without_new_counts(begun):
    """The last ones shown stay."""
    stream = io.StringIO()
    progress = Progress("ingest", 10, stream=stream)
    progress.show(begun + 60, done=5)
    progress.close()
    assert stream.getvalue().splitlines()[-1].startswith("ingest: 5 of 10 (50%)")


@pytest.mark.parametrize("loop", ["each", "batches", "map", "threads"])
def test_every_loop_tells_how_far_it_is(loop, capsys, monkeypatch):
    """Where nobody watches, each kind of loop prints a line when one is due."""
    monkeypatch.setattr("leftoff.work.progress.LINE_EVERY", 0.0)
    with Journal(MemoryStore()) as journal:
        run = journal.run("r")
        loops = {
            "each": lambda: run.each(iter("abc")),
            "batches": lambda: run.batches("abc", 1),
            "map": lambda: run.map(str, "abc"),
            "threads": lambda: run.map(str, "abc", workers=2),
        }
        for _ in loops[loop]():
            pass
    assert capsys.readouterr().err.count("r: ") > 2
