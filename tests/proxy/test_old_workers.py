"""Old workers of a real HAProxy and a real Nginx: reloads in a row, and a download that holds each one's worker."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lbgen.daemon import assembly
from lbgen.daemon.loop import Loop
from lbgen.daemon.target import Target
from lbgen.daemon.worker import Worker
from lbgen.model import build
from lbgen.proxies.proxy import Workers
from lbgen.settings import ListenerSettings, Settings, TargetSettings
from lbgen.snapshot import Snapshot
from tests.support import real_haproxy
from tests.support.builders import a_network, a_node, a_snapshot, app
from tests.support.clients import Client
from tests.support.ports import free_port
from tests.support.quiet_source import QuietSource
from tests.support.real_servers import Servers, http_servers
from tests.support.wait import wait_for

CHANGES = 40  # of labels, each of which needs a reload
LONG = 20.0  # seconds: after 30 there may be one more
MOST = 8  # old workers: four reloads are free, the next ones have to wait 2, 4, 8, 16 s


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """HTTP servers on every loopback address."""
    with http_servers() as running:
        yield running


PROXIES: dict[str, dict[str, Any]] = {
    "haproxy": {"binary": real_haproxy.BINARY},
    "nginx": {"binary": "nginx", "options": {"worker_processes": 1}},
}


class Site:
    """A proxy that lbgen runs in front of one service, whose labels change as often as they like."""

    def __init__(self, proxy: str, directory: Path, server_port: int) -> None:
        self.port, self._server_port = free_port(), server_port
        self._settings = Settings(
            listeners={"web": ListenerSettings(bind=f"127.0.0.1:{self.port}")}, min_reload_interval="0s"
        )
        probe = f"127.0.0.1:{free_port()}" if proxy == "nginx" else ""
        settings = TargetSettings(templates=[proxy], output=directory / "out", probe=probe, **PROXIES[proxy])
        self.target: Target = assembly.Assembly("edge", settings, self._settings).target()
        self._worker = Worker(self.target)
        self.loop = Loop(QuietSource(), self._settings.rules(), [self._worker])
        self._downloads: list[threading.Thread] = []
        self.answers: list[object] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Have the proxy run meanwhile."""
        self._worker.start()
        try:
            yield
        finally:
            self._worker.stop()

    def label(self, number: int, *addresses: str, damped: bool = False) -> None:
        """Change the labels so that only a reload brings them in."""
        keys = {"host": "a.org", "request-header.x-number": number}
        facts: Snapshot = a_snapshot(a_node(), a_network(), *app("web", keys, self._server_port, *addresses))
        if damped:
            self.loop.round(facts)
        else:
            self._worker.bring_to(build(facts, self._settings.rules()), facts)

    def renderings(self) -> int:
        """How often the target was brought to something; 0 while it is under way."""
        return 0 if self._worker.busy_since else self.target.counters.counts("renders")[""]

    def ask(self, **headers: str) -> object:
        """What a new connection's request gets: the server that answered, or why none did."""
        client = Client(self.port)
        try:
            answer = client.ask(headers=headers)
            return answer.server if answer.status == 200 else answer.status
        except OSError as error:
            return error
        finally:
            client.close()

    def download(self) -> None:
        """Begin a request that is answered when the servers are released."""
        thread = threading.Thread(target=lambda: self.answers.append(self.ask(**{"X-Hold": "1"})))
        thread.start()
        self._downloads.append(thread)

    def finish(self) -> None:
        """Wait for the downloads."""
        for thread in self._downloads:
            thread.join()

    def workers(self) -> Workers:
        """The proxy's, as it tells."""
        return wait_for(self.target.proxy.workers, "the proxy to be seen")


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])
def site(request, short_dir, servers) -> Iterator[Site]:
    """A site that serves."""
    servers.release.clear()
    made = Site(request.param, short_dir, servers.port)
    with made.running():
        made.label(0, "127.1.0.1")
        wait_for(lambda: made.ask() == "127.1.0.1", "the first answer")
        yield made
        servers.release.set()
        made.finish()


def held(servers: Servers) -> Callable[[], int]:
    """How many requests the servers have been asked for more than by now."""
    before = len(servers.seen)
    return lambda: len(servers.seen) - before


def test_bounded(site, servers):
    """However often labels change, few workers are old, nobody is cut off, and servers are followed all the time."""
    began, asked = time.monotonic(), 0
    for number in range(1, CHANGES):
        if time.monotonic() - began > LONG:
            break
        asked, arrived = number, held(servers)
        site.download()
        wait_for(arrived, "the download to begin")
        reloaded = site.target.running
        site.label(number, "127.1.0.1")
        with contextlib.suppress(AssertionError):  # it waits for its time
            wait_for(lambda before=reloaded: site.target.running is not before, "a reload", timeout=0.2)
        assert site.workers().old <= MOST
    assert site.target.old_workers.number
    site.label(CHANGES, "127.1.0.2")
    wait_for(lambda: site.ask() == "127.1.0.2", "the new server")
    servers.release.set()
    site.finish()
    assert site.answers == ["127.1.0.1"] * asked
    wait_for(lambda: site.workers().old == 0, "old workers to end")
    wait_for(lambda: site.target.old_workers.number == 0, "the number to follow")


def test_flapping(site):
    """A service that flaps costs six reloads, and nothing more; its tasks are followed at once, and nobody notices."""
    site.label(0, "127.1.0.1", damped=True)
    stop, bad = threading.Event(), []

    def traffic() -> None:
        while not stop.is_set():
            if not str(answer := site.ask()).startswith("127."):
                bad.append(answer)

    asking = threading.Thread(target=traffic)
    asking.start()
    for number in range(1, CHANGES):
        address = f"127.1.0.{1 + number // 10}"
        renderings = site.renderings()
        site.label(number, address, damped=True)
        wait_for(lambda before=renderings: site.renderings() > before, "the change to have been looked at")
        if number % 10 == 0:
            wait_for(lambda wanted=address: site.ask() == wanted, "the new task")
    stop.set()
    asking.join()
    assert bad == []
    # The start, those of labels, and Nginx's of the three tasks; on a slow machine those at the end of holds as well.
    assert sum(site.target.counters.counts("reloads").values()) <= 1 + 5 + 3 + 3
    assert len(site.loop.flapping.problems) == 1
