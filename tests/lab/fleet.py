"""Hubs beside the managers of a Swarm, and edges that can only dial out.

Edge e1 is on the nodes' network, behind a firewall that drops whatever it has not asked for. Edge e2 and the Docker
host `box` are somewhere else: they reach the nodes, and with them the hubs, through a VPN alone, and have the same
firewall on their cable. Each edge has a HAProxy of its own; who asks it is inside its namespace.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lbgen.snapshot import Snapshot, moment
from lbgen.source.file import load
from lbgen.source.hub.identity import Identity
from lbgen.source.hub.source import HubSource
from tests.lab import app_image, host
from tests.lab.expected import host_servers
from tests.lab.fleet_daemon import Daemon, at_once, printed
from tests.lab.host import wait_for
from tests.lab.node import Node
from tests.lab.service import Service, host_port
from tests.lab.services import Lab
from tests.lab.sidecar import WEB
from tests.lab.vpn import Vpn, inner, sweep
from tests.support.hub_and_edges import Following
from tests.support.quiet_source import GivenSource

HUB = 9443  # port
EDGES = {"e1": 7, "e2": 8}  # indexes of their namespaces
BOX = 9
HOST, WEB_HOST = "shop.test", "web.test"  # of the Swarm's service, and of the one on the box
OFFERED = "lbgen.service"  # label of containers that agents offer
TEMPLATE = "{% extends 'haproxy/haproxy.cfg.j2' %}{% block extra %}\n# version EXTRA\n{% endblock %}"


class Fleet:
    """The hubs, the edges and the box, and a service that the edges serve."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab, self.directory = lab, directory
        self.authority = directory / "authority.pem"
        self.handed_out = directory / "handed-out"
        self.vpn = Vpn(lab.settings, 1, (EDGES["e2"], BOX))
        self.box = Node(lab.settings, BOX)
        self.urls = [f"https://{node.address}:{HUB}" for node in lab.nodes.values()]
        self.hubs: dict[str, Daemon] = {}
        self.edges: dict[str, Daemon] = {}
        self.service: Service

    @contextlib.contextmanager
    def running(self) -> Iterator[Fleet]:
        """Have all of it while the block runs."""
        with ExitStack() as stack:
            clear(self.lab)
            stack.callback(clear, self.lab)
            for index in (*EDGES.values(), BOX):
                host.open_namespace(self.lab.settings, index)
            stack.callback(self.vpn.down)
            self.vpn.up()
            # Where the lab's engines listen: the box has lost that address with its way to the nodes.
            host.run("ip", "-n", self.lab.settings.netns(BOX), "address", "add", f"{self.box.address}/32", "dev", "lo")
            self.box.launch()
            self.vpn.join(EDGES["e1"])
            for index in EDGES.values():
                close(self.netns(index), "!", "-i", "lo")
            close(self.netns(BOX), "-i", "eth0")
            self._serve()
            printed("hub", "init", "--dir", str(self.directory))
            for name, node in zip(("m1", "m2", "m3"), self.lab.nodes.values(), strict=True):
                self.hubs[name] = Daemon(name, self.directory / name, node.netns, self._hub(name, node))
            for name, index in EDGES.items():
                self.edges[name] = Daemon(name, self.directory / name, self.netns(index), self._edge(name))
            for daemon in (*self.hubs.values(), *self.edges.values()):
                stack.callback(lambda daemon=daemon: print(f"== {daemon.name}\n{daemon.log}"))
                stack.callback(daemon.off)
            for hub in self.hubs.values():
                hub.start()
            at_once(Daemon.wait_ready, list(self.hubs.values()))
            at_once(self.join, list(EDGES))
            for edge in self.edges.values():
                edge.start()
            self.service.wait()
            self.wait_served()
            yield self

    def netns(self, index: int) -> str:
        """The path of a namespace."""
        return str(host.NETNS / self.lab.settings.netns(index))

    def token(self, name: str, *words: str) -> str:
        """A token for an edge."""
        return printed("hub", "token", name, "--authority", str(self.authority), *words)

    def join(self, name: str, *words: str) -> None:
        """Have an edge join with a new token."""
        self._join(self.edges[name], self.token(name), *words)

    def _join(self, edge: Daemon, token: str, *words: str) -> None:
        words = ("--token", token, "--state", str(edge.state / "edge"), *words)
        printed("join", self.urls[0], *words, netns=edge.netns)

    def wait_served(self, *names: str) -> None:
        """Wait until edges, all if none is named, serve exactly what Swarm has of the service."""
        expected = wait_for(lambda: host_servers(self.service), 30, "the tasks' ports")
        for name in names or self.edges:
            self.edges[name].wait_servers("shop", expected, 60)

    def scale(self, replicas: int) -> None:
        """Scale the service, as soon as the Swarm can do it."""

        def done() -> bool:
            self.service.scale(replicas)
            return True

        wait_for(done, 60, f"{self.service.name} to be scaled to {replicas}")

    def lag(self, edge: str, began: float) -> float:
        """Seconds from when Swarm's engine says of the newest task that it runs to live at an edge."""
        newest = max(self.service.running(), key=lambda task: moment(task["Status"]["Timestamp"]))
        live = self.edges[edge].live_at(f"{self.service.name}.{newest['Slot']}", began)
        return live - moment(newest["Status"]["Timestamp"])

    def on_disk(self, name: str) -> bool:
        """Whether an edge that boots now would begin with the tasks that there are."""
        kept = load(self.edges[name].state / "edge" / "facts.json").tasks.values()
        running = {task.id for task in kept if task.state == task.desired_state == "running"}
        return running == {task["ID"] for task in self.service.running()}

    @contextlib.contextmanager
    def traffic(self, *names: str, rate: float = 60) -> Iterator[dict[str, Any]]:
        """Traffic at edges, at all if none is named: {name: the account}."""
        names = names or tuple(self.edges)
        made = {name: self.edges[name].traffic(HOST, rate=rate, timeout=10) for name in names}
        with ExitStack() as stack:
            at_once(stack.enter_context, list(made.values()))
            yield made

    @contextlib.contextmanager
    def cut_off(self, *names: str, hub: str = "") -> Iterator[None]:
        """While in the block edges reach no hub, or not this one: packets are lost, and nobody says so."""
        where = [self.lab.nodes[f"n{hub[1:]}"].address if hub else self.lab.settings.subnet]
        rules = [
            ["OUTPUT", "-p", "tcp", "--dport", str(HUB), "-d", *where, "-j", "DROP"],
            ["INPUT", "-p", "tcp", "--sport", str(HUB), "-s", *where, "-j", "DROP"],
        ]
        changes = [(self.netns(EDGES[name]), rule) for name in names for rule in rules]
        for netns, rule in changes:
            iptables(netns, "-I", *rule)
        try:
            yield
        finally:
            for netns, rule in changes:
                iptables(netns, "-D", *rule)

    def hand_out(self, extra: str, settings: str = "discovery: {drain_grace: 5s}") -> None:
        """Save a version of what the first hub hands out, in whose configuration there is something of its own."""
        templates = self.handed_out / "all" / "templates" / "haproxy"
        templates.mkdir(parents=True, exist_ok=True)
        texts = {
            self.handed_out / "all" / "group.yml": "edges: ['*']\n",
            self.handed_out / "all" / "settings.yml": settings,
            templates / "haproxy.cfg.j2": TEMPLATE.replace("EXTRA", extra),
        }
        for path, text in texts.items():
            path.write_text(text)

    def rollout(self) -> dict[str, Any]:
        """What `lbgen hub rollout status` would show; the command each time would cost a lot."""
        document: dict[str, Any] = json.loads((self.hubs["m1"].state / "hub" / "fleet" / "rollout.json").read_text())
        return document

    def until(self, phase: str) -> dict[str, Any]:
        """Wait for a phase of the rollout."""
        wait_for(lambda: self.rollout()["rollout"]["phase"] == phase, 60, f"phase {phase}")
        return self.rollout()

    def serve(self, version: str) -> bool:
        """Whether both edges serve by a version that was handed out."""
        return all(f"# version {version}\n" in edge.file() and edge.live() for edge in self.edges.values())

    @contextlib.contextmanager
    def agent(self, node: Node | None = None) -> Iterator[Daemon]:
        """While in the block an agent offers what runs on the box, or on a node beside its Swarm's tasks."""
        where = node or self.box
        where.wait_ready()
        where.api("POST", "/images/load", app_image.archive()[0], timeout=60)
        hub = {"urls": self.urls, "offer": {"endpoint": f"unix://{where.socket}"}}
        quiet = {"status": {"bind": ""}} if node else {}  # on a node its hub has that port
        name = f"agent-{node.name}" if node else "box"
        agent = Daemon(name, self.directory / name, where.netns, {"source": {"hub": hub}, **quiet})
        self._join(agent, self.token(name, "--offer", self.address(where)))
        agent.start()
        try:
            yield agent
        finally:
            agent.off()
            print(f"== {agent.name}\n{agent.log}")
            printed("hub", "revoke", name, "--state", str(self.hubs["m1"].state / "hub"))
            for each in where.docker("ps", "--all", "--quiet", "--filter", f"label={OFFERED}").split():
                where.docker("rm", "--force", each)
            shutil.rmtree(agent.directory)

    def address(self, node: Node) -> str:
        """Where edges reach what a node publishes, or the box."""
        return inner(BOX) if node is self.box else node.address

    def run(self, name: str, node: Node | None = None) -> str:
        """Run another container of a service NAME.test on the box, or on a node; return what it calls itself."""
        labels = {"lbgen.enable": "true", "lbgen.host": f"{name}.test", OFFERED: name, "lbgen.port": "8080"}
        words = ["--publish", "8080", *(f"--label={key}={value}" for key, value in labels.items())]
        return (node or self.box).docker("run", "--detach", *words, self.lab.images["app"], "--on-term", "drain:1")[:12]

    def published(self, container: str) -> str:
        """Where edges reach a container on the box: "address:port"."""
        port = self.box.docker("port", container, "8080").split()[0].rpartition(":")[2]
        return f"{self.address(self.box)}:{port}"

    @contextlib.contextmanager
    def saying(self, agent: Daemon, facts: Snapshot) -> Iterator[None]:
        """While in the block somebody with an agent's key and certificate offers these facts to all hubs."""
        offered = GivenSource()
        offered.give(facts)
        source = HubSource(self.urls, Identity(agent.state / "edge"), facts=False, offer=offered)
        with contextlib.closing(Following(source)):
            yield

    def offers(self, agent: Daemon) -> list[dict[str, Any]]:
        """How it goes with an agent, as each of the hubs has it; none: they do not know it."""
        parts = [each for hub in self.hubs.values() for each in hub.source.get("parts", ())]
        return [each for each in parts if each["name"] == agent.name]

    def _serve(self) -> None:
        """A service on the nodes that do not lead: their containers stay where they are when the leader goes."""
        labels = {"lbgen.enable": "true", "lbgen.host": HOST, "lbgen.via": "host", "lbgen.port": "8080"}
        self.service = self.lab.service(
            "shop",
            replicas=2,
            publish=[host_port()],
            labels=labels,
            args=["--on-term", "drain:1"],
            constraints=[f"node.hostname!={self.lab.leader.name}"],
            update_order="start-first",
            wait=False,
        )

    def _hub(self, name: str, node: Node) -> dict[str, Any]:
        docker = {"endpoints": [f"unix://{node.socket}"], "control_socket": str(node.control_socket)}
        hub: dict[str, Any] = {"bind": f":{HUB}", "authority": str(self.authority), "name": name, "peers": self.urls}
        if name == "m1":
            self.handed_out.mkdir()
            hub["fleet"] = {"directory": str(self.handed_out), "canaries": ["e1"], "pause": "1s"}
        return {"source": {"docker": docker}, "hub": hub}

    def _edge(self, name: str) -> dict[str, Any]:
        return {
            "source": {"hub": {"urls": self.urls, "accept": ["templates", "discovery"]}},
            "listeners": {"web": {"bind": f":{WEB}"}},
            "targets": {
                "edge": {"templates": "haproxy", "output": str(self.directory / name / "edge"), "apply": {"run": True}}
            },
        }


def close(netns: str, *interfaces: str) -> None:
    """Drop whatever comes in by these interfaces and was not asked for; for ports that Docker publishes, too."""
    new = ["-m", "conntrack", "--ctstate", "NEW", "-j", "DROP"]
    iptables(netns, "-t", "mangle", "-A", "PREROUTING", *interfaces, *new)


def iptables(netns: str, *words: str) -> None:
    host.run("nsenter", f"--net={netns}", "iptables", "-w", "10", *words)


def clear(lab: Lab) -> None:
    """Remove what a fleet has made in the lab, or an earlier one that was killed has left there."""
    settings, own = lab.settings, [*EDGES.values(), BOX]
    nodes = [settings.netns(node.index) for node in lab.nodes.values()]
    box = (f"{settings.directory}/n{BOX}/", f"/{settings.cgroup}/n{BOX}/", list(map(settings.netns, own)))
    host.kill(lambda: host.processes_of(*box) | set(filter(_is_ours, host.processes_of("\0", "\0", nodes))))
    sweep(settings)
    shutil.rmtree(settings.directory / f"n{BOX}", ignore_errors=True)
    for index in own:
        host.run("ip", "netns", "delete", settings.netns(index), check=False)
        host.run("ip", "link", "delete", settings.veth(index), check=False)


def _is_ours(pid: int) -> bool:
    """Whether a process in a node's namespace is a fleet's."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False  # ended meanwhile
    return re.search(r"\0-m\0lbgen\0run\0|^wireguard-go\0", words) is not None
