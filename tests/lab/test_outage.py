"""lbgen behind a read-only socket proxy, and what happens while Docker cannot be reached."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tests.lab.expected import task_servers
from tests.lab.host import wait_for
from tests.lab.services import Lab
from tests.lab.sidecar import sidecar
from tests.support.socket_proxy import READ_ONLY, SocketProxy

OUTAGE = 60.0  # seconds


def test_the_socket_goes_away_for_a_minute(lab: Lab) -> None:
    """Traffic goes on, also through a restart of lbgen; afterwards lbgen catches up. It sends only the listed GETs."""
    lab.network("web")
    labels = {"lbgen.enable": "true", "lbgen.host": "task.test", "lbgen.port": "8080"}
    service = lab.service("task", replicas=2, networks=["web"], labels=labels)
    with (
        tempfile.TemporaryDirectory(prefix="lbgen-") as directory,
        SocketProxy(Path(directory) / "docker.sock", lab.manager.socket) as docker,
        lab.attached("web") as attached,
        sidecar(attached.netns, docker.endpoint) as lbgen,
    ):
        lbgen.wait_servers("task", task_servers(service))
        before = lbgen.servers("task")
        with lbgen.traffic("task.test", rate=50) as traffic:
            docker.go_away()
            gone = time.monotonic()
            wait_for(lambda: "source_failed" in lbgen.log, 30, "lbgen to notice")
            service.scale(4)
            assert lbgen.servers("task") == before
            time.sleep(max(0.0, OUTAGE - (time.monotonic() - gone)))
        assert not traffic.result.failed, traffic.result

        assert lbgen.stop() == 0
        lbgen.start()  # Docker still cannot be reached: the last good files serve
        wait_for(lambda: lbgen.live() and lbgen.get("task.test").status == 200, 30, "the last good files to serve")
        assert lbgen.servers("task") == before

        docker.come_back()
        lbgen.wait_servers("task", task_servers(service))
        lbgen.wait_responders("task.test", set(service.responders()))
        assert not docker.refused
        assert {path for _, path in docker.requests} <= READ_ONLY
        assert {method for method, _ in docker.requests} == {"GET"}
