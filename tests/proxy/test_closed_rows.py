"""Guards that cannot be honoured, with real proxies: at least one row of each guard and of each way to lose it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbgen.model import build
from tests.support.closed_rows import Row, rows
from tests.support.conformance_suite import Case, Suite
from tests.support.conformance_traffic import decided, servers
from tests.support.running import PROXIES, running

NOTHING = Suite("closed-rows", {"web": "http"}, {}, frozenset(), frozenset(), [], "lbgen", "")


def sample() -> list[Row]:
    """The first row of each guard, and of each way in each dialect."""
    seen: set[tuple[str, str]] = set()
    chosen = []
    for row in rows():
        told = {(row.dialect, row.guard), (row.dialect, row.way)}
        if not told <= seen:
            chosen.append(row)
            seen |= told
    return chosen


@pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])
def test_closed(proxy, short_dir):
    """What is guarded is refused however it is spelt, and what is beside it is served."""
    services, cases = {}, []
    for number, row in enumerate(sample()):
        name = f"row{number}"
        services[name] = {**row.written(name), "dialect": row.dialect}
        for path, expected in (("/x", name), ("/admin", "403"), ("/admin/x", "403"), ("/x/..%2fadmin", "403")):
            cases.append(Case.of(f"GET {name}.example.org{path} -> {expected}"))
    suite = replace(NOTHING, services=services, cases=cases)
    settings = suite.settings(proxy, short_dir)
    with servers(suite, short_dir) as ports:
        snapshot = suite.snapshot(ports)
        assert {problem.service for problem in build(snapshot, settings.rules()).problems} == set(services)
        with running(settings, snapshot) as listeners:
            found = {case.line: decided(case, suite, listeners, proxy) for case in cases}
    assert {line: answer for line, answer in found.items() if not line.endswith(f"-> {answer}")} == {}
