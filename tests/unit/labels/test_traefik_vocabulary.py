"""`labels.traefik`: less usual words, and values as YAML writes them."""

from __future__ import annotations

import pytest

from lbgen.labels.foreign_options import Noted, duration
from lbgen.labels.match import All, Not, Test
from lbgen.labels.route_spec import Denial, sound
from lbgen.labels.values.value_type import BadValue
from tests.support.builders import parsed
from tests.support.foreign_labels import APP, matches, traefik_labels, traefik_route


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("1.5h", 5400.0),
        ("1m30s", 90.0),
        ("7", 7.0),
        ("+2s", 2.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("2000000000ns", 2.0),
        ("3000000us", 3.0),
        ("3000000µs", 3.0),
        ("3000000μs", 3.0),
        ("100000001ns", 0.101),
        ("1h0.5us", 3600.001),
    ],
)
def test_durations(text, seconds):
    """A duration is what Go reads, or a number of seconds; less than a millisecond is rounded up to one."""
    assert duration(0, 86400)(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "1 s", "1d", "1s2", "--1s", "1e3s", "soon", "-", "1..5s", "٣s", "1" * 41])
def test_no_duration(text):
    """What Go does not read is no duration."""
    with pytest.raises(BadValue, match="is not a duration"):
        duration(0, 86400)(text)


@pytest.mark.parametrize(("text", "meant"), [("1ns", 0.1), ("2h", 3600.0), ("0", 30), ("-5s", 30), ("-1ns", 30)])
def test_nearest_duration(text, meant):
    """Where there is a usual one, a duration that cannot be expressed is the nearest one, and noted; none is usual."""
    noted = duration(0.1, 3600, usual=30)(text)
    assert isinstance(noted, Noted)
    assert (noted.value, noted.note.message.startswith("is taken as")) == (meant, True)
    with pytest.raises(BadValue, match="is outside"):
        duration(0.1, 3600)(text)


def test_nearest_interval():
    """A health check's interval of a nanosecond is that of the shortest there is, with a note."""
    label = "http.services.app.loadbalancer.healthcheck.interval"
    found = traefik_labels(APP | {label: "1ns"})
    assert [route.keys.health_check_interval for route in found.routes] == [0.1]
    (problem,) = found.problems
    assert (problem.label, problem.message) == (
        f"traefik.{label}",
        "is taken as 100ms, since there is 100ms to 1h here",
    )


RULE = "Host(`a.org`) &&\n  (PathPrefix(`/a`)\r\n\t|| Path(`/b`))\n"


def test_lines():
    """Ends of lines around a value, and between the tokens of a rule, mean nothing, and get no further."""
    assert sound("\n 80 \r\n") == "80"
    (native,) = parsed({"rule": RULE, "port": "80\n", "enable": "true\n"}).routes
    route = traefik_route(APP | {"http.routers.app.rule": RULE, "http.services.app.loadbalancer.server.port": "80\n"})
    for made in (native, route):
        assert matches(made) == ["host(a.org) && path(/b)", "host(a.org) && path_start(/a)"]
        assert made.keys.rule.isprintable()
        assert all(value.isprintable() for _, value in made.written.values())
    assert route.priority == len(RULE.strip())


@pytest.mark.parametrize("rule", ["Host(`a.org\n`)", 'Header(`x`, "a\nb")', "Header(`x`, `a\nb`)", "Host(`a.org`)\0"])
def test_lines_in_strings(rule):
    """An end of a line in a string of a rule is refused, and any other control character anywhere."""
    with pytest.raises(BadValue, match="control character or a newline"):
        sound(rule, lines=True)
    assert traefik_labels(APP | {"http.routers.app.rule": rule}).routes == ()


@pytest.mark.parametrize(
    ("option", "cookie"),
    [
        ("sticky.cookie.path", "lbgen"),
        ("sticky.cookie.domain", "lbgen"),
        ("sticky.cookie.samesite", "lbgen"),
        ("sticky", ""),
    ],
)
def test_sticky(option, cookie):
    """Any attribute of the cookie asks for it; the section alone does not, as in Traefik."""
    value = {"sticky": "true", "sticky.cookie.samesite": "lax"}.get(option, "/app")
    found = traefik_labels(APP | {f"http.services.app.loadbalancer.{option}": value})
    assert [route.keys.sticky for route in found.routes] == [cookie]


def test_grpc_check():
    """Nothing asks by gRPC: a connection that comes about has to do."""
    found = traefik_labels(APP | {"http.services.app.loadbalancer.healthcheck.mode": "grpc"})
    assert [route.keys.health_check for route in found.routes] == ["tcp"]


def test_check_by_query_and_headers():
    """A check has the query and the headers of its labels, which are not shown; Host is left out, and told."""
    check = "http.services.app.loadbalancer.healthcheck"
    labels = APP | {
        f"{check}.path": "up?full=1",
        f"{check}.headers.X-Probe": "s3cret",
        f"{check}.headers.Host": "s3cret",
    }
    found = traefik_labels(labels)
    (keys,) = [route.keys for route in found.routes]
    assert (keys.health_check_path, keys.health_check_header) == ("/up?full=1", {"x-probe": "s3cret"})
    (problem,) = found.problems
    assert "is left out: host is the proxy's own business" in str(problem)
    assert "s3cret" not in str(problem) + str(found.routes[0].written)


def with_middleware(labels):
    """A router with one middleware, m."""
    return (
        APP
        | {"http.routers.app.middlewares": "m"}
        | {f"http.middlewares.m.{key}": text for key, text in labels.items()}
    )


@pytest.mark.parametrize(
    ("option", "words"),
    [("digestauth.users", "basicauth.users"), ("plugin.bouncer.key", "is a plugin of Traefik's")],
)
def test_way_out(option, words):
    """Of a guard that cannot be kept the problem says what it is, and what to use; its value is not shown."""
    (problem,) = traefik_labels(with_middleware({option: "s3cret"})).problems
    assert words in str(problem)
    assert "s3cret" not in str(problem)


@pytest.mark.parametrize("option", ["grpcweb.alloworigins", "passtlsclientcert.pem", "passtlsclientcert.info.sans"])
def test_told(option):
    """What does not guard is left out, with a note."""
    found = traefik_labels(with_middleware({option: "true"}))
    assert len(found.routes) == 1
    (problem,) = found.problems
    assert (problem.label, problem.message[:11]) == (f"traefik.http.middlewares.m.{option}", "is left out")


def test_encoded_characters():
    """Paths with characters that are encoded and not allowed are answered 400; some are always refused."""
    allowed = {f"encodedcharacters.allowencoded{name}": "true" for name in ("slash", "percent", "semicolon", "hash")}
    route = traefik_route(with_middleware(allowed | {"encodedcharacters.allowencodedbackslash": "false"}))
    assert route.denials == (Denial(Test("path_regex", r"%5[Cc]|\\|%00|%3[Ff]"), 400),)
    assert route.guards == {"deny"}


@pytest.mark.parametrize(
    ("label", "value", "remedy"),
    [
        ("frontend.rule", "Host:a.org", "write traefik.http.routers.shop.rule=Host(`a.org`)"),
        (
            "frontend.rule",
            "Host:a.org, b.org;PathPrefix:/x",
            "write traefik.http.routers.shop.rule=(Host(`a.org`) || Host(`b.org`)) && PathPrefix(`/x`)",
        ),
        ("frontend.rule", "Host:a.org,b.org", "write traefik.http.routers.shop.rule=Host(`a.org`) || Host(`b.org`)"),
        (
            "frontend.rule",
            "PathPrefixStrip:/x",
            "write traefik.http.routers.shop.rule=PathPrefix(`/x`), traefik.http.middlewares.shop.stripprefix.prefixes="
            "/x and traefik.http.routers.shop.middlewares=shop",
        ),
        (
            "frontend.rule",
            "HostRegexp:{sub:[a-z]+}.a.org",
            "write traefik.http.routers.shop.rule in the form Host(`a.org`) && PathPrefix(`/x`)",
        ),
        ("port", "8080", "write traefik.http.services.shop.loadbalancer.server.port=8080"),
        ("web.port", "8080", "write traefik.http.services.web.loadbalancer.server.port=8080"),
        ("web.frontend.rule", "Path:/x", "write traefik.http.routers.web.rule=Path(`/x`)"),
        (
            "frontend.auth.basic.users",
            "a:s3cret",
            "write traefik.http.middlewares.shop.basicauth.users=... and traefik.http.routers.shop.middlewares=shop",
        ),
        ("frontend.errors.x.status", "500", "write traefik.http.routers.shop.rule, .middlewares and so on"),
    ],
)
def test_first(label, value, remedy):
    """A label of Traefik 1 is named as such, with what to write instead, and nothing more is said of the service."""
    found = traefik_labels({label: value})
    (problem,) = found.problems
    assert (problem.label, problem.remedy) == (f"traefik.{label}", remedy)
    assert problem.message == "is a label of Traefik 1, which means nothing since Traefik 2"
    assert "s3cret" not in str(problem)
    assert found.routes == ()
    assert bool(found.closed) == ("auth" in label)


def test_first_beside_others():
    """Where later labels say how to route, those of Traefik 1 change nothing, whatever they were to guard."""
    found = traefik_labels(APP | {"frontend.auth.basic.users": "a:b", "port": "9"})
    assert (len(found.routes), len(found.closed), len(found.problems)) == (1, 0, 2)


def test_first_by_default_rule():
    """With a default rule a service is served as Traefik serves it, unless one of its labels was to guard."""
    assert len(traefik_labels({"port": "80"}, default_rule="Host(`a.org`)").routes) == 1
    guarded = traefik_labels({"frontend.whiteList.sourceRange": "192.0.2.0/24"}, default_rule="Host(`a.org`)")
    assert (guarded.routes, [spec.whole for spec in guarded.closed]) == ((), [True])


def test_allowed_hosts():
    """Hosts that headers.allowedHosts does not name are answered 500, as by Traefik."""
    route = traefik_route(with_middleware({"headers.allowedhosts": "A.org, b.org"}))
    others = All((Not(Test("host", "a.org")), Not(Test("host", "b.org"))))
    assert (route.denials, route.guards) == ((Denial(others, 500),), {"deny"})


@pytest.mark.parametrize(
    ("limits", "meant"),
    [
        (({"average": "100", "period": "7s"},), ((51428, 3600), 0)),
        (({"average": "1", "period": "90s"},), ((40, 3600), 0)),
        (({"average": "2", "burst": "5"}, {"average": "1", "burst": "5"}), ((1, 1), 4)),
        (({"average": "60", "period": "1m", "burst": "3"}, {"average": "1", "burst": "4"}), ((60, 60), 2)),
    ],
)
def test_limits(limits, meant):
    """A rate is rounded down where little is lost by it; of two limits the stricter one is enough."""
    labels = {f"m{n}.ratelimit.{key}": value for n, own in enumerate(limits) for key, value in own.items()}
    labels = APP | {f"http.middlewares.{key}": value for key, value in labels.items()}
    keys = traefik_route(labels | {"http.routers.app.middlewares": ",".join(f"m{n}" for n in range(len(limits)))}).keys
    assert (keys.rate_limit, keys.rate_limit_burst) == meant


def test_rate_that_is_none():
    """A rate of which much would be lost by rounding closes the router."""
    (closed,) = traefik_labels(with_middleware({"ratelimit.average": "3", "ratelimit.period": "2h"})).closed
    assert closed.missing == {"rate_limit"}
