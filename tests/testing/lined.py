"""A program whose lines are counted."""

import threading
from pathlib import Path


def straight(out):
    Path(out).write_text("one")
    Path(out).write_text("two")
    Path(out).write_text("three")


def in_a_thread(out):
    thread = threading.Thread(target=straight, args=(out,))
    _ = thread.start(), thread.join()  # one line, so that the thread's are not counted among this one's


def again(out):
    for number in range(3):
        with Path(out).open("a") as file:
            file.write(str(number))
