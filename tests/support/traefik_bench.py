"""A Traefik that somebody else runs, the target that feeds it, and the fixtures for both."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lbgen.daemon import assembly
from lbgen.daemon.target import Target
from lbgen.model import build
from lbgen.proxies import disk
from lbgen.proxies.traefik import apply as traefik
from lbgen.proxies.traefik.apply import DYNAMIC, STATIC
from lbgen.settings import ApplySettings, Settings, StatusSettings, TargetSettings
from lbgen.status.server import serve_status
from lbgen.status.view import View
from tests.support.builders import a_snapshot, cluster
from tests.support.clients import Client
from tests.support.ports import free_port
from tests.support.real_servers import Servers, http_servers
from tests.support.real_traefik import BINARY, Process
from tests.support.watched import FakeLoop


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """HTTP servers on every loopback address."""
    with http_servers() as running:
        yield running


class Bench:
    """Settings, a directory, and a Traefik that somebody else runs."""

    def __init__(self, directory: Path, port: int) -> None:
        self.output, self.server_port = directory / "out", port
        self.port, self.api, self.status = free_port(), free_port(), free_port()
        self.templates = directory / "templates"
        self.templates.mkdir()
        self.processes: list[Process] = []
        self.logs: list[dict[str, object]] = []
        self.ends = contextlib.ExitStack()
        self.more: dict[str, object] = {}  # listeners
        self.certificates = directory / "certs"

    @property
    def settings(self) -> Settings:
        """The settings."""
        listeners = {"web": {"bind": f"127.0.0.1:{self.port}"}, **self.more}
        return Settings.model_validate(
            {
                "listeners": listeners,
                "default_listeners": ["web"],
                "certificates": str(self.certificates),
                "status": {"bind": f"127.0.0.1:{self.status}"},
            }
        )

    def target(self, *, serve: bool = True, probe: str = "", **apply: object) -> Target:
        """A target as the settings would make it, that is given its configuration in this way."""
        self.target_settings = TargetSettings(
            templates=[str(self.templates), "traefik"],
            output=self.output,
            probe=probe or f"127.0.0.1:{self.api}",
            binary=BINARY,
            apply=ApplySettings(**apply),
        )
        made = assembly.Assembly("edge", self.target_settings, self.settings).target()
        if serve:
            self.serve(made)
        made.start()
        return made

    def serve(self, target: Target, settings: StatusSettings | None = None) -> None:
        """Have the status served, as `lbgen run` does.

        Args:
            settings: who may ask; None: as by default.
        """
        self.unserve()
        feeds = assembly.feeds([target])
        self.ends.enter_context(
            serve_status(("127.0.0.1", self.status), View(FakeLoop(), []), feeds, settings=settings)
        )

    def unserve(self) -> None:
        """End that."""
        self.ends.close()

    def bring(self, target: Target, *addresses: str, **keys: object) -> bool:
        """Bring the target to a cluster."""
        facts = a_snapshot(*cluster(self.server_port, *addresses, **keys))
        with capture_logs() as logs:
            result = target.bring_to(build(facts, self.settings.rules()), facts)
        self.logs = [entry for entry in logs if entry["log_level"] != "debug"]
        return result

    def run(self, static: str = "") -> Process:
        """Start a Traefik on the static file that was rendered, or another."""
        path = self.output / STATIC
        if static:
            path = self.output.parent / f"static-{len(self.processes)}.yml"
            path.write_text(static)
        api = re.search(r'"?traefik"?:\s+(?:#.*\s+)*address: "127.0.0.1:(\d+)"', path.read_text())
        assert api
        self.processes.append(Process(path, int(api[1])))
        return self.processes[-1]

    def answer(self, port: int = 0) -> str:
        """The server that a new connection's request gets to."""
        client = Client(port or self.port)
        try:
            return client.ask().server
        finally:
            client.close()

    def texts(self) -> dict[str, str]:
        """The rendered files on disk."""
        return disk.read(self.output, [DYNAMIC, STATIC])


@pytest.fixture
def bench(short_dir, servers, monkeypatch) -> Iterator[Bench]:
    """A directory, ports and servers; whatever is run there is ended with the test."""
    monkeypatch.setattr(traefik, "PATIENCE", 0.2)
    made = Bench(short_dir, servers.port)
    yield made
    for process in made.processes:
        process.stop()
    made.unserve()
