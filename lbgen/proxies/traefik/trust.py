"""Whom an entry point believes about its clients. Traefik learns that when it starts, and its API tells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

EVERYBODY = frozenset({"everybody"})


@dataclass(frozen=True, slots=True)
class Trust:
    """The networks of load balancers whose words are believed."""

    headers: frozenset[str] = frozenset()  # X-Forwarded-*
    proxy_protocol: frozenset[str] = frozenset()  # PROXY headers

    @classmethod
    def of(cls, point: Mapping[str, Any]) -> Trust:
        """Read it from an entry point, in the static configuration or as the API shows it."""
        return cls(_believed(point.get("forwardedHeaders")), _believed(point.get("proxyProtocol")))


def _believed(section: Mapping[str, Any] | None) -> frozenset[str]:
    section = section or {}
    return EVERYBODY if section.get("insecure") else frozenset(map(str, section.get("trustedIPs") or ()))


def differing(wanted: Mapping[str, Trust], running: Iterable[Mapping[str, Trust]]) -> frozenset[str]:
    """Return the entry points that believe others than they should, in any Traefik that has them."""
    return frozenset(name for points in running for name, trust in points.items() if trust != wanted.get(name, trust))
