"""Pushed changes while managers come and go: traffic goes on, and lbgen catches up without being started again.

HAProxy and the tasks are on nodes that stay; what goes away is the manager that pushes, its socket, or the leader.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.lab import probe
from tests.lab.expected import task_servers
from tests.lab.host import wait_for
from tests.lab.passage import Passage
from tests.lab.service import Service
from tests.lab.services import Lab
from tests.lab.settings import LabError
from tests.lab.sidecar import Sidecar, settings

OUTAGE = 60.0  # seconds
STATUS = 9099


@pytest.fixture
def stage(managers: Lab) -> Iterator[SimpleNamespace]:
    """A service and lbgen with HAProxy on a node that neither leads nor pushes; another follower pushes."""
    lab = managers
    lab.network("web")
    pusher, quiet = [node for node in lab.nodes.values() if node is not lab.leader]
    labels = {"lbgen.enable": "true", "lbgen.host": "task.test", "lbgen.port": "8080"}
    service = lab.service(
        "task", replicas=2, networks=["web"], labels=labels, constraints=[f"node.hostname=={quiet.name}"]
    )
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lbgen-")))
        passage = stack.enter_context(Passage(directory / "control.sock", pusher.control_socket))
        attached = stack.enter_context(lab.attached("web", quiet.name))
        document = settings(directory / "edge", pusher, status={"bind": f"127.0.0.1:{STATUS}"})
        document["source"]["docker"] |= {
            "endpoints": [f"unix://{node.socket}" for node in (pusher, quiet)],
            "control_socket": str(passage.path),
        }
        lbgen = Sidecar(directory, attached.netns, document)
        lbgen.start()
        stack.callback(lambda: print(lbgen.log))
        stack.callback(lbgen.stop)
        lbgen.wait_servers("task", task_servers(service), 60)
        made = SimpleNamespace(lab=lab, lbgen=lbgen, service=service, passage=passage, pusher=pusher)
        wait_mode(made, "push")
        yield made


def number(lbgen: Sidecar, metric: str) -> float:
    """One of lbgen's own metrics."""
    said = probe.get("127.0.0.1", STATUS, "/metrics", netns=lbgen.netns).body
    found = re.search(rf"^{re.escape(metric)} (\S+)$", said, re.MULTILINE)
    return float(found[1]) if found else -1.0


def wait_mode(stage: SimpleNamespace, mode: str) -> None:
    """Wait until lbgen learns of changes in this way."""
    metric = f'lbgen_source_mode{{mode="{mode}"}}'
    wait_for(lambda: number(stage.lbgen, metric) == 1, 60, f"lbgen to be in mode {mode}")


def scale(service: Service, replicas: int) -> None:
    """Scale it, as soon as a leader is there to do it."""

    def done() -> bool:
        try:
            service.scale(replicas)
        except LabError:
            return False
        return True

    wait_for(done, 60, f"{service.name} to be scaled to {replicas}")


def caught_up(stage: SimpleNamespace) -> None:
    """Wait until HAProxy has exactly the tasks that run, and they answer."""
    stage.lbgen.wait_servers("task", task_servers(stage.service), 60)
    stage.lbgen.wait_responders("task.test", set(stage.service.responders()))


def test_the_control_socket_is_gone_for_a_minute(stage: SimpleNamespace) -> None:
    """Events and listing carry on; nothing that they find counts as drift, since nobody had claimed to know it."""
    with stage.lbgen.traffic("task.test", rate=50) as traffic:
        stage.passage.go_away()
        gone = time.monotonic()
        wait_mode(stage, "events")
        scale(stage.service, 4)
        caught_up(stage)
        time.sleep(max(0.0, OUTAGE - (time.monotonic() - gone)))
        stage.passage.come_back()
        wait_mode(stage, "push")
        scale(stage.service, 2)
        caught_up(stage)
    assert not traffic.result.failed, traffic.result
    assert number(stage.lbgen, "lbgen_source_drift_total") == 0
    assert stage.lbgen.log.count(" started ") == 1


def test_the_daemon_that_pushes_is_restarted(stage: SimpleNamespace) -> None:
    """The other manager is listed meanwhile; the new daemon's socket is taken up again."""
    with stage.lbgen.traffic("task.test", rate=50) as traffic:
        stage.pusher.stop()
        wait_for(lambda: "stream_lost" in stage.lbgen.log, 30, "lbgen to notice")
        scale(stage.service, 3)
        caught_up(stage)
        stage.pusher.start()
        wait_mode(stage, "push")
        scale(stage.service, 2)
        caught_up(stage)
    assert not traffic.result.failed, traffic.result
    assert number(stage.lbgen, "lbgen_source_drift_total") == 0


def test_the_leader_moves(stage: SimpleNamespace) -> None:
    """The stream of a follower goes on through the election, and tells what the next leader decides."""
    with stage.lbgen.traffic("task.test", rate=50) as traffic:
        leader = stage.lab.leader
        leader.stop()
        scale(stage.service, 3)
        caught_up(stage)
        leader.start()
        scale(stage.service, 2)
        caught_up(stage)
    assert not traffic.result.failed, traffic.result
    assert number(stage.lbgen, "lbgen_source_drift_total") == 0
    assert "stream_lost" not in stage.lbgen.log
