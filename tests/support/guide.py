"""The machines of docs/fleet.md on loopback, and its commands as they stand there.

Each machine is a directory with files (``etc``, ``opt``, ``var``) and ports of its own. Real: lbgen in each of
its places, HAProxy, curl, every file of deploy/fleet. Stand-ins, in ``tools``: docker, apt-get, systemd, accounts, and
copying between machines.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.wait import PATIENCE, wait_for

HUBS = ("m1", "m2", "m3")
_BLOCK = re.compile(r"^```(sh|yaml)\n# ([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_START = """
pid() { cat "$R/pid" 2>/dev/null; }
start() { "$@" </dev/null >>"$R/log" 2>&1 & echo $! > "$R/pid"; }
stop() { kill "$(pid)"; while kill -0 "$(pid)" 2>/dev/null; do sleep 0.05; done; rm "$R/pid"; }
"""
TOOLS = {
    "apt-get": "",
    "useradd": "",
    "scp": 'for to; do :; done; cp "$1" "$ALL/${to%:}/home/"',
    "runuser": 'shift 3; exec "$@"',
    "python3": '[ "$1 $2" = "-m venv" ]; mkdir -p "$3/bin"; ln -s "$ALL/lbgen" "$3/bin/lbgen"; '
    'ln -s /bin/true "$3/bin/pip"',
    "install": """
words=()
while [ $# -gt 0 ]; do case $1 in -o|-g) shift;; *) words+=("$1");; esac; shift; done
exec /usr/bin/install "${words[@]}"
""",
    "systemctl": _START
    + """
case "$*" in
daemon-reload|"disable --now haproxy") ;;
"enable --now "*|"start "*)
    for unit; do :; done
    start $(sed -n "s/^ExecStart=//p" "$R/etc/systemd/system/$unit.service");;
"stop "*) stop;;
*) exit 64;;
esac
""",
    "docker": _START
    + """
case "$1 $2" in
"build "*) ;;
"secret create") install -D -m 600 "$4" "$ALL/secrets/$3";;
"stack deploy")
    for hub in m1 m2 m3; do
        R=$ALL/$hub
        install -D -m 600 "$ALL/secrets/lbgen-hub" "$R/run/secrets/lbgen-hub"
        install -D -m 644 "$R/deploy/fleet/hub-lbgen.yml" "$R/etc/lbgen/lbgen.yml"
        mkdir -p "$R/var/lib/lbgen"
        (. "$R/environment"; export LBGEN_CONFIG=$R/etc/lbgen/lbgen.yml; start "$ALL/lbgen" run)
    done;;
"ps --quiet") echo "${4#name=}";;
"exec lbgen_hub") shift 3; exec "$ALL/lbgen" "$@";;
"cp "*) cp -r "${2#*:}" "$3";;
"service update")
    for hub in m1 m2 m3; do install -m 600 "$ALL/secrets/lbgen-hub-2" "$ALL/$hub/run/secrets/lbgen-hub"; done;;
*) exit 64;;
esac
""",
}


@dataclass(frozen=True)
class Block:
    """One fenced block of the page."""

    language: str
    place: str  # "on MACHINE" of commands, else a file
    text: str


def blocks_of(page: str) -> list[Block]:
    """Return the blocks whose first line says where they belong."""
    return [Block(*match.groups()) for match in _BLOCK.finditer(page)]


class Machines:
    """All machines of the page, by name."""

    def __init__(self, directory: Path, sockets: dict[str, Path]) -> None:
        """
        Args:
            sockets: that of Docker, by machine.
        """
        self.directory, self._sockets = directory, sockets
        self._hub_ports = {hub: free_port() for hub in HUBS}
        self.web: dict[str, int] = {}
        self.status: dict[str, int] = {}
        tools = directory / "tools"
        tools.mkdir()
        for name, script in {**TOOLS, "../lbgen": f'exec {sys.executable} -m lbgen "$@"'}.items():
            (tools / name).write_text(f"#!/bin/bash -e\n{script}\n")
            (tools / name).chmod(0o755)
        self._tools = tools
        for name in ("admin", *HUBS, "edge1", "edge2", "box1"):
            self._make(name)

    def _make(self, name: str) -> None:
        root = self.directory / name
        (root / "home").mkdir(parents=True)
        (root / "etc/systemd/system").mkdir(parents=True)
        (root / "usr/local/bin").mkdir(parents=True)
        self.web[name], self.status[name] = free_port(), free_port()
        for file in (ROOT / "deploy/fleet").iterdir():
            copy = root / "deploy/fleet" / file.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(self.here(name, file.read_text()))
        exported = "".join(f"export {key}='{value}'\n" for key, value in self._environment(name).items())
        (root / "environment").write_text(exported)

    def _environment(self, name: str) -> dict[str, str]:
        root = self.directory / name
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("LBGEN", "DOCKER"))}
        own = {
            "PATH": f"{self._tools}:{root}/usr/local/bin:{inherited['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(root / "home"),
            "R": str(root),
            "ALL": str(self.directory),
            "LBGEN_STATE": str(root / "var/lib/lbgen"),
            "LBGEN_STATUS__BIND": f"127.0.0.1:{self.status[name]}",
        }
        # The machine's name, which is the container's by the stack file.
        own |= {"LBGEN_HUB__NAME": name} if name in HUBS else {}
        return inherited | own

    def here(self, name: str, text: str) -> str:
        """Return a text with this machine's files and ports in place of the system's."""
        root = self.directory / name
        places = {
            "/var/run/docker.sock": str(self._sockets.get(name, root / "none.sock")),
            "/var/lib/lbgen": f"{root}/var/lib/lbgen",
            "/run/secrets/": f"{root}/run/secrets/",
            "/opt/lbgen": f"{root}/opt/lbgen",
            "/usr/local/bin": f"{root}/usr/local/bin",
            "/etc/": f"{root}/etc/",
            "http://127.0.0.1/": f"http://127.0.0.1:{self.web[name]}/",
            '":80"': f'"127.0.0.1:{self.web[name]}"',
            '":9443"': f'"127.0.0.1:{self._hub_ports.get(name, 0)}"',
            "10.200.0.7": "127.0.0.1",
            **{f"{hub}.example.org:9443": f"127.0.0.1:{port}" for hub, port in self._hub_ports.items()},
        }
        return re.sub("|".join(map(re.escape, places)), lambda match: places[match[0]], text)

    def run(self, name: str, script: str) -> subprocess.CompletedProcess[str]:
        """Run commands on a machine, in its checkout, until one fails."""
        environment = self._environment(name)
        if (config := self.directory / name / "etc/lbgen/lbgen.yml").exists():
            environment["LBGEN_CONFIG"] = str(config)
        return subprocess.run(
            ["bash", "-e", "-c", self.here(name, script)],
            cwd=self.directory / name,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
        )

    def log(self, name: str) -> str:
        """What the lbgen of a machine has said."""
        path = self.directory / name / "log"
        return path.read_text() if path.exists() else ""

    def settle(self) -> None:
        """Wait until every lbgen that runs is ready."""
        for name in self._pids():
            wait_for(lambda name=name: self._is_ready(name) or not self._lives(name), f"{name} to be ready")
            assert self._lives(name), f"{name} has ended: {self.log(name)}"

    def document(self, name: str) -> dict[str, object]:
        """What `lbgen status` has of a machine, as JSON."""
        status, body = self._asked(self.status[name], "/api/v1/status")
        return json.loads(body) if status == 200 else {}

    def answer(self, name: str, host: str) -> int:
        """The status that a client is answered by the proxy of a machine; 0: none."""
        return self._asked(self.web[name], "/", host)[0]

    def end(self) -> None:
        """End all that runs."""
        for name, pid in self._pids().items():
            if self._lives(name):
                os.kill(pid, signal.SIGTERM)
        for name in self._pids():
            wait_for(lambda name=name: not self._lives(name), f"{name} to end")

    def _pids(self) -> dict[str, int]:
        return {path.parent.name: int(path.read_text()) for path in sorted(self.directory.glob("*/pid"))}

    def _lives(self, name: str) -> bool:
        try:
            said = Path(f"/proc/{self._pids()[name]}/stat").read_text()
        except OSError:
            return False
        return said.rpartition(")")[2].split()[0] != "Z"

    def _is_ready(self, name: str) -> bool:
        return self._asked(self.status[name], "/readyz")[0] == 200

    def _asked(self, port: int, path: str, host: str = "") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers={"Host": host} if host else {})
            reply = connection.getresponse()
            return reply.status, reply.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()
