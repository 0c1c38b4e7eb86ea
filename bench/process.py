"""Processes of a run: started so that they cannot outlive it, measured, and ended by their number."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TICKS = os.sysconf("SC_CLK_TCK")


def start(
    command: Sequence[str], netns: str, log: Path, death: str = "KILL", **options: Any
) -> subprocess.Popen[bytes]:
    """Start a command in a network namespace.

    Args:
        log: where it writes what it has to say, appended.
        death: the signal that it gets when this process dies, however that happens.
        options: of Popen; `stdout` replaces the log there.
    """
    words = ["nsenter", f"--net={netns}", "setpriv", "--pdeathsig", death, *command]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LBGEN_", "DOCKER_"))}
    with log.open("ab") as said:
        settings: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": said, "stderr": said, "cwd": ROOT, **options}
        process: subprocess.Popen[bytes] = subprocess.Popen(words, env=environment, **settings)
        return process


def end(process: subprocess.Popen[bytes], patience: float = 15.0) -> None:
    """End a process of ours: politely, then not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def kill(pids: Iterable[int]) -> None:
    """Kill processes by number."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents.setdefault(int(path.read_text().rpartition(")")[2].split()[1]), []).append(int(path.parent.name))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += parents.get(found[-1], [])
    return found


def name(pid: int) -> str:
    """What the kernel calls a process; "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that processes have used so far, to the nanosecond; those that are gone count as 0."""
    total = 0
    for pid in pids:
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(path.read_text().split()[0])
    return total / 1e9


def memory(pids: Iterable[int]) -> dict[str, float]:
    """Resident and proportional set size of processes together, in MB."""
    sums = {"rss": 0, "pss": 0}
    for pid in pids:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            for key in sums:
                found = re.search(rf"^{key.capitalize()}:\s+(\d+) kB", text, re.MULTILINE)
                sums[key] += int(found[1]) if found else 0
    return {key: round(value / 1024, 2) for key, value in sums.items()}


class Machine:
    """How busy the machine's processors have been since this was made."""

    def __init__(self) -> None:
        self._began = self._now()

    @staticmethod
    def _now() -> tuple[int, int]:
        values = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(values), values[3] + values[4]  # idle, and waiting for a disk

    def busy(self) -> float:
        """Share of all processors' time, 0 to 1."""
        total, idle = (now - then for now, then in zip(self._now(), self._began, strict=True))
        return 1 - idle / total if total else 0.0


def busy_for(seconds: float) -> float:
    """How busy the machine is in the coming seconds."""
    machine = Machine()
    time.sleep(seconds)
    return machine.busy()
