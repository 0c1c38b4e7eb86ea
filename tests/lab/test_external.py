"""deploy/external: lbgen and HAProxy on a machine outside the Swarm, with the managers asked over TCP with TLS."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import host, probe
from tests.lab.certificates import certificates
from tests.lab.host import wait_for
from tests.lab.node import TLS_PORT
from tests.lab.service import host_port, ingress_port
from tests.lab.services import Lab
from tests.lab.sidecar import ROOT, Sidecar

EXTERNAL = ROOT / "deploy" / "external"
OUTSIDE = 9  # index of a machine beside the nodes
MESH_PORT = 8490


@pytest.fixture
def outside(lab: Lab) -> Iterator[str]:
    """A machine on the nodes' network outside the Swarm: nsenter's argument."""
    host.open_namespace(lab.settings, OUTSIDE)
    try:
        yield str(host.NETNS / lab.settings.netns(OUTSIDE))
    finally:
        host.run("ip", "netns", "delete", lab.settings.netns(OUTSIDE))


def settings_of(lab: Lab, directory: Path) -> dict[str, Any]:
    """deploy/external/lbgen.yml, with this lab's managers and this test's directory in place of the system's."""
    text = (EXTERNAL / "lbgen.yml").read_text()
    document = yaml.safe_load(text.replace("/run/haproxy", str(directory)).replace("/var/lib/lbgen", str(directory)))
    client = certificates(lab.settings.directory / "certs", "client")
    document["source"]["docker"] = {
        "endpoints": [f"tcp://{node.address}:{TLS_PORT}" for node in list(lab.nodes.values())[: lab.settings.managers]],
        "tls": {"ca": str(client.ca), "cert": str(client.cert), "key": str(client.key)},
    }
    edge = document["targets"]["edge"]
    edge["options"] = {}  # the accounts it names need not exist here
    assert edge["apply"] == {"master_socket": f"{directory}/master.sock"}
    return document


def haproxy_command(directory: Path) -> list[str]:
    """How haproxy.service.d-lbgen.conf starts HAProxy, without systemd (-Ws) to notify."""
    drop_in = (EXTERNAL / "haproxy.service.d-lbgen.conf").read_text()
    found = re.findall(r"^ExecStart=(.+)$", drop_in, re.MULTILINE)
    assert len(found) == 1
    text = found[0].replace("$CONFIG", f"{directory}/edge/haproxy.cfg").replace("-Ws", "-W")
    return (
        text.replace("/run/haproxy.pid", f"{directory}/haproxy.pid")
        .replace("/run/haproxy/master.sock,mode,660,group,haproxy", f"{directory}/master.sock")
        .split()
    )


def test_a_machine_outside_the_swarm(lab: Lab, outside: str) -> None:
    """It follows host mode and the mesh by the managers' engines over TLS, and feeds a HAProxy that others run."""
    labels = {"lbgen.enable": "true"}
    shop = lab.service(
        "shop", replicas=2, publish=[host_port(8080)], labels={**labels, "lbgen.host": "shop.example.org"}
    )
    lab.service(
        "mesh", replicas=1, publish=[ingress_port(8080, MESH_PORT)], labels={**labels, "lbgen.host": "mesh.example.org"}
    )
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lbx-")))
        for name in lab.nodes:
            stack.enter_context(lab.app_on(name, "--port", str(MESH_PORT)))
        lbgen = Sidecar(directory, outside, settings_of(lab, directory))
        lbgen.start()
        stack.callback(lambda: print(lbgen.log))
        stack.callback(lbgen.stop)
        # HAProxy does not run yet: the checked files wait for it.
        wait_for(lambda: (directory / "edge/haproxy.cfg").exists(), 60, "the first file")
        haproxy = subprocess.Popen(["nsenter", f"--net={outside}", *haproxy_command(directory)])
        stack.callback(haproxy.wait, 20)
        stack.callback(haproxy.terminate)

        def answered_by(name: str) -> set[str]:
            try:
                return {probe.get("127.0.0.1", 80, host=name, netns=outside).app for _ in range(12)}
            except OSError:
                return set()

        wait_for(lambda: answered_by("shop.example.org") == set(shop.responders()), 60, "shop to be served")
        wait_for(lambda: answered_by("mesh.example.org") == set(lab.nodes), 60, "the mesh to be served")
        shop.scale(4)
        wait_for(lambda: answered_by("shop.example.org") == set(shop.responders()), 60, "shop to be followed")
        assert "method=runtime-api" in lbgen.log or '"method": "runtime-api"' in lbgen.log
