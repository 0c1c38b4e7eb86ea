"""A long way between two network namespaces: delay and loss by the kernel's netem, or by a tunnel of our own.

Where the kernel has no sch_netem, a process passes IP packets from a tun device in one namespace to one in the other:
each after the delay, some never. TCP on both sides is the kernel's, as over any way. Root.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.wait import wait_for

NEAR, FAR = "lbgw-near", "lbgw-far"  # namespaces
ADDRESSES = {NEAR: "10.99.0.1", FAR: "10.99.0.2"}
DEVICE = "way0"
SEED = 7
TUN = Path("/dev/net/tun")
_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _IFF_TUN_NO_PI = 0x400454CA, 0x1001
_LARGEST = 65536  # bytes of a packet


@dataclass(frozen=True, slots=True)
class Way:
    """What happens to packets, in each direction."""

    delay: float  # seconds
    loss: float  # of all packets, 0..1
    kind: str = ""  # what makes it so


class Impossible(Exception):
    """There can be no such way on this machine; says why."""


@contextmanager
def a_way(delay: float, loss: float) -> Iterator[Way]:
    """Have both namespaces, and the way between them, while the block runs; raise Impossible."""
    if os.geteuid() != 0:
        raise Impossible("network namespaces need root")
    with ExitStack() as ends:
        for name in ADDRESSES:
            _ip("netns", "delete", name, check=False)  # of a run that was killed
            _ip("netns", "add", name)
            ends.callback(_ip, "netns", "delete", name)
            _ip("-n", name, "link", "set", "lo", "up")
        kind = "sch_netem" if _netem(delay, loss) else ends.enter_context(_tunnel(delay, loss))
        for name, address in ADDRESSES.items():
            _ip("-n", name, "address", "add", f"{address}/24", "dev", DEVICE)
            _ip("-n", name, "link", "set", DEVICE, "up")
        yield Way(delay, loss, kind)


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Be in a namespace; sockets that are made there stay there."""
    with Path("/proc/thread-self/ns/net").open() as home:
        try:
            _enter(name)
            yield
        finally:
            _set(home.fileno())


def _netem(delay: float, loss: float) -> bool:
    """Connect the namespaces by a cable with netem at both ends; return whether the kernel has it."""
    _ip("link", "add", DEVICE, "netns", NEAR, "type", "veth", "peer", "name", DEVICE, "netns", FAR)
    words = ["root", "netem", "delay", f"{delay * 1000:g}ms", "loss", f"{loss:.2%}", "limit", "100000"]
    done = [
        subprocess.run(["tc", "-n", name, "qdisc", "add", "dev", DEVICE, *words], capture_output=True, check=False)
        for name in ADDRESSES
    ]
    if all(each.returncode == 0 for each in done):
        return True
    _ip("-n", NEAR, "link", "delete", DEVICE)
    return False


@contextmanager
def _tunnel(delay: float, loss: float) -> Iterator[str]:
    if not TUN.exists():
        raise Impossible(f"the kernel has no sch_netem, and there is no {TUN} for a tunnel in its place")
    command = [sys.executable, "-m", "bench.hub_way", "--delay", str(delay), "--loss", str(loss)]
    passing = subprocess.Popen(command)
    try:
        wait_for(lambda: all(DEVICE in _ip("-n", name, "link", "show") for name in ADDRESSES), f"both ends of {DEVICE}")
        yield "a tunnel of the bench's own (the kernel has no sch_netem)"
    finally:
        passing.terminate()
        passing.wait()


def _pass_on(ends: tuple[int, int], delay: float, loss: float) -> None:
    """Read packets at one end and write them at the other."""
    chance = random.Random(SEED)
    other = dict(zip(ends, reversed(ends), strict=True))
    waiting: deque[tuple[float, int, bytes]] = deque()  # when, where to, packet
    while True:
        left = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        readable, _, _ = select.select(ends, [], [], left)
        now = time.monotonic()
        for end in readable:
            packet = os.read(end, _LARGEST)
            if chance.random() >= loss:
                waiting.append((now + delay, other[end], packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, end, packet = waiting.popleft()
            with contextlib.suppress(OSError):  # the device is not up yet
                os.write(end, packet)


def _device() -> int:
    """Make the tun device in the namespace of the moment."""
    device = os.open(TUN, os.O_RDWR)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _IFF_TUN_NO_PI))
    return device


def _enter(name: str) -> None:
    with Path("/run/netns", name).open() as namespace:
        _set(namespace.fileno())


def _set(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*words: str, check: bool = True) -> str:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=check).stdout


def main() -> None:
    """The tunnel."""
    parser = argparse.ArgumentParser(prog="python -m bench.hub_way")
    parser.add_argument("--delay", type=float, required=True, help="seconds")
    parser.add_argument("--loss", type=float, required=True, help="0..1")
    options = parser.parse_args()
    devices = []
    for name in ADDRESSES:
        _enter(name)
        devices.append(_device())
    _pass_on((devices[0], devices[1]), options.delay, options.loss)


if __name__ == "__main__":
    main()
