"""What a command loads, reads and parses before it does its work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.golden_cases import GOLDEN
from tests.support.paths import ROOT

DOCKER = {"docker", "requests", "urllib3", "paramiko"}
WEB = {"starlette", "uvicorn", "prometheus_client"}
MESH = GOLDEN / "mesh.yaml"
SET = ROOT / "templates/haproxy"

# Runs a command and prints the modules it loaded, the files it opened, and how often each text was parsed as YAML.
SPY = """
import collections, json, sys
import yaml
opened, parsed = collections.Counter(), collections.Counter()
sys.addaudithook(lambda event, args: opened.update([str(args[0])]) if event == "open" else None)
sys.argv[:] = ["lbgen", *sys.argv[2:]] if sys.argv[1] == "loaded" else sys.argv
"""


def spied(tmp_path: Path, *words: object) -> dict[str, list[str]]:
    """Run a command in a process of its own; return the modules it loaded and the files it opened, in order."""
    report = tmp_path / "report.json"
    code = (
        "import json, sys\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        "from lbgen.cli.main import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        f"    json.dump({{'modules': sorted(sys.modules), 'opened': opened}}, open({str(report)!r}, 'w'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(report.read_text())


def loaded(modules: list[str]) -> set[str]:
    """The packages that modules are of."""
    return {module.partition(".")[0] for module in modules}


@pytest.mark.parametrize("words", [["version"], ["--help"]])
def test_light(tmp_path, words):
    """The version and the help need nothing but click."""
    heavy = DOCKER | WEB | {"cryptography", "jinja2", "pydantic", "yaml", "structlog", "watchdog"}
    assert loaded(spied(tmp_path, *words)["modules"]) & heavy == set()


def test_render_once(tmp_path):
    """To render a file takes neither Docker's client, nor the daemon's loop, nor other proxies."""
    modules = spied(tmp_path, "render", "--once", "--from", MESH, "--proxy", "haproxy")["modules"]
    assert loaded(modules) & (DOCKER | WEB | {"cryptography", "watchdog"}) == set()
    ours = {module for module in modules if module.startswith(("lbgen.proxies.", "lbgen.daemon.", "lbgen.status."))}
    assert not {module for module in ours if module.startswith(("lbgen.proxies.nginx", "lbgen.proxies.traefik"))}
    assert not ours & {"lbgen.daemon.loop", "lbgen.daemon.target", "lbgen.daemon.live_reload", "lbgen.status.server"}


def test_render_once_reads_once(tmp_path):
    """The chosen set's manifest and templates are read once, and nothing of the other sets."""
    opened = spied(tmp_path, "render", "--once", "--from", MESH, "--proxy", "haproxy")["opened"]
    read = [path for path in opened if path.startswith(str(ROOT / "templates"))]
    files = sorted(str(path) for path in SET.rglob("*") if path.suffix == ".j2" or path.name == "set.yml")
    assert sorted(read) == files
