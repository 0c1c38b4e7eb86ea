"""`lbgen.source.decode`: what recorded Engine API replies say, the way back, and what is said of bad objects."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbgen.base.errors import SourceError
from lbgen.snapshot import PROJECT, STACK, Network, Node, PublishedPort, Service, Snapshot, Task
from lbgen.source import decode, file
from tests.support.builders import a_node, a_service, a_snapshot, a_task
from tests.support.paths import FIXTURES

KINDS = ("nodes", "services", "tasks", "networks")


def recorded(kind, engine="20.10"):
    return json.loads((FIXTURES / f"engine-{engine}" / f"{kind}.json").read_text())


def cluster_of(engine):
    """The Swarm recorded of an engine."""
    cluster = recorded("info", engine)["Swarm"]["Cluster"]["ID"]
    return decode.snapshot(*(recorded(kind, engine) for kind in KINDS), cluster=cluster)


@pytest.fixture(scope="module", params=["20.10", "28.5"])
def engine(request):
    """One of the engines of which a Swarm with the same services is recorded."""
    return request.param


@pytest.fixture(scope="module")
def lab(engine) -> Snapshot:
    """The recorded cluster."""
    return cluster_of(engine)


@pytest.fixture(scope="module")
def services(lab):
    """The recorded services by name."""
    return {service.name: service for service in lab.services.values()}


def network_id(lab, name):
    return next(network.id for network in lab.networks.values() if network.name == name)


def test_recorded_snapshot_is_what_the_replies_say():
    """Whole objects and their reduced form mean the same."""
    assert file.load(FIXTURES / "snapshot-lab.json") == cluster_of("20.10")


def test_nodes(lab):
    """Roles, availability and labels; all three are managers."""
    by_name = {node.hostname: node for node in lab.nodes.values()}
    assert [by_name[name].availability for name in ("n1", "n2", "n3")] == ["active", "active", "drain"]
    assert by_name["n1"].labels == {"lbgen.address": by_name["n1"].manager_address, "zone": "eu"}
    assert re.fullmatch(r"192\.168\.\d+\.11", by_name["n1"].address)
    assert {node.address == node.manager_address != "" for node in lab.nodes.values()} == {True}
    assert {node.state for node in lab.nodes.values()} == {"ready"}


@pytest.mark.parametrize(
    ("name", "mode", "replicas", "ports"),
    [
        ("shop", "replicated", 3, [(8080, 8081, "tcp", "ingress")]),
        ("dyn", "replicated", 2, [(8080, 0, "tcp", "host")]),
        ("agent", "global", 1, [(8080, 8090, "tcp", "host")]),
        ("pg", "replicated", 1, [(8080, 5432, "tcp", "ingress"), (8080, 5353, "udp", "ingress")]),
        ("inner", "replicated", 2, []),
        ("zero", "replicated", 0, []),
        ("job", "replicated-job", 1, []),
    ],
)
def test_services(services, name, mode, replicas, ports):
    """Mode, replicas and ports of each sort of service."""
    service = services[name]
    assert (service.mode, service.replicas) == (mode, replicas)
    assert list(service.ports) == [PublishedPort(*port) for port in ports]


def test_service_networks(lab, services):
    """The networks asked for; virtual IPs by network, none for dnsrr and for the host's network."""
    front, back, ingress = (network_id(lab, name) for name in ("front", "back", "ingress"))
    assert services["inner"].networks == tuple(sorted([front, back]))
    assert services["inner"].virtual_ips.keys() == {front, back}
    assert services["shop"].virtual_ips.keys() == {front, ingress}
    assert services["rr"].endpoint_mode == "dnsrr"
    assert services["rr"].virtual_ips == {}
    assert services["hostnet"].virtual_ips == {}
    assert services["shop"].update_state == "completed"
    assert services["shop"].labels["lbgen.host"] == "shop.example.com"


def test_tasks(lab, services):
    """Addresses lose their prefix length, each host port is kept once, tasks without a service are left out."""
    tasks = lab.tasks_by_service()
    front, back = network_id(lab, "front"), network_id(lab, "back")
    running = [task for task in tasks[services["inner"].id] if task.state == "running"]
    assert [set(task.addresses) for task in running] == [{front, back}] * 2
    assert all(address.startswith("10.") and "/" not in address for t in running for address in t.addresses.values())
    ports = [task.ports for task in tasks[services["dyn"].id] if task.state == "running"]
    assert [(port.target, port.protocol, port.mode) for (port,) in ports] == [(8080, "tcp", "host")] * 2
    assert all(port.published in (32768, 32769) for (port,) in ports)
    assert set(tasks) == {service.id for name, service in services.items() if name != "zero"}


def test_host_ports_of_two_families():
    """Where the engine chose another port for IPv6, that of IPv4 stays first (ports as the lab's engine reported them).

    The two differ after a port was taken in one family only: 32788 and 32768 for 8080, seen on engine 20.10.24.
    """
    reported = [{"Protocol": "tcp", "TargetPort": 8080, "PublishedPort": port} for port in (32788, 32768)]
    task = decode.task({"ID": "a", "Status": {"PortStatus": {"Ports": reported}}})
    assert [port.published for port in task.ports] == [32788, 32768]


def test_tasks_without_a_service(engine):
    """A plain container on an overlay network is a task of no service: left out."""
    attachments = recorded("tasks-of-attachments", engine)
    assert len(attachments) == 1
    assert decode.read("tasks", attachments) == {}


def test_networks(lab):
    """Only the cluster's networks; the routing mesh's own one is marked."""
    found = {network.name: network.ingress for network in lab.networks.values()}
    assert found == {"front": False, "back": False, "ingress": True}
    assert next(n for n in lab.networks.values() if n.name == "back").labels == {"team": "data"}


def test_items_are_in_id_order():
    """Whatever order they are listed in."""
    items = [{"ID": id_} for id_ in ("c", "a", "b")]
    assert list(decode.read("nodes", items)) == ["a", "b", "c"]


def test_reduced_form_has_no_secrets():
    """Nothing of container specifications gets into a recording, which people attach to bug reports."""
    raw = recorded("services")
    raw[0]["Spec"]["TaskTemplate"]["ContainerSpec"] |= {"Env": ["PASSWORD=s3cret"], "Command": ["s3cret"]}
    raw[0]["Spec"]["TaskTemplate"]["ContainerSpec"]["Labels"] = {"x": "s3cret"}
    text = json.dumps(decode.document(decode.snapshot(services=raw)))
    assert "s3cret" not in text
    assert "ContainerSpec" not in text


@pytest.mark.parametrize(
    ("kind", "items", "message"),
    [
        ("nodes", {}, "nodes: expected a list, found dict"),
        ("nodes", "n1", "nodes: expected a list, found str"),
        ("nodes", ["n1"], "nodes[0]: expected an object, found str"),
        ("nodes", [{}], "nodes[0].Id: expected a text, found nothing"),
        ("nodes", [{"ID": "a"}, {"ID": "a"}], "nodes[1].ID: 'a' is there twice"),
        ("nodes", [{"ID": "a", "Spec": "x"}], "nodes[0].Spec: expected an object, found str 'x'"),
        ("nodes", [{"ID": 7}], "nodes[0].ID: expected a text, found int 7"),
        ("services", [{"ID": "a"}], "services[0].Spec.Name: expected a text, found nothing"),
        (
            "services",
            [{"ID": "a", "Spec": {"Name": "b", "Labels": {"x": ["y"]}}}],
            "services[0].Spec.Labels.x: a label's value is a text, found list ['y']",
        ),
        (
            "services",
            [{"ID": "a", "Spec": {"Name": "b"}, "Endpoint": {"Ports": [{"TargetPort": 80}, {"TargetPort": "80"}]}}],
            "services[0].Endpoint.Ports[1].TargetPort: expected a whole number, found str '80'",
        ),
        (
            "services",
            [{"ID": "a", "Spec": {"Name": "b"}, "Endpoint": {"Ports": [{"TargetPort": 65536}]}}],
            "services[0].Endpoint.Ports[0].TargetPort: 65536 is not a port",
        ),
        (
            "services",
            [{"ID": "a", "Spec": {"Name": "b", "Mode": {"Replicated": {"Replicas": True}}}}],
            "services[0].Spec.Mode.Replicated.Replicas: expected a whole number, found bool True",
        ),
        (
            "tasks",
            [{"ID": "a", "NetworksAttachments": [{"Addresses": ["10.0.0.1/24"]}]}],
            "tasks[0].NetworksAttachments[0].Network.ID: expected a text, found nothing",
        ),
        (
            "tasks",
            [{"ID": "a", "Status": {"PortStatus": {"Ports": [1]}}}],
            "tasks[0].Status.PortStatus.Ports[0]: expected an object, found int 1",
        ),
        ("networks", [{"Id": "a", "Name": "n", "Ingress": 1}], "networks[0].Ingress: expected true or false, found"),
    ],
)
def test_bad_objects_name_their_path(kind, items, message):
    """The error says which item, which field, what was expected and what is there."""
    with pytest.raises(SourceError) as raised:
        decode.read(kind, items)
    assert message in str(raised.value)


def test_labels_in_hand_written_files():
    """YAML makes numbers and booleans of what people write; they mean the text, as in Compose."""
    item = {"ID": "a", "Spec": {"Name": "b", "Labels": {"p": 80, "e": True, "n": None, "f": 1.5, "a": "x"}}}
    labels = decode.service(item).labels
    assert labels == {"p": "80", "e": "true", "n": "", "f": "1.5", "a": "x"}
    assert list(labels) == sorted(labels)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("10.0.0.2:2377", "10.0.0.2"), ("[fd00::2]:2377", "fd00::2"), ("10.0.0.2", "10.0.0.2"), ("fd00::2", "fd00::2")],
)
def test_manager_address(written, meant):
    """Only the host part; an address without a port is taken as it is."""
    assert decode.node({"ID": "a", "ManagerStatus": {"Addr": written}}).manager_address == meant


def test_nulls_are_absence():
    """The engine writes null for empty lists and maps in many places."""
    nothing = {"ID": "a", "Spec": {"Name": "b", "Labels": None, "Mode": None, "EndpointSpec": None}, "Endpoint": None}
    assert decode.service(nothing) == Service("a", "b")
    bare = {"ID": "a", "Status": {"PortStatus": None}, "NetworksAttachments": None}
    assert decode.task(bare) == Task("a", "")


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_id = st.text("abcdef0123456789", min_size=1, max_size=6)
_labels = st.dictionaries(_text, _text, max_size=3).map(lambda labels: dict(sorted(labels.items())))
_address = st.ip_addresses().map(str)
_number = st.integers(0, 65535)
_protocol = st.sampled_from(["tcp", "udp", "sctp"])


def _port(mode):
    return st.builds(PublishedPort, st.integers(1, 65535), _number, _protocol, mode)


def _in_order(ports):
    return tuple(sorted(ports, key=lambda port: (port.target, port.protocol)))


_host_ports = st.sets(_port(st.just("host")), max_size=3).map(_in_order)
_nodes = st.builds(
    Node,
    id=_id,
    hostname=_text,
    role=st.sampled_from(["worker", "manager"]),
    availability=st.sampled_from(["active", "pause", "drain"]),
    state=st.sampled_from(["ready", "down", "unknown", "disconnected"]),
    address=_address,
    manager_address=st.just("") | _address,
    labels=_labels,
    engine_labels=_labels,
    os=_text,
    arch=_text,
)
_services = st.builds(
    Service,
    id=_id,
    name=_text,
    labels=_labels,
    created_at=_text,
    updated_at=_text,
    mode=st.sampled_from(["replicated", "global", "replicated-job", "global-job"]),
    replicas=st.integers(0, 1000),
    endpoint_mode=st.sampled_from(["vip", "dnsrr"]),
    ports=st.lists(_port(st.sampled_from(["ingress", "host"])), max_size=3).map(tuple),
    networks=st.lists(_id, max_size=3).map(lambda ids: tuple(sorted(ids))),
    virtual_ips=st.dictionaries(_id, _address, max_size=2),
    update_state=st.sampled_from(["", "updating", "completed", "rollback_started"]),
).map(lambda s: s if s.mode == "replicated" else Service(**{**_fields(s), "replicas": 1}))
_tasks = st.builds(
    Task,
    id=_id,
    service_id=_id,
    node_id=st.just("") | _id,
    slot=st.integers(0, 50),
    state=st.sampled_from(["new", "starting", "running", "failed"]),
    desired_state=st.sampled_from(["running", "shutdown", "remove"]),
    created_at=_text,
    updated_at=_text,
    addresses=st.dictionaries(_id, _address, max_size=2),
    ports=_host_ports,
)
_networks = st.builds(Network, id=_id, name=_text, driver=_text, ingress=st.booleans(), labels=_labels)


def _fields(item):
    return {name: getattr(item, name) for name in item.__slots__}


def _keyed(items):
    return st.lists(items, max_size=4).map(lambda found: {item.id: item for item in sorted(found, key=lambda i: i.id)})


_snapshots = st.builds(
    Snapshot,
    cluster=_text,
    nodes=_keyed(_nodes),
    services=_keyed(_services),
    tasks=_keyed(_tasks),
    networks=_keyed(_networks),
    taken_at=st.integers(0, 4_000_000_000).map(float),
)


@given(_snapshots)
def test_round_trip(snapshot):
    """Reading back what was written gives an equal snapshot, in the same order, and so does the file's text."""
    written = decode.document(snapshot)
    again = decode.snapshot(*(written[kind] for kind in KINDS), cluster=snapshot.cluster)
    assert again == snapshot
    assert [list(getattr(again, kind)) for kind in KINDS] == [list(getattr(snapshot, kind)) for kind in KINDS]
    text = file.write_snapshot(snapshot)
    assert decode.document(file.parse(text, "x.json")) == written


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["ID", "Spec", "Name", "Labels", "Status", "State", "Mode", "Endpoint", "Ports"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from(KINDS), _json)
def test_any_json_is_facts_or_a_source_error(kind, data):
    """Nothing else is ever raised, whatever the shape, and every error begins with the kind."""
    try:
        decode.read(kind, data)
    except SourceError as error:
        assert str(error).startswith(kind)  # noqa: PT017 -- arbitrary data may also be fine


def test_drain_asked():
    """What an operator takes out is told to another lbgen, and where nobody does nothing is written."""
    asked = a_snapshot(
        a_node("a", drain_asked=True), a_node("b"), a_service(), a_task(drain_asked=True), a_task(slot=2)
    )
    document = decode.document(asked)
    assert [item.get("LbgenDrainAsked") for item in [*document["nodes"], *document["tasks"]]] == [
        True,
        None,
        True,
        None,
    ]
    again = decode.snapshot(document["nodes"], document["services"], document["tasks"])
    assert again == asked


def test_stack():
    """The stack is Docker's, else Compose's project."""
    both = {STACK: "shop", PROJECT: "other"}
    services = [a_service(labels=labels) for labels in (both, {PROJECT: "other"}, {})]
    assert [service.stack for service in services] == ["shop", "other", ""]


def test_own_name():
    """A service that is called by its part keeps the name that its labels mean, wherever it is handed on to."""
    called = a_service("prod_web", own="web")
    (item,) = decode.document(a_snapshot(called))["services"]
    assert decode.service(item) == called
    assert "LbgenOwnName" not in decode.document(a_snapshot(a_service()))["services"][0]
