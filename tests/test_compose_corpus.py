"""Stack files as people publish them: everything that comes of each is in a golden file, and the proxies take it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lbgen import config, wiring
from lbgen.errors import SourceError
from lbgen.model import build
from lbgen.render import Files
from tests.compose_cases import CASES, rules_of, settings_of, shown, snapshot_of


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


def rendered(case: Path, proxy: str, output: Path) -> Files | None:
    """The case's files, or None where the stack is refused."""
    try:
        snapshot = snapshot_of(case)
    except SourceError:
        return None
    target = config.Target(templates=[proxy], output=output)
    return wiring.renderer_of("edge", target, settings_of(case)).render(build(snapshot, rules_of(case)), snapshot)


@pytest.mark.parametrize("proxy", ["nginx", "traefik"])
def test_rendered(tmp_path: Path, proxy: str) -> None:
    """Templates have something to say of each."""
    assert all(files is None or files.texts for files in (rendered(case, proxy, tmp_path) for case in CASES))


@pytest.mark.proxy("haproxy")
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_haproxy_takes_it(case: Path, tmp_path: Path) -> None:
    """HAProxy itself accepts what each becomes."""
    files = rendered(case, "haproxy", tmp_path)
    if files is not None:
        wiring.checker_of("edge", config.Target(templates=["haproxy"], output=tmp_path), settings_of(case))(files)
