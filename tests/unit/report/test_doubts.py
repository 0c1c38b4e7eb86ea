"""Notes where a mistake is likely: they never fail without --strict."""

from __future__ import annotations

import pytest

from lbgen.labels.context import LabelContext
from lbgen.labels.other_labels import PROGRAMS, program_of
from lbgen.report.doubts import doubts
from lbgen.report.lint import Report
from tests.support.builders import a_service, a_snapshot, ingress
from tests.support.paths import ROOT

TRAEFIK = {"traefik.http.routers.web.rule": "Host(`a.org`)"}
DOCKERFLOW = {"com.df.notify": "true", "com.df.serviceDomainAlgo": "hdr(host)", "com.df.serviceDomain": "a.org"}
PORT = "traefik.http.services.web.loadbalancer.server.port"


def told(labels, ports=()):
    """What is told of a service with these labels, in all dialects."""
    service = a_service("web", labels={"lbgen.enable": "true", **labels}, ports=ports)
    context = LabelContext(("lbgen", "traefik", "dockerflow"), expose_by_default=True)
    return list(doubts(a_snapshot(service), context))


@pytest.mark.parametrize(
    ("labels", "label"),
    [
        ({"lbgen.port": "8080", "lbgen.via": "task"}, "lbgen.port"),
        ({**TRAEFIK, "lbgen.host": "a.org", PORT: "8080"}, PORT),
        ({**DOCKERFLOW, "lbgen.host": "a.org", "com.df.port": "8080"}, "com.df.port"),
    ],
)
def test_published_port_for_the_applications_own(labels, label):
    """A port label with a number that the service publishes for another port."""
    (doubt,) = told(labels, (ingress(80, 8080),))
    assert (doubt.label, doubt.value) == (label, "8080")
    assert doubt.message == "is a published port, which leads to port 80 of the application"
    assert doubt.remedy == "write 80, unless it listens on 8080 as well"


@pytest.mark.parametrize("ports", [(), (ingress(8080, 8080),), (ingress(80, 8080), ingress(8080, 9000))])
def test_port_that_may_be_meant(ports):
    """One that is not published, or that is a target as well, is nothing to look at."""
    assert told({"lbgen.port": "8080", "lbgen.via": "task"}, ports) == []


def test_a_published_port_that_is_a_problem():
    """Where a published port is asked for, the mistake is a problem, and is not told twice."""
    assert told({"lbgen.port": "8080"}, (ingress(80, 8080),)) == []


@pytest.mark.parametrize(
    ("labels", "label", "written"),
    [
        ({"lbgen.path": "/x/*"}, "lbgen.path", "/x"),
        ({"lbgen.path": "/a,/x*"}, "lbgen.path", "/x"),
        ({"lbgen.path-exact": "/x/*"}, "lbgen.path-exact", "/x"),
        ({"lbgen.rule": "PathPrefix(`/x/*`)"}, "lbgen.rule", "/x"),
        ({**TRAEFIK, "traefik.http.routers.web.rule": "Path(`/x/*`)"}, "traefik.http.routers.web.rule", "/x"),
        ({**DOCKERFLOW, "com.df.servicePath": "/x/*"}, "com.df.servicePath", "/x"),
    ],
)
def test_star_in_a_path(labels, label, written):
    """A star in a path is no wildcard there."""
    (doubt,) = told(labels)
    assert doubt.label == label
    assert "which stands for itself alone" in doubt.message
    assert doubt.remedy.startswith(f"write {written},")


@pytest.mark.parametrize("path", ["/x", "/", "/a*b", "/*"])
def test_paths_without_a_doubt(path):
    """Other paths are as they are."""
    assert [doubt for doubt in told({"lbgen.path": path}) if path != "/*"] == []


@pytest.mark.parametrize(
    ("label", "program"),
    [
        ("caddy", "caddy-docker-proxy"),
        ("caddy.reverse_proxy", "caddy-docker-proxy"),
        ("caddy_1.respond", "caddy-docker-proxy"),
        ("caddy_ingress_network", "caddy-docker-proxy"),
        ("easyhaproxy.http.host", "EasyHAProxy"),
        ("com.docker.lb.hosts", "Interlock (Docker Enterprise)"),
        ("VIRTUAL_HOST", "nginx-proxy"),
        ("com.docker.stack.namespace", ""),
        ("swarm.cronjob.enable", ""),
        ("caddyshack.x", ""),
    ],
)
def test_program(label, program):
    """Which program a label is for, by what it begins with."""
    assert program_of(label) == program


def test_labels_of_another_program():
    """They are told once for each program, with the section that has lbgen's words."""
    labels = {"caddy": "a.org", "caddy.reverse_proxy": "{{upstreams 80}}", "com.docker.lb.port": "80"}
    first, second = told(labels)
    assert (first.label, second.label) == ("caddy", "com.docker.lb.port")
    assert first.message == "is a label of caddy-docker-proxy, like 1 more, which lbgen does not read"
    assert first.remedy == "docs/migration.md#caddy-docker-proxy has the keys to write"


def test_sections_of_the_docs():
    """The sections that messages name are there."""
    text = (ROOT / "docs" / "migration.md").read_text()
    for _, section in PROGRAMS.values():
        assert f'<a id="{section}"></a>' in text


def test_strict():
    """A doubt fails with --strict alone."""
    report = Report((), (), doubts=tuple(told({"lbgen.path": "/x/*"})))
    assert not report.failing(strict=False)
    assert report.failing(strict=True)
    assert "1 thing that is probably a mistake" in report.summary


def test_containers_that_differ():
    """On hosts, of labels that are read: the newest container's count, and one that has others is named."""
    service = a_service("web", labels={"lbgen.host": "a.org"}, unlike={"lbgen.basic-auth": "c1 on a", "x": "c1 on a"})
    (doubt,) = doubts(a_snapshot(service), LabelContext(("lbgen",)))
    assert str(doubt).startswith(
        "service web, label lbgen.basic-auth: is not the same at container c1 on a; those of the newest count"
    )
    assert list(doubts(a_snapshot(a_service("web", unlike={"x": "c1 on a"})), LabelContext(("lbgen",)))) == []
