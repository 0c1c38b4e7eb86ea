"""What is rendered for Traefik: the static file, and what no value can break out of."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.base.errors import TemplateError
from lbgen.labels.match import Test
from lbgen.labels.rule import parser
from lbgen.labels.values.value_type import BadValue
from lbgen.model import build
from lbgen.model.entries import Rule
from lbgen.model.types import Model
from lbgen.proxies.traefik import placeholder_certificate
from lbgen.proxies.traefik.apply import DYNAMIC, STATIC
from lbgen.render import quoting
from lbgen.render.renderer import Renderer
from tests.support.builders import a_listener, a_rules, a_snapshot, app
from tests.support.go_strings import SIGNS, unquoted
from tests.support.real_traefik import rendered, renderer


def documents(made: Renderer, *listeners, facts=()) -> tuple[dict, dict]:
    """The dynamic and the static document."""
    files = rendered(made, listeners or [a_listener()], *facts)
    return yaml.safe_load(files.texts[DYNAMIC]), yaml.safe_load(files.texts[STATIC])


def test_empty():
    """Without any route there is the marker and nothing else; no section is empty, which Traefik would refuse."""
    files = renderer().render(Model(), a_snapshot())
    assert yaml.safe_load(files.texts[DYNAMIC]) == {
        "http": {
            "middlewares": {
                "lbgen.generation": {"headers": {"customResponseHeaders": {"X-Lbgen-Generation": files.generation}}}
            }
        }
    }


def test_once():
    """What belongs to a backend is rendered again when the backend has changed, and only then."""
    made = renderer()
    facts = [*app("a", {"host": "a.org"}, 80, "10.0.0.1"), *app("b", {"host": "b.org"}, 80, "10.0.0.2")]
    snapshot = a_snapshot(*facts)
    model = build(snapshot, a_rules())
    made.render(model, snapshot)
    before = made.produced
    made.render(model, snapshot)
    assert made.produced == before


def test_static_has_no_generation():
    """The static file changes only with what it says: Traefik would have to be started anew."""
    one = rendered(renderer(), [a_listener()], *app("a", {}, 80, "10.0.0.1"))
    other = rendered(renderer(), [a_listener()], *app("a", {}, 80, "10.0.0.2"))
    assert one.texts[STATIC] == other.texts[STATIC]
    assert one.generation not in one.texts[STATIC]


def test_static():
    """Entry points, provider and API are those of the settings."""
    listeners = [a_listener(), a_listener("dns", 53, "udp", address="::1"), a_listener("pg", 5432, "tcp")]
    _, static = documents(renderer("/out", probe="127.0.0.1:9"), *listeners)
    addresses = {name: point["address"] for name, point in static["entryPoints"].items()}
    assert addresses == {"traefik": "127.0.0.1:9", "web": ":80", "dns": "[::1]:53/udp", "pg": ":5432"}
    assert static["providers"] == {
        "providersThrottleDuration": "100ms",
        "file": {"directory": "/out/dynamic", "watch": True},
    }
    _, static = documents(renderer(probe="off", feed="http://x/", access_log=True))
    assert static["providers"]["http"] == {"endpoint": "http://x/", "pollInterval": "20ms", "pollTimeout": "10s"}
    assert ("api" in static, "accessLog" in static) == (False, True)


def test_default_certificate(tmp_path):
    """It is in the document where there is no certificate of somebody's, if it is there and wanted."""
    assert "tls" not in documents(renderer(tmp_path))[0]
    placeholder_certificate.ensure(tmp_path)
    pem = (tmp_path / "default.pem").read_text()
    document, _ = documents(renderer(tmp_path))
    assert document["tls"]["stores"]["default"]["defaultCertificate"] == {"certFile": pem, "keyFile": pem}
    assert "tls" not in documents(renderer(tmp_path, default_certificate=False))[0]
    assert documents(renderer(tmp_path), a_listener(tls=True))[0]["tls"]["stores"] == document["tls"]["stores"]


@pytest.mark.parametrize(
    ("version", "balance", "strategy"),
    [
        ("", "source", None),
        ("3.3", "least-conn", None),
        ("3.4", "least-conn", "p2c"),
        ("3.4", "source", None),
        ("3.6.1", "source", "hrw"),
        ("3.10", "source", "hrw"),
        ("3.7", "round-robin", None),
    ],
)
def test_versions(version, balance, strategy):
    """An older Traefik refuses a document with a key that it does not know, so it is not given any."""
    facts = [
        *app("web", {"balance": balance, "listener": "web"}, 80, "10.0.0.1"),
        *app("db", {"tcp.a.listener": "pg", "health-check": "tcp"}, 80, "10.0.0.2"),
    ]
    document, _ = documents(renderer(version=version), a_listener(), a_listener("pg", 1, "tcp"), facts=facts)
    assert document["http"]["services"]["web"]["loadBalancer"].get("strategy") == strategy
    has_check = "healthCheck" in document["tcp"]["services"]["db.tcp.a"]["loadBalancer"]
    assert has_check is version.startswith(("3.6", "3.7", "3.10"))


def test_names_are_unique():
    """Names of listeners and backends that run into each other, and a backend with several places, keep their own."""
    listeners = [a_listener("a"), a_listener("a-b", 81)]
    facts = [
        *app("b-c", {"listener": "a"}, 80),
        *app("c", {"listener": "a-b"}, 80),
        *app("x", {"listener": "a", "host": "one.org", "path": "/,/a/b,/a/b/c"}, 80),
        *app("y", {"listener": "a", "host": "one.org", "path": "/a"}, 80),
        *app("x-2", {"listener": "a", "host": "z.org"}, 80),
    ]
    files = rendered(renderer(), listeners, *facts)
    names = re.findall(
        r'^    "(.*)":$', files.texts[DYNAMIC].partition("  routers:")[2].partition("  services:")[0], re.M
    )
    assert sorted(names) == ["a-b.c", "a-b.refused:path", "a.b-c", "a.refused:path", "a.x", "a.x-2", "a.x.2", "a.y"]


def test_unknown_kind_of_test():
    """A test that Traefik has no matcher for is an error, not a router that matches everything."""
    odd = a_listener(rules=(Rule((Test("moon", "full"),), "web", 1),))
    with pytest.raises(TemplateError, match="no matcher for a test of kind moon"):
        renderer().render(Model(listeners=(odd,)), a_snapshot())


def test_own_templates(tmp_path):
    """A set of one's own replaces one block and inherits the rest."""
    (tmp_path / "dynamic").mkdir()
    (tmp_path / "dynamic/lbgen.yml.j2").write_text(
        "{% extends 'traefik/dynamic/lbgen.yml.j2' %}{% block http_middlewares_extra %}"
        '    "gzip":\n      compress: {}\n{% endblock %}'
    )
    document, _ = documents(renderer("/out", tmp_path), facts=app("web", {}, 80, "10.0.0.1"))
    assert document["http"]["middlewares"]["gzip"] == {"compress": {}}
    assert "web" in document["http"]["services"]


# ------------------------------------------------------------------------------------------------ hostile values

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=30)
NASTY = st.lists(st.sampled_from(SIGNS), max_size=8).map("".join)


@given(TEXT | NASTY)
@settings(max_examples=300, deadline=None)
def test_quoted_is_inert(text):
    """A quoted value is one YAML string with the very value, and no Go template; quoted twice it is Go's string."""
    quoted = quoting.yaml(text)
    assert yaml.safe_load(f"- {quoted}\n") == [text]
    assert "{" not in quoted
    assert "}" not in quoted
    assert "\n" not in quoted
    assert unquoted(yaml.safe_load(quoting.yaml(quoted))) == text


@pytest.mark.parametrize("text", ["\n", "a\x00b", "\x7f", "\x85", "\ud800"])
def test_control_characters(text):
    """A control character is refused."""
    with pytest.raises(BadValue, match="control character"):
        quoting.yaml(text)


@given(
    st.lists(
        st.tuples(st.sampled_from(["path", "path_prefix", "header", "query", "host_regex"]), TEXT | NASTY),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=150, deadline=None)
def test_rules_cannot_be_broken_out_of(found):
    """Whatever a value is, the rule is one that Traefik reads, and has no more parts than it was given."""
    tests = tuple(Test(kind, f"/p{text}", "x-a" if kind in ("header", "query") else "") for kind, text in found)
    listener = a_listener(rules=(Rule(tests, "web", 1),))
    files = _RENDERER.render(Model(listeners=(listener,)), a_snapshot())
    router = yaml.safe_load(files.texts[DYNAMIC])["http"]["routers"]["web.web"]
    parser.check(router["rule"], "http")
    bare = re.sub(r"`[^`]*`|\"(?:[^\"\\]|\\.)*\"", "_", router["rule"])
    expected = {
        "path": "Path(_)",
        "path_prefix": "(Path(_) || PathPrefix(_))",
        "header": "Header(_, _)",
        "query": "Query(_, _)",
        "host_regex": "HostRegexp(_)",
    }
    assert bare == " && ".join(expected[test.kind] for test in tests)
    assert "{{" not in files.texts[DYNAMIC]


_RENDERER = renderer()
