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
SETTINGS = sorted([*DEPLOY.rglob("*-lbgen.yml"), DEPLOY / "external/lbgen.yml"])
STACKS = sorted(DEPLOY.rglob("*-stack.yml"))
PROJECTS = sorted(DEPLOY.rglob("*-compose.yml"))
UNITS = sorted(DEPLOY.rglob("*.service"))


@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: path.stem)
def test_settings(path):
    """Every settings file is one that lbgen takes, and its template sets and options exist."""
    settings = load_settings(path, {}, {})
    for name, target in settings.targets.items():
        assembly.Assembly(name, target, settings).renderer()


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.stem)
def test_stack_has_its_settings(path):
    """Every stack refers to files that are there, and no service of it has Docker's socket for writing."""
    stack = yaml.safe_load(path.read_text())
    for found in stack["configs"].values():
        assert (path.parent / found["file"]).is_file()
    for service in stack["services"].values():
        assert all(volume.endswith(":ro") for volume in service.get("volumes", ()) if "docker.sock" in volume)


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.stem)
def test_stack_has_what_it_mounts(path):
    """Configs and secrets that services name are declared, and what is declared is used."""
    stack = yaml.safe_load(path.read_text())
    for kind in ("configs", "secrets"):
        named = {each["source"] for service in stack["services"].values() for each in service.get(kind, ())}
        assert named == set(stack.get(kind) or ())


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.stem)
def test_compose_project(path):
    """What it mounts of this directory is there, Docker's socket is for reading, and no process is root."""
    project = yaml.safe_load(path.read_text())
    for service in project["services"].values():
        assert service["user"].startswith("10001:")
        assert all(volume.endswith(":ro") for volume in service["volumes"] if "docker.sock" in volume)
        files = [volume.partition(":")[0] for volume in service["volumes"] if volume.startswith("./")]
        assert all((path.parent / file).is_file() for file in files)
        assert all(volume.startswith(("./", "${", "state:")) for volume in service["volumes"])


def test_hub_is_on_managers_with_ports_of_its_own():
    """A hub is where Docker tells of the whole Swarm, and its port is not behind the ingress mesh."""
    stack = yaml.safe_load((DEPLOY / "fleet/hub-stack.yml").read_text())
    settings = load_settings(DEPLOY / "fleet/hub-lbgen.yml", {}, {})
    service = stack["services"]["hub"]
    assert service["deploy"]["mode"] == "global"
    assert service["deploy"]["placement"]["constraints"] == ["node.role == manager"]
    [port] = service["ports"]
    assert port == {"target": settings.hub.address[1], "published": settings.hub.address[1], "mode": "host"}
    [secret] = service["secrets"]
    assert f"/run/secrets/{secret['target']}" == str(settings.hub.authority)


def test_api_of_traefik():
    """It answers lbgen's network alone, on which no other service is, and no port of it is published."""
    stack = yaml.safe_load((DEPLOY / "traefik-stack.yml").read_text())
    static = yaml.safe_load((DEPLOY / "traefik-static.yml").read_text())
    [router] = yaml.safe_load((DEPLOY / "traefik-api.yml").read_text())["http"]["routers"].values()
    [control] = stack["networks"]["control"]["ipam"]["config"]
    assert "insecure" not in static["api"]
    assert router["rule"] == f"ClientIP(`{control['subnet']}`)"
    assert [static["entryPoints"][name]["address"] for name in router["entryPoints"]] == [":8080"]
    published = {port["target"] for service in stack["services"].values() for port in service.get("ports", ())}
    assert published == {80}
    assert not stack["networks"]["control"].get("attachable")
    assert stack["services"]["lbgen"]["networks"] == ["control"]


@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: path.stem)
def test_status_is_told_to_nobody(path):
    """Where others reach the status port, it answers nothing but health and metrics without a token."""
    status = load_settings(path, {}, {}).status
    assert status.loopback or (status.traefik_token and not status.public)


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
