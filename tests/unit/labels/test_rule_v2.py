"""`labels.rule.v2`: rules of Traefik 2, and when a rule is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.labels.match import match_text
from lbgen.labels.rule import parser, v2
from lbgen.labels.traefik.rules import read_rule
from lbgen.labels.values.value_type import BadValue
from tests.support.foreign_labels import APP, traefik_labels, traefik_route


@pytest.mark.parametrize(
    ("rule", "meant"),
    [
        ("Host(`a.org`, `B.org`)", "host(a.org) || host(b.org)"),
        ("HostHeader(`a.org`) && !hostheader(`b.org`)", "host(a.org) && !host(b.org)"),
        ("PathPrefix(`/a`, `/`)", "path_start(/a) || path_prefix(/)"),
        ("Path(`/a b`)", "path(/a%20b)"),
        ("HostRegexp(`{sub:[a-z]+}.a.org`)", r"host_regex(^(?:[a-z]+)\.a\.org$)"),
        ("HostRegexp(`A.org`, `{any:.+}`)", "host(a.org) || host_regex(^(?:.+)$)"),
        ("HostRegexp(`WWW.{n}.org`)", r"host_regex(^www\.(?:[^.]+)\.org$)"),
        ("HostRegexp(`{n:[A-Z]{2}|x}.org`)", r"host_regex((?i)^(?:[A-Z]{2}|x)\.org$)"),
        (r"HostRegexp(`{n:\w+}.org`)", r"host_regex(^(?:\w+)\.org$)"),
        (r"HostRegexp(`{n:\S+}.org`)", r"host_regex(^(?:\S+)\.org$)"),
        ("Path(`/x/{id:[0-9]+}`)", "path_regex(^/x/(?:[0-9]+)$)"),
        ("PathPrefix(`/{a}/x.{b}`)", r"path_regex(^/(?:[^/]+)/x\.(?:[^/]+))"),
        ("Headers(`X-A`, `1`, `X-B`, `2`)", "header(x-a: 1) && header(x-b: 2)"),
        ("HeadersRegexp(`X-A`, `^1`)", "header_regex(x-a: ^1)"),
        ("Query(`a=b=c`)", "query(a: b=c)"),
        ("Query(`a`, `b`)", "query(a: b)"),
        ("Query(`a=`, `b={n:[0-9]+}x`, `c={any}`)", "query_regex(a: .*) && query_regex(b: ^(?:[0-9]+)x$) && "
         "query_regex(c: ^(?:.*)$)"),
        ("Method(`get`, `PUT`)", "method(GET) || method(PUT)"),
        ("ClientIP(`192.0.2.0/24`, `::1`)", "client_ip(192.0.2.0/24) || client_ip(::1/128)"),
    ],
)  # fmt: skip
def test_http(rule, meant):
    """A rule means what Traefik 2 takes it for."""
    assert match_text(v2.parse(rule)) == meant


@pytest.mark.parametrize(
    ("rule", "meant"),
    [
        ("HostSNI(`*`)", "every request"),
        ("HostSNI(`*`, `a.org`)", "true || sni(a.org)"),
        ("HostSNI(`A.org`, `*`)", "sni(a.org) || sni_regex(.+)"),
        ("HostSNIRegexp(`{n}.a.org`, `b.org`)", r"sni_regex(^(?:[^.]+)\.a\.org$) || sni(b.org)"),
        ("ALPN(`h2`, `mqtt`) && ClientIP(`::1`)", "(alpn(h2) || alpn(mqtt)) && client_ip(::1/128)"),
    ],
)
def test_tcp(rule, meant):
    """So does a rule of a TCP router."""
    assert match_text(v2.parse(rule, "tcp")) == meant


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("", "is empty"),
        ("Host()", "takes one argument or several, not 0"),
        ("Host(``)", "has an empty argument"),
        ("Host(`*.a.org`)", "takes literally"),
        ("HostRegexp(`.+`)", "is not a host name"),
        ("HostRegexp(`{a:x}+.org`)", "that no host has"),
        ("HostRegexp(`a{2,3}.org`)", "braces without a name"),
        ("HostRegexp(`{:x}.org`)", "braces without a name"),
        ("HostRegexp(`{a:}.org`)", "braces without a name"),
        ("HostRegexp(`{a.org`)", "without its other half"),
        ("HostRegexp(`}{a}.org`)", "without its other half"),
        ("HostRegexp(`{a:(}.org`)", "never closed"),
        ("HostRegexp(`{a:(x}{b:)}.org`)", "never closed"),
        ("Path(`{a}`)", "does not begin with a slash"),
        ("Path(`x`)", "does not begin with a slash"),
        ("Path(`/a b/{c}`)", "only Traefik decodes"),
        ("Headers(`a`)", "takes names and values by turns, not 1"),
        ("Headers(`a`, `b`, `c`)", "takes names and values by turns, not 3"),
        ("Headers(`Host`, `b`)", "never matches"),
        ("Query(`a`)", "a name without a value"),
        ("Query(`{a}=b`)", "no usable name"),
        ("Header(`a`, `b`)", "is not a matcher of http rules of Traefik 2"),
        ("PathRegexp(`a`)", "is not a matcher"),
    ],
)
def test_refused(rule, message):
    """What Traefik 2 refuses, and what no request can have, is refused, at its place."""
    with pytest.raises(BadValue, match=message):
        v2.parse(rule)


@pytest.mark.parametrize(
    "rule", ["Host(`a.org`)", "Host(`*.a.org`)", "HostRegexp(`a.org`)", "Query(`a`)", "Path(`/a`) || Method(`GET`)"]
)
def test_third_syntax_first(rule):
    """What Traefik 3 reads is Traefik 3's, unless router or setting say otherwise."""
    assert read_rule(rule, "http", "", "") == read_rule(rule, "http", "v3", "v2") == (parser.parse(rule), None)


@pytest.mark.parametrize(
    "rule",
    [
        r"HostRegexp(`^[[:alpha:]]+\.a\.org$`)",
        "HostRegexp(`(?P<x>a).org`) || Host(`b.org`)",
        "HostRegexp(`.+`) && Host(`a.org`, `b.org`)",
        "Host(`a.org`, `b.org`) && Header(`x`, `y`)",
        "Host(`[::1]`)",
    ],
)
def test_neither(rule):
    """What only lbgen does not read of Traefik 3's rules, and a mixture of both, is not taken for one of Traefik 2."""
    with pytest.raises(BadValue) as third:
        parser.parse(rule)
    with pytest.raises(BadValue) as either:
        read_rule(rule, "http", "", "")
    assert str(either.value) == str(third.value)


def test_labels():
    """A router's rulesyntax counts before the setting; without either only the note tells that the rule is old."""
    old = APP | {"http.routers.app.rule": "Host(`a.org`, `b.org`)"}
    found = traefik_labels(old)
    assert [match_text(route.match) for route in found.routes] == ["host(a.org) || host(b.org)"]
    (note,) = found.problems
    assert note.label == "traefik.http.routers.app.rule"
    assert note.message.startswith("is taken as a rule of Traefik 2")
    route = traefik_route(old, rule_syntax="v2")
    assert (route.match, route.priority) == (found.routes[0].match, len("Host(`a.org`, `b.org`)"))
    assert traefik_route(old | {"http.routers.app.rulesyntax": "v2"}, rule_syntax="v3").match == route.match
    assert traefik_labels(old | {"http.routers.app.rulesyntax": "v3"}).routes == ()
    assert traefik_labels(old, rule_syntax="v3").routes == found.routes


def test_broken_guarded_rule():
    """A guarded router whose rule means nothing in either syntax closes its service, as ever."""
    guarded = {"http.routers.app.middlewares": "m", "http.middlewares.m.ipallowlist.sourcerange": "::1"}
    for syntax in ({}, {"http.routers.app.rulesyntax": "v2"}):
        (closed,) = traefik_labels(APP | guarded | {"http.routers.app.rule": "HostRegexp(`.*)`, `x`)"} | syntax).closed
        assert (closed.guarded, closed.unreadable) == (True, True)


@given(st.text(alphabet="Host(Path)Query`{}:/=,&|! ab.*+[]\\", max_size=40))
@settings(max_examples=300)
def test_any_text(text):
    """Whatever the text is, it is a rule or a BadValue that can be shown."""
    try:
        said = match_text(v2.parse(text))
    except BadValue as bad:
        said = bad.message + bad.remedy
    assert said.isprintable()
