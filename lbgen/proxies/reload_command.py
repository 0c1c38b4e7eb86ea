"""Ways to make a proxy's process load new files: a signal, or the operator's own command."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from lbgen.base.errors import ApplyFailed, ProxyUnreachable
from lbgen.proxies.wait import patiently

COMMAND_TIMEOUT = 30.0  # seconds


def pid_in(pid_file: Path) -> int:
    """Return the process number in a pid file; raise ProxyUnreachable if there is none."""
    try:
        return int(pid_file.read_text().split()[0])
    except (OSError, ValueError, IndexError) as error:
        raise ProxyUnreachable(f"{pid_file}: does not lead to a running proxy: {error}") from error


def running_pid_in(pid_file: Path) -> int:
    """Return the number in a pid file; raise ProxyUnreachable if there is no such process."""
    pid = pid_in(pid_file)
    try:
        os.kill(pid, 0)
    except OSError as error:
        raise ProxyUnreachable(f"{pid_file}: does not lead to a running proxy: {error}") from error
    return pid


class Signal:
    """Reloads by a signal to a process."""

    def __init__(self, pid: Callable[[], int], number: signal.Signals, patience: float = 0.0) -> None:
        """
        Args:
            pid: returns the process's number; raises ProxyUnreachable.
            patience: seconds for a process that has just been started.
        """
        self._pid, self._number, self._patience = pid, number, patience

    def reload(self) -> None:
        """Send the signal; the outcome is found by asking for the generation."""
        pid = patiently(self._pid, self._patience)
        try:
            os.kill(pid, self._number)
        except OSError as error:
            raise ProxyUnreachable(f"process {pid} cannot be sent {self._number.name}: {error}") from error


class Command:
    """Reloads by a command of the operator's."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)

    def reload(self) -> None:
        """Run the command; an exit status other than 0 is a failure."""
        try:
            done = subprocess.run(
                self._words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=COMMAND_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ApplyFailed(f"{self._words[0]}: cannot be run: {error}") from error
        if done.returncode:
            said = (done.stdout + done.stderr).strip()
            raise ApplyFailed(f"{' '.join(self._words)}: exit status {done.returncode}: {said}")
