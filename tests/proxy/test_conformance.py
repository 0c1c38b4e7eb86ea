"""One set of expectations, every proxy: tests/conformance/*.yml, with real proxies and real traffic.

tests/support/conformance_suite.py says what is in a file. Files of Traefik's labels are also put to a Traefik that
reads the labels itself (tests/support/provider_oracle.py): it has to decide as the file says of the others, or the file
says how it decides, and why.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbgen.model import build
from lbgen.report.limits import limits
from tests.support import provider_oracle
from tests.support.conformance_suite import SUITES, WHO, Case, answering
from tests.support.conformance_traffic import decided, differing, servers
from tests.support.paths import ROOT
from tests.support.real_traefik import BINARY as TRAEFIK
from tests.support.running import PROXIES, changing, ports_of, running

DOCS = ROOT / "docs"
LABELLED = [suite for suite in SUITES if suite.dialect == "traefik"]
STATUSES = tuple("12345")
named = {"ids": lambda suite: suite.name}


def test_the_suite_is_complete():
    """There are enough cases, no question is asked twice, and every service answers some."""
    assert sum(len(suite.cases) for suite in SUITES) >= 200
    for suite in SUITES:
        questions = [case.line.rsplit(" -> ", 1)[0] for case in suite.cases]
        assert len(set(questions)) == len(questions), suite.name
        answers = {case.expected(who) for case in suite.cases for who in WHO}
        answered = {name for answer in answers for name in answering(answer) if not name.startswith(STATUSES)}
        assert answered - {"refused"} <= set(suite.services), suite.name
        assert set(suite.services) - answered - suite.reported == suite.silent - suite.reported, suite.name


@pytest.mark.parametrize("suite", SUITES, **named)
def test_differences_are_documented(suite):
    """What no label asks for, and is not the same, has the heading in the documentation that the case names."""
    for case in suite.cases:
        for who, otherwise in case.exceptions.items():
            page = DOCS / ("migration.md" if who == "original" else "proxies.md")
            if not otherwise.limit:
                assert f"- **{otherwise.reason}.**" in page.read_text(), f"{page.name} does not explain: {case.line}"


@pytest.mark.parametrize("suite", SUITES, **named)
@pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])
def test_conformance(proxy, suite, short_dir):
    """The proxy decides every case as expected, or as the file says it does, which lint or the documentation tells."""
    short_dir.chmod(0o755)  # Nginx's workers read passwords there, on an account of their own
    with servers(suite, short_dir) as ports:
        settings = suite.settings(proxy, short_dir, ports=ports)
        snapshot = suite.snapshot(ports)
        model = build(snapshot, settings.rules())
        reported = {problem.service for problem in model.problems}
        assert reported == suite.reported, model.problems
        with running(settings, snapshot) as listeners:
            assert differing(suite, proxy, listeners) == []
        told = {(limit.service, limit.feature) for limit in limits(model, snapshot, "edge", proxy)}
    assert [case.line for case in suite.cases if untold(case, proxy, told)] == []


@pytest.mark.parametrize(
    ("proxy", "method"),
    [
        pytest.param("haproxy", "runtime-api", marks=pytest.mark.proxy("haproxy")),
        pytest.param("nginx", "reload", marks=pytest.mark.proxy("nginx")),
        pytest.param("traefik", "publish", marks=pytest.mark.proxy("traefik")),
    ],
)
def test_shares_change(proxy, method, short_dir):
    """Equal weights that become others, with a server that joins, are in force as if they had been so at the start."""
    suite = next(suite for suite in SUITES if suite.name == "shares")
    old, new = {"host": "most.example.org", "group": "most"}, {"group": "most"}
    before = replace(suite, services={"most": old, "more": {**new, "tasks": 0}, "rest": new})
    after = replace(suite, services={"most": old, "more": {**new, "weight": 256}, "rest": {**new, "weight": 0}})
    settings = suite.settings(proxy, short_dir)
    with (
        servers(suite, short_dir) as server_ports,
        changing(settings, before.snapshot(server_ports)) as bring_to,
    ):
        ports = ports_of(settings)
        even = Case.of("GET most.example.org/ -> 50 most + 50 rest")
        assert decided(even, before, ports, proxy) == even.answer
        assert bring_to(after.snapshot(server_ports)) == method
        uneven = Case.of("GET most.example.org/ -> 100 most + 256 more")
        assert decided(uneven, after, ports, proxy) == uneven.answer


@pytest.mark.parametrize("balance", ["least-conn", "random"])
@pytest.mark.proxy("traefik")
def test_traefik_goes_by_weights(balance, short_dir):
    """Where Traefik's other strategies know no weights, services of a group have their shares all the same."""
    suite = next(suite for suite in SUITES if suite.name == "shares")
    group = {"group": "most", "balance": balance}
    weights = {
        "most": {"host": "most.example.org", **group},
        "more": {**group, "weight": 256},
        "rest": {**group, "weight": 0},
    }
    weighted = replace(suite, services=weights)
    settings = suite.settings("traefik", short_dir)
    with servers(suite, short_dir) as ports, running(settings, weighted.snapshot(ports)) as listeners:
        case = Case.of("GET most.example.org/ -> 100 most + 256 more")
        assert decided(case, weighted, listeners, "traefik") == case.answer


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    """One Traefik for all files."""
    listeners = {name: kind for suite in LABELLED for name, kind in suite.listeners.items()}
    (default_rule,) = {suite.default_rule for suite in LABELLED} - {""}
    directory = tmp_path_factory.mktemp("oracle") / "traefik"
    described = {name: said for suite in LABELLED for name, said in suite.entry_points.items()}
    provider = {"defaultRule": default_rule}
    with provider_oracle.asking(listeners, directory, entry_points=described, provider=provider) as running_oracle:
        yield running_oracle


@pytest.mark.parametrize("suite", LABELLED, **named)
@pytest.mark.proxy(TRAEFIK)
def test_the_original_decides_the_same(suite, oracle, short_dir):
    """A Traefik that reads the labels with its own Swarm provider decides every case as the file says."""
    with servers(suite, short_dir) as ports:
        oracle.follow(suite.snapshot(ports), suite.file_provider(ports))
        assert differing(suite, "original", oracle.ports) == []


def untold(case: Case, proxy: str, told: set[tuple[str, str]]) -> bool:
    """Tell whether lint keeps silent about what the case says that this proxy cannot do."""
    otherwise = case.exceptions.get(proxy)
    return bool(otherwise and otherwise.limit and otherwise.limit not in told)
