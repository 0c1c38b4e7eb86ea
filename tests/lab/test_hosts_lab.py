"""Three Docker hosts without Swarm over ssh or TLS, Compose projects on each, one HAProxy in front.

Each test prints what it measured; seconds are those of the engine's own events.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.lab import boxes, probe
from tests.lab.balancer import API, HOST, PROJECT, Balancer, balancing, start_projects
from tests.lab.boxes import Boxes
from tests.lab.certificates import Pair, certificates
from tests.lab.fixtures import unavailable
from tests.lab.host import wait_for
from tests.lab.service import host_port
from tests.lab.services import Lab
from tests.lab.settings import Settings
from tests.lab.sidecar import Sidecar, settings
from tests.lab.traffic import Result

pytestmark = pytest.mark.managers  # one of them needs a Swarm, and tests on that of three managers end sooner
CONNECTIONS = 8


@pytest.fixture(scope="module")
def balancer() -> Iterator[Balancer]:
    """Two containers of web and one of api on each of three hosts, behind one HAProxy."""
    reason = unavailable() or (f"apt-get install {' '.join(boxes.missing())}" if boxes.missing() else "")
    if reason:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    hosts = Boxes(Settings.hosts())
    with ExitStack() as stack:
        stack.callback(hosts.down)
        hosts.up()
        start_projects(hosts)
        stack.enter_context(pytest.MonkeyPatch.context()).setenv("PATH", f"{hosts.path}:{os.environ['PATH']}")
        made = stack.enter_context(balancing(hosts, hosts.outside, hosts.source()))
        wait_for(lambda: len(made.servers()) == 6, 60, "six servers")
        made.wait_all()
        yield made


def told(what: str, result: Result, *more: str) -> None:
    """Print the figures of a test."""
    print(f"\n{what}: {result.failed} of {result.sent} requests failed{''.join(f', {each}' for each in more)}")


def test_compose_projects(balancer: Balancer) -> None:
    """Three projects of one name are one service; Traefik's labels on containers work unchanged."""
    assert set(balancer.servers()) == {f"shop_web.{name}{number}" for name in "abc" for number in ("", ".2")}
    apps = {balancer.hosts.containers(name, "api")[0]["Id"][:12] for name in "abc"}
    balancer.lbgen.wait_responders(API, apps)


def test_killed(balancer: Balancer) -> None:
    """A container that dies is out at once; started again, it is back when it is healthy."""
    began, name = time.time(), "shop_web.a"
    everyone, node = set(balancer.web()), balancer.hosts.nodes["a"]
    id_ = balancer.hosts.containers("a", "web")[0]["Id"]
    with balancer.traffic() as traffic:
        node.api("POST", f"/containers/{id_}/kill")
        balancer.wait_servers(*everyone - {name})
        out = balancer.lag("shop_web.1 on a: ", began)
        node.api("POST", f"/containers/{id_}/start")
        balancer.wait_all()
    healthy = balancer.lag("shop_web.1 on a: state running", began)
    told(
        "killed", traffic.result, f"out {out * 1000:.0f} ms after the event, back {healthy * 1000:.0f} ms after healthy"
    )
    assert not traffic.result.failed, traffic.result


def test_unhealthy(balancer: Balancer) -> None:
    """One that says so in its health check is out until it is well again."""
    began, everyone = time.time(), set(balancer.web())
    (port,) = {each["PublicPort"] for each in balancer.hosts.containers("b", "web")[0]["Ports"]}
    where = (balancer.hosts.nodes["b"].address, port)
    with balancer.traffic() as traffic:
        probe.get(*where, "/unhealthy", netns=balancer.hosts.outside)
        balancer.wait_servers(*everyone - {"shop_web.b"})
        out = balancer.lag("shop_web.1 on b: state unhealthy", began)
        probe.get(*where, "/healthy", netns=balancer.hosts.outside)
        balancer.wait_servers(*everyone)
    back = balancer.lag("shop_web.1 on b: state running", began)
    told("unhealthy", traffic.result, f"out {out * 1000:.0f} ms after the event, back {back * 1000:.0f} ms")
    assert not traffic.result.failed, traffic.result


def test_scaled(balancer: Balancer) -> None:
    """Compose scales up and down; one that is being stopped drains from its first signal on."""
    began, everyone = time.time(), set(balancer.web())
    with balancer.traffic() as traffic:
        balancer.hosts.compose("a", PROJECT, "up", "--detach", "--scale", "web=4")
        balancer.wait_servers(*everyone, "shop_web.a.3", "shop_web.a.4")
        balancer.hosts.compose("a", PROJECT, "up", "--detach", "--scale", "web=2")
        balancer.wait_servers(*everyone)
    up = balancer.lag("shop_web.3 on a: state running", began)
    down = balancer.lag("shop_web.3 on a: desired state shutdown", began)
    told("scaled", traffic.result, f"up {up * 1000:.0f} ms after healthy, drains {down * 1000:.0f} ms after the signal")
    assert not traffic.result.failed, traffic.result


def test_paused(balancer: Balancer) -> None:
    """A paused one is out; who waits for an answer of it has it when it goes on."""
    began, everyone, node = time.time(), set(balancer.web()), balancer.hosts.nodes["c"]
    id_ = balancer.hosts.containers("c", "web")[0]["Id"]
    with balancer.traffic() as traffic:
        node.api("POST", f"/containers/{id_}/pause")
        balancer.wait_servers(*everyone - {"shop_web.c"})
        out = balancer.lag("shop_web.1 on c: state paused", began)
        node.api("POST", f"/containers/{id_}/unpause")
        balancer.wait_all()
    told("paused", traffic.result, f"out {out * 1000:.0f} ms after the event")
    assert not traffic.result.failed, traffic.result


def test_drained(balancer: Balancer) -> None:
    """`lbgen drain` takes a host and a server out though their containers go on; --undo puts them back."""
    everyone, others = set(balancer.web()), balancer.web("a", "c")
    del others["shop_web.c"]
    with balancer.traffic() as traffic:
        balancer.lbgen.drain("b", "shop_web.c", "--reason", "new disks")
        balancer.wait_servers(*others)
        balancer.lbgen.wait_responders(HOST, set(others.values()))
        listed = balancer.lbgen.command("ls")
        taken = re.findall(r"(\S+) +\S+ +[abc] +\w+: asked by an operator", listed)
        assert taken == ["shop_api.b", "shop_web.b", "shop_web.b.2", "shop_web.c"], listed
        assert re.search(r"^b is drained, .*\(new disks\); 'lbgen drain --undo b' ends it$", listed, re.MULTILINE)
        assert not balancer.member("b")["failing"]
        balancer.lbgen.drain("--undo", "b", "shop_web.c")
        balancer.wait_servers(*everyone)
        balancer.wait_all()
    assert "is drained" not in balancer.lbgen.command("ls")
    told("host and server drained", traffic.result)
    assert not traffic.result.failed, traffic.result


def test_tls(balancer: Balancer, tmp_path: Path) -> None:
    """Hosts are followed over TLS; an engine that refuses the certificate holds up nobody, until that is another."""
    hosts, stranger = balancer.hosts, certificates(tmp_path / "another authority", "client")
    changing = Pair(hosts.client.ca, tmp_path / "cert.pem", tmp_path / "key.pem")
    shutil.copy(stranger.cert, changing.cert)
    shutil.copy(stranger.key, changing.key)
    source = [hosts.by_tls("a", hosts.client), hosts.by_tls("b", hosts.client), hosts.by_tls("c", changing)]
    node, id_ = hosts.nodes["a"], hosts.containers("a", "web")[0]["Id"]
    with balancing(hosts, hosts.beside, source) as second:
        there = set(second.web("a", "b"))
        second.wait_servers(*there)
        why = second.member("c")["failing"]
        assert re.search(r"^host c: tcp://\S+: TLS: the engine refused the client certificate \(.+\): check ", why)
        assert why in second.lbgen.log
        began = time.time()
        with second.traffic() as traffic:
            node.api("POST", f"/containers/{id_}/kill")
            second.wait_servers(*there - {"shop_web.a"})
            out = second.lag("shop_web.1 on a: ", began)
            node.api("POST", f"/containers/{id_}/start")
            second.wait_servers(*there)
            shutil.copy(hosts.client.cert, changing.cert)
            shutil.copy(hosts.client.key, changing.key)
            second.wait_all()
        back = second.lag("shop_web.1 on a: state running", began)
    told("over TLS", traffic.result, f"out {out * 1000:.0f} ms after the event, back {back * 1000:.0f} ms")
    assert not traffic.result.failed, traffic.result


def test_engine_silent(balancer: Balancer) -> None:
    """Where dockerd hangs the containers go on serving; others are followed meanwhile."""
    everyone, node = balancer.servers(), balancer.hosts.nodes["b"]
    other = balancer.hosts.containers("a", "web")[0]["Id"]
    began = time.monotonic()
    with balancer.traffic() as traffic:
        node.pause()
        try:
            wait_for(lambda: balancer.member("b")["failing"], 30, "the host to count as away")
            found = time.monotonic() - began
            assert balancer.servers() == everyone
            balancer.hosts.nodes["a"].api("POST", f"/containers/{other}/kill")
            balancer.wait_servers(*everyone.keys() - {"shop_web.a"})
            balancer.hosts.nodes["a"].api("POST", f"/containers/{other}/start")
            balancer.wait_servers(*everyone)
        finally:
            node.resume()
        wait_for(lambda: not balancer.member("b")["failing"], 30, "the host to be back")
    told("dockerd silent", traffic.result, f"known after {found:.1f} s")
    assert not traffic.result.failed, traffic.result


def test_host_gone(balancer: Balancer) -> None:
    """A host whose link is cut loses nothing in lbgen; the proxy's checks take its servers out, and in again."""
    everyone = balancer.servers()
    balancer.hosts.link("c", "down")
    cut = time.time()
    try:
        with balancer.traffic(timeout=8, connections=CONNECTIONS) as traffic:
            traffic.wait_for(lambda result: result.failed or result.sent > 2000, 30)
            assert balancer.servers() == everyone
        with balancer.traffic() as after:
            after.wait_for(lambda result: result.sent > 400, 30)
        assert balancer.servers() == everyone
    finally:
        balancer.hosts.link("c", "up")
    back = time.monotonic()
    balancer.lbgen.wait_responders(HOST, set(balancer.web().values()))
    seconds = time.monotonic() - back
    last = max((each["time"] for each in traffic.result.failed_first), default=cut) - cut
    told("link cut", traffic.result, f"the last {last:.1f} s after the cut, all serve {seconds:.1f} s after it is back")
    told("link cut, after the checks", after.result)
    # A request on a connection that was there before waits in vain, as nobody says that the host is gone.
    assert traffic.result.failed <= CONNECTIONS, traffic.result
    assert not after.result.failed, after.result


def test_beside_a_swarm(balancer: Balancer, managers: Lab) -> None:
    """One balancer for a Swarm and for the hosts; a manager that hangs does not keep the hosts from being followed."""
    asked = managers.nodes["n1"]
    swarm = managers.service(
        "web",
        replicas=2,
        publish=[host_port(8080)],
        labels={"lbgen.enable": "true", "lbgen.host": "swarm.example.org"},
        constraints=[f"node.hostname!={asked.name}"],  # the others may take it for dead, and its tasks with it
    )
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="lbs-")))
        document = settings(directory / "edge", "")
        document["source"] = [
            {"name": "prod", "docker": {"endpoints": [f"unix://{asked.socket}"], "control_socket": "off"}},
            {"name": "boxes", "hosts": balancer.hosts.source()},
        ]
        document["state"] = str(directory / "state")
        lbgen = Sidecar(directory, None, document)
        lbgen.start()
        stack.callback(lambda: print(lbgen.log))
        stack.callback(lbgen.end_proxy)
        stack.callback(lbgen.stop)
        lbgen.wait_responders("swarm.example.org", set(swarm.responders()))
        lbgen.wait_responders(HOST, set(balancer.web().values()))
        everyone, node = set(lbgen.servers("shop_web")), balancer.hosts.nodes["a"]
        id_ = balancer.hosts.containers("a", "web")[0]["Id"]
        stack.callback(asked.resume)
        with lbgen.traffic(HOST, rate=100) as hosts, lbgen.traffic("swarm.example.org", rate=100) as tasks:
            asked.pause()
            node.api("POST", f"/containers/{id_}/kill")
            wait_for(lambda: set(lbgen.servers("shop_web")) == everyone - {"shop_web.a"}, 30, "it to be out")
            node.api("POST", f"/containers/{id_}/start")
            wait_for(lambda: set(lbgen.servers("shop_web")) == everyone, 30, "it to be back")
            asked.resume()
    told("beside a Swarm that hangs, hosts", hosts.result)
    told("beside hosts, the Swarm", tasks.result)
    assert not hosts.result.failed, hosts.result
    assert not tasks.result.failed, tasks.result
