"""Public stacks of tests/real_life/stacks: what lint says of each router, and how many of Traefik's are served.

``UPDATE_GOLDEN=1 pytest tests/unit/report/test_public_stacks.py`` writes tests/real_life/verdicts/lbgen.yml, and the
table in docs/migration.md, anew.
"""

from __future__ import annotations

import os
import re
from collections import Counter

import pytest
import yaml

from lbgen.report.positions import Positions
from tests.support.paths import ROOT
from tests.support.public_stacks import DIRECTORY, STACKS
from tests.support.stack_verdicts import ANSWERS, BEGIN, END, Answer, answers, recorded, share, table

LEAST = 0.95  # of the routers that Traefik serves
README = DIRECTORY.parent / "README.md"
PAGE = ROOT / "docs" / "migration.md"
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"


@pytest.fixture(scope="module")
def answered():
    """What lbgen makes of all stacks."""
    return answers()


def test_answers(answered):
    """Every router of every stack is served, or not served for the reason that is written down."""
    if UPDATE:
        ANSWERS.write_text(yaml.safe_dump(answered, width=10**6, allow_unicode=True))
    assert answered == yaml.safe_load(ANSWERS.read_text())


def test_every_refusal_has_a_reason(answered):
    """What is not served is not left out silently."""
    silent = [(stack, name) for stack, routers in answered.items() for name, told in routers.items() if not told]
    assert silent == []


def test_most_are_served(answered):
    """Of the routers that a real Traefik serves so many are served."""
    served, all_of_them = share(recorded(), answered)
    assert served / all_of_them >= LEAST


def test_the_page_tells(answered):
    """The migration page has the figures, and what is not served by reason."""
    text = PAGE.read_text()
    wanted = f"{BEGIN}\n{table(recorded(), answered)}\n{END}"
    if UPDATE:
        PAGE.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: wanted, text, flags=re.DOTALL))
    assert wanted in PAGE.read_text()


@pytest.mark.parametrize("stack", STACKS[::20], ids=lambda stack: stack.name)
def test_lint_says_it_of_every_proxy(stack):
    """Lint's text names every stack's services that have problems, whatever the proxy."""
    for report in Answer.of(stack).reports.values():
        text = "\n".join(report.lines(Positions([])))
        assert all(problem.whose in text for problem in report.problems)


def test_sources_are_listed():
    """Every file's source is told, no file is told that is not there, and no owner has more than five."""
    rows = re.findall(r"^\| `(\S+)\.yml` \| ([^/|]+)/", README.read_text(), re.MULTILINE)
    assert sorted(name for name, _ in rows) == [stack.name for stack in STACKS]
    assert len(STACKS) >= 200
    assert max(Counter(owner for _, owner in rows).values()) <= 5
