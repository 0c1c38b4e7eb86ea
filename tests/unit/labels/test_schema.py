"""`labels.schema` and `labels.values.value_type`: what JSON Schema says of labels is what their parsers say."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.labels.keys.table import FIELDS, KEYS
from lbgen.labels.route_spec import sound
from lbgen.labels.schema import document
from lbgen.labels.values.value_type import BadValue, ValueType, numbers
from tests.support.builders import parsed
from tests.support.command import run

SCHEMA = document()


def fits(schema: dict | bool, value: object) -> bool:
    """Whether a value fits, as far as these schemas go."""
    if isinstance(schema, bool):
        return schema
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    kind = {str: "string", bool: "boolean", int: "integer"}[type(value)]
    if kind not in types:
        return False
    if kind == "integer":
        return schema.get("minimum", value) <= value <= schema.get("maximum", value)
    if kind == "boolean":
        return True
    return (
        value in schema.get("enum", [value])
        and len(value) <= schema["maxLength"]
        and re.search(schema.get("pattern", ""), value) is not None
    )


def accepted(label: str, value: object) -> bool:
    """Whether a service's labels may have this one."""
    found = [SCHEMA["properties"][label]] if label in SCHEMA["properties"] else []
    found += [schema for pattern, schema in SCHEMA["patternProperties"].items() if re.search(pattern, label)]
    return all(fits({"maxLength": 9999, **schema} if schema else schema, value) for schema in found)


@pytest.mark.parametrize("field", sorted(KEYS))
def test_example(field):
    """Each key's example is accepted as a short key and in a named route, and its default is spelt as it is read."""
    key = KEYS[field]
    name = f"{key.family}{key.member}" if key.family else key.name
    assert isinstance(key.parse, ValueType), "a key's parser is a ValueType, so that it can say what it takes"
    assert f"lbgen.{name}" in SCHEMA["properties"] or any(
        re.search(pattern, f"lbgen.{name}") and schema for pattern, schema in SCHEMA["patternProperties"].items()
    )
    assert accepted(f"lbgen.{name}", key.sample)
    for protocol in ("http", "tcp", "udp"):
        assert accepted(f"lbgen.{protocol}.x.{name}", key.sample) is (protocol in key.protocols)
    assert key.parse(key.parse.spell(key.parse(key.sample))) == key.parse(key.sample)
    if FIELDS[field].default not in (None, MISSING, (), ""):
        assert key.parse(key.parse.spell(FIELDS[field].default)) == FIELDS[field].default


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("lbgen.enable", "yep"),
        ("lbgen.port", "0"),
        ("lbgen.port", "65536"),
        ("lbgen.port", 65536),
        ("lbgen.port", "80.0"),
        ("lbgen.port", "http"),
        ("lbgen.port", True),
        ("lbgen.via", "tasks"),
        ("lbgen.via", ""),
        ("lbgen.host", "https://a.org"),
        ("lbgen.host", "a.org:80"),
        ("lbgen.host", "a.org,,b.org"),
        ("lbgen.host", "a.org b.org"),
        ("lbgen.path", "api"),
        ("lbgen.path", "/api,admin"),
        ("lbgen.path", "/a?b=1"),
        ("lbgen.path", "/a\nb"),
        ("lbgen.method", "get"),
        ("lbgen.client-ip", "localhost"),
        ("lbgen.timeout.response", "60"),
        ("lbgen.timeout.response", "60 s"),
        ("lbgen.weight", "257"),
        ("lbgen.weight", "-1"),
        ("lbgen.health-check.status", "2xx"),
        ("lbgen.sticky", "cookies"),
        ("lbgen.redirect", "www.example.org"),
        ("lbgen.redirect", "https://a.org/{url}"),
        ("lbgen.redirect.code", "303"),
        ("lbgen.rate-limit", "100"),
        ("lbgen.rate-limit", "100/d"),
        ("lbgen.max-body", "10 MB"),
        ("lbgen.hsts", "max-age"),
        ("lbgen.cors.origins", "shop.example.org"),
        ("lbgen.send-proxy", "v3"),
        ("lbgen.basic-auth", "a/b"),
        ("lbgen.rule", ""),
        ("lbgen.rule", "Host(`a`)\0"),
        ("lbgen.host", "a" * 5000),
        ("lbgen.prot", "80"),
        ("lbgen.Port", "80"),
        ("LBGEN.port", "80"),
        ("lbgen.http.a.sni", "a.org"),
        ("lbgen.udp.a.host", "a.org"),
        ("lbgen.http.A.port", "80"),
        ("lbgen.http..port", "80"),
        ("lbgen.https.a.port", "80"),
        ("lbgen.header.", "x"),
        ("lbgen.header.x y", "x"),
        ("lbgen.header.X-A", "x"),
        ("lbgen.request-header.host", "x"),
    ],
)
def test_refused(label, value):
    """What the parsers refuse and a schema can say is refused by it too."""
    assert not accepted(label, value)
    key = label.removeprefix("lbgen.").removeprefix("LBGEN.")
    if key != "enable" and label.startswith("lbgen."):
        assert parsed({key: value}).problems


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("lbgen.enable", True),
        ("lbgen.enable", "ON"),
        ("lbgen.port", 8080),
        ("lbgen.port", " 080 "),
        ("lbgen.host", "A.org , *.b.org."),
        ("lbgen.path", "/a, /b"),
        ("lbgen.query.Page", "1"),
        ("lbgen.request-header.x-a", ""),
        ("lbgen.header.x-a", "a b,c"),
        ("lbgen.redirect-https", False),
        ("traefik.enable", "whatever"),
        ("com.docker.stack.namespace", "shop"),
    ],
)
def test_let_through(label, value):
    """YAML's numbers and booleans, spaces around values, and labels of other programs."""
    assert accepted(label, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host-header", "pass"),
        ("host-header", "server"),
        ("host-header", "a.org:8080"),
        ("send-proxy", "true"),
        ("send-proxy", "v1"),
        ("cors.origins", "*"),
        ("cors.origins", "http://a.org:8080,https://b.org"),
        ("cors.methods", "*"),
        ("cors.headers", "X-A, *"),
        ("hsts", "true"),
        ("hsts", "max-age=5; preload; includeSubDomains"),
        ("rate-limit", "30/m"),
        ("rate-limit", "500/h"),
        ("max-body", "500"),
        ("max-body", "1G"),
        ("tls", "false"),
        ("tls", "a.org"),
        ("sticky", "source"),
        ("sticky", "cookie"),
        ("redirect", "/new{path}"),
        ("redirect", "https://{host}/?{query}"),
        ("redirect", "https://{host}/?{query}#{uri}"),
        ("client-ip", "2001:db8::1,10.0.0.0/8"),
        ("health-check.status", "204,300-399"),
        ("timeout.idle", "1h"),
        ("timeout.idle", "1500ms"),
        ("timeout.idle", "2m"),
        ("redirect.code", "301"),
        ("header-regex.x-a", "^(a|b),[0-9]{1,3}$"),
        ("nodes", "node.labels.zone == eu, node.role!=manager"),
    ],
)
def test_other_spellings(name, value):
    """What a type can be besides its key's example is read, and accepted."""
    assert not [problem for problem in parsed({name: value}).problems if problem.label == f"lbgen.{name}"]
    assert accepted(f"lbgen.{name}", value)


@pytest.mark.parametrize("field", sorted(KEYS))
@given(data=st.data())
@settings(deadline=None, max_examples=20)
def test_agreement(field, data):
    """Whatever a parser takes, its schema takes: texts at random, and the example with some characters changed."""
    key = KEYS[field]
    start = data.draw(st.integers(0, len(key.sample)))
    end = data.draw(st.integers(start, len(key.sample)))
    patch = data.draw(st.text(alphabet=" ,./:*-_{}aZ09s%;é", max_size=4))
    text = data.draw(st.sampled_from([key.sample[:start] + patch + key.sample[end:], patch]))
    try:
        key.parse(sound(text, may_be_empty=key.may_be_empty))
    except BadValue:
        return
    assert fits({**key.parse.schema, "maxLength": 9999}, text.strip() if key.parse.words else text)


@given(low=st.integers(-300, 2000), more=st.integers(0, 3000), number=st.integers(-1000, 6000))
@settings(deadline=None, max_examples=300)
def test_numbers(low, more, number):
    """The pattern of a range fits its numbers and no others, with zeros before them or without."""
    pattern = numbers(low, low + more)
    expected = low <= number <= low + more
    assert bool(re.fullmatch(pattern, str(number))) is expected
    assert bool(re.fullmatch(pattern, f"{'-' if number < 0 else ''}00{abs(number)}")) is expected


def test_command():
    """`lbgen config schema --labels` prints it; without the flag it is that of the settings."""
    done = run("config", "schema", "--labels")
    assert json.loads(done.output) == SCHEMA
    assert "listeners" in json.loads(run("config", "schema").output)["properties"]
