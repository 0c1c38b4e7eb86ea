"""`lbgen.proxies.output_lock`: one lbgen for an output directory, whatever becomes of it."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import subprocess
import sys

import pytest
from structlog.testing import capture_logs

from lbgen.base.errors import SettingsError
from lbgen.proxies.output_lock import NAME, OutputLock, unheld
from tests.support.clock import Clock
from tests.support.paths import ROOT
from tests.support.wait import PATIENCE

HOLD = "import sys; from pathlib import Path; from lbgen.proxies.output_lock import OutputLock\n"
HOLD += "lock = OutputLock(Path(sys.argv[1])); print(lock.take(), flush=True); sys.stdin.read()"


def test_one_holds_it(tmp_path):
    """The second learns who holds it and since when, and has it when the first lets go; the file stays."""
    first, second = OutputLock(tmp_path / "out", Clock(1_796_000_000.0)), OutputLock(tmp_path / "out")
    assert [first.take(), first.take(), second.take()] == [True, True, False]
    name = f"lbgen with pid {os.getpid()} on host {socket.gethostname()}, since 2026-11-30 00:53:20 UTC"
    assert (first.holder, second.holder) == ("", name)
    first.release()
    first.release()
    assert (second.take(), second.holder, first.take()) == (True, "", False)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [NAME]


def test_killed(tmp_path):
    """A holder that is killed holds nothing, whatever its file says."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout
    assert process.stdout.readline() == b"True\n"
    lock = OutputLock(tmp_path)
    assert not lock.take()
    assert f"pid {process.pid} " in lock.holder
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert lock.take()


@pytest.mark.parametrize("text", ["", "\x1b[31m\n", "x" * 10_000])
def test_a_file_that_says_nothing(tmp_path, text):
    """What the file says is shown only if it is fit to be."""
    first, second = OutputLock(tmp_path), OutputLock(tmp_path)
    assert first.take()
    (tmp_path / NAME).write_text(text)
    assert not second.take()
    assert second.holder.isprintable()
    assert 0 < len(second.holder) <= 300


def test_vanished(tmp_path):
    """A lock whose file is gone is worth nothing: another would lock a new one. It is taken anew, if it is free."""
    first, second = OutputLock(tmp_path / "out"), OutputLock(tmp_path / "out")
    assert first.take()
    shutil.rmtree(tmp_path / "out")
    assert first.take()
    assert not second.take()
    (tmp_path / "out" / NAME).unlink()
    assert second.take()
    assert not first.take()


def test_told_ever_less_often(tmp_path):
    """Who holds it is said at once and then with back-off, and that it is free once."""
    first, second = OutputLock(tmp_path), OutputLock(tmp_path)
    first.take()
    with capture_logs() as logs:
        assert [second.take_or_tell("edge") for _ in range(50)] == [False] * 50
        first.release()
        assert second.take_or_tell("edge")
        assert second.take_or_tell("edge")
    assert [entry["event"] for entry in logs] == ["output_held", "output_free"]
    assert logs[0]["holder"].startswith("lbgen with pid ")
    assert "next_reminder_in_s" in logs[0]


def test_no_such_locks(tmp_path, monkeypatch):
    """A file system without flock is used without: it is said once."""

    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    lock = OutputLock(tmp_path)
    with capture_logs() as logs:
        assert [lock.take(), lock.take()] == [True, True]
    assert [entry["event"] for entry in logs] == ["output_unlocked"]


def test_unusable(tmp_path):
    """A directory that cannot be used is the settings' mistake, named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"targets\.edge\.output: .*/file: "):
        OutputLock(tmp_path / "file").take_or_tell("edge")


def test_unheld(tmp_path):
    """A command that writes there once is refused while an lbgen runs on it, and keeps one from starting meanwhile."""
    lock = OutputLock(tmp_path)
    with unheld(tmp_path):
        assert list(tmp_path.iterdir()) == []  # where no lbgen ever ran nothing is left behind
    assert lock.take()
    with pytest.raises(SettingsError, match=r"lbgen with pid .* choose another directory"), unheld(tmp_path):
        raise AssertionError
    lock.release()
    with unheld(tmp_path):
        assert not lock.take()
    assert lock.take()
