"""What a lab is called, where it lives and how large it is.

Everything the lab makes on the host can be found again by a name made here. That is what lets a later run
clean up after a killed one, and what keeps it from ever touching anything else.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

CACHE = Path("/var/cache/lbgen-lab")  # compiled and downloaded things; outlives every lab
# Not in 172.16.0.0/12 (Docker's bridges), and rare as anybody's own network.
SUBNET = "192.168.217.0/24"
# A unix socket's path holds 107 bytes, and dockerd appends up to 60 to its exec-root.
LONGEST_DIRECTORY = 48


class LabError(Exception):
    """The lab could not do what was asked; the message says what to look at."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Names, place and size of one lab. Two labs with different settings live side by side."""

    nodes: int = 3
    managers: int = 1
    prefix: str = "lbgen-"
    directory: Path = field(default_factory=lambda: Path(os.environ.get("LBGEN_LAB_DIR", "/var/lib/lbgen-lab")))
    subnet: str = SUBNET
    engines: tuple[str, ...] = ()  # of n1, n2, ... and from the beginning again, see `engines`; none: the installed one

    def __post_init__(self) -> None:
        if not 1 <= self.managers <= self.nodes <= 9:
            raise LabError(f"a lab has 1 to 9 nodes and at least one manager, not {self.managers} of {self.nodes}")
        if len(self.prefix) > 9 or not re.fullmatch(r"[a-z][a-z0-9]*-", self.prefix):
            raise LabError(f"prefix {self.prefix!r}: interface names leave it 9 characters, the last one a dash")
        if not self.directory.is_absolute() or not 6 <= len(str(self.directory)) <= LONGEST_DIRECTORY:
            raise LabError(f"state directory {self.directory}: absolute, 6 to {LONGEST_DIRECTORY} characters")

    @classmethod
    def from_environment(cls) -> Settings:
        """Read ``LBGEN_LAB_NODES``, ``LBGEN_LAB_MANAGERS``, ``LBGEN_LAB_DIR`` and ``LBGEN_LAB_ENGINE``."""
        nodes = int(os.environ.get("LBGEN_LAB_NODES", 3))
        managers = int(os.environ.get("LBGEN_LAB_MANAGERS", 1))
        return cls(nodes, managers, engines=_asked_engines())

    @classmethod
    def second(cls) -> Settings:
        """A Swarm of three managers beside the common lab, for the tests' own use."""
        return cls(3, 3, "lbgm-", Path("/var/lib/lbgen-managers"), "192.168.218.0/24", _asked_engines())

    @classmethod
    def single(cls, engine: str) -> Settings:
        """One node with an engine of its own, beside the other labs."""
        return cls(1, 1, "lbge-", Path("/var/lib/lbgen-engine"), "192.168.229.0/24", (engine,))

    def engine(self, index: int) -> str:
        """The engine of node `index`, "" for the installed one."""
        return self.engines[(index - 1) % len(self.engines)] if self.engines else ""

    @classmethod
    def hosts(cls) -> Settings:
        """Three engines beside the common lab that are in no Swarm."""
        return cls(3, 1, "lbgh-", Path("/var/lib/lbgen-hosts"), "192.168.219.0/24")

    @property
    def bridge(self) -> str:
        return f"{self.prefix}br0"

    @property
    def cgroup(self) -> str:
        """Parent of every container's control group, hence a list of the lab's container processes."""
        return f"{self.prefix}lab"

    @property
    def overlays(self) -> str:
        """The range of Swarm's overlay networks: "10.217.0.0/16", the lab's own.

        This machine must not reach them, as a load-balancer machine beside a Swarm cannot. A route says so,
        and keeps a mistaken request from wandering off to the default gateway.
        """
        return f"10.{self.subnet.split('.')[2]}.0.0/16"

    @property
    def host_address(self) -> str:
        """Address of the root namespace on the bridge: the "load-balancer machine"."""
        return self.address(1)

    def address(self, number: int) -> str:
        return str(ipaddress.ip_network(self.subnet)[number])

    def netns(self, index: int) -> str:
        return f"{self.prefix}n{index}"

    def veth(self, index: int) -> str:
        """The bridge's end of node `index`'s cable."""
        return f"{self.prefix}v{index}"

    def wireguard_sockets(self) -> list[Path]:
        """Where WireGuard processes of the lab are told what to do; they stay when these are killed."""
        return sorted(Path("/run/wireguard").glob(f"{self.prefix}wg*.sock"))

    def owns_netns(self, name: str) -> bool:
        return re.fullmatch(re.escape(self.prefix) + r"n\d", name) is not None

    def owns_link(self, name: str) -> bool:
        return re.fullmatch(re.escape(self.prefix) + r"(br0|v\d)", name) is not None


def _asked_engines() -> tuple[str, ...]:
    """``LBGEN_LAB_ENGINE``: one engine for all nodes, or several, one a node: "20.10,26.1,28.5"."""
    return tuple(word for word in os.environ.get("LBGEN_LAB_ENGINE", "").split(",") if word)


def code_stamp() -> str:
    """Fingerprint of the code that builds a lab: a running lab with another one is not reused."""
    here = Path(__file__).parent
    names = ["settings.py", "host.py", "node.py", "engines.py", "certificates.py", "app_image.py", "app/app.c"]
    return hashlib.sha256(b"".join((here / name).read_bytes() for name in names)).hexdigest()[:16]
