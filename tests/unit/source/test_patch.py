"""`lbgen.source.engine.patch`: single changes put into what is known. What did not change is the same object."""

from __future__ import annotations

import pytest

from lbgen.snapshot import Network, Node, Service, Task
from lbgen.source.engine.patch import doubtful, patched, tellable
from lbgen.source.facts import KINDS
from lbgen.source.mailbox import Change


def known():
    """Two services with a task each, on one manager."""
    return {
        "networks": {"w": Network("w", "front")},
        "nodes": {"n": Node("n", "n1", role="manager", manager_address="10.0.0.1")},
        "services": {"a": Service("a", "web"), "b": Service("b", "db")},
        "tasks": {"t": Task("t", "a", "n"), "u": Task("u", "b", "n")},
    }


def versions(**of_ids):
    """Everything has version 5, unless it is said otherwise."""
    return {kind: {id_: of_ids.get(id_, 5) for id_ in items} for kind, items in known().items()}


def test_one_task():
    """It is another one; all else is the very same."""
    before = known()
    task = Task("t", "a", "n", state="failed")
    after = patched(before, versions(), [Change("tasks", "t", task, 6)])
    assert after["tasks"]["t"] is task
    assert after["tasks"]["u"] is before["tasks"]["u"]
    assert all(after[kind] is before[kind] for kind in KINDS if kind != "tasks")
    assert before == known()


def test_nothing_new():
    """An equal object, and the end of one that is not known, change nothing at all."""
    before = known()
    changes = [Change("tasks", "t", Task("t", "a", "n"), 6), Change("services", "x", None, 6)]
    after = patched(before, versions(), changes)
    assert all(after[kind] is before[kind] for kind in KINDS)


def test_id_order_is_kept():
    """New ones are put in their places; changed ones stay in theirs."""
    changes = [Change("tasks", id_, Task(id_, "a"), 6) for id_ in ("z", "k", "t", "b")]
    assert list(patched(known(), versions(), changes)["tasks"]) == ["b", "k", "t", "u", "z"]


def test_several_changes_of_one_object():
    """The last one counts."""
    changes = [Change("tasks", "t", Task("t", "a", state=state), version) for version, state in enumerate("xyz", 6)]
    assert patched(known(), versions(), changes)["tasks"]["t"].state == "z"
    assert "t" not in patched(known(), versions(), [*changes, Change("tasks", "t", None, 9)])["tasks"]


@pytest.mark.parametrize(("version", "expected"), [(4, "new"), (5, "failed"), (6, "failed")])
def test_older_than_the_listing(version, expected):
    """A manager that is not the leader lags behind the listing, which the leader answered. Equal is no older."""
    change = Change("tasks", "t", Task("t", "a", "n", state="failed"), version)
    assert patched(known(), versions(), [change])["tasks"]["t"].state == expected


def test_versions_are_kept():
    """A change is measured against the one before it as well."""
    seen = versions()
    first = patched(known(), seen, [Change("tasks", "t", Task("t", "a", state="running"), 9)])
    assert seen["tasks"]["t"] == 9
    late = Change("tasks", "t", Task("t", "a", state="starting"), 8)
    assert patched(first, seen, [late])["tasks"]["t"].state == "running"


def test_networks_have_no_version_in_listings():
    """There the newest message wins."""
    change = Change("networks", "w", Network("w", "renamed"), 3)
    facts, seen = known(), versions() | {"networks": {}}
    assert patched(facts, seen, [change])["networks"]["w"].name == "renamed"


def test_service_that_goes_takes_its_tasks_along():
    """They outlive it for seconds, and are told of until they have stopped."""
    seen = versions()
    after = patched(known(), seen, [Change("services", "a", None, 6)])
    assert list(after["services"]) == ["b"]
    assert list(after["tasks"]) == ["u"]
    later = patched(after, seen, [Change("tasks", "t", Task("t", "a", "n", state="shutdown"), 7)])
    assert later["tasks"] is after["tasks"]


def test_service_that_comes_with_its_tasks():
    """In the order of the store: the service first."""
    changes = [Change("services", "c", Service("c", "new"), 6), Change("tasks", "v", Task("v", "c"), 6)]
    assert "v" in patched(known(), versions(), changes)["tasks"]


def test_address_of_a_manager_is_kept():
    """No message has it; a node that is new has none until the nodes are listed."""
    changes = [
        Change("nodes", "n", Node("n", "n1", role="manager", availability="drain"), 6),
        Change("nodes", "m", Node("m", "n2"), 6),
    ]
    nodes = patched(known(), versions(), changes)["nodes"]
    assert nodes["n"] == Node("n", "n1", role="manager", availability="drain", manager_address="10.0.0.1")
    assert nodes["m"].manager_address == ""


@pytest.mark.parametrize(
    ("role", "address", "expected"),
    [("manager", "10.0.0.1", False), ("manager", "", True), ("worker", "", False), ("worker", "10.0.0.1", True)],
)
def test_doubtful(role, address, expected):
    """Just promoted, or just demoted."""
    assert doubtful({"n": Node("n", "n1", role=role, manager_address=address)}) is expected


def test_tellable():
    """Nobody tells of a manager's address alone, but of everything else."""
    old = {id_: Node(id_, id_, manager_address="10.0.0.1") for id_ in "abc"}
    new = {
        "a": Node("a", "a", manager_address="10.0.0.2"),
        "b": Node("b", "b", manager_address="10.0.0.2", state="down"),
        "d": Node("d", "d"),
    }
    assert tellable(old, new, {"a", "b", "c", "d"}) == {"b", "c", "d"}
