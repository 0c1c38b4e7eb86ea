"""What is told about a stack that can be read: keys that say nothing to Swarm, mistakes that everybody makes once, and
what Swarm or the deployment itself would refuse. Notes all, but for keys that bring in what is not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lbgen.base.yaml_tree import KeyPath
from lbgen.source.compose.stack import Stack, StackService, pairs
from lbgen.source.compose.stack_file import StackFile
from lbgen.source.compose.synthesize import MOST_ADDRESSES, NODES, fits

# Source: docker/cli, cli/compose/types/types.go, the unsupported and the deprecated properties.
_IGNORED = {
    "build": "Swarm builds nothing",
    "cgroup_parent": "Swarm has no such thing",
    "cgroupns_mode": "Swarm has no such thing",
    "container_name": "Swarm names containers itself",
    "depends_on": "Swarm starts services in any order",
    "devices": "Swarm has no such thing",
    "domainname": "Swarm has no such thing",
    "expose": "services of one network reach all of each other's ports",
    "external_links": "services of one network know each other by name",
    "ipc": "Swarm has no such thing",
    "links": "services of one network know each other by name",
    "mac_address": "Swarm has no such thing",
    "network_mode": "the service is on the networks under 'networks', or on the stack's default one",
    "pid": "Swarm has no such thing",
    "privileged": "Swarm has no such thing",
    "restart": "deploy.restart_policy is Swarm's way",
    "security_opt": "Swarm has no such thing",
    "shm_size": "Swarm has no such thing",
    "userns_mode": "Swarm has no such thing",
}
# Refused with a reason rather than overlooked: with these a file would mean something else.
_FORBIDDEN = {
    "extends": "copy what it takes over into the service, or merge two files",
    "include": "give both files: they are merged",
}
_NGINX_PROXY = ("VIRTUAL_HOST", "VIRTUAL_PORT", "VIRTUAL_PATH")
# What labels that route traffic begin with, in all the vocabularies that lbgen reads.
_ROUTING = ("lbgen.", "traefik.", "com.df.")


def refuse_includes(file: StackFile) -> None:
    """Add the keys that bring in what is not read here to the file's errors; must come before the schema."""
    services = file.data.get("services")
    named = services.items() if isinstance(services, Mapping) else ()
    places: list[tuple[KeyPath, Any]] = [((), file.data), *((("services", name), item) for name, item in named)]
    for path, item in places:
        for key, remedy in _FORBIDDEN.items():
            if isinstance(item, Mapping) and key in item:
                file.wrong((*path, key), "`docker stack deploy` does not know it", remedy)


def note_ignored(file: StackFile) -> None:
    """Add notes on what a valid file says to no effect."""
    for name, service in (file.data.get("services") or {}).items():
        for key in service:
            if key in _IGNORED:
                file.note(("services", name, key), "`docker stack deploy` ignores it", _IGNORED[key])
        _container_labels(file, ("services", name), service)
        _given_twice(file, ("services", name), service)
        _other_proxies(file, ("services", name), service)


def _container_labels(file: StackFile, path: KeyPath, service: Mapping[str, Any]) -> None:
    """Note labels for routing that are the containers', where nothing that looks at services finds them."""
    routing = [key for key in pairs(service.get("labels")) if key.lower().startswith(_ROUTING)]
    missing = [key for key in routing if key not in pairs((service.get("deploy") or {}).get("labels"))]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        file.note(
            (*path, "labels"),
            f"{missing[0]}{more} would be labels of the containers, which count for nothing in a Swarm",
            "put them under deploy.labels",
            unread=tuple(missing),
        )


def _given_twice(file: StackFile, path: KeyPath, service: Mapping[str, Any]) -> None:
    """Note labels that a list has twice with different values, and those that containers have with another value."""
    labels = (service.get("deploy") or {}).get("labels")
    first: dict[str, str] = {}
    for text in labels if isinstance(labels, list) else ():
        key, _, value = str(text).partition("=")
        if first.setdefault(key, value) != value:
            message = f"label {key} is there twice, as {first[key]!r} and as {value!r}, and the last one counts"
            file.note((*path, "deploy", "labels"), message, "remove one of the two")
    inner, outer = pairs(service.get("labels")), pairs(labels)
    for key in (key for key in inner if key.lower().startswith(_ROUTING) and key in outer):
        if str(inner[key]) != str(outer[key]):
            message = f"label {key} has another value under deploy.labels, which is the one that counts"
            file.note((*path, "labels"), message, "remove it here")


def _other_proxies(file: StackFile, path: KeyPath, service: Mapping[str, Any]) -> None:
    """Note variables by which another proxy would route the service."""
    found = [key for key in pairs(service.get("environment")) if key in _NGINX_PROXY]
    if found:
        message = f"{found[0]} is for nginx-proxy, which follows the containers of one host; lbgen does not read it"
        file.note((*path, "environment"), message, "docs/migration.md#nginx-proxy has the labels to write")


def note_refusals(stack: Stack, files: Sequence[StackFile]) -> None:
    """Add what would be refused to the notes of the last file that mentions the service."""
    taken: dict[tuple[int, str], str] = {}
    addresses = 0
    for name in sorted(stack.services):
        file = [file for file in files if name in (file.data.get("services") or {})][-1]
        path = ("services", name)
        service = stack.services[name]
        if not service.image:
            file.refused(path, "has no image", "name one")
        if service.replicas is not None and service.mode.startswith("global"):
            file.refused((*path, "deploy", "replicas"), f"mode {service.mode} takes none", "remove it")
        _networks(file, path, service, stack)
        _constraints(file, path, service)
        _ports(file, path, service, taken)
        addresses += ((service.replicas or 0) + len(NODES)) * max(1, len(service.networks))
        if addresses > MOST_ADDRESSES:
            message = f"with it the stack has more than {MOST_ADDRESSES} addresses, which is more than is read"
            file.wrong((*path, "deploy", "replicas"), message, "lower it")
            break


def _networks(file: StackFile, path: KeyPath, service: StackService, stack: Stack) -> None:
    for network in service.networks:
        known = stack.networks.get(network)
        if known is None and network != "default":
            file.wrong((*path, "networks"), f"there is no network {network}", "add it to the file's networks")
        elif known and not known.external and known.driver == "bridge":
            message = f"network {network} is a bridge, which is of one node, and no service can be on it"
            file.refused((*path, "networks"), message, "remove its driver: Swarm's is overlay")


def _constraints(file: StackFile, path: KeyPath, service: StackService) -> None:
    place = (*path, "deploy", "placement", "constraints")
    for constraint in service.constraints:
        if fits(constraint, NODES[0]) is None:
            file.note(place, f"which nodes fit {constraint!r} is not known here: taken to be all")
    if not any(all(fits(text, node) is not False for text in service.constraints) for node in NODES):
        file.note(place, "no node can fit all of them: no task would run", "correct them")


def _ports(file: StackFile, path: KeyPath, service: StackService, taken: dict[tuple[int, str], str]) -> None:
    for port in service.ports:
        if port.mode == "ingress" and service.endpoint_mode == "dnsrr":
            message = f"{port.target}/{port.protocol} is published in ingress mode, and endpoint_mode is dnsrr"
            file.refused((*path, "ports"), message, "publish it with mode: host, or use endpoint_mode vip")
        if port.mode != "ingress" or not port.published:
            continue
        key = (port.published, port.protocol)
        if key in taken:
            message = f"{port.published}/{port.protocol} is published by service {taken[key]} already"
            file.refused((*path, "ports"), message, "publish another port, or in mode host")
        taken.setdefault(key, path[-1] if isinstance(path[-1], str) else "")
