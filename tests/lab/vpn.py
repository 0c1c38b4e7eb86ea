"""WireGuard between namespaces of the lab: one node is the gateway, the others dial it from somewhere else.

A peer's cable ends in another network than the lab's: it reaches the gateway's outer address and nothing more. Its way
to the nodes, and theirs to it, is a WireGuard interface: the kernel's where that has the module, else that of
wireguard-go, which speaks the same protocol on a tun device.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from tests.lab import host
from tests.lab.settings import Settings

COMMANDS = {"wg": "wireguard-tools", "wireguard-go": "wireguard-go"}  # and their Debian packages
OUTER, INNER = "203.0.113", "10.77.0"  # networks: what the peers' cables are on; the addresses inside
PORT = 51820


def missing() -> list[str]:
    """Debian packages to install before there can be a VPN."""
    return sorted(package for command, package in COMMANDS.items() if shutil.which(command) is None)


def inner(index: int) -> str:
    """The address of node or peer `index` inside."""
    return f"{INNER}.{index}"


class Vpn:
    """A gateway and its peers, by the indexes of their namespaces."""

    def __init__(self, settings: Settings, gateway: int, peers: tuple[int, ...]) -> None:
        self.settings, self.gateway, self.peers = settings, gateway, peers
        self.kind = ""  # "the kernel's" or "wireguard-go's"
        self._daemons: list[subprocess.Popen[bytes]] = []

    def up(self) -> None:
        """Make it, for peers whose namespaces there are; they lose their address on the lab's own network."""
        keys = {index: host.run("wg", "genkey").strip() for index in (self.gateway, *self.peers)}
        public = {index: _public(key) for index, key in keys.items()}
        self._ip(self.gateway, "address", "replace", f"{OUTER}.{self.gateway}/24", "dev", "eth0")
        for index in self.peers:
            self._ip(index, "address", "flush", "dev", "eth0")
            self._ip(index, "address", "add", f"{OUTER}.{index}/24", "dev", "eth0")
        for index, key in keys.items():
            self._interface(index, key)
        for index in self.peers:
            self._wg(self.gateway, "peer", public[index], "allowed-ips", f"{inner(index)}/32")
            way = f"{self.settings.subnet},{INNER}.0/24"
            endpoint = f"{OUTER}.{self.gateway}:{PORT}"
            self._wg(
                index,
                "peer",
                public[self.gateway],
                "endpoint",
                endpoint,
                "allowed-ips",
                way,
                "persistent-keepalive",
                "5",
            )
            self._ip(index, "route", "add", self.settings.subnet, "dev", self._name(index))
        name = self._name(self.gateway)
        for rule in (f"FORWARD -i {name} -j ACCEPT", f"FORWARD -o {name} -j ACCEPT"):
            self._iptables("-I", *rule.split())
        self._iptables("-t", "nat", "-A", "POSTROUTING", "-s", f"{INNER}.0/24", "-o", "eth0", "-j", "MASQUERADE")

    def join(self, index: int) -> None:
        """Let somebody on the lab's network reach the peers through the gateway."""
        self._ip(index, "route", "add", f"{INNER}.0/24", "via", self.settings.address(10 + self.gateway))

    def down(self) -> None:
        """Take back what was done to the gateway; what the peers have goes with their namespaces."""
        for daemon in self._daemons:
            daemon.kill()
            daemon.wait()
        sweep(self.settings)

    def received(self, index: int) -> int:
        """Bytes that a peer has received through it."""
        said = host.run(*self._in(index), "wg", "show", self._name(index), "transfer")
        return int(said.split()[1])

    def _interface(self, index: int, key: str) -> None:
        name = self._name(index)
        try:
            self._ip(index, "link", "add", name, "type", "wireguard")
            self.kind = "the kernel's"
        except host.LabError:
            environment = {**os.environ, "WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": "error"}
            quiet = subprocess.DEVNULL
            command = [*self._in(index), "wireguard-go", "--foreground", name]
            self._daemons.append(subprocess.Popen(command, env=environment, stdin=quiet, stdout=quiet, stderr=quiet))
            host.wait_for(lambda: _listens(self.settings, name), 20, f"interface {name}", 0.02)
            self.kind = "wireguard-go's"
        file = self.settings.directory / f"{name}.key"
        file.write_text(key)
        file.chmod(0o600)
        self._wg(index, "private-key", str(file), "listen-port", str(PORT))
        self._ip(index, "address", "add", f"{inner(index)}/24", "dev", name)
        self._ip(index, "link", "set", name, "up")

    def _name(self, index: int) -> str:
        return f"{self.settings.prefix}wg{index}"

    def _in(self, index: int) -> list[str]:
        return ["nsenter", f"--net={host.NETNS / self.settings.netns(index)}"]

    def _ip(self, index: int, *words: str) -> None:
        host.run("ip", "-n", self.settings.netns(index), *words)

    def _wg(self, index: int, *words: str) -> None:
        host.run(*self._in(index), "wg", "set", self._name(index), *words)

    def _iptables(self, *words: str) -> None:
        host.run(*self._in(self.gateway), "iptables", *words)


def sweep(settings: Settings) -> None:
    """Remove what a VPN has left in the nodes' namespaces, and its sockets. Its processes are gone."""
    for index in range(1, settings.nodes + 1):
        netns = settings.netns(index)
        if not (host.NETNS / netns).exists():
            continue
        name = f"{settings.prefix}wg{index}"
        host.run("ip", "-n", netns, "address", "delete", f"{OUTER}.{index}/24", "dev", "eth0", check=False)
        host.run("ip", "-n", netns, "link", "delete", name, check=False)
        enter = ["nsenter", f"--net={host.NETNS / netns}", "iptables"]
        host.run(*enter, "-D", "FORWARD", "-i", name, "-j", "ACCEPT", check=False)
        host.run(*enter, "-D", "FORWARD", "-o", name, "-j", "ACCEPT", check=False)
        nat = ["-t", "nat", "-D", "POSTROUTING", "-s", f"{INNER}.0/24", "-o", "eth0", "-j", "MASQUERADE"]
        host.run(*enter, *nat, check=False)
    for socket in settings.wireguard_sockets():
        socket.unlink(missing_ok=True)


def _listens(settings: Settings, name: str) -> bool:
    return any(socket.stem == name and socket.is_socket() for socket in settings.wireguard_sockets())


def _public(key: str) -> str:
    done = subprocess.run(["wg", "pubkey"], input=key, capture_output=True, text=True, check=True)
    return done.stdout.strip()
