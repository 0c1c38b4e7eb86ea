"""How a process is told to load new files: by a signal to the process of a pid file, or by a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from lbgen.base.errors import ApplyFailed, ProxyUnreachable
from lbgen.proxies import wait
from lbgen.proxies.reload_command import Command, Signal, pid_in, running_pid_in


@pytest.mark.parametrize("text", ["", "no number\n", "99999999\n"])
def test_pid_file_that_leads_nowhere(tmp_path, text):
    """The message names the file, whose path is a setting."""
    path = tmp_path / "pid"
    for found in (path, tmp_path / "none"):
        path.write_text(text)
        with pytest.raises(ProxyUnreachable, match=f"{found}: does not lead to a running proxy"):
            running_pid_in(found)


def test_pid_file(tmp_path):
    """The first number counts; HAProxy's file has one for each process."""
    (tmp_path / "pid").write_text(f"{os.getpid()}\n1\n")
    assert pid_in(tmp_path / "pid") == running_pid_in(tmp_path / "pid") == os.getpid()


def test_signal():
    """The process gets the signal."""
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Signal(lambda: sleeper.pid, signal.SIGTERM).reload()
    assert sleeper.wait(60) == -signal.SIGTERM


def test_signal_to_one_that_is_gone():
    """A process that ended meanwhile does not run."""
    with pytest.raises(ProxyUnreachable, match="process 99999999 cannot be sent SIGHUP"):
        Signal(lambda: 99999999, signal.SIGHUP).reload()


def test_signal_is_patient():
    """A process that is just starting is asked for again, for as long as patience lasts."""
    asked: list[int] = []

    def pid() -> int:
        asked.append(1)
        if len(asked) < 3:
            raise ProxyUnreachable("not yet")
        return os.getpid()

    Signal(pid, signal.Signals(signal.SIGCHLD), patience=60.0).reload()
    assert len(asked) == 3
    asked.clear()
    with pytest.raises(ProxyUnreachable, match="not yet"):
        Signal(pid, signal.SIGCHLD).reload()
    assert len(asked) == 1


def test_command():
    """A command that fails, or cannot be run, is told with its words."""
    Command(["true"]).reload()
    with pytest.raises(ApplyFailed, match=r"^sh -c echo no; exit 3: exit status 3: no$"):
        Command(["sh", "-c", "echo no; exit 3"]).reload()
    with pytest.raises(ApplyFailed, match="/does/not/exist: cannot be run"):
        Command(["/does/not/exist"]).reload()


class Clock:
    """Time that passes by sleeping alone; remembers how long each sleep was."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(
    ("timeout", "pause", "longest", "slept"),
    [
        (0.0, 1.0, 0.0, []),
        (3.0, 1.0, 0.0, [1.0] * 3),
        (2.5, 1.0, 0.0, [1.0] * 3),
        (3.5, 1.0, 1.3, [1.0, 1.2, 1.3]),
    ],
)
def test_looks(timeout, pause, longest, slept):
    """There is always a last look, when the time is over; pauses grow only if they may."""
    clock = Clock()
    looks = list(wait.looks(timeout, pause, longest, clock=clock, sleep=clock.sleep))
    assert looks == [False] * len(slept) + [True]
    assert clock.slept == slept
