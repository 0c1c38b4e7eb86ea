"""What a built-in set has no words for fails the rendering: what it wrote nothing for would hold for every request."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from lbgen.base.errors import TemplateError
from lbgen.labels.match import Test
from lbgen.model.entries import Rule
from lbgen.model.policy import Concurrency, Policy
from lbgen.model.types import Backend, HealthCheck, Model, Redirect
from lbgen.render.context import TargetContext
from lbgen.render.renderer import Renderer
from lbgen.render.templates import find
from lbgen.settings import settings
from tests.support.builders import a_listener, a_node, a_service, a_snapshot, a_task, ingress, modelled

SETS = ["haproxy", "nginx", "traefik"]
FACTS = [a_node(), a_service("web", ports=(ingress(),)), a_task()]
CHECK = HealthCheck("http", 2.0, 1.0, 2, 2)


def render(proxy: str, model: Model) -> None:
    """Render a model by a built-in set, for a proxy that knows the most."""
    templates = find([proxy])
    context = TargetContext("edge", "/o", templates.options({}), (9, 9, 9), ("stream",), "/o/s", probe="127.0.0.1:1")
    Renderer(templates, context, settings.Settings()).render(model, a_snapshot(*FACTS))


def with_rule(test: Test) -> Model:
    """A cluster with one rule of one test."""
    model = modelled(*FACTS)
    return replace(model, listeners=(replace(model.listeners[0], rules=(Rule((test,), "web", 1),)),))


def with_backend(change: Callable[[Backend], Backend]) -> Model:
    """A cluster whose one backend is another."""
    model = modelled(*FACTS)
    return replace(model, backends=tuple(map(change, model.backends)))


def counted_by(by: str) -> Model:
    return with_backend(lambda backend: replace(backend, policy=Policy(concurrency=Concurrency(5, by))))


def redirected(*parts: tuple[str, str]) -> Model:
    return with_backend(lambda backend: replace(backend, redirect=Redirect(302, parts), servers=()))


@pytest.mark.parametrize("proxy", SETS)
@pytest.mark.parametrize("negated", [False, True])
def test_unknown_kind_of_test(proxy, negated):
    """A test that a set has no words for is an error with its place, not a rule that holds for every request."""
    with pytest.raises(TemplateError, match=r"^\S+/_\w+\.j2:\d+: \w+ has no \w+ for a test of kind moon\n"):
        render(proxy, with_rule(Test("moon", "full", negated=negated)))


@pytest.mark.parametrize("proxy", SETS)
@pytest.mark.parametrize(
    "kind",
    re.findall(r"^    (\w+) +[a-z]", (Test.__doc__ or "").partition("sni ")[0], re.M),
)
def test_known_kinds_of_tests(proxy, kind):
    """Every kind that a rule of HTTP can have is one that each set has words for."""
    value = {"client_ip": "192.0.2.0/24", "method": "GET", "scheme": "http"}.get(
        kind, "/a" if kind.startswith("path") else "a"
    )
    render(proxy, with_rule(Test(kind, value, "x")))


@pytest.mark.parametrize("proxy", SETS)
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (with_backend(lambda backend: replace(backend, balance="maglev")), "for balance maglev"),
        (counted_by("moon"), "cannot count requests by moon"),
        (redirected(("text", "https://"), ("moon", "")), "a redirect has no part moon"),
        (replace(modelled(*FACTS), listeners=(a_listener(protocol="quic"),)), "no section for protocol quic"),
    ],
)
def test_unknown_word(proxy, model, message):
    """So are algorithms, what is counted by, parts of redirects and protocols that nobody has written a line for."""
    with pytest.raises(TemplateError, match=message):
        render(proxy, model)


@pytest.mark.parametrize("proxy", ["haproxy", "traefik"])
def test_unknown_health_check(proxy):
    """So are kinds of health checks; Nginx asks nobody, whatever the kind."""
    check = replace(CHECK, kind="moon")
    with pytest.raises(TemplateError, match="has no health check of kind moon"):
        render(proxy, with_backend(lambda backend: replace(backend, health_check=check)))


def test_unknown_scheme():
    """HAProxy would speak HTTP to servers of a scheme that its set does not know; the other sets write the scheme."""
    with pytest.raises(TemplateError, match="no words for servers of scheme moon"):
        render("haproxy", with_backend(lambda backend: replace(backend, scheme="moon")))


@pytest.mark.parametrize("proxy", SETS)
@pytest.mark.parametrize(
    "model",
    [
        *(with_backend(lambda backend, algorithm=algorithm: replace(backend, balance=algorithm))
          for algorithm in ("round-robin", "least-conn", "source", "random")),
        *(with_backend(lambda backend, kind=kind: replace(backend, health_check=replace(CHECK, kind=kind)))
          for kind in ("http", "tcp")),
        *(with_backend(lambda backend, scheme=scheme: replace(backend, scheme=scheme))
          for scheme in ("http", "https", "h2c")),
        *map(counted_by, ("client", "host")),
        redirected(("text", "https://"), ("host", ""), ("path", ""), ("query", "")),
        *(replace(modelled(*FACTS), listeners=(a_listener(protocol=protocol),)) for protocol in ("http", "tcp", "udp")),
    ],
)  # fmt: skip
def test_known_words(proxy, model):
    """Everything that the model can say is rendered."""
    render(proxy, model)
