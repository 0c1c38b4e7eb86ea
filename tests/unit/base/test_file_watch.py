"""What counts as saved, in all the ways in which editors, shells and config mounts write files."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lbgen.base.file_watch import Pace, steps, watched
from tests.support.wait import PATIENCE

NEVER = 3600.0
QUIET = 0.5  # longer than a busy machine takes between two steps of one save
TOLD = Pace(poll=NEVER)  # only notifications count
PATIENT = Pace(settle=0.4, longest=NEVER, poll=NEVER)  # what is saved in steps is one save on a busy machine too


class Calls:
    """Counts them."""

    def __init__(self) -> None:
        self.number = 0
        self._more = threading.Event()

    def __call__(self) -> None:
        self.number += 1
        self._more.set()

    def after(self, change: Callable[[], object]) -> int:
        """Make a change; return how many calls come of it, the last of them at least QUIET ago."""
        self._more.clear()
        before = self.number
        change()
        assert self._more.wait(PATIENCE)
        while self._more.is_set():
            self._more.clear()
            time.sleep(QUIET)
        return self.number - before


@contextmanager
def watching(*paths: Path, pace: Pace = TOLD) -> Iterator[Calls]:
    """Watch, and wait until the watch stands."""
    calls = Calls()
    with watched(lambda: paths, calls, pace) as watch:
        assert watch.ready.wait(PATIENCE)
        yield calls


def by_rename(path: Path, text: str) -> None:
    """As vim, and everybody careful, does."""
    path.with_name("4913.tmp").write_text(text)
    path.with_name("4913.tmp").replace(path)


def with_backup(path: Path, text: str) -> None:
    """As Emacs and vim do where they keep a backup: for a moment the file is not there."""
    path.rename(path.with_name(path.name + "~"))
    path.write_text(text)


def slowly(path: Path, text: str) -> None:
    """Half of it, then the rest."""
    with path.open("w") as file:
        file.write(text[:3])
        file.flush()
        time.sleep(0.02)
        file.write(text[3:])


@pytest.mark.parametrize("save", [Path.write_text, by_rename, with_backup, slowly], ids=lambda save: save.__name__)
def test_save(tmp_path, save):
    """A file that is saved in any way is one save; also one in a directory below, and one that is made."""
    (tmp_path / "set/dynamic").mkdir(parents=True)
    for name in ("set/a.j2", "set/dynamic/b.j2", "lbgen.yml"):
        (tmp_path / name).write_text("before")
    with watching(tmp_path / "set", tmp_path / "lbgen.yml", pace=PATIENT) as calls:
        for name in ("set/a.j2", "set/dynamic/b.j2", "lbgen.yml", "set/a.j2"):
            assert calls.after(lambda name=name: save(tmp_path / name, f"now {time.time()}")) == 1
        assert calls.after(lambda: (tmp_path / "set/new.j2").write_text("new")) == 1
        assert calls.after((tmp_path / "set/new.j2").unlink) == 1


def test_burst(tmp_path):
    """However much is saved at once, it is one save."""
    with watching(tmp_path, pace=PATIENT) as calls:
        assert calls.after(lambda: [(tmp_path / f"{number}.j2").write_text("x") for number in range(200)]) == 1


def test_without_end(tmp_path):
    """Writing without end is not waited for without end."""
    with watching(tmp_path, pace=Pace(settle=NEVER, longest=0.5, poll=NEVER)) as calls:
        for number in range(10_000):
            (tmp_path / "log").write_text(str(number))
            time.sleep(0.01)
            if calls.number:
                break
        assert calls.number == 1


def test_nothing_else(tmp_path):
    """Neither reading, nor hidden files, nor what lies beside is a save."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.j2").write_text("a")
    with watching(tmp_path / "set") as calls:
        (tmp_path / "set/a.j2").read_text()
        (tmp_path / "set/.a.j2.swp").write_text("x")
        (tmp_path / "beside").write_text("x")
        os.utime(tmp_path)
        time.sleep(0.3)
        assert calls.number == 0


def mount(directory: Path, number: int, text: str) -> None:
    """Publish a file as Kubernetes does: content in a hidden directory, links to it, one of them swapped."""
    inner = directory / f"..{number}"
    (inner / "dynamic").mkdir(parents=True)
    (inner / "a.j2").write_text(text)
    (inner / "dynamic/b.j2").write_text(text)
    (directory / "..new").symlink_to(inner.name)
    (directory / "..new").replace(directory / "..data")
    for name in ("a.j2", "dynamic"):
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")


def test_config_mount(tmp_path):
    """A mount whose ``..data`` is swapped is one save; for its directory, and for a single file of it."""
    (tmp_path / "set").mkdir()
    mount(tmp_path / "set", 1, "one")
    for paths in ([tmp_path / "set"], [tmp_path / "set/a.j2"]):
        with watching(*paths) as calls:
            number = len(list((tmp_path / "set").iterdir()))
            assert calls.after(lambda number=number: mount(tmp_path / "set", number, f"now {number}")) == 1


def test_links(tmp_path):
    """A link on the way that is changed is a save, and so is what happens from then on where it leads."""
    for name in ("one", "two"):
        (tmp_path / name / "set").mkdir(parents=True)
        (tmp_path / name / "set/a.j2").write_text(name)
    (tmp_path / "current").symlink_to("one")

    def swap() -> None:
        (tmp_path / "new").symlink_to("two")
        (tmp_path / "new").replace(tmp_path / "current")

    with watching(tmp_path / "current/set") as calls:
        assert calls.after(swap) == 1
        assert calls.after(lambda: (tmp_path / "two/set/a.j2").write_text("2")) == 1


def test_not_there_yet(tmp_path):
    """What is not there yet may be made, and may go and come again."""
    directory = tmp_path / "etc/certs"
    with watching(directory) as calls:
        for _ in range(2):
            assert calls.after(lambda: directory.mkdir(parents=True)) >= 1
            assert calls.after(lambda: (directory / "a.pem").write_text("a")) == 1
            assert calls.after(lambda: shutil.rmtree(tmp_path / "etc")) >= 1


def put_in_place(path: Path, text: str) -> None:
    """Write a file in one step: between two steps of a slow machine a look would see a change of its own."""
    whole = path.parent.parent / f"{path.parent.name}.whole"
    whole.write_text(text)
    whole.replace(path)


def test_polling(tmp_path, monkeypatch):
    """A machine out of inotify watches: said once, and looked at instead."""

    def refuse(*_):
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr("watchdog.observers.Observer.schedule", refuse)
    with capture_logs() as logs, watching(tmp_path, pace=Pace(poll=0.05)) as calls:
        assert calls.after(lambda: put_in_place(tmp_path / "a.j2", "a")) == 1
        assert calls.after(lambda: put_in_place(tmp_path / "a.j2", "bb")) == 1
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("file_watch_unavailable", "warning")]
    assert "max_user_watches" in logs[0]["remedy"]


def test_asked(tmp_path):
    """Who asks is called though nothing has changed; a call that fails is not the last."""
    calls = Calls()

    def failing() -> None:
        calls()
        raise ValueError("a mistake")

    with capture_logs() as logs, watched(lambda: [tmp_path], failing, TOLD) as watch:
        assert calls.after(watch.ask) == 1
        assert calls.after(watch.ask) == 1
    assert [entry["event"] for entry in logs] == ["save_not_taken"] * 2


def test_steps(tmp_path):
    """All that decides what the path is: the links on the way, and its end; or the first part that is not there."""
    for name in ("a", "b", "c/inner"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "c/inner/file").touch()
    (tmp_path / "b/link").symlink_to("../c/inner")
    (tmp_path / "a/link").symlink_to(tmp_path / "b/link")
    found = {str(step.relative_to(tmp_path)) for step in steps(tmp_path / "a/link/file")}
    assert found == {"a/link", "b/link", "c/inner/file"}
    assert steps(tmp_path / "c/none/file") == {tmp_path / "c/none"}
    (tmp_path / "a/loop").symlink_to("loop")
    assert steps(tmp_path / "a/loop") == {tmp_path / "a/loop"}
