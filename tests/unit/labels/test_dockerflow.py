"""`lbgen.labels.dockerflow.dialect`: what docker-flow-proxy's labels mean here, and what is said about the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lbgen.labels.context import LabelContext, Ports
from lbgen.labels.dialects import DOCKERFLOW
from lbgen.labels.dockerflow.options import OPTIONS
from lbgen.labels.foreign_options import Left, Lost, Taken
from lbgen.labels.match import ALWAYS, AnyOf, Not, Test
from lbgen.labels.route_spec import Denial
from lbgen.labels.values.substitution import path_from
from lbgen.labels.values.users import User
from tests.support.builders import a_listener, a_network, a_node, a_rules, a_service, a_task, modelled
from tests.support.foreign_labels import dockerflow_labels, dockerflow_route, matches, plain, unusual
from tests.support.passwords import HASH
from tests.support.paths import TESTS

REAL_LIFE = sorted((TESTS / "real_life" / "dockerflow").glob("*.yml"))
PUBLISHED = Ports((("http", 80, "web"), ("http", 443, "websecure"), ("tcp", 6379, "redis"), ("tcp", 443, "names")))
DEFAULTS = {"timeout_response": 20.0, "timeout_idle": 3600.0}
DEMO = {"servicePath": "/demo", "port": "8080"}  # the demonstration service of docker-flow-proxy's tutorial
EXACT = {**DEMO, "serviceDomain": "a.org", "serviceDomainAlgo": "hdr(host)"}
DEFAULT = {"isDefaultBackend": "true"}
PG = {"port": "5432", "srcPort": "5432", "reqMode": "tcp"}


def report(case: Mapping[str, Any]) -> dict[str, Any]:
    """What lbgen makes of a file of tests/real_life/dockerflow, in the words of its ``expected``."""
    found = DOCKERFLOW.parse("shop", case["labels"], LabelContext(ports=PUBLISHED))
    routes = {
        f"{route.protocol} {route.name}".strip(): {
            "match": matches(route),
            **{name: plain(value) for name, value in unusual(route.keys, DEFAULTS).items()},
        }
        for route in found.routes
    }
    return {"routes": routes, "problems": [f"{problem.route or '-'}: {problem}" for problem in found.problems]}


@pytest.mark.parametrize("path", REAL_LIFE, ids=lambda path: path.stem)
def test_real_life(path):
    """Labels as docker-flow-proxy's pages show them give exactly the routes and problems written down beside them."""
    case = yaml.safe_load(path.read_text())
    assert report(case) == case["expected"]


def test_tutorial():
    """What docker-flow-proxy's tutorial starts with: a path, a port, and that it be notified of."""
    route = dockerflow_route({**DEMO, "distribute": "true", "replicas": "1", "serviceName": "go-demo"})
    assert (route.protocol, route.name, matches(route), route.priority) == ("http", "", ["path_start(/demo)"], None)
    assert unusual(route.keys, DEFAULTS) == {"port": 8080}


@pytest.mark.parametrize(
    ("labels", "enabled"),
    [
        ({}, False),
        ({"com.df.port": "80"}, False),
        ({"com.df.notify": "true"}, True),
        ({"com.df.notify": "1"}, True),
        ({"com.df.notify": "yes"}, True),
        ({"COM.DF.NOTIFY": "TRUE"}, True),
        ({"com.df.notify": "false"}, False),
    ],
)
def test_notify(labels, enabled):
    """Services take part that the swarm listener would tell of."""
    assert DOCKERFLOW.parse("shop", labels, LabelContext()).enabled is enabled


def test_expose_by_default():
    """With the setting, those as well that say nothing of it."""
    assert DOCKERFLOW.parse("shop", {"com.df.port": "80"}, LabelContext(expose_by_default=True)).enabled
    assert not DOCKERFLOW.parse("shop", {"com.df.notify": "false"}, LabelContext(expose_by_default=True)).enabled


def test_indexes():
    """Each index is a destination; what has none holds for all of them."""
    labels = {"serviceDomain": "a.org", "serviceDomainAlgo": "hdr(host)"}
    for index, path in (("1", "/a"), ("2", "/b"), ("10", "/c")):
        labels |= {f"servicePath.{index}": path, f"port.{index}": f"808{index[0]}"}
    found = dockerflow_labels({**labels, "serviceDomain.2": "b.org", "srcPort.10": "443"})
    assert found.problems == ()
    assert [(route.name, matches(route)) for route in found.routes] == [
        ("1", ["host(a.org) && path_start(/a)"]),
        ("2", ["host(b.org) && path_start(/b)"]),
        ("10", ["host(a.org) && path_start(/c)"]),
    ]
    assert [unusual(route.keys, DEFAULTS) for route in found.routes] == [
        {"port": 8081},
        {"port": 8082},
        {"port": 8081, "listener": ("websecure",)},
    ]


@pytest.mark.parametrize("label", ["port.0", "port.11", "port.x", "port.1.2", ".port", "po rt", ""])
def test_no_parameter(label):
    """What is no parameter at all is told of; the others hold."""
    found = dockerflow_labels({**DEMO, label: "1"})
    assert len(found.routes) == 1
    assert [(problem.label, problem.message) for problem in found.problems] == [
        (f"com.df.{label}", "is not a parameter"),
    ]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"serviceDomain": "*.a.org"}, [r"host_regex(\.a\.org$)"]),
        ({"serviceDomain": "*a.org"}, [r"host_regex(a\.org$)"]),
        ({"serviceDomain": "*"}, ["everything"]),
        ({"serviceDomain": "A.org,b.org", "serviceDomainAlgo": "hdr(host)"}, ["host(a.org)", "host(b.org)"]),
        ({"serviceDomain": "a.org", "serviceDomainAlgo": "hdr_dom(host)"}, [r"host_regex((^|\.)a\.org$)"]),
        ({"serviceDomain": "a.org", "serviceDomainAlgo": "hdr_end(host) -i"}, [r"host_regex(a\.org$)"]),
        ({"servicePath": "/a,/b"}, ["path_start(/a)", "path_start(/b)"]),
        ({"servicePath": "/"}, ["everything"]),
        ({"servicePath": "/a", "pathType": "path"}, ["path(/a)"]),
        ({"servicePath": "^/a.*z$", "pathType": "path_reg"}, ["path_regex(^/a.*z$)"]),
        ({"servicePath": ".gif", "pathType": "path_end"}, [r"path_regex(\.gif$)"]),
        ({"servicePath": "/x.y", "pathType": "path_sub"}, [r"path_regex(/x\.y)"]),
        ({"servicePath": "/a", "servicePathExclude": "/a/b"}, ["!path_start(/a/b) && path_start(/a)"]),
        ({"servicePath": "/a", "serviceHeader": "X-A: b"}, ["header(x-a: b) && path_start(/a)"]),
        ({"servicePath": "/a", "userAgent": "bot.v1"}, [r"header_regex(user-agent: (?i)bot\.v1) && path_start(/a)"]),
    ],
)
def test_match(labels, expected):
    """Which requests a destination is for."""
    route = dockerflow_route({"port": "80", **labels})
    found = matches(route)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert set(other.split(" && ")) <= set(one.split(" && ")), found


METHODS = {"get": Test("method", "GET"), "head": Test("method", "HEAD")}


@pytest.mark.parametrize(
    ("labels", "denied"),
    [
        ({"allowedMethods": "GET,HEAD"}, [Denial(Not(AnyOf((METHODS["get"], METHODS["head"]))))]),
        ({"deniedMethods": "GET"}, [Denial(AnyOf((METHODS["get"],)))]),
        ({"denyHttp": "true"}, [Denial(ALWAYS, tls=False)]),
        ({"denyHttp": "true", "httpsOnly": "true"}, []),  # they are redirected before
        ({"denyHttp": "false"}, []),
    ],
)
def test_denied(labels, denied):
    """What a destination refuses is no condition of its match: nobody else gets it."""
    route = dockerflow_route({**DEMO, **labels})
    assert (matches(route), list(route.denials)) == (["path_start(/demo)"], denied)
    assert route.guards == ({"deny"} if denied else set())


def test_domain_by_its_beginning():
    """docker-flow-proxy takes a.org.evil.example for a.org; here it is not, which is told."""
    found = dockerflow_labels({"port": "80", "serviceDomain": "a.org"})
    assert [matches(route) for route in found.routes] == [["host(a.org)"]]
    (problem,) = found.problems
    assert "is matched whole, not by its beginning; set serviceDomainAlgo to hdr(host)" in str(problem)


def test_default_backend():
    """One that is for all other requests comes last."""
    route = dockerflow_route({"port": "80", "isDefaultBackend": "true"})
    assert (matches(route), route.priority) == (["everything"], 0)


def test_default_backend_with_a_domain():
    """One that has requests of its own gets them as before, and after all other routes what nobody takes, guarded."""
    users = {"users": "joe:pw", "deniedMethods": "DELETE"}
    own, rest = dockerflow_labels({**EXACT, **users, "isDefaultBackend": "true"}).routes
    assert (rest.name, matches(rest), rest.priority) == ("df-default", ["everything"], 0)
    assert matches(own) != matches(rest)
    assert (own.priority, own.keys, own.users, own.denials) == (None, rest.keys, rest.users, rest.denials)
    assert rest.denials
    assert rest.users


def test_default_backend_of_several_destinations():
    """HAProxy has one default backend: the last destination that asks to be it."""
    found = dockerflow_labels({"port.1": "80", "servicePath.1": "/a", "port.2": "81", "servicePath.2": "/b"} | DEFAULT)
    assert [(route.name, matches(route)) for route in found.routes] == [
        ("1", ["path_start(/a)"]),
        ("2", ["path_start(/b)"]),
        ("2-default", ["everything"]),
    ]


@pytest.mark.parametrize(
    ("algorithm", "names", "meant"),
    [
        ("req_ssl_sni -i", "a.org,b.org", ["sni(a.org)", "sni(b.org)"]),
        ("req.ssl_sni -i -m str", "a.org", ["sni(a.org)"]),
        ("req_ssl_sni -i -m reg", r"^(a\.b\.org)$", ["sni(a.b.org)"]),
        ("req_ssl_sni -m end", ".a.org", ["sni(*.a.org)"]),
        ("req_ssl_sni -i -m beg", "a.", None),
        ("req_ssl_sni -i -m reg", "a.org", None),
    ],
)
def test_names_in_paths(algorithm, names, meant):
    """With a path type of SNI the paths are server names; a part of one cannot be asked about."""
    sni = {"reqMode": "sni", "srcPort": "5432", "port": "443", "pathType": algorithm, "servicePath": names}
    found = dockerflow_labels(sni)
    assert [matches(route) for route in found.routes] == ([meant] if meant else [])
    told = [problem.message for problem in found.problems]
    assert told == ([] if meant else ["matches a part of a server name"])


def test_names_of_tcp():
    """With an algorithm of SNI a TCP destination's domains are server names."""
    labels = {"serviceDomain": "a.org", "serviceDomainAlgo": "req.ssl_sni", "srcPort": "5432", "port": "443"}
    assert matches(dockerflow_route({**labels, "reqMode": "tcp"})) == ["sni(a.org)"]


def test_certificate_in_a_label():
    """It is left out, as certificates are files, and not shown."""
    found = dockerflow_labels({**DEMO, "serviceCert": "-----BEGIN PRIVATE KEY-----"})
    assert len(found.routes) == 1
    assert [(problem.label, problem.value) for problem in found.problems] == [("com.df.serviceCert", "")]


@pytest.mark.parametrize(
    ("labels", "meant"),
    [
        ({"reqPathSearch": "/demo/", "reqPathReplace": "/"}, path_from("^(.*?)(?:/demo/)", "$1/")),
        ({"reqPathSearch": "/demo/"}, None),  # does not make a path
        ({"reqPathSearch": "/demo/", "reqPathReplace": "/", "reqPathSearchReplace": "/a/,/b/"}, None),
    ],
)
def test_older_words_for_a_path(labels, meant):
    """The two parameters that reqPathSearchReplace took the place of mean the same; beside it they are too much."""
    found = dockerflow_labels({**DEMO, **labels})
    assert [route.keys.replace_path_regex for route in found.routes] == ([meant] if meant else [])
    assert bool(found.problems) == (meant is None)


@pytest.mark.parametrize("label", ["servicePaht", "serviceDomian", "isDefaultBackned"])
def test_misspelt_condition(label):
    """It is one mistake: that nothing says which requests are meant follows from it."""
    found = dockerflow_labels({"notify": "true", "port": "80", label: "/demo"})
    (problem,) = found.problems
    assert problem.message == "is an unknown option"
    assert found.routes == ()


def test_labels_of_companions():
    """What docker-flow-proxy's companions read is left to them, and told once: of certificates, and of the others."""
    labels = {"letsencrypt.host": "a.org", "alertName.1": "a", "scaleMax": "4", "cron.schedule": "@daily"}
    found = dockerflow_labels(DEMO | labels)
    assert len(found.routes) == 1
    assert [problem.message.partition(":")[0] for problem in found.problems] == [
        "is left out, like 2 more",
        "is left out",
    ]


@pytest.mark.parametrize("parameter", ["setReqHeader", "addReqHeader"])
def test_headers_that_the_proxy_sends(parameter):
    """HAProxy's own language is harmless where it makes a header that the proxy sends: others may not forge them."""
    value = "X-Forwarded-Proto https if { ssl_fc },X-Forwarded-Ssl on if { ssl_fc },X-A b"
    found = dockerflow_labels({**DEMO, parameter: value})
    (route,) = found.routes
    assert route.keys.request_header == {"x-a": "b", "x-forwarded-ssl": ""}
    assert any("the proxy sends that itself" in problem.message for problem in found.problems)


def test_parameter_given_twice():
    """The same parameter in another case is a mistake; if it guards the service is closed."""
    found = dockerflow_labels({**EXACT, "SERVICEDOMAIN": "b.org"})
    assert [problem.message for problem in found.problems] == ["says again what label com.df.SERVICEDOMAIN says"]
    guarded = dockerflow_labels({**EXACT, "deniedMethods": "GET", "DENIEDMETHODS": "PUT"})
    assert guarded.closed


@pytest.mark.parametrize(
    ("parameter", "value", "meant"),
    [
        ("srcPort", "443", {"listener": ("websecure",)}),
        ("srcHttpsPort", "443", {"listener": ("websecure",)}),
        ("httpsOnly", "true", {"redirect_https": True}),
        ("httpsOnly", "false", {}),
        ("setReqHeader", "X-A b,X-C d e", {"request_header": {"x-a": "b", "x-c": "d e"}}),
        ("delReqHeader", "X-A,X-B", {"request_header": {"x-a": "", "x-b": ""}}),
        ("setResHeader", 'X-A "b c"', {"response_header": {"x-a": "b c"}}),
        ("delResHeader", "server", {"response_header": {"server": ""}}),
        ("reqPathSearchReplace", "/demo/,/", {"replace_path_regex": path_from("^(.*?)(?:/demo/)", "$1/")}),
        ("reqPathSearchReplace", "^/demo/,/v1/", {"replace_path_regex": path_from("^/demo/", "/v1/")}),
        ("reqPathSearchReplace", r"^/(a)/,/\1", {"replace_path_regex": path_from("^/(a)/", "/$1")}),
        ("reqPathSearchReplace", "^/demo,", {"strip_prefix_regex": ("^/demo",)}),
        ("timeoutServer", "30", {"timeout_response": 30.0}),
        ("timeoutTunnel", "90s", {"timeout_idle": 90.0}),
        ("sessionType", "sticky-server", {"sticky": "lbgen"}),
        ("sessionType", "other", {}),
        ("setHeader", "X-A b", {"request_header": {"x-a": "b"}}),
        ("serviceDomainMatchAll", "true", {}),
        ("backendExtra", "option httpchk HEAD /up", {}),
        ("backendExtra", "balance leastconn\\n  timeout server 5s", {}),
        ("sslVerifyNone", "true", {"scheme": "https"}),
        ("compressionAlgo", "gzip", {"compress": True}),
        ("usersSecret", "staff", {"basic_auth": "staff"}),
        ("usersPassEncrypted", "true", {}),
        ("checkTcp", "true", {"health_check": "tcp"}),
        ("checkTcp", "false", {"health_check": "off"}),
        ("serviceGroup", "shop", {"group": "shop"}),
        ("balanceGroup", "leastconn", {"balance": "least-conn"}),
        ("balanceGroup", "source", {"balance": "source"}),
    ],
)
def test_taken(parameter, value, meant):
    """A parameter that is honoured ends in the keys of the route, which knows the label that it is from."""
    route = dockerflow_route({**DEMO, parameter: value})
    assert unusual(route.keys, DEFAULTS) == {"port": 8080, **meant}
    assert (f"com.df.{parameter}", value) in route.written.values()


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(("reqPathReplace", "/b"), ("redirectWhenHttpProto", "true"), ("redirectUnlessHttpsProto", "true")),
        *(("xForwardedProto", "true"), ("addHeader", "X-A b"), ("skipCheck", "true")),
        *(("addReqHeader", "X-A b"), ("addResHeader", "X-A b"), ("httpsRedirectCode", "302"), ("timeoutClient", "20")),
        *(("compressionType", "text/css"), ("aclName", "05-x"), ("connectionMode", "http-server-close")),
        *(("checkResolvers", "true"), ("discoveryType", "DNS"), ("clitcpka", "true"), ("userDef", "x")),
    ],
)
def test_left(parameter, value):
    """What only tunes, or is not quite the same here, is told of, and the route is served."""
    found = dockerflow_labels({**DEMO, parameter: value})
    assert len(found.routes) == 1
    assert [(problem.label, problem.value) for problem in found.problems] == [(f"com.df.{parameter}", value)]


@pytest.mark.parametrize(
    ("parameter", "value", "shown"),
    [
        ("users", ":s3cret", False),
        ("users", "anna:", False),
        ("verifyClientSsl", "true", True),
        ("httpsPort", "8443", True),
        ("outboundHostname", "example.org", True),
        ("backendExtra", "http-request deny", True),
        ("backendExtra", "option httpchk GET /up\\nhttp-request deny", True),
        ("templateBePath", "/templates/be.tmpl", True),
        ("templateFePath", "/templates/fe.tmpl", True),
        ("templateBeContent", "x", True),
        ("templateFeContent", "x", True),
        ("consulTemplateBePath", "x", True),
        ("consulTemplateFePath", "x", True),
        ("proxyInstanceName", "other", True),
        ("reqPathSearchReplace", "/other/,", True),
        ("reqPathSearchReplace", "/other/", True),
        ("reqPathSearchReplace", "/(,/", True),
        ("reqPathSearchReplace", "/demo/,/a:/b/,/c", True),
        ("setReqHeader", "X-Client %[src]", True),
        ("setReqHeader", "X-Client a if TRUE", True),
        ("redirectFromDomain", "old.org", True),
        ("srcPort", "99", True),
        ("port", "eighty", True),
        ("reqMode", "udp", True),
        ("bogus", "1", True),
    ],
)
def test_lost(parameter, value, shown):
    """Without it the service would do something else than asked: it is not served, and no secret is shown."""
    found = dockerflow_labels({**DEMO, parameter: value})
    assert found.routes == ()
    (problem,) = found.problems
    assert (problem.label, problem.value) == (f"com.df.{parameter}", value if shown else "")
    assert problem.remedy


def test_nothing_asked_for():
    """A destination has to say which requests are meant."""
    (problem,) = dockerflow_labels({"port": "80"}).problems
    assert "say which requests are meant" in str(problem)


def test_ignored_authorization():
    """A destination that is open beside guarded ones has no guard, and needs none."""
    labels = {"usersSecret": "staff", "port": "80", "servicePath.1": "/a", "servicePath.2": "/b"}
    found = dockerflow_labels({**labels, "ignoreAuthorization.2": "true"})
    assert [route.keys.basic_auth for route in found.routes] == ["staff", ""]


@pytest.mark.parametrize(
    ("label", "missing"),
    [
        ("users.11", {"basic_auth"}),
        ("users.0", {"basic_auth"}),
        ("userSecret.x", {"basic_auth"}),
        ("deniedMethods.1.2", {"deny"}),
        ("verifyClientSsl.12", {"client_ca"}),
        ("backendExtra.12", {"backendextra"}),
        ("port.11", None),
        ("po rt", None),
    ],
)
def test_guard_of_no_destination(label, missing):
    """A guard of which nobody can tell whose it is closes the service; other stray labels are told of alone."""
    found = dockerflow_labels({**DEMO, label: "x"})
    assert [set(spec.missing) for spec in found.closed] == ([] if missing is None else [missing])
    assert all(spec.unreadable and spec.guarded for spec in found.closed)


@pytest.mark.parametrize(
    ("labels", "match", "missing"),
    [
        ({"users": "joe"}, ["path_start(/demo)"], {"basic_auth"}),
        ({"usresSecret": "staff"}, ["path_start(/demo)"], {"basic_auth"}),
        ({"deniedMethods": "a b"}, ["path_start(/demo)"], {"deny"}),
        ({"denyHttp": "perhaps"}, ["path_start(/demo)"], {"deny"}),
        ({"backendExtra": "x"}, ["path_start(/demo)"], {"backendextra"}),
        ({"port": "eighty", "usersSecret": "staff"}, ["path_start(/demo)"], set()),
        ({"port": "eighty", "deniedMethods": "GET"}, ["path_start(/demo)"], set()),
        # What cannot be read of a match only widens it.
        ({"servicePathExclude": "no-slash", "usersSecret": "staff"}, ["path_start(/demo)"], set()),
        ({"pathType": "path_ned", "usersSecret": "staff"}, ["everything"], set()),
        ({"serviceDomain": "a b", "usersSecret": "staff"}, ["path_start(/demo)"], set()),
    ],
)
def test_closed(labels, match, missing):
    """A destination that cannot be honoured keeps its match, and says which of its guards are missing."""
    found = dockerflow_labels({**DEMO, **labels})
    (spec,) = found.closed
    assert (found.routes, matches(spec), set(spec.missing), spec.guarded) == ((), match, missing, True)


def test_closed_without_guard():
    """One that guards nothing is closed where its match can be read, and left out on ports that no listener has."""
    (spec,) = dockerflow_labels({**DEMO, "port": "eighty", "redirectFromDomain": "old.org"}).closed[:1]
    assert (spec.missing, spec.guarded) == (set(), False)
    names = {"port": "eighty", "serviceDomain": "a.org", "redirectFromDomain": "old.org"}
    assert [matches(spec) for spec in dockerflow_labels(names).closed] == [["host(a.org)"], ["host(old.org)"]]
    for alone in ({**DEMO, "srcPort": "99"}, {"port": "5432", "reqMode": "tcp"}, {"port": "80", "bogus": "1"}):
        assert dockerflow_labels(alone).closed == ()


def test_users():
    """Passwords in labels are the destination's own list; where they are encrypted, they are hashes."""
    plain = {"servicePath.1": "/a", "users.1": "anna:pw"}
    hashed = {"servicePath.2": "/b", "users.2": f"anna:{HASH}", "usersPassEncrypted.2": "true"}
    found = dockerflow_labels({"port": "80", **plain, **hashed})
    assert found.problems == ()
    assert [route.keys.basic_auth for route in found.routes] == ["label:shop:1", "label:shop:2"]
    assert [route.users and route.users.users for route in found.routes] == [
        (User("anna", "{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=", "pw"),),
        (User("anna", HASH),),
    ]


@pytest.mark.parametrize(
    "labels",
    [
        {"users": "anna:pw", "usersSecret": "staff"},
        {"users": "anna:pw", "usersPassEncrypted": "true"},
        {"users": "anna:pw", "reqMode": "tcp", "srcPort": "5432"},
    ],
)
def test_users_that_cannot_be_honoured(labels):
    """Nothing is served in place of what they guard, and the password is in no message."""
    found = dockerflow_labels({**DEMO, **labels})
    assert found.routes == ()
    assert [(problem.label, problem.value) for problem in found.problems] == [("com.df.users", "")]
    assert "pw" not in str(found)


def test_redirected_domains():
    """Domains that have moved go to the first one."""
    found = dockerflow_labels({**EXACT, "redirectFromDomain": "old.org,older.org", "httpsOnly": "true"})
    own, moved = found.routes
    assert (own.name, moved.name) == ("", "df-from")
    assert matches(moved) == ["host(old.org)", "host(older.org)"]
    assert moved.keys.redirect_code == 301
    assert ("text", "https://a.org") in moved.keys.redirect


def test_tcp():
    """TCP, for everybody or by server name, on the listener of the source port."""
    route = dockerflow_route(PG)
    assert (route.protocol, matches(route), unusual(route.keys, DEFAULTS)) == (
        *("tcp", ["everything"]),
        {"port": 5432, "listener": ("pg",)},
    )
    route = dockerflow_route({**PG, "reqMode": "sni", "serviceDomain": "db.org,*.x.org"})
    assert sorted(matches(route)) == ["sni(*.x.org)", "sni(db.org)"]
    (problem,) = dockerflow_labels({"port": "5432", "reqMode": "tcp"}).problems
    assert (problem.label, problem.message) == ("com.df.srcPort", "is missing, which TCP needs")


def test_every_parameter_is_tried():
    """No parameter is in the table without a test of this file."""
    tests = (test_taken, test_left, test_lost, test_match, test_denied)
    tried = {name.lower() for name in (*DEMO, *EXACT, "notify", "distribute", "replicas", "serviceName", "reqMode")}
    tried |= {"ignoreauthorization", "isdefaultbackend", "servicecert", "reqpathsearch"}
    for test in tests:
        for case in test.pytestmark[0].args[1]:
            tried |= {case[0].lower()} if isinstance(case[0], str) else {name.lower() for name in case[0]}
    assert set(OPTIONS) <= tried


_names = st.sampled_from(sorted(OPTIONS)) | st.text("abcXYZ.-_ 09", max_size=8)
_values = st.text(max_size=20) | st.sampled_from(["true", "80", "/a", "a.org", "X-A b", "/a,/b", "tcp", "sni", "*"])


@given(st.dictionaries(_names | st.builds("{}.{}".format, _names, st.integers(0, 12)), _values, max_size=8))
def test_nothing_is_dropped_silently(labels):
    """Whatever is written, each label is part of a route or of a problem, and nothing is raised."""
    found = dockerflow_labels(EXACT | labels)
    told = {problem.label for problem in found.problems}
    used = {label for route in found.routes for label, _ in route.written.values()}
    names = {route.name for route in found.routes}
    for name in labels:
        parameter, _, index = name.lower().partition(".")
        if parameter == "notify" or f"com.df.{name}" in told | used:
            continue
        if not names or (index and index not in names):
            assert told, "a destination that is not served"
            continue
        # The same parameter in other letters or of the indexed destinations, or a guard that is to be ignored.
        again = [other for other in labels if other != name and other.lower().partition(".")[0] == parameter]
        guard = parameter in ("users", "userssecret")
        assert again or (guard and any(other.lower().startswith("ignorea") for other in labels)), name


def test_in_a_cluster():
    """With the dialect switched on, ports are found among the listeners, and its routes are like all others."""
    labels = {"com.df.notify": "true", "com.df.port": "8080", "com.df.servicePath": "/demo", "com.df.srcPort": "8081"}
    facts = [a_node(), a_network(), a_task("demo", addresses={"edge-id": "10.0.0.1"})]
    service = a_service("demo", None, networks=("edge-id",), labels=labels)
    listeners = [a_listener(), a_listener("other", 8081)]
    model = modelled(*facts, service, rules=a_rules(*listeners, dialects=("dockerflow",)))
    assert model.problems == ()
    assert [(route.listeners, route.service) for route in model.routes] == [(("other",), "demo")]
    assert modelled(*facts, service, rules=a_rules(*listeners)).routes == ()


def test_kinds_of_parameters():
    """The table says something of each: it is taken, left out, or too much."""
    assert {type(meaning) for meaning in OPTIONS.values()} == {Taken, Left, Lost}
    assert all(name == name.lower() for name in OPTIONS)
