"""Containers of several hosts as one snapshot."""

import pytest

from lbgen.snapshot import Network, PublishedPort, Snapshot
from lbgen.source import decode, encode
from lbgen.source.hosts.containers import Container
from lbgen.source.hosts.grouping import EngineFacts, Moments, Seniority, host_snapshot, merged, stamp_of
from lbgen.source.hosts.host import Host

A = Host("a", "unix:///a", "192.0.2.11", {"zone": "eu"}, ("front",))
B = Host("b", "unix:///b", "192.0.2.12")
LINUX = EngineFacts("linux", "x86_64", {"disk": "ssd"}, {"front": Network("n1", "front", "bridge", labels={"x": "y"})})


def a_container(id_="c1", service="shop_web", number=1, state="running", created=100, ports=(8080,), **values):
    """A container that publishes port 80 so."""
    published = tuple(PublishedPort(80, number, "tcp", "host") for number in ports)
    return Container(id_, service, number, state, created, values.pop("labels", {}), published, **values)


def of(host, *containers, moments=Moments(), seniority=None):  # noqa: B008 -- frozen
    """A host's snapshot."""
    return host_snapshot(host, containers, LINUX, moments, seniority or Seniority())


def both(on_a, on_b, seniority=None):
    """What two hosts make together."""
    return merged(Snapshot(), [of(A, *on_a), of(B, *on_b)], seniority or Seniority())


def test_a_host_is_a_node():
    """With address and labels of the settings, the rest as the engine says."""
    (node,) = of(A).nodes.values()
    assert (node.id, node.hostname, node.role, node.address, node.labels) == ("a", "a", "host", "192.0.2.11", A.labels)
    assert (node.os, node.arch, node.engine_labels, node.state) == ("linux", "x86_64", {"disk": "ssd"}, "ready")


def test_a_service_on_two_hosts():
    """One service, with a task for each container."""
    found = both([a_container("c1"), a_container("c2", number=2)], [a_container("c3", ports=(32768,))])
    (service,) = found.services.values()
    assert (service.name, service.replicas, service.on_hosts) == ("shop_web", 3, True)
    assert [(task.node_id, task.slot, task.state, task.service_id) for task in found.tasks.values()] == [
        ("a", 1, "running", "shop_web"),
        ("a", 2, "running", "shop_web"),
        ("b", 1, "running", "shop_web"),
    ]
    assert set(found.nodes) == {"a", "b"}


@pytest.mark.parametrize(
    ("on_a", "on_b", "published"),
    [
        ([(8080,)], [(8080,)], [8080]),
        ([(32768,), (32769,)], [], [0]),
        ([(32768,)], [(32768,)], [32768]),
        ([(32768,)], [(40000,)], [0]),
        ([(8080,)], [()], [8080]),
        ([()], [()], []),
        ([(8080, 8081)], [(8081, 8080)], [8080, 8081]),
        ([(8080, 8081)], [(8080,)], [0]),
        ([(0,)], [(8080,)], [0]),
    ],
)
def test_ports_of_a_service(on_a, on_b, published):
    """The number that all have; 0 where they have different ones, since each task says its own."""
    found = both(
        [a_container(f"a{index}", ports=ports) for index, ports in enumerate(on_a)],
        [a_container(f"b{index}", ports=ports) for index, ports in enumerate(on_b)],
    )
    assert [port.published for port in found.services["shop_web"].ports] == published
    assert all((port.target, port.mode) == (80, "host") for port in found.services["shop_web"].ports)


def test_labels_that_differ():
    """Each with a container that differs from the newest one that has a process; of others nothing is told."""
    old, new = {"lbgen.host": "old.org", "lbgen.path": "/"}, {"lbgen.host": "new.org"}
    assert both([a_container("c1", labels=new)], [a_container("c2", labels=new)]).services["shop_web"].unlike == {}
    one = of(A, a_container("c1", labels=old), a_container("c2", labels=new, created=200))
    assert one.services["shop_web"].unlike == {"lbgen.host": "c1 on a", "lbgen.path": "c1 on a"}
    ended = of(A, a_container("c1", labels=old, state="exited"), a_container("c2", labels=new, created=200))
    assert ended.services["shop_web"].unlike == {}
    two = both(
        [a_container("c1", labels=old), a_container("c0", labels=old)], [a_container("c2", labels=new, created=200)]
    )
    assert two.services["shop_web"].unlike == {"lbgen.host": "c1 on a", "lbgen.path": "c1 on a"}
    gone = both([a_container("c1", labels=old, state="exited")], [a_container("c2", labels=new, created=200)])
    assert gone.services["shop_web"].unlike == {}
    assert decode.service(encode.item("services", two.services["shop_web"])) == two.services["shop_web"]


def test_labels_of_the_newest():
    """Of the newest container that has a process, on whatever host; where none has, of the newest."""
    old, new = {"lbgen.host": "old.org"}, {"lbgen.host": "new.org"}

    def labels(on_a, on_b):
        return both([on_a], [on_b]).services["shop_web"].labels

    assert labels(a_container("c1", labels=old), a_container("c2", created=200, labels=new)) == new
    assert labels(a_container("c1", created=200, labels=new), a_container("c2", labels=old)) == new
    ended = a_container("c2", created=200, labels=new, state="exited")
    assert labels(a_container("c1", labels=old), ended) == old
    assert labels(a_container("c1", labels=old, state="exited"), ended) == new
    on_one = of(A, a_container("c1", labels=old), a_container("c2", created=200, labels=new))
    assert on_one.services["shop_web"].labels == new
    assert of(A, a_container("c1", labels=old), ended).services["shop_web"].labels == old


def test_seniority():
    """A service that is deployed anew stays as old as it was, also over a moment without any container."""
    seniority = Seniority()
    first = of(A, a_container(created=100), seniority=seniority).services["shop_web"].created_at
    assert not of(A, seniority=seniority).services
    again = of(A, a_container("c2", created=900), seniority=seniority).services["shop_web"]
    assert (again.created_at, again.updated_at) == (first, "1970-01-01T00:15:00Z")
    older = merged(Snapshot(), [of(A, a_container(created=50))], seniority).services["shop_web"].created_at
    assert older < first
    assert of(A, a_container(created=100), seniority=seniority).services["shop_web"].created_at == older


def test_seniority_is_bounded(monkeypatch):
    """Of too many services those that were seen first are forgotten."""
    monkeypatch.setattr(Seniority, "MOST", 2)
    seniority = Seniority()
    for name in ("x", "y", "z"):
        seniority.of(name, "2026-01-01T00:00:00Z")
    assert seniority.of("x", "2026-02-01T00:00:00Z") == "2026-02-01T00:00:00Z"
    assert seniority.of("z", "2026-02-01T00:00:00Z") == "2026-01-01T00:00:00Z"


def test_networks():
    """A network of one name is one network, whatever hosts it is on; it is as the engine describes it."""
    on = {"addresses": {"front": "172.18.0.2"}, "networks": ("front",)}
    found = both([a_container("c1", **on)], [a_container("c2", addresses={"host": "192.0.2.12"}, networks=("host",))])
    assert found.networks == {
        "front": Network("front", "front", "bridge", labels={"x": "y"}),
        "host": Network("host", "host", "host"),
    }
    assert found.services["shop_web"].networks == ("front", "host")
    assert found.tasks["c1"].addresses == {"front": "172.18.0.2"}


def test_stopping_and_moments():
    """A container that Docker is about to stop is no longer wanted, since then."""
    at = stamp_of(1_795_000_000_123_456_789)
    found = of(A, a_container("c1"), a_container("c2"), moments=Moments({"c1": at}, {"c1"}))
    assert at == "2026-11-18T11:06:40.123456Z"
    assert [(task.desired_state, task.state_at) for task in found.tasks.values()] == [("shutdown", at), ("running", "")]


def test_identity():
    """What did not change is the same object, and the whole where nothing did."""
    seniority = Seniority()
    before = both([a_container("c1")], [a_container("c2", service="other")], seniority)
    assert merged(before, [of(A, a_container("c1")), of(B, a_container("c2", service="other"))], seniority) is before
    other = a_container("c2", service="other", state="exited")
    after = merged(before, [of(A, a_container("c1")), of(B, other)], seniority)
    assert after.tasks["c1"] is before.tasks["c1"]
    assert after.services is before.services
    assert after.tasks["c2"].state == "exited"


def test_a_snapshot_file_has_it_all():
    """What is recorded of hosts is read as it was."""
    found = both([a_container("c1", addresses={"front": "172.18.0.2"}, networks=("front",))], [a_container("c2")])
    document = decode.document(found)
    lists = (document[kind] for kind in ("nodes", "services", "tasks", "networks"))
    assert decode.snapshot(*lists) == found
