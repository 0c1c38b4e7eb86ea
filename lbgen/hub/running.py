"""A hub, put together from its settings."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lbgen.base.unexpected import UNEXPECTED, Part
from lbgen.hub.authority import Authority
from lbgen.hub.fleet_edges import HubFleet
from lbgen.hub.ledger import Edge, Ledger
from lbgen.hub.offers import Add, Offers, Place
from lbgen.hub.registrar import Peer, Registrar
from lbgen.hub.rollout import Rollout
from lbgen.hub.server import HubServer
from lbgen.hub.session import EdgeRecord
from lbgen.hub.target import HubTarget
from lbgen.hub.upkeep import kept_up
from lbgen.settings.hub import HubSettings
from lbgen.source import PartState
from lbgen.source.hub.expiry import Reminder
from lbgen.source.hub.messages import Offer

LOOKS = 1.0  # seconds between two looks how it goes with the hub's own source


@dataclass(frozen=True)
class KnownEdge:
    """One edge, as this hub knows it."""

    name: str
    edge: Edge | None  # in the ledger; None: not in it
    record: EdgeRecord | None  # None: it has not been connected to this hub since that started
    revoked: bool


class RunningHub:
    """What serves edges, and keeps trust up; `target` is its place in the loop."""

    def __init__(
        self,
        settings: HubSettings,
        add: Add,
        remove: Callable[[str], None],
        taken: Iterable[str],
    ) -> None:
        """
        Args:
            add, remove: of what follows all sources of this lbgen, for what agents offer.
            taken: names of the sources in the settings.
        Raises:
            SettingsError: the authority's file cannot be used.
        """
        assert settings.state  # the settings say where it is, or have their default
        self._file, self._state = settings.authority, settings.state
        self.authority = Authority.load(settings.authority, settings.own_name)
        self.ledger = Ledger(settings.state)
        self.registrar = Registrar(self.authority, self.ledger, tuple(settings.peers))
        self.server = HubServer(settings.address, self.authority, self.registrar)
        self.target = HubTarget(self.server)
        self._fleet = HubFleet(settings.fleet, self._state, self.authority, self.server)
        self._offers = Offers(add, remove, frozenset(taken))
        self.server.shared.on_offer = self._offered
        self._ended = threading.Event()

    @property
    def state(self) -> Path:
        """The directory of what it knows."""
        return self._state

    @contextlib.contextmanager
    def running(self, states: Callable[[], tuple[PartState, ...]]) -> Iterator[None]:
        """Keep trust up, and tell edges what fails, while the block runs.

        Args:
            states: how it goes with all sources; what agents offer is theirs to know.
        Raises:
            SettingsError: the hub's state cannot be written.
        """
        self._offers.keep(self._places())  # also those that are away: what is known of them is served
        threading.Thread(target=self._watch, args=[states], name="hub-states", daemon=True).start()
        try:
            with kept_up(self._file, self.authority, self.ledger, self.registrar):
                self._fleet.start()
                yield
        finally:
            self._ended.set()
            self._fleet.stop()

    def rollout(self) -> Rollout | None:
        """Return the rollout of settings that this hub hands out; None: it hands out none."""
        handing_out = self._fleet.rollouts
        return handing_out.rollout if handing_out else None

    def edges(self) -> list[KnownEdge]:
        """Return every edge that has joined, or has been here."""
        entries, records = self.ledger.entries, {record.name: record for record in self.server.edges()}
        known = []
        for name in sorted({*entries.edges, *records}):
            edge = entries.edges.get(name)
            revoked = name in entries.revoked and (edge is None or edge.joined <= entries.revoked[name])
            known.append(KnownEdge(name, edge, records.get(name), revoked))
        return known

    def _places(self) -> dict[str, Place]:
        """Return the agents that may offer facts, by name."""
        entries = self.ledger.entries
        return {
            name: Place(name, edge.offer, edge.labels, edge.joined)
            for name, edge in entries.edges.items()
            if edge.offer and edge.joined > entries.revoked.get(name, -1.0)
        }

    def _offered(self, peer: Peer, offer: Offer | None) -> None:
        if place := self._places().get(peer.name):
            self._offers.take(place, offer)

    def _watch(self, states: Callable[[], tuple[PartState, ...]]) -> None:
        guard, reminder = UNEXPECTED.guard(Part.HUB, "the hub's own source"), Reminder()

        def look() -> None:
            reminder.look([self.authority.validity()])
            self._offers.keep(self._places())
            self.server.set_failing(
                "; ".join(state.failing for state in states() if state.failing and state.kind != "offer")[:4000]
            )

        while not self._ended.wait(LOOKS):
            guard.tried(look)
