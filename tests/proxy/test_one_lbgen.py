"""One lbgen for an output directory: a second one waits, touches nothing, and takes over when the first is gone."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator

import pytest

from lbgen.base.errors import ProxyUnreachable
from lbgen.proxies.haproxy.apply import ask
from tests.support.daemon import Daemon
from tests.support.real_haproxy import BINARY
from tests.support.real_servers import http_servers
from tests.support.steady import requests, steady
from tests.support.wait import wait_for

pytestmark = pytest.mark.proxy(BINARY)


@pytest.fixture
def daemons(short_dir) -> Iterator[tuple[Daemon, Daemon]]:
    """An lbgen that runs, and a second one with the same settings that is not started yet."""
    with http_servers() as servers:
        first = Daemon(short_dir, servers.port)
        second = first.second()
        first.cluster("127.1.0.1")
        first.start()
        first.answers("127.1.0.1")
        yield first, second
        for each in (second, first):
            print(each.log.read_text() if each.log.exists() else "not started")  # pytest shows it with a failure
            if each.process and each.process.poll() is None:
                each.end()
        with contextlib.suppress(ProxyUnreachable, ProcessLookupError):
            if found := re.search(r"^(\d+)\s+master", ask(first.output / "master.sock", "show proc"), re.MULTILINE):
                os.kill(int(found[1]), signal.SIGTERM)


def waits(first: Daemon, second: Daemon) -> None:
    """Start the second, and see that it is alive, says who has the output, and is not ready."""
    second.start()
    wait_for(lambda: second.status("/readyz")[0] == 503 and second.said("output_held"), "the second to wait")
    assert f"lbgen with pid {first.process.pid} on host " in second.status("/readyz")[1]
    assert f"pid {first.process.pid} " in str(second.said("output_held")[0]["holder"])
    assert second.status("/healthz")[0] == 200


def files(daemon: Daemon) -> dict[str, tuple[int, int]]:
    """What is in the output directory: inodes and times."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in daemon.output.iterdir()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_second_ends(daemons, number):
    """A second lbgen, started by hand say, stops nothing and touches nothing, neither while it runs nor at its end."""
    first, second = daemons
    master, before = first.master(), files(first)
    with steady(requests(first.port)) as traffic:
        waits(first, second)
        traffic.more(50)
        assert second.process.poll() is None
        second.process.send_signal(number)
        assert second.process.wait(60) == 0
        traffic.more(50)
    assert traffic.failed == []
    assert (first.master(), files(first)) == (master, before)
    assert second.said("proxy_taken_over") == second.said("proxy_started") == []
    first.cluster("127.1.0.2")
    first.answers("127.1.0.2")


def test_second_takes_over(daemons):
    """When the first is killed, the second takes over the running HAProxy and follows: no request is lost."""
    first, second = daemons
    master = first.master()
    with steady(requests(first.port)) as traffic:
        waits(first, second)
        first.process.kill()
        first.process.wait(60)
        wait_for(lambda: second.status("/readyz")[0] == 200, "the second to be ready")
        first.cluster("127.1.0.1", "127.1.0.2")
        second.answers("127.1.0.1", "127.1.0.2")
    assert traffic.failed == []
    assert second.master() == master
    assert len(second.said("proxy_taken_over")) == len(second.said("output_free")) == 1


def test_same_status_address(daemons):
    """That the first has the address of the status ends nobody: the second serves it as soon as it is free."""
    first, second = daemons
    second.environment = {}
    second.start()
    wait_for(lambda: second.said("status_unavailable") and second.said("output_held"), "the second to wait")
    first.process.kill()
    first.process.wait(60)
    wait_for(lambda: second.status("/readyz")[0] == 200, "the second's status")
    assert second.process.poll() is None
