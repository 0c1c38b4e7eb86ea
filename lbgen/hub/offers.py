"""What agents offer: each agent is one more source of the hub, and its facts can be about its own host only.

Nothing that an agent says of its place is believed: name, address and labels of its node are those of its certificate,
and traffic can go to ports that are published there and nowhere else. An agent that goes away loses nothing: its
servers stay, as for a host that cannot be reached.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from lbgen.base.errors import SourceError
from lbgen.base.logs import log
from lbgen.snapshot import Node, PublishedPort, Service, Snapshot, Task, moment
from lbgen.source import PartState, Source, diff
from lbgen.source.facts import KINDS
from lbgen.source.hub import facts as wire
from lbgen.source.hub.messages import BadMessage, Changes, Offer

MOST = {"services": 2000, "tasks": 5000, "nodes": 1, "networks": 1000}  # of one agent
MOST_LABELS = 500  # of one service
MOST_SIZE = 8 << 20  # characters of all labels of one agent
Add = Callable[[str, Source], None]


@dataclass(frozen=True)
class Place:
    """What is fixed of an agent: it is in its certificate and in the ledger, and nothing that it says changes it."""

    name: str
    address: str  # of its published ports
    labels: Mapping[str, str] = field(default_factory=dict)
    joined: float = 0.0  # seconds since 1970; none of its services is older


class OfferSource:
    """A `Source` of one agent's facts."""

    def __init__(self, place: Place, wall_clock: Callable[[], float] = time.time) -> None:
        self.place, self._wall_clock = place, wall_clock
        self._said = Snapshot()  # as the agent has it
        self._building: Snapshot | None = None  # while it says it in pieces
        self._connected, self._reachable, self._since = False, True, wall_clock()
        self._condition = threading.Condition()
        self._news, self._closed = False, False
        self._facts: Snapshot | None = None
        self._listings = itertools.count(1)

    def take_over(self, offer: Offer) -> None:
        """Take over what the agent says.

        Raises:
            SourceError: it cannot be read, is too much, or is about more than its host.
        """
        base = Snapshot() if offer.first else self._building if self._building is not None else self._said
        told = wire.changed(base, Changes(0, 0, {"": offer.put}, offer.gone))
        for kind in KINDS:
            if len(getattr(told, kind)) > MOST[kind]:
                raise BadMessage(f"more than {MOST[kind]} {kind} on one host")
        if (
            sum(len(key) + len(value) for each in told.services.values() for key, value in each.labels.items())
            > MOST_SIZE
        ):
            raise BadMessage(f"more than {MOST_SIZE >> 20} MiB of labels on one host")
        if not offer.last:
            self._building = told
            return
        self._building = None
        made = own_facts(self.place, told)
        self._said = told
        self._put(made, connected=True, reachable=offer.reachable)

    def gone(self) -> None:
        """Note that the agent is not connected any more."""
        self._building = None
        self._put(None, connected=False, reachable=self._reachable)

    def take(self) -> Snapshot:
        raise SourceError(f"agent {self.place.name} says what there is; it cannot be asked")

    def follow(self) -> Iterator[Snapshot]:
        last = Snapshot()
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._closed or (self._news and self._facts is not None))
                if self._closed:
                    return
                facts, self._news = self._facts, False
            assert facts is not None
            fresh = wire.identical(last, replace(facts, listing=next(self._listings), taken_at=self._wall_clock()))
            last = replace(fresh, causes=diff.between(last, fresh, self._wall_clock()))
            yield last

    def relist(self) -> None:
        """Have what the agent said last given again: it is all that can be known."""
        with self._condition:
            self._news = True
            self._condition.notify_all()

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def states(self) -> tuple[PartState, ...]:
        why = "" if self._connected else "the agent is not connected"
        why = why or ("" if self._reachable else "the agent does not reach its engine")
        mode = "none" if why else "push"
        since = self._since if why else None
        known = self._facts is not None
        name, address = self.place.name, self.place.address
        return (PartState("offer", name, mode, address, failing=why, failing_since=since, facts=known),)

    def _put(self, facts: Snapshot | None, *, connected: bool, reachable: bool) -> None:
        with self._condition:
            if (connected and reachable) != (self._connected and self._reachable):
                self._since = self._wall_clock()
            self._connected, self._reachable = connected, reachable
            facts = facts or self._facts
            if facts is not None:
                state = "ready" if connected and reachable else "unreachable"
                nodes = {id_: replace(node, state=state) for id_, node in facts.nodes.items()}
                self._facts, self._news = replace(facts, nodes=nodes), True
                self._condition.notify_all()


def own_facts(place: Place, facts: Snapshot) -> Snapshot:
    """Return what counts of an agent's facts: one node, and services and tasks that are there.

    Raises:
        SourceError: they are about more than one host, or contradict themselves.
    """
    if len(facts.nodes) > 1:
        raise BadMessage("facts about more than one host")
    node = Node(place.name, place.name, role="host", address=place.address, labels=dict(place.labels))
    services = {id_: _service(place, service) for id_, service in facts.services.items()}
    tasks = {id_: _task(place, task) for id_, task in facts.tasks.items()}
    if any(task.service_id not in services for task in tasks.values()):
        raise BadMessage("a task of a service that is not there")
    return Snapshot(nodes={node.id: node}, services=services, tasks=tasks)


def _service(place: Place, service: Service) -> Service:
    if len(service.labels) > MOST_LABELS or len(service.name) > 255:
        raise BadMessage("a service with more labels, or a longer name, than any has")
    # Of two services that claim one match the older has it: none of an agent's is older than the agent.
    created = service.created_at
    if moment(created) < place.joined:
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(place.joined))
    return replace(
        service, created_at=created, ports=_ports(service.ports), networks=(), virtual_ips={}, endpoint_mode="dnsrr"
    )


def _task(place: Place, task: Task) -> Task:
    # Addresses on networks would be anywhere that an edge reaches: traffic goes to the agent's own address.
    return replace(task, node_id=place.name, addresses={}, ports=_ports(task.ports), drain_asked=False)


def _ports(ports: tuple[PublishedPort, ...]) -> tuple[PublishedPort, ...]:
    return tuple(port for port in ports if port.mode == "host")


class Offers:
    """The agents of a hub, as sources of it."""

    def __init__(
        self, add: Callable[[str, Source], None], remove: Callable[[str], None], taken: frozenset[str]
    ) -> None:
        """
        Args:
            add, remove: of what follows all sources.
            taken: names of the hub's own sources.
        """
        self._add, self._remove, self._taken = add, remove, taken
        self._sources: dict[str, OfferSource] = {}
        self._complained: dict[str, str] = {}  # agent -> why its offer was refused last, as the log has it

    def expect(self, place: Place) -> OfferSource | None:
        """Have an agent among the sources, connected or not; None: its name is that of a source in the settings."""
        known = self._sources.get(place.name)
        if known and known.place == place:
            return known
        if place.name in self._taken:
            remedy = "give the source in the settings, or the agent, another name"
            self._complain(place.name, "a source has the same name", remedy=remedy)
            return None
        made = self._sources[place.name] = OfferSource(place)
        self._add(place.name, made)
        return made

    def take(self, place: Place, offer: Offer | None) -> None:
        """Take over what an agent says; None: it has gone. Raises as `OfferSource.take_over` does."""
        if source := self.expect(place):
            if offer is None:
                source.gone()
                return
            try:
                source.take_over(offer)
            except SourceError as error:
                self._complain(place.name, str(error), effect="its servers stay as they were")
                raise
            self._complained.pop(place.name, None)

    def keep(self, wanted: Mapping[str, Place]) -> None:
        """Have these agents among the sources and no others: one that was revoked is gone with its servers."""
        for name in self._sources.keys() - wanted.keys():
            del self._sources[name]
            self._remove(name)
        for place in wanted.values():
            self.expect(place)

    def _complain(self, agent: str, error: str, **more: str) -> None:
        """Log why an offer is refused, once for each reason: the agent tries again and again."""
        if self._complained.get(agent) != error:
            log.error("offer_refused", agent=agent, error=error, **more)
        self._complained[agent] = error
