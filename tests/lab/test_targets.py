"""Three proxies fed by one lbgen, each serving a listener of its own; what fails for one stays with it."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.lab import probe
from tests.lab.host import wait_for
from tests.lab.services import Lab
from tests.lab.sidecar import sidecar

PORTS = {"haproxy": 8001, "nginx": 8002, "traefik": 8003}


def test_one_of_three_is_broken(lab: Lab, tmp_path: Path) -> None:
    """The one whose checker refuses everything keeps what it serves; the two others follow, and the log says why."""
    lab.network("web")
    checker = tmp_path / "nginx-program"
    checker.symlink_to("/usr/sbin/nginx")
    targets = {
        kind: {
            "templates": kind,
            "output": str(tmp_path / kind),
            "listeners": [f"on-{kind}"],
            "apply": {"run": True},
        }
        for kind in PORTS
    }
    targets["nginx"]["binary"] = str(checker)
    targets["traefik"]["binary"] = str(Path(sys.executable).parent / "traefik")
    listeners = {f"on-{kind}": {"bind": f":{port}"} for kind, port in PORTS.items()}
    labels = {"lbgen.enable": "true", "lbgen.host": "shop.test", "lbgen.port": "8080"}
    shop = lab.service("shop", replicas=2, networks=["web"], labels=labels)
    with (
        lab.attached("web") as attached,
        sidecar(
            attached.netns,
            lab.manager,
            listeners=listeners,
            default_listeners=list(listeners),
            targets=targets,
        ) as lbgen,
    ):

        def answered_by(kind: str) -> set[str]:
            try:
                answers = [
                    probe.get("127.0.0.1", PORTS[kind], host="shop.test", netns=attached.netns) for _ in range(20)
                ]
            except OSError:
                return set()
            return {answer.app for answer in answers if answer.status == 200}

        for kind in PORTS:
            wait_for(lambda kind=kind: answered_by(kind) == set(shop.responders()), 60, f"{kind} to serve shop")
        before = set(shop.responders())
        refusing = tmp_path / "refusing"
        refusing.write_text("#!/bin/sh\necho 'nginx: [emerg] everything is wrong today' >&2\nexit 1\n")
        refusing.chmod(0o755)
        other = tmp_path / "other"
        other.symlink_to(refusing)
        other.replace(checker)

        shop.scale(4)
        for kind in ("haproxy", "traefik"):
            wait_for(lambda kind=kind: answered_by(kind) == set(shop.responders()), 60, f"{kind} to follow shop")
        assert "everything is wrong today" in lbgen.log
        assert answered_by("nginx") == before

        other.symlink_to("/usr/sbin/nginx")
        other.replace(checker)
        shop.scale(5)
        for kind in PORTS:
            wait_for(lambda kind=kind: answered_by(kind) == set(shop.responders()), 60, f"{kind} to serve all of shop")
