"""``lbgen run`` in a process of its own, on a snapshot file, with a HAProxy of its own."""

from __future__ import annotations

import contextlib
import copy
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lbgen.base.errors import ProxyUnreachable
from lbgen.proxies.haproxy.apply import ask
from lbgen.source import decode
from tests.support import json_log
from tests.support.builders import Fact, a_snapshot, cluster
from tests.support.clients import Client
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.real_haproxy import BINARY
from tests.support.wait import PATIENCE, wait_for


def master_of(directory: Path) -> str:
    """The master's line of ``show proc``: pid, type, reloads, uptime. It refuses to answer while it starts anew."""

    def asked() -> str:
        with contextlib.suppress(ProxyUnreachable):
            return next(text for text in ask(directory / "master.sock", "show proc").splitlines() if " master " in text)
        return ""

    return wait_for(asked, "HAProxy's master")


class Daemon:
    """``lbgen run`` on a snapshot file, with a HAProxy of its own."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory, self.output, self.port, self.server_port = directory, directory / "out", free_port(), port
        self.log = directory / "log"
        self.templates = directory / "templates"
        self.templates.mkdir()
        settings = {
            "listeners": {"web": {"bind": f"127.0.0.1:{self.port}"}},
            "source": {"file": str(directory / "snapshot.json")},
            "min_reload_interval": "0s",
            "targets": {
                "edge": {
                    "templates": [str(self.templates), "haproxy"],
                    "output": str(self.output),
                    "binary": BINARY,
                    "apply": {"run": True},
                }
            },
            "log": {"format": "json"},
            "status": {"bind": f"127.0.0.1:{free_port()}"},
        }
        self.settings: dict[str, Any] = settings
        self.save()
        self.process: subprocess.Popen[bytes] | None = None
        self.raising: Mapping[str, str] = {}
        self.environment: dict[str, str] = {}

    def second(self) -> Daemon:
        """Another one with the same settings, but for the address of its status, and a log of its own."""
        made = copy.copy(self)
        made.process, made.log = None, self.directory / "log of the second"
        made.environment = {"LBGEN_STATUS__BIND": f"127.0.0.1:{free_port()}"}
        return made

    def status(self, path: str) -> tuple[int, str]:
        """What its status answers at a path; 0: nothing."""
        bind = self.environment.get("LBGEN_STATUS__BIND", self.settings["status"]["bind"])
        connection = http.client.HTTPConnection(bind, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def save(self) -> None:
        """Save the settings file, as an editor does."""
        (self.directory / "new.yml").write_text(yaml.safe_dump(self.settings))
        (self.directory / "new.yml").replace(self.directory / "lbgen.yml")

    def file(self, name: str = "haproxy.cfg") -> str:
        """A rendered file, as it is on disk."""
        return (self.output / name).read_text()

    def cluster(self, *addresses: str, **keys: object) -> None:
        """Write the snapshot of a cluster."""
        self.write(cluster(self.server_port, *addresses, **keys))

    def write(self, found: list[Fact]) -> None:
        """Write the snapshot."""
        facts = decode.document(a_snapshot(*found))
        (self.directory / "new.json").write_text(json.dumps(facts))
        (self.directory / "new.json").replace(self.directory / "snapshot.json")

    def faults(self, *names: str, odds: float = 1.0) -> None:
        """Have these functions raise from now on, and no others; see `tests.support.raising`."""
        plan = {"functions": self.raising, "now": names, "odds": odds, "seed": 7}
        (self.directory / "new.faults").write_text(json.dumps(plan))
        (self.directory / "new.faults").replace(self.directory / "faults.json")

    def raised(self) -> list[str]:
        """The functions that have raised, one after the other."""
        file = self.directory / "faults.raised"
        return file.read_text().splitlines() if file.exists() else []

    def forget(self) -> None:
        """Forget what has been logged, and what has raised."""
        self.log.unlink()
        (self.directory / "faults.raised").unlink(missing_ok=True)

    def start(
        self, raising: Mapping[str, str] | None = None, now: Sequence[str] = (), through: Sequence[str] = ()
    ) -> None:
        """Start lbgen.

        Args:
            raising: functions that can be made to raise, each with its exception.
            now: those of them that do from the start.
            through: a command that runs it.
        """
        self.raising = raising or {}
        self.faults(*now)
        program = ["tests.support.raising", str(self.directory / "faults.json")] if raising else ["lbgen"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LBGEN_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*through, sys.executable, "-m", *program, "run", "--config", str(self.directory / "lbgen.yml")],
                env={**environment, "PYTHONPATH": str(ROOT), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def answers(self, *addresses: str) -> None:
        """Wait until new requests go to these servers, and to no others."""

        def asked() -> set[str]:
            found = set()
            with contextlib.suppress(OSError):
                for _ in range(2 * len(addresses)):
                    client = Client(self.port)
                    found.add(client.ask().server)
                    client.close()
            return found

        wait_for(lambda: asked() == set(addresses), f"answers of {addresses}")

    def master(self) -> int:
        """The pid of HAProxy's master."""
        return int(master_of(self.output).split()[0])

    def reloads(self) -> int:
        """How often the master has reloaded."""
        return int(master_of(self.output).split()[2])

    def events(self) -> list[dict[str, object]]:
        """Every log line, of HAProxy's own words none."""
        return json_log.events(self.log)

    def said(self, event: str) -> list[dict[str, object]]:
        """The log lines of one event."""
        return [entry for entry in self.events() if entry["event"] == event]

    def end(self, number: int = signal.SIGTERM) -> int:
        """End lbgen; return its exit status. HAProxy loses a signal that comes in the moment of its start."""
        assert self.process
        with contextlib.suppress(AssertionError, ProxyUnreachable):
            self.master()
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def alive(pid: int) -> bool:
    """Whether the process is there and more than a zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False
