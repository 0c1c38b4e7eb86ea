"""`lbgen run` follows a real Swarm, and a real HAProxy, Nginx and Traefik serve what it says.

Each proxy runs inside an overlay network, as in the stacks of deploy/, with an lbgen of its own. The services stay for
the whole module, one of each kind; every test changes one and puts it back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from tests.lab.expected import host_servers, task_servers
from tests.lab.host import wait_for
from tests.lab.service import Service, host_port, ingress_port
from tests.lab.services import Lab
from tests.lab.sidecar import KINDS, Fleet, sidecar

MESH_PORT = 8480  # published; answered by stand-ins on the nodes, since the kernel may have no IPVS


@pytest.fixture(scope="module")
def stage(lab_session: Lab) -> Iterator[SimpleNamespace]:
    """Six services of different kinds, and lbgen with HAProxy on the network that some of them are on."""
    lab = lab_session
    lab.clean()
    with ExitStack() as stack:
        stack.callback(lab.clean)
        for name in ("web", "other"):
            lab.network(name)

        def make(name: str, **options: object) -> Service:
            labels = {"lbgen.enable": "true", "lbgen.host": f"{name}.test", **options.pop("labels", {})}
            return lab.service(name, labels=labels, **options)

        services = SimpleNamespace(
            mesh=make("mesh", replicas=3, publish=[ingress_port(8080, MESH_PORT)]),
            host=make("host", replicas=3, publish=[host_port(8080)]),
            task=make(
                "task", replicas=3, networks=["web", "other"], labels={"lbgen.port": "8080", "lbgen.network": "web"}
            ),
            everywhere=make("everywhere", mode="global", networks=["web"], labels={"lbgen.port": "8080"}),
            robin=make("robin", replicas=2, networks=["web"], endpoint_mode="dnsrr", labels={"lbgen.port": "8080"}),
            db=make(
                "db",
                replicas=2,
                networks=["web"],
                args=["--tcp", "9000"],
                labels={"lbgen.tcp.db.listener": "pg", "lbgen.tcp.db.port": "9000", "lbgen.http.db.port": "8080"},
            ),
        )
        for name in lab.nodes:
            stack.enter_context(lab.app_on(name, "--port", str(MESH_PORT)))
        fleet = Fleet(
            *[
                stack.enter_context(sidecar(stack.enter_context(lab.attached("web")).netns, lab.manager, k))
                for k in KINDS
            ]
        )
        for lbgen in fleet.sidecars:
            lbgen.wait_servers("host", host_servers(services.host), 60)
        yield SimpleNamespace(lab=lab, fleet=fleet, lbgen=fleet.sidecars[0], **vars(services))


def test_every_kind_of_service_is_rendered_right(stage: SimpleNamespace) -> None:
    """Servers are what Swarm says of each kind: nodes, host ports, task addresses, one a node, one a slot."""
    lbgen: Fleet = stage.fleet
    nodes = stage.lab.nodes
    lbgen.wait_servers("mesh", {f"mesh.{name}": f"{node.address}:{MESH_PORT}" for name, node in nodes.items()})
    lbgen.wait_servers("host", host_servers(stage.host))
    lbgen.wait_servers("task", task_servers(stage.task))
    lbgen.wait_servers("robin", task_servers(stage.robin))
    lbgen.wait_servers("db.tcp.db", task_servers(stage.db, port=9000))
    everywhere = {
        f"everywhere.{stage.lab.node_of(task).name}": f"{stage.everywhere.address(task, 'web')}:8080"
        for task in stage.everywhere.running()
    }
    assert len(everywhere) == len(nodes)
    lbgen.wait_servers("everywhere", everywhere)


@pytest.mark.parametrize("name", ["host", "task", "everywhere", "robin", "db"])
def test_all_tasks_answer(stage: SimpleNamespace, name: str) -> None:
    """Requests through each proxy reach every task of the service, and no other service's."""
    stage.fleet.wait_responders(f"{name}.test", set(getattr(stage, name).responders()))


def test_the_mesh_is_answered_by_every_node(stage: SimpleNamespace) -> None:
    """The published port of each node gets its share (answered by stand-ins)."""
    stage.fleet.wait_responders("mesh.test", set(stage.lab.nodes))


def test_tcp_reaches_every_task(stage: SimpleNamespace) -> None:
    """The TCP listener leads to the tasks' TCP port."""
    expected = set(stage.db.responders())
    for lbgen in stage.fleet.sidecars:
        # Not at once: a check that a busy machine was late for takes a server out for a moment.
        wait_for(
            lambda lbgen=lbgen: lbgen.tcp_responders(6 * len(expected)) == expected, 40, f"{lbgen.kind}: {expected}"
        )


def test_what_no_service_asked_for_is_404(stage: SimpleNamespace) -> None:
    """A host without a route is answered by the proxy itself."""
    stage.fleet.wait_status("nobody.test", 404)


@pytest.mark.parametrize("name", ["host", "task"])
def test_scale_up_and_down(stage: SimpleNamespace, name: str) -> None:
    """New tasks get traffic when they run; those that leave get none, and nobody notices."""
    service, servers = getattr(stage, name), {"host": host_servers, "task": task_servers}[name]
    with stage.fleet.traffic(f"{name}.test", rate=100) as traffic:
        service.scale(5)
        stage.fleet.wait_servers(name, servers(service))
        stage.fleet.wait_responders(f"{name}.test", set(service.responders()))
        service.scale(3)
        stage.fleet.wait_servers(name, servers(service))
        stage.fleet.wait_responders(f"{name}.test", set(service.responders()))
    if name == "task":  # a task without overlay network is stopped without notice
        assert [each.result for each in traffic if each.result.failed] == []


def test_update_and_rollback(stage: SimpleNamespace) -> None:
    """A rolling update and its rollback replace every server without a lost request or a reload."""
    service: Service = stage.task
    with stage.fleet.traffic("task.test", rate=100) as traffic:
        before, reloads = set(service.responders()), stage.lbgen.log.count("method=reload")
        service.update("--args", "--version 2", "--update-order", "start-first")
        stage.fleet.wait_servers("task", task_servers(service))
        stage.fleet.wait_responders("task.test", set(service.responders()))
        assert stage.lbgen.get("task.test").version == "2"
        assert not before & set(service.responders())
        service.rollback()
        stage.fleet.wait_servers("task", task_servers(service))
        stage.fleet.wait_responders("task.test", set(service.responders()))
    assert stage.lbgen.log.count("method=reload") == reloads
    assert stage.lbgen.get("task.test").version != "2"
    assert [each.result for each in traffic if each.result.failed] == []


def test_scaled_to_nothing_is_503(stage: SimpleNamespace) -> None:
    """A service without tasks keeps its route and answers 503, until it has tasks again."""
    stage.robin.scale(0)
    stage.fleet.wait_status("robin.test", 503)
    stage.fleet.wait_servers("robin", {})
    stage.robin.scale(2)
    stage.fleet.wait_responders("robin.test", set(stage.robin.responders()))


def test_label_change(stage: SimpleNamespace) -> None:
    """A changed label moves the route; a wrong one says why it is not in force, and takes nothing away."""
    stage.robin.update("--label-add", "lbgen.host=moved.test")
    stage.fleet.wait_status("moved.test", 200)
    stage.fleet.wait_status("robin.test", 404)
    stage.robin.update("--label-add", "lbgen.balance=fair")
    told = "service robin, label lbgen.balance='fair': is not one of round-robin"
    wait_for(lambda: told in stage.lbgen.log, what="the mistake to be told")
    stage.fleet.wait_status("moved.test", 200)
    stage.fleet.wait_status("task.test", 200)
    stage.robin.update("--label-rm", "lbgen.balance", "--label-add", "lbgen.host=robin.test")
    stage.fleet.wait_status("robin.test", 200)


def test_node_drain(stage: SimpleNamespace) -> None:
    """A drained node gets no new requests, and is gone after the grace; its tasks move without a lost request."""
    lab: Lab = stage.lab
    everywhere = {f"mesh.{name}": f"{node.address}:{MESH_PORT}" for name, node in lab.nodes.items()}
    with stage.fleet.traffic("task.test", rate=100) as traffic:
        lab.node_update("n3", "--availability", "drain")
        try:
            leaving = everywhere | {"mesh.n3": everywhere["mesh.n3"] + " weight 0"}
            stage.fleet.wait_servers("mesh", leaving)
            stage.fleet.wait_servers("mesh", {name: at for name, at in everywhere.items() if name != "mesh.n3"})
            stage.task.wait()
            stage.fleet.wait_servers("task", task_servers(stage.task))
            assert "n3" not in {lab.node_of(task).name for task in stage.task.running()}
        finally:
            lab.node_update("n3", "--availability", "active")
        stage.fleet.wait_servers("mesh", everywhere)
        stage.everywhere.wait()
        stage.fleet.wait_responders("everywhere.test", set(stage.everywhere.responders()))
    assert [each.result for each in traffic if each.result.failed] == []


def test_node_drained_by_an_operator(stage: SimpleNamespace) -> None:
    """`lbgen drain` takes a node out though Swarm leaves its tasks there, and puts it back: no request is lost."""
    lab: Lab = stage.lab
    everywhere = {f"mesh.{name}": f"{node.address}:{MESH_PORT}" for name, node in lab.nodes.items()}
    tasks, running = task_servers(stage.task), stage.task.running()
    node = lab.node_of(running[0]).name
    there = {f"task.{task['Slot']}" for task in running if lab.node_of(task).name == node}
    others = {stage.task.responder(task) for task in running if lab.node_of(task).name != node}
    with stage.fleet.traffic("task.test", rate=100) as traffic:
        for each in stage.fleet.sidecars:
            each.drain(node)
        stage.fleet.wait_responders("task.test", others)
        stage.fleet.wait_servers("mesh", {name: at for name, at in everywhere.items() if name != f"mesh.{node}"})
        stage.fleet.wait_servers("task", {name: at for name, at in tasks.items() if name not in there})
        assert task_servers(stage.task) == tasks
        for each in stage.fleet.sidecars:
            each.drain("--undo", node)
        stage.fleet.wait_servers("mesh", everywhere)
        stage.fleet.wait_servers("task", tasks)
        stage.fleet.wait_responders("task.test", set(stage.task.responders()))
    assert [each.result for each in traffic if each.result.failed] == []
    assert f"drained by an operator: node {node}" in stage.lbgen.log


def test_node_down(stage: SimpleNamespace) -> None:
    """A node whose engine hangs is down after a while: out of the mesh, and its tasks are replaced."""
    lab: Lab = stage.lab
    everywhere = {f"mesh.{name}": f"{node.address}:{MESH_PORT}" for name, node in lab.nodes.items()}
    lab.nodes["n2"].pause()
    try:
        stage.fleet.wait_servers("mesh", {name: at for name, at in everywhere.items() if name != "mesh.n2"}, 60)
        wait_for(
            lambda: len(stage.task.running()) == 3 and "n2" not in {lab.node_of(t).name for t in stage.task.running()},
            60,
            "the tasks of n2 to be replaced",
        )
        stage.fleet.wait_servers("task", task_servers(stage.task))
        for lbgen in stage.fleet.sidecars:
            assert {lbgen.get("task.test").status for _ in range(20)} == {200}, lbgen.kind
    finally:
        lab.nodes["n2"].resume()
    stage.fleet.wait_servers("mesh", everywhere, 60)
    lab.wait_ready()


def test_lbgen_killed_and_started_again(stage: SimpleNamespace) -> None:
    """HAProxy goes on without lbgen; the next lbgen takes it over and reloads nothing that has not changed."""
    # What was changed live in the last second before a kill is not on disk yet: then the next lbgen has to reload.
    stage.lbgen.wait_quiet()
    stage.lbgen.kill()
    stage.fleet.wait_status("task.test", 200)
    said = len(stage.lbgen.log)
    stage.lbgen.start()
    wait_for(lambda: "proxy_taken_over" in stage.lbgen.log[said:], 30, "HAProxy to be taken over")
    stage.task.scale(4)
    stage.fleet.wait_servers("task", task_servers(stage.task))
    assert "first configuration" not in stage.lbgen.log[said:]
    stage.task.scale(3)
    stage.fleet.wait_servers("task", task_servers(stage.task))


def test_removed_service_is_404(stage: SimpleNamespace) -> None:
    """A removed service's route goes with it. (The last test of the module: the service does not come back.)"""
    stage.robin.remove()
    stage.fleet.wait_status("robin.test", 404)
    assert "backend robin" not in stage.lbgen.file()
