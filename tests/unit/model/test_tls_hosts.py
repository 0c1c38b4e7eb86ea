"""`lbgen.model.tls` and the keys tls, client-ca and passthrough: which listeners, and who of one host is right."""

from __future__ import annotations

import pytest

from lbgen.labels.match import Test
from lbgen.model import Model, Route
from lbgen.model.entries import TlsHost
from lbgen.model.tls import tls_hosts
from tests.support.builders import a_listener, a_network, a_node, a_route, a_rules, a_service, modelled

SECURE = a_listener("websecure", 443, tls=True)
PLAIN = a_listener("web", 80)
PG, PGS = a_listener("pg", 5432, "tcp"), a_listener("pgs", 5433, "tcp", tls=True)


def host(name: str) -> tuple[Test, ...]:
    return (Test("host", name),)


def model(*keys: dict[str, object], listeners=(PLAIN, SECURE, PG, PGS), defaults=("web",)) -> Model:
    """The model of a service for each set of keys."""
    services = [
        a_service(f"s{index}", {"port": 80, **own}, networks=("edge-id",), created_at=f"2026-11-22T10:00:0{index}Z")
        for index, own in enumerate(keys)
    ]
    return modelled(a_node(), a_network(), *services, rules=a_rules(*listeners, default_listeners=defaults))


@pytest.mark.parametrize(
    ("keys", "defaults", "listeners"),
    [
        ({"tls": "true"}, ("web",), ("websecure",)),
        ({"tls": "true"}, ("web", "websecure"), ("websecure",)),
        ({"tls": "false"}, ("web", "websecure"), ("web", "websecure")),
        ({"tls": "shop", "host": "a.org"}, ("web",), ("websecure",)),
        ({"client-ca": "partners", "host": "a.org"}, ("web",), ("websecure",)),
        ({"tls": "true", "listener": "websecure"}, ("web",), ("websecure",)),
        ({"tcp.x.passthrough": "true", "tcp.x.listener": "pg"}, ("web",), ("pg",)),
        ({"tcp.x.listener": "pgs"}, ("web",), ("pgs",)),
    ],
)
def test_listeners(keys, defaults, listeners):
    """What asks for TLS is on listeners with TLS only."""
    found = model(keys, defaults=defaults)
    assert found.problems == ()
    assert [route.listeners for route in found.routes] == [listeners]


@pytest.mark.parametrize(
    ("keys", "label"),
    [
        ({"tls": "true", "listener": "web,websecure"}, "lbgen.tls"),
        ({"client-ca": "partners", "listener": "web", "host": "a.org"}, "lbgen.client-ca"),
        ({"client-ca": "partners"}, "lbgen.client-ca"),
        ({"client-ca": "partners", "rule": "Host(`a.org`) || PathPrefix(`/x`)"}, "lbgen.client-ca"),
        ({"tls": "shop", "path": "/x"}, "lbgen.tls"),
        ({"tcp.x.passthrough": "true", "tcp.x.listener": "pgs"}, "lbgen.tcp.x.passthrough"),
    ],
)
def test_refused(keys, label):
    """What is not there drops the route."""
    found = model(keys)
    assert found.routes == ()
    assert [problem.label for problem in found.problems] == [label]


def test_no_listener_has_tls():
    """Nothing is served in the clear instead."""
    found = model({"tls": "true"}, listeners=(PLAIN,))
    assert found.routes == ()
    assert "give a listener tls: true" in found.problems[0].remedy


def on(name: str, number: int, *hosts: tuple[Test, ...], **facts: str) -> Route:
    """A route on websecure of a service; the lower its number, the older."""
    return a_route(name, *hosts, listeners=("websecure",), age=(float(number), name.partition(".")[0]), **facts)


def zz(name: str) -> tuple[Test, ...]:
    """One path of a host."""
    return (Test("host", name), Test("path_prefix", "/zz"))


def test_hosts():
    """A listener knows what each host asks for; what two routes of a service ask for adds up."""
    routes = [
        on("a", 1, host("a.org"), host("*.a.org"), certificate="x"),
        on("a.http.b", 1, zz("a.org"), client_ca="y"),
        on("c", 2, host("c.org")),
    ]
    listener, carried, problems = tls_hosts(SECURE, routes)
    assert listener.hosts == (TlsHost("*.a.org", "x", ""), TlsHost("a.org", "x", "y"))
    assert (len(carried), problems) == (3, [])


@pytest.mark.parametrize("chosen", ["x", ""])
def test_certificates_differ(chosen):
    """The older service's choice holds, that of none as well; both are served."""
    old, new = on("old", 1, host("a.org"), certificate=chosen), on("new", 2, zz("a.org"), certificate="y")
    listener, carried, problems = tls_hosts(SECURE, [new, old])
    assert listener.hosts == ((TlsHost("a.org", "x", "", shared=True),) if chosen else ())
    assert carried == [old, new]
    assert [(problem.service, problem.route) for problem in problems] == [("new", "new")]


def test_an_authority_where_none_is_asked_for():
    """A younger service's route for a path is not served: all clients of the host would be asked for certificates."""
    old, new = on("old", 1, host("a.org")), on("new", 2, zz("a.org"), client_ca="y")
    listener, carried, problems = tls_hosts(SECURE, [new, old])
    assert (listener.hosts, carried) == ((), [old])
    assert [problem.service for problem in problems] == ["new"]
    listener, carried, problems = tls_hosts(SECURE, [new, on("late", 3, host("a.org"))])
    assert listener.hosts == (TlsHost("a.org", "", "y", shared=True),)
    assert (len(carried), problems) == (2, [])


def test_a_domain_of_an_older_service():
    """Who asks for all of a host decides for it; who asks for a path of it does not."""
    old = on("old", 1, host("*.a.org"))
    listener, carried, _ = tls_hosts(SECURE, [old, on("new", 2, host("x.a.org"), certificate="y", client_ca="y")])
    assert (listener.hosts, len(carried)) == ((TlsHost("x.a.org", "y", "y"),), 2)
    listener, carried, problems = tls_hosts(SECURE, [old, on("new", 2, zz("x.a.org"), client_ca="y")])
    assert (listener.hosts, carried, len(problems)) == ((), [old], 1)


def test_a_domain_of_a_younger_service():
    """What it chooses is not for the older one's host; what an older one chooses is, if the file is for it."""
    exact, wide = host("x.a.org"), host("*.a.org")
    listener, *_ = tls_hosts(SECURE, [on("old", 1, exact), on("new", 2, wide, certificate="y", client_ca="y")])
    assert listener.hosts == (TlsHost("*.a.org", "y", "y"), TlsHost("x.a.org", "", ""))
    listener, *_ = tls_hosts(SECURE, [on("old", 1, wide, certificate="y"), on("new", 2, exact)])
    assert listener.hosts == (TlsHost("*.a.org", "y", ""), TlsHost("x.a.org", "y", "", shared=True))


def test_other_listeners():
    """Who has the host on another listener with TLS decides for it here, too."""
    old = a_route("old", host("a.org"), listeners=("other",), age=(1.0, "old"))
    new = on("new", 2, host("a.org"), certificate="y", client_ca="y")
    listener, carried, problems = tls_hosts(SECURE, [old, new], {"websecure", "other"})
    assert (listener.hosts, carried, len(problems)) == ((), [], 1)
    listener, carried, problems = tls_hosts(SECURE, [old, new], {"websecure"})
    assert (len(listener.hosts), carried, problems) == (1, [new], [])


def test_authorities_differ():
    """The newer service is not served: its clients would have to show somebody else's certificate."""
    old = a_route("old", host("a.org"), listeners=("websecure",), client_ca="x", age=(1.0, "x"))
    new = a_route("new", host("a.org"), host("b.org"), listeners=("websecure",), client_ca="y", age=(2.0, "y"))
    listener, carried, problems = tls_hosts(SECURE, [new, old])
    assert carried == [old]
    assert listener.hosts == (TlsHost("a.org", "", "x"),)
    assert "not served" in problems[0].message


def test_without_tls():
    """A plain listener has none of it."""
    route = a_route("a", host("a.org"), certificate="x")
    assert tls_hosts(PLAIN, [route]) == (PLAIN, [route], [])
