"""`labels.traefik.dialect`: what Traefik's labels mean here, and what is said about those that cannot be honoured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.base.problem import printable
from lbgen.labels.context import LabelContext, Listeners, Provider
from lbgen.labels.dialects import TRAEFIK
from lbgen.labels.match import ALWAYS, Test
from lbgen.labels.route_spec import Denial
from lbgen.labels.rule import parser
from lbgen.labels.traefik.middleware_options import KINDS, TCP_KINDS
from lbgen.labels.traefik.names import local
from lbgen.labels.traefik.options import TABLES
from lbgen.labels.traefik.routers import default_rule
from lbgen.labels.values.value_type import BadValue
from tests.support.foreign_labels import (
    APP,
    LISTENERS,
    TRAEFIK_DEFAULTS,
    matches,
    plain,
    traefik_labels,
    traefik_route,
    unusual,
)
from tests.support.paths import TESTS

REAL_LIFE = sorted((TESTS / "real_life").glob("*.yml"))
DB = {"tcp.routers.db.rule": "HostSNI(`*`)", "tcp.services.db.loadbalancer.server.port": "5432"}


def report(case: Mapping[str, Any]) -> dict[str, Any]:
    """What lbgen makes of a file of tests/real_life, in the words of its ``expected``."""
    provider = Provider(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in case.get("provider", {}).items()}
    )
    found = TRAEFIK.parse("shop", case["labels"], LabelContext(provider=provider, listeners=LISTENERS)).alone
    routes = {}
    for route in found.routes:
        keys = unusual(route.keys, TRAEFIK_DEFAULTS | {"rule": route.keys.rule})
        changed = {name: plain(value) for name, value in keys.items()}
        routes[f"{route.protocol} {route.name}".strip()] = {
            "match": matches(route),
            "priority": route.priority,
            **changed,
        }
    problems = [f"{problem.route or '-'}: {problem}" for problem in found.problems]
    return {"enabled": found.enabled, "routes": routes, "problems": problems}


@pytest.mark.parametrize("path", REAL_LIFE, ids=lambda path: path.stem)
def test_real_life(path):
    """Labels as people publish them give exactly the routes and problems written down beside them."""
    case = yaml.safe_load(path.read_text())
    assert report(case) == case["expected"]


@pytest.mark.parametrize(
    ("option", "value", "meant"),
    [
        ("http.routers.app.entrypoints", "web, other", {"listener": ("web", "other")}),
        ("http.routers.app.tls", "true", {"listener": ("websecure",)}),
        ("http.routers.app.tls", "false", {}),
        ("http.routers.app.tls.options", "default", {"listener": ("websecure",)}),
        ("http.routers.app.rulesyntax", "v3", {}),
        ("http.services.app.loadbalancer.server.scheme", "http", {}),
        ("http.services.app.loadbalancer.server.scheme", "h2c", {"scheme": "h2c"}),
        ("http.services.app.loadbalancer.passhostheader", "false", {"host_header": "server"}),
        ("http.services.app.loadbalancer.server.preservepath", "true", {}),
        ("http.services.app.loadbalancer.server.weight", "3", {"weight": 3}),
        ("http.services.app.loadbalancer.passhostheader", "true", {}),
        ("http.services.app.loadbalancer.strategy", "p2c", {"balance": "random"}),
        ("http.services.app.loadbalancer.strategy", "wrr", {}),
        ("http.services.app.loadbalancer.strategy", "hrw", {"balance": "source"}),
        ("http.services.app.loadbalancer.sticky.cookie", "true", {"sticky": "lbgen"}),
        ("http.services.app.loadbalancer.sticky.cookie", "false", {}),
        ("http.services.app.loadbalancer.sticky.cookie.name", "srv", {"sticky": "srv"}),
        ("http.services.app.loadbalancer.sticky.cookie.secure", "true", {"sticky": "lbgen", "sticky_secure": True}),
        ("http.services.app.loadbalancer.sticky.cookie.httponly", "0", {"sticky": "lbgen", "sticky_http_only": False}),
        (
            "http.services.app.loadbalancer.sticky.cookie.samesite",
            "None",
            {"sticky": "lbgen", "sticky_same_site": "none"},
        ),
        ("http.services.app.loadbalancer.sticky.cookie.samesite", "default", {"sticky": "lbgen"}),
        ("http.services.app.loadbalancer.sticky.cookie.maxage", "90", {"sticky": "lbgen", "sticky_max_age": 90.0}),
        ("http.services.app.loadbalancer.sticky.cookie.maxage", "0", {"sticky": "lbgen"}),
        (
            "http.services.app.loadbalancer.sticky.cookie.maxage",
            "999999999",
            {"sticky": "lbgen", "sticky_max_age": 34560000.0},
        ),
        ("swarm.network", "edge", {"network": "edge"}),
        ("docker.network", "edge", {"network": "edge"}),
        ("swarm.lbswarm", "true", {"via": "vip"}),
        ("docker.lbswarm", "TRUE", {"via": "vip"}),
        ("swarm.lbswarm", "false", {"via": "task"}),
    ],
)
def test_taken(option, value, meant):
    """An option that is honoured ends in the keys of the route, which knows the label that it is from."""
    route = traefik_route(APP | {option: value})
    assert unusual(route.keys) == {**TRAEFIK_DEFAULTS, "rule": APP["http.routers.app.rule"], "port": 80, **meant}
    assert (f"traefik.{option}", value) in route.written.values()


@pytest.mark.parametrize(
    ("option", "value", "meant"),
    [
        ("path", "/up", {"health_check_path": "/up"}),
        ("interval", "1m30s", {"health_check_interval": 90.0}),
        ("interval", "5", {"health_check_interval": 5.0}),
        ("timeout", "500ms", {"health_check_timeout": 0.5}),
        ("port", "81", {"health_check_port": 81}),
        ("hostname", "a.org", {"health_check_host": "a.org"}),
        ("method", "HEAD", {"health_check_method": "HEAD"}),
        ("status", "204", {"health_check_status": ((204, 204),)}),
        ("scheme", "https", {"health_check_scheme": "https"}),
        ("mode", "http", {}),
    ],
)
def test_health_check(option, value, meant):
    """One option of a health check switches it on, with Traefik's defaults for the others."""
    keys = traefik_route(APP | {f"http.services.app.loadbalancer.healthcheck.{option}": value}).keys
    usual = {"health_check_interval": 30.0, "health_check_timeout": 5.0}
    expected = {"health_check": "http", "health_check_rise": 1, "health_check_fall": 1, **usual, **meant}
    assert {name: value for name, value in unusual(keys).items() if name.startswith("health")} == expected


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("http.routers.app.observability.tracing", "false"),
        ("http.services.app.loadbalancer.healthcheck.followredirects", "true"),
        ("http.services.app.loadbalancer.healthcheck.interval", "2h"),
        ("http.services.app.loadbalancer.healthcheck.mode", "grpc"),
        ("http.services.app.loadbalancer.sticky", "true"),
        ("http.services.app.loadbalancer.healthcheck.headers.Host", "b.org"),
        ("http.services.app.loadbalancer.sticky.cookie.maxage", "-1"),
        ("http.services.app.loadbalancer.sticky.cookie.domain", "example.org"),
        ("http.routers.app.encodedcharacters.allowencodedslash", "false"),
        ("http.services.app.loadbalancer.healthcheck.unhealthyinterval", "1s"),
        ("http.services.app.loadbalancer.passivehealthcheck.failurewindow", "3s"),
        ("http.services.app.loadbalancer.sticky.cookie.path", "/app"),
        ("http.services.app.loadbalancer.responseforwarding.flushinterval", "10"),
        ("http.services.spare.loadbalancer.server.port", "81"),
        ("http.middlewares.spare.stripprefix.prefixes", "/a"),
        ("tcp.middlewares.spare.inflightconn.amount", "1"),
        ("tls.stores.default.defaultcertificate", "x"),
        ("port", "80"),
    ],
)
def test_left(option, value):
    """What only tunes or observes, and what nobody uses, is reported; the route stays."""
    found = traefik_labels(APP | {"http.routers.app.service": "app", option: value})
    assert [problem.label for problem in found.problems] == [f"traefik.{option}"]
    assert [route.name for route in found.routes] == ["app"]


@pytest.mark.parametrize(
    ("labels", "blamed"),
    [
        (APP | {"http.routers.app.rule": "Hosts(`a.org`)"}, "http.routers.app.rule"),
        (APP | {"http.routers.app.priority": "-1"}, "http.routers.app.priority"),
        (APP | {"http.routers.app.colour": "red"}, "http.routers.app.colour"),
        (APP | {"http.routers.app.service": "app@file"}, "http.routers.app.service"),
        (APP | {"http.routers.app.service": "api@internal"}, "http.routers.app.service"),
        (APP | {"http.routers.app.tls": "true", "http.routers.app.entrypoints": "web"}, "http.routers.app.tls"),
        (APP | {"http.routers.app.tls.options": "mtls@file"}, "http.routers.app.tls.options"),
        (APP | {"http.routers.app.rulesyntax": "v1"}, "http.routers.app.rulesyntax"),
        *[
            (APP | {f"http.services.app.{option}": value}, f"http.services.app.{option}")
            for option, value in [
                ("loadbalancer.server.url", "http://a.org"),
                ("loadbalancer.server.scheme", "ftp"),
                ("loadbalancer.servers[0].url", "http://a.org"),
                ("loadbalancer.strategy", "best"),
                ("loadbalancer.healthcheck.headers.x-a", "é"),
                ("loadbalancer.healthcheck.interval", "soon"),
                ("weighted.services[0].name", "x"),
                ("mirroring.service", "x"),
                ("failover.service", "x"),
            ]
        ],
        (DB | {"tcp.routers.db.rule": "HostSNI(`a.org`)"}, "tcp.routers.db.rule"),
        (DB | {"tcp.routers.db.middlewares": "allow"}, "tcp.routers.db.middlewares"),
        *[
            (DB | {f"tcp.services.db.loadbalancer.{option}": value}, f"tcp.services.db.loadbalancer.{option}")
            for option, value in [("proxyprotocol.version", "3"), ("server.tls", "yes")]
        ],
        ({"tcp.routers.db.entrypoints": "db"}, "tcp.routers.db.rule"),
        ({"udp.routers.dns.rule": "x"}, "udp.routers.dns.rule"),
        (APP | {"http.routers.app": "true"}, "http.routers.app"),
        (APP | {"http.routers.a b.rule": "Host(`a.org`)"}, "http.routers.a b.rule"),
        (APP | {"http.routers.APP.rule": "Host(`b.org`)"}, "http.routers.app.rule"),
        (APP | {"udp.middlewares.a.b": "x"}, "udp.middlewares.a.b"),
        (APP | {"swarm.net": "edge"}, "swarm.net"),
        (APP | {"swarm.lbswarm": "yes"}, "swarm.lbswarm"),
        (APP | {"swarm.network": "edge", "docker.lbswarm": "true"}, "docker.lbswarm"),
    ],
)  # fmt: skip
def test_lost(labels, blamed):
    """What the route cannot be without drops it, and the problem names the label."""
    found = traefik_labels(labels)
    assert found.routes == ()
    assert f"traefik.{blamed}" in [problem.label for problem in found.problems]


@pytest.mark.parametrize(
    "kind",
    [
        "digestauth.users", "encodedcharacters.x", "forwardauth.addresses", "plugin.x.y",
    ],
)  # fmt: skip
@pytest.mark.parametrize("chained", [False, True])
def test_unknown_middleware(kind, chained):
    """A middleware that cannot be honoured drops the router, in a chain too; its value may be a secret."""
    labels = APP | {"http.routers.app.middlewares": "outer" if chained else "guard"}
    labels |= {"http.middlewares.outer.chain.middlewares": "guard"} if chained else {}
    found = traefik_labels(labels | {f"http.middlewares.guard.{kind}": "s3cret"})
    assert found.routes == ()
    (problem,) = found.problems
    assert (problem.label, problem.route) == (f"traefik.http.middlewares.guard.{kind}", "app")
    assert "s3cret" not in str(problem)


def test_long_chains():
    """Chains that name each other twice are followed once each, and no deeper than is sensible."""
    labels = APP | {"http.routers.app.middlewares": "m0"}
    chains = {f"http.middlewares.m{n}.chain.middlewares": f"m{n + 1},m{n + 1}" for n in range(12)}
    assert traefik_route(labels | chains | {"http.middlewares.m12.retry.attempts": "2"}).keys.retries == 1
    deep = {f"http.middlewares.m{n}.chain.middlewares": f"m{n + 1}" for n in range(2000)}
    assert "deep" in str(traefik_labels(labels | deep).problems)


def test_redirect_without_server():
    """A router that leads nowhere but redirects everything needs no server; what has TLS is denied, as Traefik does."""
    labels = {
        "http.routers.all.rule": "PathPrefix(`/`)",
        "http.routers.all.service": "noop@internal",
        "http.routers.all.middlewares": "https",
        "http.middlewares.https.redirectscheme.scheme": "https",
    }
    keys = traefik_route(labels).keys
    assert (keys.redirect_https, keys.redirect_code, keys.redirect[0]) == (False, 308, ("text", "https://"))
    route = traefik_route(labels | {"http.routers.all.entrypoints": "web,websecure"})
    assert (route.keys.redirect_code, route.denials) == (308, (Denial(ALWAYS, 418, tls=True),))


GUARDED = APP | {"http.routers.app.middlewares": "auth", "http.middlewares.auth.basicauth.usersfile": "staff"}


@pytest.mark.parametrize(
    ("labels", "missing"),
    [
        ({"http.routers.app.middlewares": "atuh"}, {"basic_auth"}),
        ({"http.routers.app.middlewares": "auth,x@file"}, {"x@file"}),
        ({"http.routers.app.middlewares": "auth,other"}, {"other"}),
        ({"http.middlewares.auth.basicauth.usersfile": "!"}, {"basic_auth"}),
        ({"http.middlewares.auth.basicauth.userfile": "staff"}, {"basic_auth"}),
        ({"http.middlewares.auth.basicath.usersfile": "staff"}, {"basic_auth"}),
        ({"http.middlewares.auth.forwardauth.address": "x"}, {"basic_auth", "forward_auth"}),
        ({"http.routers.app.middlewares": "m", "http.middlewares.m.forwardauth.address": "x y"}, {"forward_auth"}),
        ({"http.routers.app.middleware": "auth"}, {"basic_auth"}),
        ({"http.routers.app.middlewares": "\n,"}, {"middlewares"}),
        ({"http.routers.app.tls.options": "mtls@file"}, {"client_ca"}),
        ({"http.routers.app.colour": "red"}, set()),
        ({"http.routers.app.service": "elsewhere"}, set()),
        ({"http.middlewares.auth.headers.framedenied": "true"}, {"basic_auth"}),
        ({"http.routers.app.middlewares": "m", "http.middlewares.m.digestauth.users": "x"}, {"digestauth"}),
        ({"http.routers.app.middlewares": "m", "http.middlewares.m.plugin.bouncer.key": "x"}, {"plugin"}),
        ({"http.routers.app.middlewares": "m", "http.middlewares.m.encodedcharacters.allow": "x"}, {"deny"}),
        ({"http.routers.app.middlewares": "auth,m", "http.middlewares.m.headers.framedenied": "x"}, set()),
        ({"http.routers.app.middlewares": "auth,m", "http.middlewares.m.compress": "perhaps"}, set()),
    ],
)
def test_closed(labels, missing):
    """A router that cannot be honoured keeps its match, and says which of its guards are missing."""
    found = traefik_labels(GUARDED | labels)
    (spec,) = found.closed
    assert (found.routes, spec.name, spec.match, set(spec.missing)) == ((), "app", Test("host", "a.org"), missing)
    assert spec.guarded


@pytest.mark.parametrize(
    ("labels", "closes"),
    [
        ({}, False),
        ({"http.middlewares.m.compress": "true", "http.routers.app.middlewares": "m"}, False),
        ({"http.middlewares.m.ipallowlist.sourcerange": "::1"}, True),
        ({"http.middlewares.my m.basicauth.users": "x"}, True),
        ({"http.middleware.m.forwardauth.address": "x"}, True),
        ({"http.routers.app.middlewares": "auth@file"}, True),
        ({"http.routers.app.middlewares": "auth"}, True),
        ({"http.routers.app.tls.options": "mtls@file"}, True),
    ],
)
def test_refused_whole(labels, closes):
    """A service that Traefik takes nothing of is closed if something of it was to be guarded, and else left out."""
    found = traefik_labels(APP | {"http.routers.app": "true"} | labels)
    assert found.routes == ()
    assert {(spec.protocol, spec.guarded, spec.unreadable) for spec in found.closed} == (
        {("http", True, True), ("tcp", True, True)} if closes else set()
    )


def test_nowhere():
    """A router that leads nowhere answers 418, as Traefik does; one that redirects some requests is not served."""
    labels = {"http.routers.no.rule": "PathPrefix(`/.env`)", "http.routers.no.service": "NoOp@internal"}
    assert unusual(traefik_route(labels).keys, TRAEFIK_DEFAULTS).items() >= {"deny": True, "deny_status": 418}.items()
    some = {"http.routers.no.middlewares": "m", "http.middlewares.m.redirectregex.replacement": "https://b.org/"}
    found = traefik_labels(labels | some | {"http.middlewares.m.redirectregex.regex": "^https?://a.org/x$"})
    assert [(spec.name, spec.missing) for spec in found.closed] == [("no", {"deny"})]


def test_same_rule_with_and_without_tls():
    """Of two routers with one rule, that with TLS has the listeners with TLS and the other one the rest."""
    both = Listeners(("web", "websecure"), frozenset({"web"}), frozenset({"websecure"}))
    labels = APP | {"http.routers.tls.rule": "Host(`a.org`)", "http.routers.tls.tls": "true"}
    written = {f"traefik.{key}": value for key, value in labels.items()}
    found = TRAEFIK.parse("shop", written, LabelContext(expose_by_default=True, listeners=both))
    assert [(route.name, route.keys.listener) for route in found.routes] == [("app", ("web",)), ("tls", ("websecure",))]


PLAIN_DB, ENDS = ("db", "pg"), ("dbs", "pgs")


@pytest.mark.parametrize(
    ("options", "default", "listeners"),
    [
        ({}, (), PLAIN_DB),
        ({}, ("pg", "pgs"), ("pg",)),
        ({"rule": "ClientIP(`10.0.0.0/8`)"}, ("pg",), ("pg",)),
        ({"rule": "HostSNI(`a.org`)"}, ("pg",), "never matches without TLS"),
        ({"rule": "!HostSNI(`a.org`)"}, ("pg",), "never matches without TLS"),
        ({"rule": "HostSNI(`a.org`)", "tls": "true"}, (), ENDS),
        ({"rule": "HostSNI(`a.org`)", "tls": "true"}, ("pg", "pgs"), ("pgs",)),
        ({"rule": "HostSNI(`a.org`)", "tls.options": "default"}, (), ENDS),
        ({"rule": "HostSNI(`a.org`)", "tls": "false"}, (), "never matches without TLS"),
        ({"tls": "true", "entrypoints": "dbs"}, (), ("dbs",)),
        ({"tls": "true", "entrypoints": "db"}, (), "which listener db does not have"),
        ({"tls": "true", "entrypoints": "db,dbs"}, (), "which listener db does not have"),
        ({"rule": "HostSNI(`a.org`)", "tls.passthrough": "true"}, ("pgs",), PLAIN_DB),
        ({"rule": "HostSNI(`a.org`)", "tls.passthrough": "true", "entrypoints": "db"}, (), ("db",)),
    ],
)
def test_listeners_of_streams(options, default, listeners):
    """A TCP router that ends TLS is on listeners that do; one that passes it through, or has none, on the others."""
    own = {f"tcp.routers.db.{option}": value for option, value in options.items()}
    written = {f"traefik.{label}": value for label, value in (DB | own).items()}
    known = Listeners(default, frozenset(PLAIN_DB), frozenset(ENDS))
    found = TRAEFIK.parse("shop", written, LabelContext(expose_by_default=True, tcp_listeners=known))
    if isinstance(listeners, tuple):
        assert [route.keys.listener for route in found.routes] == [listeners]
        assert found.problems == ()
    else:
        assert found.routes == ()
        assert [listeners in problem.message for problem in found.problems] == [True]


def test_no_listener_ends_tls():
    """Where no listener ends TLS a router that wants it is closed, and the remedy names both ways out."""
    written = {f"traefik.{label}": value for label, value in (DB | {"tcp.routers.db.tls": "true"}).items()}
    without = LabelContext(expose_by_default=True, listeners=Listeners(("web",), frozenset({"web"})))
    (problem,) = TRAEFIK.parse("shop", written, without).problems
    assert "tls: true" in problem.remedy
    assert "passthrough" in problem.remedy


@pytest.mark.parametrize("how", ["tls", "tls.passthrough"])
@pytest.mark.parametrize("named", [{}, {"tcp.routers.db.entrypoints": "websecure"}])
def test_streams_beside_http(how, named):
    """Where no TCP listener is there, or an HTTP one is named, routers by server name are on one with TLS."""
    labels = DB | named | {"tcp.routers.db.rule": "HostSNI(`db.org`)", f"tcp.routers.db.{how}": "true"}
    found = traefik_labels(labels)
    assert found.problems == ()
    assert [route.keys.listener for route in found.routes] == [("websecure",)]
    assert [route.keys.passthrough for route in found.routes] == [how == "tls.passthrough"]


def test_tls_with_stream_servers():
    """TLS to TCP servers is done, without asking who they are, which a note says."""
    found = traefik_labels(DB | {"tcp.services.db.loadbalancer.server.tls": "true"})
    assert [route.keys.server_tls for route in found.routes] == [True]
    assert ["not verified" in problem.message for problem in found.problems] == [True]


def test_service_of_no_label():
    """A router may name the service that Traefik makes out of the Swarm service's own name."""
    rule_ = {"http.routers.app.rule": "Host(`a.org`)"}
    assert traefik_route(rule_ | {"http.routers.app.service": "shop"}).keys.port is None
    assert traefik_labels(rule_ | {"http.routers.app.service": "other"}).routes == ()


def test_default_rule():
    """A router without a rule has the default one, and its length as priority; an unknown template is refused."""
    route = traefik_route({"http.routers.app.entrypoints": "web"}, default_rule="Host(`{{ normalize .Name }}.a.org`)")
    assert (route.match, route.priority) == (Test("host", "shop.a.org"), len("Host(`shop.a.org`)"))
    assert default_rule("{{.Name}} {{ normalize .Name }}", "a_b-c") == "a_b-c a-b-c"
    with pytest.raises(BadValue, match="template"):
        default_rule("{{ .Labels.x }}", "shop")


@pytest.mark.parametrize("value", ["true", "1", "false", "yes", ""])
def test_enable(value):
    """``traefik.enable`` decides, in Go's spelling of booleans; the setting does where it is missing."""
    for default in (True, False):
        context = LabelContext(expose_by_default=default)
        found = TRAEFIK.parse("shop", {"TRAEFIK.enable": value}, context)
        assert found.enabled is (value in ("true", "1"))
        assert TRAEFIK.parse("shop", {}, context).enabled is default


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("", True),
        ("Label(`tier`, `front`)", True),
        ('Label("tier", "back")', False),
        ("Label(`none`, ``)", True),
        ("LabelRegex(`tier`, `^f`)", True),
        ("!Label(`tier`,`back`) && (Label(`tier`,`x`) || LabelRegex(`tier`,`nt$`))", True),
        ("Label(`tier`,`front`) && Label(`Tier`,`front`)", False),
    ],
)
def test_constraints(text, held):
    """Constraints decide which services count, before anything else is said about their labels."""
    context = LabelContext(provider=Provider(constraints=text))
    assert TRAEFIK.parse("shop", {"tier": "front", "traefik.enable": "true"}, context).enabled is held


@pytest.mark.parametrize(
    "text",
    [
        "Label(`a`)",
        "Label(`a`,`b`",
        "Tag(`a`,`b`)",
        "Label(`a`,`b`) Label(`a`,`b`)",
        "LabelRegex(`a`,`(`)",
        "&&",
        "!" * 99,
    ],
)
def test_bad_constraints(text):
    """A bad expression is refused with its place."""
    context = LabelContext(provider=Provider(constraints=text))
    with pytest.raises(BadValue, match=r"at character|nested"):
        TRAEFIK.parse("shop", {"traefik.enable": "true"}, context)


def test_constraint_label_is_read():
    """A label that the constraints ask about is not called unknown."""
    assert traefik_route(APP | {"tier": "x"}, constraints="Label(`traefik.tier`,`x`)").name == "app"


NAMES = st.sampled_from(["a", "b", "A", "c@file", "a b"])
MIDDLEWARES = [
    *("redirectscheme.scheme", "redirectscheme.permanent", "redirectregex.regex", "redirectregex.replacement"),
    *("compress", "retry.attempts", "chain.middlewares", "basicauth.users", "headers.x", "nothing"),
    *(
        f"{kind}.{option.replace('<>', 'x')}".rstrip(".")
        for kind, table in (KINDS | TCP_KINDS).items()
        for option in table
    ),
]
KNOWN = {option.replace("<>", "x").replace("[n]", "[0]") for table in TABLES.values() for option in table}
OPTIONS = st.sampled_from([*sorted(KNOWN), *MIDDLEWARES])
LABELS = st.one_of(
    st.builds(
        "traefik.{}.{}.{}.{}".format,
        st.sampled_from(["http", "http", "tcp", "udp", "Http"]),
        st.sampled_from(["routers", "services", "middlewares"]),
        NAMES,
        OPTIONS,
    ),
    st.sampled_from(["swarm.network", "docker.lbswarm", "tags", "http", "", "Port"]).map("traefik.".__add__),
    st.text(max_size=20).map("traefik.".__add__),
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(["true", "false", "80", "web", "a", "a,b", "b@docker", "5s", "Host(`a.org`)", "HostSNI(`*`)"]),
    st.sampled_from(["noop@internal", "https", ".*", "https://b.org/", "http", "v3", "default", "GET", "a\nb", ""]),
    st.text(max_size=30),
)  # fmt: skip


def words(label: str) -> list[str]:
    """The words of a label as Traefik compares them."""
    return label.lower().split(".")


def excused(
    labels: Mapping[str, str], dropped: set[tuple[str, str]], served: set[tuple[str, str]], idle: set[tuple[str, ...]]
) -> set[str]:
    """The labels of dropped routers and of all that these name, found by following the names through the values.

    So are the others of elements that are told as a whole (`idle`), and whatever a dropped router may have meant.

    Without an HTTP router there is one in the service's name, which is dropped if it is not served.
    """
    lost = {protocol for protocol, _ in dropped}
    elements = {tuple(words(label)[1:4]) for label in labels if len(words(label)) > 4}
    reached = {(protocol, "routers", name) for protocol, name in dropped} | idle
    reached |= {element for element in elements if element[0] in lost and element[1] != "routers"}
    if ("http", "") not in served and not any(words(label)[1:3] == ["http", "routers"] for label in labels):
        reached |= {("http", "services", words(label)[3]) for label in labels if len(words(label)) > 4}
    found: set[str] = set()
    while more := {label for label in labels if tuple(words(label)[1:4]) in reached} - found:
        found |= more
        for label in more:
            protocol = words(label)[1]
            names = {local(name) for name in labels[label].split(",")}
            if label.lower().endswith("middlewares"):
                reached |= {(protocol, "middlewares", name) for name in names}
            elif label.lower().endswith(".service"):
                reached |= {(protocol, "services", name) for name in names}
            # Without a name the router has the only service, or is dropped for all of them.
            if not any(words(other)[1:] == [*words(label)[1:4], "service"] for other in labels):
                reached |= {(protocol, "services", words(other)[3]) for other in labels if len(words(other)) > 4}
    return found


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(LABELS, VALUES, max_size=12), st.booleans())
def test_nothing_is_ignored(labels, whole):
    """Every label is part of a route, or named in a problem, or belongs to a router that a problem drops; none raises.

    Nor does a control character get through, be it into a route or into a message.
    """
    if whole:
        labels = {f"traefik.{key}": value for key, value in APP.items()} | labels
    found = TRAEFIK.parse("shop", labels, LabelContext(expose_by_default=True, listeners=LISTENERS)).alone
    assert all(str(problem).isprintable() and problem.message and problem.remedy for problem in found.problems)
    for route in found.routes:
        assert all(value.isprintable() for value in route.written.values() for value in value[1:])
        assert route.protocol == "udp" or route.match == parser.parse(str(route.keys.rule), route.protocol)
    if not found.routes and all(not problem.route for problem in found.problems):
        return  # one label that Traefik would refuse the whole service for; the problem names it
    named = {label for route in found.routes for label, _ in route.written.values()}
    named |= {problem.label for problem in found.problems}
    dropped = {(words(problem.label)[1], problem.route) for problem in found.problems if problem.route}
    served = {(route.protocol, route.name) for route in found.routes}
    unused = [problem for problem in found.problems if "which no router here uses" in problem.message]
    idle = {tuple(words(problem.label)[1:4]) for problem in unused}
    silent = {label for label in labels if printable(label) not in named} - excused(
        labels, dropped - served, served, idle
    )
    assert not silent if found.routes else all(words(label)[1] in ("swarm", "docker", "enable") for label in silent)
