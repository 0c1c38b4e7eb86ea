"""Settings from a hub to edges with a HAProxy each, every one as `lbgen run` in a process of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients import Client
from tests.support.daemon import Daemon
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.real_haproxy import BINARY
from tests.support.real_servers import Servers, http_servers
from tests.support.wait import PATIENCE, wait_for

pytestmark = pytest.mark.proxy(BINARY)
TEMPLATE = "{% extends 'haproxy/haproxy.cfg.j2' %}{% block extra %}\n# version EXTRA\n{% endblock %}"
NAMES = ("canary", "other")


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Servers for the routes."""
    with http_servers() as running:
        yield running


def lbgen(*words: str) -> str:
    """Return what a command prints."""
    command = [sys.executable, "-m", "lbgen", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Site:
    """A hub without targets, and two edges that accept templates and some settings."""

    def __init__(self, root: Path, port: int) -> None:
        self.fleet, self.state = root / "fleet", root / "hub" / "state" / "hub"
        for name in ("hub", *NAMES):
            (root / name).mkdir()
        self.hub = Daemon(root / "hub", port)
        self.edges = {name: Daemon(root / name, port) for name in NAMES}
        hub = free_port()
        url = f"https://127.0.0.1:{hub}"
        lbgen("hub", "init", "--dir", str(root))
        self.hub.settings |= {
            "hub": {
                "bind": f"127.0.0.1:{hub}",
                "authority": str(root / "authority.pem"),
                "name": "m1",
                "fleet": {"directory": str(self.fleet), "canaries": ["canary"], "pause": "1s"},
            },
            "state": str(self.state.parent),
            "targets": {},
        }
        for edge in self.edges.values():
            source = {"hub": {"urls": [url], "accept": ["templates", "discovery"]}}
            edge.settings |= {"source": source, "state": str(edge.directory / "state")}
        for daemon in (self.hub, *self.edges.values()):
            daemon.save()
        self.hand_out("1")
        self.hub.cluster("127.1.0.1", "127.1.0.2")
        self.hub.start()
        wait_for(lambda: self.hub.status("/readyz")[0] == 200, "the hub")
        for name, edge in self.edges.items():
            token = lbgen("hub", "token", name, "--authority", str(root / "authority.pem"))
            lbgen("join", url, "--token", token, "--state", str(edge.directory / "state/edge"))
            edge.start()

    def hand_out(self, extra: str, settings: str = "discovery: {drain_grace: 5s}") -> None:
        """Save a version, in whose configuration there is something of its own."""
        group = self.fleet / "all"
        (group / "templates" / "haproxy").mkdir(parents=True, exist_ok=True)
        (group / "group.yml").write_text("edges: ['*']\n")
        (group / "settings.yml").write_text(settings)
        (group / "templates" / "haproxy" / "haproxy.cfg.j2").write_text(TEMPLATE.replace("EXTRA", extra))

    def rollout(self) -> dict[str, Any]:
        """Return what the hub has written down for `lbgen hub rollout status`; a command each time would cost a lot."""
        with contextlib.suppress(FileNotFoundError):
            document: dict[str, Any] = json.loads((self.state / "fleet" / "rollout.json").read_text())
            return document
        return {"rollout": {"phase": ""}}

    def until(self, phase: str) -> dict[str, Any]:
        """Wait for a phase of the rollout."""
        wait_for(lambda: self.rollout()["rollout"]["phase"] == phase, f"phase {phase}", interval=0.3)
        return self.rollout()

    def serve(self, version: str) -> bool:
        """Tell whether both edges serve by a version."""
        with contextlib.suppress(FileNotFoundError):  # it has just been started
            return all(f"# version {version}\n" in edge.file() for edge in self.edges.values())
        return False

    def end(self) -> None:
        """End everything."""
        for edge in self.edges.values():
            if edge.process:
                edge.end()
        if self.hub.process:
            self.hub.process.terminate()
            self.hub.process.wait(PATIENCE)


@contextlib.contextmanager
def asked(port: int) -> Iterator[list[str]]:
    """Ask all the time while the block runs; return what failed."""
    failures, ended = list[str](), threading.Event()

    def ask() -> None:
        while not ended.wait(0.02):
            try:
                client = Client(port)
                client.ask()
                client.close()
            except Exception as error:
                failures.append(repr(error))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield failures
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def site(tmp_path: Path, servers: Servers) -> Iterator[Site]:
    """A fleet that serves by version 1."""
    made = Site(tmp_path, servers.port)
    try:
        made.until("done")
        wait_for(lambda: made.serve("1"), "version 1")
        for edge in made.edges.values():
            edge.answers("127.1.0.1", "127.1.0.2")
        yield made
    finally:
        made.end()


def test_rollouts(site: Site) -> None:
    """A good version gets everywhere; one that the canary's HAProxy refuses nowhere, and no request feels any of it."""
    canary, other = site.edges.values()
    with asked(canary.port) as at_canary, asked(other.port) as at_other:
        site.hand_out("2")
        wait_for(lambda: site.serve("2"), "version 2")
        site.until("done")

        before = canary.file(), other.file(), other.reloads()
        site.hand_out("3\nfrontend broken\n  nonsense")
        reason = site.until("rolled-back")["rollout"]["reason"]
        assert "canary refused it" in reason
        assert "unknown keyword 'nonsense'" in reason
        assert (canary.file(), other.file(), other.reloads()) == before

        site.hand_out("4", "discovery: {drain_grace: 5s}\nlisteners: {web: {max_headers: 64k}}")
        wait_for(lambda: "max_headers" in site.rollout()["rollout"].get("reason", ""), "a refusal", interval=0.3)
        assert site.serve("2")

        # The edge starts again without any hub, by what it has taken over.
        assert site.hub.process
        site.hub.process.terminate()
        site.hub.process.wait(PATIENCE)
    assert (at_canary, at_other) == ([], [])
    other.end()
    (other.output / "haproxy.cfg").unlink()
    other.start()
    other.answers("127.1.0.1", "127.1.0.2")
    assert "# version 2\n" in other.file()

    site.hub.start()
    site.hand_out("5")
    wait_for(lambda: site.serve("5"), "version 5")
    site.until("done")
    assert "canary  canary" in lbgen("hub", "rollout", "status", "--state", str(site.state))
    lbgen("hub", "rollout", "abort", "--state", str(site.state))
    wait_for(lambda: site.serve("2"), "the version before")
