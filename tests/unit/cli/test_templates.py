"""`lbgen templates`: the sets there are, a copy to begin with, and a set tried on cases."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import Result

from lbgen.render.block_reference import blocks_of
from lbgen.render.templates import builtin_names, find
from lbgen.report.golden import GoldenSuite
from tests.support.command import run
from tests.support.golden_cases import GOLDEN, TRIALS
from tests.support.real_haproxy import BINARY

MINE = "{% extends 'haproxy/haproxy.cfg.j2' %}{% block global_extra %}    tune.bufsize 32768\n{% endblock %}\n"


@pytest.fixture
def author(tmp_path, monkeypatch) -> Path:
    """An author's directory, with a template, a case, and a case with settings; it is the current one."""
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "cases"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine/haproxy.cfg.j2").write_text(MINE)
    for name in ("mesh.yaml", "listeners.yaml", "listeners.settings.yml"):
        shutil.copy(GOLDEN / name, tmp_path / "cases" / name)
    return tmp_path


def tried(*words: object) -> Result:
    """Try the author's set."""
    return run("templates", "try", "mine", "--proxy", "haproxy", "--from", "cases", *words)


# ------------------------------------------------------------------------------------------------ list


def test_list():
    """Every built-in set, its files and their blocks; the same as a document."""
    text = run("templates", "list").output
    assert "traefik (proxy: traefik)\n  dynamic/lbgen.yml (from dynamic/lbgen.yml.j2)\n" in text
    assert "    http_backend_extra      More lines of a backend's section" in text
    sets = {found["name"]: found for found in json.loads(run("templates", "list", "--output", "json").output)["sets"]}
    assert set(sets) == set(builtin_names())
    [nginx] = [found for found in sets["nginx"]["files"] if found["file"] == "nginx.conf"]
    assert (nginx["file"], nginx["template"], nginx["for"]) == ("nginx.conf", "nginx.conf.j2", "")
    assert [block["name"] for block in nginx["blocks"]] == [
        block.name for block in blocks_of(find(["nginx"]), "nginx.conf.j2")
    ]
    assert {"name": "http_server", "has": ["listener", "site"]}.items() <= next(
        block for block in nginx["blocks"] if block["name"] == "http_server"
    ).items()


def test_list_of_directories(author):
    """A set of one's own, with what is behind it, and files for each of many things."""
    (author / "mine/set.yml").write_text("files: {'r/{name}': {template: _r.j2, for: routes}}\n")
    (author / "mine/_r.j2").write_text("{% block one %}{% endblock %}")
    text = run("templates", "list", "mine", "haproxy").output
    assert text.startswith("mine, haproxy (proxy: haproxy)\n")
    assert "  r/{name} (from _r.j2, one for each of the routes)\n    one\n" in text
    assert "  haproxy.cfg (from haproxy.cfg.j2)\n    global_extra\n" in text  # the author's own template
    assert run("templates", "list", "nope").exit_code == 3


# ------------------------------------------------------------------------------------------------ eject


@pytest.mark.parametrize("name", builtin_names())
def test_eject(name, tmp_path):
    """A copy renders to the same bytes, alone and with the built-in set behind it."""
    copy = tmp_path / "new" / "copy"
    result = run("templates", "eject", name, copy)
    assert result.exit_code == 0
    assert sorted(result.output.splitlines()) == sorted(str(path) for path in copy.rglob("*") if path.is_file())
    builtin, _ = TRIALS[name]
    options = {"nginx": {"version": "1.22.1"}, "traefik": {"version": "3.7"}}.get(name)
    for templates in ([str(copy)], [str(copy), name]):
        trial = GoldenSuite(templates, GOLDEN, options=options)
        for case in ("rules", "policies", "tcp-sni", "tls"):
            assert trial.text_of(GOLDEN / f"{case}.yaml") == builtin.text_of(GOLDEN / f"{case}.yaml")


def test_eject_overwrites_nothing(tmp_path):
    """A file that is there stops it before anything is written."""
    (tmp_path / "set.yml").write_text("mine")
    result = run("templates", "eject", "haproxy", tmp_path)
    assert result.exit_code == 2
    assert result.output == f"lbgen: {tmp_path}/set.yml: already exists; choose another directory, or move it away\n"
    assert [path.name for path in tmp_path.iterdir()] == ["set.yml"]


# ------------------------------------------------------------------------------------------------ try


def test_try(author):
    """Without golden files every case fails; --update writes them; then all is well until something differs."""
    first = tried("--no-check")
    assert first.exit_code == 6
    assert "FAIL  mesh\n--- cases/mesh.golden\n+++ rendered/mesh\n@@ -0,0 " in first.output
    assert first.output.endswith("2 cases, 2 failed; --update writes the golden files that differ\n")
    assert not (author / "cases/mesh.golden").exists()
    assert tried("--no-check", "--update").output == "wrote listeners\nwrote mesh\n2 cases, 0 failed\n"
    again = tried("--no-check")
    assert (again.exit_code, again.output) == (0, "ok    listeners\nok    mesh\n2 cases, 0 failed\n")
    golden = (author / "cases/listeners.golden").read_text()
    assert "frontend internal\n    bind 127.0.0.1:9000\n" in golden  # its own settings
    assert "    tune.bufsize 32768\n" in golden
    (author / "mine/haproxy.cfg.j2").write_text(MINE.replace("32768", "65536"))
    changed = tried("--no-check")
    assert changed.exit_code == 6
    assert changed.output.count("\n-    tune.bufsize 32768\n+    tune.bufsize 65536\n") == 2
    assert changed.output.count("\n-") == changed.output.count("\n---") + 2  # the generation is no difference


def test_try_elsewhere(author):
    """Golden files can lie in a directory of their own, and settings be the same for all cases without any."""
    (author / "common.yml").write_text("listeners: {main: {bind: ':8088'}}\n")
    assert tried("--no-check", "--update", "--golden", "expected/v1", "--config", "common.yml").exit_code == 0
    assert "frontend main\n    bind :8088\n" in (author / "expected/v1/mesh.golden").read_text()
    assert "frontend internal\n" in (author / "expected/v1/listeners.golden").read_text()
    assert sorted(path.name for path in (author / "cases").iterdir()) == [
        *("listeners.settings.yml", "listeners.yaml", "mesh.yaml")
    ]


@pytest.mark.proxy(BINARY)
def test_try_checks(author):
    """The proxy's own program is asked; what it refuses is told, and becomes no golden file."""
    assert tried("--update").exit_code == 0
    (author / "mine/haproxy.cfg.j2").write_text(MINE.replace("32768", "nonsense"))
    result = tried("--update")
    assert result.exit_code == 3
    assert "FAIL  mesh\n" in result.output
    assert "'tune.bufsize' expects a positive integer argument" in result.output
    assert "nonsense" not in (author / "cases/mesh.golden").read_text()


def test_try_tells_every_fault(author):
    """A template, facts or settings that are wrong fail their case alone, as long as they are the case's."""
    assert tried("--no-check", "--update").exit_code == 0
    (author / "cases/broken.yml").write_text("version: 1\nservices: [")
    (author / "cases/odd.yml").write_text("version: 1\n")
    (author / "cases/odd.settings.yml").write_text("listenerz: {}\n")
    result = tried("--no-check")
    assert result.exit_code == 2  # the gravest: settings
    assert "FAIL  broken\n" in result.output
    assert "odd.settings.yml:1: listenerz: unknown key" in result.output
    assert "ok    mesh\n" in result.output
    (author / "mine/haproxy.cfg.j2").write_text("{{ nope }}")
    assert "mine/haproxy.cfg.j2:1: 'nope' is undefined" in tried("--no-check").output
    assert tried("--no-check", "--from", "mine").exit_code == 2  # no cases there
    assert run("templates", "try", "nope", "--from", "cases").exit_code == 3


def test_try_for_machines(author):
    """The same as a document, and as JUnit has it."""
    result = tried("--no-check", "--output", "json", "--junit", "junit.xml")
    cases = json.loads(result.output)["cases"]
    assert [(case["case"], case["good"], case["exit_code"]) for case in cases] == [
        ("listeners", False, 6),
        ("mesh", False, 6),
    ]
    assert cases[0]["difference"].startswith("--- cases/listeners.golden\n")
    suite = ElementTree.parse(author / "junit.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "2")
    assert [case.get("name") for case in suite] == ["listeners", "mesh"]
    assert suite[0][0].get("message") == "differs from the golden file"


def test_golden_files_are_those_of_every_machine(author):
    """Certificates count where they lie beside the cases, and are named as the settings name them; no others."""
    (author / "cases/tls.yml").write_bytes((GOLDEN / "tls.yaml").read_bytes())
    (author / "cases/tls.settings.yml").write_text(
        "listeners: {websecure: {bind: ':443', tls: true}}\ncertificates: certs\nusers: /etc\n"
    )
    shutil.copytree(GOLDEN / "certs", author / "cases/certs")
    assert tried("--no-check", "--update").exit_code == 0
    golden = (author / "cases/tls.golden").read_text()
    assert "\ncerts/a.pem " in golden
    assert str(author) not in golden
