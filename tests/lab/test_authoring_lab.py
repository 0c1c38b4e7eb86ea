"""An author saves templates while a real Swarm is followed, good ones and a bad one."""

from __future__ import annotations

from pathlib import Path

from tests.lab import probe
from tests.lab.host import wait_for
from tests.lab.services import Lab
from tests.lab.sidecar import sidecar

PORT = 8001
MINE = '{% extends "haproxy/haproxy.cfg.j2" %}\n{% block http_frontend_extra %}\n    %s\n{% endblock %}\n'


def test_saved_templates(lab: Lab, tmp_path: Path) -> None:
    """A good one is live at once; a bad one is told of, and the one before goes on following the Swarm."""
    lab.network("web")
    mine = tmp_path / "mine"
    mine.mkdir()
    template = mine / "haproxy.cfg.j2"
    target = {"templates": [str(mine), "haproxy"], "output": str(tmp_path / "out"), "apply": {"run": True}}
    labels = {"lbgen.enable": "true", "lbgen.host": "shop.test", "lbgen.port": "8080"}
    shop = lab.service("shop", replicas=2, networks=["web"], labels=labels)
    with (
        lab.attached("web") as attached,
        sidecar(
            attached.netns,
            lab.manager,
            listeners={"web": {"bind": f":{PORT}"}},
            default_listeners=["web"],
            targets={"edge": target},
        ) as lbgen,
    ):

        def answers() -> list[probe.Answer]:
            try:
                return [probe.get("127.0.0.1", PORT, host="shop.test", netns=attached.netns) for _ in range(12)]
            except OSError:
                return []

        def serves_all() -> bool:
            return {answer.app for answer in answers()} == set(shop.responders())

        def marked() -> set[str]:
            return {answer.headers.get("x-mine", "") for answer in answers()}

        wait_for(serves_all, 60, "haproxy to serve shop")
        template.write_text(MINE.replace("%s", "http-after-response set-header X-Mine yes"))
        wait_for(lambda: marked() == {"yes"}, 30, "the template")

        template.write_text(MINE.replace("%s", "{{ nonsense }}"))
        wait_for(lambda: " refused " in lbgen.log, 30, "the refusal")
        assert f"{template}:3: 'nonsense' is undefined" in lbgen.log
        shop.scale(4)
        wait_for(serves_all, 60, "the template before to follow shop")
        assert marked() == {"yes"}

        template.unlink()
        wait_for(lambda: marked() == {""}, 30, "the built-in template")
        assert serves_all()
        assert lbgen.log.count(" refused ") == 1
