"""Settings from a hub to edges with a HAProxy each, every one as `lbgen run` in a process of its own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import printed
from tests.support.hub_daemon import HubDaemon
from tests.support.real_haproxy import BINARY
from tests.support.real_servers import Servers, http_servers
from tests.support.steady import requests, steady
from tests.support.wait import wait_for

pytestmark = pytest.mark.proxy(BINARY)
TEMPLATE = "{% extends 'haproxy/haproxy.cfg.j2' %}{% block extra %}\n# version EXTRA\n{% endblock %}"
NAMES = ("canary", "other")


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Servers for the routes."""
    with http_servers() as running:
        yield running


class Site:
    """A hub without targets, and two edges that accept templates and some settings."""

    def __init__(self, root: Path, port: int) -> None:
        self.fleet = root / "fleet"
        fleet = {"directory": str(self.fleet), "canaries": ["canary"], "pause": "1s"}
        self.hub = HubDaemon(root / "hub", port, fleet=fleet)
        self.state = root / "hub/state/hub"
        self.edges = {name: self.hub.edge(root / name, accept=["templates", "discovery"]) for name in NAMES}
        self.hand_out("1")
        self.hub.cluster("127.1.0.1", "127.1.0.2")
        self.hub.start()
        self.hub.ready()
        for name, edge in self.edges.items():
            self.hub.admit(edge, name)
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
        self.hub.end()


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
    with steady(requests(canary.port)) as at_canary, steady(requests(other.port)) as at_other:
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
        site.hub.end()
    assert (at_canary.failed, at_other.failed) == ([], [])
    other.end()
    (other.output / "haproxy.cfg").unlink()
    other.start()
    other.answers("127.1.0.1", "127.1.0.2")
    assert "# version 2\n" in other.file()

    site.hub.start()
    site.hand_out("5")
    wait_for(lambda: site.serve("5"), "version 5")
    site.until("done")
    assert "canary  canary" in printed("hub", "rollout", "status", "--state", str(site.state))
    printed("hub", "rollout", "abort", "--state", str(site.state))
    wait_for(lambda: site.serve("2"), "the version before")
