"""What a valid file says in vain, and the mistakes that everybody makes once: notes, never errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lbgen.base.documents import KeyPath
from lbgen.source.compose.stack import pairs
from lbgen.source.compose.stack_file import StackFile

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
# What labels that route traffic begin with, in all the vocabularies that lbgen reads.
_ROUTING = ("lbgen.", "traefik.", "com.df.")


def forbidden(file: StackFile) -> None:
    """Add the keys that bring in what is not read here to the file's errors; must come before the schema."""
    services = file.data.get("services")
    named = services.items() if isinstance(services, Mapping) else ()
    places: list[tuple[KeyPath, Any]] = [((), file.data), *((("services", name), item) for name, item in named)]
    for path, item in places:
        for key, remedy in _FORBIDDEN.items():
            if isinstance(item, Mapping) and key in item:
                file.wrong((*path, key), "`docker stack deploy` does not know it", remedy)


def remark(file: StackFile) -> None:
    """Add notes on what a valid file says in vain."""
    for name, service in (file.data.get("services") or {}).items():
        for key in service:
            if key in _IGNORED:
                file.note(("services", name, key), "`docker stack deploy` ignores it", _IGNORED[key])
        _container_labels(file, ("services", name), service)


def _container_labels(file: StackFile, path: KeyPath, service: Mapping[str, Any]) -> None:
    """Say that labels for routing are the containers', where nobody who looks at services finds them."""
    found = [key for key in pairs(service.get("labels")) if key.lower().startswith(_ROUTING)]
    missing = [key for key in found if key not in pairs((service.get("deploy") or {}).get("labels"))]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        file.note(
            (*path, "labels"),
            f"{missing[0]}{more} would be labels of the containers, which count for nothing in a Swarm",
            "put them under deploy.labels",
        )
