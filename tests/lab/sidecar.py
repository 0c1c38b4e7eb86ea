"""lbgen with a real proxy, as an operator would run it, inside one of the lab's network namespaces."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from lbgen.proxies.haproxy import apply as haproxy
from lbgen.proxies.haproxy.runtime_api import GENERATION
from tests.lab import probe
from tests.lab.host import wait_for
from tests.lab.node import Node
from tests.lab.settings import LabError
from tests.lab.traffic import Traffic

ROOT = Path(__file__).parents[2]
WEB, PG = 8000, 8432  # ports of the two listeners


class Sidecar:
    """One `lbgen run`, with the HAProxy it supervises."""

    kind = "haproxy"

    def __init__(self, directory: Path, netns: str | None, settings: dict[str, Any]) -> None:
        self.directory, self.netns = directory, netns
        self.output, self.log_file = directory / "edge", directory / "lbgen.log"
        self._settings = directory / "lbgen.yml"
        self._settings.write_text(yaml.safe_dump(settings))
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False

    def start(self) -> None:
        """Start lbgen; it starts the proxy."""
        self._killed = False
        enter = ["nsenter", f"--net={self.netns}"] if self.netns else []
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LBGEN_")}
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*enter, sys.executable, "-m", "lbgen", "run", "--config", str(self._settings)],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> int:
        """End lbgen as a service manager would; return its exit code."""
        assert self._process
        self._process.terminate()
        return self._process.wait(30)

    def kill(self) -> None:
        """Kill lbgen alone, as the kernel does when memory is short; its proxy goes on."""
        assert self._process
        self._process.kill()
        self._process.wait(30)
        self._killed = True

    def drain(self, *words: str) -> None:
        """Run ``lbgen drain`` beside it, as an operator on its machine does."""
        self.command("drain", *words)

    def command(self, name: str, *words: str) -> str:
        """What one of lbgen's commands prints beside it; a LabError if it fails."""
        enter = ["nsenter", f"--net={self.netns}"] if self.netns else []
        command = [*enter, sys.executable, "-m", "lbgen", name, "--config", str(self._settings), *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LabError(f"lbgen {name} {' '.join(words)}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    @property
    def log(self) -> str:
        """What lbgen and its proxy have said so far."""
        return self.log_file.read_text()

    def file(self, name: str = "haproxy.cfg") -> str:
        """One of the rendered files, empty while it does not exist."""
        path = self.output / name
        return path.read_text() if path.exists() else ""

    def servers(self, backend: str) -> dict[str, str]:
        """{server name: "address:port" and what follows} as the file on disk says, "check" and comments left out."""
        found = re.search(rf"^backend {re.escape(backend)}\n((?:[ ].*\n)*)", self.file(), re.MULTILINE)
        lines = re.findall(r"^ +server (\S+) (.*)$", found[1], re.MULTILINE) if found else []
        return {name: rest.partition("  #")[0].replace(" check", "") for name, rest in lines}

    def live(self) -> bool:
        """Whether HAProxy serves the generation that is on disk."""
        found = re.search(r"set-var proc.lbgen_generation str\((\w+)\)", self.file())
        try:
            served = haproxy.ask(self.output / "haproxy.sock", f"get var {GENERATION}")
            return found is not None and f"<{found[1]}>" in served
        except haproxy.ProxyUnreachable:
            return False

    def has(self, backend: str, expected: dict[str, str]) -> bool:
        """Whether the backend has exactly these servers; a server that drains ends in " weight 0"."""
        return self.servers(backend) == expected

    def wait_servers(self, backend: str, expected: dict[str, str], timeout: float = 40) -> None:
        """Wait until the backend has exactly these servers, live."""

        def settled() -> bool:
            if not self.has(backend, expected) or not self.live():
                raise LabError(f"it has {self.servers(backend)}")
            return True

        wait_for(settled, timeout, f"{self.kind}: backend {backend} to have {expected}, live")

    def end_proxy(self) -> None:
        """End a proxy whose lbgen was killed."""
        try:
            said = haproxy.ask(self.output / "master.sock", "show proc")
        except haproxy.ProxyUnreachable:
            return
        if found := re.search(r"^(\d+)\s+master", said, re.MULTILINE):
            os.kill(int(found[1]), signal.SIGTERM)
            time.sleep(0.1)

    def wait_quiet(self, seconds: float = 3, timeout: float = 60) -> None:
        """Wait until nothing was changed for that long, and what is live is on disk too."""

        def quiet() -> bool:
            before = self.log.count(" applied ")
            time.sleep(seconds)
            return self.log.count(" applied ") == before and self.live()

        wait_for(quiet, timeout, "lbgen to have nothing to do")

    def get(self, host: str, path: str = "/", **options: Any) -> probe.Answer:
        """One request through the proxy."""
        return probe.get("127.0.0.1", WEB, path, host=host, netns=self.netns, **options)

    def responders(self, host: str, requests: int = 30, path: str = "/") -> set[str]:
        """Who answers that many requests."""
        return {self.get(host, path).app for _ in range(requests)}

    def tcp_responders(self, connections: int) -> set[str]:
        """Who answers that many connections to the TCP listener."""
        return {probe.tcp_get("127.0.0.1", PG, netns=self.netns) for _ in range(connections)}

    def wait_responders(self, host: str, expected: set[str], timeout: float = 40, path: str = "/") -> None:
        """Wait until exactly these applications answer, all of them."""

        def settled() -> bool:
            try:
                return self.responders(host, 4 * len(expected), path) == expected
            except OSError:
                return False

        wait_for(settled, timeout, f"{self.kind}: {host} to be answered by {expected}")

    def traffic(self, host: str, **options: Any) -> Traffic:
        """Traffic through the proxy."""
        return Traffic(f"http://127.0.0.1:{WEB}/", host=host, netns=self.netns, **options)


class FileSidecar(Sidecar):
    """One whose proxy takes whole files only: leaving servers are left out, and lbgen's log says what is live."""

    def has(self, backend: str, expected: dict[str, str]) -> bool:
        """Whether it has these addresses: its files name no servers."""
        wanted = [address for address in expected.values() if " " not in address]
        return sorted(self.servers(backend).values()) == sorted(wanted)

    def live(self) -> bool:
        """Whether the generation that lbgen proved last is on disk."""
        found = re.findall(r" applied .* generation=(\w+)$", self.log, re.MULTILINE)
        return bool(found) and found[-1] in self.file()

    def end_proxy(self) -> None:
        """Take it over with another lbgen, and end that."""
        if not self._killed:
            return
        self.start()
        wait_for(lambda: "proxy_taken_over" in self.log, 30, "the proxy to be taken over")
        self.stop()


class NginxSidecar(FileSidecar):
    """With Nginx."""

    kind = "nginx"

    def file(self, name: str = "nginx.conf") -> str:
        return super().file(name)

    def servers(self, backend: str) -> dict[str, str]:
        found = re.search(rf"^ *upstream {re.escape(backend)} {{\n(.*?)^ *}}", self.file(), re.MULTILINE | re.DOTALL)
        addresses = re.findall(r"^ *server ([0-9.]+:\d+)", found[1], re.MULTILINE) if found else []
        return {address: address for address in addresses}


class TraefikSidecar(FileSidecar):
    """With Traefik."""

    kind = "traefik"

    def file(self, name: str = "dynamic/lbgen.yml") -> str:
        return super().file(name)

    def servers(self, backend: str) -> dict[str, str]:
        document = yaml.safe_load(self.file()) or {}
        for protocol, key in (("http", "url"), ("tcp", "address")):
            service = document.get(protocol, {}).get("services", {}).get(backend)
            if service:
                found = [server[key].removeprefix("http://") for server in service["loadBalancer"].get("servers") or ()]
                return {address: address for address in found}
        return {}


class Fleet:
    """Several sidecars that follow the same Swarm: whatever is asked of it is asked of each."""

    def __init__(self, *sidecars: Sidecar) -> None:
        self.sidecars = sidecars

    def wait_servers(self, backend: str, expected: dict[str, str], timeout: float = 40) -> None:
        """Wait until each has exactly these servers, live."""
        for sidecar in self.sidecars:
            sidecar.wait_servers(backend, expected, timeout)

    def wait_responders(self, host: str, expected: set[str]) -> None:
        """Wait until exactly these applications answer through each."""
        for sidecar in self.sidecars:
            sidecar.wait_responders(host, expected)

    def wait_status(self, host: str, status: int) -> None:
        """Wait until each answers with this status."""
        for sidecar in self.sidecars:
            wait_for(
                lambda sidecar=sidecar: sidecar.get(host).status == status, 30, f"{sidecar.kind}: {host}: {status}"
            )

    @contextmanager
    def traffic(self, host: str, **options: Any) -> Iterator[list[Traffic]]:
        """Traffic through each; through Nginx on new connections only, since a reload of it resets idle ones."""
        with ExitStack() as stack:
            yield [
                stack.enter_context(sidecar.traffic(host, keepalive=sidecar.kind != "nginx", **options))
                for sidecar in self.sidecars
            ]


KINDS: dict[str, type[Sidecar]] = {"haproxy": Sidecar, "nginx": NginxSidecar, "traefik": TraefikSidecar}


def settings(output: Path, manager: Node | str, kind: str = "haproxy", **more: Any) -> dict[str, Any]:
    """Settings with one HTTP and one TCP listener; ``more`` replaces sections.

    Args:
        manager: followed with its push stream; an endpoint alone is followed by events and listing.
    """
    if isinstance(manager, str):
        docker = {"endpoints": [manager], "control_socket": "off"}
    else:
        docker = {"endpoints": [f"unix://{manager.socket}"], "control_socket": str(manager.control_socket)}
    binary = {"binary": str(Path(sys.executable).parent / "traefik")} if kind == "traefik" else {}
    return {
        "source": {"docker": docker},
        "state": str(output.parent / "state"),
        "status": {"bind": ""},
        "listeners": {"web": {"bind": f":{WEB}"}, "pg": {"bind": f":{PG}", "protocol": "tcp"}},
        "targets": {"edge": {"templates": kind, "output": str(output), "apply": {"run": True}, **binary}},
        **more,
    }


@contextmanager
def sidecar(netns: str | None, manager: Node | str, kind: str = "haproxy", **more: Any) -> Iterator[Sidecar]:
    """Run lbgen and a proxy for the length of a block."""
    # Not tmp_path: the path of a unix socket may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="lbgen-") as directory:
        made = KINDS[kind](Path(directory), netns, settings(Path(directory) / "edge", manager, kind, **more))
        made.start()
        try:
            yield made
        finally:
            made.stop()
            made.end_proxy()
            print(made.log)  # pytest shows it with a failure
