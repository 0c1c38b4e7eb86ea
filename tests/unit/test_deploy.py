"""deploy/: what can be said of its files without deploying them; tests/lab deploys them."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
import yaml

from lbgen.daemon import assembly
from lbgen.settings import load_settings
from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"
SETTINGS = sorted([*DEPLOY.glob("*-lbgen.yml"), DEPLOY / "external/lbgen.yml"])
UNITS = sorted((DEPLOY / "external").glob("*.service"))


@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: path.stem)
def test_settings(path):
    """Every settings file is one that lbgen takes, and its template sets and options exist."""
    settings = load_settings(path, {}, {})
    for name, target in settings.targets.items():
        assembly.Assembly(name, target, settings).renderer()


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("*-stack.yml")), ids=lambda path: path.stem)
def test_stack_has_its_settings(path):
    """Every stack refers to files that are there, and no service of it has Docker's socket for writing."""
    stack = yaml.safe_load(path.read_text())
    for found in stack["configs"].values():
        assert (DEPLOY / found["file"]).is_file()
    for service in stack["services"].values():
        assert all(volume.endswith(":ro") for volume in service.get("volumes", ()) if "docker.sock" in volume)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze: apt-get install systemd")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_unit(path, tmp_path):
    """systemd understands every line of the unit."""
    program = tmp_path / "lbgen"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / path.name
    unit.write_text(path.read_text().replace("/opt/lbgen/bin/lbgen", str(program)))
    words = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "SYSTEMD_COLORS": "0"})
    told = [line for line in done.stderr.splitlines() if path.name in line]
    assert told == []
