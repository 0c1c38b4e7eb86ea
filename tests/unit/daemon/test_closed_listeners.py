"""`daemon.closed_listeners`: what cannot be opened is left out and told, and tried again; what runs is not tried."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from lbgen.daemon.closed_listeners import FIRST_RETRY, LONGEST_RETRY
from lbgen.model import build
from lbgen.proxies.haproxy.apply import HAProxy
from lbgen.render.renderer import Files
from tests.support.bench import INTERVAL, Bench, FakeSupervisor, a_cluster
from tests.support.builders import a_listener, a_rules
from tests.support.ports import free_port


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    """A port that another process has."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other


class Ports(Bench):
    """A target whose proxy lbgen runs, with a listener on a taken port beside one on a free one."""

    def __init__(self, directory, taken: int, *, free: bool = True, address: str = "127.0.0.1") -> None:
        supervisor = FakeSupervisor()
        super().__init__(directory, supervisor=supervisor)
        supervisor.on_start = lambda: self.proxy.reload(None, Files.of({}))
        self.proxy.sockets = HAProxy(self.output, lambda: None, self.output).sockets
        listeners = [a_listener("more", taken, address=address)]
        listeners += [a_listener("web", free_port(), address="127.0.0.1")] if free else []
        self.rules = a_rules(*listeners)

    def serve(self) -> bool:
        """Bring the target to a cluster; `logs` is what it said."""
        facts = a_cluster()
        with capture_logs() as logs:
            result = self.target.bring_to(build(facts, self.rules), facts)
        self.logs = [entry for entry in logs if entry["log_level"] != "debug"]
        return result

    def failures(self) -> int:
        return self.target.counters.counts("apply_failed").get("", 0)


def test_other_family(tmp_path):
    """A listener on all addresses needs its port in both families."""
    port = free_port()
    with socket.create_server(("::1", port), family=socket.AF_INET6):
        bench = Ports(tmp_path, port, address="*")
        assert bench.serve()
        assert f"listener more: cannot bind socket (Address already in use) [[::]:{port}]" in bench.target.failure.error


def test_left_out(tmp_path, taken):
    """The others are served; that one is missing is a failure, told once, and no target is ready with it."""
    bench = Ports(tmp_path, taken.getsockname()[1])
    assert bench.serve()
    text = bench.texts()["haproxy.cfg"]
    assert ("frontend web" in text, "frontend more" in text) == (True, False)
    assert [entry["event"] for entry in bench.logs] == ["applied", "listeners_left_out"]
    assert bench.logs[1]["listeners"] == "more"
    assert (bench.target.failing, bench.target.ready, bench.failures()) == (True, False, 1)
    assert "listener more: cannot bind socket" in bench.target.failure.error
    assert bench.target.due() == bench.clock.now + FIRST_RETRY


def test_tried_again(tmp_path, taken):
    """It is tried again with back-off, counted each time and said once; when it is free, it is opened."""
    bench = Ports(tmp_path, taken.getsockname()[1])
    bench.serve()
    for trial in range(2, 10):
        bench.clock.now = bench.target.due()
        assert bench.serve()
        assert (bench.logs, bench.failures()) == ([], trial)
    assert bench.target.due() == bench.clock.now + LONGEST_RETRY
    assert bench.serve()  # not due yet
    assert bench.failures() == 9
    taken.close()
    assert bench.serve()
    assert "frontend more" in bench.texts()["haproxy.cfg"]
    assert [entry["event"] for entry in bench.logs] == ["applied", "listeners_opened"]
    assert (bench.target.failing, bench.target.ready, bench.target.due()) == (False, True, None)


def test_nothing_left(tmp_path, taken):
    """Where no listener is left the proxy is not even started: that is a failure like any other."""
    bench = Ports(tmp_path, taken.getsockname()[1], free=False)
    assert not bench.serve()
    (told,) = bench.logs
    assert told["event"] == "apply_failed"
    assert "cannot bind socket (Address already in use)" in told["error"]
    assert (bench.proxy.did, bench.texts()) == ([], {})
    taken.close()
    bench.clock.now = bench.target.due()
    assert bench.serve()
    assert bench.target.ready


def test_what_runs_is_not_tried(tmp_path, taken):
    """Once the proxy has a port, that it is taken is as it should be; so it is where somebody else runs the proxy."""
    port = taken.getsockname()[1]
    taken.close()
    bench = Ports(tmp_path, port)
    assert bench.serve()
    with socket.create_server(("127.0.0.1", port)):  # as if it were the proxy itself
        bench.clock.now += INTERVAL
        assert bench.serve()
        assert bench.target.closed.failure == ""
        assert not bench.target.failing


def test_broken_meanwhile(tmp_path, taken):
    """While templates are refused nothing is tried in a circle."""
    bench = Ports(tmp_path, taken.getsockname()[1])
    bench.serve()
    bench.clock.now = bench.target.due()
    (bench.templates / "haproxy.cfg.j2").write_text("{{ nope }}")
    bench.serve()
    assert bench.target.due() is None or bench.target.due() > bench.clock.now
