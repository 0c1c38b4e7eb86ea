"""`lbgen.labels.beside`: lbgen's short keys hold for the routes of other dialects, and no guard is lost by it."""

from __future__ import annotations

import pytest

from lbgen.labels import beside
from lbgen.labels.context import LabelContext
from lbgen.labels.dialects import parse
from lbgen.labels.keys.table import GUARDS, KEYS, RouteKeys
from lbgen.labels.route_spec import MATCHING
from tests.support.foreign_labels import LISTENERS, PORTS, matches

LABELS = {
    "traefik": {
        "traefik.enable": "true",
        "traefik.http.routers.app.rule": "Host(`a.org`)",
        "traefik.http.services.app.loadbalancer.server.port": "80",
    },
    "dockerflow": {
        "com.df.notify": "true",
        "com.df.serviceDomain": "a.org",
        "com.df.serviceDomainAlgo": "hdr(host)",
        "com.df.port": "80",
    },
}
HOST = matches(parse("shop", LABELS["traefik"], LabelContext(("traefik",))).routes[0])
# Of the keys of an HTTP route, those whose routes' own labels say them in both dialects, or have nothing to hold for.
SAID = MATCHING | {"rule", "port", "listener"}


def read(own, short, dialect="traefik", names=None):
    """What a service's labels say: those of a dialect, and ``lbgen.<key>`` beside them."""
    labels = own | {f"lbgen.{key}": value for key, value in short.items()}
    context = LabelContext(names or (dialect,), listeners=LISTENERS, ports=PORTS)
    return parse("shop", labels, context)


def only(own, short, dialect="traefik", **more):
    """The one route, without a problem."""
    found = read(own, short, dialect, **more)
    assert (found.problems, found.closed) == ((), ())
    (route,) = found.routes
    return route


def middleware(text):
    """Traefik's labels with this middleware on the router: ``ipallowlist.sourcerange=10.0.0.0/8``."""
    option, _, value = text.partition("=")
    named = {"traefik.http.routers.app.middlewares": "m", f"traefik.http.middlewares.m.{option}": value}
    return LABELS["traefik"] | named


@pytest.mark.parametrize("dialect", LABELS)
@pytest.mark.parametrize(
    "key", [key for name, key in KEYS.items() if "http" in key.protocols and name not in SAID], ids=lambda key: key.name
)
def test_every_key(dialect, key):
    """Each short key without a counterpart among the labels holds, whether dialect lbgen is read or not."""
    name = next(name for name, each in KEYS.items() if each is key)
    short = {f"{key.family}{key.member}" if key.family else key.name: key.sample}
    for names in ((dialect,), ("lbgen", dialect)):
        route = only(LABELS[dialect], short, dialect, names=names)
        assert matches(route) == HOST
        value = (route.priority and route).priority if name == "priority" else getattr(route.keys, name)
        parsed = key.parse(key.sample)
        assert value == ({key.member: parsed} if key.family else parsed)
        assert route.written[name] == (f"lbgen.{next(iter(short))}", key.sample)


def test_what_the_route_says():
    """What a route's labels say of themselves goes before a short key; of headers each by itself."""
    own = LABELS["traefik"] | {
        "traefik.http.services.app.loadbalancer.strategy": "p2c",
        "traefik.http.services.app.loadbalancer.healthcheck.path": "/own",
        "traefik.http.routers.app.middlewares": "m",
        "traefik.http.middlewares.m.headers.customrequestheaders.X-A": "own",
        "traefik.http.routers.app.priority": "7",
    }
    short = {"port": "81", "balance": "source", "health-check.path": "/short", "health-check": "tcp", "priority": "9"}
    short |= {"health-check.fall": "5", "request-header.x-a": "short", "request-header.x-b": "short", "host": "b.org"}
    route = only(own, short)
    keys = route.keys
    assert (keys.port, keys.balance, route.priority, matches(route)) == (80, "random", 7, HOST)
    assert (keys.health_check, keys.health_check_path) == ("http", "/own")
    assert keys.request_header == {"x-a": "own", "x-b": "short"}
    assert keys.host == ()


def test_where_traffic_goes():
    """Where traffic goes is said for lbgen alone: other programs' labels may say something else."""
    own = LABELS["traefik"] | {"traefik.swarm.network": "public", "traefik.swarm.lbswarm": "true"}
    assert (only(own, {}).keys.network, only(own, {}).keys.via) == ("public", "vip")
    keys = only(own, {"network": "edge", "via": "task"}).keys
    assert (keys.network, keys.via) == ("edge", "task")


def test_health_check():
    """The keys of a check ask for one, as they do for lbgen's own routes."""
    assert only(LABELS["traefik"], {}).keys.health_check == "off"
    keys = only(LABELS["traefik"], {"health-check.path": "/healthz"}).keys
    assert (keys.health_check, keys.health_check_path) == (None, "/healthz")
    assert only(LABELS["traefik"], {"health-check.interval": "5s", "health-check": "off"}).keys.health_check == "off"


@pytest.mark.parametrize("more", [{}, {"traefik.http.services.app.loadbalancer.serverstransport": "own@file"}])
def test_verified_servers(more):
    """Nothing is told of servers' certificates that are not verified where lbgen's label has them verified."""
    own = LABELS["traefik"] | {"traefik.http.services.app.loadbalancer.server.scheme": "https"} | more
    (told,) = read(own, {}).problems
    assert "servers' certificates are not verified" in told.message
    found = read(own, {"server-ca": "system"})
    assert [route.keys.server_ca for route in found.routes] == ["system"]
    assert not any("verified" in problem.message for problem in found.problems)


@pytest.mark.parametrize(
    ("own", "short", "field", "meant"),
    [
        ("ipallowlist.sourcerange=10.0.0.0/8,192.0.2.7", {"allow-ip": "10.1.0.0/16"}, "allow_ip", ("10.1.0.0/16",)),
        ("buffering.maxrequestbodybytes=1000", {"max-body": "10k"}, "max_body", 1000),
        ("buffering.maxrequestbodybytes=100000", {"max-body": "10k"}, "max_body", 10240),
        ("ratelimit.average=10", {"rate-limit": "20/s"}, "rate_limit", (10, 1)),
        ("ratelimit.average=10", {"rate-limit": "5/s"}, "rate_limit", (5, 1)),
        ("ratelimit.average=10", {"rate-limit": "5/s"}, "rate_limit_burst", 0),
        ("ratelimit.average=10", {"rate-limit.burst": "9"}, "rate_limit_burst", 0),
        ("inflightreq.amount=10", {"max-concurrent": "7", "max-concurrent.by": "host"}, "max_concurrent", 7),
        ("inflightreq.amount=10", {"max-concurrent": "70", "max-concurrent.by": "host"}, "max_concurrent", 10),
        ("inflightreq.amount=10", {"max-concurrent.by": "client"}, "max_concurrent_by", "host"),
        ("basicauth.usersfile=staff", {"basic-auth": "staff"}, "basic_auth", "staff"),
    ],
)
def test_both_guards(own, short, field, meant):
    """Of two guards both hold."""
    assert getattr(only(middleware(own), short).keys, field) == meant


@pytest.mark.parametrize(
    ("own", "short", "field"),
    [
        ("ipallowlist.sourcerange=10.0.0.0/8", {"allow-ip": "192.0.2.0/24"}, "allow_ip"),
        ("basicauth.usersfile=staff", {"basic-auth": "others"}, "basic_auth"),
        ("basicauth.users=me:$2y$05$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234", {"basic-auth": "a"}, ""),
        ("ratelimit.average=10", {"rate-limit": "600/m"}, "rate_limit"),
        ("inflightreq.amount=10", {"max-concurrent": "10", "max-concurrent.by": "client"}, "max_concurrent"),
        ("forwardauth.address=http://auth:9091/", {"forward-auth": "http://other:80/"}, "forward_auth"),
    ],
)
def test_guards_that_cannot_hold_together(own, short, field):
    """Of two guards that cannot hold together neither is lost: the route is closed, and a problem names both labels."""
    found = read(middleware(own), short)
    assert found.routes == ()
    (closed,) = found.closed
    assert matches(closed) == HOST
    assert closed.missing
    if field:
        assert field in closed.missing
        (problem,) = (each for each in found.problems if each.label.startswith("lbgen."))
        assert (problem.label, problem.route) == (f"lbgen.{KEYS[field].name}", "app")
        assert "cannot hold together with what label traefik.http.middlewares.m." in problem.message


def test_listeners():
    """A route is on the listeners that both name, and closed if there is none."""
    own = LABELS["traefik"] | {"traefik.http.routers.app.entrypoints": "web,websecure"}
    assert only(own, {"listener": "websecure,other"}).keys.listener == ("websecure",)
    assert only(LABELS["traefik"], {"listener": "other"}).keys.listener == ("other",)
    found = read(own, {"listener": "other"})
    assert (found.routes, [closed.keys.listener for closed in found.closed]) == ((), [("web", "websecure")])
    secure = LABELS["traefik"] | {"traefik.http.routers.app.tls": "true"}
    assert only(secure, {"listener": "web,websecure"}).keys.listener == ("websecure",)


@pytest.mark.parametrize("dialect", LABELS)
@pytest.mark.parametrize(
    ("short", "missing"),
    [
        ({"via": "mash"}, frozenset()),
        ({"allow-ip": "10.0.0.0/99"}, {"allow_ip"}),
        ({"alow-ip": "10.0.0.0/8"}, {"allow_ip"}),
        ({"basic-auth": ""}, {"basic_auth"}),
        ({"vai": "mesh"}, frozenset()),
        ({"nodes": "\n"}, frozenset()),
        ({"listener": "a b"}, frozenset()),
    ],
)
def test_broken(dialect, short, missing):
    """A short key that cannot be read closes the routes of other dialects, as it does lbgen's own."""
    own = read({}, {"enable": "true", "port": "80"} | short, "lbgen")
    found = read(LABELS[dialect], short, dialect)
    assert found.routes == ()
    (closed,) = found.closed
    assert (matches(closed), closed.missing, closed.dialect) == (HOST, missing, dialect)
    assert found.problems == own.problems
    assert [each.missing for each in own.closed] == [missing]


def test_not_for_the_route():
    """Keys for requests, of named routes, and of other protocols do not hold; nor are they needed to be good."""
    short = {"host": "*", "rule": "?", "http.own.basic-auth": "", "enable": "perhaps", "sni": "x.org"}
    assert only(LABELS["traefik"], short).keys == only(LABELS["traefik"], {}).keys
    assert not any(beside.holds(f"lbgen.{key}") for key in short)
    tcp = {
        "traefik.enable": "true",
        "traefik.tcp.routers.db.rule": "HostSNI(`*`)",
        "traefik.tcp.services.db.loadbalancer.server.port": "5432",
    }
    keys = only(tcp, {"basic-auth": "staff", "deny-ip": "192.0.2.7", "via": "mesh"}).keys
    assert (keys.basic_auth, keys.deny_ip, keys.via) == ("", ("192.0.2.7/32",), "mesh")


def test_not_enabled():
    """Short keys enable nothing."""
    own = {label: value for label, value in LABELS["traefik"].items() if label != "traefik.enable"}
    found = read(own, {"via": "mesh", "allow-ip": "?"})
    assert (found.enabled, found.problems) == (False, ())


def test_closed_already():
    """What is closed for a mistake of its own has the short guards, too."""
    own = LABELS["traefik"] | {"traefik.http.routers.app.service": "nobody"}
    (closed,) = read(own, {}).closed
    assert not closed.guarded
    (closed,) = read(own, {"basic-auth": "staff"}).closed
    assert (closed.keys.basic_auth, closed.guarded, closed.missing) == ("staff", True, frozenset())
    (closed,) = read(own, {"basic-auth": ""}).closed
    assert closed.missing == {"basic_auth"}


def test_default_backend():
    """What takes the requests that nothing else does goes on doing that."""
    own = {"com.df.notify": "true", "com.df.isDefaultBackend": "true", "com.df.port": "80"}
    assert [route.priority for route in read(own, {"priority": "9"}, "dockerflow").routes] == [0]


def test_every_guard_is_joined():
    """No guard of the table is among the fields of which another one's value alone would count."""
    usual = RouteKeys()
    assert {name for name in GUARDS if name in beside.WHERE | beside.OF_THE_ROUTE} == set()
    assert {name for name in beside.OTHER_DEFAULTS if not hasattr(usual, name)} == set()
