"""The golden files of the built-in sets: what comes of each case, which the real proxies accept.

``UPDATE_GOLDEN=1 pytest tests/unit/render/test_golden.py`` writes them anew: read the diff.
"""

from __future__ import annotations

import os

import pytest

from lbgen.report.golden import NO_GENERATION
from tests.support import real_haproxy, real_traefik
from tests.support.golden_cases import CASES, GOLDEN, TRIALS

EACH = [(name, case) for name, (_, cases) in TRIALS.items() for case in cases]
PROGRAMS = {"haproxy": real_haproxy.BINARY, "nginx": "nginx", "traefik": real_traefik.BINARY}


def id_of(value: object) -> str:
    """The set's name, or the case's."""
    return str(getattr(value, "stem", value))


@pytest.mark.parametrize(("name", "case"), EACH, ids=id_of)
def test_golden(name, case):
    """The cluster in <case>.yaml renders to exactly the golden file."""
    trial, _ = TRIALS[name]
    verdict = trial.judge(case, update=os.environ.get("UPDATE_GOLDEN") == "1", check=False)
    assert verdict.good, verdict.error or verdict.difference


@pytest.mark.parametrize(
    ("name", "case"),
    [pytest.param(name, case, marks=pytest.mark.proxy(PROGRAMS[name])) for name, case in EACH],
    ids=id_of,
)
def test_golden_is_accepted(name, case):
    """The proxy's own program accepts what is rendered for it."""
    trial, _ = TRIALS[name]
    trial.check(case)


@pytest.mark.parametrize(("name", "case"), EACH, ids=id_of)
def test_one_line_names_the_generation(name, case):
    """The generation, which differs whenever anything does, stands in one line of a target's files."""
    text = TRIALS[name][0].golden_of(case).read_text()
    assert sum(NO_GENERATION in line for line in text.splitlines()) == 1


@pytest.mark.parametrize("name", TRIALS)
def test_golden_is_complete(name):
    """Every golden file has its case, and there are enough of them."""
    trial, cases = TRIALS[name]
    suffix = trial.golden_of(cases[0]).suffix
    assert {path for path in trial.golden.glob(f"*{suffix}") if ".settings" not in path.name} == set(
        map(trial.golden_of, cases)
    )
    assert len(cases) >= 12
    assert {path.name.partition(".")[0] for path in GOLDEN.glob("*.settings.yml")} <= {path.stem for path in CASES}
