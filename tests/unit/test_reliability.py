"""docs/reliability.md, docs/security.md: every promise names its tests, and these exist."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.faults import CALLBACKS
from tests.support.paths import ROOT
from tests.support.raising import owner


@pytest.mark.parametrize("page", ["reliability", "security"])
def test_named_tests_exist(page: str) -> None:
    """Each line of the tables names a test at least, and each named test is a function of its module."""
    tables = (ROOT / f"docs/{page}.md").read_text().split("| promise | tests |\n")[1:]
    assert tables
    lines = [line for table in tables for line in table.partition("\n\n")[0].splitlines()[1:]]
    for line in lines:
        named = re.findall(r"`(tests/[a-z0-9_/]+\.py)::([a-z0-9_]+)`", line)
        assert named, line
        for file, name in named:
            tree = ast.parse((ROOT / file).read_text())
            assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"


@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks_exist(name: str) -> None:
    """What `make faults` makes raise is still called so."""
    place, attribute = owner(name)
    assert attribute in vars(place)
