"""Stack files as people publish them: everything that comes of each is in a golden file, and the proxies take it."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.base import documents
from lbgen.base.errors import SourceError
from lbgen.daemon import assembly
from lbgen.model import build
from lbgen.settings import TargetSettings
from lbgen.source.compose.load import load_stack
from tests.support.compose_cases import CASES, rules_of, settings_of, shown, snapshot_of


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_golden(case: Path) -> None:
    """Notes, problems, and where each route leads."""
    found, golden = shown(case), case.with_suffix(".txt")
    if os.environ.get("UPDATE_GOLDEN") == "1":
        golden.write_text(found)
    assert found == golden.read_text()


def test_golden_files_belong_to_cases() -> None:
    """What lies beside the stack files is one's of them."""
    beside = {path.name.split(".")[0] for path in CASES[0].parent.iterdir()}
    assert beside == {case.stem for case in CASES}
    assert len(CASES) >= 15


@pytest.mark.proxy("haproxy")
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_haproxy_takes_it(case: Path, tmp_path: Path) -> None:
    """HAProxy itself accepts what each becomes."""
    try:
        snapshot = snapshot_of(case)
    except SourceError:
        return
    target = TargetSettings(templates=["haproxy"], output=tmp_path)
    files = (
        assembly.Assembly("edge", target, settings_of(case))
        .renderer()
        .render(build(snapshot, rules_of(case)), snapshot)
    )
    assembly.Assembly("edge", target, settings_of(case)).preview_checker()(files)


JUNK = [
    *(None, True, 0, -1, 3.5, 10**30, 99999, "", "x", "$", "${A}", "80:80", "0-65535", "\x00", "global", "host"),
    *([], {}, ["x"], [1], [None], [["x"]], {"a": 1}, {"a": None}, {"x": {"y": [1]}}, {"labels": {"a": True}}),
]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(CASES),
    st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(JUNK)), min_size=1, max_size=3),
)
def test_anything_is_read_or_refused(case: Path, changes: list[tuple[int, Any]]) -> None:
    """Whatever is put into whatever place of a file: it is read, or refused with a message that names the file."""
    data: Any = documents.parse(case.read_text(), case.name, SourceError)
    for index, junk in changes:
        places = list(places_of(data))
        container, key = places[index % len(places)]
        container[key] = copy.deepcopy(junk)
    said = ""
    try:
        snapshot = load_stack([(case.name, json.dumps(data), data)], "s", {"A": "1"})
        build(snapshot, rules_of(case))
    except SourceError as error:
        said = str(error)
    assert not said or case.name in said


def places_of(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every value within, as its container and key."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from places_of(item)
