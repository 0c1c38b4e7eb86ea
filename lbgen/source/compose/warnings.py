"""What Swarm, or the deployment itself, would refuse of a stack whose files are valid; told, and read all the same."""

from __future__ import annotations

from collections.abc import Sequence

from lbgen.base.documents import KeyPath
from lbgen.source.compose.stack import Stack, StackService
from lbgen.source.compose.stack_file import StackFile
from lbgen.source.compose.synthesize import MOST_ADDRESSES, NODES, allowed


def judge(stack: Stack, files: Sequence[StackFile]) -> None:
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
        if allowed(constraint, NODES[0]) is None:
            file.note(place, f"which nodes fit {constraint!r} is not known here: taken to be all")
    if not any(all(allowed(text, node) is not False for text in service.constraints) for node in NODES):
        file.note(place, "no node can fit all of them: no task would run", "correct them")


def _ports(file: StackFile, path: KeyPath, service: StackService, taken: dict[tuple[int, str], str]) -> None:
    for port in service.ports:
        if port.mode != "ingress" or not port.published:
            continue
        key = (port.published, port.protocol)
        if key in taken:
            message = f"{port.published}/{port.protocol} is published by service {taken[key]} already"
            file.refused((*path, "ports"), message, "publish another port, or in mode host")
        taken.setdefault(key, path[-1] if isinstance(path[-1], str) else "")
