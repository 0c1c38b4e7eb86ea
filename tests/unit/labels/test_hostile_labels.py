"""Hostile labels, before any proxy sees them: what is said of them, what they cost, and that all keys take part."""

from __future__ import annotations

import cProfile
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict

import pytest
from hypothesis import given, settings

from lbgen.labels.keys.table import KEYS, PREFIX
from lbgen.model import build
from lbgen.model.limits import TESTS
from lbgen.proxies.capabilities import PROXIES
from lbgen.report import limits, lint
from lbgen.report.positions import Positions
from lbgen.report.reach import routed_services
from lbgen.report.unread import unread_labels
from lbgen.snapshot import Snapshot
from tests.support import hostile
from tests.support.builders import a_network, a_node, a_service, a_snapshot, a_task, ingress
from tests.support.hostile import cluster, every_sign, example, variants

RULES = hostile.rules()
SECRET = "s3cr3t-of-ours"


def test_every_key_takes_part():
    """Each key of the table is drawn for its protocols, and stands among the services of the sweep with every sign."""
    assert {field for fields in hostile.FIELDS.values() for field in fields} == {*KEYS}
    swept = {label for labels in every_sign() for label in labels}
    for field in KEYS:
        name, value = example(field)
        assert hostile.taken(field, value), field
        assert {f"{PREFIX}{name}", f"{PREFIX}tcp.x.{name}", f"{PREFIX}udp.x.{name}"} & swept, field


def test_signs_get_through():
    """What may have any sign has many of them: the strategies are not harmless by mistake."""
    for field in (
        "path",
        "path_exact",
        "header",
        "query",
        "rule",
        "replace_path",
        "request_header",
        "health_check_path",
    ):
        assert {"'", '"', ";", "{", "$", "\\"} <= {sign for sign in variants(field) if len(sign) == 1}, field


# ------------------------------------------------------------------------------------------------ what is said


def said(snapshot: Snapshot) -> Iterator[str]:
    """Everything that lint, the log and the status API say about a cluster."""
    model = build(snapshot, RULES)
    found = [limit for proxy in PROXIES for limit in limits.limits(model, snapshot, "edge", proxy)]
    unread = tuple(unread_labels(snapshot, RULES.label_context()))
    routed = routed_services(model, [listener.name for listener in model.listeners])
    report = lint.Report(model.problems, tuple(found), unread, routed=len(routed))
    yield from report.lines(Positions([]))
    yield from (text for each in (*found, *model.problems) for text in asdict(each).values() if isinstance(text, str))
    yield json.dumps(report.document(Positions([])), ensure_ascii=False)


@given(hostile.clusters())
@settings(deadline=None, max_examples=40)
def test_problems_are_printable(snapshot):
    """Whatever the labels are, nothing that is said of them has a control character in it, or goes on for pages."""
    for text in said(snapshot):
        assert text.isprintable(), text
        assert len(text) < 1000 or text.startswith("{"), text


@pytest.mark.parametrize(
    "facts",
    [
        [a_service("a\nb"), a_service("a\nb", id="other-id")],
        [a_node("no\nde", address="0.0.0.0"), a_service("web", ports=(ingress(),)), a_task("web", node="no\nde")],
        [
            a_node("no\nde", labels={"lbgen.address": "\x1b"}),
            a_service("web", ports=(ingress(),)),
            a_task("web", node="no\nde"),
        ],
        [a_network("ed\nge"), a_network("x"), a_service("web", {"port": 80}, networks=("ed\nge-id", "x-id"))],
        [a_network("ed\nge"), a_service("web", {"port": 80, "network": "x"}, networks=("ed\nge-id",))],
        [a_network("ed\nge"), a_service("web", {"port": 80, "via": "vip"}, networks=("ed\nge-id",))],
        [
            a_service(
                "web",
                labels={"traefik.enable": "1", "traefik.http.routers.a.x\nY": "", "traefik.http.routers.a.x\ny": ""},
            )
        ],
        [a_service("web", {"port": 80, "nodes": "x" * 4000})],
        [a_service("web", {"port": 80, "via": "vip", "path": "/" + "x" * 4000}) for _ in range(2)],
    ],
)
def test_names_are_printable(facts):
    """Names of all that there is are said without control characters, and in a few words, as labels are."""
    found = [*said(a_snapshot(*facts))]
    assert any(text.startswith("  problem: ") for text in found), found
    assert all(text.isprintable() for text in found), found
    assert all(len(text) < 1000 for text in found[:-1]), found


@pytest.mark.parametrize(
    "labels",
    [
        {"lbgen.basic-auth": f"admin:{SECRET}"},
        {"lbgen.basic-auth.users": f"admin:{SECRET}"},
        {"lbgen.basic_auth": f"admin:{SECRET}"},
        {"lbgen.request-header.authorization": f"Basic {SECRET}\x7f"},
        {"lbgen.request-header.x-a": f"Bearer {SECRET}\x7f"},
        {"lbgen.http.a b.request-header.x-api-key": SECRET},
        {"lbgen.tls": f"-----BEGIN PRIVATE KEY-----\n{SECRET}"},
        {"lbgen.client-ca": f"-----BEGIN CERTIFICATE-----\n{SECRET}"},
        {"lbgen.users": f"admin:$2y$05${SECRET}"},
        {"lbgen.kennwort": f"admin:$apr1${SECRET}"},
        {"traefik.http.routers.a.middlewares": "m", "traefik.http.middlewares.m.basicauth.users": f"admin:{SECRET}"},
        {"traefik.http.middlewares.my m.basicauth.users": f"admin:{SECRET}"},
        {"traefik.http.middlewares.m.basicauth.users": SECRET, "traefik.http.middlewares.m.basicAuth.users": SECRET},
        {"traefik.http.middlewares.m.plugin.x.apikey": SECRET, "traefik.http.routers.a.middlewares": "m"},
        {"traefik.http.services.a.loadbalancer.healthcheck.headers.Authorization": f"Basic {SECRET}"},
        {"com.df.users": f"admin:{SECRET}"},
        {"com.df.userz": f"admin:$2y${SECRET}"},
        {"com.df.serviceCert": f"-----BEGIN PRIVATE KEY-----\\n{SECRET}"},
        {"com.df.setReqHeader": f"Authorization Basic {SECRET} if x"},
    ],
)
def test_secrets_are_kept(labels):
    """What may be a secret, or was written where one does not belong, is told of without its value."""
    switches = {"traefik.enable": "true", "com.df.notify": "true"}
    found = [*said(cluster([("", {**switches, **labels})]))]
    assert any(text.startswith("  problem: ") for text in found), found
    assert not [text for text in found if SECRET in text]


def test_secrets_of_conflicts():
    """Nor is the value shown where two services want the same requests."""
    labels = {"lbgen.header.authorization": f"Basic {SECRET}", "lbgen.port": "8080"}
    found = [*said(cluster([("", labels), ("", labels)]))]
    assert any("already" in text for text in found)
    assert not [text for text in found if SECRET in text]


# ------------------------------------------------------------------------------------------------ what it costs


def many(count: int) -> Mapping[str, dict[str, str]]:
    """So many labels of one service, as they might be meant to take long."""
    half = count // 2
    return {
        "unknown": {f"lbgen.x{number}": "x" for number in range(count)},
        "near": {f"lbgen.health-check.intervall{number}": "x" for number in range(count)},
        "tests": {f"lbgen.header.x-{number}": "x" for number in range(count)},
        "routes": {f"lbgen.http.r{number}.host": f"h{number}.org" for number in range(count)},
        "broken routes": {
            **{f"lbgen.x{number}": "x" for number in range(half)},
            **{f"lbgen.http.r{number}.host": f"h{number}.org" for number in range(half)},
        },
        "inherited": {
            "lbgen.path": ",".join(f"/{number}" for number in range(half)),
            **{f"lbgen.http.r{number}.host": f"h{number}.org" for number in range(half)},
        },
        "routers": {f"traefik.http.routers.r{number}.rule": f"Host(`h{number}.org`)" for number in range(count)},
        "middlewares": {f"traefik.http.middlewares.m{number}.addprefix.prefix": "/x" for number in range(count)},
        "parameters": {f"com.df.x{number}": "x" for number in range(count)},
    }


def work(labels: Mapping[str, str]) -> int:
    """How many functions are called for a cluster with one such service: a measure that is the same everywhere."""
    snapshot = cluster([("", {"traefik.enable": "true", "com.df.notify": "true", **labels})])
    profile = cProfile.Profile()
    profile.runcall(build, snapshot, RULES)
    return sum(entry.callcount for entry in profile.getstats())


@pytest.mark.parametrize("shape", many(1))
def test_work_grows_with_the_labels(shape):
    """Four times as many labels are four times the work, not sixteen times."""
    few, more = work(many(50)[shape]), work(many(200)[shape])
    assert more < 6 * few


@pytest.mark.parametrize("shape", many(1))
def test_too_many_labels(shape):
    """Ten thousand labels are one problem of their service, found by counting them."""
    labels = many(10_000)[shape]
    if shape == "inherited":
        labels |= {f"lbgen.http.r{number}.port": "80" for number in range(5000)}
    model = build(cluster([("", labels), ("", {"lbgen.port": "8080"})]), RULES)
    (problem,) = model.problems
    assert (problem.service, problem.message.partition(" labels")[0]) == ("web0", f"has {len(labels) + 1}")
    assert [route.service for route in model.routes] == ["Web0"]
    assert work(labels) < 10 * len(labels)


@pytest.mark.parametrize(
    "labels",
    [
        {f"lbgen.header.x-{number}": "a" * 4096 for number in range(100)},
        {f"lbgen.{'x' * 70_000}": ""},
        {f"lbgen.header-regex.x-{number}": "(a+)+$" * 600 for number in range(100)},
    ],
    ids=["values", "label", "expressions"],
)
def test_too_much_text(labels):
    """Nor is a service's text read if there is too much of it."""
    assert work(labels) < 1000 + 10 * len(labels)


def test_routes_that_multiply_out():
    """What a short label gives to a hundred named routes is counted, and the rest of the routes told of."""
    paths = ",".join(f"/{number}" for number in range(700))
    named = {f"lbgen.http.r{number}.host": f"h{number}.org" for number in range(100)}
    model = build(cluster([("", {"lbgen.path": paths, "lbgen.port": "8080", **named})]), RULES)
    assert len(model.routes) == TESTS // 1400
    assert len(model.routes) + len(model.problems) == 100
    (message,) = {problem.message for problem in model.problems}
    assert "multiply out to 4,200 tests, and 4,096 are allowed" in message


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(.*)*x", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$"])
@pytest.mark.parametrize("key", ["path-regex", "header-regex.x-a"])
def test_catastrophic_expressions(key, pattern):
    """An expression that a request could keep a proxy busy with is refused, and the other route is kept."""
    labels = {f"lbgen.http.a.{key}": pattern, "lbgen.http.b.path": "/b", "lbgen.port": "8080"}
    model = build(cluster([("", labels)]), RULES)
    assert [route.name for route in model.routes] == ["web0.http.b"]
    assert [problem.route for problem in model.problems] == ["a"]


def test_intricate_expressions():
    """Expressions that take long to judge share one budget in each service; the next service has its own."""
    intricate = ",".join(f"^((.{{16}}){{1{number % 7}}}){{3}}x{number}" for number in range(150))
    labels = {f"lbgen.http.r{number}.path-regex": intricate for number in range(14)}
    assert work(labels) < 10_000_000  # 3 million it is; each route for itself would take 35 million
    alone = {"lbgen.path-regex": "^((.{16}){10}){3}", "lbgen.port": "80"}
    model = build(cluster([("", labels), ("", alone)]), RULES)
    assert {problem.service for problem in model.problems} == {"web0"}
    assert sum("too many intricate expressions" in problem.message for problem in model.problems) == 13
    assert "Web0" in [route.service for route in model.routes]
