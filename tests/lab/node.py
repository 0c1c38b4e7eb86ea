"""One node of the lab: a dockerd in a network namespace of its own."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.lab import engine, engines, host
from tests.lab.certificates import certificates
from tests.lab.settings import LabError, Settings

TLS_PORT = 2376  # where the engine can be asked from other machines, with a certificate of the lab's authority
# Not "ip netns exec": that hides the control group mounts. The mount namespace keeps the daemon's mounts out
# of the host's table, and the kernel drops them with the daemon. /usr may be another release's: bash runs already,
# and what it executes next is found there. setsid --fork: the daemon outlives whatever
# started it.
START = """
hostname "$1"
mount --make-rprivate /
[ -z "$2" ] || mount --rbind "$2" /usr
shift 2
exec "$@"
"""


class Node:
    """A node, whether this process started it or found it running."""

    def __init__(self, settings: Settings, index: int) -> None:
        self.settings, self.index = settings, index
        self.name = f"n{index}"  # also the node's host name in Swarm
        self.address = settings.address(10 + index)
        self.directory = settings.directory / self.name
        self.socket = self.directory / "docker.sock"
        self.exec_root = self.directory / "exec"  # swarm/control.sock is below it
        self.netns = str(host.NETNS / settings.netns(index))  # for nsenter --net=
        self.log = self.directory / "dockerd.log"
        self.swarm_id = ""  # id of the node in Swarm, once it has joined

    def __repr__(self) -> str:
        return f"<Node {self.name} {self.address}>"

    @property
    def pid(self) -> int:
        """Process id of the dockerd, 0 while there is none."""
        return self._pid_in(self.directory / "dockerd.pid")

    @property
    def control_socket(self) -> Path:
        """Where swarmkit serves its gRPC API, on a manager."""
        return self.exec_root / "swarm" / "control.sock"

    @property
    def paused(self) -> bool:
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        except OSError:
            return False

    @property
    def running(self) -> bool:
        """True while the daemon exists and is not paused."""
        return self.pid != 0 and not self.paused

    def launch(self) -> None:
        """Start the daemon, which must not run, and return at once; `wait_ready` waits for it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        usr = engines.usr(self.settings.engine(self.index))
        dockerd = "/usr/sbin/dockerd" if usr else shutil.which("dockerd")
        if dockerd is None:
            raise LabError("no dockerd command: apt-get install docker.io")
        tls = certificates(self.settings.directory / "certs", self.name, self.address)
        daemon = [
            *(dockerd, "--host", f"unix://{self.socket}", "--group", "root"),
            *("--data-root", f"{self.directory}/data", "--exec-root", f"{self.exec_root}"),
            *("--pidfile", f"{self.directory}/dockerd.pid", "--config-file", f"{self.directory}/daemon.json"),
            *("--cgroup-parent", f"/{self.settings.cgroup}/{self.name}"),
            *("--exec-opt", "native.cgroupdriver=cgroupfs", "--shutdown-timeout", "5"),
            *("--host", f"tcp://{self.address}:{TLS_PORT}", "--tlsverify", "--tlscacert", f"{tls.ca}"),
            *("--tlscert", f"{tls.cert}", "--tlskey", f"{tls.key}"),
        ]
        (self.directory / "daemon.json").write_text("{}\n")
        for file in (self.directory / "dockerd.pid", self.exec_root / "containerd" / "containerd.pid"):
            if not self._pid_in(file):
                file.unlink(missing_ok=True)  # dockerd would take a stranger or a zombie for its own
        space = ["nsenter", f"--net={self.netns}", "unshare", "--mount", "--uts"]
        with self.log.open("ab") as log:
            command = ["setsid", "--fork", *space, "bash", "-ec", START, "bash", self.name, str(usr or ""), *daemon]
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True, cwd="/")

    def wait_ready(self, timeout: float = 30) -> None:
        """Wait until the daemon answers on its socket."""
        try:
            ping = functools.partial(self.api, "GET", "/_ping", timeout=2)
            host.wait_for(ping, timeout, f"dockerd of {self.name}", 0.05)
        except LabError as problem:
            tail = self.log.read_text(errors="replace").splitlines()[-8:] if self.log.exists() else []
            raise LabError("\n".join([str(problem), f"end of {self.log}:", *tail])) from problem

    def start(self) -> None:
        """Start a stopped daemon, if it is not running, and wait until it answers."""
        ping = functools.partial(self.api, "GET", "/_ping", timeout=2)
        host.wait_for(lambda: not self.pid or ping(), 30, f"{self.name} to answer or to be gone", 0.05)
        if not self.pid:
            self.launch()
        self.wait_ready()

    def stop(self, kill: bool = False, timeout: float = 30) -> None:
        """Stop the daemon and with it, as on a real machine, its containers.

        Args:
            kill: like pulling the plug: daemon, containerd and containers die by SIGKILL.
        """
        pid = self.pid
        self.resume()
        if kill:
            self._kill_all()
        elif pid:
            os.kill(pid, signal.SIGTERM)
        host.wait_for(lambda: not self.pid, timeout, f"the end of dockerd of {self.name}", 0.05)

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the daemon (SIGSTOP): to Swarm the node falls silent, its containers go on serving."""
        if not self.pid:
            raise LabError(f"{self.name} has no running dockerd to pause")
        os.kill(self.pid, signal.SIGSTOP)
        host.wait_for(lambda: self.paused, 5, f"{self.name} to be paused", 0.01)

    def resume(self) -> None:
        """Undo `pause`; does nothing to a node that is not paused."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGCONT)

    def _kill_all(self) -> None:
        below, cgroup = f"{self.directory}/", f"/{self.settings.cgroup}/{self.name}/"
        for pid in host.processes_of(below, cgroup, [self.settings.netns(self.index)]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _pid_in(self, file: Path) -> int:
        """The process id in a file, 0 if it is not a living process of this node: numbers are used again."""
        try:
            pid = int(file.read_text())
            own = f"{self.directory}/" in Path(f"/proc/{pid}/cmdline").read_text()
        except (OSError, ValueError):
            return 0
        return pid if own and host.alive(pid) else 0

    @property
    def version(self) -> tuple[int, ...]:
        """The engine's version: (20, 10, 24)."""
        return tuple(int(number) for number in re.findall(r"\d+", self.api("GET", "/version")["Version"])[:3])

    def api(self, method: str, target: str, body: Any = None, *, timeout: float = 20, **query: Any) -> Any:
        """One Engine API request to this node; see `engine.api`."""
        return engine.api(self.socket, method, target, body, timeout=timeout, **query)

    def docker(self, *arguments: str, input: bytes | None = None, timeout: float = 60) -> str:
        """Run the docker CLI against this node and return its output."""
        return engine.docker(self.socket, *arguments, input=input, timeout=timeout)

    def containers(self, **filters: list[str]) -> list[dict[str, Any]]:
        """All containers of the node, stopped ones included (`GET /containers/json`)."""
        return self.api("GET", "/containers/json", all="true", filters=filters)
