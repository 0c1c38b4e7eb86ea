"""A real HAProxy on rendered files. For tests marked ``proxy``.

``TEST_HAPROXY=/path/to/haproxy pytest -m proxy`` asks another version than the one in PATH.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from lbgen.proxies.haproxy import apply as haproxy
from tests.support.wait import wait_for

BINARY = os.environ.get("TEST_HAPROXY", "haproxy")


def check(directory: Path) -> subprocess.CompletedProcess[str]:
    """Run ``haproxy -c`` on the file in a directory."""
    words = [BINARY, "-c", "-f", str(directory / "haproxy.cfg")]
    return subprocess.run(words, capture_output=True, text=True, check=False)


class Process:
    """A HAProxy master on the files of a directory, with ``master.sock`` and ``haproxy.sock`` in it."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.log = directory, directory / "haproxy.log"
        words = [BINARY, "-W", "-S", f"{directory}/master.sock", "-f", f"{directory}/haproxy.cfg"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(self._is_up, "haproxy to start")

    @property
    def pid(self) -> int:
        """The master's."""
        return self._process.pid

    def ask(self, command: str) -> str:
        """Ask the worker through its stats socket."""
        return haproxy.ask(self.directory / "haproxy.sock", command)

    def status(self, backend: str) -> dict[str, str]:
        """Return the status of each server of a backend, as ``show stat`` spells it."""
        rows = [line.split(",") for line in self.ask("show stat").splitlines() if line.startswith(f"{backend},")]
        return {row[1]: row[17] for row in rows if row[1] not in ("FRONTEND", "BACKEND")}

    def stop(self) -> None:
        """End it, and its workers."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _is_up(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        try:
            return "Pid" in self.ask("show info")
        except haproxy.ProxyUnreachable:
            return False
