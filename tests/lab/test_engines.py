"""lbgen beside a newer engine than this machine's own: what CI runs of it, on a Swarm of one node.

The whole lab tier on each engine, and on several in one Swarm, is `make test-engines`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbgen.source.engine.api import NEWEST, Engine
from lbgen.source.engine.endpoints import resolve
from tests.lab import engines
from tests.lab.expected import host_servers, task_servers
from tests.lab.fixtures import cannot, claimed, unavailable
from tests.lab.followed import (
    PACE,
    assert_equal,
    check_events_alone,
    leaving,
    listing,
    pushed,
    pushing,
    service_of,
    serving,
    tasks_of,
)
from tests.lab.service import host_port, ingress_port
from tests.lab.services import Lab
from tests.lab.settings import LabError, Settings
from tests.lab.sidecar import sidecar
from tests.support.socket_proxy import READ_ONLY, SocketProxy
from tests.support.wait import wait_for

# The first of them on a machine downloads and unpacks a Debian tree, which is minutes where much else runs.
pytestmark = [pytest.mark.engines, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def engine() -> tuple[str, str]:
    """The newest engine that can be had, and why not a newer one. CI fails where not even the stable one can."""
    if reason := unavailable():
        cannot(reason)
    try:
        return engines.newest()
    except LabError as error:
        cannot(str(error))


@pytest.fixture(scope="module")
def newer_session(engine: tuple[str, str]) -> Iterator[Lab]:
    """One node with it, for the whole module, beside the other labs."""
    with claimed(Settings.single(engine[0])) as lab:
        yield lab


@pytest.fixture
def newer(newer_session: Lab) -> Iterator[Lab]:
    """The node, empty."""
    newer_session.clean()
    yield newer_session
    newer_session.clean()


def test_engine_of_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for all nodes, or one each and from the beginning again; "" is the installed one."""
    for asked, expected in {"": ["", "", ""], "28.5": ["28.5"] * 3, "20.10,28.5": ["20.10", "28.5", "20.10"]}.items():
        monkeypatch.setenv("LBGEN_LAB_ENGINE", asked)
        for settings in (Settings.from_environment(), Settings.second()):
            assert [settings.engine(index) for index in (1, 2, 3)] == expected


def test_engine_that_is_not_known() -> None:
    """The message has those that are."""
    with pytest.raises(LabError, match=r"engine '19.03' is none of 20.10, 26.1, 28.5"):
        engines.usr("19.03")


def test_newest_engine(newer: Lab, engine: tuple[str, str]) -> None:
    """The node runs another engine than the other labs, and lbgen speaks the newest API with it that it knows."""
    assert newer.manager.version >= tuple(int(number) for number in engine[0].split("."))
    if engine[1]:
        pytest.skip(engine[1])  # all others run, with the one that is there
    with contextlib.closing(Engine(resolve(f"unix://{newer.manager.socket}"), PACE.timeout)) as spoken:
        assert spoken.api == ".".join(map(str, NEWEST))


def test_pushed_is_listed(newer: Lab) -> None:
    """Services of every sort, made, updated, scaled and removed: each object is pushed as it is listed."""
    node = newer.manager
    with pushed(node) as followed:
        pushing(followed)
        newer.network("front")
        newer.network("back", True, "--label", "team=data")
        ports = [ingress_port(), ingress_port(published=5353, protocol="udp")]
        shop = newer.service("shop", replicas=2, publish=ports, networks=["front"], labels={"a": "b"}, wait=False)
        dynamic = newer.service("dynamic", publish=[host_port(), host_port(9000, protocol="udp")], wait=False)
        newer.service("agent", mode="global", image="app-health", publish=[host_port(published=8090)], wait=False)
        inner = newer.service("inner", networks=["front", "back"], wait=False)
        gone = newer.service("gone", networks=["front"], endpoint_mode="dnsrr", wait=False)
        newer.service("zero", replicas=0, publish=[ingress_port(published=5432)], wait=False)
        flags = ("--name", "job", "--mode", "replicated-job", "--restart-condition", "none")
        newer.docker("service", "create", "--detach", "--no-resolve-image", *flags, newer.images["app"], "done")
        newer.service("hostnet", networks=["host"], args=["--port", "9001"], wait=False)
        newer.node_update("n1", "--label-add", "zone=eu")
        for service in (shop, dynamic, inner, gone):
            service.wait()
        assert_equal(node, followed)

        shop.update("--args", "--version v2", "--label-add", "c=d", wait=False)
        inner.scale(3, wait=False)
        gone.remove(wait=False)
        for service in (shop, inner):
            service.wait()
        with newer.attached("front"):  # a task without a service
            assert_equal(node, followed)
        assert followed.source.stats.reconnects == 0


def test_follow_by_push(newer: Lab, tmp_path: Path) -> None:
    """Scaling, a crash, labels, a removal: all pushed, and not one request sent meanwhile."""
    web = newer.service("web", replicas=2, networks=[newer.network("front")], flags=["--restart-delay", "100ms"])
    node = newer.manager
    with (
        SocketProxy(tmp_path / "docker.sock", node.socket) as proxy,
        pushed(node, endpoint=proxy.endpoint) as followed,
    ):
        pushing(followed)
        requests = len(proxy.requests)
        web.scale(3, wait=False)
        followed.until(lambda s: len(serving(s, "web")) == 3)
        web.scale(2, wait=False)
        followed.until(lambda s: any(task.desired_state == "remove" for task in tasks_of(s, "web")))
        victim = web.running()[0]
        web.kill(victim)
        followed.until(lambda s: s.tasks[victim["ID"]].state == "failed")
        followed.until(lambda s: len(serving(s, "web")) == 2)
        web.update("--label-add", "x=1", wait=False)
        followed.until(lambda s: service_of(s, "web").labels == {"x": "1"})
        web.remove(wait=False)
        followed.until(lambda s: service_of(s, "web") is None)
        assert len(proxy.requests) == requests
        assert set(proxy.requests) <= {("GET", path) for path in READ_ONLY}
        assert proxy.refused == []


def test_events_alone(newer: Lab, tmp_path: Path) -> None:
    """Without the control socket and with all timers off, events of services, nodes and networks lead to listing."""
    with SocketProxy(tmp_path / "docker.sock", newer.manager.socket) as proxy:
        check_events_alone(newer, proxy)
        assert proxy.refused == []


def test_listed_tasks(newer: Lab) -> None:
    """Events and listing together tell of a task that crashes, of what replaces it, and of one on its way out."""
    web = newer.service("web", networks=[newer.network("front")], flags=["--restart-delay", "100ms"])
    with listing(f"unix://{newer.manager.socket}") as followed:
        followed.until(lambda s: serving(s, "web"))
        victim = web.running()[0]
        web.kill(victim)
        followed.until(lambda s: s.tasks[victim["ID"]].state == "failed")
        followed.until(lambda s: serving(s, "web"))
        web.scale(0, wait=False)
        followed.until(lambda s: leaving(s, "web"))


def test_traffic(newer: Lab) -> None:
    """HAProxy on an overlay network serves tasks and host ports; a rolling update loses no request."""
    newer.network("web")
    labels = {"lbgen.enable": "true", "lbgen.port": "8080"}
    task = newer.service("task", networks=["web"], labels={**labels, "lbgen.host": "task.test"})
    host = newer.service(
        "host", image="app-health", publish=[host_port()], labels={**labels, "lbgen.host": "host.test"}
    )
    with newer.attached("web") as inside, sidecar(inside.netns, newer.manager) as lbgen:
        lbgen.wait_servers("task", task_servers(task))
        lbgen.wait_servers("host", host_servers(host))
        lbgen.wait_responders("host.test", set(host.responders()))
        with lbgen.traffic("task.test", rate=100) as traffic:
            before = set(task.responders())
            task.update("--args", "--version 2", "--update-order", "start-first")
            lbgen.wait_servers("task", task_servers(task))
            lbgen.wait_responders("task.test", set(task.responders()))
        assert not before & set(task.responders())
        assert traffic.result.failed == 0, traffic.result


def test_restarted_engine(newer: Lab) -> None:
    """The control socket is made anew: the stream is lost, and found again. (The last one: it takes tasks along.)"""
    web = newer.service("web")
    with pushed(newer.manager) as followed:
        pushing(followed)
        newer.manager.restart()
        newer.wait_ready()
        wait_for(lambda: followed.source.stats.mode == "push")
        web.update("--label-add", "x=1", wait=False)
        followed.until(lambda s: service_of(s, "web").labels == {"x": "1"})
