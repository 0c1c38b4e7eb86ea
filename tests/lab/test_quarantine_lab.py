"""A service whose configuration one proxy refuses, on a real Swarm: what it costs others, and how it comes back."""

from __future__ import annotations

from pathlib import Path

from tests.lab import probe
from tests.lab.host import wait_for
from tests.lab.services import Lab
from tests.lab.sidecar import sidecar

PORTS = {"haproxy": 8001, "nginx": 8002}
# An author's template that writes a label down without asking what it is.
NGINX = """{% extends "nginx/nginx.conf.j2" %}
{% block http_extra %}
{% for service in snapshot.services.values() if "my.http" in service.labels %}
    {{ service.labels["my.http"] }};
{% endfor %}
{% endblock %}
"""


def test_one_proxy_refuses_one_service(lab: Lab, tmp_path: Path) -> None:
    """There it goes on as it was, with the tasks that it has now; the other proxy, and other services, follow."""
    lab.network("web")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "nginx.conf.j2").write_text(NGINX)
    targets = {
        kind: {
            "templates": [str(mine), kind] if kind == "nginx" else kind,
            "output": str(tmp_path / kind),
            "listeners": [f"on-{kind}"],
            "apply": {"run": True},
        }
        for kind in PORTS
    }
    listeners = {f"on-{kind}": {"bind": f":{port}"} for kind, port in PORTS.items()}

    def labels(name: str) -> dict[str, str]:
        return {"lbgen.enable": "true", "lbgen.host": f"{name}.test", "lbgen.port": "8080"}

    shop = lab.service("shop", replicas=2, networks=["web"], labels=labels("shop"))
    blog = lab.service("blog", replicas=1, networks=["web"], labels=labels("blog"))
    with (
        lab.attached("web") as attached,
        sidecar(
            attached.netns, lab.manager, listeners=listeners, default_listeners=list(listeners), targets=targets
        ) as lbgen,
    ):

        def answered_by(kind: str, host: str) -> set[str]:
            try:
                answers = [probe.get("127.0.0.1", PORTS[kind], host=host, netns=attached.netns) for _ in range(12)]
            except OSError:
                return set()
            return {answer.app for answer in answers if answer.status == 200}

        def serves(kind: str, host: str, service: object) -> None:
            responders = service.responders  # type: ignore[attr-defined]
            wait_for(lambda: answered_by(kind, host) == set(responders()), 60, f"{kind} to serve {host}")

        for kind in PORTS:
            serves(kind, "shop.test", shop)
            serves(kind, "blog.test", blog)

        blog.update("--label-add", "my.http=no_such_directive on", "--label-add", "lbgen.host=new.test")
        serves("haproxy", "new.test", blog)
        wait_for(lambda: "quarantined" in lbgen.log, 30, "nginx to refuse blog")
        serves("nginx", "blog.test", blog)
        assert answered_by("nginx", "new.test") == set()
        assert 'unknown directive "no_such_directive"' in lbgen.log

        shop.update("--label-add", "lbgen.host=shop2.test")
        blog.scale(3)
        for kind in PORTS:
            serves(kind, "shop2.test", shop)
        serves("nginx", "blog.test", blog)  # its labels stayed behind, its tasks did not
        assert lbgen.log.count(" quarantined ") == 1

        blog.update("--label-add", "my.http=underscores_in_headers on")
        for kind in PORTS:
            serves(kind, "new.test", blog)
        assert "quarantine_over" in lbgen.log
        assert "underscores_in_headers on;" in (tmp_path / "nginx" / "nginx.conf").read_text()
