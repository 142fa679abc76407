"""A stop is prompt and loses nothing (promise P10)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from leftoff.errors import LeftoffError, Stopped
from leftoff.work import signals
from leftoff.work.signals import StopGuard

BOTH = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])


@pytest.fixture(autouse=True)
def handlers():
    """Start from Python's own handlers, and see to it that a test leaves no guard behind."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    left = list(signals._handlers.guards)
    signals._handlers.guards.clear()
    signals._handlers.before.clear()
    for number, handler in before.items():
        signal.signal(number, handler)
    assert left == []


def restored() -> bool:
    default = (signal.default_int_handler, signal.SIG_DFL)
    return (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == default


@BOTH
def test_the_item_in_hand_is_finished_first(number, code, capfd):
    """The first signal says what is being finished and is raised at the loop's boundary, not before."""
    with pytest.raises(Stopped) as caught, StopGuard() as guard:
        guard.check()
        guard.hand = "paper 848"
        signal.raise_signal(number)
        assert guard.asked == code
        guard.hand = None
        guard.check()
    assert caught.value.code == code
    assert capfd.readouterr().err == "finishing paper 848; again to stop now\n"
    assert restored()


@BOTH
def test_a_stop_with_nothing_in_hand_is_at_once(number, code, capfd):
    """Where nothing would be lost nothing is waited for, and nothing is printed."""
    with pytest.raises(Stopped) as caught, StopGuard():
        signal.raise_signal(number)
        pytest.fail("went on")
    assert caught.value.code == code
    assert capfd.readouterr().err == ""
    assert restored()


@BOTH
def test_the_second_signal_stops_now(number, code, capfd):
    """Who asks twice is not kept waiting; the message stands there once."""
    with pytest.raises(Stopped) as caught, StopGuard() as guard:
        guard.hand = "paper 848"
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(number)
        pytest.fail("went on")
    assert caught.value.code == code
    assert capfd.readouterr().err.count("\n") == 1


def test_a_stop_may_have_a_reason_that_is_no_signal():
    """Who stops a loop from inside says why; what was asked for first stands."""
    with (
        pytest.raises(Stopped, match="stopped by --halt now; everything finished is kept") as stopped,
        StopGuard() as guard,
    ):
        guard.ask("--halt now")
        guard.ask("another reason")
        guard.check()
    assert stopped.value.code == 75


def test_a_stop_is_no_error_of_ours():
    """No `except Exception` and no `except LeftoffError` in an item's work eats a stop."""
    assert not issubclass(Stopped, (Exception, LeftoffError))
    with pytest.raises(Stopped), StopGuard() as guard:
        try:
            signal.raise_signal(signal.SIGINT)
        except Exception:
            pytest.fail("eaten")
        guard.check()


def test_a_swallowed_stop_is_raised_again_at_the_boundary():
    """A stop that something below swallowed is not lost: the loop's next check raises it."""
    with StopGuard() as guard:
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
        assert guard.asked == 75
        with pytest.raises(Stopped):
            guard.check()


def test_handlers_come_back_exactly_as_they_were():
    """A program's own handlers are in place again afterwards, also after an exception."""
    seen: list[int] = []

    def own(number, frame):
        seen.append(number)

    signal.signal(signal.SIGINT, own)
    signal.signal(signal.SIGTERM, own)
    with pytest.raises(ZeroDivisionError), StopGuard():
        assert signal.getsignal(signal.SIGINT) is not own
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is own
    assert signal.getsignal(signal.SIGTERM) is own


def test_what_is_ignored_stays_ignored(capfd):
    """Under nohup or in the background a signal that is ignored is not revived."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with StopGuard() as guard:
        guard.hand = "paper 848"
        signal.raise_signal(signal.SIGINT)
        assert guard.asked is None
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    with pytest.raises(Stopped), StopGuard():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert capfd.readouterr().err == ""


def test_a_handler_that_is_not_pythons_is_left_alone(monkeypatch):
    """What Python could not put back it does not replace."""
    replaced = []
    monkeypatch.setattr(signals.signal, "getsignal", lambda number: None)
    monkeypatch.setattr(signals.signal, "signal", lambda number, handler: replaced.append(number))
    with StopGuard():
        pass
    assert replaced == []


def test_a_handler_set_inside_stands():
    """A handler that the program sets while the loop runs is its choice and is not undone."""

    def own(number, frame):
        pass

    with StopGuard():
        signal.signal(signal.SIGTERM, own)
    assert signal.getsignal(signal.SIGTERM) is own
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_inner_loop_stops_at_its_own_boundary(capfd):
    """The innermost item is named; the inner loop stops first, and the outer one has been asked too."""
    with pytest.raises(Stopped), StopGuard() as outer:
        outer.hand = "paper 1"
        with StopGuard() as inner:
            inner.hand = "figure 2"
            signal.raise_signal(signal.SIGINT)
            assert (inner.asked, outer.asked) == (130, 130)
            inner.hand = None
            inner.check()
    assert capfd.readouterr().err == "finishing figure 2; again to stop now\n"
    assert restored()


def test_handlers_stay_until_the_outermost_exit(capfd):
    """The end of an inner loop does not leave the outer one unguarded."""
    with pytest.raises(Stopped), StopGuard() as outer:
        outer.hand = "paper 1"
        with StopGuard():
            pass
        signal.raise_signal(signal.SIGINT)
        assert outer.asked == 130
    assert restored()
    assert "finishing paper 1" in capfd.readouterr().err


def test_a_loop_begun_after_the_signal_stops_at_once(capfd):
    """A request that is still open reaches loops that begin inside the item being finished."""
    with StopGuard() as outer:
        outer.hand = "paper 1"
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped), StopGuard() as inner:
            inner.check()
    with StopGuard() as later:
        assert later.asked is None
    capfd.readouterr()


def test_a_generator_may_end_out_of_order():
    """Guards that are left in another order than they were entered still give the handlers back."""
    first, second = StopGuard(), StopGuard()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not restored()
    second.__exit__(None, None, None)
    assert restored()
    second.__exit__(None, None, None)


def in_thread(work) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_another_thread_has_no_guard():
    """Outside the main thread nothing is installed and nothing is asked; a wait still waits."""
    seen = []

    def work() -> None:
        with StopGuard() as guard:
            guard.sleep(0.0)
            guard.check()
            seen.append((restored(), guard.asked))

    in_thread(work)
    assert seen == [(True, None)]


@BOTH
def test_a_guard_collected_in_another_thread_passes_signals_on(number, code):
    """A loop that another thread ended leaves the main thread's signals doing what they did before."""
    seen: list[int] = []

    def own(number, frame):
        seen.append(number)

    signal.signal(number, own)
    guard = StopGuard()
    guard.__enter__()
    in_thread(lambda: guard.__exit__(None, None, None))
    signal.raise_signal(number)
    assert seen == [number]
    with StopGuard():
        pass
    assert signal.getsignal(number) is own


def test_guards_whose_handlers_were_taken_away_are_forgotten(capfd):
    """A suspended loop of an earlier notebook cell has no say in a later one."""
    left_over = StopGuard()
    left_over.__enter__()
    left_over.hand = "paper 1"
    signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a kernel does between cells
    with pytest.raises(Stopped), StopGuard() as guard:
        assert guard.asked is None
        guard.hand = "paper 2"
        signal.raise_signal(signal.SIGINT)
        assert guard.asked == 130
    assert restored()
    assert "finishing paper 2" in capfd.readouterr().err


def test_a_wait_is_never_shorter(monkeypatch):
    """A sleep that wakes early is continued; nothing is in hand meanwhile, and it is again afterwards."""
    clock = [100.0]
    hands = []

    def early(seconds):
        hands.append(guard.hand)
        clock[0] += seconds * 0.6 + 1e-6

    monkeypatch.setattr(signals.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(signals.time, "sleep", early)
    with StopGuard() as guard:
        guard.hand = "paper 848"
        guard.sleep(10.0)
        assert guard.hand == "paper 848"
    assert clock[0] >= 110.0
    assert set(hands) == {None}


def test_no_wait_begins_after_a_stop_was_asked(capfd):
    """A loop that waits between attempts stops instead of beginning the wait."""
    with pytest.raises(Stopped), StopGuard() as guard:
        guard.hand = "paper 848"
        signal.raise_signal(signal.SIGTERM)
        guard.sleep(3600.0)
    capfd.readouterr()


def test_an_items_text_cannot_act_on_the_terminal(capfd):
    """Control characters, line ends and half characters of a key are shown as question marks; long ones are cut."""
    with pytest.raises(Stopped), StopGuard() as guard:
        guard.hand = "a\x1b[2Jb\nc\ud800é" + "x" * 10_000
        signal.raise_signal(signal.SIGINT)
    text = capfd.readouterr().err
    assert text.startswith("finishing a?[2Jb?c?éxxx")
    assert len(text) < 300


def use_guard() -> None:
    with StopGuard() as guard:
        guard.hand = "paper 1"
        guard.hand = None
        guard.check()


@BOTH
def test_with_no_guard_left_a_default_action_is_taken(number, code, monkeypatch):
    """Where nobody handled the signal before, it does what the system does with it, as if we had never been there."""
    signal.signal(number, signal.SIG_DFL)
    guard = StopGuard()
    guard.__enter__()
    in_thread(lambda: guard.__exit__(None, None, None))
    assert signal.getsignal(number) == signals._handlers.on_signal
    raised: list[tuple[int, object]] = []
    monkeypatch.setattr(
        signals.signal, "raise_signal", lambda number: raised.append((number, signal.getsignal(number)))
    )
    os.kill(os.getpid(), number)
    assert raised == [(number, signal.SIG_DFL)]


def test_a_signal_while_a_guard_is_entered_is_raised_at_its_first_boundary(monkeypatch):
    """Between two lines of the entry nothing can be raised without leaving a guard behind."""
    install, came = signals._handlers.install, []

    def installing(number):
        install(number)
        if not came:
            came.append(number)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(signals._handlers, "install", installing)
    with pytest.raises(Stopped), StopGuard() as guard:
        assert guard.asked == 130
        guard.check()
    assert came
    assert restored()


def test_a_signal_at_any_line_is_raised_and_leaves_nothing_behind():
    """Whatever line of the guard a signal meets, it ends the loop, and the handlers come back."""
    outcomes = []
    met = True
    tracing = sys.gettrace()  # whoever traces the suite, such as a measurement of coverage, goes on afterwards
    while met:
        lines, met = len(outcomes) + 1, False

        def trace(frame, event, argument):
            nonlocal lines, met
            if frame.f_code.co_filename != signals.__file__ or frame.f_code.co_name in ("on_signal", "_stop"):
                return None
            lines -= event in ("call", "line")
            if lines == 0:
                met = True
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
            return trace

        sys.settrace(trace)
        try:
            use_guard()
            outcomes.append(None)
        except KeyboardInterrupt as stop:
            outcomes.append(type(stop))
        finally:
            sys.settrace(tracing)
        assert signals._handlers.guards == []
        assert signals._handlers.pending is None
        assert restored(), f"at {len(outcomes)}"
    assert outcomes.pop() is None  # the round that no line was left for
    assert len(outcomes) > 30
    assert set(outcomes) == {Stopped, KeyboardInterrupt}  # ours, and Python's own before and after


def test_a_stop_during_the_last_item_is_not_lost(capfd):
    """A loop that ends before its next boundary still stops the program; an error of its own comes first."""
    with pytest.raises(Stopped), StopGuard() as guard:
        guard.hand = "the last paper"
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), StopGuard() as guard:
        guard.hand = "the last paper"
        signal.raise_signal(signal.SIGINT)
        raise ZeroDivisionError
    assert restored()
    capfd.readouterr()


LOOP = """
import os, signal, sys
from leftoff.work.signals import StopGuard
{before}
with StopGuard() as guard:
    {inside}
print("went on", flush=True)
"""


def run(inside: str, number: int | None = None, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program, send it the signal once it has said a line, and return how it ended."""
    script = [sys.executable, "-c", LOOP.format(before=before, inside=inside)]
    process = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    if number is not None:
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(script, process.returncode, first + out, err)


@BOTH
def test_a_wait_is_ended_by_a_signal(number, code):
    """A program that waits for its next slot ends at once, with its exit code and without a traceback."""
    ended = run('print("ready", flush=True); guard.sleep(3600.0)', number)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "ready\n", "")


@BOTH
def test_a_program_stops_with_its_exit_code(number, code):
    """The item in hand is finished, then the program ends with 130 after Ctrl-C and 75 after SIGTERM."""
    inside = """guard.hand = "paper 848"; print("ready", flush=True)
    while guard.asked is None: pass
    print("finished", flush=True); guard.hand = None; guard.check()"""
    ended = run(inside, number)
    assert (ended.returncode, ended.stdout) == (code, "ready\nfinished\n")
    assert ended.stderr == "finishing paper 848; again to stop now\n"


def test_a_closed_stderr_does_no_harm():
    """A program without stderr stops as promptly, though it cannot say so."""
    inside = """guard.hand = "paper 848"; os.close(2); print("ready", flush=True)
    signal.raise_signal(signal.SIGINT); guard.check()"""
    assert run(inside).returncode == 130


def test_a_forked_child_has_the_handlers_from_before():
    """Ctrl-C reaches children too: there it does what it did before the loop."""
    inside = """print("ready", flush=True); guard.hand = "paper 848"; child = os.fork()
    if child == 0:
        os._exit(signal.getsignal(signal.SIGINT) is own and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), signal.getsignal(signal.SIGINT) is not own)"""
    ended = run(inside, before="own = lambda number, frame: None\nsignal.signal(signal.SIGINT, own)")
    assert (ended.stdout, ended.stderr) == ("ready\n1 True\nwent on\n", "")


def test_an_interactive_interpreter_goes_on():
    """At Python's own prompt a Ctrl-C ends the loop, not the interpreter."""
    script = """
import signal
from leftoff.work.signals import StopGuard
with StopGuard() as guard:
    signal.raise_signal(signal.SIGINT)

print("still here")
"""
    command = [sys.executable, "-i", "-q"]
    ended = subprocess.run(
        command,
        input=script,
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
        env={**os.environ, "TERM": "dumb"},
    )
    assert ended.stdout == "still here\n"
    assert "KeyboardInterrupt: stopped by Ctrl-C" in ended.stderr
