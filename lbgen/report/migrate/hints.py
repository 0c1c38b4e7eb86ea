"""What services' labels tell of entry points: which carry TCP or UDP, and which see TLS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lbgen.labels.foreign_options import Element
from lbgen.labels.traefik.elements import KINDS, sort
from lbgen.labels.traefik.entrypoints import asks_tls
from lbgen.labels.values import basic
from lbgen.labels.values.value_type import BadValue


@dataclass(slots=True)
class Hints:
    """By the entry point's name."""

    protocols: dict[str, set[str]] = field(default_factory=dict)
    tls: set[str] = field(default_factory=set)  # routers there have requests or connections that come by TLS decrypted
    passed: set[str] = field(default_factory=set)  # TCP routers there have the TLS of clients passed on to servers


def hints_of(services: Iterable[Mapping[str, str]]) -> Hints:
    """Read the labels of these services."""
    hints = Hints()
    for labels in services:
        own = sort("", labels)
        for protocol in KINDS:
            for router in own.of(protocol, "routers").values():
                written = router.options.get("entrypoints")
                try:
                    names = basic.list_of(basic.name)(written.value) if written else ()
                except BadValue:
                    continue
                for name in names:
                    hints.protocols.setdefault(name, set()).add(protocol)
                    if protocol != "udp" and asks_tls(router):
                        (hints.passed if _passes(router) else hints.tls).add(name)
    return hints


def _passes(router: Element) -> bool:
    written = router.options.get("tls.passthrough")
    return written is not None and written.value.strip().lower() == "true"
