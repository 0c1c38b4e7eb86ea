"""A real Traefik with services' own ``traefik.*`` labels, given to it by its file provider as its Swarm provider would.

The Swarm provider turns each task's labels into a configuration (routers without a service get the only one, services
get the task's address and the label's port), and merges those of all tasks. So does this, without any code of lbgen's.

Source: traefik 3.7 pkg/provider/docker/config.go and pswarm.go, pkg/provider/configuration.go
(BuildRouterConfiguration, Merge), pkg/config/label; traefik/paerser parser/ (labels are compared without case).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lbgen.proxies.traefik.api import MARKER, MARKER_HEADER
from tests.support.ports import free_port
from tests.support.real_traefik import Process

Tree = dict[str, Any]
_KINDS = {
    "http": ("routers", "services", "middlewares"),
    "tcp": ("routers", "services"),
    "udp": ("routers", "services"),
}
_LISTS = ("entryPoints", "middlewares", "sourceRange", "users")  # options whose label is a comma-separated list


def configuration(
    services: Mapping[str, Mapping[str, str]], addresses: Mapping[str, Sequence[str]], default_rule: str = ""
) -> Tree:
    """Return the dynamic configuration that the Swarm provider makes of services.

    Args:
        services: labels by the service's name.
        addresses: of the services' tasks.
        default_rule: of routers without a rule; ``{{ normalize .Name }}`` stands for the service's name.
    """
    made = []
    for name, labels in services.items():
        if {label.lower(): value for label, value in labels.items()}.get("traefik.enable", "true") == "true":
            rule = default_rule.replace("{{ normalize .Name }}", name)
            made.append(_of_service(name, labels, addresses[name], rule))
    return _merged(made)


def tree(labels: Mapping[str, str]) -> Tree:
    """Return labels as nested options: ``traefik.http.routers.a.rule`` -> ``{"http": {"routers": {"a": {"rule": ...``.

    Names that differ in case alone are one; the first spelling is kept.
    """
    root: Tree = {}
    for label, value in sorted(labels.items()):
        words = label.split(".")
        if words[0].lower() == "traefik" and words[1].lower() in _KINDS:
            here = root
            for word in words[1:-1]:
                here = here.setdefault(_known(here, word), {})
            here[_known(here, words[-1])] = value
    return root


def _known(here: Tree, word: str) -> str:
    usual = {option.lower(): option for option in _LISTS}
    return next((key for key in here if key.lower() == word.lower()), usual.get(word.lower(), word.lower()))


def _of_service(name: str, labels: Mapping[str, str], addresses: Sequence[str], default_rule: str) -> Tree:
    found = tree(labels)
    if not found:
        found = {"http": {}}
    for protocol, own in found.items():
        for service in own.get("services", {}).values():
            _add_servers(protocol, service["loadbalancer"], addresses)
        if protocol == "http" and not own.get("routers"):
            own["routers"] = {name: {}}
        for router in own.get("routers", {}).values():
            _complete(protocol, router, own.get("services", {}), default_rule)
        for kind in ("routers", "middlewares"):
            for element in own.get(kind, {}).values():
                _typed(element)
        # A router that is not complete is not taken.
        own["routers"] = {key: router for key, router in own.get("routers", {}).items() if router.get("service")}
    return found


def _add_servers(protocol: str, balancer: Tree, addresses: Sequence[str]) -> None:
    server = balancer.pop("server")
    port, scheme = server["port"], server.get("scheme", "http")
    key = "url" if protocol == "http" else "address"
    prefix = f"{scheme}://" if protocol == "http" else ""
    balancer["servers"] = [{key: f"{prefix}{address}:{port}"} for address in addresses]


def _complete(protocol: str, router: Tree, services: Tree, default_rule: str) -> None:
    if "rule" not in router and protocol == "http" and default_rule:
        router["rule"] = default_rule
    if "service" not in router and len(services) == 1:
        router["service"] = next(iter(services))
    service = str(router.get("service", ""))
    router["service"] = service.removesuffix("@swarm")


def _typed(element: Tree) -> None:
    """Turn texts into what a file has in their place: lists, and ``tls=true`` into an empty section."""
    for key, value in list(element.items()):
        if isinstance(value, dict):
            _typed(value)
        elif key in _LISTS:
            element[key] = [item.strip().removesuffix("@swarm") for item in value.split(",")]
        elif key == "tls" and value == "true":
            element[key] = {}
        elif key == "tls":
            del element[key]


def _merged(made: Iterable[Tree]) -> Tree:
    """Join the services' configurations: what two of them define differently is dropped, and equal services are one."""
    merged: Tree = {}
    dropped = set()
    for own in made:
        for protocol, kinds in own.items():
            for kind, elements in kinds.items():
                known = merged.setdefault(protocol, {}).setdefault(kind, {})
                for name, element in elements.items():
                    if kind == "services" and name in known:
                        known[name]["loadbalancer"]["servers"] += element["loadbalancer"]["servers"]
                    elif known.setdefault(name, element) != element:
                        dropped.add((protocol, kind, name))
    for protocol, kind, name in dropped:
        del merged[protocol][kind][name]
    return merged


@contextlib.contextmanager
def running(dynamic: Tree, listeners: Mapping[str, str], directory: Path) -> Iterator[dict[str, int]]:
    """Have a Traefik serve a dynamic configuration; give its listeners' ports.

    Args:
        listeners: their protocols by name: http, https, tcp, udp.
    """
    directory.mkdir(parents=True)
    ports, api = {name: free_port() for name in listeners}, free_port()
    entry_points = {"traefik": {"address": f"127.0.0.1:{api}"}}
    for name, protocol in listeners.items():
        entry_points[name] = {
            "address": f"127.0.0.1:{ports[name]}" + ("/udp" if protocol == "udp" else ""),
            # What no router is for it takes for a web browser's, and waits for the rest.
            "transport": {"respondingTimeouts": {"readTimeout": "4s"}},
        }
    static = {
        "entryPoints": entry_points,
        "providers": {"file": {"filename": str(directory / "dynamic.yml")}},
        "api": {"insecure": True},
        "log": {"level": "ERROR"},
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
    }
    marker = {MARKER: {"headers": {"customResponseHeaders": {MARKER_HEADER: "whole"}}}}
    http = dynamic.get("http", {})
    whole = dynamic | {"http": http | {"middlewares": http.get("middlewares", {}) | marker}}
    whole = {protocol: {kind: found for kind, found in kinds.items() if found} for protocol, kinds in whole.items()}
    # YAML knows JSON, and a file is a Go template before it is YAML.
    text = json.dumps(whole).replace("{{", "{\\u007b")
    (directory / "dynamic.yml").write_text(text)
    (directory / "static.yml").write_text(json.dumps(static))
    process = Process(directory / "static.yml", api)
    try:
        process.serves("whole")
        yield ports
    finally:
        process.stop()
