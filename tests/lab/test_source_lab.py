"""`EngineSource` on a real Swarm, through a proxy that lets only the contract's GET requests pass."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from lbgen.base.errors import SourceError
from lbgen.source.engine.source import EngineSource
from tests.lab.followed import HOUR, PACE, check_events_alone, leaving, listing, service_of, serving
from tests.lab.probe import get, socket_in
from tests.lab.service import host_port, ingress_port
from tests.support.socket_proxy import READ_ONLY, SocketProxy
from tests.support.wait import wait_for


@pytest.fixture
def proxy(lab, tmp_path):
    """A read-only proxy before the first manager's socket; whatever a test does, nothing else may be asked for."""
    with SocketProxy(tmp_path / "docker.sock", lab.manager.socket) as made:
        yield made
    assert made.refused == []


def table(lab, *command):
    """What a docker command prints, as a list of objects."""
    return [json.loads(line) for line in lab.docker(*command, "--format", "{{json .}}").splitlines()]


def test_snapshot_says_what_docker_says(lab, proxy):
    """Services of every sort, their tasks, ports and addresses, compared with the docker command line."""
    lab.network("front")
    lab.network("back")
    labels = {"lbgen.enable": "true", "lbgen.host": "a.example.com"}
    made = {
        "ingress": lab.service("ingress", replicas=2, publish=[ingress_port()], networks=["front"], labels=labels),
        "dynamic": lab.service("dynamic", replicas=2, publish=[host_port()]),
        "inner": lab.service("inner", networks=["front", "back"]),
        "agent": lab.service("agent", mode="global"),
        "rr": lab.service("rr", networks=["front"], endpoint_mode="dnsrr"),
    }
    snapshot = EngineSource([proxy.endpoint], pace=PACE).take()

    listed = {row["Name"]: row for row in table(lab, "service", "ls")}
    assert {service.name for service in snapshot.services.values()} == set(listed)
    for name, row in listed.items():
        service = service_of(snapshot, name)
        assert service.mode == row["Mode"]
        running, wanted = row["Replicas"].split("/")
        assert len(serving(snapshot, name)) == int(running)
        assert service.replicas == (int(wanted) if service.mode == "replicated" else 1)
        hostnames = {snapshot.nodes[task.node_id].hostname for task in serving(snapshot, name)}
        processes = table(lab, "service", "ps", "--filter", "desired-state=running", made[name].id)
        assert hostnames == {process["Node"] for process in processes}
    assert {node.id: node.hostname for node in snapshot.nodes.values()} == {
        row["ID"]: row["Hostname"] for row in table(lab, "node", "ls")
    }

    assert service_of(snapshot, "ingress").labels == labels
    assert [port.published for port in service_of(snapshot, "ingress").ports] == [made["ingress"].published_port()]
    ports = {(snapshot.nodes[t.node_id].address, t.ports[0].published) for t in serving(snapshot, "dynamic")}
    assert ports == set(made["dynamic"].host_ports())
    networks = {network.name: network.id for network in snapshot.networks.values()}
    assert networks.keys() == {"front", "back", "ingress"}
    for name, network in (("inner", "front"), ("inner", "back"), ("ingress", "front"), ("rr", "front")):
        found = {task.addresses[networks[network]] for task in serving(snapshot, name)}
        assert found == {address for address, _ in made[name].addresses(network)}
    assert service_of(snapshot, "rr").endpoint_mode == "dnsrr"
    assert {method for method, _ in proxy.requests} == {"GET"}


def responder(address, port):
    """The application that answers there; empty if none does, whatever else may be there."""
    try:
        return get(address, port).app
    except OSError:
        return ""


def test_host_ports_that_differ_by_family(lab, proxy):
    """A node that finds its next port taken for IPv4 has another one there than for IPv6: the first one answers.

    So do engines 20.10 and 26.1; since 27 a port that is chosen is one that is free in all families.
    """

    def start(name):
        service = lab.service(name, publish=[host_port()], constraints=[f"node.hostname=={lab.manager.name}"])
        ((address, port),) = service.host_ports()
        return service, address, port

    _, _, port = start("first")
    with socket_in(lab.manager.netns) as other:
        other.bind(("0.0.0.0", port + 1))
        other.listen()
        second, address, port = start("second")
    reported = second.running()[0]["Status"]["PortStatus"]["Ports"]
    one_for_all = lab.manager.version >= (27,)
    assert len(reported) == 2
    assert len({item["PublishedPort"] for item in reported}) == (1 if one_for_all else 2)
    snapshot = EngineSource([proxy.endpoint], pace=PACE).take()
    (task,) = serving(snapshot, "second")
    assert (snapshot.nodes[task.node_id].address, task.ports[0].published) == (address, port)
    assert responder(address, port) in second.responders()
    assert len(task.ports) == (1 if one_for_all else 2)
    assert all(responder(address, other.published) not in second.responders() for other in task.ports[1:])


def test_follow(lab, proxy):
    """Scaling, labels, an update, a crash, a drained node, a removal: all seen, with the contract's requests only."""
    web = lab.service("web", replicas=2, networks=[lab.network("front")], args=["--version", "v1"])
    other = lab.service("other")
    with listing(proxy) as followed:
        first = followed.until(lambda s: len(serving(s, "web")) == 2)

        web.scale(4, wait=False)
        up = followed.until(lambda s: len(serving(s, "web")) == 4)
        assert service_of(up, "other") is service_of(first, "other")
        assert up.networks is first.networks

        web.scale(2, wait=False)
        followed.until(lambda s: len(leaving(s, "web")) == 2)
        followed.until(lambda s: len(serving(s, "web")) == 2 and not leaving(s, "web"))

        web.update("--label-add", "lbgen.enable=true", wait=False)
        followed.until(lambda s: service_of(s, "web").labels.get("lbgen.enable") == "true")

        before = {task.id for task in serving(followed.snapshots[-1], "web")}
        web.update("--args", "--version v2", wait=False)
        followed.until(lambda s: service_of(s, "web").update_state == "updating")
        followed.until(lambda s: leaving(s, "web"))
        after = followed.until(
            lambda s: service_of(s, "web").update_state == "completed" and len(serving(s, "web")) == 2
        )
        assert before.isdisjoint(task.id for task in serving(after, "web"))

        victim = other.running()[0]
        other.kill(victim)
        followed.until(lambda s: s.tasks[victim["ID"]].state == "failed")
        followed.until(lambda s: len(serving(s, "other")) == 1)

        node = lab.node_of(other.running()[0])
        lab.node_update(node.name, "--availability", "drain")
        followed.until(lambda s: s.nodes[node.swarm_id].availability == "drain")
        followed.until(lambda s: serving(s, "other") and serving(s, "other")[0].node_id != node.swarm_id)
        lab.node_update(node.name, "--availability", "active", "--label-add", "zone=eu")
        followed.until(lambda s: s.nodes[node.swarm_id].labels == {"zone": "eu"})

        other.remove(wait=False)
        last = followed.until(lambda s: service_of(s, "other") is None)
        assert {task.service_id for task in last.tasks.values()} <= set(last.services)
        assert followed.source.stats.drift == 0
        assert followed.source.stats.reconnects == 0
    assert set(proxy.requests) <= {("GET", path) for path in READ_ONLY}


def test_events_alone_tell_of_services_nodes_and_networks(lab, proxy):
    """With all timers off: an event leads to listing, and the second look finds what the orchestrator made of it."""
    check_events_alone(lab, proxy)


def test_socket_gone_and_back(lab, proxy):
    """One line for the outage, what happened meanwhile is found, what did not happen is the same object."""
    web = lab.service("web")
    with capture_logs() as logs, listing(proxy) as followed:
        first = followed.until(lambda s: serving(s, "web"))
        proxy.go_away()
        wait_for(lambda: any(entry["event"] == "source_failed" for entry in logs))
        web.update("--label-add", "x=1", wait=False)
        assert followed.pending == 0
        proxy.come_back()
        second = followed.until(lambda s: service_of(s, "web").labels == {"x": "1"})
        assert second.nodes is first.nodes
        web.update("--label-add", "x=2", wait=False)
        followed.until(lambda s: service_of(s, "web").labels == {"x": "2"})
    assert len([entry for entry in logs if entry["event"] == "source_failed"]) == 1


def test_proxy_without_events(lab, tmp_path):
    """Everything is polled for then; the log says what to allow."""
    with SocketProxy(tmp_path / "x.sock", lab.manager.socket, READ_ONLY - {"/events"}) as blind:
        with capture_logs() as logs, listing(blind, pace=replace(PACE, slow=0.2)) as followed:
            followed.next()
            web = lab.service("web")
            followed.until(lambda s: serving(s, "web"))
            web.update("--label-add", "x=1", wait=False)
            followed.until(lambda s: service_of(s, "web").labels == {"x": "1"})
            assert followed.source.stats.mode == "polling"
        assert set(blind.refused) == {("GET", "/events")}
    assert "must allow GET to" in next(entry["error"] for entry in logs if entry["event"] == "stream_lost")


def test_paused_daemon(lab, proxy):
    """A daemon that hangs (SIGSTOP) counts as gone after the timeout, changes nothing, and is taken up again."""
    web = lab.service("web")
    with capture_logs() as logs, listing(proxy, pace=replace(PACE, fast=0.5, slow=0.5, timeout=1.0)) as followed:
        followed.until(lambda s: serving(s, "web"))
        lab.nodes["n1"].pause()
        wait_for(lambda: any("no answer for 1 s" in entry.get("error", "") for entry in logs))
        lab.nodes["n1"].resume()
        web.update("--label-add", "x=1", wait=False)
        followed.until(lambda s: service_of(s, "web").labels == {"x": "1"})


def test_worker_is_refused(lab):
    """A worker's engine names the managers."""
    with pytest.raises(SourceError, match="is not a Swarm manager") as raised:
        EngineSource([f"unix://{lab.nodes['n3'].socket}"], pace=PACE).take()
    assert f"{lab.nodes['n1'].address}:2377" in str(raised.value)


def test_node_that_dies(lab, proxy):
    """It is down after its heartbeats stop; its task is replaced elsewhere, and its remains cause no further change."""
    web = lab.service("web", constraints=["node.role==worker"])
    with listing(proxy) as followed:
        first = followed.until(lambda s: serving(s, "web"))
        task = serving(first, "web")[0]
        node = lab.node_of(web.running()[0])
        node.stop(kill=True)
        followed.until(lambda s: s.nodes[node.swarm_id].state == "down")
        after = followed.until(lambda s: [t.id for t in serving(s, "web") if t.id != task.id])
        assert after.tasks[task.id].desired_state == "shutdown"
        assert after.tasks[task.id].state == "running"


# -- three managers ------------------------------------------------------------------------------------------
# A lab of their own (fixture `managers`): promoting a second one in the common lab would leave it without a majority.


@pytest.fixture
def proxies(managers, tmp_path):
    """A read-only proxy before each manager."""
    with ExitStack() as stack:
        made = [
            stack.enter_context(SocketProxy(tmp_path / f"{name}.sock", node.socket))
            for name, node in managers.nodes.items()
        ]
        yield made
    assert not any(proxy.refused for proxy in made)


def test_failover_between_managers(managers, proxies):
    """When the first one's socket goes away, the second one goes on with the same objects, and back again."""
    first_proxy, second_proxy, _ = proxies
    web = managers.service("web")
    with listing(first_proxy, second_proxy) as followed:
        first = followed.until(lambda s: serving(s, "web"))
        assert followed.source.stats.endpoint == first_proxy.endpoint
        first_proxy.go_away()
        wait_for(lambda: followed.source.stats.endpoint == second_proxy.endpoint)
        web.update("--label-add", "x=1", wait=False)
        after = followed.until(lambda s: service_of(s, "web").labels == {"x": "1"})
        assert after.cluster == first.cluster
        assert after.networks is first.networks
        first_proxy.come_back()
        second_proxy.go_away()
        web.update("--label-add", "x=2", wait=False)
        followed.until(lambda s: service_of(s, "web").labels == {"x": "2"})
        assert followed.source.stats.endpoint == first_proxy.endpoint


def test_events_of_every_manager(managers, proxies):
    """Whether it leads or not, a manager tells of everything."""
    pace = replace(PACE, fast=HOUR, slow=HOUR, resync=HOUR)
    with ExitStack() as stack:
        follows = [stack.enter_context(listing(proxy, pace=pace)) for proxy in proxies]
        for followed in follows:
            followed.next()
        web = managers.service("web")
        web.update("--label-add", "x=1", wait=False)
        for followed in follows:
            followed.until(lambda s: service_of(s, "web") and service_of(s, "web").labels == {"x": "1"})


def test_manager_that_is_demoted(managers, proxies):
    """It still answers, but not about services: the next endpoint takes over."""
    last, first = proxies[2], proxies[0]
    web = managers.service("web", constraints=["node.hostname==n1"])
    with capture_logs() as logs, listing(last, first) as followed:
        followed.until(lambda s: serving(s, "web"))
        assert followed.source.stats.endpoint == last.endpoint
        managers.node_update("n3", "--role", "worker")
        wait_for(lambda: followed.source.stats.endpoint == first.endpoint)
        web.update("--label-add", "x=1", wait=False)
        followed.until(lambda s: service_of(s, "web").labels == {"x": "1"})
    assert all(service_of(snapshot, "web") for snapshot in followed.snapshots)
    assert [entry["error"] for entry in logs if entry["event"] == "source_failed"]


def test_leader_that_dies(managers, proxies):
    """Its own followers go on with the next manager; through the election nothing is lost but the leader's tasks."""
    managers.service("web", replicas=2, constraints=["node.hostname!=n1"])
    leader = next(name for name, node in managers.swarm_nodes().items() if node["ManagerStatus"].get("Leader"))
    order = sorted(managers.nodes, key=lambda name: name != leader)
    with listing(*[proxies[list(managers.nodes).index(name)] for name in order]) as followed:
        before = followed.until(lambda s: len(serving(s, "web")) == 2)
        managers.nodes[leader].stop(kill=True)
        down = managers.nodes[leader].swarm_id
        after = followed.until(lambda s: s.nodes[down].state == "down" and len(serving(s, "web")) >= 1)
        assert after.cluster == before.cluster
    assert all(service_of(snapshot, "web") and len(snapshot.nodes) == 3 for snapshot in followed.snapshots)
