"""Docker hosts without Swarm: a dockerd and an sshd in a network namespace each, and Compose projects on them.

Two machines beside them are where proxies are. The hosts are reached over TLS, or over ssh with keys and settings of
their own: `path` is a directory with an `ssh` that uses them, to be first in the PATH of the program that connects.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.lab import app_image, host
from tests.lab.certificates import Pair, certificates
from tests.lab.node import TLS_PORT, Node
from tests.lab.settings import LabError, Settings

OUTSIDE, BESIDE = 9, 8  # indexes of the machines beside the hosts
COMMANDS = {"sshd": "openssh-server", "docker-compose": "docker-compose"}  # and their Debian packages


def missing() -> list[str]:
    """Debian packages to install before there can be hosts."""
    wanted = [package for command, package in COMMANDS.items() if _command(command) is None]
    return sorted({*host.missing_tools(), *wanted})


class Boxes:
    """Some hosts, called a, b, c, and so on."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.nodes = {chr(ord("a") + index): Node(settings, index + 1) for index in range(settings.nodes)}
        self.outside, self.beside = (str(host.NETNS / settings.netns(index)) for index in (OUTSIDE, BESIDE))
        self.path = settings.directory / "bin"
        self._ssh = settings.directory / "ssh"
        self._daemons: list[subprocess.Popen[bytes]] = []

    def up(self) -> None:
        """Have all of them running, over what an earlier run left behind; four seconds."""
        host.clean(self.settings)
        for directory in (self._ssh, self.path, Path("/run/sshd")):
            directory.mkdir(parents=True, exist_ok=True)
        host.open_bridge(self.settings)
        for index in (OUTSIDE, BESIDE):
            host.open_namespace(self.settings, index)
        for node in self.nodes.values():
            host.open_namespace(self.settings, node.index)
            node.launch()
        self._keys()
        archive = app_image.archive()[0]

        def prepare(node: Node) -> None:
            node.wait_ready()
            node.api("POST", "/images/load", archive, timeout=60)

        with ThreadPoolExecutor(len(self.nodes)) as pool:
            list(pool.map(prepare, self.nodes.values()))
        self._daemons = [self._sshd(node) for node in self.nodes.values()]

    def down(self) -> None:
        """Remove all of them."""
        for daemon in self._daemons:
            daemon.kill()
            daemon.wait()
        host.clean(self.settings)

    def endpoint(self, name: str) -> str:
        """Where a host's engine is reached."""
        node = self.nodes[name]
        return f"ssh://root@{node.address}{node.socket}"

    def source(self) -> list[dict[str, Any]]:
        """All hosts, as setting `source.hosts` has them."""
        return [{"name": name, "endpoint": self.endpoint(name)} for name in self.nodes]

    @property
    def client(self) -> Pair:
        """A client's certificate that all hosts' engines accept."""
        return certificates(self.settings.directory / "certs", "client")

    def by_tls(self, name: str, client: Pair) -> dict[str, Any]:
        """A host over TCP with TLS, as setting `source.hosts` has it."""
        tls = {"ca": str(client.ca), "cert": str(client.cert), "key": str(client.key)}
        return {"name": name, "endpoint": f"tcp://{self.nodes[name].address}:{TLS_PORT}", "tls": tls}

    def compose(self, name: str, project: Mapping[str, Any], *command: str) -> None:
        """Run docker-compose on a host, with this project's file."""
        import yaml

        directory = self.settings.directory / "projects" / name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "compose.yml").write_text(yaml.safe_dump({"version": "3.9", **project}))
        environment = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
        environment["DOCKER_HOST"] = f"unix://{self.nodes[name].socket}"
        words = ["docker-compose", "--project-name", "shop", "--file", "compose.yml", *command]
        done = subprocess.run(words, cwd=directory, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LabError(f"docker-compose {' '.join(command)} on {name}: {done.stderr}")

    def containers(self, name: str, service: str) -> list[dict[str, Any]]:
        """The running containers of a Compose service on a host, as they are listed, by number."""
        own = self.nodes[name].api(
            "GET", "/containers/json", filters={"label": [f"com.docker.compose.service={service}"]}
        )
        return sorted(own, key=lambda each: int(each["Labels"]["com.docker.compose.container-number"]))

    def link(self, name: str, state: str) -> None:
        """Pull a host's cable ("down"), or put it back ("up")."""
        host.run("ip", "link", "set", self.settings.veth(self.nodes[name].index), state)

    def _keys(self) -> None:
        for name in ("host", "client"):
            host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._ssh / name))
        known = (self._ssh / "host.pub").read_text().split()[:2]
        lines = [" ".join([node.address, *known]) for node in self.nodes.values()]
        (self._ssh / "known_hosts").write_text("\n".join([*lines, ""]))
        (self._ssh / "config").write_text(
            f"IdentityFile {self._ssh}/client\nIdentitiesOnly yes\nUserKnownHostsFile {self._ssh}/known_hosts\n"
        )
        own, ssh = self.path / "ssh", shlex.quote(str(_command("ssh")))
        own.write_text(f'#!/bin/sh\nexec {ssh} -F {self._ssh}/config "$@"\n')
        own.chmod(0o755)

    def _sshd(self, node: Node) -> subprocess.Popen[bytes]:
        config = self._ssh / f"sshd-{node.name}"
        config.write_text(
            f"ListenAddress {node.address}\nHostKey {self._ssh}/host\nAuthorizedKeysFile {self._ssh}/client.pub\n"
            "PermitRootLogin prohibit-password\nPasswordAuthentication no\nUsePAM no\nStrictModes no\nPidFile none\n"
            "MaxStartups 100\n"
        )
        log = self._ssh / f"{node.name}.log"
        command = ["nsenter", f"--net={node.netns}", str(_command("sshd")), "-D", "-f", str(config), "-E", str(log)]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL)


def _command(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
