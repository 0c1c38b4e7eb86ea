"""An output directory that vanishes or is changed under a running lbgen is made well again: no request is lost."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lbgen.base.address import split_bind
from lbgen.base.errors import ProxyUnreachable
from lbgen.daemon import assembly
from lbgen.daemon.target import Target
from lbgen.model import build
from lbgen.proxies.haproxy.apply import ask
from lbgen.settings import Settings
from lbgen.status.server import serve_status
from lbgen.status.view import View
from tests.support.builders import a_snapshot, cluster
from tests.support.daemon import Daemon
from tests.support.ports import free_port
from tests.support.real_haproxy import BINARY
from tests.support.real_servers import Servers, http_servers
from tests.support.running import PROXIES
from tests.support.steady import requests, steady
from tests.support.wait import wait_for
from tests.support.watched import FakeLoop


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """HTTP servers on every loopback address."""
    with http_servers() as running:
        yield running


# ------------------------------------------------------------------------------------------------ lbgen run


@pytest.fixture
def daemon(short_dir, servers) -> Iterator[Daemon]:
    """A daemon that serves one server."""
    made = Daemon(short_dir, servers.port)
    made.cluster("127.1.0.1")
    made.start()
    made.answers("127.1.0.1")
    yield made
    print(made.log.read_text())  # pytest shows it with a failure
    if made.process and made.process.poll() is None:
        made.end()
    with contextlib.suppress(ProxyUnreachable, ProcessLookupError):
        if found := re.search(r"^(\d+)\s+master", ask(made.output / "master.sock", "show proc"), re.MULTILINE):
            os.kill(int(found[1]), signal.SIGTERM)


def remove_all(output: Path) -> None:
    shutil.rmtree(output)


def empty(output: Path) -> None:
    for path in output.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def remove_sockets(output: Path) -> None:
    (output / "master.sock").unlink()
    (output / "haproxy.sock").unlink()


def remove_stats_socket(output: Path) -> None:
    (output / "haproxy.sock").unlink()


def remove_file(output: Path) -> None:
    (output / "routes.map").unlink()


def change_file(output: Path) -> None:
    (output / "haproxy.cfg").write_text("nonsense\n")


HARMS = [remove_all, empty, remove_sockets, remove_stats_socket, remove_file, change_file]


@pytest.mark.proxy(BINARY)
@pytest.mark.parametrize("harm", HARMS)
def test_haproxy(daemon, harm: Callable[[Path], None]):
    """Files, lock and sockets are there again without a change in Swarm; then changes go live as ever."""
    master, names = daemon.master(), {path.name for path in daemon.output.iterdir()}
    config = daemon.file()
    with steady(requests(daemon.port)) as traffic:
        harm(daemon.output)
        wait_for(lambda: daemon.said("output_mended"), "the output to be mended")
        # What services are served by is written again with the next change.
        assert {path.name for path in daemon.output.iterdir()} >= names - {".lbgen-labels.json"}
        assert daemon.file() == config
        assert daemon.master() == master
        daemon.cluster("127.1.0.1", "127.1.0.2")  # by the runtime API
        daemon.answers("127.1.0.1", "127.1.0.2")
        daemon.cluster("127.1.0.2", balance="least-conn")  # by a reload
        daemon.answers("127.1.0.2")
    assert {path.name for path in daemon.output.iterdir()} >= names
    assert traffic.failed == []
    assert daemon.said("apply_failed") == []
    assert "missing or changed: " in daemon.status("/api/v1/history")[1]
    assert 'lbgen_output_repairs_total{target="edge"' in daemon.status("/metrics")[1]
    with (daemon.output / ".lbgen-lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.proxy(BINARY)
def test_touched(daemon):
    """A file that is only touched, or written again as it was, is no news."""
    path = daemon.output / "haproxy.cfg"
    path.write_text(path.read_text())
    os.utime(daemon.output / "routes.map")
    daemon.cluster("127.1.0.2")
    daemon.answers("127.1.0.2")
    assert daemon.said("output_altered") == []


# ------------------------------------------------------------------------------------------------ all proxies


EVERY = [pytest.param(kind, True, marks=pytest.mark.proxy(kind), id=kind) for kind in PROXIES]
EVERY.append(pytest.param("traefik", False, marks=pytest.mark.proxy("traefik"), id="traefik by a directory"))


@pytest.mark.parametrize(("kind", "feeds"), EVERY)
def test_every_proxy(kind, feeds, short_dir, servers):
    """Each proxy goes on, and takes the next change, after its output directory was removed.

    Only a Traefik that watches a directory has to be started anew to watch another one, so it loses a moment.
    """
    settings = Settings.model_validate(
        {
            "listeners": {"web": {"bind": f"127.0.0.1:{free_port()}"}},
            "status": {"bind": f"127.0.0.1:{free_port()}" if feeds else ""},
            "min_reload_interval": "0s",
            "targets": {
                "edge": {
                    "templates": [kind],
                    "output": str(short_dir / "out"),
                    "probe": f"127.0.0.1:{free_port()}",
                    "apply": {"run": True},
                }
            },
        }
    )
    target: Target = assembly.Assembly("edge", settings.targets["edge"], settings).target()
    target.start()

    def serve(*addresses: str) -> None:
        facts = a_snapshot(*cluster(servers.port, *addresses))
        wait_for(lambda: target.bring_to(build(facts, settings.rules()), facts), f"{kind} to serve {addresses}")

    with contextlib.ExitStack() as ends:
        ends.callback(target.stop)
        view = View(FakeLoop(), [])
        ends.enter_context(serve_status(settings.status.address, view, assembly.feeds([target])))
        serve("127.1.0.1")
        before = {path.name for path in (short_dir / "out").iterdir()}
        with steady(requests(split_bind(settings.listeners["web"].bind)[1])) as traffic:
            shutil.rmtree(short_dir / "out")
            target.output_watch.look()
            assert target.output_watch.wanted
            serve("127.1.0.1")
            assert {path.name for path in (short_dir / "out").iterdir()} >= before
            target.output_watch.look()
            assert not target.output_watch.wanted
            serve("127.1.0.1", "127.1.0.2")
        assert not feeds or traffic.failed == []
