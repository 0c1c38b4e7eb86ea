"""Health checks are requests that labels aim: on real proxies they reach only what is the service's own."""

from __future__ import annotations

import pytest

from lbgen.model import build
from lbgen.settings import Settings
from tests.support.builders import a_node, a_service, a_snapshot, a_task, ingress
from tests.support.ports import free_port
from tests.support.real_servers import http_servers
from tests.support.running import running
from tests.support.wait import wait_for

CHECKED = {"health-check.interval": "100ms", "health-check.timeout": "1s", "port": 80}
NODE = "127.1.0.1"


@pytest.mark.parametrize(
    ("proxy", "allowed", "method"),
    [
        pytest.param(proxy, allowed, method, marks=pytest.mark.proxy(proxy))
        for proxy in ("haproxy", "traefik")  # Nginx asks nobody
        for allowed in (False, True)
        for method in ("GET", "POST")
    ],
)
def test_a_port_of_somebody_else(proxy, allowed, method, short_dir):
    """A node's port that the service does not publish is asked only if a setting allows it, whatever the method."""
    with http_servers() as own, http_servers() as stranger:
        honest = {**CHECKED, "host": "a.org", "health-check.path": "/honest"}
        aimed = {"host": "b.org", "health-check.path": "/aimed", "health-check.port": stranger.port}
        snapshot = a_snapshot(
            a_node(address=NODE),
            a_service("honest", honest, ports=(ingress(80, own.port),)),
            a_service("aimed", {**CHECKED, **aimed, "health-check.method": method}, ports=(ingress(80, own.port),)),
            a_task("honest"),
            a_task("aimed"),
        )
        settings = Settings.model_validate(
            {
                "listeners": {"web": {"bind": f"127.0.0.1:{free_port()}"}},
                "discovery": {"node_cidrs": ["127.0.0.0/8"], "any_health_check": allowed},
                "status": {"bind": ""},
                "targets": {
                    "edge": {
                        "templates": [proxy],
                        "output": str(short_dir / "out"),
                        "probe": f"127.0.0.1:{free_port()}",
                        "apply": {"run": True},
                    }
                },
            }
        )
        reported = {problem.service for problem in build(snapshot, settings.rules()).problems}
        assert reported == (set() if allowed else {"aimed"})
        with running(settings, snapshot):
            if allowed:
                wait_for(lambda: stranger.asked(method, "/aimed").total() > 2, "the check that the setting allows")
            wait_for(lambda: own.asked("GET", "/honest").total() > 10, "checks of the honest service")
        assert bool(stranger.seen) == allowed
