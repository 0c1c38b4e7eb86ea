"""`labels.traefik.file_services`: services of Traefik's files, as shares of a route's servers."""

from __future__ import annotations

import pytest
import yaml

from lbgen.labels.context import Provider
from lbgen.labels.definitions import Definition, Definitions
from lbgen.labels.foreign_options import Element, Options, Written
from lbgen.labels.route_spec import Share
from lbgen.labels.traefik.file_provider import FileElements
from lbgen.labels.traefik.file_services import FileServices
from lbgen.labels.values.value_type import BadValue

CHECK = "healthCheck: {path: /up}"


def address(number: int, **more: str) -> str:
    """A load balancer of one server in YAML."""
    return f"{{loadBalancer: {{servers: [{{url: 'http://192.0.2.{number}:8080'}}], {more.get('also', '')}}}}}"


def read(text: str, name: str = "main", protocol: str = "http") -> tuple[tuple[Share, ...], Options]:
    """The shares of a service of these, beside Swarm service shop with Traefik's service `app`, and what is said."""
    found = FileElements()
    found.add(protocol, "services", yaml.safe_load(text), "discovery.traefik.services")
    assert found.mistakes == []
    app = Element(protocol, "services", "app", {"loadbalancer.server.port": Written("traefik.x", "80")})
    settings = {key: Definition(element) for key, element in found.elements.items()}
    named = {(protocol, "services", "app"): (Definition(app, "shop"),)}
    reader = FileServices(Definitions(named, settings), "front", protocol, Options("front", ""), Provider())
    return reader.shares(settings[protocol, "services", name]), reader.options


def parts(shares: tuple[Share, ...]) -> list[tuple[str, int, bool]]:
    return [(share.service or share.addresses[0], share.weight, share.backup) for share in shares]


def test_addresses():
    """Servers with addresses, a port each, or the scheme's usual one; the name of a Swarm service is its tasks."""
    urls = "{url: 'http://192.0.2.1:8080', weight: 3}, {url: 'http://[2001:db8::1]'}, {url: 'http://shop:81'}"
    shares, options = read(f"{{main: {{loadBalancer: {{servers: [{urls}]}}}}}}")
    assert shares == (
        Share("", {"port": 8080, "weight": 3}, addresses=("192.0.2.1",), pool="0"),
        Share("", {"port": 80, "weight": 1}, addresses=("2001:db8::1",), pool="0"),
        Share("shop", {"port": 81, "weight": 1}, pool="0"),
    )
    assert (options.lost, options.left) == ([], [])


def test_of_tcp():
    """TCP servers have addresses alone, and a port."""
    text = "{main: {loadBalancer: {servers: [{address: '192.0.2.1:5432'}]}}}"
    assert read(text, protocol="tcp")[0] == (
        Share("", {"port": 5432, "weight": 1}, addresses=("192.0.2.1",), pool="0"),
    )


def test_tls_to_tcp_servers():
    """TLS is spoken to all servers of a TCP service, or to none."""
    servers = "{main: {loadBalancer: {servers: [{address: '192.0.2.1:5'%s}, {address: '192.0.2.2:5'%s}]}}}"
    assert read(servers % (", tls: true", ", tls: true"), protocol="tcp")[1].fields["server_tls"] is True
    assert read(servers % (", tls: false", ""), protocol="tcp")[1].fields["server_tls"] is False
    with pytest.raises(BadValue, match="has servers with TLS and others without"):
        read(servers % (", tls: true", ""), protocol="tcp")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("weighted: {services: [{name: a, weight: 3}, {name: app@swarm}]}",
         [("192.0.2.1", 3, False), ("shop", 1, False)]),
        ("weighted: {services: [{name: A@file, weight: 0}, {name: b}]}",
         [("192.0.2.1", 0, False), ("192.0.2.2", 1, False)]),
        ("weighted: {services: [{name: both, weight: 1}, {name: app@docker, weight: 1}]}",
         [("192.0.2.1", 1, False), ("192.0.2.2", 2, False), ("shop", 3, False)]),
        ("weighted: {services: [{name: a, weight: 1}, {name: both, weight: 1}]}",
         [("192.0.2.1", 4, False), ("192.0.2.2", 2, False)]),
        ("failover: {service: a, fallback: b}", [("192.0.2.1", 1, False), ("192.0.2.2", 1, True)]),
        ("failover: {service: a, fallback: app@swarm}", [("192.0.2.1", 1, False), ("shop", 1, True)]),
        ("mirroring: {service: a, mirrors: [{name: app@swarm, percent: 10}]}", [("192.0.2.1", 1, False)]),
    ],
    ids=["weighted", "no weight", "nested", "twice", "failover", "failover to Swarm", "mirroring"],
)  # fmt: skip
def test_services_of_services(text, expected):
    """Weights are those of services, whatever the number of their servers; of nested ones they are multiplied."""
    both = "both: {weighted: {services: [{name: a, weight: 1}, {name: b, weight: 2}]}}"
    shares, options = read(f"{{main: {{{text}}}, a: {address(1, also=CHECK)}, b: {address(2)}, {both}}}")
    assert parts(shares) == expected
    assert options.lost == []
    assert len({share.pool for share in shares}) == len(expected)


def test_how_servers_are_used():
    """What a load balancer says of its servers is the route's: checks, cookies, the Host."""
    options = read(f"{{main: {address(1, also=CHECK + ', passHostHeader: false, sticky: {cookie: {name: c}}')}}}")[1]
    assert options.fields["health_check_path"] == "/up"
    assert (options.fields["host_header"], options.fields["sticky"]) == ("server", "c")
    sticky = "{main: {weighted: {services: [{name: a}], sticky: {cookie: {}}}}, a: %s}" % address(1)  # noqa: UP031
    assert read(sticky)[1].fields["sticky"] == "lbgen"


def test_mirrors():
    """One Swarm service gets copies; what cannot be copied to is a note, and the router is served."""
    mirrors = "{main: {mirroring: {service: a, mirrors: [%s]}}, a: %s}" % ("%s", address(1))  # noqa: UP031
    fields = read(mirrors % "{name: app@swarm, percent: 10}, {name: a, percent: 5}")[1]
    assert (fields.fields["mirror"], fields.fields["mirror_percent"]) == ("shop", 10)
    assert ["copies to app@swarm alone" in note.message for note in fields.left] == [True]
    unsaid = read(mirrors % "{name: app@swarm}")[1]
    assert "mirror" not in unsaid.fields
    note = read(mirrors % "{name: a, percent: 5}")[1].left
    assert [problem.message for problem in note] == ["copies nothing to a: copies go to Swarm services"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("loadBalancer: {servers: [{url: 'http://a.example.org'}]}", "has a name that only DNS knows"),
        ("loadBalancer: {servers: [{url: 'http://300.1.1.1'}]}", "has no IP address where one is meant"),
        ("loadBalancer: {servers: [{url: 'a:80'}]}", "is not the URL of a server"),
        ("loadBalancer: {servers: [{url: 'http://192.0.2.1/x'}]}", "has a path"),
        ("loadBalancer: {sticky: {cookie: {}}}", "has no servers"),
        ("loadBalancer: {servers: [{url: 'http://192.0.2.1'}, {url: 'https://192.0.2.2'}]}",
         "servers of several schemes"),
        ("loadBalancer: {server: [{url: 'http://192.0.2.1'}]}", "is an unknown option"),
        ("weighted: {services: [{name: main}]}", "leads to service main again"),
        ("weighted: {services: [{name: c}]}", "names service c, which nothing defines"),
        ("weighted: {services: [{name: c@consul}]}", "is of provider consul"),
        ("weighted: {services: [{name: over}, {name: a}]}", "has standbys within a share"),
        ("failover: {service: over, fallback: a}", "has standbys of standbys"),
        ("failover: {service: b, fallback: a}", "has service b without a health check"),
        ("failover: {service: a}", "lacks the service or its fallback"),
        ("failover: {service: a, fallback: b, errors: {status: ['500']}}", "goes by the status of an answer"),
        ("weighted: {services: [{name: mirrored}]}", "mirrors a part of the requests only"),
        ("highestRandomWeight: {services: [{name: a}]}", "keeps clients by their addresses"),
        ("weighted: {services: [{name: a}, {name: own}]}", "of which only one hands on the client's Host"),
        ("weighted: {services: [{name: a}]}, failover: {service: a, fallback: b}", "is of several kinds"),
    ],
)  # fmt: skip
def test_lost(text, says):
    """What cannot be honoured closes the router, and says which service or option it is."""
    more = (
        f"a: {address(1, also=CHECK)}, b: {address(2)}, over: {{failover: {{service: a, fallback: b}}}}, "
        f"mirrored: {{mirroring: {{service: a}}}}, own: {address(3, also='passHostHeader: false')}"
    )
    told = []
    try:
        shares, options = read(f"{{main: {{{text}}}, {more}}}")
        assert shares == ()
        assert options.lost[0].label.startswith("discovery.traefik.services.main.")
        told = [problem.message for problem in options.lost]
    except BadValue as bad:
        told = [bad.message]
    assert says in told[0]
