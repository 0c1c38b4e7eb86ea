"""A stand-in for Swarm's own balancing (routing mesh and virtual IPs) where the kernel has no IPVS.

There, published ports in ingress mode are closed on every node, and virtual IPs swallow packets. The stand-in
takes the same way through the same namespaces, node -> ingress sandbox -> task, but with iptables' random
choice instead of IPVS: the sandbox's address is a DNAT target on the node, and the tasks are DNAT targets in
the sandbox.
"""

from __future__ import annotations

import contextlib
import ipaddress
import subprocess
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tests.lab import host
from tests.lab.node import Node
from tests.lab.settings import LabError

if TYPE_CHECKING:
    from tests.lab.swarm import Swarm

CHAIN = "LAB-MESH"
INTERVAL = 0.1  # seconds between two looks at the tasks


class Namespace(Protocol):
    """Anything with a network namespace from which virtual IPs shall work."""

    netns: str


@dataclass(frozen=True, slots=True)
class Published:
    """A port published in ingress mode, and the tasks behind it."""

    protocol: str
    port: int
    target: int
    tasks: tuple[str, ...]  # addresses on the ingress network


def has_ipvs() -> bool:
    """True where the kernel balances by itself and no stand-in is needed."""
    if not Path("/proc/net/ip_vs").exists():
        with contextlib.suppress(OSError):
            subprocess.run(["modprobe", "ip_vs"], capture_output=True, check=False)
    return Path("/proc/net/ip_vs").exists()


@contextlib.contextmanager
def mesh(swarm: Swarm, spaces: Iterable[Namespace] = ()) -> Iterator[None]:
    """While in the block, ingress ports answer on every node, and virtual IPs in the given namespaces.

    Tasks are followed by polling; Swarm's own balancing learns of them by gossip, which takes about as long.
    New connections go to tasks that run and shall run, open ones stay where they are.
    """
    if has_ipvs():
        yield
        return
    balancing, ended = _Balancing(swarm, list(spaces)), threading.Event()
    balancing.follow()

    def follow() -> None:
        while not ended.wait(INTERVAL):
            with contextlib.suppress(LabError, OSError):  # no manager for a while: keep what there is
                balancing.follow()

    thread = threading.Thread(target=follow, name="mesh", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        balancing.close()


class _Balancing:
    """What is programmed where. A node takes part as soon as it has an ingress sandbox."""

    def __init__(self, swarm: Swarm, spaces: list[Namespace]) -> None:
        self.swarm, self.spaces = swarm, spaces
        self.gateways: dict[str, str] = {}  # path of a sandbox: its address on the node's own bridge
        self.chains: dict[str, tuple[str, list[str]]] = {}  # path of a namespace: hook, rules of the chain
        self.permits: list[tuple[str, str, str]] = []  # namespace, table, rule: what lets the packets through

    def follow(self) -> None:
        """Bring all namespaces to what Swarm says now."""
        services, tasks = self.swarm.api("GET", "/services"), self.swarm.api("GET", "/tasks")
        running = [task for task in tasks if task["Status"]["State"] == task["DesiredState"] == "running"]
        ports = [port for service in services for port in _published(service, running)]
        for node in self.swarm.nodes.values():
            sandbox = _sandbox(node)
            if node.running and Path(sandbox).exists():
                self._follow_on(node, sandbox, ports)
        virtual = [rule for service in services for rule in _virtual(service, running)]
        for space in self.spaces:
            self._program(space.netns, "OUTPUT", virtual)

    def _follow_on(self, node: Node, sandbox: str, ports: list[Published]) -> None:
        if sandbox not in self.gateways:
            self.gateways[sandbox] = self._open(node, sandbox)
        to_sandbox, to_tasks = [], []
        for port in ports:
            match = f"-p {port.protocol} --dport {port.port}"
            to_sandbox.append(f"{match} -m addrtype --dst-type LOCAL -j DNAT --to {self.gateways[sandbox]}")
            to_tasks += [f"{match} {choice}:{port.target}" for choice in _choices(port.tasks)]
        self._program(sandbox, "PREROUTING", to_tasks)
        self._program(node.netns, "PREROUTING", to_sandbox)

    def _open(self, node: Node, sandbox: str) -> str:
        """Let packets pass through node and sandbox to the tasks; return the sandbox's address."""
        subnet, gateway = _addresses(sandbox, self.swarm.settings.overlays)
        for way in ("--source", "--destination"):
            self.permits.append((node.netns, "filter", f"FORWARD {way} {gateway} -j ACCEPT"))
        self.permits.append((sandbox, "nat", f"POSTROUTING --destination {subnet} -j MASQUERADE"))
        for netns, table, rule in self.permits[-3:]:
            _iptables(netns, table, f"-I {rule}")
        host.run("nsenter", f"--net={sandbox}", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        return gateway

    def _program(self, netns: str, hook: str, rules: list[str]) -> None:
        known = self.chains.get(netns)
        if known is None or known[1] != rules:
            jump = [f"-I {hook} -j {CHAIN}"] if known is None else []
            _restore(netns, [f":{CHAIN} - [0:0]", *(f"-A {CHAIN} {rule}" for rule in rules), *jump])
            self.chains[netns] = (hook, rules)

    def close(self) -> None:
        """Take everything back: published ports are closed again."""
        for netns, (hook, _) in self.chains.items():
            with contextlib.suppress(LabError):  # a namespace that is gone
                _restore(netns, [f":{CHAIN} - [0:0]", f"-D {hook} -j {CHAIN}", f"-X {CHAIN}"])
        for netns, table, rule in self.permits:
            with contextlib.suppress(LabError):
                _iptables(netns, table, f"-D {rule}")


def _published(service: dict[str, Any], running: list[dict[str, Any]]) -> Iterator[Published]:
    addresses = []
    for task in running:
        for attachment in task.get("NetworksAttachments") or []:
            if task["ServiceID"] == service["ID"] and attachment["Network"]["Spec"].get("Ingress"):
                addresses += [address.partition("/")[0] for address in attachment["Addresses"]]
    for port in service["Endpoint"].get("Ports") or []:
        if port["PublishMode"] == "ingress":
            ports = (port["PublishedPort"], port["TargetPort"])
            yield Published(port["Protocol"], *ports, tuple(sorted(addresses)))


def _virtual(service: dict[str, Any], running: list[dict[str, Any]]) -> Iterator[str]:
    for virtual in service["Endpoint"].get("VirtualIPs") or []:
        addresses = [
            address.partition("/")[0]
            for task in running
            for attachment in task.get("NetworksAttachments") or []
            for address in attachment["Addresses"]
            if task["ServiceID"] == service["ID"] and attachment["Network"]["ID"] == virtual["NetworkID"]
        ]
        for choice in _choices(tuple(sorted(addresses))):
            yield f"--destination {virtual['Addr'].partition('/')[0]} {choice}"


def _choices(addresses: tuple[str, ...]) -> list[str]:
    """Ends of rules that, tried in order, pick one of the addresses with equal probability."""
    return [
        f"-m statistic --mode random --probability {1 / (len(addresses) - i):.6f} -j DNAT --to {address}"
        for i, address in enumerate(addresses)
    ]


def _sandbox(node: Node) -> str:
    """Path of the node's ingress sandbox, which only its daemon's mount namespace has."""
    return f"/proc/{node.pid}/root{node.exec_root}/netns/ingress_sbox"


def _addresses(sandbox: str, overlays: str) -> tuple[str, str]:
    """The ingress network's subnet, and the sandbox's address on the node's own bridge."""
    subnet = gateway = ""
    for line in host.run("nsenter", f"--net={sandbox}", "ip", "-4", "-o", "address", "show").splitlines():
        found = ipaddress.ip_interface(line.split()[3])
        if found.ip in ipaddress.ip_network(overlays):
            subnet = str(found.network)
        elif not found.ip.is_loopback:
            gateway = str(found.ip)
    if not subnet or not gateway:
        raise LabError(f"{sandbox} is not on the ingress network yet")
    return subnet, gateway


def _iptables(netns: str, table: str, rule: str) -> None:
    host.run("nsenter", f"--net={netns}", "iptables", "-t", table, *rule.split())


def _restore(netns: str, lines: list[str]) -> None:
    """Change the nat table of a namespace in one step; a chain that is declared is emptied."""
    command = ["nsenter", f"--net={netns}", "iptables-restore", "--noflush"]
    text = "\n".join(["*nat", *lines, "COMMIT\n"])
    done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip()}\n{text}")
