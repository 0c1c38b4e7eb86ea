"""The public stacks of tests/real_life/stacks, as a Swarm would have them, and what is made of each of their routers.

A file's ``services`` have the labels, published ports and networks of a stack's services; ``proxy_networks`` are those
of its proxy; ``entry_points`` is what its Traefik was started with, ``file`` what its file provider's file says.
tests/real_life/README.md tells where they come from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from lbgen.settings import Settings
from lbgen.snapshot import STACK, PublishedPort
from tests.support.builders import Fact, a_network, a_node, a_service, a_task
from tests.support.paths import TESTS

DIRECTORY = TESTS / "real_life" / "stacks"
NAMESPACE = "app"  # the name that a stack is deployed under
_SOURCE_PORT = re.compile(r"com\.df\.srcPort((?:\.\d+)?)")
_ENDS_TLS = re.compile(r"secure|https|tls|ssl|443", re.IGNORECASE)
_ENTRY_POINTS = re.compile(r"traefik\.(http|tcp|udp)\.routers\.([^.]+)\.entrypoints", re.IGNORECASE)
_TLS = re.compile(r"traefik\.http\.routers\.[^.]+\.tls(?:\..*)?", re.IGNORECASE)
_ENDING = re.compile(r"traefik\.tcp\.routers\.[^.]+\.tls(?:=true|\.(?!passthrough).*)", re.IGNORECASE)
_ROUTER = re.compile(r"traefik\.(http|tcp|udp)\.routers\.([^.]+)\.", re.IGNORECASE)


@dataclass(frozen=True)
class Router:
    """One router of Traefik's labels."""

    protocol: str
    name: str  # as its labels write it
    service: str  # the Swarm service whose labels they are

    def __str__(self) -> str:
        return f"{self.protocol} {self.name}" if self.name else f"default rule of {self.service}"


@dataclass(frozen=True)
class Stack:
    """One file."""

    name: str
    document: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Stack:
        """Read a file."""
        return cls(path.stem, yaml.safe_load(path.read_text()))

    @cached_property
    def dialect(self) -> str:
        """Whose labels most of it has."""
        labels = [label for label, _ in self.labels]
        flow = sum(label.startswith("com.df.") for label in labels)
        return "dockerflow" if flow * 2 > len(labels) else "traefik"

    @property
    def _services(self) -> dict[str, dict[str, Any]]:
        return {f"{NAMESPACE}_{name}": service for name, service in self.document["services"].items()}

    @property
    def labels(self) -> Iterator[tuple[str, str]]:
        """All labels, of one service after the other."""
        for service in self._services.values():
            yield from service["labels"].items()

    @cached_property
    def facts(self) -> tuple[Fact, ...]:
        """The services, the first the oldest, with a task each, and what is around them."""
        networks = {name for service in self._services.values() for name in service["networks"]}
        facts: list[Fact] = [a_node(), *(a_network(name) for name in sorted(networks))]
        for number, (name, service) in enumerate(self._services.items(), 1):
            reached = {f"{network}-id": f"127.2.{number}.{at}" for at, network in enumerate(service["networks"], 1)}
            facts.append(
                a_service(
                    name,
                    labels={**service["labels"], STACK: NAMESPACE},
                    networks=tuple(reached),
                    ports=tuple(PublishedPort(**port) for port in service.get("ports", ())),
                    created_at=f"2026-11-22T10:{number:02}:00Z",
                    endpoint_mode=service.get("endpoint_mode", "vip"),
                    virtual_ips=dict.fromkeys(reached, f"127.3.{number}.1"),
                    mode=service.get("mode", "replicated"),
                )
            )
            facts.append(a_task(name, addresses=reached))
        return tuple(facts)

    @cached_property
    def entry_points(self) -> dict[str, str]:
        """What each entry point is: http if it has such routers, https if its name says so, else tcp, tls or udp."""
        kinds: dict[str, set[str]] = {}
        ending = {label.split(".")[3].lower() for label, value in self.labels if _ENDING.fullmatch(f"{label}={value}")}
        for label, value in self.labels:
            if named := _ENTRY_POINTS.fullmatch(label):
                tls = named[1].lower() == "tcp" and named[2].lower() in ending
                for name in filter(None, re.split(r"[,\s]+", value)):
                    kinds.setdefault(name, set()).add("tls" if tls else named[1].lower())
        for name, options in self.document.get("entry_points", {}).items():
            address = options.get("address", "")
            kinds.setdefault(name, set()).add("udp" if address.endswith("/udp") else "http")
        if not any("http" in kind for kind in kinds.values()):
            kinds |= {"web": {"http"}, "websecure": {"http"}}
        found = {name: _protocol(name, kind) for name, kind in kinds.items()}
        if "https" not in found.values() and any(_TLS.fullmatch(label) for label, _ in self.labels):
            found["websecure"] = "https"
        return found

    def routers(self) -> Iterator[Router]:
        """Yield the routers that labels write down."""
        for service, given in self._services.items():
            named = {(found[1].lower(), found[2]) for label in given["labels"] if (found := _ROUTER.match(label))}
            for protocol, name in sorted(named):
                yield Router(protocol, name, service)

    def without_routers(self) -> Iterator[str]:
        """Yield the services of whose labels none is a router's: Traefik makes one by its default rule."""
        for service, given in self._services.items():
            labels = {label.lower(): value for label, value in given["labels"].items()}
            own = [label for label in labels if label.startswith("traefik.") and label != "traefik.enable"]
            if own and labels.get("traefik.enable") != "false" and not any(_ROUTER.match(label) for label in own):
                yield service

    def _listeners_by_name(self) -> dict[str, dict[str, Any]]:
        protocols = {"https": "http", "tls": "tcp"}
        return {
            name: {"bind": f":{port}", "protocol": protocols.get(kind, kind), "tls": kind in protocols}
            for port, (name, kind) in enumerate(self.entry_points.items(), 8000)
        }

    def _listeners_by_port(self) -> dict[str, dict[str, Any]]:
        """Return 80, 443, and the ports that labels name, on which docker-flow-proxy would have to listen."""
        found = {
            "web": {"bind": ":80", "protocol": "http"},
            "websecure": {"bind": ":443", "protocol": "http", "tls": True},
        }
        labels = dict(self.labels)
        for label, value in self.labels:
            if (named := _SOURCE_PORT.fullmatch(label)) and value not in ("80", "443"):
                mode = labels.get(f"com.df.reqMode{named[1]}", "http")
                found[f"port{value}"] = {"bind": f":{value}", "protocol": "tcp" if mode in ("tcp", "sni") else "http"}
        return found

    def settings(self, proxy: str) -> Settings:
        """Return settings as its operator would write them: entry points, networks, and the file provider's file."""
        listeners = self._listeners_by_port() if self.dialect == "dockerflow" else self._listeners_by_name()
        file = self.document.get("file", {})
        http = file.get("http", {})
        traefik = {
            "default_rule": "Host(`{{ normalize .Name }}`)",
            "middlewares": http.get("middlewares", {}),
            "services": http.get("services", {}),
            "tls_options": file.get("tls", {}).get("options", {}),
        }
        target = {"templates": [proxy], "output": f"/var/lib/lbgen/{proxy}", "probe": "127.0.0.1:7999"}
        return Settings.model_validate(
            {
                "listeners": listeners,
                "default_listeners": [name for name, given in listeners.items() if given["protocol"] == "http"],
                "discovery": {
                    "dialects": [self.dialect],
                    "expose_by_default": self.dialect == "traefik",
                    "networks": self.document.get("proxy_networks", []),
                    "traefik": traefik,
                },
                "status": {"bind": ""},
                "targets": {"edge": target},
            }
        )


def _protocol(name: str, kinds: set[str]) -> str:
    if "http" in kinds or not kinds:
        return "https" if _ENDS_TLS.search(name) else "http"
    return next(kind for kind in ("tcp", "tls", "udp") if kind in kinds)


STACKS = sorted((Stack.read(path) for path in DIRECTORY.glob("*.yml")), key=lambda stack: stack.name)
