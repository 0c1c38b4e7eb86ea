"""What one engine without Swarm says of its containers now, all of them or some."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from lbgen.base import json_text
from lbgen.base.errors import SourceError
from lbgen.snapshot import Network
from lbgen.source import decode
from lbgen.source.decode_fields import Json, get, labels
from lbgen.source.engine.api import Engine
from lbgen.source.engine.errors import Missing
from lbgen.source.hosts import containers
from lbgen.source.hosts.containers import Container, Details
from lbgen.source.hosts.grouping import EngineFacts
from lbgen.source.hosts.host import Host

T = TypeVar("T")
Containers = Mapping[str, Container]


@dataclass(frozen=True, slots=True)
class Reader:
    """Asks one engine. Every error is a SourceError; what could not be read as a whole says nothing."""

    engine: Engine
    host: Host

    def engine_facts(self) -> EngineFacts:
        """Return what the engine says of itself (``GET /info``)."""
        return self.engine.asked("/info", _engine_facts)

    def networks(self) -> Mapping[str, Network]:
        """Return those of the host's networks that there are, by name (``GET /networks``)."""
        if not self.host.networks:
            return {}
        found = self._list("/networks", None, "networks", _network)
        return {network.name: network for network in found if network.name in self.host.networks}

    def all(self, known: Containers) -> Containers:
        """Return every container that counts; `known` ones are the same objects where nothing changed."""
        return self._containers(known, None)

    def some(self, ids: Collection[str], known: Containers) -> Containers:
        """Return those of these containers that there are."""
        return self._containers(known, {"id": sorted(ids)})

    def details(self, id_: str) -> Details | None:
        """Return what the list does not say of a container, None if there is no such container any more."""
        path = f"/containers/{id_}/json"
        try:
            return self.engine.asked(path, lambda reply: Details.of(reply, self.host))
        except Missing:
            return None

    def _containers(self, known: Containers, filters: Mapping[str, list[str]] | None) -> Containers:
        params = {"all": "1"} | ({"filters": json.dumps(filters)} if filters else {})
        listed = self._list("/containers/json", params, "containers", lambda item: self._container(item, known))
        return {each.id: each for each in listed if each is not None}

    def _container(self, item: Json, known: Containers) -> Container | None:
        if not containers.counts(item):
            return None
        before = known.get(containers.identity(item))
        details = self.details(containers.identity(item)) if containers.lacks(item, before) else None
        found = containers.container(item, self.host, before, details)
        return before if found == before else found

    def _list(self, path: str, params: Mapping[str, str] | None, what: str, build: Callable[[Json], T]) -> list[T]:
        body = self.engine.body(path, params)
        try:
            raw = json_text.data_in(body)
            if not isinstance(raw, list):
                raise SourceError(f"expected a list, found {type(raw).__name__}")
            return [_built(f"{what}[{index}]", item, build) for index, item in enumerate(raw)]
        except (ValueError, SourceError) as error:
            raise SourceError(f"{self.engine.endpoint.name}: GET {path}: {error}") from error


def _built(place: str, item: object, build: Callable[[Json], T]) -> T:
    if not isinstance(item, Mapping):
        raise SourceError(f"{place}: expected an object, found {type(item).__name__}")
    try:
        return build(item)
    except SourceError as error:
        raise SourceError(f"{place}{error}") from error


def _engine_facts(reply: Json) -> EngineFacts:
    texts = [str(text) for text in get(reply, "Labels", list, [])]  # ["key=value"]
    pairs = {key: value for key, _, value in (text.partition("=") for text in texts)}
    os, arch = get(reply, "OSType", str, ""), get(reply, "Architecture", str, "")
    return EngineFacts(os, arch, dict(sorted(pairs.items())))


def _network(item: Json) -> Network:
    # Labels are read here and not by `decode`, which knows Swarm's networks: those have no null.
    return replace(decode.network({**item, "Labels": None}), labels=labels(item, "Labels"))
