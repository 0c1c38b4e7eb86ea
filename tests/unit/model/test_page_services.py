"""`lbgen.model.page_services`: which service answers in place of errors."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbgen.model import Builder, build
from lbgen.model.types import Claim
from lbgen.snapshot import STACK
from tests.support.builders import Fact, a_network, a_node, a_rules, a_service, a_snapshot, a_task, modelled

AROUND: list[Fact] = [a_node(), a_network("edge")]


def of(name: str, address: str, labels: dict[str, str]) -> list[Fact]:
    """A service with one task at this address."""
    return [a_service(name, labels=labels, networks=("edge-id",)), a_task(name, addresses={"edge-id": address})]


def asking(url: str = "http://pages/{status}.html", name: str = "web", **labels: str) -> list[Fact]:
    """A service with a page."""
    keys = {"enable": "true", "host": "a.org", "port": "80", "error-pages.503": url}
    return of(name, "10.0.0.1", {**{f"lbgen.{key}": value for key, value in keys.items()}, **labels})


PAGES = of("pages", "10.0.0.2", {"lbgen.enable": "false", "lbgen.port": "8080"})


def places(model, name="web"):
    """Where a service's pages are asked for, by the statuses that they are for."""
    backends = {backend.name: backend for backend in model.backends}
    return {
        page.key: [f"{server.address}:{server.port}" for server in backends[page.backend].servers]
        for page in backends[name].page_services
    }


def test_service():
    """A service's tasks are asked, whether it takes part or not; it gets no route by that."""
    found = modelled(*AROUND, *asking(), *PAGES)
    assert (found.problems, places(found)) == ((), {"503": ["10.0.0.2:8080"]})
    assert [route.name for route in found.routes] == ["web"]
    assert [backend.name for backend in found.backends] == ["pages.pages", "web"]
    assert places(modelled(*AROUND, *asking("http://pages:81/"), *PAGES)) == {"503": ["10.0.0.2:81"]}


def test_files_and_services():
    """No status is in a file's key and in a service's; the more specific key decides."""
    keys = {"lbgen.error-pages.5xx": "sorry.html", "lbgen.error-pages.500-503": "http://pages/wide"}
    (web,) = [each for each in modelled(*AROUND, *asking(**keys), *PAGES).backends if each.name == "web"]
    assert [(page.key, page.statuses) for page in web.page_services] == [("500-503", (500, 501, 502)), ("503", (503,))]
    assert [page.key for page in web.error_pages] == ["5xx"]
    assert not {500, 501, 502, 503} & {*web.error_pages[0].statuses}


def test_stack_goes_first():
    """A name is that of the own stack's service first."""
    mine = asking(name="shop_web", **{STACK: "shop"})
    other = of("shop_pages", "10.0.0.3", {"lbgen.port": "80"})
    assert places(modelled(*AROUND, *mine, *PAGES, *other), "shop_web") == {"503": ["10.0.0.3:80"]}
    assert places(modelled(*AROUND, *mine, *PAGES), "shop_web") == {"503": ["10.0.0.2:8080"]}


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([], "asks service pages for pages: there is no service of this name"),
        (of("pages", "10.0.0.2", {"lbgen.port": "x"}), "asks service pages for pages: its label lbgen.port"),
        ([a_service("pages", mode="replicated-job")], "asks service pages for pages: the service is a replicated-job"),
    ],
)
def test_problems(others, message):
    """What cannot be asked is told with the label, and the route goes on without."""
    found = modelled(*AROUND, *asking(), *others)
    (problem,) = [problem for problem in found.problems if problem.service == "web"]
    assert problem.message.startswith(message)
    assert (problem.label, problem.value) == ("lbgen.error-pages.503", "http://pages/{status}.html")
    assert places(found) == {}
    assert [route.name for route in found.routes if route.service == "web"] == ["web"]


@pytest.mark.parametrize(
    ("claims", "allowed"),
    [
        ((Claim(),), True),
        ((Claim("name==web"), Claim("name==pages")), False),
        ((Claim("name==web"), Claim()), True),
        ((Claim("name==web"), Claim(ports=((80, 80),))), False),
        ((Claim("name==web"), Claim(ports=((80, 8080),))), True),
    ],
)
def test_claims(claims, allowed):
    """Where services have claims, one asks those of its own entries alone, on ports that they allow."""
    found = build(a_snapshot(*AROUND, *asking(), *PAGES), replace(a_rules(), claims=claims))
    assert bool(places(found)) is allowed
    assert [problem.service for problem in found.problems] == ([] if allowed else ["web"])
    assert [backend.name for backend in found.backends if backend.name == "pages.pages"] == ["pages.pages"] * allowed


def test_nothing_new():
    """What did not change is the same object as in the model before; a new task is a new page backend alone."""
    builder = Builder(a_rules())
    before = builder.build(a_snapshot(*AROUND, *asking(), *PAGES)).backends
    again = builder.build(a_snapshot(*AROUND, *asking(), *PAGES)).backends
    assert [one is other for one, other in zip(before, again, strict=True)] == [True, True]
    moved = of("pages", "10.0.0.9", {"lbgen.enable": "false", "lbgen.port": "8080"})
    after = builder.build(a_snapshot(*AROUND, *asking(), *moved))
    assert places(after) == {"503": ["10.0.0.9:8080"]}
    assert after.backends[1] is before[1]
