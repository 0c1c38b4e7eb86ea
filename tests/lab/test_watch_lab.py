"""`EngineSource` fed by a real Swarm's control socket: what is pushed is what is listed, and it survives what happens.

All timers are off where not said otherwise, so that whatever is seen was pushed. Nothing here measures time.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

from structlog.testing import capture_logs

from tests.lab.followed import SILENT, assert_equal, pushed, pushing, service_of, serving, tasks_of
from tests.lab.passage import Passage
from tests.lab.service import host_port, ingress_port
from tests.lab.settings import LabError
from tests.support.socket_proxy import READ_ONLY, SocketProxy
from tests.support.wait import wait_for


def logged(logs, event):
    return [entry for entry in logs if entry["event"] == event]


# -- one manager ---------------------------------------------------------------------------------------------


def test_pushed_is_listed(lab):
    """Services of every sort, made, updated, rolled back, scaled and removed; nodes drained and labelled; networks."""
    n1 = lab.nodes["n1"]
    with pushed(n1) as followed:
        pushing(followed)
        lab.network("front")
        lab.network("back", True, "--label", "team=data")
        labels = {"lbgen.enable": "true", "lbgen.host": "a.example.com"}
        ports = [ingress_port(), ingress_port(published=5353, protocol="udp")]
        shop = lab.service("shop", replicas=2, publish=ports, networks=["front"], labels=labels, wait=False)
        dynamic = lab.service("dynamic", replicas=2, publish=[host_port(), host_port(9000, protocol="udp")], wait=False)
        lab.service("agent", mode="global", publish=[host_port(published=8090)], wait=False)
        inner = lab.service("inner", networks=["front", "back"], wait=False)
        gone = lab.service("gone", networks=["front"], endpoint_mode="dnsrr", wait=False)
        lab.service("zero", replicas=0, publish=[ingress_port(published=5432)], wait=False)
        for name, mode in (("job", "replicated-job"), ("everywhere", "global-job")):
            # Jobs that succeed: on a busy machine Swarm makes a failed global one anew for ever, whatever the restart
            # condition, and then nothing here comes to rest.
            flags = ("--name", name, "--mode", mode, "--restart-condition", "none")
            lab.docker(
                "service", "create", "--detach", "--quiet", "--no-resolve-image", *flags, lab.images["app"], "done"
            )
        lab.service("hostnet", networks=["host"], wait=False)
        lab.node_update("n2", "--label-add", "zone=eu")
        for service in (shop, dynamic, inner, gone):
            service.wait()
        assert_equal(n1, followed)

        # A task that the drain takes away before it was steady counts as failed, and would pause the update.
        careless = ("--update-failure-action", "continue", "--rollback-failure-action", "continue")
        shop.update(*careless, "--args", "--version v2", "--label-add", "a=b", wait=False)
        inner.scale(3, wait=False)
        gone.remove(wait=False)
        lab.node_update("n3", "--availability", "drain")
        dynamic.update(*careless, "--publish-rm", "8080", "--publish-add", ingress_port(8080, 30080), wait=False)
        for service in (shop, dynamic, inner):
            service.wait()
        with lab.attached("front"):  # a task without a service
            assert_equal(n1, followed)

        shop.rollback()
        inner.scale(1, wait=False)
        inner.wait()
        lab.node_update("n3", "--availability", "active")
        followed.until(lambda s: not tasks_of(s, "gone") and len(serving(s, "inner")) == 1)
        assert_equal(n1, followed)
        assert followed.source.stats.reconnects == 0


def test_follow(lab, tmp_path):
    """Scaling, a crash on another node, labels, a drained node: all pushed, and not one request sent meanwhile."""
    web = lab.service("web", replicas=2, networks=[lab.network("front")])
    other = lab.service("other", constraints=["node.role==worker"], flags=["--restart-delay", "100ms"])
    n1 = lab.nodes["n1"]
    with (
        SocketProxy(tmp_path / "docker.sock", n1.socket) as proxy,
        pushed(n1, endpoint=proxy.endpoint) as followed,
    ):
        first = pushing(followed)
        requests = len(proxy.requests)

        web.scale(4, wait=False)
        up = followed.until(lambda s: len(serving(s, "web")) == 4)
        assert service_of(up, "other") is service_of(first, "other")
        assert up.nodes is first.nodes
        web.scale(2, wait=False)
        followed.until(lambda s: sum(task.desired_state == "remove" for task in tasks_of(s, "web")) == 2)

        victim = other.running()[0]
        other.kill(victim)
        crash = followed.until(lambda s: s.tasks[victim["ID"]].state == "failed")
        name = f"task other.1 on {lab.node_of(victim).name}: state failed"
        assert any(cause.text.startswith(name) and 0 < cause.at <= crash.taken_at for cause in crash.causes)
        followed.until(lambda s: serving(s, "other"))

        web.update("--label-add", "lbgen.enable=true", wait=False)
        labelled = followed.until(lambda s: service_of(s, "web").labels == {"lbgen.enable": "true"})
        assert "service web: labels changed" in [cause.text for cause in labelled.causes]

        node = lab.node_of(other.running()[0])
        lab.node_update(node.name, "--availability", "drain")
        drained = followed.until(lambda s: s.nodes[node.swarm_id].availability == "drain")
        assert f"node {node.name}: availability drain" in [cause.text for cause in drained.causes]
        followed.until(lambda s: serving(s, "other") and serving(s, "other")[0].node_id != node.swarm_id)

        other.remove(wait=False)
        followed.until(lambda s: service_of(s, "other") is None)
        assert len(proxy.requests) == requests
        assert followed.source.stats.listings == 1
        assert set(proxy.requests) <= {("GET", path) for path in READ_ONLY}
        assert proxy.refused == []


def test_restarted_daemon(lab):
    """The socket is made anew: the stream is lost, and found again; what happened is there, what did not is kept."""
    web = lab.service("web")
    n1 = lab.nodes["n1"]
    with capture_logs() as logs, pushed(n1) as followed:
        first = pushing(followed)
        n1.restart()
        lab.wait_ready()
        wait_for(lambda: followed.source.stats.mode == "push")
        web.update("--label-add", "x=1", wait=False)
        after = followed.until(lambda s: service_of(s, "web").labels == {"x": "1"})
        assert after.networks is first.networks
    assert logged(logs, "stream_lost")[0]["stream"] == "push"
    assert logged(logs, "stream_back")[-1]["mode"] == "push"


def test_control_socket_gone_and_back(lab, tmp_path):
    """Events and listing carry on; both switches are one line each, and in `stats`."""
    n1 = lab.nodes["n1"]
    web = lab.service("web")
    pace = replace(SILENT, fast=0.2, slow=0.5)
    with (
        Passage(tmp_path / "control.sock", n1.control_socket) as passage,
        capture_logs() as logs,
        pushed(n1, pace, control_socket=passage.path) as followed,
    ):
        pushing(followed)
        passage.go_away()
        wait_for(lambda: followed.source.stats.mode == "events")
        assert str(passage.path) in followed.source.stats.no_push
        web.scale(2, wait=False)
        followed.until(lambda s: len(serving(s, "web")) == 2)
        passage.come_back()
        wait_for(lambda: followed.source.stats.mode == "push" and followed.source.stats.no_push == "")
        victim = web.running()[0]
        web.kill(victim)
        followed.until(lambda s: s.tasks[victim["ID"]].state == "failed")
        assert followed.source.stats.drift == 0
    assert [(entry["stream"], entry["mode"]) for entry in logged(logs, "stream_lost")] == [("push", "events")]
    assert [(entry["stream"], entry["mode"]) for entry in logged(logs, "stream_back")] == [("push", "push")]


# -- three managers ------------------------------------------------------------------------------------------


def follower_of(lab):
    """A manager that does not lead."""
    return next(node for node in lab.nodes.values() if node is not lab.leader)


def insist(action):
    """While a leader is being elected commands fail."""

    def done():
        with contextlib.suppress(LabError):
            action()
            return True
        return False

    wait_for(done)


def test_node_that_is_demoted_and_promoted(managers):
    """Its address as a manager is not in the store: it is listed until it is known, and again until it is gone.

    Of three: where one of two managers is demoted, the other is alone with half of the votes for a moment.
    """
    leader = managers.leader
    other = next(node for node in managers.nodes.values() if node is not leader)
    with pushed(leader, replace(SILENT, fast=0.2, slow=0.2)) as followed:
        assert pushing(followed).nodes[other.swarm_id].manager_address == other.address
        managers.node_update(other.name, "--role", "worker")
        followed.until(lambda s: s.nodes[other.swarm_id].manager_address == "")
        managers.node_update(other.name, "--role", "manager")
        followed.until(lambda s: s.nodes[other.swarm_id].manager_address == other.address)
        assert followed.source.stats.mode == "push"


def test_through_a_follower(managers):
    """A manager that does not lead pushes the same, and says the same as the leader lists."""
    node = follower_of(managers)
    with pushed(node) as followed:
        pushing(followed)
        web = managers.service("web", replicas=2, networks=[managers.network("front")], publish=[host_port()])
        followed.until(lambda s: len(serving(s, "web")) == 2)
        web.update("--args", "--version v2", "--update-parallelism", "0")
        assert_equal(node, followed)


def test_leader_moves(managers):
    """The stream of a follower survives the leader's end; the next leader's changes are pushed through it."""
    web = managers.service("web")
    node, leader = follower_of(managers), managers.leader
    with pushed(node) as followed:
        pushing(followed)
        leader.stop()
        insist(lambda: web.update("--label-add", "x=1", wait=False))
        followed.until(lambda s: service_of(s, "web").labels == {"x": "1"})
        assert followed.source.stats.mode == "push"
        assert followed.source.stats.reconnects == 0


def test_lost_quorum(managers):
    """Without a majority there are no changes, and nothing can be listed: what was known stays, then it goes on."""
    web = managers.service("web")
    node = follower_of(managers)
    others = [other for other in managers.nodes.values() if other is not node]
    with capture_logs() as logs, pushed(node, replace(SILENT, resync=1.0)) as followed:
        first = pushing(followed)
        for other in others:
            other.stop()
        wait_for(lambda: logged(logs, "source_failed"))
        for other in others:
            other.start()
        insist(lambda: web.update("--label-add", "x=1", wait=False))
        after = followed.until(lambda s: service_of(s, "web").labels == {"x": "1"})
        wait_for(lambda: followed.source.stats.mode == "push")
        assert after.networks is first.networks
        assert all(service_of(snapshot, "web") for snapshot in followed.snapshots)


def test_root_is_rotated(managers, tmp_path):
    """`docker swarm ca --rotate`: the stream goes on, and a new one is made with the new root."""
    node = follower_of(managers)
    with (
        Passage(tmp_path / "control.sock", node.control_socket) as passage,
        pushed(node, control_socket=passage.path) as followed,
    ):
        pushing(followed)
        before = managers.api("GET", "/swarm")["TLSInfo"]["TrustRoot"]
        managers.docker("swarm", "ca", "--rotate", "--quiet")
        assert managers.api("GET", "/swarm")["TLSInfo"]["TrustRoot"] != before
        passage.go_away()
        wait_for(lambda: followed.source.stats.mode == "events")
        passage.come_back()
        wait_for(lambda: followed.source.stats.mode == "push")
        managers.service("web")
        followed.until(lambda s: serving(s, "web"))
