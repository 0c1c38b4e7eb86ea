"""Reading what engines list of containers: recorded replies of three engines, and the rest by single values."""

import json
import re

import pytest

from lbgen.base.errors import SourceError
from lbgen.snapshot import PublishedPort
from lbgen.source.hosts import containers
from lbgen.source.hosts.containers import Details
from lbgen.source.hosts.events import happening
from lbgen.source.hosts.host import Host
from tests.support.fake_host import ENGINES, recorded_host

HOST = Host("a", "unix:///a", "192.0.2.11", networks=("shop_back",))


def read(engine, host=HOST):
    """Every container that counts, by its own name, with the details where they are asked for."""
    found = {}
    for item, inspected in zip(recorded_host("containers", engine), recorded_host("inspected", engine), strict=True):
        if containers.counts(item):
            details = Details.of(inspected, host) if containers.lacks(item, None) else None
            found[item["Names"][0][1:]] = containers.container(item, host, None, details)
    return found


def port(target, published, protocol="tcp"):
    return PublishedPort(target, published, protocol, "host")


@pytest.mark.parametrize("engine", ENGINES)
def test_recorded(engine):
    """State, service and number of every container; a one-off is none."""
    assert {name: (each.state, each.service, each.number) for name, each in read(engine).items()} == {
        "again": ("restarting", "again", 0),
        "created": ("created", "created", 0),
        "ended": ("exited", "ended", 0),
        "frozen": ("paused", "frozen", 0),
        "hostnet": ("running", "hostnet", 0),
        "lonely": ("running", "lonely", 0),
        "loopback": ("running", "inner", 0),
        "shop-api-1": ("running", "shop_api", 1),
        "shop-sick-1": ("unhealthy", "shop_sick", 1),
        "shop-slow-1": ("starting", "shop_slow", 1),
        "shop-web-1": ("running", "shop_web", 1),
        "shop-web-2": ("running", "shop_web", 2),
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_recorded_ports(engine):
    """Each port once, fixed and random; one on the loopback address is out of reach."""
    found = read(engine)
    assert found["shop-api-1"].ports == (port(5353, 5353, "udp"), port(8080, 8081))
    assert found["shop-web-1"].ports == (port(8080, 32768),)
    assert found["frozen"].ports == (port(8080, 9002),)
    assert found["loopback"].ports == ()
    here = read(engine, Host("a", "unix:///a", "127.0.0.1"))
    assert here["loopback"].ports == (port(8080, 9000),)
    assert here["shop-api-1"].ports == found["shop-api-1"].ports


@pytest.mark.parametrize("engine", ENGINES)
def test_recorded_networks(engine):
    """Only networks that the proxy shares have addresses; the host's own is at the host's address."""
    found = read(engine)
    assert set(found["shop-api-1"].addresses) == {"shop_back"}
    assert found["hostnet"].addresses == {"host": "192.0.2.11"}
    assert found["shop-web-1"].addresses == {}


@pytest.mark.parametrize("engine", ENGINES)
def test_list_says_what_details_say(engine):
    """Of the health of a container that runs, and of its fixed ports: the list is enough."""
    for item, inspected in zip(recorded_host("containers", engine), recorded_host("inspected", engine), strict=True):
        details = Details.of(inspected, HOST)
        if item["State"] == "running":
            listed = containers.container(item, HOST)
            assert listed.state == {"": "running", "healthy": "running"}.get(details.health, details.health)
            assert not containers.lacks(item, None)
            assert {port.target for port in details.ports} == {port.target for port in listed.ports}


@pytest.mark.parametrize("engine", ENGINES)
def test_recorded_events(engine):
    """Every event of the stream is read, or is about something else; those of health checks are not asked for."""
    found = [happening(json.dumps(event).encode()) for event in recorded_host("events-change", engine)]
    actions = {each.action for each in found if each}
    assert actions == {"start", "die", "kill", "pause", "unpause", "rename", "destroy", "connect", "disconnect"}
    assert {each.signal for each in found if each and each.action == "kill"} >= {"9", "15"}
    assert all(each.at > 0 and len(each.container) == 64 for each in found if each)
    up = [happening(json.dumps(event).encode()) for event in recorded_host("events-up", engine)]
    assert {each.action for each in up if each} >= {"create", "start", "health_status"}


def item(**values):
    """A container that runs, as it is listed."""
    return {
        "Id": "c1",
        "Names": ["/web"],
        "Created": 1_795_000_000,
        "Labels": {},
        "State": "running",
        "Status": "Up 3 seconds",
        "Ports": [],
        "NetworkSettings": {"Networks": {}},
    } | values


def compose(**more):
    return {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"} | more


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({}, "web"),
        (compose(), "shop_web"),
        (compose(**{"lbgen.service": "front"}), "front"),
        ({"lbgen.service": " front "}, "front"),
        ({"lbgen.service": "no good"}, "web"),
        ({"com.docker.compose.project": "shop"}, "web"),
        (compose(**{"com.docker.compose.service": "we.b"}), "shop_we-b-f28ea5"),
    ],
)
def test_service(labels, service):
    """Label lbgen.service names it, else Compose does, else it is the container's own name."""
    assert containers.container(item(Labels=labels), HOST).service == service


def test_names_that_no_service_can_have_stay_distinct():
    """What is changed in a name is told apart by a mark; the container's id is its name where it has none."""
    found = [containers.container(item(Names=[f"/{name}"]), HOST).service for name in ("a.b", "a-b", "a_b.", "a" * 80)]
    assert len(set(found)) == 4
    assert found[1] == "a-b"
    assert all(containers.SERVICE_NAME.fullmatch(name) for name in found)
    assert containers.container(item(Names=None), HOST).service == "c1"
    assert containers.container(item(Names=["/other/alias", "/web"]), HOST).service == "web"


def test_labels():
    """What Docker and Compose note for themselves is left out, and what the source has read."""
    noted = {"com.docker.compose.config-hash": "x", "com.docker.compose.project.working_dir": "/home/me"}
    own = compose(**{"lbgen.enable": "true", "lbgen.service": "front", "com.docker.stack.namespace": "shop"})
    assert containers.container(item(Labels=own | noted), HOST).labels == compose(**{"lbgen.enable": "true"})
    assert "lbgen.service" in containers.container(item(Labels={"lbgen.service": "no good"}), HOST).labels


@pytest.mark.parametrize(
    "labels", [{"com.docker.compose.oneoff": "True"}, {"com.docker.swarm.service.id": "x"}], ids=["one-off", "swarm"]
)
def test_what_does_not_count(labels):
    """Containers of `docker compose run`, and those of a Swarm's tasks."""
    assert not containers.counts(item(Labels=labels))
    assert containers.counts(item(Labels={"com.docker.compose.oneoff": "False"}))


@pytest.mark.parametrize(
    ("bound", "address", "reached"),
    [
        ("0.0.0.0", "192.0.2.11", True),
        ("0.0.0.0", "2001:db8::1", False),
        ("::", "2001:db8::1", True),
        ("::", "192.0.2.11", False),
        ("192.0.2.11", "192.0.2.11", True),
        ("10.0.0.5", "192.0.2.11", True),
        ("127.0.0.1", "192.0.2.11", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("192.0.2.11", "127.0.0.1", False),
        ("::1", "2001:db8::1", False),
        ("", "192.0.2.11", True),
        ("eth0", "192.0.2.11", False),
    ],
)
def test_ports_by_address(bound, address, reached):
    """A port counts where the host's address leads to it."""
    ports = [{"IP": bound, "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}]
    found = containers.container(item(Ports=ports), Host("a", "unix:///a", address)).ports
    assert found == ((port(80, 8080),) if reached else ())


def test_ports_of_ipv6():
    """Where the families have ports of their own, that of the address's counts."""
    ports = [
        {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 32768, "Type": "tcp"},
        {"IP": "::", "PrivatePort": 80, "PublicPort": 32770, "Type": "tcp"},
        {"PrivatePort": 443, "Type": "tcp"},
    ]
    for address, number in (("192.0.2.11", 32768), ("2001:db8::1", 32770)):
        assert containers.container(item(Ports=ports), Host("a", "unix:///a", address)).ports == (port(80, number),)


def test_ports_of_one_that_has_ended():
    """Those it had while it ran; where that was not seen, those it asks for."""
    ended = item(State="exited", Status="Exited (0) 1 second ago")
    ran = containers.container(item(Ports=[{"PrivatePort": 80, "PublicPort": 32768, "Type": "tcp"}]), HOST)
    assert containers.container(ended, HOST, ran).ports == (port(80, 32768),)
    assert containers.lacks(ended, None)
    assert not containers.lacks(ended, ran)
    bindings = {"80/tcp": [{"HostIp": "", "HostPort": ""}], "81/tcp": [{"HostIp": "127.0.0.1", "HostPort": "81"}]}
    details = Details.of({"HostConfig": {"PortBindings": bindings | {"53/udp": None}}}, HOST)
    assert containers.container(ended, HOST, None, details).ports == (port(80, 0),)


def test_a_status_in_other_words():
    """What cannot be read off the list is asked for."""
    other = item(Status="running since 3 seconds")
    assert containers.lacks(other, None)
    unhealthy = Details.of({"State": {"Health": {"Status": "unhealthy"}}}, HOST)
    assert containers.container(other, HOST, None, unhealthy).state == "unhealthy"
    none = Details.of({"State": {"Health": {"Status": "none"}}}, HOST)
    assert containers.container(other, HOST, None, none).state == "running"


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"State": 5}, ".State: expected a text"),
        ({"Ports": [{"PrivatePort": 70000}]}, ".Ports[0].PrivatePort: 70000 is not a port"),
        ({"Ports": "x"}, ".Ports: expected a list"),
        ({"Labels": {"a": []}}, ".Labels.a: a label's value is a text"),
        ({"NetworkSettings": {"Networks": [1]}}, ".NetworkSettings.Networks: expected an object"),
        ({"Created": "now"}, ".Created: expected a whole number"),
    ],
)
def test_unreadable(values, place):
    """An error that says where."""
    with pytest.raises(SourceError, match=re.escape(place)):
        containers.container(item(**values), HOST)


@pytest.mark.parametrize("bindings", [{"x": []}, {"80/tcp": ["x"]}])
def test_unreadable_bindings(bindings):
    """Likewise in the details."""
    with pytest.raises(SourceError, match="PortBindings"):
        Details.of({"HostConfig": {"PortBindings": bindings}}, HOST)


@pytest.mark.parametrize("line", [b"x", b"[]", b'{"Type": "container"}', b'{"Type": 1, "Action": "die"}', b"[" * 9000])
def test_not_an_event(line):
    """A stream of something else is an error, not silence."""
    with pytest.raises(SourceError, match="not an event"):
        happening(line)


def test_events_about_something_else():
    """An event without a container says nothing."""
    assert happening(b'{"Type": "network", "Action": "create", "Actor": {"ID": "n", "Attributes": {}}}') is None
    assert happening(b'{"Type": "container", "Action": "exec_die", "Actor": {"ID": "c"}}') is None
    connected = b'{"Type": "network", "Action": "connect", "Actor": {"ID": "n", "Attributes": {"container": "c"}}}'
    assert happening(connected).container == "c"
