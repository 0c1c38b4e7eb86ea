"""`lbgen.labels.values`: what each type of label value may be."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.labels import values

LONG_LABEL = "a" * 63
LONG_NAME = ".".join([LONG_LABEL] * 3 + ["a" * 61])  # 253 characters


@pytest.mark.parametrize(
    ("parse", "text", "meant"),
    [
        (values.boolean, "true", True),
        (values.boolean, "True", True),
        (values.boolean, "yes", True),
        (values.boolean, "on", True),
        (values.boolean, "1", True),
        (values.boolean, "false", False),
        (values.boolean, "FALSE", False),
        (values.boolean, "no", False),
        (values.boolean, "off", False),
        (values.boolean, "0", False),
        (values.port, "1", 1),
        (values.port, "65535", 65535),
        (values.port, "080", 80),
        (values.integer(-5, 5), "-5", -5),
        (values.choice("a", "b"), "b", "b"),
        (values.duration(0, 3600), "500ms", 0.5),
        (values.duration(0, 3600), "2s", 2.0),
        (values.duration(0, 3600), "1m", 60.0),
        (values.duration(0, 3600), "1h", 3600.0),
        (values.duration(0, 3600), "0s", 0.0),
        (values.duration(0.1, 1), "100ms", 0.1),
        (values.duration(0.1, 1), "1000ms", 1.0),
        (values.name, "my_net-1.x", "my_net-1.x"),
        (values.name, "a", "a"),
        (values.name, "a" * 128, "a" * 128),
        (values.host, "Shop.Example.ORG", "shop.example.org"),
        (values.host, "shop.example.org.", "shop.example.org"),
        (values.host, "*.example.org", "*.example.org"),
        (values.host, "localhost", "localhost"),
        (values.host, "_dmarc.example.org", "_dmarc.example.org"),
        (values.host, "xn--bcher-kva.example", "xn--bcher-kva.example"),
        (values.host, "192.0.2.1", "192.0.2.1"),
        (values.host, f"{LONG_LABEL}.org", f"{LONG_LABEL}.org"),
        (values.host, LONG_NAME, LONG_NAME),
        (values.sni, "*", "*"),
        (values.sni, "DB.example.org", "db.example.org"),
        (values.path, "/", "/"),
        (values.path, "/caf%C3%A9/", "/caf%C3%A9/"),
        (values.path, "/a'b\"c\\d$e,f", "/a'b\"c\\d$e,f"),
        (values.path_prefix, "/api/", "/api"),
        (values.path_prefix, "/api///", "/api"),
        (values.path_prefix, "/", "/"),
        (values.path_prefix, "//", "/"),
        (values.header_value, "a b", "a b"),
        (values.header_value, "a", "a"),
        (values.header_value, "'\"\\$#", "'\"\\$#"),
        (values.header_name, "X-Api_Key", "x-api_key"),
        (values.header_name, "a" * 128, "a" * 128),
        (values.method, "PURGE", "PURGE"),
        (values.status_codes, "200-399,404", ((200, 399), (404, 404))),
        (values.status_codes, "200,200", ((200, 200),)),
        (values.status_codes, "204-204", ((204, 204),)),
        (values.listed(values.port), "80, 443,80", (80, 443)),
        (values.listed(values.host), "B.org,a.org,b.org", ("b.org", "a.org")),
    ],
)
def test_good(parse, text, meant):
    """A good value is read as what it means."""
    assert parse(text) == meant


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (values.boolean, "ja"),
        (values.boolean, ""),
        (values.boolean, "2"),
        (values.port, "0"),
        (values.port, "65536"),
        (values.port, "-1"),
        (values.port, "+80"),
        (values.port, "80.0"),
        (values.port, "8_0"),
        (values.port, " 80"),
        (values.port, "\u0663\u0663"),  # digits, but Arabic ones
        (values.port, "9" * 400),
        (values.choice("a", "b"), "A"),
        (values.choice("a", "b"), ""),
        (values.duration(0, 3600), "2"),
        (values.duration(0, 3600), "2 s"),
        (values.duration(0, 3600), "2S"),
        (values.duration(0, 3600), "1.5s"),
        (values.duration(0, 3600), "-1s"),
        (values.duration(0, 3600), "1m30s"),
        (values.duration(0, 3600), "2d"),
        (values.duration(0, 3600), "\u0663s"),
        (values.duration(0, 3600), "61m"),
        (values.duration(0.1, 1), "99ms"),
        (values.duration(0.1, 1), "1001ms"),
        (values.network, "fe80::%eth0"),
        (values.network, "fe80::%1;} server {"),
        (values.name, ""),
        (values.name, "-a"),
        (values.name, "a-"),
        (values.name, "a b"),
        (values.name, "a/b"),
        (values.name, "n\u00e4"),
        (values.name, "a" * 129),
        (values.host, ""),
        (values.host, "."),
        (values.host, "*"),
        (values.host, "*."),
        (values.host, "a..b"),
        (values.host, "-a.org"),
        (values.host, "a-.org"),
        (values.host, "a.org:80"),
        (values.host, "http://a.org"),
        (values.host, "a.org/x"),
        (values.host, "*.*.org"),
        (values.host, "a.*.org"),
        (values.host, "*a.org"),
        (values.host, "b\u00fccher.example"),
        (values.host, "\u212aelvin.org"),  # the Kelvin sign, whose lower case is k
        (values.host, f"{LONG_LABEL}a.org"),
        (values.host, f"a{LONG_NAME}"),
        (values.host, "a b.org"),
        (values.host, "a.org\n"),
        (values.path, "api"),
        (values.path, ""),
        (values.path, "/a b"),
        (values.path, "/a?b"),
        (values.path, "/a#b"),
        (values.path, "/caf\u00e9"),
        (values.path, "/a\n"),
        (values.path_prefix, "api"),
        (values.header_value, ""),
        (values.header_value, " a"),
        (values.header_value, "a "),
        (values.header_value, "\u00e9"),
        (values.header_value, "a\n"),
        (values.header_name, ""),
        (values.header_name, "x y"),
        (values.header_name, "x:"),
        (values.header_name, "x#a"),  # allowed in HTTP, but a comment in haproxy.cfg
        (values.header_name, "x'a"),
        (values.header_name, "x(a)"),
        (values.header_name, "a" * 129),
        (values.header_name, "x\n"),
        (values.method, "get"),
        (values.method, "GET "),
        (values.method, "A" * 21),
        (values.method, ""),
        (values.status_codes, "399-200"),
        (values.status_codes, "600"),
        (values.status_codes, "099"),
        (values.status_codes, "20"),
        (values.status_codes, "200-"),
        (values.status_codes, "200;204"),
        (values.listed(values.port), "80,,443"),
        (values.listed(values.port), "80,"),
        (values.listed(values.port), ","),
        (values.listed(values.port), "80,x"),
    ],
)
def test_bad(parse, text):
    """A bad value is refused, with what is wrong and what to write instead."""
    with pytest.raises(values.BadValue) as caught:
        parse(text)
    assert caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("seconds", "spelt"),
    [(0.5, "500ms"), (2.0, "2s"), (90.0, "90s"), (60.0, "1m"), (3600.0, "1h"), (0.0, "0ms"), (86400, "24h")],
)
def test_spell_duration(seconds, spelt):
    """A duration is spelt as short as it can be read back."""
    assert values.spell_duration(seconds) == spelt


@given(st.integers(0, 86_400_000))
@settings(deadline=None)
def test_duration_round_trip(milliseconds):
    """What `spell_duration` writes, `duration` reads as the same."""
    seconds = milliseconds / 1000
    assert values.duration(0, 86400)(values.spell_duration(seconds)) == seconds


@pytest.mark.parametrize(
    "parse",
    [
        values.boolean,
        values.port,
        values.choice("a"),
        values.duration(0, 1),
        values.listed(values.host),
        values.name,
        values.sni,
        values.path,
        values.path_prefix,
        values.header_value,
        values.header_name,
        values.method,
        values.status_codes,
    ],
)
@given(text=st.text())
@settings(deadline=None, max_examples=60)
def test_nothing_but_bad_value(parse, text):
    """No text makes a parser raise anything but BadValue."""
    with contextlib.suppress(values.BadValue):
        parse(text)
