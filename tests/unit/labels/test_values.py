"""`lbgen.labels.values.basic`: what each type of label value may be."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.labels.values import basic, http
from lbgen.labels.values.value_type import BadValue

LONG_LABEL = "a" * 63
LONG_NAME = ".".join([LONG_LABEL] * 3 + ["a" * 61])  # 253 characters


@pytest.mark.parametrize(
    ("parse", "text", "meant"),
    [
        (basic.boolean, "true", True),
        (basic.boolean, "True", True),
        (basic.boolean, "yes", True),
        (basic.boolean, "on", True),
        (basic.boolean, "1", True),
        (basic.boolean, "false", False),
        (basic.boolean, "FALSE", False),
        (basic.boolean, "no", False),
        (basic.boolean, "off", False),
        (basic.boolean, "0", False),
        (basic.port, "1", 1),
        (basic.port, "65535", 65535),
        (basic.port, "080", 80),
        (basic.integer(-5, 5), "-5", -5),
        (basic.choice("a", "b"), "b", "b"),
        (basic.duration(0, 3600), "500ms", 0.5),
        (basic.duration(0, 3600), "2s", 2.0),
        (basic.duration(0, 3600), "1m", 60.0),
        (basic.duration(0, 3600), "1h", 3600.0),
        (basic.duration(0, 3600), "0s", 0.0),
        (basic.duration(0.1, 1), "100ms", 0.1),
        (basic.duration(0.1, 1), "1000ms", 1.0),
        (basic.name, "my_net-1.x", "my_net-1.x"),
        (basic.name, "a", "a"),
        (basic.name, "a" * 128, "a" * 128),
        (http.host, "Shop.Example.ORG", "shop.example.org"),
        (http.host, "shop.example.org.", "shop.example.org"),
        (http.host, "*.example.org", "*.example.org"),
        (http.host, "localhost", "localhost"),
        (http.host, "_dmarc.example.org", "_dmarc.example.org"),
        (http.host, "xn--bcher-kva.example", "xn--bcher-kva.example"),
        (http.host, "192.0.2.1", "192.0.2.1"),
        (http.host, f"{LONG_LABEL}.org", f"{LONG_LABEL}.org"),
        (http.host, LONG_NAME, LONG_NAME),
        (http.sni, "*", "*"),
        (http.sni, "DB.example.org", "db.example.org"),
        (http.path, "/", "/"),
        (http.path, "/caf%C3%A9/", "/caf%C3%A9/"),
        (http.path, "/a'b\"c\\d$e,f", "/a'b\"c\\d$e,f"),
        (http.path_prefix, "/api/", "/api"),
        (http.path_prefix, "/api///", "/api"),
        (http.path_prefix, "/", "/"),
        (http.path_prefix, "//", "/"),
        (http.header_value, "a b", "a b"),
        (http.header_value, "a", "a"),
        (http.header_value, "'\"\\$#", "'\"\\$#"),
        (http.header_name, "X-Api_Key", "x-api_key"),
        (http.header_name, "a" * 128, "a" * 128),
        (http.method, "PURGE", "PURGE"),
        (http.status_codes, "200-399,404", ((200, 399), (404, 404))),
        (http.status_codes, "200,200", ((200, 200),)),
        (http.status_codes, "204-204", ((204, 204),)),
        (basic.list_of(basic.port), "80, 443,80", (80, 443)),
        (basic.list_of(http.host), "B.org,a.org,b.org", ("b.org", "a.org")),
    ],
)
def test_good(parse, text, meant):
    """A good value is read as what it means."""
    assert parse(text) == meant


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (basic.boolean, "ja"),
        (basic.boolean, ""),
        (basic.boolean, "2"),
        (basic.port, "0"),
        (basic.port, "65536"),
        (basic.port, "-1"),
        (basic.port, "+80"),
        (basic.port, "80.0"),
        (basic.port, "8_0"),
        (basic.port, " 80"),
        (basic.port, "\u0663\u0663"),  # digits, but Arabic ones
        (basic.port, "9" * 400),
        (basic.choice("a", "b"), "A"),
        (basic.choice("a", "b"), ""),
        (basic.duration(0, 3600), "2"),
        (basic.duration(0, 3600), "2 s"),
        (basic.duration(0, 3600), "2S"),
        (basic.duration(0, 3600), "1.5s"),
        (basic.duration(0, 3600), "-1s"),
        (basic.duration(0, 3600), "1m30s"),
        (basic.duration(0, 3600), "2d"),
        (basic.duration(0, 3600), "\u0663s"),
        (basic.duration(0, 3600), "61m"),
        (basic.duration(0.1, 1), "99ms"),
        (basic.duration(0.1, 1), "1001ms"),
        (basic.network, "fe80::%eth0"),
        (basic.network, "fe80::%1;} server {"),
        (basic.name, ""),
        (basic.name, "-a"),
        (basic.name, "a-"),
        (basic.name, "a b"),
        (basic.name, "a/b"),
        (basic.name, "n\u00e4"),
        (basic.name, "a" * 129),
        (http.host, ""),
        (http.host, "."),
        (http.host, "*"),
        (http.host, "*."),
        (http.host, "a..b"),
        (http.host, "-a.org"),
        (http.host, "a-.org"),
        (http.host, "a.org:80"),
        (http.host, "http://a.org"),
        (http.host, "a.org/x"),
        (http.host, "*.*.org"),
        (http.host, "a.*.org"),
        (http.host, "*a.org"),
        (http.host, "b\u00fccher.example"),
        (http.host, "\u212aelvin.org"),  # the Kelvin sign, whose lower case is k
        (http.host, f"{LONG_LABEL}a.org"),
        (http.host, f"a{LONG_NAME}"),
        (http.host, "a b.org"),
        (http.host, "a.org\n"),
        (http.path, "api"),
        (http.path, ""),
        (http.path, "/a b"),
        (http.path, "/a?b"),
        (http.path, "/a#b"),
        (http.path, "/caf\u00e9"),
        (http.path, "/a\n"),
        (http.path_prefix, "api"),
        (http.header_value, ""),
        (http.header_value, " a"),
        (http.header_value, "a "),
        (http.header_value, "\u00e9"),
        (http.header_value, "a\n"),
        (http.header_name, ""),
        (http.header_name, "x y"),
        (http.header_name, "x:"),
        (http.header_name, "x#a"),  # allowed in HTTP, but a comment in haproxy.cfg
        (http.header_name, "x'a"),
        (http.header_name, "x(a)"),
        (http.header_name, "a" * 129),
        (http.header_name, "x\n"),
        (http.method, "get"),
        (http.method, "GET "),
        (http.method, "A" * 21),
        (http.method, ""),
        (http.status_codes, "399-200"),
        (http.status_codes, "600"),
        (http.status_codes, "099"),
        (http.status_codes, "20"),
        (http.status_codes, "200-"),
        (http.status_codes, "200;204"),
        (basic.list_of(basic.port), "80,,443"),
        (basic.list_of(basic.port), "80,"),
        (basic.list_of(basic.port), ","),
        (basic.list_of(basic.port), "80,x"),
    ],
)
def test_bad(parse, text):
    """A bad value is refused, with what is wrong and what to write instead."""
    with pytest.raises(BadValue) as caught:
        parse(text)
    assert caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("seconds", "spelt"),
    [(0.5, "500ms"), (2.0, "2s"), (90.0, "90s"), (60.0, "1m"), (3600.0, "1h"), (0.0, "0ms"), (86400, "24h")],
)
def test_spell_duration(seconds, spelt):
    """A duration is spelt as short as it can be read back."""
    assert basic.spell_duration(seconds) == spelt


@given(st.integers(0, 86_400_000))
@settings(deadline=None)
def test_duration_round_trip(milliseconds):
    """What `spell_duration` writes, `duration` reads as the same."""
    seconds = milliseconds / 1000
    assert basic.duration(0, 86400)(basic.spell_duration(seconds)) == seconds


@pytest.mark.parametrize(
    "parse",
    [
        basic.boolean,
        basic.port,
        basic.choice("a"),
        basic.duration(0, 1),
        basic.list_of(http.host),
        basic.name,
        http.sni,
        http.path,
        http.path_prefix,
        http.header_value,
        http.header_name,
        http.method,
        http.status_codes,
    ],
)
@given(text=st.text())
@settings(deadline=None, max_examples=60)
def test_nothing_but_bad_value(parse, text):
    """No text makes a parser raise anything but BadValue."""
    with contextlib.suppress(BadValue):
        parse(text)
