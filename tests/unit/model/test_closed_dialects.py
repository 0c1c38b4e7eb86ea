"""All guards, in all dialects, in all ways in which they cannot be honoured: nothing comes in by them."""

from __future__ import annotations

import re

import pytest

from lbgen.labels.match import Test
from lbgen.model import Listener
from tests.support.builders import a_listener, a_network, a_node, a_rules, a_service, modelled
from tests.support.closed_rows import Row, rows
from tests.support.oracle import Request, holds, look_up

PREFIXES = {
    "lbgen": ("lbgen.", {"enable": "true", "port": "80"}),
    "traefik": ("traefik.", {"http.services.web.loadbalancer.server.port": "80"}),
    "dockerflow": ("com.df.", {"notify": "true", "port": "80"}),
}
ROWS = rows()


def answered(listener: Listener, request: Request) -> str:
    """The backend that a request ends at."""
    backend = look_up(listener, request)
    for screen in listener.screens:
        if backend in screen.backends and all(held(test, request) for test in screen.alternative):
            return screen.backend
    return backend


def held(test: Test, request: Request) -> bool:
    """Evaluate a test of a screen."""
    pattern = test.pattern.replace(r"\z", r"\Z")  # what proxies call the end of a text
    return bool(re.search(pattern, request.path)) if pattern else holds(test, request)


def test_every_guard_is_tried():
    """There are several ways for each of at least this many guards."""
    assert len({(row.dialect, row.guard) for row in ROWS}) >= 25
    assert len(ROWS) >= 150
    assert len({str(row) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_closed(row: Row):
    """What the guard was for is refused, in another spelling too; what is beside it is served."""
    prefix, usual = PREFIXES[row.dialect]
    labels = {prefix + key: value for key, value in (usual | row.written("web")).items()}
    service = a_service("web", labels=labels, networks=("edge-id",))
    rules = a_rules(a_listener(), a_listener("websecure", 443, tls=True), dialects=tuple(PREFIXES))
    model = modelled(service, a_network(), a_node(), rules=rules)
    assert {problem.service for problem in model.problems} == {"web"}
    assert [closed.guarded for closed in model.closed] == [True]
    for listener in model.listeners:
        for path in ("/admin", "/admin/x", "/x/..%2Fadmin"):
            assert answered(listener, Request("web.example.org", path)) == "closed.403", path
        assert not answered(listener, Request("web.example.org", "/x")).startswith("closed.")
