"""`lbgen drain` with real proxies: no new sessions, those in progress finish; and back again."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections.abc import Iterator

import pytest
import yaml
from click.testing import Result

from lbgen.daemon.drain_store import Drain, changing
from lbgen.daemon.drains import Drains
from lbgen.settings import Settings
from tests.support import running
from tests.support.builders import Fact, a_network, a_node, a_service, a_snapshot, a_task
from tests.support.clients import Answer, Client
from tests.support.command import run
from tests.support.daemon import Daemon
from tests.support.ports import free_port
from tests.support.real_haproxy import BINARY
from tests.support.real_servers import Servers, http_servers
from tests.support.wait import PATIENCE, wait_for

ONE, TWO = "127.1.0.1", "127.1.0.2"


@pytest.fixture
def servers() -> Iterator[Servers]:
    """HTTP servers on every loopback address."""
    with http_servers() as found:
        yield found


def cluster(port: int, *, single: bool = False) -> list[Fact]:
    """A service with a task on each of two nodes, or on the second alone."""
    tasks = [a_task("web", 2, node="node2", addresses={"edge-id": TWO})]
    tasks += [] if single else [a_task("web", 1, node="node1", addresses={"edge-id": ONE})]
    labels = {"port": port, "health-check": "off"}
    return [a_node("node1"), a_node("node2"), a_network(), a_service("web", labels, networks=("edge-id",)), *tasks]


class Held:
    """A request that this server does not answer before it is released; those that others got are held as well."""

    def __init__(self, port: int, servers: Servers, server: str) -> None:
        self._answers: dict[str, Answer] = {}
        for number in itertools.count():
            path = f"/held-{number}"
            self._path, self._thread = path, threading.Thread(target=self._ask, args=[port, path], daemon=True)
            self._thread.start()
            if server in wait_for(lambda path=path: servers.asked(path=path), "the request at a server"):
                return

    def _ask(self, port: int, path: str) -> None:
        self._answers[path] = Client(port).ask(path, headers={"X-Hold": "1"})

    def end(self) -> Answer:
        """Wait for the answer."""
        self._thread.join(PATIENCE)
        return self._answers[self._path]


def answering(port: int, count: int = 8) -> set[str]:
    """Who answers new connections."""
    found = set()
    for _ in range(count):
        client = Client(port)
        with contextlib.suppress(OSError):
            found.add(client.ask().server)
        client.close()
    return found


@pytest.mark.parametrize("proxy", running.PROXIES)
def test_session_in_progress(proxy, tmp_path, servers):
    """A drained node gets no new requests, the one that it has is answered; put back it gets them again."""
    settings = Settings.model_validate(
        {
            "listeners": {"web": {"bind": f"127.0.0.1:{free_port()}"}},
            "status": {"bind": ""},
            "min_reload_interval": "0s",
            "targets": {
                "edge": {
                    "templates": [proxy],
                    "output": str(tmp_path / "out"),
                    "probe": f"127.0.0.1:{free_port()}",
                    "apply": {"run": True},
                }
            },
        }
    )
    port, facts, drains = running.ports_of(settings)["web"], a_snapshot(*cluster(servers.port)), Drains(tmp_path / "d")
    with running.changing(settings, facts) as bring_to:
        wait_for(lambda: answering(port) == {ONE, TWO}, "both servers")
        held = Held(port, servers, TWO)
        with changing(tmp_path / "d") as asked:
            asked["node2"] = Drain("node2", 1.0)
        bring_to(drains.applied(facts))
        assert answering(port) == {ONE}
        servers.release.set()
        assert held.end().server == TWO
        with changing(tmp_path / "d") as asked:
            asked.clear()
        bring_to(drains.applied(facts))
        wait_for(lambda: answering(port) == {ONE, TWO}, "both servers again")


class Operator:
    """An operator beside a daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def run(self, *words: str) -> Result:
        """Run a command with the daemon's settings."""
        config = str(self.daemon.directory / "lbgen.yml")
        return run(words[0], "--config", config, *words[1:])


@pytest.fixture
def operator(tmp_path, servers) -> Iterator[Operator]:
    """A daemon that serves a service on two nodes."""
    daemon = Daemon(tmp_path, servers.port)
    daemon.settings |= {"state": str(tmp_path / "state"), "discovery": {"drain_grace": "1h"}}
    daemon.save()
    daemon.write(cluster(servers.port))
    daemon.start()
    try:
        daemon.answers(ONE, TWO)
        yield Operator(daemon)
    finally:
        assert daemon.end() == 0


@pytest.mark.proxy(BINARY)
def test_command(operator, servers):
    """Drained by the command, without a reload, known everywhere, over a restart; --wait ends with the last session."""
    daemon = operator.daemon
    held = Held(daemon.port, servers, TWO)
    reloads = daemon.reloads()
    drained = operator.run("drain", "node2", "--reason", "new disk")
    assert drained.exit_code == 0, drained.output
    assert "node node2 is drained" in drained.output
    wait_for(lambda: answering(daemon.port) == {ONE}, "the other server alone")
    (row,) = json.loads(operator.run("drain", "--output", "json").stdout)["drains"]
    assert (row["name"], row["reason"], row["done"]) == ("node2", "new disk", False)
    assert row["servers"][0]["seen"]["edge"]["sessions"] >= 1
    late = operator.run("drain", "node2", "--wait", "--timeout", "1s")
    assert late.exit_code == 1
    assert "node2 is not drained yet" in late.stderr
    servers.release.set()
    assert held.end().server == TWO
    waited = operator.run("drain", "node2", "--wait")
    assert waited.exit_code == 0, waited.output
    assert "can be stopped" in waited.output
    assert daemon.reloads() == reloads
    listed = operator.run("ls").stdout
    assert "draining: asked by an operator" in listed
    assert "(new disk); 'lbgen drain --undo node2' ends it" in listed
    assert "drained by an operator: node node2 (new disk)" in operator.run("history").stdout
    status, metrics = daemon.status("/metrics")
    assert status == 200
    assert 'lbgen_drains{kind="node"} 1.0' in metrics
    explained = operator.run("explain", "web", "--status", daemon.settings["status"]["bind"]).stdout
    assert "an operator drains its node" in explained
    assert "lbgen drain --undo node2" in " ".join(explained.split())
    daemon.end()
    daemon.start()
    wait_for(lambda: answering(daemon.port) == {ONE}, "the other server alone after a restart")
    wait_for(lambda: daemon.status("/readyz")[0] == 200, "the daemon to be ready")
    assert answering(daemon.port) == {ONE}
    undone = operator.run("drain", "--undo", "node2")
    assert (undone.exit_code, undone.stdout) == (0, "node2 is put back\n")
    daemon.answers(ONE, TWO)


@pytest.mark.proxy(BINARY)
def test_the_only_server(operator, servers):
    """What nothing else can serve goes on there; the exit code says so, and names that nothing has are refused."""
    daemon = operator.daemon
    daemon.write(cluster(servers.port, single=True))
    daemon.answers(TWO)
    drained = operator.run("drain", "node2", "--wait")
    assert drained.exit_code == 5, drained.output
    assert "web: no other server is up, so requests still go there" in drained.stdout
    assert operator.run("drain", "node2", "--wait", "--allow-served").exit_code == 0
    assert answering(daemon.port, 3) == {TWO}
    assert "only: asked by an operator, and no other server is up" in operator.run("ls").stdout
    refused = operator.run("drain", "nod2")
    assert refused.exit_code == 2
    assert "did you mean node2" in refused.stderr
    forced = operator.run("drain", "later", "--force")
    assert forced.exit_code == 0
    assert "nothing has the name of now" in forced.stdout
    typo = operator.run("drain", "--undo", "latr")
    assert typo.exit_code == 2
    assert "did you mean later?" in typo.stderr
    assert yaml.safe_load((daemon.directory / "state/drains.json").read_text())["drains"].keys() == {"node2", "later"}
