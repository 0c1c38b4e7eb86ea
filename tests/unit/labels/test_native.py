"""`lbgen.labels.native`: what a service's labels ask for, and what is said about those that cannot be used."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.labels import native
from lbgen.labels.context import LabelContext
from lbgen.labels.keys.table import BY_NAME, FAMILIES, KEYS, RouteKeys, find
from lbgen.labels.match import ALWAYS, All, AnyOf, Test, alternatives
from lbgen.labels.route_spec import sound
from lbgen.labels.values.basic import MAX_VALUE
from lbgen.labels.values.references import ServiceUrl
from lbgen.labels.values.substitution import Substitution, UrlRedirect
from lbgen.labels.values.value_type import BadValue
from tests.support.builders import lbgen_labels, parsed

CERTIFICATE = "did you mean tls? It names a certificate, which is a file in the directory of setting certificates"
MIDDLEWARES = (
    "write a key for what each of them does, such as basic-auth, allow-ip, redirect-https, strip-prefix or rate-limit"
)
# key, good value, what it means, bad values
TABLE = [
    ("port", "8080", 8080, ["0", "65536", "http", "80,81"]),
    ("published-port", "80", 80, ["0", "65536", "web"]),
    ("via", "mesh", "mesh", ["Mesh", "ingress", "none"]),
    ("via", "auto", "auto", ["mesh,task"]),
    ("network", "edge_net", "edge_net", ["a b", "a/b", "n" * 129]),
    ("nodes", "node.role==worker", "node.role==worker", []),
    ("mesh-nodes", "running", "running", ["some", "true"]),
    ("listener", "web, websecure", ("web", "websecure"), ["web,,x", "we b"]),
    ("host", "A.org,*.b.org", ("a.org", "*.b.org"), ["a.org:80", "http://a.org", "*", "a_b!", "a.org,"]),
    ("path", "/api/,/x", ("/api", "/x"), ["api", "/a?b=c", "/a b"]),
    ("path-exact", "/api/,/x", ("/api/", "/x"), ["api", "/a#b"]),
    ("method", "GET,POST", ("GET", "POST"), ["get", "GET POST"]),
    ("header.x-env", "a,b c", {"x-env": ("a", "b c")}, ["a,,b", "\u00e9"]),
    ("path-regex", "^/v[0-9]{1,2}/, x$", ("^/v[0-9]{1,2}/", "x$"), ["(", "(a+)+$", "a\\1", "^/a,,b"]),
    ("header-regex.x-env", "^a,b$", {"x-env": ("^a", "b$")}, ["[", "(?=a)"]),
    ("query.x-env", "a,b c", {"x-env": ("a", "b c")}, ["a,,b", "\u00e9"]),
    ("client-ip", "10.0.0.0/8,192.0.2.1", ("10.0.0.0/8", "192.0.2.1/32"), ["10.0.0.1/8", "host", "10.0.0.0/33"]),
    ("rule", "Host(`a.org`)", "Host(`a.org`)", ["Host(`a.org`", "Hosts(`a.org`)", "HostSNI(`a.org`)"]),
    ("priority", "0", 0, ["-1", "1000001", "high"]),
    ("priority", "1000000", 1_000_000, ["1.5"]),
    ("balance", "least-conn", "least-conn", ["roundrobin", "leastconn"]),
    ("weight", "0", 0, ["-1", "257", "50%"]),
    ("weight", "256", 256, []),
    ("health-check", "off", "off", ["on", "true", "https"]),
    ("health-check.path", "/health?full=1", "/health?full=1", ["health", "/a b", "/a?b c", "/a?b#c", "/a?é"]),
    ("health-check.header.x-env", "a b", {"x-env": "a b"}, ["é"]),
    ("health-check.interval", "500ms", 0.5, ["99ms", "61m", "2", "fast"]),
    ("health-check.timeout", "10ms", 0.01, ["9ms", "601s"]),
    ("health-check.rise", "1", 1, ["0", "101"]),
    ("health-check.fall", "100", 100, ["0", "101"]),
    ("health-check.status", "200-299,404", ((200, 299), (404, 404)), ["2xx", "700", "299-200"]),
    ("health-check.method", "HEAD", "HEAD", ["head", "DELETE"]),
    ("health-check.host", "A.org", "a.org", ["a.org:80", "a b"]),
    ("health-check.port", "8081", 8081, ["0", "x"]),
    ("health-check.scheme", "https", "https", ["HTTPS", "tcp"]),
    ("timeout.connect", "10ms", 0.01, ["9ms", "601s", "1"]),
    ("timeout.response", "24h", 86400.0, ["99ms", "25h"]),
    ("timeout.idle", "100ms", 0.1, ["99ms", "25h"]),
    ("retries", "0", 0, ["-1", "101"]),
    ("max-conn", "1", 1, ["0", "1000001"]),
    ("backup", "true", True, ["maybe"]),
    ("sticky", "cookie", "lbgen", ["on", "cookie:", "cookie:a b", "source:x"]),
    ("sticky", "cookie:SRV_1", "SRV_1", ["cookie:" + "n" * 65]),
    ("sticky", "source", "source", ["client"]),
    ("sticky.secure", "false", False, ["https"]),
    ("sticky.same-site", "strict", "strict", ["Strict", "off"]),
    ("sticky.http-only", "false", False, ["perhaps"]),
    ("sticky.max-age", "1h", 3600.0, ["500ms", "9601h", "3600"]),
    (
        "redirect",
        "/new",
        (("text", "/new"),),
        ["new", "//evil.example", "{path}", "/{path}", "ftp://a/", "/a b", "/a'", "/$x", "/{port}", "/{", "/\\"],
    ),
    (
        "redirect",
        "https://{host}:8443{path}?{query}",
        (("text", "https://"), ("host", ""), ("text", ":8443"), ("path", ""), ("search", "")),
        ["https://{user}@a/"],
    ),
    (
        "redirect",
        "https://a/x?{query}&y={uri}",
        (("text", "https://a/x?"), ("query", ""), ("text", "&y="), ("uri", "")),
        ["{uri}", "/{uri}"],
    ),
    ("redirect-https.port", "8443", 8443, ["0", "https", "65536"]),
    ("redirect.code", "308", 308, ["300", "200", "permanent"]),
    ("redirect-https", "true", True, ["https"]),
    ("scheme", "https", "https", ["HTTPS", "fcgi"]),
    ("group", "shop", "shop", ["a b", "/", "-"]),
    ("slow-start", "30s", 30.0, ["30", "2h"]),
    ("send-proxy", "v2", "v2", ["v3", "2"]),
    ("send-proxy", "true", "v1", []),
    ("send-proxy", "off", "", []),
    ("host-header", "pass", "", ["*.a.org", "a b", "a.org:", "a.org:0", "a.org:x", "a.org/x"]),
    ("host-header", "server", "server", []),
    ("host-header", "Shop.internal:8080", "shop.internal:8080", []),
    ("strip-prefix", "/api/, /v1", ("/api", "/v1"), ["api", "/a b", "/a?b"]),
    ("replace-path", "/", "/", ["x", "/a#b"]),
    ("add-prefix", "/v1/", "/v1", ["v1", "/a?b"]),
    ("mirror", "shop-next", "shop-next", ["a b", "-a"]),
    ("mirror.percent", "10", 10, ["0", "101", "10%"]),
    ("request-header.x-env", "a b", {"x-env": "a b"}, ["\u00e4"]),
    ("request-header.x-env", "", {"x-env": ""}, []),
    (
        "error-pages.5xx",
        "sorry.html",
        {"5xx": "sorry.html"},
        ["sorry", "a/b.html", ".html", "../x.html", "a b.html", "x.php"],
    ),
    (
        "error-pages.5xx",
        "http://pages:81/{status}.html?from={url}",
        {"5xx": ServiceUrl("http", "pages", 81, "/{status}.html?from={url}")},
        [
            "http://{status}/x",
            "http://pages:{status}/",
            "http://192.0.2.1/x",
            "http://[::1]/",
            "http://pages/{other}",
            "http://pages/$x",
            'http://pages/"',
            "http://pages/\\",
            "ftp://pages/",
            "pages/x",
            f"http://pages/{'x' * 700}",
            f"http://pages/{'{status}' * 200}",
        ],
    ),
    ("response-header.x-env", "%[src] $host \"'#\\{}", {"x-env": "%[src] $host \"'#\\{}"}, ["\u00e4"]),
    ("strip-prefix-regex", "^/v[12], ^/old{1,2}", ("^/v[12]", "^/old{1,2}"), ["(", "a,,b"]),
    (
        "replace-path-regex",
        "^/a/(.*)  /b/$1",
        Substitution("^/a/(.*)", (("text", "/b/"), ("group", "1"))),
        ["^/a", "/a /b", "^/a b", "^/a /b/$1", "^/a /b c", "^/(a)|b /b"],
    ),
    (
        "redirect-regex",
        "^https?://a/(.*) https://b/${1} ^http://c /d",
        (
            UrlRedirect(Substitution("^https?://a/(.*)", (("text", "https://b/"), ("group", "1"))), 0),
            UrlRedirect(Substitution("^http://c", (("text", "/d"),)), 0),
        ),
        ["^http://a", "^http://a /b ^c", "http://a /b", "^http://(.*) //$1", "^http://(.*) $1", "^(http://a) /$2"],
    ),
    ("allow-ip", "192.0.2.7, 2001:db8::/32", ("192.0.2.7/32", "2001:db8::/32"), ["192.0.2.7/24", "all", "a.org"]),
    ("deny-ip", "10.0.0.0/8", ("10.0.0.0/8",), ["10", "10.0.0.0/33"]),
    ("basic-auth", "staff", "staff", ["../staff", "/etc/passwd", ".", "user:secret"]),
    ("rate-limit", "100/s", (100, 1), ["100", "0/s", "-1/s", "1/d", "1.5/s", "100 / s"]),
    ("rate-limit", "30/m", (30, 60), []),
    ("rate-limit.burst", "0", 0, ["-1", "many"]),
    ("max-concurrent", "20", 20, ["0", "-1", "many"]),
    ("max-concurrent.by", "host", "host", ["route", "Host"]),
    ("max-body", "10M", 10 << 20, ["0", "10mb", "1.5m", "2000g", "-1"]),
    ("max-body", "100", 100, []),
    ("hsts", "true", "max-age=31536000", ["31536000", "max-age=a", "max-age=1; preload; preload", "max-age=1; x=y"]),
    ("hsts", "max-age=10;includesubdomains;PRELOAD", "max-age=10; includeSubDomains; preload", []),
    ("hsts", "false", "", []),
    (
        "cors.origins",
        "https://A.org, http://b.org:8080",
        ("https://a.org", "http://b.org:8080"),
        ["a.org", "https://a.org/", "https://*.a.org", "https://a.org:99999", "null", "ftp://a.org"],
    ),
    ("cors.origins", "*", ("*",), []),
    ("cors.methods", "GET,PUT", ("GET", "PUT"), ["get"]),
    ("cors.headers", "X-Token, *", ("x-token", "*"), ["a b"]),
    ("cors.max-age", "10m", 600.0, ["10", "25h"]),
    ("cors.credentials", "true", True, ["include"]),
    (
        "forward-auth",
        "http://login:9091/api?a=b",
        ServiceUrl("http", "login", 9091, "/api?a=b"),
        [
            "http://login/$host",
            "http://login.example.org/",
            "ftp://login/",
            "http://300.1.1.1/",
            "http://login:0/",
            "/x",
        ],
    ),
    ("forward-auth", "login", ServiceUrl("http", "login", None, "/"), ["a b", "login;", "http://[::1/", "-login"]),
    ("forward-auth", "https://[2001:DB8::7]/", ServiceUrl("https", "2001:db8::7", None, "/"), []),
    (
        "forward-auth.response-headers",
        "Remote-User, remote-groups",
        ("remote-user", "remote-groups"),
        ["remote_user", "x-forwarded-for", "host", "content-length", "a b", ",".join(f"x-{n}" for n in range(21))],
    ),
    (
        "forward-auth.cookies",
        "_oauth2_proxy, __Host-sid",
        ("_oauth2_proxy", "__Host-sid"),
        ["a b", "a=b", "a;b", 'a"b', ",".join(f"x{n}" for n in range(21))],
    ),
    ("forward-auth.trust", "true", True, ["maybe"]),
    ("compress", "true", True, ["gzip"]),
    ("tls", "true", "", ["/etc/x.pem", "a b", "../x"]),
    ("tls", "false", None, []),
    ("tls", "shop.example.org", "shop.example.org", []),
    ("client-ca", "partners", "partners", ["/etc/ca.pem", "..", ""]),
    ("client-ca.headers", "true", True, ["maybe"]),
    ("server-ca", "system", "system", ["/etc/ca.pem", "..", ""]),
    ("server-name", "Shop.internal", "shop.internal", ["*.internal", "10.0.0.1", "shop.internal:443", ""]),
    ("deny", "true", True, ["403"]),
    ("deny.status", "404", 404, ["200", "399", "420", "444", "512", "gone"]),
    ("allow-ip.status", "404", 404, ["200", "399", "420", "444", "512", "gone"]),
]
SNI = ("sni", "*, DB.org", ("*", "db.org"), ["a:5432", "*.*"])
STREAMS = [("passthrough", "true", True, ["maybe"]), ("server-tls", "true", True, ["https", ""])]
TCP_ONLY = frozenset({"sni", "passthrough", "server-tls"})
CONTROLS = ["a.org\nbackend x", "a\x00b", "a\x1b[31m", "a\x7f", "a\u0085b", "a\u2028b", "\ud800"]


def only(labels: native.ServiceLabels) -> native.RouteSpec:
    """The one route of labels without a problem."""
    assert labels.problems == ()
    (route,) = labels.routes
    return route


MEMBER = {"error-pages.": "5xx"}


def test_table_is_complete():
    """Every key there is has its line in TABLE."""
    assert {key for key, *_ in [*TABLE, SNI, *STREAMS]} == {
        *BY_NAME,
        *(f"{family}{MEMBER.get(family, 'x-env')}" for family in FAMILIES),
    }


@pytest.mark.parametrize(("key", "value", "meant"), [row[:3] for row in TABLE])
def test_good_value(key, value, meant):
    """A key has its typed value, as a short key and as a named route's own."""
    field, _ = find(key)
    for prefix in ("", "http.api."):
        route = only(parsed({prefix + key: f" {value} "}))
        assert getattr(route.keys, field) == meant
        assert route.written[field] == (f"lbgen.{prefix}{key}", value)


@pytest.mark.parametrize(("key", "bad"), [(key, bad) for key, _, _, bad in [*TABLE, SNI, *STREAMS] if bad])
def test_bad_value(key, bad):
    """A bad value drops the route and is reported with service, label, value and remedy."""
    protocol = "tcp" if key in TCP_ONLY else "http"
    for value in bad:
        labels = parsed({f"{protocol}.api.{key}": value}, service="shop")
        (problem,) = labels.problems
        assert labels.routes == (), value
        assert labels.enabled
        assert (problem.service, problem.label, problem.route) == ("shop", f"lbgen.{protocol}.api.{key}", "api")
        assert problem.value == ("" if "auth" in key else value if len(value) <= 80 else value[:80] + "...")
        assert problem.message
        assert problem.remedy


@pytest.mark.parametrize(
    ("value", "message"),
    [
        *[(value, "contains a control character or a newline") for value in CONTROLS],
        ("", "is empty"),
        (" ", "is empty"),
        ("a" * (MAX_VALUE + 1), "is 4097 characters long"),
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_sound(value, message):
    """A value with a control character or a newline, without any text or with too much of it is refused."""
    with pytest.raises(BadValue, match=message):
        sound(value)


def test_every_key_is_sound():
    """No key takes a control character, nothing at all, or more than 4096 characters; problems show them escaped."""
    for key in sorted({*BY_NAME, "header.x-a"} - TCP_ONLY):
        for value in ("a\x00b", "", "a" * (MAX_VALUE + 1)):
            labels = parsed({key: value})
            assert labels.routes == (), key
            assert [problem.label for problem in labels.problems] == [f"lbgen.{key}"]
            assert str(labels.problems[0]).isprintable()
            assert len(labels.problems[0].value) <= 83


@pytest.mark.parametrize(
    ("written", "meant"), [("true", True), ("TRUE", True), ("1", True), ("false", False), ("off", False)]
)
def test_enable(written, meant):
    """``lbgen.enable`` decides, whatever the setting says."""
    for default in (True, False):
        labels = native.parse("web", {"lbgen.enable": written}, LabelContext(expose_by_default=default))
        assert labels == native.ServiceLabels(meant, labels.routes, (), "" if meant else "label lbgen.enable says no")
        assert bool(labels.routes) is meant


@pytest.mark.parametrize("default", [True, False])
def test_expose_by_default(default):
    """Without ``lbgen.enable`` the setting decides; a service that takes no part has no problems either."""
    labels = native.parse("web", {"lbgen.prot": "80"}, LabelContext(expose_by_default=default))
    assert labels.enabled is default
    assert bool(labels.problems) is default
    assert native.parse("web", {}, LabelContext(expose_by_default=default)).enabled is default


@pytest.mark.parametrize("value", ["ja", "", "true\0"])
def test_bad_enable(value):
    """A bad ``lbgen.enable`` is a problem and the service takes no part."""
    labels = native.parse("web", {"lbgen.enable": value}, LabelContext(expose_by_default=True))
    assert (labels.enabled, labels.routes) == (False, ())
    assert [problem.label for problem in labels.problems] == ["lbgen.enable"]


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ("prot", "did you mean port?"),
        ("health-check-path", "did you mean health-check.path?"),
        ("healthcheck.path", "did you mean health-check.path?"),
        ("paths", "did you mean path?"),
        ("headers.x-a", "did you mean header.<name>?"),
        ("enabled", "did you mean enable?"),
        ("zzz", "see the list of label keys in docs/labels.md"),
        ("", "see the list of label keys in docs/labels.md"),
        ("header.", "did you mean header.<name>?"),
        ("http.api.prot", "did you mean port?"),
        ("PORT", "write lbgen.port"),
        ("Hosts", "did you mean host?"),
        ("header.X-Env", "write lbgen.header.x-env"),
        ("http.api.Port", "write lbgen.http.api.port"),
        ("http.api.header.X-Env", "write lbgen.http.api.header.x-env"),
        ("HTTP.api.port", "write lbgen.http.api.port"),
        ("http.API.port", "use lower-case letters, digits, - and _: lbgen.http.api.port"),
        ("http.a b.port", "use lower-case letters, digits, - and _: lbgen.http.a-b.port"),
        ("http..port", "use lower-case letters, digits, - and _"),
        ("http.-a.port", "use lower-case letters, digits, - and _: lbgen.http.a.port"),
        (f"http.{'a' * 64}.port", f"use lower-case letters, digits, - and _: lbgen.http.{'a' * 63}.port"),
        ("http.my.app.port", "write lbgen.http.my-app.port"),
        ("http.My.App.health-check.path", "write lbgen.http.my-app.health-check.path"),
        ("http.a.headers.host", "did you mean header.<name>?"),
        ("path-prefix", "did you mean path?"),
        ("hosts", "did you mean host?"),
        ("http.api.domain", "did you mean host?"),
        ("entrypoints", "did you mean listener?"),
        ("whitelist", "did you mean allow-ip?"),
        ("loadbalancer.server.port", "did you mean port?"),
        ("tls.certresolver", CERTIFICATE),
        ("certresolver", CERTIFICATE),
        ("http.api.middlewares", MIDDLEWARES),
        ("header.x y", "write letters, digits, - and _"),
        ("header.x#y", "write letters, digits, - and _"),
        ("udp.dns.host", "remove it"),
        ("udp.dns.health-check.path", "remove it"),
        ("sni", None),
        ("http.api.sni", "remove it"),
        ("tcp.db.host", "remove it"),
        ("tcp.db.path", "remove it"),
        ("tcp.db.method", "remove it"),
        ("tcp.db.header.x-a", "remove it"),
    ],
)
def test_key_that_cannot_be_used(key, remedy):
    """An unknown, upper-case, misplaced or unsupported key is a problem whose remedy names what to write."""
    labels = parsed({key: "80"})
    if remedy is None:
        assert labels.problems == ()
    else:
        assert [(problem.label, problem.remedy) for problem in labels.problems] == [(f"lbgen.{key}", remedy)]
        assert labels.routes == ()


def test_prefix_is_lower_case():
    """A label that is lbgen's but for its case is a problem, not ignored."""
    labels = native.parse("web", {"lbgen.enable": "true", "LBGEN.port": "80", "lbgenx.port": "80", "other": "x"})
    assert [problem.label for problem in labels.problems] == ["LBGEN.port"]


def test_defaults():
    """Without further labels there is one HTTP route, named after the service, that takes every request."""
    route = only(parsed({}))
    assert (route.protocol, route.name, route.match) == ("http", "", ALWAYS)
    assert route.keys == RouteKeys()


def test_named_routes():
    """With named routes the short keys make no route of their own; each named route inherits and overrides them."""
    labels = parsed(
        {
            "host": "a.org",
            "port": 80,
            "header.x-a": "1",
            "header.x-b": "2",
            "http.one.path": "/one",
            "http.two.port": 81,
            "http.two.host": "b.org",
            "http.two.header.x-b": "3",
            "tcp.db.sni": "db.org",
        }
    )
    assert labels.problems == ()
    found = {(route.protocol, route.name): route.keys for route in labels.routes}
    assert list(found) == [("http", "one"), ("http", "two"), ("tcp", "db")]
    one, two, db = found.values()
    assert (one.host, one.port, one.path, one.header) == (("a.org",), 80, ("/one",), {"x-a": ("1",), "x-b": ("2",)})
    assert (two.host, two.port, two.path, two.header) == (("b.org",), 81, (), {"x-a": ("1",), "x-b": ("3",)})
    assert (db.host, db.port, db.header, db.sni) == ((), 80, {}, ("db.org",))


def test_http_and_tcp_of_one_name():
    """One name may stand for an HTTP and a TCP route at once."""
    assert [(route.protocol, route.name) for route in parsed({"http.a.port": 80, "tcp.a.port": 81}).routes] == [
        ("http", "a"),
        ("tcp", "a"),
    ]


@pytest.mark.parametrize(
    ("short", "own", "kept"),
    [
        ({"port": "x"}, {"http.a.path": "/a", "http.b.port": "80"}, ["b"]),
        ({"port": "x"}, {"http.a.port": "81", "http.b.port": "80"}, ["a", "b"]),
        ({"prot": "80"}, {"http.a.port": "81", "http.b.path": "/"}, []),
        ({"PORT": "80"}, {"http.a.port": "81"}, []),
        ({"host": "!"}, {"tcp.db.port": "5432", "http.a.path": "/"}, ["db"]),
        ({"sni": "!"}, {"tcp.db.port": "5432", "http.a.path": "/"}, ["a"]),
        ({"header.x-a": "\u00e9"}, {"http.a.path": "/", "http.b.header.x-b": "1", "http.c.header.x-a": "1"}, ["c"]),
        ({"header.x-a": "\u00e9", "header.x-b": "\u00e9"}, {"http.c.header.x-a": "1"}, []),
        ({"header.x y": "1"}, {"http.a.header.x-a": "1"}, []),
    ],
)
def test_broken_short_key(short, own, kept):
    """A broken short key drops the routes that inherit it, not those that override it; it is reported once."""
    labels = parsed(short | own)
    assert sorted(route.name for route in labels.routes) == kept
    assert [problem.label for problem in labels.problems] == [f"lbgen.{key}" for key in sorted(short)]
    assert {problem.route for problem in labels.problems} == {""}


def test_broken_named_route():
    """A broken key of one route drops that route alone, and all that is wrong with it is reported."""
    labels = parsed(
        {
            "http.a.Port": "80",
            "http.a.via": "x",
            "http.a.header.x-a": "\u00e9",
            "http.a.header.x-b": "\u00e9",
            "http.b.port": "80",
            "udp.dns.host": "a.org",
            "http.C.port": "80",
        }
    )
    assert [route.name for route in labels.routes] == ["b"]
    assert sorted((problem.label, problem.route) for problem in labels.problems) == [
        ("lbgen.http.C.port", ""),
        ("lbgen.http.a.Port", "a"),
        ("lbgen.http.a.header.x-a", "a"),
        ("lbgen.http.a.header.x-b", "a"),
        ("lbgen.http.a.via", "a"),
        ("lbgen.udp.dns.host", "dns"),
    ]


@pytest.mark.parametrize("stray", [{"udp.dns.host": "a.org"}, {"http.API.port": "80"}])
def test_no_route_by_accident(stray):
    """A service whose only named routes cannot exist gets no catch-all route from its short keys instead."""
    assert parsed({"port": "80", **stray}).routes == ()


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ({"host": "a.org"}, All((AnyOf((Test("host", "a.org"),)),))),
        (
            {"host": "a.org,*.b.org", "path": "/x/", "path-exact": "/y/"},
            All(
                (
                    AnyOf((Test("host", "a.org"), Test("host", "*.b.org"))),
                    AnyOf((Test("path_prefix", "/x"),)),
                    AnyOf((Test("path", "/y/"),)),
                )
            ),
        ),
        (
            {"method": "GET", "header.x-b": "1", "header.x-a": "2,3"},
            All(
                (
                    AnyOf((Test("method", "GET"),)),
                    AnyOf((Test("header", "2", "x-a"), Test("header", "3", "x-a"))),
                    AnyOf((Test("header", "1", "x-b"),)),
                )
            ),
        ),
        ({"tcp.db.port": "1"}, ALWAYS),
        ({"tcp.db.sni": "*"}, ALWAYS),
        ({"tcp.db.sni": "a.org,*"}, ALWAYS),
        ({"tcp.db.sni": "a.org,*.b.org"}, All((AnyOf((Test("sni", "a.org"), Test("sni", "*.b.org"))),))),
    ],
)
def test_match(keys, match):
    """The matching keys are ANDed, the values of one key ORed."""
    assert alternatives(only(parsed(keys)).match) == alternatives(match)


LABELS = st.dictionaries(
    st.one_of(
        st.text(),
        st.text(alphabet=string.ascii_lowercase + ".-").map("lbgen.".__add__),
        st.sampled_from(
            [
                f"lbgen.{prefix}{key}"
                for key in [*BY_NAME, "header.x-a", "header-regex.x-a", "query.X"]
                for prefix in ("", "http.a.", "tcp.b.")
            ]
        ),
    ),
    st.one_of(
        st.text(),
        st.sampled_from([value for _, value, _, _ in [*TABLE, SNI]]).flatmap(
            lambda value: st.sampled_from([value, value + "\n", "\x1b" + value, f"{value},{value}"])
        ),
    ),
    max_size=8,
)


@given(LABELS, st.sampled_from([None, "true", "false", "\n"]), st.booleans())
@settings(deadline=None, max_examples=300)
def test_anything(labels, enable, default):
    """No labels raise anything, and no route that comes of them holds a control character."""
    context = LabelContext(expose_by_default=default)
    found = native.parse("web", labels | lbgen_labels(enable=enable), context)
    turned = dict(reversed(list(labels.items()))) | lbgen_labels(enable=enable)
    assert found == native.parse("web", turned, context)
    for route in found.routes:
        texts = [route.name, *(text for name in KEYS for text in _texts(getattr(route.keys, name)))]
        texts += [text for tests in alternatives(route.match) for test in tests for text in (test.name, test.value)]
        assert all(text.isprintable() for text in texts)
    for problem in found.problems:
        assert all(text.isprintable() for text in (str(problem), problem.label, problem.value, problem.route))
        assert problem.remedy


def _texts(value):
    """Every text inside of a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from (key, *_texts(inner))
    elif isinstance(value, tuple):
        for inner in value:
            yield from _texts(inner)


# ------------------------------------------------------------------------------------------------ rules


def test_rule_is_the_match():
    """A rule is the match, and no more: like other keys it has a priority only if one is given."""
    route = only(parsed({"rule": "Host(`a.org`) && !Path(`/x`)"}))
    assert alternatives(route.match) == ((Test("host", "a.org"), Test("path", "/x", negated=True)),)
    assert route.priority is None
    assert only(parsed({"rule": "Host(`a.org`)", "priority": "3"})).priority == 3
    assert only(parsed({"host": "a.org"})).priority is None


def test_rule_beside_other_keys():
    """A rule and another matching key at one place would leave open which of them counts: neither does."""
    labels = parsed({"http.a.rule": "Host(`a.org`)", "http.a.path": "/x", "http.a.port": "80"})
    assert labels.routes == ()
    assert [(problem.label, problem.route) for problem in labels.problems] == [("lbgen.http.a.rule", "a")]
    assert "stands beside path" in labels.problems[0].message


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"host": "s.org", "http.a.rule": "Host(`a.org`)"}, "a.org"),
        ({"rule": "Host(`s.org`)", "http.a.host": "a.org"}, "a.org"),
        ({"rule": "Host(`s.org`)", "http.a.port": "80"}, "s.org"),
    ],
    ids=["rule over keys", "keys over rule", "inherited"],
)
def test_rule_and_inherited_keys(keys, expected):
    """A named route's own rule stands instead of the short keys that match, and the other way round."""
    assert alternatives(only(parsed(keys)).match) == ((Test("host", expected),),)


def test_rule_of_a_tcp_route():
    """In TCP it is a rule of TCP; one that every route inherits has to fit each."""
    assert alternatives(only(parsed({"tcp.a.rule": "HostSNI(`a.org`)"})).match) == ((Test("sni", "a.org"),),)
    labels = parsed({"rule": "Host(`a.org`)", "tcp.a.port": "1", "http.b.port": "2"})
    assert [route.name for route in labels.routes] == ["b"]
    assert [problem.label for problem in labels.problems] == ["lbgen.rule"]


@pytest.mark.parametrize("name", ["host", "Connection", "transfer-encoding", "content-length", "upgrade"])
@pytest.mark.parametrize("family", ["request-header", "response-header"])
def test_framing_is_not_for_labels(family, name):
    """Headers that say where a message ends, or whose it is, are the proxy's business."""
    labels = parsed({f"{family}.{name.lower()}": "x"})
    assert labels.routes == ()
    assert "proxy's own business" in labels.problems[0].message


def test_edited_headers_are_inherited_one_by_one():
    """A named route's own headers are laid over the short ones."""
    labels = parsed({"request-header.a": "1", "request-header.b": "2", "http.api.request-header.b": ""})
    assert only(labels).keys.request_header == {"a": "1", "b": ""}
