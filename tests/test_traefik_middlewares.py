"""`lbgen.labels.traefik_middlewares`: what Traefik's middlewares come to, and which orders of them are not ours."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lbgen.labels import traefik_headers, traefik_middleware_options
from lbgen.labels.traefik_effects import EFFECTS
from lbgen.model import build
from tests.builders import a_listener, a_network, a_node, a_rules, a_service, a_snapshot
from tests.test_labels_traefik import APP, DEFAULTS, only, read, unusual

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
    keys = unusual(only(labels_of(*middlewares), **provider).keys)
    return {name: value for name, value in keys.items() if (DEFAULTS | SAME).get(name) != value}


HONOURED = [
    ({"addprefix.prefix": "/base"}, {"add_prefix": "/base"}),
    ({"addprefix.prefix": "base/"}, {"add_prefix": "/base"}),
    ({"replacepath.path": "/x%2Fy"}, {"replace_path": "/x%2Fy"}),
    ({"basicauth.usersfile": "/etc/traefik/.htpasswd"}, {"basic_auth": "htpasswd"}),
    (
        {"basicauth.usersfile": "/run/secrets/staff", "basicauth.removeheader": "true"},
        {"basic_auth": "staff", "request_header": {"authorization": ""}},
    ),
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
        assert read(labels_of(options)).routes == ()
    else:
        assert fields(options) == meant


@pytest.mark.parametrize(
    ("options", "noted"),
    [
        ({"basicauth.usersfile": "staff", "basicauth.realm": "x"}, "basicauth.realm"),
        ({"ipallowlist.sourcerange": "::1", "ipallowlist.rejectstatuscode": "404"}, "ipallowlist.rejectstatuscode"),
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
    found = read(labels_of(options))
    assert len(found.routes) == 1
    (problem,) = found.problems
    assert problem.label == f"traefik.http.middlewares.m0.{noted}"
    assert problem.message.startswith("is left out: ")


@pytest.mark.parametrize(
    ("options", "blamed"),
    [
        ({"addprefix.prefix": "/a%20b"}, "addprefix.prefix"),
        ({"replacepath.path": "x"}, "replacepath.path"),
        ({"basicauth.users": f"anna:{SECRET}"}, "basicauth.users"),
        ({"basicauth.usersfile": "x", "basicauth.headerfield": "X-User"}, "basicauth.headerfield"),
        ({"basicauth.usersfile": "/etc/!"}, "basicauth.usersfile"),
        ({"basicauth.removeheader": "true"}, "basicauth.removeheader"),
        ({"basicauth.user": f"anna:{SECRET}"}, "basicauth.user"),
        ({"ipallowlist.sourcerange": "::1", "ipallowlist.ipstrategy.depth": "1"}, "ipallowlist.ipstrategy.depth"),
        (
            {"ipallowlist.sourcerange": "::1", "ipallowlist.ipstrategy.excludedips": "::2"},
            "ipallowlist.ipstrategy.excludedips",
        ),
        ({"ipallowlist.rejectstatuscode": "404"}, "ipallowlist.rejectstatuscode"),
        (
            {"ratelimit.average": "1", "ratelimit.sourcecriterion.requesthost": "true"},
            "ratelimit.sourcecriterion.requesthost",
        ),
        ({"headers.allowedhosts": "a.org"}, "headers.allowedhosts"),
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
    found = read(labels_of(options))
    assert found.routes == ()
    assert f"traefik.http.middlewares.m0.{blamed}" in {problem.label for problem in found.problems}
    assert SECRET not in str(found)


def test_users_of_labels():
    """Users in a label are honoured once their owner says that a file has them; the hashes go nowhere."""
    labels = labels_of({"basicauth.users": f"anna:{SECRET}"})
    assert SECRET not in str(read(labels))
    served = read(labels, users_files=("m0",))
    assert (served.routes[0].keys.basic_auth, served.problems) == ("m0", ())
    assert SECRET not in str(served)
    (problem,) = read(labels).problems
    assert "a file m0 in the directory of setting users" in problem.remedy
    both = labels_of({"basicauth.users": f"anna:{SECRET}", "basicauth.usersfile": "x"})
    assert read(both, users_files=("m0",)).routes == ()


ALLOW = {"ipallowlist.sourcerange": "10.0.0.0/8,192.0.2.1"}
USERS = {"basicauth.usersfile": "staff"}
CORS = {"headers.accesscontrolalloworiginlist": "https://a.org"}
ADD = {"addprefix.prefix": "/a"}
REPLACE = {"replacepath.path": "/r"}
HTTPS = {"redirectscheme.scheme": "https"}
HOST = {"headers.customrequestheaders.host": "b.org"}
RATE = {"ratelimit.average": "1"}
MOVED = {"redirectregex.regex": ".*", "redirectregex.replacement": "https://b.org/"}


@pytest.mark.parametrize(
    ("middlewares", "meant"),
    [
        ((ALLOW, {"ipallowlist.sourcerange": "10.1.0.0/16,::1"}), {"allow_ip": ("10.1.0.0/16",)}),
        ((ADD, {"addprefix.prefix": "/b"}), {"add_prefix": "/b/a"}),
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
    assert fields(*middlewares) == meant


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
        ((ADD, REPLACE), False),
        ((HTTPS, ADD), True),
        ((ADD, HTTPS), False),
        ((MOVED, HOST), True),
        ((HOST, MOVED), False),
        ((USERS, {"basicauth.usersfile": "b"}), False),
        ((RATE, {"ratelimit.average": "2"}), False),
        ((ALLOW, {"ipallowlist.sourcerange": "::1"}), False),
    ],
)
def test_order(middlewares, fine):
    """An order in which something else would happen than in ours is a problem, and never turned silently."""
    found = read(labels_of(*middlewares))
    assert (len(found.routes), len(found.problems)) == ((1, 0) if fine else (0, 1))


def test_every_kind():
    """What has options has an effect; only chains are followed instead."""
    assert {*traefik_middleware_options.KINDS} - {"chain"} == {*EFFECTS}
    assert traefik_headers.response_headers({}) == {}


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
