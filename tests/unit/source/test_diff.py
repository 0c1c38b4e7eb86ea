"""`lbgen.source.diff`: what changed, in words, and when by Swarm's clock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbgen.snapshot import Cause, Network, Node, PublishedPort, Service, Snapshot, Task, moment
from lbgen.source.diff import between

NOW = 2_000_000_000.0
CREATED, UPDATED, STATE = "2026-11-23T01:00:00Z", "2026-11-23T02:00:00.25Z", "2026-11-23T03:00:00.5Z"

NODE = Node("n", "node2", updated_at=UPDATED)
SERVICE = Service("s", "web", replicas=3, created_at=CREATED, updated_at=UPDATED)
TASK = Task("t", "s", "n", 3, "running", "running", CREATED, UPDATED, STATE)
BEFORE = Snapshot(nodes={"n": NODE}, services={"s": SERVICE}, tasks={"t": TASK}, networks={"w": Network("w", "front")})


def after(**kinds):
    return replace(BEFORE, **kinds)


def told(snapshot, before=BEFORE):
    return [(cause.text, cause.at) for cause in between(before, snapshot, NOW)]


@pytest.mark.parametrize(
    ("changes", "text", "at"),
    [
        ({"state": "failed"}, "state failed", STATE),
        ({"desired_state": "shutdown"}, "desired state shutdown", UPDATED),
        ({"state": "failed", "desired_state": "shutdown"}, "state failed, desired state shutdown", UPDATED),
        ({"state": "failed", "state_at": ""}, "state failed", UPDATED),
        ({"state": "failed", "state_at": "", "updated_at": ""}, "state failed", ""),
        ({"ports": (PublishedPort(80),)}, "ports changed", UPDATED),
        ({"drain_asked": True}, "drained by an operator", UPDATED),
        ({"addresses": {"w": "10.0.0.2"}, "ports": (PublishedPort(80),)}, "addresses and ports changed", UPDATED),
        ({"updated_at": "2026-11-23T09:00:00Z"}, None, None),
    ],
)
def test_task(changes, text, at):
    """A state is its node's to say, and when; what is wanted is the manager's."""
    found = told(after(tasks={"t": replace(TASK, **changes)}))
    assert found == ([] if text is None else [(f"task web.3 on node2: {text}", moment(at) or NOW)])


def test_task_that_is_new_or_gone():
    """It is in some state already; of its end there is no time."""
    other = replace(TASK, id="u", slot=4, state="pending", node_id="")
    assert told(after(tasks={"u": other})) == [
        ("task web.4: new, state pending", moment(STATE)),
        ("task web.3 on node2: removed", NOW),
    ]


def test_names_of_tasks():
    """A global service's has its node only; a node or a service that is gone meanwhile is still named."""
    everywhere = replace(TASK, slot=0, state="failed")
    assert told(after(tasks={"t": everywhere}))[0][0] == "task web on node2: state failed"
    gone = after(services={}, nodes={}, tasks={})
    assert [text for text, _ in told(gone)] == [
        "node node2: removed",
        "service web: removed",
        "task web.3 on node2: removed",
    ]
    unknown = replace(TASK, node_id="x", state="failed")
    assert told(after(tasks={"t": unknown}))[0][0] == "task web.3 on x: state failed, node changed"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"labels": {"a": "b"}}, "labels changed"),
        ({"replicas": 5}, "replicas 3 to 5"),
        ({"update_state": "updating"}, "update updating"),
        ({"update_state": "updating", "replicas": 5, "ports": (PublishedPort(80),), "networks": ("w",)},
         "replicas 3 to 5, update updating, ports and networks changed"),
        ({"name": "shop", "mode": "global", "virtual_ips": {"w": "10.0.0.2"}},
         "name and mode and virtual addresses changed"),
        ({"updated_at": STATE}, "updated"),
    ],
)  # fmt: skip
def test_service(changes, text):
    """Another image is only seen by the time."""
    changed = replace(SERVICE, **changes)
    assert told(after(services={"s": changed})) == [(f"service {changed.name}: {text}", moment(changed.updated_at))]


def test_service_that_is_new():
    """Since it was made."""
    assert told(after(services={"s": SERVICE, "r": replace(SERVICE, id="r", name="new")})) == [
        ("service new: new", moment(CREATED))
    ]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"availability": "drain"}, "availability drain"),
        ({"drain_asked": True}, "drained by an operator"),
        ({"state": "down", "role": "manager"}, "state down, role manager"),
        ({"labels": {"zone": "eu"}}, "labels changed"),
        ({"manager_address": "10.0.0.1"}, "address changed"),
        ({"os": "linux"}, None),
    ],
)
def test_node(changes, text):
    """With the time of the store's change."""
    found = told(after(nodes={"n": replace(NODE, **changes)}))
    assert found == ([] if text is None else [(f"node node2: {text}", moment(UPDATED))])


def test_network():
    """There is little to tell."""
    networks = {"w": Network("w", "front", labels={"a": "b"}), "x": Network("x", "back")}
    assert told(after(networks=networks)) == [("network front: changed", NOW), ("network back: new", NOW)]
    assert told(after(networks={})) == [("network front: removed", NOW)]


def test_first_snapshot():
    """All is new: not worth a list."""
    assert between(Snapshot(), BEFORE, NOW) == (Cause("first snapshot: 1 services, 1 tasks, 1 nodes", NOW),)


def test_nothing():
    """The same objects; and equal ones, which a source would have kept."""
    assert told(BEFORE) == []
    assert told(after(tasks={"t": replace(TASK)}, nodes={"n": replace(NODE)}, services={"s": replace(SERVICE)})) == []


def test_many():
    """Twenty, and how many more; what the tasks follow from comes first."""
    tasks = {f"t{i:02}": replace(TASK, id=f"t{i:02}", slot=i + 1) for i in range(30)}
    before = replace(BEFORE, tasks=tasks)
    leaving = {id_: replace(task, desired_state="shutdown") for id_, task in tasks.items()}
    found = told(replace(before, tasks=leaving, nodes={"n": replace(NODE, availability="drain")}), before)
    assert len(found) == 21
    assert [text for text, _ in found[:2]] == [
        "node node2: availability drain",
        "task web.1 on node2: desired state shutdown",
    ]
    assert found[-1] == ("and 11 more", NOW)


def test_service_on_hosts():
    """It has its containers' times only: what changes with them is told when it is learnt."""
    on_hosts = replace(SERVICE, endpoint_mode="none")
    before = replace(BEFORE, services={"s": on_hosts})
    scaled = replace(before, services={"s": replace(on_hosts, replicas=2, updated_at=CREATED)})
    assert told(scaled, before) == [("service web: replicas 3 to 2", NOW)]
    assert told(replace(before, services={"s": replace(on_hosts, updated_at=CREATED)}), before) == []
    added = replace(before, services={"s": on_hosts, "t": replace(on_hosts, id="t", name="api")})
    assert told(added, before) == [("service api: new", NOW)]
