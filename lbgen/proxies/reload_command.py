"""Ways to have a proxy's process load new files: a signal, or the operator's own command."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from lbgen.base.errors import ApplyFailed, ProxyUnreachable

COMMAND_TIMEOUT = 30.0  # seconds


class Signal:
    """Reloads by a signal to the process whose number a file holds."""

    def __init__(self, pid_file: Path, number: signal.Signals) -> None:
        self.pid_file, self.number = pid_file, number

    def pid(self) -> int:
        """Return the process's number; raise ProxyUnreachable if the file does not tell."""
        try:
            return int(self.pid_file.read_text().split()[0])
        except (OSError, ValueError, IndexError) as error:
            raise ProxyUnreachable(f"{self.pid_file}: does not lead to a running proxy: {error}") from error

    def reload(self) -> None:
        """Send the signal; the outcome is found by asking for the generation."""
        try:
            os.kill(self.pid(), self.number)
        except OSError as error:
            raise ProxyUnreachable(f"{self.pid_file}: does not lead to a running proxy: {error}") from error


class Command:
    """Reloads by a command of the operator's."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)

    def reload(self) -> None:
        """Run the command; an exit status other than 0 is a failure."""
        try:
            done = subprocess.run(
                self.words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=COMMAND_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ApplyFailed(f"{self.words[0]}: cannot be run: {error}") from error
        if done.returncode:
            said = (done.stdout + done.stderr).strip()
            raise ApplyFailed(f"{' '.join(self.words)}: exit status {done.returncode}: {said}")
