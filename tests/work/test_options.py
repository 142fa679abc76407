"""What all loops can be told: shown one by one, checked at the call, and the same everywhere."""

import dataclasses
import inspect
import io
import time
import urllib.error
from datetime import datetime, timedelta, timezone
from email.message import Message
from types import SimpleNamespace

import pytest

import leftoff
from leftoff.errors import UsageError
from leftoff.work import retry
from leftoff.work.attempt import asked_wait
from leftoff.work.options import LoopOptions, Options

LOOPS = [leftoff.each, leftoff.batches, leftoff.map, leftoff.aeach, leftoff.amap]
LOOPS += [getattr(leftoff.Run, name) for name in ("each", "batches", "map", "aeach", "amap")]


def test_the_two_lists_of_options_are_one():
    """What may be passed is what has a default, and the key beside it."""
    assert {"key", *LoopOptions.__annotations__} == {field.name for field in dataclasses.fields(Options)}


@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.__qualname__)
def test_help_shows_each_option(loop):
    """No ``**options``: names, types and defaults, as if they were written out."""
    signature = inspect.signature(loop)
    assert all(each.kind is not inspect.Parameter.VAR_KEYWORD for each in signature.parameters.values())
    for field in dataclasses.fields(Options):
        assert signature.parameters[field.name].default == field.default
    assert "attempts: int = 3" in str(signature).replace("'", "")
    assert "key" in signature.parameters


def call(loop, **options):
    function = {"map": len, "amap": len}.get(loop.__name__)
    if "Run." in loop.__qualname__:
        run = [leftoff.open("p.jsonl").run("r")]
    else:
        run, options["run"] = [], "r"
    if loop.__name__ == "batches":
        options["size"] = 2
    return loop(*run, *([function] if function else []), ["a"], **options)


@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.__qualname__)
def test_a_wrong_option_is_refused_at_the_call(loop):
    """By the name of the loop, or with what can be written."""
    with pytest.raises(TypeError, match=rf"{loop.__name__}\(\) got an unexpected keyword argument 'attemps'"):
        call(loop, attemps=2)
    with pytest.raises(UsageError, match="attempts=0: at least one try is needed"):
        call(loop, attempts=0)
    for wrong in ("TimeoutError", 3, ["x"], str, (TimeoutError, "x"), None):
        with pytest.raises(UsageError, match=r"retry_on=.*: give exception classes"):
            call(loop, retry_on=wrong)


# -- retry_on --------------------------------------------------------------------------------------------------------


def test_an_error_of_a_body_that_is_not_worth_another_try_is_a_dead_letter():
    """In `each` the item at once; in a batch only when it comes alone, for which of them it was is not known before."""

    def walk(loop):
        with leftoff.open("p.jsonl") as journal:
            run = journal.run(loop)
            many = run.each("abc", retry_on=OSError) if loop == "each" else run.batches("abc", 2, retry_on=OSError)
            with many as items:
                for item in items:
                    if "b" in item:
                        raise ValueError("wrong")

    def fates(loop):
        with leftoff.open("p.jsonl") as journal:
            run = journal.run(loop)
            return [o.key for o in run.dead()], set(run.store.open_items(loop))

    for loop in ("each", "batches"):
        with pytest.raises(ValueError, match="wrong"):
            walk(loop)
    assert fates("each") == (["b"], set())
    assert fates("batches") == ([], {"a", "b"})
    with pytest.raises(ValueError, match="wrong"):
        walk("batches")
    assert fates("batches") == (["b"], set())


@pytest.mark.parametrize("options", [{}, {"workers": 2}])
def test_a_retry_on_that_fails_blames_no_item(options):
    """Its own error ends the loop, and the item is given back."""

    def fails(error):
        raise KeyError("in retry_on")

    def work(item):
        raise ValueError(item)

    with leftoff.open("p.jsonl") as journal:
        run = journal.run("r")
        with pytest.raises(KeyError, match="in retry_on"):
            list(run.map(work, ["a"], retry_on=fails, **options))
        assert not run.store.open_items("r")
        assert [entry.kind for entry in journal.entries("r") if entry.key == "a"] == ["started", "released"]


# -- Retry-After -----------------------------------------------------------------------------------------------------


def error_with(**attributes):
    error = RuntimeError("refused")
    vars(error).update(attributes)
    return error


def headers(value):
    message = Message()
    message["Retry-After"] = value
    return message


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (ValueError("plain"), None),
        (error_with(retry_after=7), 7.0),
        (error_with(retry_after=-7), 0.0),
        (error_with(retry_after=True), None),
        (error_with(retry_after=float("inf")), None),
        (error_with(response=SimpleNamespace(headers={"Retry-After": "12"})), 12.0),
        (error_with(response=SimpleNamespace(headers={"retry-after": "12"})), 12.0),
        (error_with(response=SimpleNamespace(headers={"Retry-After": "soon"})), None),
        (error_with(response=SimpleNamespace(headers={})), None),
        (error_with(response=None, headers={"Retry-After": "3"}), 3.0),
        (urllib.error.HTTPError("http://x", 429, "", headers("5"), io.BytesIO()), 5.0),
        (error_with(response=SimpleNamespace(headers=7)), None),
    ],
)
def test_what_a_service_asks_for_is_read_from_the_exception(error, seconds):
    """As the usual clients carry it; what cannot be read is nothing asked for."""
    assert asked_wait(error) == seconds


@pytest.mark.parametrize("zone", ["GMT", "-0000"])
def test_a_date_is_so_many_seconds_from_now(zone):
    """A header may name a moment instead (RFC 9110), which for -0000 has no zone; one that has passed asks nothing."""
    for seconds, least, most in ((60, 50, 60), (-60, 0, 0)):
        moment = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        text = f"{moment:%a, %d %b %Y %H:%M:%S} {zone}"
        assert least <= asked_wait(error_with(headers={"Retry-After": text})) <= most


@pytest.mark.parametrize("options", [{}, {"workers": 2}])
def test_a_retry_after_is_waited_for(monkeypatch, options):
    """The next try comes no sooner than asked, however short the backoff."""
    monkeypatch.setattr(retry, "delay", lambda failures: 0.0)
    starts = []

    def work(item):
        starts.append(time.monotonic())
        if len(starts) == 1:
            raise error_with(retry_after=0.3)
        return item

    with leftoff.open("p.jsonl") as journal:
        (outcome,) = journal.run("r").map(work, ["a"], **options)
    assert outcome.value == "a"
    assert starts[1] - starts[0] >= 0.3
