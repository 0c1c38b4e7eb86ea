"""Entry points of Traefik's: what they add to routers, which routers they have, and what is said of unknown ones."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lbgen.labels.context import EntryPoint, LabelContext, Listeners, Ports, Provider
from lbgen.labels.dialects import TRAEFIK
from lbgen.labels.route_spec import ServiceLabels
from tests.support.foreign_labels import APP

PORTS = Ports(
    (("http", 80, "web"), ("http", 443, "websecure"), ("http", 8443, "admin"), ("tcp", 5432, "pg"), ("udp", 53, "dns"))
)
LISTENERS = Listeners(("web",), frozenset({"web"}), frozenset({"websecure", "admin"}))
LOCAL, VPN = "http.middlewares.local.ipallowlist.sourcerange", "http.middlewares.vpn.ipallowlist.sourcerange"
GUARDS = {LOCAL: "10.0.0.0/8", VPN: "10.1.0.0/16"}
ENTRYPOINTS = "http.routers.app.entrypoints"
WEB, SECURE = EntryPoint("web"), EntryPoint("websecure", tls=True)
GUARDED = EntryPoint("websecure", ("local@swarm",), tls=True)


def asked(labels: Mapping[str, str], *entry_points: EntryPoint) -> ServiceLabels:
    """What a service's labels say beside these entry points."""
    provider = Provider(entry_points=entry_points)
    context = LabelContext(("traefik",), True, provider, LISTENERS, ports=PORTS)
    return TRAEFIK.parse("shop", {f"traefik.{key}": value for key, value in labels.items()}, context)


def served(labels: Mapping[str, str], *entry_points: EntryPoint) -> dict[str, tuple[object, ...]]:
    """By its routes' names their listeners, and whom they let in; there is no problem."""
    found = asked(labels, *entry_points)
    assert [str(problem) for problem in found.problems if "no router uses" not in str(problem)] == []
    assert not found.closed
    return {route.name: (route.keys.listener, route.keys.allow_ip) for route in found.routes}


@pytest.mark.parametrize(
    ("entry_points", "labels", "expected"),
    [
        ((), {}, {"app": (None, ())}),
        ((WEB, SECURE), {}, {"app": (("web", "websecure"), ())}),
        ((WEB, EntryPoint("websecure", tls=True, default=True)), {}, {"app": (("websecure",), ())}),
        # A listener with TLS whose entry point has none sees no router without.
        ((WEB, EntryPoint("websecure")), {}, {"app": (("web",), ())}),
        ((WEB,), {ENTRYPOINTS: "web,websecure"}, {"app": (("web", "websecure"), ())}),  # nobody can know
        ((WEB, EntryPoint("websecure")), {"http.routers.app.tls": "true"}, {"app": (("websecure",), ())}),
        # What one entry point adds makes the router two.
        ((WEB, GUARDED), {}, {"app": (("web",), ()), "websecure-app": (("websecure",), ("10.0.0.0/8",))}),
        ((WEB, GUARDED), {ENTRYPOINTS: "websecure"}, {"app": (("websecure",), ("10.0.0.0/8",))}),
        (
            (GUARDED, EntryPoint("admin", ("local@swarm",), tls=True)),
            {},
            {"app": (("admin", "websecure"), ("10.0.0.0/8",))},
        ),
        # Its own guards hold, too.
        (
            (WEB, GUARDED),
            {"http.routers.app.middlewares": "vpn"},
            {"app": (("web",), ("10.1.0.0/16",)), "websecure-app": (("websecure",), ("10.1.0.0/16",))},
        ),
    ],
)
def test_listeners_and_middlewares(entry_points, labels, expected):
    """A router is on its entry points, behind what guards them."""
    assert served({**APP, **GUARDS, **labels}, *entry_points) == expected


def test_a_listener_that_redirects():
    """No request reaches a router there, so nothing is said of it; a router that is nowhere else stays."""
    listeners = Listeners(("web",), frozenset({"web"}), frozenset({"websecure"}), redirecting=frozenset({"web"}))
    context = LabelContext(("traefik",), True, Provider(entry_points=(WEB, GUARDED)), listeners, ports=PORTS)
    for asked_for, expected in (("web,websecure", [("app", ("websecure",))]), ("web", [("app", ("web",))])):
        labels = {**APP, **GUARDS, ENTRYPOINTS: asked_for}
        found = TRAEFIK.parse("shop", {f"traefik.{key}": value for key, value in labels.items()}, context)
        assert [(route.name, route.keys.listener) for route in found.routes] == expected


def test_names_are_free():
    """A route made of an entry point's name and a router's takes no other router's name."""
    other = {"http.routers.websecure-app.rule": "Host(`b.org`)", "http.routers.websecure-app.entrypoints": "web"}
    found = served({**APP, **GUARDS, **other}, WEB, GUARDED)
    assert sorted(found) == ["app", "websecure-app", "websecure-app-2"]


def test_the_router_of_the_default_rule():
    """It has no name, so the parts of it are called after the listeners."""
    labels = {"http.services.app.loadbalancer.server.port": "80", **GUARDS}
    provider = Provider("Host(`{{ .Name }}.org`)", entry_points=(WEB, GUARDED))
    context = LabelContext(("traefik",), True, provider, LISTENERS, ports=PORTS)
    found = TRAEFIK.parse("shop", {f"traefik.{key}": value for key, value in labels.items()}, context)
    assert [(route.name, route.keys.listener) for route in found.routes] == [
        ("", ("web",)),
        ("websecure", ("websecure",)),
    ]


def test_a_guard_is_never_lost():
    """An entry point's middleware that nobody knows closes the router there, and there alone."""
    found = asked(APP, WEB, EntryPoint("websecure", ("auth@file",), tls=True))
    assert [(route.name, route.keys.listener) for route in found.routes] == [("app", ("web",))]
    (closed,) = found.closed
    assert (closed.name, closed.keys.listener, closed.guarded) == ("websecure-app", ("websecure",), True)
    assert "discovery.traefik.entrypoints.websecure.http.middlewares" in {problem.label for problem in found.problems}


def test_a_guard_of_an_entry_point_stays_with_what_is_closed():
    """A router that cannot be served is closed where its entry point's guard would hold."""
    found = asked({**APP, **GUARDS, "http.services.app.loadbalancer.serverr": "1"}, WEB, GUARDED)
    assert [(each.name, each.keys.listener, each.guarded) for each in found.closed] == [
        ("app", ("web",), False),
        ("websecure-app", ("websecure",), True),
    ]


def test_tls_options():
    """The entry point's are those of routers that say nothing of TLS."""
    secure = EntryPoint("websecure", tls=True, tls_options="mtls@file")
    found = asked(APP, WEB, secure)
    assert [(route.name, route.keys.listener) for route in found.routes] == [("app", ("web",))]
    (closed,) = found.closed
    assert (closed.name, closed.keys.listener, closed.missing) == ("websecure-app", ("websecure",), {"client_ca"})
    assert served({**APP, "http.routers.app.tls": "true"}, WEB, secure) == {"app": (("websecure",), ())}


def test_a_router_without_tls_where_there_is_only_tls():
    """Traefik would serve it in the clear on that port, which lbgen does not."""
    found = asked({**APP, ENTRYPOINTS: "websecure"}, EntryPoint("websecure"))
    assert not found.routes
    assert "add tls=true to the router" in str(found.problems)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_other_protocols(protocol):
    """Middlewares of HTTP are not for them; without entry points they are on those of their protocol."""
    labels = {f"{protocol}.services.db.loadbalancer.server.port": "53", f"{protocol}.routers.db.service": "db"}
    labels |= {"tcp.routers.db.rule": "HostSNI(`*`)"} if protocol == "tcp" else {}
    listeners = {"tcp": ("pg",), "udp": ("dns",)}[protocol]
    for pg in (EntryPoint("pg"), EntryPoint("pg", default=True)):
        found = asked(labels, GUARDED, pg, EntryPoint("dns"))
        assert [(route.name, route.keys.listener) for route in found.routes] == [("db", listeners)]


def test_one_unknown_entry_point():
    """Traefik serves the router on the others: a note."""
    found = asked({**APP, ENTRYPOINTS: "web,http"})
    assert [route.keys.listener for route in found.routes] == [("web",)]
    (problem,) = found.problems
    assert problem.message.startswith("is taken without http, which is no listener")


@pytest.mark.parametrize("entry_points", [(), (WEB, SECURE)])
def test_only_unknown_entry_points(entry_points):
    """Nothing is served; what was guarded is closed on the default listeners, the rest is not there."""
    found = asked({**APP, ENTRYPOINTS: "http,https"}, *entry_points)
    assert (found.routes, found.closed) == ((), ())
    (problem,) = found.problems
    assert (problem.label, problem.message) == (
        "traefik.http.routers.app.entrypoints",
        "names no entry point that there is: http, https",
    )
    guarded = {**APP, **GUARDS, ENTRYPOINTS: "http", "http.routers.app.middlewares": "vpn"}
    (closed,) = asked(guarded, *entry_points).closed
    assert closed.keys.listener == (("web", "websecure") if entry_points else None)
    assert "listener" not in closed.broken
