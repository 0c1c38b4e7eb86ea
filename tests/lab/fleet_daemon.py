"""A hub, an edge or an agent as a process in the lab, and lbgen's commands beside it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from lbgen.snapshot import moment
from tests.lab import host, probe
from tests.lab.host import wait_for
from tests.lab.settings import LabError
from tests.lab.sidecar import ROOT, Sidecar

T = TypeVar("T")
STATUS = 9099  # port


def lbgen(*words: str, netns: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of lbgen's, in a namespace or here, to its end."""
    enter = ["nsenter", f"--net={netns}"] if netns else []
    command = [*enter, sys.executable, "-m", "lbgen", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def printed(*words: str, netns: str | None = None) -> str:
    """What a command prints; a LabError if it fails."""
    done = lbgen(*words, netns=netns)
    if done.returncode != 0:
        raise LabError(f"lbgen {' '.join(words)}: {done.stderr}")
    return done.stdout.strip()


def at_once(action: Callable[[Any], T], items: Sequence[Any]) -> list[T]:
    """Do something with all of them at the same time."""
    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(action, items))


class Daemon(Sidecar):
    """A hub, an edge or an agent: one lbgen, and what it says of itself."""

    def __init__(self, name: str, directory: Path, netns: str, document: dict[str, Any]) -> None:
        directory.mkdir()
        self.name, self.state = name, directory / "state"
        own = {"state": str(self.state), "status": {"bind": f"127.0.0.1:{STATUS}"}, "targets": {}}
        super().__init__(directory, netns, own | document)

    @property
    def runs(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def api(self, what: str) -> Any:
        """What its API says; a LabError while it says nothing."""
        answer = probe.get("127.0.0.1", STATUS, f"/api/v1/{what}", netns=self.netns)
        if answer.status != 200:
            raise LabError(f"{self.name}: /api/v1/{what}: {answer.status}")
        return json.loads(answer.body)

    def ready(self) -> bool:
        """Whether it says that it is ready."""
        return probe.get("127.0.0.1", STATUS, "/readyz", netns=self.netns).status == 200

    def wait_ready(self) -> None:
        wait_for(self.ready, 60, f"{self.name} to be ready", 0.05)

    @property
    def source(self) -> dict[str, Any]:
        """How it goes with where its facts come from."""
        return self.api("status")["source"]

    @property
    def hub(self) -> str:
        """The name of the hub that it follows; "" while there is none."""
        return next((each["name"] for each in self.source["members"] if each["mode"] == "push"), "")

    def wait_hub(self, *names: str) -> str:
        """Wait until it follows one of these hubs, any if none is named, and return its name."""
        return wait_for(
            lambda: (found := self.hub) and (not names or found in names) and found,
            60,
            f"{self.name} to follow hub {' or '.join(names)}",
            0.02,
        )

    def logged(self, event: str) -> float:
        """When it has logged an event last; seconds since 1970."""
        return moment(re.findall(rf"^(\S+) \w+ {event} ", self.log, re.MULTILINE)[-1])

    def freeze(self, frozen: bool = True) -> None:
        """Have its process stand still, as on a machine that hangs, or go on."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def stop(self) -> int:
        return super().stop() if self.runs else 0

    def off(self) -> None:
        """Take the power away: lbgen and its proxy are gone at once."""
        if self.runs:
            self.kill()
        for pid in host.processes_of("\0", "\0", [Path(str(self.netns)).name]):
            with contextlib.suppress(OSError):
                if str(self.directory) in Path(f"/proc/{pid}/cmdline").read_text():
                    os.kill(pid, signal.SIGKILL)

    def live_at(self, name: str, since: float) -> float:
        """Wait until a task, by the beginning of its name, that runs since then is live; return when it was.

        Both in seconds since 1970.
        """

        def told() -> float:
            for change in self.api("history")["changes"]:
                texts = [cause["text"] for cause in change["causes"]]
                if moment(change["at"]) > since and any(
                    f"task {name} " in text and "running" in text for text in texts
                ):
                    return moment(change["at"])
            return 0.0

        return wait_for(told, 30, f"{self.name}: a change because {name} runs", 0.05)
