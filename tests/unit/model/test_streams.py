"""Rules of TCP listeners, where a table of server names does not say which route a connection takes."""

from __future__ import annotations

import pytest

from lbgen.labels.match import match_text
from lbgen.model import build
from tests.support.builders import Fact, a_listener, a_network, a_node, a_rules, a_service, a_snapshot, a_task

RULES = a_rules(
    a_listener("db", 5432, protocol="tcp"), a_listener("dbs", 5433, protocol="tcp", tls=True), default_listeners=("db",)
)


def modelled(*services, rules=RULES):
    """The model of services, the first the oldest, each with one task."""
    facts: list[Fact] = [a_node(), a_network("edge")]
    for number, (name, labels) in enumerate(services):
        facts.append(
            a_service(
                name, {"port": 5432, **labels}, networks=("edge-id",), created_at=f"2026-01-0{number + 1}T00:00:00Z"
            )
        )
        facts.append(a_task(name, 1, addresses={"edge-id": f"10.0.0.{number + 1}"}))
    return build(a_snapshot(*facts), rules)


def streams(model, name="db"):
    """A listener's rules, as people write them, and where everything else goes."""
    listener = next(each for each in model.listeners if each.name == name)
    said = [(" && ".join(map(match_text, each.alternative)), each.backend) for each in listener.streams]
    return said, listener.default


NAME, NEAR = "HostSNI(`a.org`)", "HostSNI(`a.org`) && ClientIP(`10.0.0.0/8`)"


def test_names_alone_are_a_table():
    """Without other tests a listener has names, and no rules."""
    (listener, _) = modelled(("web", {"tcp.a.rule": NAME})).listeners
    assert (listener.names, listener.streams) == ((("a.org", "web.tcp.a"),), ())


def test_order():
    """A higher priority goes first, and without one the longer rule; what is for all connections comes last."""
    model = modelled(
        ("all", {"tcp.a.sni": "*"}),
        ("name", {"tcp.a.rule": NAME}),
        ("near", {"tcp.a.rule": NEAR}),
        ("first", {"tcp.a.rule": "ClientIP(`10.1.0.0/16`)", "tcp.a.priority": 100}),
    )
    assert model.problems == ()
    assert streams(model) == (
        [
            ("client_ip(10.1.0.0/16)", "first.tcp.a"),
            ("client_ip(10.0.0.0/8) && sni(a.org)", "near.tcp.a"),
            ("sni(a.org)", "name.tcp.a"),
        ],
        "all.tcp.a",
    )


def test_same_rule():
    """Of two services with one rule the older keeps it, and the newer one is told."""
    model = modelled(("older", {"tcp.a.rule": NEAR}), ("newer", {"tcp.a.rule": NEAR}))
    assert [backend for _, backend in streams(model)[0]] == ["older.tcp.a"]
    (problem,) = model.problems
    assert problem.service == "newer"
    assert "client_ip(10.0.0.0/8) and sni(a.org)" in problem.message


def test_closed_goes_before_its_own_service_alone():
    """What a route that cannot be honoured asks for is refused to its service's others; another service's is served."""
    broken = {"tcp.b.rule": "HostSNI(`b.org`)", "tcp.b.allow-ip": "nonsense", "tcp.a.rule": "!ClientIP(`10.0.0.9`)"}
    model = modelled(("web", broken), ("other", {"tcp.a.rule": "HostSNI(`b.org`)"}))
    said, default = streams(model)
    assert said == [
        ("sni(b.org) && !client_ip(10.0.0.9/32)", "closed.tcp"),
        ("!client_ip(10.0.0.9/32)", "web.tcp.a"),
        ("sni(b.org)", "other.tcp.a"),
    ]
    assert default == ""


BESIDE = a_rules(a_listener("web", 80), a_listener("secure", 443, tls=True), default_listeners=("web",))


def test_names_beside_http():
    """On an HTTP listener with TLS its hosts come first where TCP routes might take them, then the TCP routes."""
    model = modelled(
        ("web", {"host": "www.db.org,other.org", "listener": "secure"}),
        ("db", {"tcp.a.sni": "*.db.org", "tcp.a.listener": "secure"}),
        ("through", {"tcp.a.sni": "a.db.org", "tcp.a.listener": "secure", "tcp.a.passthrough": "true"}),
        rules=BESIDE,
    )
    assert model.problems == ()
    assert streams(model, "secure") == (
        [("sni(www.db.org)", ""), ("sni(a.db.org)", "through.tcp.a"), ("sni(*.db.org)", "db.tcp.a")],
        "",
    )
    listener = next(each for each in model.listeners if each.name == "secure")
    assert [each.passthrough for each in listener.streams] == [False, True, False]
    assert {cell.backend for cell in listener.cells} == {"web"}


def test_http_keeps_its_hosts():
    """A name that HTTP routes have is not TCP's, whichever is older, which its service is told."""
    model = modelled(
        ("db", {"tcp.a.sni": "www.org", "tcp.a.listener": "secure"}),
        ("web", {"host": "www.org", "listener": "secure"}),
        rules=BESIDE,
    )
    assert streams(model, "secure")[0][0] == ("sni(www.org)", "")
    (problem,) = model.problems
    assert problem.service == "db"
    assert "www.org is a host of HTTP routes" in problem.message


@pytest.mark.parametrize(
    "labels",
    [
        {"tcp.a.sni": "*", "tcp.a.listener": "secure"},
        {"tcp.a.rule": "HostSNIRegexp(`^a`)", "tcp.a.listener": "secure"},
        {"tcp.a.rule": "!HostSNI(`a.org`)", "tcp.a.listener": "secure"},
        {"tcp.a.rule": "HostSNI(`a.org`) || ClientIP(`10.0.0.1`)", "tcp.a.listener": "secure"},
        {"tcp.a.sni": "a.org", "tcp.a.listener": "web"},
    ],
)
def test_not_beside_http(labels):
    """What would take more than some names is closed, and HTTP notices nothing; so is all of it without TLS."""
    model = modelled(("db", labels), ("web", {"host": "www.org", "listener": "web,secure"}), rules=BESIDE)
    assert len(model.problems) == 1
    assert [listener.streams for listener in model.listeners] == [(), ()]
    assert {cell.backend for listener in model.listeners for cell in listener.cells} == {"web"}


@pytest.mark.parametrize("keys", [{"listener": "dbs"}, {"listener": "db,dbs"}])
def test_offers_are_not_known_where_tls_ends(keys):
    """ALPN closes the route on listeners that end TLS, with the reason."""
    labels = {"tcp.a.rule": "HostSNI(`a.org`) && ALPN(`h2`)", **{f"tcp.a.{key}": value for key, value in keys.items()}}
    model = modelled(("web", labels))
    assert model.routes == ()
    (problem,) = model.problems
    assert "ALPN" in problem.message
    assert "passthrough" in problem.remedy
