"""The newest complete listing of each kind, and the snapshot they make together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lbgen.base import json_text
from lbgen.base.errors import SourceError
from lbgen.snapshot import Service, Snapshot, Task
from lbgen.source import decode
from lbgen.source.facts import KINDS, Facts, kept

if TYPE_CHECKING:  # it loads Docker's client
    from lbgen.source.engine.api import Engine

_FILTERS = {"networks": {"filters": json.dumps({"scope": ["swarm"]})}}


class Lister:
    """Lists kinds from one engine. Replies that are the same byte for byte are not read again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seen: dict[str, tuple[bytes, Mapping[str, Any], Mapping[str, int]]] = {}
        self.objects = 0  # how many were read so far

    def list(self, kind: str, known: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, int]]:
        """Return every object of a kind by id, `known` ones by identity, and their versions.

        Raises:
            SourceError: the list cannot be read as a whole.
        """
        body = self._engine.body(f"/{kind}", _FILTERS.get(kind))
        digest = hashlib.blake2b(body).digest()
        seen, items, versions = self._seen.get(kind, (b"", {}, {}))
        if seen != digest:
            items, versions = self._read(kind, body)
        items = kept(known, items)
        self._seen[kind] = digest, items, versions
        return items, versions

    def _read(self, kind: str, body: bytes) -> tuple[Mapping[str, Any], Mapping[str, int]]:
        try:
            raw = json_text.data_in(body)
            items = decode.read(kind, raw)
            self.objects += len(raw)
            return items, decode.versions(raw)
        except (ValueError, SourceError) as error:
            raise SourceError(f"{self._engine.endpoint.name}: GET /{kind}: {error}") from error


class Round:
    """One look at some kinds, together with everything known before: whole or not at all."""

    def __init__(self, lister: Lister, known: Facts, absent: Mapping[str, set[str]]) -> None:
        """`absent`: per kind the ids known to be referred to, but not to exist any more."""
        self._lister = lister
        self._tasks = known["tasks"]
        self.facts = dict(known)
        self.absent = {kind: set(ids) for kind, ids in absent.items()}
        self.versions: dict[str, Mapping[str, int]] = {}  # kind -> id -> version, of what was listed

    def list(self, kinds: Iterable[str]) -> None:
        """List kinds, and again those of which something is referred to that was not listed yet.

        A task can be newer than the listing of services before it. What even a later listing does not contain
        is gone: a removed service's tasks outlive it for seconds, and are left out.
        """
        for kind in sorted(kinds, key=KINDS.index):
            self._list(kind)
        for kind in ("nodes", "services", "networks"):
            if unknown(self.facts)[kind] - self.absent.get(kind, set()):
                self._list(kind)
        absent = unknown(self.facts)
        if "tasks" not in self.versions:  # then those that would refer to them are not here any more
            absent["services"] |= self.absent.get("services", set())
        self.absent = absent
        services, tasks = self.facts["services"], self.facts["tasks"]
        self.facts["tasks"] = kept(self._tasks, {id_: t for id_, t in tasks.items() if t.service_id in services})

    def _list(self, kind: str) -> None:
        self.facts[kind], self.versions[kind] = self._lister.list(kind, self.facts[kind])


def unknown(facts: Facts) -> dict[str, set[str]]:
    """Return, per kind, the ids that objects refer to and that were not listed."""
    tasks: Iterable[Task] = facts["tasks"].values()
    services: Iterable[Service] = facts["services"].values()
    referred = {
        "services": {task.service_id for task in tasks},
        "nodes": {task.node_id for task in tasks if task.node_id},
        "networks": {id_ for service in services for id_ in (*service.networks, *service.virtual_ips)},
    }
    return {kind: ids - facts[kind].keys() for kind, ids in referred.items()}


def combined(before: Snapshot, facts: Facts, cluster: str) -> Snapshot:
    """Return the snapshot that the facts make; `before` itself, if they make the same one."""
    if cluster == before.cluster and all(facts[kind] is getattr(before, kind) for kind in KINDS):
        return before
    nodes, services, tasks, networks = (facts[kind] for kind in ("nodes", "services", "tasks", "networks"))
    return Snapshot(cluster=cluster, nodes=nodes, services=services, tasks=tasks, networks=networks)


def alien(old: Facts, new: Facts) -> bool:
    """Tell whether a kind has nothing at all in common with before: the sign of another cluster's listing."""
    pairs = [(old[kind], new[kind]) for kind in KINDS if old[kind] is not new[kind]]
    return any((was or now) and was.keys().isdisjoint(now) for was, now in pairs)
