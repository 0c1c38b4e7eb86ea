"""The lab's own tests: what the other tests take for granted is shown here to be so."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.lab import host, images, mesh
from tests.lab.probe import get, tcp_get, udp_get
from tests.lab.service import Service, host_port, ingress_port
from tests.lab.services import KEEP, Lab
from tests.lab.settings import LabError, Settings
from tests.lab.traffic import Traffic


def first_port(service: Service) -> tuple[str, int]:
    return service.host_ports()[0]


# -- nodes ---------------------------------------------------------------------------------------------------


def test_nodes_are_ready(lab: Lab) -> None:
    """All nodes are ready, under the names and addresses that the helpers give them."""
    nodes = lab.swarm_nodes()
    assert set(nodes) == set(lab.nodes)
    for name, node in nodes.items():
        assert node["Status"] == {"State": "ready", "Addr": lab.nodes[name].address}
        assert node["Description"]["Hostname"] == name
    assert lab.manager.control_socket.is_socket()


def test_node_labels_are_forgotten(lab: Lab) -> None:
    """Labels and availability can be set, and `clean` takes them back."""
    lab.node_update("n2", "--label-add", "zone=eu", "--availability", "pause")
    assert lab.swarm_nodes()["n2"]["Spec"] | {"Role": ""} == {
        "Role": "",
        "Availability": "pause",
        "Labels": {"zone": "eu"},
    }
    lab.clean()
    spec = lab.swarm_nodes()["n2"]["Spec"]
    assert (spec["Availability"], spec["Labels"]) == ("active", {})


def test_paused_node_goes_down_and_comes_back(lab: Lab) -> None:
    """A frozen daemon is a dead node after about 14 s; its containers serve on; resumed it recovers."""
    last = lab.nodes[list(lab.nodes)[-1]]
    if last.control_socket.exists():
        pytest.skip("a lab without workers: pausing a manager is another test")
    service = lab.service("shop", publish=[host_port()], constraints=[f"node.hostname=={last.name}"])
    address, port = first_port(service)
    began = time.monotonic()
    last.pause()
    assert last.paused
    lab.wait_for(lambda: lab.node_state(last.name) == "down", 30, "the node to be down", 0.2)
    assert time.monotonic() - began > 5  # not at the first heartbeat that is missing
    assert get(address, port).status == 200
    last.resume()
    lab.wait_for(lambda: lab.node_state(last.name) == "ready", 30, "the node to be ready again")


def test_restarted_node_runs_tasks_again(lab: Lab) -> None:
    """A daemon can be stopped and started; global tasks come back with it."""
    node = lab.nodes[list(lab.nodes)[-1]]
    service = lab.service("every", mode="global", publish=[host_port(published=8088)])
    node.restart()
    lab.wait_ready()
    lab.wait_for(lambda: get(node.address, 8088).status == 200, 30, "the task on the restarted node")
    service.wait()


# -- services ------------------------------------------------------------------------------------------------


def test_replicas_answer_on_host_ports(lab: Lab) -> None:
    """Each task answers on its own dynamic host port, as itself."""
    service = lab.service("shop", replicas=4, publish=[host_port()], args=["--version", "v7"])
    ports = service.host_ports()
    assert len(ports) == len(set(ports)) == 4
    answers = [get(address, port) for address, port in ports]
    assert {answer.app for answer in answers} == set(service.responders())
    assert answers[0].body == f"{answers[0].app}\nv7\n"


def test_overlay_addresses_answer_across_nodes(lab: Lab) -> None:
    """From a namespace on the overlay, tasks on every node answer: HTTP, TCP and UDP."""
    lab.network("web")
    service = lab.service("shop", mode="global", networks=["web"], args=["--tcp", "9000", "--udp", "9001"])
    for node in lab.nodes:
        with lab.attached("web", node) as space:
            for task in service.running():
                address, name = service.address(task, "web"), service.responder(task)
                assert get(address, 8080, netns=space.netns).app == name
                assert tcp_get(address, 9000, netns=space.netns) == name
                assert udp_get(address, 9001, netns=space.netns) == name
    with pytest.raises(OSError, match="No route to host"):
        get(address, 8080)  # from the load-balancer machine the overlay is out of reach


def test_update_rollback_and_scale(lab: Lab) -> None:
    """`wait` returns when Swarm is done: the new version answers, then the old one; no surplus is left."""
    service = lab.service(
        "shop", replicas=2, publish=[host_port()], args=["--version", "v1"], update_order="start-first"
    )
    service.update("--args", "--version v2")
    assert [get(*port).version for port in service.host_ports()] == ["v2", "v2"]
    service.rollback()
    assert [get(*port).version for port in service.host_ports()] == ["v1", "v1"]
    service.scale(1)
    assert len(service.containers()) == len(service.running()) == 1
    service.update("--label-add", "lbgen.port=8080")  # restarts nothing
    assert get(*first_port(service)).version == "v1"


def test_ingress_port_is_known(lab: Lab) -> None:
    """Fixed and dynamic ingress ports are found in the service."""
    assert lab.service("one", publish=[ingress_port(published=30555)]).published_port() == 30555
    assert lab.service("two", publish=[ingress_port()], endpoint_mode="vip").published_port() >= 30000


def test_clean_keeps_what_is_labelled(lab: Lab) -> None:
    """`clean` removes services, networks and plain containers, but not what says ``lab.keep``."""
    lab.network("kept-net")
    kept = lab.service("kept", labels={KEEP: "1"}, networks=["kept-net"])
    lab.service("gone", publish=[host_port(published=8099)])
    lab.docker("run", "--detach", lab.images["app"])
    lab.clean()
    assert [item["Spec"]["Name"] for item in lab.services()] == ["kept"]
    assert len(kept.containers()) == sum(len(node.containers()) for node in lab.nodes.values()) == 1
    kept.update("--label-rm", KEEP)


# -- the application -----------------------------------------------------------------------------------------


def test_application_answers(lab: Lab) -> None:
    """The paths that tests use, with a rewritten prefix as well."""
    with lab.app_on("n1", "--port", "8081", "--port", "8082", "--healthy-after", "3"):
        address = lab.nodes["n1"].address
        lab.wait_for(lambda: get(address, 8082, "/"), 5)
        assert get(address, 8081, "/health").status == 503
        path, sent = "/api/headers?a=1", {"X-A": "b"}
        text = get(address, 8081, path, method="POST", host="x.example", headers=sent, body=b"c")
        assert text.body.splitlines()[:2] == ["POST /api/headers?a=1 HTTP/1.1", "Host: x.example"]
        assert "X-A: b" in text.body
        assert get(address, 8081, "/status/418").status == 418
        began = time.monotonic()
        assert get(address, 8082, "/slow?ms=300").headers["x-port"] == "8082"
        assert time.monotonic() - began > 0.29
        lab.wait_for(lambda: get(address, 8081, "/health").status == 200, 20)
        assert get(address, 8081, "/unhealthy").status == 200
        assert get(address, 8081, "/health").status == 503
        assert len(get(address, 8081, "/bytes/300000").body) == 300000


def test_health_check_decides_when_a_task_runs(lab: Lab) -> None:
    """A task of the image with HEALTHCHECK runs, for Swarm, when the application says that it is healthy."""
    began = time.monotonic()
    service = lab.service("shop", image="app-health", args=["--healthy-after", "3"])
    assert time.monotonic() - began >= 3
    node, container = service.containers()[0]
    assert "says 200" in node.docker("exec", container["Id"], "/app", "check")
    with pytest.raises(LabError, match="no answer on port 8099"):
        node.docker("exec", container["Id"], "/app", "check", "--port", "8099")


def test_failing_application_is_replaced(lab: Lab) -> None:
    """--fail-after ends a task; Swarm starts another in its place."""
    service = lab.service("shop", args=["--fail-after", "1"], flags=["--restart-delay", "100ms"])
    first = min(service.tasks(), key=lambda task: task["CreatedAt"])["ID"]
    lab.wait_for(lambda: any(task["ID"] != first for task in service.running()), 20, "a replacement")
    assert next(task for task in service.tasks() if task["ID"] == first)["Status"]["State"] == "failed"


@pytest.mark.parametrize(("on_term", "least"), [("exit", 0.0), ("drain:2", 1.9)])
def test_end_on_sigterm(lab: Lab, on_term: str, least: float) -> None:
    """An abrupt application is gone at once; a draining one serves, saying "close", until its time is up."""
    service = lab.service("shop", publish=[host_port()], args=["--on-term", on_term])
    address, port = first_port(service)
    assert get(address, port).status == 200
    service.kill(service.running()[0], "TERM")
    began = time.monotonic()
    said: set[str] = set()
    lab.wait_for(lambda: not _answers(address, port, said), 20, "the end of the application", 0.02)
    assert time.monotonic() - began >= least
    assert ("close" in said) == (least > 0)


def _answers(address: str, port: int, said: set[str]) -> bool:
    """Whether somebody answers there; adds what the answer says of its connection."""
    try:
        answer = get(address, port, timeout=5)
    except OSError:
        return False
    said.add(answer.headers.get("connection", ""))
    return answer.status == 200


# -- traffic and networks ------------------------------------------------------------------------------------


def test_traffic_inside_the_overlay(lab: Lab) -> None:
    """Traffic flows in another namespace and names its responder."""
    lab.network("web")
    service = lab.service("shop", networks=["web"])
    [(address, port)] = service.addresses("web")
    with (
        lab.attached("web", list(lab.nodes)[-1]) as space,
        Traffic(f"http://{address}:{port}/", rate=300, netns=space.netns) as traffic,
    ):
        traffic.wait_for(lambda result: result.ok > 200, 10)
    assert traffic.result.sent == traffic.result.ok
    assert traffic.result.responders == {service.responder(service.running()[0]): traffic.result.ok}


def test_killed_task_is_seen_by_traffic(lab: Lab) -> None:
    """What a crash costs a client without a load balancer is counted, and every request is accounted for."""
    service = lab.service("shop", publish=[host_port()], args=["--version", "v1"], stop_grace="1s")
    address, port = first_port(service)
    with Traffic(f"http://{address}:{port}/", rate=200, timeout=1) as traffic:
        traffic.wait_for(lambda result: result.ok > 50, 10)
        service.kill(service.running()[0])
        traffic.wait_for(lambda result: result.failed > 20, 10)
    result = traffic.result
    assert result.sent == result.ok + result.failed
    assert set(result.failures) <= {"refused", "reset", "closed_without_answer", "timeout", "unreachable"}


def test_mesh_and_virtual_ip_carry_traffic(lab: Lab) -> None:
    """Every node answers on an ingress port, and so does the virtual IP: all tasks, also after an update."""
    lab.network("web")
    args = ["--version", "v1"]
    service = lab.service("shop", replicas=2, publish=[ingress_port()], networks=["web"], args=args)
    port = service.published_port()
    addresses = [node.address for node in lab.nodes.values()]
    with lab.attached("web") as space, lab.mesh(space):
        for address in addresses:
            assert {get(address, port).app for _ in range(30)} == set(service.responders())
        virtual = service.virtual_ip("web")
        assert {get(virtual, 8080, netns=space.netns).app for _ in range(30)} == set(service.responders())
        with Traffic(f"http://{addresses[-1]}:{port}/", rate=100, keepalive=False) as traffic:
            service.update("--args", "--version v2", "--update-order", "start-first")
            traffic.wait_for(lambda result: result.versions.get("v2", 0) > 20, 10)
        assert traffic.result.sent == traffic.result.ok, traffic.result
        assert {get(virtual, 8080, netns=space.netns).version for _ in range(10)} == {"v2"}
    if not mesh.has_ipvs():
        assert not _answers(addresses[0], port, set())


# -- images --------------------------------------------------------------------------------------------------


def test_built_image_reaches_all_nodes(lab: Lab) -> None:
    """An image built on one node, without network, runs on another one after `copy_image`."""
    dockerfile = f"FROM {lab.images['app']}\nADD note /note\n".encode()
    image = images.build(lab, {"Dockerfile": dockerfile, "note": os.urandom(8)})
    images.copy_image(lab, image)
    service = lab.service("built", image=image, mode="global", publish=[host_port()])
    assert {get(*port).app for port in service.host_ports()} == set(service.responders())


@pytest.mark.timeout(1500)
def test_debian_base_builds(lab: Lab) -> None:
    """The Debian base has its packages and takes files; the first time it is made, in some minutes."""
    hello = b"#!/bin/sh\nhaproxy -v && python3 -m venv --help\n"
    image = images.debian_base(lab, files={"/opt/hello": hello})
    assert "HAProxy version" in lab.nodes["n1"].docker("run", "--rm", image, "/opt/hello")


# -- life of a lab -------------------------------------------------------------------------------------------


def test_running_lab_is_adopted_or_refused(lab: Lab) -> None:
    """A lab of the right size is taken over; one of another size is not."""
    same = Lab(settings=lab.settings)
    assert same.adopt() == ""
    assert same.images == lab.images
    assert "nodes" in Lab(settings=Settings(9, 1)).adopt()


def test_crashed_lab_is_cleaned_up(lab: Lab) -> None:
    """`up` builds over what SIGKILL left of a lab, and touches nothing of the lab beside it."""
    directory = Path("/var/lib/lbgenx-lab")
    small = Lab(settings=Settings(1, 1, "lbgenx-", directory, "192.168.219.0/24"))
    others = host.lab_processes(lab.settings)
    try:
        small.up()
        small.service("orphan", replicas=2, publish=[host_port()])
        daemons = {small.nodes["n1"].pid}
        os.kill(daemons.pop(), signal.SIGKILL)
        orphans = host.lab_processes(small.settings)
        assert len(orphans) >= 4  # containerd, shims and applications live on
        assert small.adopt(repair=False) == "node n1 of the running lab is not alive"
        small.up()
        assert not any(host.alive(pid) for pid in orphans)
        assert small.services() == []
    finally:
        small.down()
    assert not directory.exists()
    assert not host.lab_processes(small.settings)
    assert not list(Path("/sys/class/net").glob("lbgenx-*"))
    assert host.lab_processes(lab.settings) >= others
