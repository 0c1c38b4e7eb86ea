"""What the lab needs of the machine it runs on: processes, namespaces, a bridge, and their removal.

Cleaning works without any record of an earlier run. Everything is recognised by the names in `settings`: a
path below the state directory on a command line or in a mount table, the control group of the lab's
containers, a namespace or an interface with the prefix.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from tests.lab.settings import LabError, Settings
from tests.support import wait

T = TypeVar("T")
NETNS = Path("/run/netns")
CGROUPS = Path("/sys/fs/cgroup")


def run(*command: str, check: bool = True) -> str:
    """Run a command and return its output; a failure becomes a LabError with what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def wait_for(condition: Callable[[], T], timeout: float = 30, what: str = "", interval: float = 0.1) -> T:
    """Wait for something in the lab, where daemons come and go: a LabError or OSError counts as "not yet".

    Raises:
        LabError: not within `timeout` seconds; the message has the last value or error.
    """
    return wait.wait_for(condition, what, timeout, interval=interval, not_yet=(LabError, OSError), failure=LabError)


def alive(pid: int) -> bool:
    """True while the process exists and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def missing_tools() -> list[str]:
    """Debian packages to install before a lab can be built."""
    needs = {
        "dockerd": "docker.io",
        "docker": "docker.io",
        "ip": "iproute2",
        "iptables": "iptables",
        "nsenter": "util-linux",
        "gcc": "gcc libc6-dev",
    }
    return sorted({package for tool, package in needs.items() if shutil.which(tool) is None})


def lab_processes(settings: Settings) -> set[int]:
    """Every process of this lab: daemons, shims, containers, and whatever runs in a node's namespace."""
    return processes_of(f"{settings.directory}/", f"/{settings.cgroup}/", _namespaces(settings))


def processes_of(below: str, cgroup: str, namespaces: list[str]) -> set[int]:
    """Daemons with a path `below` in their command line; all processes of a control group or namespaces."""
    spaces = {(NETNS / name).stat().st_ino for name in namespaces if (NETNS / name).exists()}
    return {pid for pid in _pids() if pid != os.getpid() and _belongs(pid, below, cgroup, spaces)}


def _pids() -> Iterator[int]:
    return (int(name) for name in _names(Path("/proc")) if name.isdigit())


def _belongs(pid: int, below: str, cgroup: str, spaces: set[int]) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        daemon = Path(words[0]).name.startswith(("dockerd", "containerd"))
        if daemon and any(below in word for word in words):
            return True
        if Path(f"/proc/{pid}/ns/net").stat().st_ino in spaces:
            return True
        return cgroup in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False  # ended meanwhile


def _namespaces(settings: Settings) -> list[str]:
    return [name for name in _names(NETNS) if settings.owns_netns(name)]


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []


def clean(settings: Settings) -> list[str]:
    """Remove everything a lab with these settings has or left behind; return what was found, in words."""
    found = []
    _thaw(settings)
    if processes := _kill(settings):
        found.append(f"{processes} processes")
    for name in _namespaces(settings):
        run("ip", "netns", "delete", name, check=False)
        found.append(f"namespace {name}")
    for link in filter(settings.owns_link, _names(Path("/sys/class/net"))):
        run("ip", "link", "delete", link, check=False)
        found.append(f"interface {link}")
    run("ip", "route", "delete", "unreachable", settings.overlays, check=False)
    for point in _mounts(settings.directory):
        run("umount", "--lazy", point, check=False)
        found.append(f"mount {point}")
    for socket in settings.wireguard_sockets():
        socket.unlink(missing_ok=True)
        found.append(f"socket {socket}")
    _remove_cgroups(settings)
    if settings.directory.exists():
        shutil.rmtree(settings.directory)
        found.append(f"directory {settings.directory}")
    return found


def _thaw(settings: Settings) -> None:
    """Wake containers that were paused: a frozen process does not even die."""
    for top in [CGROUPS, *(CGROUPS / name for name in _names(CGROUPS))]:
        for name, awake in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
            for switch in (top / settings.cgroup).rglob(name):
                with contextlib.suppress(OSError):
                    switch.write_text(awake)


def _kill(settings: Settings) -> int:
    """Kill the lab's processes; return how many there were."""
    return kill(lambda: lab_processes(settings))


def kill(found: Callable[[], set[int]]) -> int:
    """Kill processes until none is found any more: a shim may start something while it is being killed."""
    count, deadline = 0, time.monotonic() + 10
    while processes := {pid for pid in found() if alive(pid)}:
        count = max(count, len(processes))
        if time.monotonic() > deadline:
            raise LabError(f"processes of the lab survive SIGKILL: {sorted(processes)}")
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    return count


def _mounts(directory: Path) -> list[str]:
    """Mount points below `directory`, the innermost first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in reversed(points) if point.startswith(f"{directory}/")]


def _remove_cgroups(settings: Settings) -> None:
    """Remove the lab's (now empty) control groups, in the unified hierarchy and in each of version 1's."""
    for top in [CGROUPS, *(CGROUPS / name for name in _names(CGROUPS))]:
        for directory, _, _ in os.walk(top / settings.cgroup, topdown=False):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()


def open_bridge(settings: Settings) -> None:
    """Make the bridge that joins the nodes, with this machine on it, and let packets pass."""
    prefix_length = settings.subnet.partition("/")[2]
    run("ip", "link", "add", settings.bridge, "type", "bridge")
    run("ip", "address", "add", f"{settings.host_address}/{prefix_length}", "dev", settings.bridge)
    run("ip", "link", "set", settings.bridge, "up")
    run("ip", "route", "replace", "unreachable", settings.overlays)
    run("iptables", "-P", "FORWARD", "ACCEPT")
    # Where br_netfilter is there, bridged packets would run through this machine's iptables rules.
    switch = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if switch.exists():
        switch.write_text("0")


def open_namespace(settings: Settings, index: int) -> None:
    """Make node `index`'s network namespace, with eth0 on the bridge and no way out to the world.

    Without a default route an engine that takes it into its head to pull an image fails at once instead of
    stalling.
    """
    name, veth, prefix_length = settings.netns(index), settings.veth(index), settings.subnet.partition("/")[2]
    run("ip", "netns", "add", name)
    run("ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", name)
    run("ip", "link", "set", veth, "master", settings.bridge, "up")
    run("ip", "-n", name, "address", "add", f"{settings.address(10 + index)}/{prefix_length}", "dev", "eth0")
    run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "-n", name, "link", "set", "eth0", "up")
