"""What the Watch stream says of an object is what the Engine API lists of it: recorded, made up, and nonsense."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import asdict, replace

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from lbgen.base.errors import SourceError
from lbgen.snapshot import PublishedPort, moment
from lbgen.source import decode, file
from lbgen.source.engine.patch import patched
from lbgen.source.facts import EMPTY, KINDS
from lbgen.source.swarmkit import objects
from lbgen.source.swarmkit import watch_pb2 as pb
from tests.support.fake_engine import recorded
from tests.support.fake_manager import REMOVE, message
from tests.support.paths import FIXTURES


@pytest.fixture(scope="module", params=["20.10", "28.5"])
def recording(request):
    """An engine's recorded stream, and the listing after it."""
    return json.loads(gzip.decompress((FIXTURES / f"watch-{request.param}.json.gz").read_bytes()))


@pytest.fixture(scope="module")
def stream(recording):
    """Every change of the recorded stream."""
    return [change for data in recording["messages"] for change in objects.changes(base64.b64decode(data))]


def only(data):
    """The one change in a message."""
    [change] = objects.changes(data)
    return change


# -- a real stream -------------------------------------------------------------------------------------------


def test_recorded_stream_ends_where_the_recorded_listing_is(recording, stream):
    """Object by object and field by field, the times included."""
    listed = file.parse(json.dumps(recording["snapshot"]), "recording")
    last = {(change.kind, change.id): change.item for change in stream}
    for kind in KINDS:
        pushed = {id_: item for (of_kind, id_), item in last.items() if of_kind == kind and item is not None}
        expected = dict(getattr(listed, kind))
        if kind == "nodes":  # the one thing that is not in the store
            expected = {id_: replace(item, manager_address="") for id_, item in expected.items()}
        elif kind == "networks":  # which was there before, and never changes
            expected = {id_: item for id_, item in expected.items() if not item.ingress}
        elif kind == "tasks":  # those of a removed service wait to be stopped
            pushed = {id_: item for id_, item in pushed.items() if item.service_id in listed.services}
        assert {id_: asdict(item) for id_, item in pushed.items()} == {i: asdict(item) for i, item in expected.items()}
    assert len(listed.services) >= 9


def test_recorded_stream_as_a_patch(recording, stream):
    """Applied one by one to nothing it makes the listing, in the same order."""
    listed = file.parse(json.dumps(recording["snapshot"]), "recording")
    facts, versions = EMPTY, {kind: {} for kind in KINDS}
    for change in stream:
        facts = patched(facts, versions, [change])
    assert facts == patched(EMPTY, {kind: {} for kind in KINDS}, stream)
    for kind in ("services", "tasks"):
        assert facts[kind] == getattr(listed, kind)
        assert list(facts[kind]) == list(getattr(listed, kind))


def test_recorded_versions_grow(stream):
    """Each object's version never shrinks, which is how a change is told from an older one."""
    last = {}
    for change in stream:
        assert change.version >= last.get(change.id, 1)
        last[change.id] = change.version
    assert len(last) > 30


def test_recorded_stream_tells_of_every_step(stream):
    """A task's states one after the other, its removal and its service's."""
    tasks = {}
    for change in stream:
        if change.kind == "tasks":
            tasks.setdefault(change.id, []).append(change.item.state if change.item else "gone")
    assert any(states[-1] == "gone" for states in tasks.values())
    whole = next(states for states in tasks.values() if states[0] == "new" and "running" in states)
    order = [state for i, state in enumerate(whole) if state not in whole[:i]]
    assert order[:3] == ["new", "pending", "assigned"]
    assert [change.kind for change in stream if change.item is None].count("services") == 1


# -- made-up messages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["20.10", "28.5"])
@pytest.mark.parametrize("kind", KINDS)
def test_pushed_is_listed(kind, engine):
    """Every object of the recorded listings, as the store would push it."""
    listed = decode.read(kind, recorded(kind, engine))
    for item in recorded(kind, engine):
        id_ = item.get("ID", item.get("Id"))
        if id_ in listed:
            expected = listed[id_]
            change = only(message((kind, item)) if kind != "networks" else message((kind, item | VERSIONED)))
            assert (change.kind, change.id) == (kind, id_)
            assert change.item == (replace(expected, manager_address="") if kind == "nodes" else expected)
            assert change.version == (item.get("Version") or {"Index": 0})["Index"]


VERSIONED = {"Version": {"Index": 0}, "CreatedAt": "2026-11-23T00:00:00Z", "UpdatedAt": "2026-11-23T00:00:00Z"}


def test_first_message_has_nothing():
    """It only says "subscribed"."""
    assert objects.changes(b"") == []


def test_one_message_one_transaction():
    """In its order; a removed object's last state does not matter."""
    service, task = recorded("services")[0], recorded("tasks")[0]
    changes = objects.changes(message(("tasks", task), ("services", service, REMOVE)))
    assert [(change.kind, change.item is None) for change in changes] == [("tasks", False), ("services", True)]


@pytest.mark.parametrize(
    ("seconds", "nanos", "text"),
    [
        (1795398347, 157417890, "2026-11-23T01:45:47.15741789Z"),
        (1795398347, 500000000, "2026-11-23T01:45:47.5Z"),
        (1795398347, 1, "2026-11-23T01:45:47.000000001Z"),
        (1795398347, 0, "2026-11-23T01:45:47Z"),
        (0, 0, "1970-01-01T00:00:00Z"),
        (-1, 0, "1969-12-31T23:59:59Z"),
    ],
)
def test_times_are_written_as_go_does(seconds, nanos, text):
    """RFC 3339 with nanoseconds, trailing zeros dropped."""
    assert objects.moment(Timestamp(seconds=seconds, nanos=nanos)) == text
    assert moment(text) == pytest.approx(seconds + nanos / 1e9)


def a_service(**spec):
    task = pb.TaskSpec(container=pb.ContainerSpec(), networks=[pb.NetworkAttachmentConfig(target="n1")])
    spec = {"annotations": pb.Annotations(name="web"), "task": task} | spec
    return pb.Service(id="s", spec=pb.ServiceSpec(**spec))


def read_service(found):
    return decode.read("services", [objects.service(found)])["s"]


@pytest.mark.parametrize(
    ("mode", "name", "replicas"),
    [
        ({"replicated": pb.ReplicatedService(replicas=3)}, "replicated", 3),
        ({"replicated": pb.ReplicatedService()}, "replicated", 0),
        ({"global": pb.GlobalService()}, "global", 1),
        ({"replicated_job": pb.ReplicatedJob()}, "replicated-job", 1),
        ({"global_job": pb.GlobalJob()}, "global-job", 1),
    ],
)
def test_service_modes(mode, name, replicas):
    """All there are."""
    found = read_service(a_service(**mode))
    assert (found.mode, found.replicas) == (name, replicas)


def test_service_networks_of_old():
    """Those of the task template win; services made before API 1.25 have them beside it."""
    old = [pb.NetworkAttachmentConfig(target="n0")]
    assert read_service(a_service(networks=old)).networks == ("n1",)
    bare = pb.TaskSpec(container=pb.ContainerSpec())
    assert read_service(a_service(networks=old, task=bare)).networks == ("n0",)


def test_service_ports():
    """Those that Swarm has given out; until then those that were asked for."""
    asked = pb.PortConfig(target_port=80, published_port=8080, protocol=pb.PortConfig.UDP)
    service = a_service(endpoint=pb.EndpointSpec(ports=[asked], mode=pb.EndpointSpec.DNSRR))
    assert read_service(service).ports == (PublishedPort(80, 8080, "udp", "ingress"),)
    assert read_service(service).endpoint_mode == "dnsrr"
    service.endpoint.ports.add(target_port=80, published_port=30000, publish_mode=pb.PortConfig.HOST)
    assert read_service(service).ports == (PublishedPort(80, 30000, "tcp", "host"),)


@pytest.mark.parametrize("state", pb.UpdateStatus.UpdateState.keys())
def test_update_states(state):
    """As the engine spells them; "unknown" it leaves out."""
    service = a_service()
    service.update_status.state = pb.UpdateStatus.UpdateState.Value(state)
    assert read_service(service).update_state == ("" if state == "UNKNOWN" else state.lower())


@pytest.mark.parametrize("state", pb.TaskState.keys())
def test_task_states(state):
    """As the engine spells them, wanted ones as well."""
    item = objects.task(pb.Task(id="t", service_id="s", status=pb.TaskStatus(state=state), desired_state=state))
    found = decode.read("tasks", [item])["t"]
    assert found.state == found.desired_state == state.lower()


def test_values_that_are_not_known_yet():
    """A later Swarm's state is passed on as a number, as Go would, and is none that serves."""
    item = objects.task(pb.Task(id="t", service_id="s", status=pb.TaskStatus(state=999)))
    assert decode.read("tasks", [item])["t"].state == "999"


def test_virtual_addresses():
    """Without prefix length; the host's own network has none. IPv6 in its shortest form, listed or pushed."""
    addresses = {"a": "10.0.1.2/24", "b": "", "c": "fd00:0:0::2/64"}
    service = a_service()
    for network, address in addresses.items():
        service.endpoint.virtual_ips.add(network_id=network, addr=address)
    assert read_service(service).virtual_ips == {"a": "10.0.1.2", "c": "fd00::2"}
    listed = [{"NetworkID": network, "Addr": address} for network, address in addresses.items()]
    item = {"ID": "s", "Spec": {"Name": "web"}, "Endpoint": {"VirtualIPs": listed}}
    assert decode.service(item).virtual_ips == {"a": "10.0.1.2", "c": "fd00::2"}


# -- what is not listed --------------------------------------------------------------------------------------


def test_plugins_and_attachments_are_left_out():
    """The engine lists neither unless asked for."""
    plugin = pb.TaskSpec(generic=pb.GenericRuntimeSpec())
    attached = pb.Task(id="t", spec=pb.TaskSpec(attachment=pb.NetworkAttachmentSpec()))
    assert objects.service(a_service(task=plugin)) is None
    assert objects.task(pb.Task(id="t", service_id="s", spec=plugin)) is None
    event = pb.WatchMessage.Event(action=pb.WATCH_ACTION_CREATE, object=pb.Object(task=attached))
    assert only(pb.WatchMessage(events=[event]).SerializeToString()).item is None


@pytest.mark.parametrize(
    ("name", "labels", "ingress", "listed"),
    [
        ("front", {}, False, False),
        ("mesh", {}, True, True),
        ("ingress", {"com.docker.swarm.internal": "true"}, False, True),
        ("front", {"com.docker.swarm.internal": "true"}, False, False),
        ("host", {"com.docker.swarm.predefined": "true"}, False, None),
    ],
)
def test_networks(name, labels, ingress, listed):
    """The routing mesh's is marked, or was in the past by a label; stand-ins for each node's own are not listed."""
    spec = pb.NetworkSpec(annotations=pb.Annotations(name=name, labels=labels), ingress=ingress)
    item = objects.network(pb.Network(id="n", spec=spec))
    assert (item and decode.network(item).ingress) == listed


# -- nonsense ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"\xff", b"<html>", b"\x0a\xff\xff\xff\xff\x0f"])
def test_no_message(data):
    """What is no message is said to be none."""
    with pytest.raises(SourceError, match="not a message of the Watch service"):
        objects.changes(data)


def test_object_that_makes_no_sense():
    """The error names the place."""
    service = a_service()
    service.endpoint.ports.add(target_port=70000)
    event = pb.WatchMessage.Event(action=pb.WATCH_ACTION_UPDATE, object=pb.Object(service=service))
    with pytest.raises(SourceError, match=r"Endpoint\.Ports\[0\]\.TargetPort: 70000 is not a port"):
        objects.changes(pb.WatchMessage(events=[event]).SerializeToString())


def test_object_of_another_kind():
    """What was not asked for is passed over."""
    assert objects.changes(pb.WatchMessage(events=[pb.WatchMessage.Event()]).SerializeToString()) == []


def test_what_is_asked_for():
    """Four kinds, each being made, changed or removed; no older state, no place to resume from."""
    request = pb.WatchRequest.FromString(objects.REQUEST)
    assert {entry.kind for entry in request.entries} == {"node", "service", "network", "task"}
    assert {entry.action for entry in request.entries} == {1 | 2 | 4}
