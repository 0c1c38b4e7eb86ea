"""docs/hosts.md, two Compose hosts behind one balancer: every command of the page, in its order.

Real: lbgen, HAProxy, ssh-keygen, what engines were recorded to say. Stand-ins: ssh and ssh-copy-id, which reach the
engines without a network, and Compose, whose labels and ports the containers have by this test.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.clients import Client
from tests.support.daemon import alive
from tests.support.fake_host import FakeHost
from tests.support.guide import Block, blocks_of
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.real_haproxy import BINARY
from tests.support.real_servers import Servers, http_servers
from tests.support.wait import PATIENCE, wait_for

PAGE = (ROOT / "docs/hosts.md").read_text()
BLOCKS = blocks_of(PAGE)
HOSTS = {"192.0.2.11": "127.1.0.11", "192.0.2.12": "127.1.0.12"}  # the page's addresses, and this machine's
SSH = f"""#!{sys.executable}
# ssh [OPTION...] [--] [USER@]HOST COMMAND
import os, socket, sys, threading
words = [word for word in sys.argv[1:] if any(host in word for host in {tuple(HOSTS.values())})]
host, command = words[0].rpartition("@")[2], sys.argv[sys.argv.index(words[0]) + 1:]
engine = socket.socket(socket.AF_UNIX)
engine.connect(os.path.join(os.environ["ENGINES"], host))
if command != ["docker system dial-stdio"]:
    assert command == ["docker", "version"], command
    sys.exit()
def send():
    while said := os.read(0, 65536):
        engine.sendall(said)
    engine.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
while said := engine.recv(65536):
    os.write(1, said)
"""
COPY = '#!/bin/sh\n[ -f "$HOME/.ssh/id_ed25519.pub" ]'
LBGEN = f"""#!/bin/bash -e
[ "$1" = run ] || exec {sys.executable} -m lbgen "$@"
{sys.executable} -m lbgen run </dev/null >>log 2>&1 & echo $! > pid
"""


class Balancer:
    """The machine that the page's commands are given on, and the two hosts."""

    def __init__(self, root: Path, servers: Servers) -> None:
        self.root, self.port, self._servers = root, free_port(), servers
        self.engines = {address: FakeHost(root / address) for address in HOSTS.values()}
        (root / "tools").mkdir()
        (root / ".ssh").mkdir()
        for name, script in {
            "ssh": SSH,
            "ssh-copy-id": '#!/bin/sh\n[ -f "$HOME/.ssh/id_ed25519.pub" ]',
            "lbgen": LBGEN,
        }.items():
            (root / "tools" / name).write_text(script)
            (root / "tools" / name).chmod(0o755)

    def do(self, block: Block) -> str:
        """Do what a block says; return what its commands print."""
        text = block.text
        for there, here in HOSTS.items():
            text = text.replace(there, here)
        if block.place.startswith("compose.yml"):
            self._compose(yaml.safe_load(text)["services"]["web"])
        elif block.language == "yaml":
            (self.root / block.place).write_text(text)
        else:
            return self._run(text)
        return ""

    def _compose(self, web: Any) -> None:
        (port,) = web["ports"]
        for number, engine in enumerate(self.engines.values(), 1):
            found = engine.container("shop-web-1")
            published = {"IP": "0.0.0.0", "PrivatePort": int(port), "PublicPort": self._servers.port, "Type": "tcp"}
            compose = {key: value for key, value in found["Labels"].items() if key.startswith("com.docker.compose.")}
            engine.containers = [
                found | {"Id": f"{number:064x}", "Labels": compose | web["labels"], "Ports": [published]}
            ]

    def _run(self, script: str) -> str:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("LBGEN", "DOCKER"))}
        environment |= {
            "PATH": f"{self.root}/tools:{environment['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.root),
            "ENGINES": str(self.root),
            "LBGEN_STATE": str(self.root / "state"),
            "LBGEN_LISTENERS__WEB__BIND": f"127.0.0.1:{self.port}",
            "LBGEN_STATUS__BIND": f"127.0.0.1:{free_port()}",
        }
        done = subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def answering(self, host: str) -> set[str]:
        """The servers that answer two requests for a host; empty: an error."""
        client = Client(self.port)
        try:
            return {client.ask(host=host).server for _ in range(2)}
        except OSError:
            return set()
        finally:
            client.close()

    def end(self) -> None:
        if (self.root / "pid").exists():
            pid = int((self.root / "pid").read_text())
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not alive(pid), "lbgen to end")
        for engine in self.engines.values():
            engine.stop()

    @property
    def log(self) -> str:
        return (self.root / "log").read_text()


@pytest.fixture
def balancer(short_dir: Path) -> Iterator[Balancer]:
    with http_servers() as servers:
        made = Balancer(short_dir, servers)
        try:
            yield made
        finally:
            made.end()


@pytest.mark.proxy(BINARY, "ssh-keygen")
def test_every_command_of_the_page(balancer: Balancer) -> None:
    """The service of both hosts is explained, and answers at each."""
    printed = "".join(map(balancer.do, BLOCKS))
    for name, address in zip("ab", HOSTS.values(), strict=True):
        assert re.search(rf" {address}:[0-9]+ .* on {name}$", printed, re.MULTILINE), printed
    wait_for(lambda: balancer.answering("shop.example.org") == set(HOSTS.values()), "both hosts")
    assert "Traceback" not in balancer.log


def test_page_has_what_the_test_knows() -> None:
    """All commands of the page are in blocks that say where they are given."""
    assert PAGE.count("```") == 2 * len(BLOCKS)
    assert [block.place for block in BLOCKS] == [
        "compose.yml, on each host",
        "on the balancer",
        "lbgen.yml",
        "on the balancer",
    ]
