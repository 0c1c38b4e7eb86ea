"""`EngineSource` with a control socket: a fake Watch service over TLS beside the fake Engine API.

Nothing here measures time: intervals are short so that tests are quick, and long where something must not happen by
itself. What the engine would list is changed together with what the manager pushes, except where a test is about the
difference.
"""

from __future__ import annotations

import contextlib
import copy
import os
import random
import socket
import threading

import pytest
from structlog.testing import capture_logs

from lbgen.base.errors import SourceError
from lbgen.snapshot import moment
from lbgen.source import decode
from lbgen.source.engine.api import PATHS
from lbgen.source.engine.endpoints import Endpoint
from lbgen.source.engine.schedule import Pace
from lbgen.source.engine.source import EngineSource
from lbgen.source.swarmkit import watch
from tests.support.fake_engine import FakeEngine, recorded
from tests.support.fake_manager import CREATE, REMOVE, UPDATE, WATCHED, FakeManager, message
from tests.support.following import Following
from tests.support.tls import Authority
from tests.support.wait import wait_for

NEVER = 10_000.0
QUICK = {"retry_min": 0.01, "retry_max": 0.05, "settle": 0.01, "grace": 0.05, "timeout": 5.0}
# Nothing is listed but what pushes, events, reconnecting and `relist` ask for.
TOLD = Pace(fast=NEVER, slow=NEVER, resync=NEVER, excited=0.0, head_start=NEVER, **QUICK)
RESYNCING = Pace(fast=NEVER, slow=NEVER, resync=0.1, excited=0.0, head_start=NEVER, **QUICK)


class Cluster:
    """An engine and a manager that tell of the same objects."""

    def __init__(self, directory):
        self.engine = FakeEngine(directory / "docker.sock")
        self.use(Authority(directory / "ca"))
        self.manager = FakeManager(directory / "control.sock", self.authority, self.engine.requests)

    def use(self, authority):
        """The cluster's root is this one's from now on."""
        self.authority = authority
        self.engine.replies["swarm"] = {"TLSInfo": {"TrustRoot": authority.ca.read_text()}}

    def stop(self):
        self.manager.stop()
        self.engine.stop()

    def source(self, pace=TOLD, control_socket=None, endpoint=None):
        path = control_socket or str(self.manager.path)
        return EngineSource([endpoint or self.engine.endpoint], pace=pace, rng=random.Random(1), control_socket=path)

    def task(self, index=0):
        """One of a service's running tasks."""
        return self.engine.tasks_of("shop")[index]

    def change(self, kind, item, push=True, list_=True, **values):
        """Change an object at some keys, "Status.State" as Status__State; its version grows. Returns it."""
        changed = copy.deepcopy(item)
        for path, value in values.items():
            *way, last = path.split("__")
            target = changed
            for key in way:
                target = target[key]
            target[last] = value
        changed["Version"]["Index"] += 1
        if list_:
            self.put(kind, changed)
        if push:
            self.manager.push((kind, changed))
        return changed

    def put(self, kind, item):
        """Have the engine list it."""
        others = [other for other in self.engine.replies[kind] if other["ID"] != item["ID"]]
        self.engine.replies[kind] = [*others, item]

    def listings(self):
        return sum(self.engine.count(f"/{kind}") for kind in ("nodes", "services", "tasks", "networks"))


@pytest.fixture
def cluster(tmp_path):
    """A manager of the recorded cluster, with its control socket."""
    made = Cluster(tmp_path)
    yield made
    made.stop()


def state_of(task):
    """A function of snapshots: the task's state."""
    return lambda snapshot: snapshot.tasks[task["ID"]].state


def in_state(task, state):
    """A predicate on snapshots."""
    return lambda snapshot: state_of(task)(snapshot) == state


def pushed(following):
    """Wait until the stream is in use and everything was listed after it."""
    first = following.next()
    wait_for(lambda: following.source.stats.mode == "push")
    return first


def logged(logs, event):
    return [entry for entry in logs if entry["event"] == event]


# -- following -----------------------------------------------------------------------------------------------


def test_subscribes_then_lists(cluster):
    """The whole cluster, once, after the manager has said that it tells of changes; no event stream at all."""
    with Following(cluster.source()) as following:
        first = pushed(following)
        assert first == decode.snapshot(
            *(recorded(kind) for kind in ("nodes", "services", "tasks", "networks")), cluster=first.cluster
        )
        assert following.source.stats.listings == 1
        assert [cluster.engine.count(path) for path in ("/nodes", "/services", "/tasks")] == [1, 1, 1]
    asked = cluster.engine.requests
    assert asked.index(WATCHED) < min(asked.index(("GET", f"/{kind}")) for kind in ("nodes", "services", "tasks"))
    assert ("GET", "/events") not in asked
    assert set(asked) - {WATCHED} <= {("GET", path) for path in PATHS}
    assert len(cluster.manager.calls) == 1


def test_task(cluster):
    """Pushed, handed on with its cause and Swarm's time, and nothing else asked or changed."""
    with Following(cluster.source()) as following:
        first, task = pushed(following), cluster.task()
        before = cluster.listings()
        cluster.change("tasks", task, Status__State="failed", Status__Timestamp="2026-11-23T01:02:03.5Z")
        second = following.next()
        assert state_of(task)(second) == "failed"
        assert all(getattr(second, kind) is getattr(first, kind) for kind in ("nodes", "services", "networks"))
        assert [id_ for id_ in first.tasks if first.tasks[id_] is not second.tasks[id_]] == [task["ID"]]
        assert second.listing == first.listing
        assert [(cause.text, cause.at) for cause in second.causes] == [
            (f"task shop.{task['Slot']} on {name_of(first, task)}: state failed", moment("2026-11-23T01:02:03.5Z"))
        ]
        assert cluster.listings() == before
        assert following.source.stats.drift == 0


def name_of(snapshot, task):
    return snapshot.nodes[task["NodeID"]].hostname


def test_one_change_costs_one_object(cluster):
    """With 200 services of two tasks: one object read, no request sent, one object new; counted, not timed."""
    service, task = cluster.engine.service("shop"), cluster.task()
    services, tasks = [], []
    for number in range(200):
        made = copy.deepcopy(service) | {"ID": f"service{number:03}"}
        made["Spec"]["Name"] = f"service{number:03}"
        services.append(made)
        tasks += [copy.deepcopy(task) | {"ID": f"task{number:03}.{i}", "ServiceID": made["ID"]} for i in (1, 2)]
    cluster.engine.replies |= {"services": services, "tasks": tasks}
    with Following(cluster.source()) as following:
        first = pushed(following)
        assert (len(first.services), len(first.tasks)) == (200, 400)
        requests, objects = len(cluster.engine.requests), following.source.stats.objects
        assert objects == 600 + len(recorded("nodes")) + len(recorded("networks"))
        cluster.change("tasks", tasks[77], DesiredState="shutdown")
        second = following.next()
        assert following.source.stats.objects == objects + 1
        assert len(cluster.engine.requests) == requests
        assert following.source.stats.listings == 1
    assert second.services is first.services
    assert sum(first.tasks[id_] is not task for id_, task in second.tasks.items()) == 1


def test_many_changes_while_the_consumer_is_busy(cluster):
    """One snapshot with all of them; not one for each, and none twice."""
    tasks = cluster.engine.tasks_of("shop")
    source = cluster.source()
    snapshots = source.follow()
    next(snapshots)
    wait_for(lambda: source.stats.mode == "push")
    for number in range(50):
        cluster.change(
            "tasks", tasks[number % len(tasks)], Status__State="running", UpdatedAt=f"{2000 + number}-01-01T00:00:00Z"
        )
    last = {tasks[number % len(tasks)]["ID"]: 2000 + number for number in range(50)}
    newest = {(id_, f"{year}-01-01T00:00:00Z") for id_, year in last.items()}
    wait_for(lambda: {(change.id, change.item.updated_at) for change in source.mailbox.unread.changes} == newest)
    found = next(snapshots)
    assert {id_: found.tasks[id_].updated_at[:4] for id_ in last} == {id_: str(year) for id_, year in last.items()}
    assert source.mailbox.unread.changes == ()
    snapshots.close()
    wait_for(lambda: cluster.manager.streams == 0)


def test_transaction_is_one_snapshot(cluster):
    """A service and its task, made together, are seen together."""
    service, task = copy.deepcopy(cluster.engine.service("shop")), copy.deepcopy(cluster.task())
    service |= {"ID": "new-service"}
    task |= {"ID": "new-task", "ServiceID": "new-service"}
    with Following(cluster.source()) as following:
        pushed(following)
        cluster.manager.push(("services", service, CREATE), ("tasks", task, CREATE))
        second = following.next()
        assert "new-service" in second.services
        assert "new-task" in second.tasks
        cluster.manager.push(("tasks", task, REMOVE), ("services", service, REMOVE))
        third = following.next()
        assert third.services.keys().isdisjoint({"new-service"})
        assert third.tasks.keys().isdisjoint({"new-task"})


def test_nothing_is_yielded_for_nothing(cluster):
    """What is equal to before, and tasks of no service, are no news."""
    with Following(cluster.source()) as following:
        pushed(following)
        objects = following.source.stats.objects
        cluster.manager.push(("tasks", cluster.task()), ("services", cluster.engine.service("shop")))
        cluster.manager.push(("tasks", cluster.task() | {"ID": "other", "ServiceID": ""}))
        wait_for(lambda: following.source.stats.objects == objects + 3)
        assert following.pending == 0


def test_relist(cluster):
    """A new listing, handed on even if it says the same."""
    with Following(cluster.source()) as following:
        first = pushed(following)
        following.source.relist()
        second = following.next()
        assert second.listing > first.listing
        assert second.tasks is first.tasks
        assert second.causes == ()


# -- streams and listings against each other -----------------------------------------------------------------


def test_pushed_during_a_listing(cluster):
    """What the listing does not have yet is in the snapshot all the same: the push is the newer one."""
    task = cluster.task()

    def push(path):
        if path == "/tasks":
            cluster.engine.before_reply = None
            cluster.change("tasks", task, list_=False, Status__State="failed")
            wait_for(lambda: source.mailbox.unread.changes)

    source = cluster.source()
    with Following(source) as following:
        pushed(following)
        cluster.engine.before_reply = push
        following.source.relist()
        assert state_of(task)(following.next()) == "failed"
        assert following.pending == 0


def test_pushed_late(cluster):
    """A manager that is not the leader lags behind the leader's listing: what is older than that changes nothing."""
    task = cluster.task()
    with Following(cluster.source()) as following:
        pushed(following)
        running = cluster.change("tasks", task, push=False, DesiredState="running")
        leaving = cluster.change("tasks", running, push=False, DesiredState="shutdown")
        following.source.relist()
        assert following.next().tasks[task["ID"]].desired_state == "shutdown"
        objects = following.source.stats.objects
        for number, late in enumerate((running, leaving), 1):  # of what is unread, only an object's newest is kept
            cluster.manager.push(("tasks", late))
            wait_for(lambda read=objects + number: following.source.stats.objects == read)
        assert following.pending == 0
        assert following.source.stats.drift == 0


def test_drift(cluster):
    """A resync finds what was not pushed: counted by object, said, and the stream replaced."""
    with capture_logs() as logs, Following(cluster.source(RESYNCING)) as following:
        pushed(following)
        tasks = cluster.engine.tasks_of("shop")[:2]
        cluster.manager.push(("tasks", cluster.engine.tasks_of("inner")[0]))
        for task in tasks:
            cluster.change("tasks", task, push=False, Status__State="failed")
        following.until(lambda s: all(in_state(task, "failed")(s) for task in tasks))
        wait_for(lambda: following.source.stats.drift == 2)
        wait_for(lambda: len(cluster.manager.calls) == 2)
        wait_for(lambda: following.source.stats.mode == "push")
        cluster.change("tasks", cluster.engine.tasks_of("inner")[0], Status__State="failed")
        following.until(in_state(cluster.engine.tasks_of("inner", "failed")[0], "failed"))
        assert following.source.stats.drift == 2
    assert [entry["tasks"] for entry in logged(logs, "source_drift")] == [2]


def test_push_that_was_under_way_is_no_drift(cluster):
    """A message about another object of the kind proves nothing; the one about this object does."""
    pace = Pace(fast=NEVER, slow=NEVER, resync=0.05, excited=0.0, head_start=NEVER, **QUICK | {"grace": NEVER})
    with Following(cluster.source(pace)) as following:
        pushed(following)
        late, other = cluster.engine.tasks_of("shop")[:2]
        changed = cluster.change("tasks", late, push=False, Status__State="failed")
        following.until(in_state(late, "failed"))
        suspects = following.source.follower.drift.suspects
        cluster.change("tasks", other, Status__State="failed")
        following.until(in_state(other, "failed"))
        assert suspects == {"tasks": {late["ID"]}}
        cluster.manager.push(("tasks", changed))
        wait_for(lambda: not suspects)


def test_manager_address_of_a_promoted_node(cluster):
    """It is in no message: nodes are listed until they have it, and nothing of that is drift."""
    node = cluster.engine.replies["nodes"][1]
    status = node.pop("ManagerStatus")
    node["Spec"]["Role"] = "worker"
    pace = Pace(fast=0.01, slow=0.01, resync=NEVER, excited=0.0, head_start=NEVER, **QUICK)
    with Following(cluster.source(pace)) as following:
        pushed(following)
        assert cluster.engine.count("/nodes") == 1
        promoted = cluster.change("nodes", node, Spec__Role="manager")
        following.until(lambda s: s.nodes[node["ID"]].role == "manager")
        wait_for(lambda: cluster.engine.count("/nodes") > 3)
        assert cluster.engine.count("/tasks") == 1
        cluster.put("nodes", promoted | {"ManagerStatus": status})
        following.until(lambda s: s.nodes[node["ID"]].manager_address == status["Addr"].partition(":")[0])
        drained = cluster.change("nodes", promoted, Spec__Availability="drain", list_=False)
        cluster.put("nodes", drained | {"ManagerStatus": status})
        last = following.until(lambda s: s.nodes[node["ID"]].availability == "drain")
        assert last.nodes[node["ID"]].manager_address == status["Addr"].partition(":")[0]
        listed = cluster.engine.count("/nodes")
        threading.Event().wait(0.2)
        assert cluster.engine.count("/nodes") - listed <= 1
        assert following.source.stats.drift == 0


# -- falling back and coming back ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["ended", "gone for a while", "garbage", "nonsense"])
def test_stream_breaks(cluster, how):
    """Events carry on at once, push comes back, and what happened meanwhile is found; the log says both."""
    with capture_logs() as logs, Following(cluster.source()) as following:
        pushed(following)
        task = cluster.task()
        if how == "ended":
            cluster.change("tasks", task, push=False, Status__State="failed")
            cluster.manager.end()
        elif how == "gone for a while":
            cluster.manager.stop()
            wait_for(lambda: following.source.stats.mode == "events")
            wait_for(lambda: "no such file or directory" in following.source.stats.no_push)
            cluster.change("tasks", task, push=False, Status__State="failed")
            cluster.engine.tell("service")
            following.until(in_state(task, "failed"))
            cluster.manager.start()
        else:
            cluster.change("tasks", task, push=False, Status__State="failed")
            cluster.manager.send(b"\xff" if how == "garbage" else message(("services", with_port(cluster, 70000))))
        if how != "gone for a while":
            following.until(in_state(task, "failed"))
        wait_for(lambda: len(cluster.manager.calls) == 2 and following.source.stats.mode == "push")
        wait_for(lambda: logged(logs, "stream_back"))
        wait_for(lambda: cluster.engine.streams == 0)
        changed = cluster.change("tasks", cluster.task(), Status__State="failed")
        following.until(in_state(changed, "failed"))
        assert following.source.stats.drift == 0
        assert following.source.stats.no_push == ""
    [lost], [back] = logged(logs, "stream_lost"), logged(logs, "stream_back")
    assert (lost["stream"], lost["mode"]) == ("push", "events")
    assert (back["stream"], back["mode"]) == ("push", "push")
    assert lost["error"].startswith(f"control socket {cluster.manager.path}: ")
    assert {"garbage": "not a message of the Watch", "nonsense": "70000 is not a port"}.get(how, "") in lost["error"]


def with_port(cluster, port):
    """A service as no engine would list it."""
    service = copy.deepcopy(cluster.engine.service("shop"))
    service["Endpoint"]["Ports"][0]["TargetPort"] = port
    return service


def test_manager_that_never_says_subscribed(cluster):
    """After a head start events carry on; when the time is up the log says so, and it is tried again."""
    cluster.manager.first = None
    pace = Pace(fast=NEVER, slow=NEVER, resync=NEVER, head_start=0.01, **QUICK | {"timeout": 0.3})
    with capture_logs() as logs, Following(cluster.source(pace)) as following:
        following.next()
        assert following.source.stats.mode == "events"
        cluster.engine.label("shop", "1")
        following.until(lambda s: any(service.labels.get("test") == "1" for service in s.services.values()))
        wait_for(lambda: len(cluster.manager.calls) > 1)
        cluster.manager.first = b""
        wait_for(lambda: following.source.stats.mode == "push")
    assert "no answer for 0.3 s" in logged(logs, "stream_lost")[0]["error"]


def test_manager_that_begins_with_something_else(cluster):
    """Then nothing is known of what was missed: not used."""
    cluster.manager.first = message(("tasks", cluster.task()))
    with capture_logs() as logs, Following(cluster.source()) as following:
        following.next()
        wait_for(lambda: following.source.stats.mode == "events")
    assert "did not begin by saying that it has subscribed us" in logged(logs, "stream_lost")[0]["error"]


def test_root_is_rotated(cluster, tmp_path):
    """The next connection is made with the root that `GET /swarm` tells by then."""
    with Following(cluster.source()) as following:
        pushed(following)
        cluster.use(Authority(tmp_path / "new"))
        cluster.manager.stop()
        cluster.manager.authority = cluster.authority
        cluster.manager.start()
        wait_for(lambda: len(cluster.manager.calls) == 2 and following.source.stats.mode == "push")
        task = cluster.change("tasks", cluster.task(), Status__State="failed")
        following.until(in_state(task, "failed"))


def test_socket_of_another_cluster(cluster, tmp_path):
    """Its certificate gives it away: not one message is read."""
    cluster.use(Authority(tmp_path / "other"))
    with capture_logs() as logs, Following(cluster.source()) as following:
        following.next()
        wait_for(lambda: cluster.engine.count("/swarm") > 2)
        assert following.source.stats.mode == "events"
    assert cluster.manager.calls == []
    assert len(logged(logs, "stream_lost")) == 1
    error = logged(logs, "stream_lost")[0]["error"]
    assert "its certificate is not trusted (" in error
    assert error.endswith("is it the socket of a manager of this very cluster?")


def test_engine_that_moves_to_another_cluster(cluster):
    """What the other cluster pushes is never taken for this one's."""
    with capture_logs() as logs, Following(cluster.source()) as following:
        pushed(following)
        cluster.engine.replies["info"]["Swarm"]["Cluster"]["ID"] = "another"
        cluster.manager.end()
        wait_for(lambda: logged(logs, "source_failed"))
        cluster.change("tasks", cluster.task(), Status__State="failed")
        wait_for(lambda: cluster.engine.count("/info") > 5)
        assert following.pending == 0


def test_proxy_that_forbids_the_root(cluster):
    """Without `GET /swarm` there is no push; what to allow is said."""
    cluster.engine.failures["/swarm"] = (403, "forbidden")
    with capture_logs() as logs, Following(cluster.source()) as following:
        following.next()
        assert following.source.stats.mode == "events"
    assert "GET /swarm is forbidden" in logged(logs, "stream_lost")[0]["error"]
    assert "a socket proxy must allow GET to" in logged(logs, "stream_lost")[0]["error"]


# -- the socket ----------------------------------------------------------------------------------------------


def test_auto_beside_a_unix_endpoint(cluster, monkeypatch):
    """The well-known path is tried; that it is not there is said once, and no warning."""
    monkeypatch.setattr(watch, "WELL_KNOWN", str(cluster.manager.path))
    cluster.manager.stop()
    with capture_logs() as logs, Following(cluster.source(control_socket="auto")) as following:
        following.next()
        assert following.source.stats.mode == "events"
        assert f"control socket {cluster.manager.path}: no such file" in following.source.stats.no_push
        cluster.manager.start()
        wait_for(lambda: following.source.stats.mode == "push")
    [entry] = logged(logs, "stream_lost")
    assert entry["log_level"] == "info"
    assert "mount its directory" in entry["error"]


@pytest.mark.parametrize(
    ("setting", "host", "expected"),
    [
        ("auto", "unix:///var/run/docker.sock", 1),
        ("auto", "tcp://10.0.0.1:2376", 0),
        ("auto", "ssh://manager", 0),
        ("off", "unix:///var/run/docker.sock", 0),
        ("/run/control.sock", "unix:///var/run/docker.sock", 1),
        ("/run/control.sock", "tcp://10.0.0.1:2376", 1),
    ],
)
def test_when_push_is_tried(setting, host, expected):
    """A path that was given beside every endpoint: any manager of the cluster will do."""
    assert len(watch.stream_kinds(setting, Endpoint(host, host))) == expected


def test_off(cluster):
    """Nobody asks for the root, and nothing is said."""
    with capture_logs() as logs, Following(cluster.source(control_socket="off")) as following:
        following.next()
        assert following.source.stats.mode == "events"
        assert following.source.stats.no_push == ""
    assert cluster.engine.count("/swarm") == 0
    assert logged(logs, "stream_lost") == []


@pytest.mark.parametrize(
    ("kind", "promised", "level", "said"),
    [
        ("nothing", True, "warning", "no such file or directory: on a manager, mount its directory"),
        ("nothing", False, "info", "no such file or directory: on a manager, mount its directory"),
        ("a file for a directory", True, "warning", "not a directory: on a manager"),
        ("directory", False, "warning", "no socket, or nobody behind it"),
        ("dead", True, "warning", "no socket, or nobody behind it"),
        ("no TLS", True, "warning", "is it the socket of a manager of this very cluster?"),
    ],
)
def test_unusable_sockets(cluster, tmp_path, monkeypatch, kind, promised, level, said):
    """One line with the remedy, and events; whatever else may be there."""
    path = tmp_path / "x" / "control.sock"
    path.parent.mkdir()
    if kind == "a file for a directory":
        path.parent.rmdir()
        path.parent.touch()
    elif kind == "directory":
        path.mkdir()
    elif kind == "dead":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))
    elif kind == "no TLS":
        path.symlink_to(cluster.engine.path)
    monkeypatch.setattr(watch, "WELL_KNOWN", str(path))
    source = cluster.source(control_socket=str(path) if promised else "auto")
    with capture_logs() as logs, Following(source) as following:
        following.next()
        assert following.source.stats.mode == "events"
        assert said in following.source.stats.no_push
    [entry] = logged(logs, "stream_lost")
    assert entry["log_level"] == level
    assert f"control socket {path}: " in entry["error"]
    assert said in entry["error"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_socket_of_root(cluster):
    """Anybody else is told that it is root's alone, and what to do: a child process finds out."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        with contextlib.suppress(BaseException):
            os.setresuid(65534, 65534, 65534)
            try:
                watch.connect(str(cluster.manager.path), 1.0, promised=False)
            except SourceError as error:
                os.write(writer, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with open(reader) as said:  # noqa: PTH123 -- a pipe
        assert said.read() == (
            f"control socket {cluster.manager.path}: permission denied: dockerd gives it to root alone: run lbgen as "
            'root (user: "0:0" in a stack file); set source.docker.control_socket to off to do without it'
        )


# -- closing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["idle", "never subscribed", "fallen back"])
def test_close(cluster, when):
    """follow() ends, and no call stays open."""
    pace = Pace(fast=NEVER, slow=NEVER, resync=NEVER, head_start=0.01 if when != "idle" else NEVER, **QUICK)
    if when == "never subscribed":
        cluster.manager.first = None
    elif when == "fallen back":
        cluster.manager.stop()
    with Following(cluster.source(pace)) as following:
        following.next()
        wait_for(lambda: following.source.stats.mode == ("push" if when == "idle" else "events"))
        threads = {thread.name for thread in threading.enumerate()}
        assert ("lbgen-source-push" in threads) == (when != "fallen back")
    wait_for(lambda: cluster.manager.streams == 0 and cluster.engine.streams == 0)
    wait_for(lambda: "lbgen-source-push" not in {thread.name for thread in threading.enumerate()})


def test_update_is_the_default_action():
    """Of the helper that these tests rest on."""
    assert message(("tasks", recorded("tasks")[0])) == message(("tasks", recorded("tasks")[0], UPDATE))
