"""`lbgen.labels.traefik.middlewares`: what Traefik's middlewares come to, and which orders of them are not ours."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lbgen.labels.traefik import headers
from lbgen.labels.traefik.middleware_effects import EFFECTS
from lbgen.labels.traefik.middleware_options import KINDS, TCP_KINDS
from lbgen.labels.values.references import ServiceUrl
from lbgen.labels.values.substitution import substitution
from lbgen.labels.values.users import LabelUsers, User
from lbgen.model import build
from tests.support.builders import a_listener, a_network, a_node, a_rules, a_service, a_snapshot
from tests.support.foreign_labels import APP, TRAEFIK_DEFAULTS, plain, traefik_labels, traefik_route, unusual
from tests.support.passwords import BCRYPT_10, HASH

LOGIN = {"forwardauth.address": "http://login:9091/"}
SECRET = "$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/"
SAME = {"port": 80, "rule": "Host(`a.org`)"}


def labels_of(*middlewares: Mapping[str, str]) -> dict[str, str]:
    """The labels of a router with these middlewares, called m0, m1, ..."""
    named = {
        f"http.middlewares.m{number}.{option}": value
        for number, options in enumerate(middlewares)
        for option, value in options.items()
    }
    return APP | named | {"http.routers.app.middlewares": ",".join(f"m{n}" for n, _ in enumerate(middlewares))}


def fields(*middlewares: Mapping[str, str], **provider: tuple[str, ...]) -> dict[str, object]:
    """What the middlewares add to a route without a problem."""
    keys = unusual(traefik_route(labels_of(*middlewares), **provider).keys, TRAEFIK_DEFAULTS | SAME)
    return {name: plain(value) for name, value in keys.items()}


HOSTS = r"//(\[[^\]]*\]|[^/:?]*)(?::[0-9]+)?"
HONOURED = [
    ({"redirectscheme.scheme": "https"}, {"redirect_https": True, "redirect_https_port": 443}),
    (
        {"redirectscheme.scheme": "https", "redirectscheme.port": "443"},
        {"redirect_https": True, "redirect_https_port": 443},
    ),
    ({"redirectscheme.scheme": "http"}, {"redirect_regex": [f"^https?:{HOSTS} http://${{1}} (307)"]}),
    (
        {"redirectscheme.scheme": "https", "redirectscheme.port": "8443", "redirectscheme.permanent": "true"},
        {"redirect_regex": [f"^https?:{HOSTS} https://${{1}}:8443 (308)"]},
    ),
    (
        {"redirectregex.regex": ".*", "redirectregex.replacement": "https://b.org/x"},
        {"redirect_regex": ["^.* https://b.org/x (307)"]},
    ),
    (
        {"redirectregex.regex": r"^https?://a\.org/(.*)$", "redirectregex.replacement": "https://b.org/$1"},
        {"redirect_regex": [r"^https?://a\.org/(.*)$ https://b.org/${1} (307)"]},
    ),
    (
        {
            "redirectregex.regex": "https://(.*)/.well-known/(?:card|cal)dav",
            "redirectregex.replacement": "https://${1}/remote.php/dav/",
            "redirectregex.permanent": "true",
        },
        {"redirect_regex": ["^https://(.*)/.well-known/(?:card|cal)dav https://${1}/remote.php/dav/ (308)"]},
    ),
    (
        {"redirectregex.regex": "(?i)/old/([a-z]+)$", "redirectregex.replacement": "/new/${1}s"},
        {"redirect_regex": ["(?i)^(.*?)(?:/old/([a-z]+)$) ${1}/new/${2}s (307)"]},
    ),
    ({"stripprefix.prefixes": "/api, /a.b/"}, {"strip_prefix_regex": ["/api", r"/a\.b/"]}),
    ({"stripprefix.prefixes": "/api", "stripprefix.forceslash": "false"}, {"strip_prefix_regex": ["/api"]}),
    ({"stripprefixregex.regex": "^/a/[0-9]+,/b|/c"}, {"strip_prefix_regex": ["^/a/[0-9]+", "/b|/c"]}),
    (
        {"replacepathregex.regex": "^/a/(.*)", "replacepathregex.replacement": " /b/$1"},
        {"replace_path_regex": "^/a/(.*) /b/${1}"},
    ),
    (
        {"replacepathregex.regex": "/a/(.*)", "replacepathregex.replacement": "/b/$1"},
        {"replace_path_regex": "^(.*?)(?:/a/(.*)) ${1}/b/${2}"},
    ),
    ({"inflightreq.amount": "10"}, {"max_concurrent": 10, "max_concurrent_by": "host"}),
    ({"inflightreq.amount": "10", "inflightreq.sourcecriterion.ipstrategy.depth": "0"}, {"max_concurrent": 10}),
    ({"inflightreq.amount": "10", "inflightreq.sourcecriterion.ipstrategy": "true"}, {"max_concurrent": 10}),
    ({"addprefix.prefix": "/base"}, {"add_prefix": "/base"}),
    ({"addprefix.prefix": "base/"}, {"add_prefix": "/base"}),
    ({"replacepath.path": "/x%2Fy"}, {"replace_path": "/x%2Fy"}),
    ({"basicauth.usersfile": "/etc/traefik/.htpasswd"}, {"basic_auth": "htpasswd"}),
    (
        {"basicauth.usersfile": "/run/secrets/staff", "basicauth.removeheader": "true"},
        {"basic_auth": "staff", "request_header": {"authorization": ""}},
    ),
    (
        {
            "forwardauth.address": "http://authelia:9091/api/verify?rd=https://login.example.org/",
            "forwardauth.trustforwardheader": "true",
            "forwardauth.authresponseheaders": "Remote-User,Remote-Groups",
            "forwardauth.addauthcookiestoresponse": "session,session_2",
            "forwardauth.forwardbody": "false",
        },
        {
            "forward_auth": ServiceUrl("http", "authelia", 9091, "/api/verify?rd=https://login.example.org/"),
            "forward_auth_response_headers": ("remote-user", "remote-groups"),
            "forward_auth_cookies": ("session", "session_2"),
            "forward_auth_trust": True,
        },
    ),
    ({"forwardauth.address": "http://login"}, {"forward_auth": ServiceUrl("http", "login", 80, "/")}),
    ({"forwardauth.address": "https://login/x"}, {"forward_auth": ServiceUrl("https", "login", 443, "/x")}),
    ({"ipallowlist.sourcerange": "127.0.0.1, 10.1.2.3/8"}, {"allow_ip": ("127.0.0.1/32", "10.0.0.0/8")}),
    ({"ipwhitelist.sourcerange": "::1/128"}, {"allow_ip": ("::1/128",)}),
    ({"ipallowlist.sourcerange": "::1", "ipallowlist.ipstrategy": "true"}, {"allow_ip": ("::1/128",)}),
    ({"ipallowlist.sourcerange": "::1", "ipallowlist.ipstrategy.depth": "0"}, {"allow_ip": ("::1/128",)}),
    ({"ratelimit.average": "100"}, {"rate_limit": (100, 1), "rate_limit_burst": 0}),
    ({"ratelimit.average": "100", "ratelimit.burst": "50"}, {"rate_limit": (100, 1), "rate_limit_burst": 49}),
    ({"ratelimit.average": "60", "ratelimit.period": "1m"}, {"rate_limit": (60, 60), "rate_limit_burst": 0}),
    ({"ratelimit.average": "6", "ratelimit.period": "10s"}, {"rate_limit": (36, 60), "rate_limit_burst": 0}),
    ({"ratelimit.average": "5", "ratelimit.period": "2h"}, None),
    ({"ratelimit.average": "4", "ratelimit.period": "2h"}, {"rate_limit": (2, 3600), "rate_limit_burst": 0}),
    ({"ratelimit.average": "0"}, {}),
    ({"compress": "true"}, {"compress": True}),
    ({"compress": "false"}, {}),
    ({"buffering.maxrequestbodybytes": "1024"}, {"max_body": 1024}),
    ({"buffering.maxrequestbodybytes": "0"}, {}),
    ({"retry.attempts": "1"}, {"retries": 0}),
    (
        {"headers.customrequestheaders.X-Script-Name": "test", "headers.customrequestheaders.x-gone": ""},
        {"request_header": {"x-script-name": "test", "x-gone": ""}},
    ),
    ({"headers.customrequestheaders.Host": "in.example.org:81"}, {"host_header": "in.example.org:81"}),
    ({"headers.customrequestheaders.Host": ""}, {}),
    ({"headers.customresponseheaders.Server": ""}, {"response_header": {"server": ""}}),
    (
        {"headers.framedeny": "true", "headers.contenttypenosniff": "true", "headers.browserxssfilter": "true"},
        {
            "response_header": {
                "x-frame-options": "DENY",
                "x-content-type-options": "nosniff",
                "x-xss-protection": "1; mode=block",
            }
        },
    ),
    (
        {
            "headers.framedeny": "true",
            "headers.customframeoptionsvalue": "SAMEORIGIN",
            "headers.browserxssfilter": "true",
            "headers.custombrowserxssvalue": "0",
            "headers.customresponseheaders.X-XSS-Protection": "1",
        },
        {"response_header": {"x-frame-options": "SAMEORIGIN", "x-xss-protection": "1"}},
    ),
    (
        {
            "headers.contentsecuritypolicy": "default-src 'self'; img-src *",
            "headers.referrerpolicy": "same-origin",
            "headers.permissionspolicy": "camera=(), microphone=()",
        },
        {
            "response_header": {
                "content-security-policy": "default-src 'self'; img-src *",
                "referrer-policy": "same-origin",
                "permissions-policy": "camera=(), microphone=()",
            }
        },
    ),
    ({"headers.stsseconds": "100", "headers.stspreload": "true"}, {"hsts": "max-age=100; preload"}),
    ({"headers.stsseconds": "100", "headers.stsincludesubdomains": "true"}, {"hsts": "max-age=100; includeSubDomains"}),
    ({"headers.stsseconds": "0"}, {}),
    ({"headers.stsseconds": "100", "headers.isdevelopment": "true", "headers.allowedhosts": "a.org"}, {}),
    (
        {"headers.stsseconds": "100", "headers.customresponseheaders.Strict-Transport-Security": "max-age=7"},
        {"response_header": {"strict-transport-security": "max-age=7"}},
    ),
    (
        {"headers.stsseconds": "100", "headers.forcestsheader": "true"},
        {"response_header": {"strict-transport-security": "max-age=100"}},
    ),
    (
        {
            "headers.accesscontrolalloworiginlist": "https://a.org, https://b.org:8443",
            "headers.accesscontrolallowmethods": "GET,PUT",
            "headers.accesscontrolallowheaders": "X-Token",
            "headers.accesscontrolallowcredentials": "true",
            "headers.accesscontrolmaxage": "100",
            "headers.accesscontrolexposeheaders": "x-page",
            "headers.addvaryheader": "true",
        },
        {
            "cors_origins": ("https://a.org", "https://b.org:8443"),
            "cors_methods": ("GET", "PUT"),
            "cors_headers": ("x-token",),
            "cors_credentials": True,
            "cors_max_age": 100.0,
            "response_header": {"access-control-expose-headers": "x-page"},
        },
    ),
]


@pytest.mark.parametrize(("options", "meant"), HONOURED)
def test_honoured(options, meant):
    """A middleware that can be honoured ends in the keys of the route; a rate that cannot is a problem."""
    if meant is None:
        assert traefik_labels(labels_of(options)).routes == ()
    else:
        assert fields(options) == {name: plain(value) for name, value in meant.items()}


@pytest.mark.parametrize(
    ("options", "noted"),
    [
        ({"basicauth.usersfile": "staff", "basicauth.realm": "x"}, "basicauth.realm"),
        ({**LOGIN, "forwardauth.tls.insecureskipverify": "true"}, "forwardauth.tls.insecureskipverify"),
        ({"buffering.memrequestbodybytes": "10"}, "buffering.memrequestbodybytes"),
        ({"compress.minresponsebodybytes": "10"}, "compress.minresponsebodybytes"),
        ({"headers.sslredirect": "true"}, "headers.sslredirect"),
        ({"headers.sslproxyheaders.X-Forwarded-Proto": "https"}, "headers.sslproxyheaders.X-Forwarded-Proto"),
        ({"headers.accesscontrolallowmethods": "GET"}, "headers.accesscontrolallowmethods"),
        ({"headers.addvaryheader": "true"}, "headers.addvaryheader"),
        ({"circuitbreaker.expression": "x"}, "circuitbreaker.expression"),
        ({"contenttype": "true"}, "contenttype"),
        ({"retry.status": "500-599"}, "retry.status"),
    ],
)
def test_noted(options, noted):
    """What tunes is left out, with a note, and the route is served."""
    found = traefik_labels(labels_of(options))
    assert len(found.routes) == 1
    (problem,) = found.problems
    assert problem.label == f"traefik.http.middlewares.m0.{noted}"
    assert problem.message.startswith("is left out: ")


@pytest.mark.parametrize(
    ("options", "blamed"),
    [
        ({"addprefix.prefix": "/a%20b"}, "addprefix.prefix"),
        ({"replacepath.path": "x"}, "replacepath.path"),
        ({"replacepathregex.regex": "^/a(.*)", "replacepathregex.replacement": "$1"}, "replacepathregex.replacement"),
        ({"replacepathregex.regex": "/+", "replacepathregex.replacement": "/"}, "replacepathregex.regex"),
        ({"replacepathregex.regex": "^/(a)", "replacepathregex.replacement": "/$1x"}, "replacepathregex.replacement"),
        ({"replacepathregex.regex": "^/a"}, "replacepathregex.regex"),
        ({"stripprefix.prefixes": "api"}, "stripprefix.prefixes"),
        ({"stripprefix.prefixes": "/a%20b"}, "stripprefix.prefixes"),
        ({"stripprefix.forceslash": "true"}, "stripprefix.forceslash"),
        ({"stripprefixregex.regex": "/a{1,2}"}, "stripprefixregex.regex"),
        ({"stripprefixregex.regex": "/(a+)+"}, "stripprefixregex.regex"),
        ({"inflightreq.amount": "0"}, "inflightreq.amount"),
        ({"inflightreq.sourcecriterion.requesthost": "true"}, "inflightreq.sourcecriterion.requesthost"),
        (
            {"inflightreq.amount": "1", "inflightreq.sourcecriterion.requestheadername": "x"},
            "inflightreq.sourcecriterion.requestheadername",
        ),
        ({"redirectscheme.permanent": "true"}, "redirectscheme.permanent"),
        ({"redirectscheme.scheme": "ws"}, "redirectscheme.scheme"),
        ({"redirectregex.regex": ".*", "redirectregex.replacement": "javascript:x"}, "redirectregex.replacement"),
        ({"redirectregex.regex": "/a", "redirectregex.replacement": "/b"}, "redirectregex.regex"),
        ({"redirectregex.regex": "^http://a(.*)$", "redirectregex.replacement": "$1"}, "redirectregex.replacement"),
        ({"redirectregex.regex": "^.*$"}, "redirectregex.regex"),
        (
            {"redirectregex.regex": "^http://(.*)$", "redirectregex.replacement": "https://$${1}"},
            "redirectregex.replacement",
        ),
        ({"chain.middlewares": "m0"}, "chain.middlewares"),
        ({"chain.middlewares": "n"}, "chain.middlewares"),
        *(
            ({"basicauth.users": users}, "basicauth.users")
            for users in (
                *(SECRET, f":{SECRET}", f"an na:{SECRET}", f"anna:{SECRET}0", f"anna:{SECRET},", "anna:$5$" + SECRET),
                *("anna:" + SECRET.replace("$", "$$"), f"anna:{HASH},bob", f"anna:{HASH},bob:{SECRET}x"),
            )
        ),
        ({"basicauth.usersfile": "x", "basicauth.headerfield": "X-User"}, "basicauth.headerfield"),
        ({"basicauth.usersfile": "/etc/!"}, "basicauth.usersfile"),
        ({"forwardauth.trustforwardheader": "true"}, "forwardauth.trustforwardheader"),
        *(
            (LOGIN | {f"forwardauth.{option}": value}, f"forwardauth.{option}")
            for option, value in {
                "address": f"http://anna:{SECRET}@login/",
                "authresponseheaders": "X-Forwarded-For",
                "authresponseheadersregex": "^Remote-",
                "authrequestheaders": "Cookie",
                "forwardbody": "true",
                "preserverequestmethod": "true",
                "headerfield": "X-User",
                "tls.ca": "/ca.pem",
                "adress": "x",
            }.items()
        ),
        ({"basicauth.removeheader": "true"}, "basicauth.removeheader"),
        ({"basicauth.user": f"anna:{SECRET}"}, "basicauth.user"),
        ({"ipallowlist.sourcerange": "::1", "ipallowlist.ipstrategy.depth": "1"}, "ipallowlist.ipstrategy.depth"),
        (
            {"ipallowlist.sourcerange": "::1", "ipallowlist.ipstrategy.excludedips": "::2"},
            "ipallowlist.ipstrategy.excludedips",
        ),
        ({"ipallowlist.rejectstatuscode": "404"}, "ipallowlist.rejectstatuscode"),
        ({"ipallowlist.sourcerange": "::1", "ipallowlist.rejectstatuscode": "444"}, "ipallowlist.rejectstatuscode"),
        (
            {"ratelimit.average": "1", "ratelimit.sourcecriterion.requesthost": "true"},
            "ratelimit.sourcecriterion.requesthost",
        ),
        ({"headers.allowedhosts": "*.a.org"}, "headers.allowedhosts"),
        ({"headers.accesscontrolalloworiginlistregex": "x"}, "headers.accesscontrolalloworiginlistregex"),
        ({"headers.customrequestheaders.Connection": "x"}, "headers.customrequestheaders.Connection"),
        ({"headers.customrequestheaders.x": "\u00e4"}, "headers.customrequestheaders.x"),
        ({"headers.contentsecuritypolicy": "script-src $NONCE"}, "headers.contentsecuritypolicy"),
        ({"headers.framedenied": "true"}, "headers.framedenied"),
        ({"compress": "true", "retry.attempts": "1"}, "compress"),
    ],
)
def test_dropped(options, blamed):
    """What guards, or does something else than here, drops the route; secrets are in no message."""
    found = traefik_labels(labels_of(options))
    assert found.routes == ()
    assert f"traefik.http.middlewares.m0.{blamed}" in {problem.label for problem in found.problems}
    assert SECRET not in str(found)


def test_users_of_labels():
    """Users in a label are a list of the service's own, whose hashes are in no text."""
    labels = labels_of({"basicauth.users": f"eve:{BCRYPT_10},anna:{HASH}", "basicauth.removeheader": "true"})
    route = traefik_route(labels)
    assert route.keys.basic_auth == "label:shop.m0"
    users = User("anna", HASH), User("eve", BCRYPT_10)
    assert route.users == LabelUsers("label:shop.m0", users, "shop", "traefik.http.middlewares.m0.basicauth.users")
    assert HASH not in str(route)


def test_users_of_labels_in_files():
    """Where their owner says that a file has them, the label is not looked at."""
    labels = labels_of({"basicauth.users": f"anna:{SECRET}"})
    served = traefik_labels(labels, users_files=("m0",))
    assert (served.routes[0].keys.basic_auth, served.routes[0].users, served.problems) == ("m0", None, ())
    assert SECRET not in str(served)
    both = labels_of({"basicauth.users": f"anna:{SECRET}", "basicauth.usersfile": "x"})
    assert traefik_labels(both, users_files=("m0",)).routes == ()


ALLOW = {"ipallowlist.sourcerange": "10.0.0.0/8,192.0.2.1"}
USERS = {"basicauth.usersfile": "staff"}
CORS = {"headers.accesscontrolalloworiginlist": "https://a.org"}
ADD = {"addprefix.prefix": "/a"}
REPLACE = {"replacepath.path": "/r"}
REPLACE_REGEX = {"replacepathregex.regex": "^/a(.*)", "replacepathregex.replacement": "/b$1"}
STRIP = {"stripprefix.prefixes": "/s"}
STRIP_REGEX = {"stripprefixregex.regex": "/s"}
HTTPS = {"redirectscheme.scheme": "https"}
HOST = {"headers.customrequestheaders.host": "b.org"}
BY_CLIENT = {"inflightreq.sourcecriterion.ipstrategy.depth": "0"}
RATE = {"ratelimit.average": "1"}
MOVED = {"redirectregex.regex": ".*", "redirectregex.replacement": "https://b.org/"}


@pytest.mark.parametrize(
    ("middlewares", "meant"),
    [
        ((ALLOW, {"ipallowlist.sourcerange": "10.1.0.0/16,::1"}), {"allow_ip": ("10.1.0.0/16",)}),
        ((ADD, {"addprefix.prefix": "/b"}), {"add_prefix": "/b/a"}),
        ((MOVED, MOVED), {"redirect_regex": ["^.* https://b.org/ (307)"] * 2}),
        (
            (MOVED, HTTPS),
            {"redirect_regex": ["^.* https://b.org/ (307)", f"^http:{HOSTS} https://${{1}} (307)"]},
        ),
        (
            (HTTPS, MOVED),
            {"redirect_https": True, "redirect_https_port": 443, "redirect_regex": ["^.* https://b.org/ (307)"]},
        ),
        (
            (
                {"headers.customrequestheaders.x": "1", "headers.customresponseheaders.x": "1"},
                {"headers.customrequestheaders.x": "2", "headers.customresponseheaders.x": "2"},
            ),
            {"request_header": {"x": "2"}, "response_header": {"x": "1"}},
        ),
        (
            ({"buffering.maxrequestbodybytes": "9"}, {"buffering.maxrequestbodybytes": "7"}),
            {"max_body": 7},
        ),
    ],
)
def test_several(middlewares, meant):
    """Several of a kind do what they do one after the other."""
    assert fields(*middlewares) == {name: plain(value) for name, value in meant.items()}


@pytest.mark.parametrize(
    ("middlewares", "fine"),
    [
        ((CORS, USERS), True),
        ((USERS, CORS), False),
        ((USERS, MOVED), True),
        ((MOVED, USERS), False),
        ((HTTPS, USERS), True),
        ((USERS, HTTPS), True),
        ((RATE, ALLOW), True),
        ((ALLOW, RATE), True),
        ((REPLACE, ADD), True),
        ((STRIP, REPLACE, ADD), True),
        ((ADD, STRIP), False),
        ((REPLACE, STRIP), False),
        ((STRIP, STRIP_REGEX), False),
        ((STRIP, MOVED), False),
        ((MOVED, STRIP), True),
        ((REPLACE, REPLACE_REGEX), False),
        ((ADD, REPLACE), False),
        ((HTTPS, ADD), True),
        ((ADD, HTTPS), False),
        ((MOVED, HOST), True),
        ((HOST, MOVED), False),
        ((USERS, {"basicauth.usersfile": "b"}), False),
        ((LOGIN, STRIP), True),
        ((STRIP, LOGIN), False),
        ((MOVED, LOGIN), False),
        ((LOGIN, CORS), False),
        ((CORS, LOGIN, USERS), True),
        ((LOGIN, {"forwardauth.address": "http://other/"}), False),
        ((RATE, {"ratelimit.average": "2"}), True),
        ((RATE, {"ratelimit.average": "2"}, {"ratelimit.average": "1", "ratelimit.burst": "9"}), True),
        (
            ({"ratelimit.average": "1", "ratelimit.burst": "9"}, {"ratelimit.average": "2", "ratelimit.burst": "3"}),
            False,
        ),
        (({"inflightreq.amount": "9"}, {"inflightreq.amount": "3"}), True),
        (({"inflightreq.amount": "9"}, {"inflightreq.amount": "3", **BY_CLIENT}), False),
        ((ALLOW, {"ipallowlist.sourcerange": "::1"}), False),
    ],
)
def test_order(middlewares, fine):
    """An order in which something else would happen than in ours is a problem, and never turned silently."""
    found = traefik_labels(labels_of(*middlewares))
    assert (len(found.routes), len(found.problems)) == ((1, 0) if fine else (0, 1))


def test_every_kind():
    """What has options has an effect; only chains are followed instead, and some kinds never can be honoured."""
    assert {*KINDS, *TCP_KINDS} - {"chain", "digestauth", "plugin"} == {*EFFECTS}
    assert headers.response_headers({}) == {}


def test_problem_of_the_model():
    """What is found out only when the model is made is said of the middleware, too."""
    labels = labels_of(
        CORS | {"headers.accesscontrolalloworiginlist": "*", "headers.accesscontrolallowcredentials": "1"}
    )
    written = {f"traefik.{label}": value for label, value in labels.items()} | {"traefik.enable": "true"}
    service = a_service("shop", labels=written, networks=("edge-id",))
    rules = a_rules(a_listener(), dialects=("traefik",))
    (problem,) = build(a_snapshot(a_node(), a_network(), service), rules).problems
    assert problem.label == "traefik.http.middlewares.m0.headers.accesscontrolallowcredentials"


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ({"ipallowlist.sourcerange": "192.0.2.0/24"}, {"allow_ip": ["192.0.2.0/24"]}),
        ({"ipwhitelist.sourcerange": "::1"}, {"allow_ip": ["::1/128"]}),
        ({"inflightconn.amount": "5"}, {"max_concurrent": 5}),
        ({"inflightreq.amount": "5"}, None),
        ({"unknown.x": "5"}, None),
        ({"inflightconn.amount": "0"}, None),
    ],
)
def test_tcp(options, meant):
    """TCP routers have middlewares of their own; what cannot be honoured drops the router here, too."""
    labels = {"tcp.routers.db.rule": "HostSNI(`*`)", "tcp.services.db.loadbalancer.server.port": "5432"}
    labels |= {f"tcp.middlewares.m.{option}": value for option, value in options.items()}
    found = traefik_labels(labels | {"tcp.routers.db.middlewares": "m@swarm"})
    if meant is None:
        assert (found.routes, len(found.problems)) == ((), 1)
    else:
        (route,) = found.routes
        assert {name: plain(getattr(route.keys, name)) for name in meant} == meant


@pytest.mark.parametrize(
    ("options", "insecure", "noted"),
    [
        ({"server.scheme": "https"}, (), "server.scheme"),
        ({"server.scheme": "https"}, ("default@internal",), ""),
        ({"server.scheme": "h2c"}, (), ""),
        ({"server.scheme": "https", "serverstransport": "Old@file"}, (), "serverstransport"),
        ({"server.scheme": "https", "serverstransport": "Old@file"}, ("old@file",), ""),
        ({"serverstransport": "slow@file"}, (), "serverstransport"),
    ],
)
def test_certificates_of_servers(options, insecure, noted):
    """That servers' certificates are not verified is said, unless Traefik is told not to, either."""
    labels = {f"http.services.app.loadbalancer.{option}": value for option, value in options.items()}
    found = traefik_labels(APP | labels, insecure_transports=insecure)
    assert found.routes[0].keys.scheme == options.get("server.scheme", "http")
    assert [problem.label for problem in found.problems] == (
        [f"traefik.http.services.app.loadbalancer.{noted}"] if noted else []
    )


def test_scheme_redirects_are_sound():
    """The expressions that lbgen writes itself are such as labels may have."""
    for options in ({"redirectscheme.scheme": "http"}, {"redirectscheme.scheme": "https", "redirectscheme.port": "1"}):
        (redirect,) = traefik_route(labels_of(options)).keys.redirect_regex
        assert substitution(*str(redirect.url).split(" ")) == redirect.url


SHOWN = {"errors.status": "500-599,404", "errors.service": "pages", "errors.query": "/{status}.html?from={url}"}
PAGES = {
    "http.services.pages.loadbalancer.server.port": "8081",
    "http.services.app.loadbalancer.server.port": "80",
    "http.routers.app.service": "app",
}


def test_error_pages():
    """Pages are asked of this Swarm service, on the port of the service that is named; the first decides."""
    found = traefik_labels(labels_of(SHOWN, {**SHOWN, "errors.status": "404,403,500", "errors.query": "/b"}) | PAGES)
    (route,) = found.routes
    assert found.problems == ()
    first, second = "/{status}.html?from={url}", "/b"
    assert {key: (url.port, url.path) for key, url in route.keys.error_pages.items()} == {
        "500-599": (8081, first),
        "404": (8081, first),
        "403": (8081, second),
    }
    assert {url.host for url in route.keys.error_pages.values()} == {"shop"}


@pytest.mark.parametrize(
    ("options", "noted"),
    [
        ({"errors.service": "pages@file"}, "errors.service"),
        ({"errors.service": "other"}, "errors.service"),
        ({"errors.status": "200-299"}, "errors.status"),
        ({"errors.status": "5**"}, "errors.status"),
        ({"errors.query": "/{originalStatus}"}, "errors.query"),
        ({"errors.query": "x"}, "errors.query"),
        ({"errors.query": "/$x"}, "errors.query"),
    ],
)
def test_left_pages(options, noted):
    """A middleware whose pages cannot be had is left out, and told of: the router is served without."""
    found = traefik_labels(labels_of({**SHOWN, **options}) | PAGES)
    (route,) = found.routes
    assert route.keys.error_pages == {}
    assert f"traefik.http.middlewares.m0.{noted}" in [problem.label for problem in found.problems]


def test_rewritten_statuses():
    """A status that is to be another one stays, which is told."""
    found = traefik_labels(labels_of({**SHOWN, "errors.statusrewrites.500-599": "200"}) | PAGES)
    (route,) = found.routes
    assert len(route.keys.error_pages) == 2
    assert [problem.label for problem in found.problems] == [
        "traefik.http.middlewares.m0.errors.statusrewrites.500-599"
    ]
