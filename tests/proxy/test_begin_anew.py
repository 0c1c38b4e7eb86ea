"""Errors where lbgen starts, and those that nothing catches where it is process 1, do not end it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, alive
from tests.support.real_servers import http_servers
from tests.support.wait import PATIENCE, wait_for

pytestmark = pytest.mark.proxy("haproxy")
BEFORE_THE_PROXY = (
    "lbgen.daemon.assembly.source",
    "lbgen.daemon.assembly.Assembly.target",
    "lbgen.render.credentials.CredentialReader.__init__",
)
AFTER_THE_PROXY = (
    "lbgen.cli.run.View",
    "lbgen.cli.run.serve_status",
    "lbgen.daemon.live_reload.LiveReload.run",
    "lbgen.daemon.loop.Loop.run",
)
ROUND = "lbgen.daemon.loop.Loop.round"
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def may_make_namespaces() -> bool:
    """Whether a process can be made process 1 here."""
    try:
        return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture
def daemon(short_dir):
    with http_servers() as servers:
        daemon = Daemon(short_dir, servers.port)
        yield daemon
        if daemon.process and daemon.process.poll() is None:
            daemon.faults()
            daemon.end()


def raises_on(daemon: Daemon, times: int = 2) -> None:
    """Wait until it has raised so often; it has not ended."""
    wait_for(lambda: len(daemon.raised()) >= times, "mistakes")
    assert daemon.process is not None
    assert daemon.process.poll() is None, daemon.log.read_text()


@pytest.mark.parametrize("names", [BEFORE_THE_PROXY, AFTER_THE_PROXY], ids=["before the proxy", "after the proxy"])
def test_mistake_at_the_start(daemon, names):
    """lbgen begins anew till it can; what it can start meanwhile serves the last good files."""
    daemon.cluster("127.1.0.1")
    daemon.start()
    daemon.answers("127.1.0.1")
    assert daemon.end() == 0
    for number, name in enumerate(names, 1):
        daemon.forget()
        daemon.cluster(f"127.1.0.{number + 1}")
        daemon.start(raising={name: "RuntimeError"}, now=[name])
        raises_on(daemon)
        if name in AFTER_THE_PROXY:
            daemon.answers(f"127.1.0.{number}")
            master = daemon.master()
        raises_on(daemon, 4)
        daemon.faults()
        daemon.answers(f"127.1.0.{number + 1}")
        assert name in BEFORE_THE_PROXY or daemon.master() == master
        assert daemon.said("begins_anew"), name
        assert set(daemon.raised()) == {name}
        assert daemon.end() == 0


def test_wrong_settings_at_the_start(daemon):
    """They still end it, with their exit status, and nothing has been started."""
    daemon.settings["listeners"]["web"]["bind"] = "nonsense"
    daemon.save()
    daemon.start()
    assert daemon.process.wait(PATIENCE) == 2
    assert not daemon.output.exists()


@pytest.mark.skipif(not may_make_namespaces(), reason="needs the right to make namespaces (root)")
def test_process_1(daemon):
    """As process 1, whose end would be that of the container, not even SystemExit ends lbgen; the proxy serves on."""
    daemon.cluster("127.1.0.1")
    daemon.start(raising={ROUND: "SystemExit"}, through=NAMESPACE)
    daemon.answers("127.1.0.1")
    master = daemon.master()
    daemon.faults(ROUND)
    daemon.cluster("127.1.0.1", "127.1.0.2")
    raises_on(daemon, 3)
    daemon.answers("127.1.0.1")
    daemon.faults()
    daemon.answers("127.1.0.1", "127.1.0.2")
    assert daemon.master() == master
    assert {entry["pid"] for entry in daemon.said("started")} == {1}
    os.kill(process_1_of(daemon), signal.SIGTERM)
    assert daemon.process.wait(PATIENCE) == 0


def test_stop_while_it_cannot_start(daemon):
    """The proxy that serves the last good files ends with lbgen."""
    daemon.cluster("127.1.0.1")
    daemon.start()
    daemon.answers("127.1.0.1")
    assert daemon.end() == 0
    daemon.start(raising={"lbgen.cli.run.View": "RuntimeError"}, now=["lbgen.cli.run.View"])
    raises_on(daemon, 3)
    daemon.answers("127.1.0.1")
    master = daemon.master()
    assert daemon.end() == 0
    wait_for(lambda: not alive(master), "HAProxy to end")


def process_1_of(daemon: Daemon) -> int:
    """Its pid here."""
    pid = daemon.process.pid
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
