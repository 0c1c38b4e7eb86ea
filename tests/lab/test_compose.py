"""What lbgen makes of a stack file is what it makes of the Swarm after `docker stack deploy` of that file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lbgen.daemon import assembly
from lbgen.model import Model, build
from lbgen.settings import Settings, TargetSettings
from lbgen.snapshot import Snapshot
from lbgen.source import file
from lbgen.source.engine.source import EngineSource
from tests.lab.engine import docker_cli
from tests.lab.services import Lab
from tests.support.stacks import comparable

SETTINGS = Settings.model_validate(
    {
        "listeners": {
            "web": {"bind": ":80"},
            "db": {"bind": ":5432", "protocol": "tcp"},
            "gelf": {"bind": ":12201", "protocol": "udp"},
        },
        "default_listeners": ["web"],
        "discovery": {"dialects": ["lbgen", "traefik"], "networks": ["shop_front", "edge"]},
    }
)
BASE = """
version: "3.7"
x-app: &app
  image: ${APP_IMAGE:?the lab's application}
  stop_grace_period: 1s
services:
  mesh:
    <<: *app
    ports: ["18081:8080"]
    deploy:
      replicas: 3
      labels: ["lbgen.enable=true", "lbgen.host=mesh.${DOMAIN-example.org}"]
  chosen:
    <<: *app
    ports: [8080, "${UDP_PORT}:9000/udp"]
    deploy:
      labels:
        - lbgen.enable=true
        - lbgen.http.web.host=chosen.example.org
        - lbgen.http.web.port=8080
        - lbgen.http.web.mesh-nodes=all
        - lbgen.udp.gelf.listener=gelf
        - lbgen.udp.gelf.port=9000
  task:
    <<: *app
    networks:
      front: {aliases: [task.internal]}
      back:
    deploy:
      replicas: 2
      endpoint_mode: dnsrr
      labels:
        lbgen.enable: "true"
        lbgen.host: task.example.org
        lbgen.path: /api
        lbgen.port: 8080
        lbgen.response-header.x-price: "$$1"
  outer:
    <<: *app
    networks: [edge]
    deploy:
      replicas: 2
      labels: {lbgen.enable: "true", lbgen.host: outer.example.org, lbgen.port: 8080, lbgen.via: vip}
  every:
    <<: *app
    ports: [{target: 8080, published: 18082, mode: host}]
    deploy:
      mode: global
      labels: {lbgen.enable: "true", lbgen.host: every.example.org}
  managers:
    <<: *app
    ports: [{target: 8080, mode: host}]
    deploy:
      mode: global
      placement: {constraints: [node.role == manager]}
      labels: {lbgen.enable: "true", lbgen.host: managers.example.org}
  workers:
    <<: *app
    ports: [{target: 8080, published: 18083, mode: host}]
    deploy:
      replicas: 2
      placement: {constraints: [node.role != manager]}
      labels: {lbgen.enable: "true", lbgen.tcp.db.listener: db, lbgen.tcp.db.port: 8080}
  none:
    <<: *app
    networks: [front]
    deploy:
      replicas: 0
      labels: {lbgen.enable: "true", lbgen.host: none.example.org, lbgen.port: 8080}
  traefik:
    <<: *app
    networks: [front, back]
    deploy:
      labels:
        - traefik.enable=true
        - traefik.http.routers.t.rule=Host(`traefik.example.org`) && PathPrefix(`/t`)
        - traefik.http.services.t.loadbalancer.server.port=8080
        - traefik.docker.network=shop_front
  broken:
    <<: *app
    networks: [back]
    deploy:
      labels: {lbgen.enable: "true", lbgen.host: broken.example.org, lbgen.port: "eighty"}
  hidden:
    <<: *app
    labels: {lbgen.enable: "true", lbgen.host: hidden.example.org, lbgen.port: 8080}
networks:
  front:
  back:
    driver: overlay
    attachable: true
  edge:
    external: true
"""
OVERRIDE = """
version: "3.7"
services:
  mesh:
    ports: ["18084:8081"]
    deploy:
      replicas: 2
      labels: {lbgen.port: 8080, lbgen.path: /new}
  task:
    deploy:
      placement: {constraints: [node.role == worker]}
"""


@pytest.fixture
def files(tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The two stack files, with their environment in this process's; their external network is there."""
    monkeypatch.setenv("APP_IMAGE", lab.image_id("app"))
    monkeypatch.setenv("UDP_PORT", "12201")
    monkeypatch.delenv("DOMAIN", raising=False)
    lab.network("edge")
    found = [tmp_path / "stack.yml", tmp_path / "override.yml"]
    for path, text in zip(found, (BASE, OVERRIDE), strict=True):
        path.write_text(text)
    return found


def deploy(lab: Lab, files: list[Path], name: str) -> None:
    """Deploy them as people do."""
    words = [word for path in files for word in ("--compose-file", str(path))]
    command = [docker_cli(), "-H", f"unix://{lab.manager.socket}", "stack", "deploy", "--resolve-image", "never"]
    subprocess.run([*command, *words, name], env=dict(os.environ), check=True)


def deployed(lab: Lab, wanted: Snapshot) -> Snapshot:
    """The Swarm as soon as it runs what the file says; ready to be compared."""
    source = EngineSource([f"unix://{lab.manager.socket}"])

    def settled() -> Snapshot | None:
        found = comparable(source.take(), "shop")
        running = found.tasks.keys() == wanted.tasks.keys()
        opened = all(found.tasks[id_].ports == task.ports for id_, task in wanted.tasks.items()) if running else False
        return found if opened else None

    try:
        found = lab.wait_for(settled, 120, f"exactly these tasks to run: {', '.join(wanted.tasks)}", 0.5)
    finally:
        source.close()
    assert found is not None
    return found


def rendered(model: Model, snapshot: Snapshot, proxy: str) -> dict[str, str]:
    """The files that one proxy would get."""
    return dict(
        assembly.Assembly("edge", TargetSettings(templates=[proxy]), SETTINGS).renderer().render(model, snapshot).texts
    )


def test_a_file_becomes_what_its_deployment_becomes(lab: Lab, files: list[Path]) -> None:
    """The same services, problems, and files for each proxy, but for the stand-ins of tests/support/stacks.py."""
    from_file = comparable(file.load(files, "shop"), "shop")
    deploy(lab, files, "shop")
    from_swarm = deployed(lab, from_file)
    assert from_swarm.services == from_file.services
    assert from_swarm.networks == from_file.networks
    models = [build(snapshot, SETTINGS.rules()) for snapshot in (from_file, from_swarm)]
    assert models[0].problems == models[1].problems
    assert {problem.service for problem in models[0].problems} == {"shop_broken"}
    for proxy in ("haproxy", "nginx", "traefik"):
        assert rendered(models[0], from_file, proxy) == rendered(models[1], from_swarm, proxy)
