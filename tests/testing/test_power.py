"""The power-failure simulator: what it records, and which disks it takes for possible."""

import random
import sys
from pathlib import Path

import pytest

from leftoff.testing.power import record, record_each, survey
from leftoff.testing.power_disk import MODES, TRASH, Disk, Operation

TELL = "import os\ndef tell(*words): os.write(1, (' '.join(words) + '\\n').encode())\n"


def disk_of(*operations):
    disk = Disk()
    for number, operation in enumerate(operations):
        disk.take(operation._replace(began=number, ended=number))
    return disk


def link(name, file, folder=0):
    return Operation("link", 0, 0, name=name, file=file, folder=folder)


def write(file, offset, data):
    return Operation("write", 0, 0, file=file, offset=offset, data=data)


def sync(file):
    return Operation("sync", 0, 0, file=file)


def images(disk, *modes, count=300):
    return [disk.image(mode, random.Random(seed)) for mode in modes for seed in range(count)]


def test_what_was_synced_is_always_there():
    """Bytes of a file that was synced, under a name that was synced, are on every disk, in every mode."""
    disk = disk_of(link("a", 1), write(1, 0, b"x" * 700), sync(1), sync(0), write(1, 700, b"y" * 9000))
    for image in images(disk, *MODES, TRASH):
        assert image["a"][:700] == b"x" * 700


def test_what_was_not_synced_may_be_missing_cut_torn_zeros_or_garbage():
    """Each thing that can become of unsynced bytes does, under the mode that is named for it."""
    written = b"y" * 9000
    disk = disk_of(link("a", 1), sync(0), write(1, 0, written))
    assert disk.image("drop", random.Random()) == {"a": b""}
    assert disk.image("keep", random.Random()) == {"a": written}
    assert disk.image("zeros", random.Random()) == {"a": bytes(9000)}
    assert all(written.startswith(image["a"]) for image in images(disk, "torn"))
    mixed = {image["a"] for image in images(disk, "mix")}
    holes = {data for data in mixed if b"\0y" in data}
    assert holes, "no sector came before one before it"
    assert {data.index(b"\0y") + 1 for data in holes} > {512, 4096}
    garbage = {image["a"] for image in images(disk, TRASH)}
    assert any(set(data) - set(b"\0y") for data in garbage)


def test_a_name_needs_a_sync_of_its_folder_and_of_that_ones_name():
    """A synced file is not to be found while the entry of its name, or of a folder above it, is not synced."""
    folder = Operation("mkdir", 0, 0, name="sub/", file=1)
    begin = (folder, link("sub/a", 2, folder=1), write(2, 0, b"x"), sync(2))
    assert disk_of(*begin).image("drop", random.Random()) == {}
    assert disk_of(*begin, sync(1)).image("drop", random.Random()) == {}
    assert disk_of(*begin, sync(0)).image("drop", random.Random()) == {"sub/": b""}
    assert disk_of(*begin, sync(0), sync(1)).image("drop", random.Random()) == {"sub/": b"", "sub/a": b"x"}


def test_a_rename_is_whole_or_did_not_happen():
    """While its folder is not synced, a file that is renamed over another is there, or still the other is."""
    rename = Operation("rename", 0, 0, name="new", target="a")
    disk = disk_of(
        link("a", 1), write(1, 0, b"old"), sync(1), link("new", 2), write(2, 0, b"new"), sync(2), sync(0), rename
    )
    found = {tuple(sorted(image.items())) for image in images(disk, *MODES)}
    assert found == {(("a", b"old"), ("new", b"new")), (("a", b"new"),)}


def test_what_a_failed_sync_covered_is_lost():
    """After a sync that failed its bytes reach the disk no more, whatever is synced later."""
    failed = Operation("failed", 0, 0, file=1)
    disk = disk_of(link("a", 1), sync(0), write(1, 0, b"x" * 10), failed, write(1, 10, b"y"), sync(1))
    assert disk.image("keep", random.Random()) == {"a": bytes(10) + b"y"}


def test_processes_are_recorded_together(tmp_path):
    """What a forked child and a program that it starts write is recorded in order, with all they tell."""
    program = (
        TELL
        + f"""
import subprocess, sys
fd = os.open({str(tmp_path / "a")!r}, os.O_WRONLY | os.O_CREAT, 0o600)
os.write(fd, b"parent ")
child = os.fork()
if child == 0:
    os.write(fd, b"child ")
    os.fsync(fd)
    tell("acknowledged", "child")
    os._exit(0)
os.waitpid(child, 0)
os.write(fd, b"again ")
code = "import os, sys; os.write(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), b'other'); os.write(1, b'told other')"
subprocess.run([sys.executable, "-c", code, {str(tmp_path / "b")!r}], check=True)
subprocess.run([sys.executable, "-c", code, {str(tmp_path / "c")!r}], check=True, capture_output=True)
"""
    )
    recording = record([sys.executable, "-c", program], tmp_path)
    whole = recording.image(len(recording.operations), "keep", random.Random())
    assert whole == {"a": b"parent child again ", "b": b"other", "c": b"other"}
    assert [line[:2] for line in recording.told(len(recording.operations))] == [
        ("acknowledged", "child"),
        ("told", "other"),
    ]
    assert recording.image(len(recording.operations), "drop", random.Random()) == {}


def test_one_program_is_recorded_folder_by_folder(tmp_path):
    """A program that works in folders one after the other gives a recording of each, with what it told there."""
    folders = [tmp_path / "one", tmp_path / "two"]
    program = (
        TELL
        + f"""
for folder in {[str(folder) for folder in folders]!r}:
    tell("folder", folder)
    with open(folder + "/a", "w") as file:
        file.write(folder)
    tell("written", folder)
"""
    )
    for folder in folders:
        folder.mkdir()
    recordings = record_each([sys.executable, "-c", program], folders)
    for folder, recording in zip(folders, recordings, strict=True):
        whole = recording.image(len(recording.operations), "keep", random.Random())
        assert whole == {"a": str(folder).encode()}
        assert [line.key for line in recording.told(len(recording.operations))] == [str(folder)]


@pytest.mark.parametrize(
    ("statement", "call"),
    [
        ("os.truncate(f + '/a', 0)", "truncate"),
        ("os.symlink(f + '/a', f + '/b')", "symlink"),
        ("os.dup(os.open(f + '/a', os.O_RDWR))", "fcntl"),
        ("import mmap; mmap.mmap(os.open(f + '/a', os.O_RDWR), 1)", "fcntl"),  # Python duplicates the descriptor first
        ("os.rename(f + '/a', '/dev/shm/never')", "rename"),
    ],
)
def test_what_cannot_be_recorded_is_refused(tmp_path, statement, call):
    """A call that the model does not know, and that touches the folder, is an error that names it."""
    program = (
        f"import os\nf = {str(tmp_path)!r}\nopen(f + '/a', 'w').write('x')\ntry: {statement}\nexcept OSError: pass"
    )
    if call == "rename":
        program = program.replace("'/dev/shm/never'", repr(str(tmp_path.parent / "moved")))
    with pytest.raises(ValueError, match=rf"{call}\w*\(.* cannot be recorded"):
        record([sys.executable, "-c", program], tmp_path)


def test_a_survey_is_repeated_by_its_seed(tmp_path):
    """The same seed judges the same disks, no two alike, and one that is wrong is built again from its numbers."""
    program = (
        TELL
        + f"""
for number in range(5):
    with open({str(tmp_path / "a")!r}, "a") as file:
        file.write(f"{{number}}" * 1000)
    tell("acknowledged", str(number))
"""
    )
    recording = record([sys.executable, "-c", program], tmp_path)
    laid = []

    def judge(folder, told):
        laid.append((len(told), (folder / "a").read_bytes() if (folder / "a").exists() else None))
        return f"lost {told[-1].key}" if told and laid[-1][1] is None else None

    first = survey(recording, judge, images=60, seed=7)
    again = survey(recording, judge, images=60, seed=7)
    assert first == again
    assert first.images == len(set(laid)) == len(laid) / 2
    assert first.wrong
    assert first.wrong[0].what.startswith("lost")
    assert "a" not in recording.image(first.wrong[0].instant, first.wrong[0].mode, random.Random(first.wrong[0].seed))


def test_a_recording_begins_with_nothing(tmp_path):
    """A folder that holds something already is refused before anything is run."""
    Path(tmp_path, "old").write_text("x")
    with pytest.raises(ValueError, match="is not empty"):
        record([sys.executable, "-c", "raise SystemExit(1)"], tmp_path)


def test_a_program_that_fails_is_no_recording(tmp_path):
    """A program that ends otherwise than was allowed is an error with what it printed."""
    with pytest.raises(RuntimeError, match=r"(?s)ended with 3.*what it said"):
        record([sys.executable, "-c", "import sys; print('what it said'); sys.exit(3)"], tmp_path)
