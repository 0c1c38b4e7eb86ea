"""The load of one seat, as the bench holds it: two clients, one that keeps connections alive and one that does not."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import process, trace

MODES = ("keep-alive", "close")
CONNECTIONS = 100  # at a time; a client that ran out of them would send less just when requests hang
TIMEOUT = 5.0  # seconds that a visitor waits
LONGEST = 1800.0  # seconds after which a forgotten client ends by itself
TAIL = 65536  # bytes: the last 10 s at 100 requests/s


class Client:
    """One client process."""

    def __init__(self, netns: str, url: str, host: str, mode: str, rate: float, directory: Path) -> None:
        self.mode, self.rate = mode, rate
        self.trace = directory / f"{host}-{mode}.trace"
        self._log = directory / f"{host}-{mode}.log"
        self.trace.write_text("")
        options = [f"--rate={rate}", f"--connections={CONNECTIONS}", f"--host={host}", f"--timeout={TIMEOUT}"]
        options += [f"--most-seconds={LONGEST}", *(["--no-keepalive"] if mode == "close" else [])]
        command = [sys.executable, "-m", "bench.client", url, str(self.trace), *options]
        pipe = subprocess.PIPE
        self._process = process.start(command, netns, self._log, stdin=pipe, stdout=pipe)
        self.account: dict[str, Any] = {}

    def tail(self) -> list[trace.Request]:
        """The last requests that have ended, some seconds' worth."""
        with self.trace.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            text = file.read().decode()
        lines = text.splitlines(keepends=True)[0 if size <= TAIL else 1 :]
        return trace.parsed(line for line in lines if line.endswith("\n"))

    def close(self) -> None:
        """Ask it to end; `requests` waits for that."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def requests(self) -> list[trace.Request]:
        """End the client and return every request, in the order in which they were begun.

        Raises:
            RuntimeError: its own account and its trace disagree, or it died.
        """
        self.close()
        assert self._process.stdout
        with self._process.stdout as stdout:
            lines = stdout.read().splitlines()
        self._process.wait(TIMEOUT + 10)
        if not lines:
            raise RuntimeError(f"the client died: {self._log.read_text()[-500:]}")
        self.account = json.loads(lines[-1])
        with self.trace.open() as file:
            found = sorted(trace.parsed(file))
        count = trace.counted(found)
        expected = (self.account["sent"], self.account["sent"] - self.account["ok"])
        if (count.sent, count.failed) != expected:
            raise RuntimeError(f"trace {count.sent} sent, {count.failed} failed; account {expected}")
        return found

    def end(self) -> None:
        """End it whatever state it is in."""
        self.close()
        process.end(self._process, TIMEOUT + 5)
