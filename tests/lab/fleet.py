"""Hubs beside the managers of a Swarm, and edges that can only dial out.

Edge e1 is on the nodes' network, behind a firewall that drops whatever it has not asked for. Edge e2 and the Docker
host `box` are somewhere else: they reach the nodes, and with them the hubs, through a VPN alone, and have the same
firewall on their cable. Each edge has a HAProxy of its own; who asks it is inside its namespace.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from lbgen.snapshot import moment
from tests.lab import host, probe
from tests.lab.expected import host_servers
from tests.lab.host import wait_for
from tests.lab.node import Node
from tests.lab.service import Service, host_port
from tests.lab.services import Lab
from tests.lab.settings import LabError
from tests.lab.sidecar import ROOT, WEB, Sidecar
from tests.lab.vpn import Vpn, sweep

T = TypeVar("T")
HUB, STATUS = 9443, 9099  # ports
EDGES = {"e1": 7, "e2": 8}  # indexes of their namespaces
BOX = 9
HOST = "shop.test"


def lbgen(*words: str, netns: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of lbgen's, in a namespace or here, to its end."""
    enter = ["nsenter", f"--net={netns}"] if netns else []
    command = [*enter, sys.executable, "-m", "lbgen", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def printed(*words: str, netns: str | None = None) -> str:
    """What a command prints; a LabError if it fails."""
    done = lbgen(*words, netns=netns)
    if done.returncode != 0:
        raise LabError(f"lbgen {' '.join(words)}: {done.stderr}")
    return done.stdout.strip()


def at_once(action: Callable[[Any], T], items: Sequence[Any]) -> list[T]:
    """Do something with all of them at the same time."""
    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(action, items))


class Daemon(Sidecar):
    """A hub, an edge or an agent: one lbgen, and what it says of itself."""

    def __init__(self, name: str, directory: Path, netns: str, document: dict[str, Any]) -> None:
        directory.mkdir()
        self.name, self.state = name, directory / "state"
        own = {"state": str(self.state), "status": {"bind": f"127.0.0.1:{STATUS}"}, "targets": {}}
        super().__init__(directory, netns, own | document)

    @property
    def runs(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def api(self, what: str) -> Any:
        """What its API says; a LabError while it says nothing."""
        answer = probe.get("127.0.0.1", STATUS, f"/api/v1/{what}", netns=self.netns)
        if answer.status != 200:
            raise LabError(f"{self.name}: /api/v1/{what}: {answer.status}")
        return json.loads(answer.body)

    def ready(self) -> bool:
        """Whether it says that it is ready."""
        return probe.get("127.0.0.1", STATUS, "/readyz", netns=self.netns).status == 200

    def wait_ready(self) -> None:
        wait_for(self.ready, 60, f"{self.name} to be ready", 0.05)

    @property
    def source(self) -> dict[str, Any]:
        """How it goes with where its facts come from."""
        return self.api("status")["source"]

    @property
    def hub(self) -> str:
        """The name of the hub that it follows; "" while there is none."""
        return next((each["name"] for each in self.source["members"] if each["mode"] == "push"), "")

    def wait_hub(self, *names: str) -> str:
        """Wait until it follows one of these hubs, any if none is named, and return its name."""
        return wait_for(
            lambda: (found := self.hub) and (not names or found in names) and found,
            60,
            f"{self.name} to follow hub {' or '.join(names)}",
            0.02,
        )

    def stop(self) -> int:
        return super().stop() if self.runs else 0

    def off(self) -> None:
        """Take the power away: lbgen and its proxy are gone at once."""
        if self.runs:
            self.kill()
        for pid in host.processes_of("\0", "\0", [Path(str(self.netns)).name]):
            with contextlib.suppress(OSError):
                if str(self.directory) in Path(f"/proc/{pid}/cmdline").read_text():
                    os.kill(pid, signal.SIGKILL)

    def live_at(self, name: str, since: float) -> float:
        """Wait until a task of this name that runs since then is live; return when it was, in seconds since 1970."""

        def told() -> float:
            for change in self.api("history")["changes"]:
                texts = [cause["text"] for cause in change["causes"]]
                if moment(change["at"]) > since and any(
                    f"task {name} " in text and "running" in text for text in texts
                ):
                    return moment(change["at"])
            return 0.0

        return wait_for(told, 30, f"{self.name}: a change because {name} runs", 0.05)


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
        self.agent: Daemon
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
        edge = self.edges[name]
        url = self.urls[0]
        printed("join", url, "--token", self.token(name), "--state", str(edge.state / "edge"), *words, netns=edge.netns)

    def wait_served(self, *names: str) -> None:
        """Wait until edges, all if none is named, serve exactly what Swarm has of the service."""
        expected = host_servers(self.service)
        for name in names or self.edges:
            self.edges[name].wait_servers("shop", expected, 60)

    def scale(self, replicas: int) -> str:
        """Scale the service, as soon as the Swarm can do it; return the name of the last task."""

        def done() -> bool:
            self.service.scale(replicas)
            return True

        wait_for(done, 60, f"{self.service.name} to be scaled to {replicas}")
        return f"{self.service.name}.{replicas}"

    def lag(self, edge: str, name: str, began: float) -> float:
        """Seconds from when Swarm's engine says that a task runs to live at an edge."""
        live = self.edges[edge].live_at(name, began)
        slot = int(name.rpartition(".")[2])
        (task,) = [task for task in self.service.running() if task["Slot"] == slot]
        return live - moment(task["Status"]["Timestamp"])

    @contextlib.contextmanager
    def traffic(self, *names: str, rate: float = 60) -> Iterator[dict[str, Any]]:
        """Traffic at edges, at all if none is named: {name: the account}."""
        names = names or tuple(self.edges)
        made = {name: self.edges[name].traffic(HOST, rate=rate, timeout=10) for name in names}
        with ExitStack() as stack:
            at_once(stack.enter_context, list(made.values()))
            yield made

    @contextlib.contextmanager
    def cut_off(self, *names: str) -> Iterator[None]:
        """While in the block edges reach no hub: nothing comes back, and nothing says so."""
        rule = ["OUTPUT", "-p", "tcp", "--dport", str(HUB), "-j", "DROP"]
        for name in names:
            iptables(self.netns(EDGES[name]), "-I", *rule)
        try:
            yield
        finally:
            for name in names:
                iptables(self.netns(EDGES[name]), "-D", *rule)

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
