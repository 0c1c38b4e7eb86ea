"""A host without Swarm, as the settings describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lbgen.source.engine.docker_context import Tls


@dataclass(frozen=True, slots=True)
class Host:
    """One engine, and how its containers are reached."""

    name: str
    endpoint: str  # unix://, tcp://, ssh:// or context:NAME
    address: str  # IP address that reaches its published ports
    labels: Mapping[str, str] = field(default_factory=dict)  # of the node that stands for it
    networks: tuple[str, ...] = ()  # names of networks there that the proxy shares
    tls: Tls | None = None
