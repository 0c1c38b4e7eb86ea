"""What a command loads, reads and parses before it does its work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lbgen.source.file import write_snapshot
from tests.support.builders import a_service, a_snapshot, lbgen_labels
from tests.support.golden_cases import GOLDEN
from tests.support.paths import ROOT

DOCKER = {"docker", "requests", "urllib3", "paramiko"}
WEB = {"starlette", "uvicorn", "prometheus_client"}
MESH = GOLDEN / "mesh.yaml"
SET = ROOT / "templates/haproxy"


def spied(tmp_path: Path, *words: object) -> dict[str, list[str]]:
    """Run a command in a process of its own.

    Returns:
        The modules that it loaded; the files that it opened and compiled, in order; the types of the objects that are
        searched for garbage at its end.
    """
    report = tmp_path / "report.json"
    code = (
        "import gc, json, sys\n"
        "opened, compiled = [], []\n"
        "noted = {'open': (opened, 0), 'compile': (compiled, 1)}\n"
        "def note(event, args):\n"
        "    if event in noted:\n"
        "        noted[event][0].append(str(args[noted[event][1]]))\n"
        "sys.addaudithook(note)\n"
        "from lbgen.cli.main import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    said = {'modules': sorted(sys.modules), 'opened': opened, 'compiled': compiled}\n"
        "    said['searched'] = [type(each).__name__ for each in gc.get_objects()]\n"
        f"    json.dump(said, open({str(report)!r}, 'w'))\n"
    )
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
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
    """To render a file takes neither Docker's client nor the daemon's loop, other proxies, or what runs this one."""
    modules = spied(tmp_path, "render", "--once", "--from", MESH, "--proxy", "haproxy")["modules"]
    assert loaded(modules) & (DOCKER | WEB | {"cryptography", "watchdog"}) == set()
    ours = {module for module in modules if module.startswith(("lbgen.proxies.", "lbgen.daemon.", "lbgen.status."))}
    assert not {module for module in ours if module.startswith(("lbgen.proxies.nginx", "lbgen.proxies.traefik"))}
    assert not ours & {"lbgen.daemon.loop", "lbgen.daemon.target", "lbgen.daemon.live_reload", "lbgen.status.server"}
    assert not ours & {"lbgen.daemon.quarantine", "lbgen.proxies.supervisor", "lbgen.proxies.haproxy.apply"}


@pytest.mark.parametrize(
    ("settings", "labels", "expected"),
    [
        ("{}", {"lbgen.enable": "true"}, set()),
        ("{}", {"traefik.enable": "true", "com.df.notify": "true"}, set()),
        ("discovery: {traefik: {via: mesh}}", {}, {"lbgen.settings.traefik_provider"}),
        ("discovery: {dialects: 'lbgen,traefik'}", {}, {"lbgen.labels.traefik.dialect"}),
        ("discovery: {dialects: 'lbgen,dockerflow'}", {}, {"lbgen.labels.dockerflow.dialect"}),
    ],
)
def test_dialects(tmp_path, settings, labels, expected):
    """A dialect is imported where the settings have it read, what reads Traefik's settings where they say something."""
    (tmp_path / "lbgen.yml").write_text(settings)
    write_snapshot(a_snapshot(a_service("web", labels=labels)), tmp_path / "snapshot.json")
    words = ["render", "--once", "--from", "snapshot.json", "--proxy", "haproxy"]
    modules = set(spied(tmp_path, *words)["modules"])
    where = {"lbgen.settings.traefik_provider", "lbgen.labels.traefik.dialect", "lbgen.labels.dockerflow.dialect"}
    assert modules & where == expected


@pytest.mark.parametrize("key", ["rule", "host"])
def test_rules(tmp_path, key):
    """What reads rules is imported for a rule."""
    labels = lbgen_labels({"port": 80, key: {"rule": "Host(`a.org`)", "host": "a.org"}[key]})
    write_snapshot(a_snapshot(a_service("web", labels=labels)), tmp_path / "snapshot.json")
    words = ["render", "--once", "--from", "snapshot.json", "--proxy", "haproxy"]
    assert ("lbgen.labels.rule.parser" in spied(tmp_path, *words)["modules"]) is (key == "rule")


def test_compose(tmp_path):
    """What reads stack files is imported for a stack file."""
    (tmp_path / "stack.yml").write_text("services: {web: {image: web}}")
    words = ["render", "--once", "--proxy", "haproxy", "--from"]
    loads = "lbgen.source.compose.load"
    assert loads not in spied(tmp_path, *words, MESH)["modules"]
    assert loads in spied(tmp_path, *words, "stack.yml")["modules"]


def test_render_once_reads_once(tmp_path):
    """The chosen set's manifest and templates are read once, and nothing of the other sets."""
    opened = spied(tmp_path, "render", "--once", "--from", MESH, "--proxy", "haproxy")["opened"]
    read = [path for path in opened if path.startswith(str(ROOT / "templates")) and "__pycache__" not in path]
    files = sorted(str(path) for path in SET.rglob("*") if path.suffix == ".j2" or path.name == "set.yml")
    assert sorted(read) == files


def test_render_compiles_once(tmp_path):
    """What one start compiled of the built-in sets, the next one has."""
    words = ["render", "--once", "--from", MESH, "--proxy", "haproxy"]
    spied(tmp_path, *words)
    assert not [name for name in spied(tmp_path, *words)["compiled"] if name.endswith(".j2")]


def test_compiled_by_an_image(tmp_path):
    """A start compiles no template that an image's build has compiled, though layers keep whole seconds of times."""
    for part, where in (("lbgen", "lbgen"), ("templates", "lbgen/templates")):
        shutil.copytree(ROOT / part, tmp_path / where, ignore=shutil.ignore_patterns("__pycache__"))
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    build = [sys.executable, "-m", "lbgen.render.compile_builtin"]
    subprocess.run(build, cwd=tmp_path, env=environ, check=True)
    for path in (tmp_path / "lbgen").rglob("*"):
        os.utime(path, (0, int(path.stat().st_mtime)))
    for proxy in ("haproxy", "nginx", "traefik"):
        compiled = spied(tmp_path, "render", "--once", "--from", MESH, "--proxy", proxy)["compiled"]
        assert not [name for name in compiled if name.endswith(".j2")]


def test_modules_are_no_garbage(tmp_path):
    """The classes and functions that a command was imported with are not searched for garbage, at the exit neither."""
    searched = spied(tmp_path, "render", "--once", "--from", MESH, "--proxy", "haproxy")["searched"]
    assert searched.count("function") < 2000


@pytest.mark.parametrize("command", ["explain", "lint", "render", "run"])
def test_help_of_commands(tmp_path, command):
    """What only a daemon that runs needs is loaded when it runs."""
    heavy = DOCKER | WEB | {"asyncio", "cryptography", "structlog", "watchdog", "websockets"}
    assert loaded(spied(tmp_path, command, "--help")["modules"]) & heavy == set()
