"""The edges of all hubs, as the rollouts of one of them see them, and the way to them.

One hub hands settings out, the one with `hub.fleet`. Edges are connected to any hub: the others say what they see of
theirs, and pass on what is signed. Of several hubs with `hub.fleet` the one whose name comes first does it, while it
can be reached.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from lbgen.base.errors import LbgenError
from lbgen.base.logs import log
from lbgen.base.unexpected import UNEXPECTED, Part
from lbgen.hub.authority import Authority
from lbgen.hub.handing_out import HandingOut
from lbgen.hub.registrar import Registrar
from lbgen.hub.rollout_store import DIRECTORY, RolloutStore
from lbgen.hub.seen import Seen
from lbgen.hub.server import HubServer
from lbgen.hub.session import EdgeRecord
from lbgen.settings.fleet import FleetSettings
from lbgen.source.hub.messages import Fleet

EDGES, HAND = "fleet-edges", "fleet-hand"  # requests of a hub that hands settings out
ASKED = 3.0  # seconds between two questions to a peer
FIRST = 20.0  # seconds for the first answers
Document = dict[str, Any]


def seen(record: EdgeRecord) -> Seen:
    """Return what a rollout sees of an edge. It is ready if all its proxies serve what they should."""
    report = record.report
    ready = report is not None and report.ready and not any(target.failing for target in report.targets)
    said = report.fleet if report else {}
    return Seen(record.connected, record.since, tuple(record.accept), ready, record.labels, said)


class FleetEdges:
    """The edges of this hub and its peers."""

    def __init__(self, server: HubServer, registrar: Registrar, name: str, *, leads: bool) -> None:
        """
        Args:
            name: this hub's.
            leads: whether it hands settings out.
        """
        self._server, self._peers, self._name, self._leads = server, registrar.peers, name, leads
        self._theirs: dict[str, Mapping[str, Seen]] = {}  # by URL of the peer
        self._leaders: dict[str, str] = {}  # names of peers that hand settings out, by URL
        self._to_pass_on: queue.SimpleQueue[tuple[str, Document] | None] = queue.SimpleQueue()
        self._guard = UNEXPECTED.guard(Part.HUB, "edges of other hubs", effect="they are handed nothing meanwhile")
        self._known = threading.Event()  # the peers have been asked
        self._thread = threading.Thread(target=self._run, name="fleet-edges", daemon=True)
        registrar.more |= {EDGES: self._tell, HAND: self._pass_on}

    def start(self) -> None:
        """Begin to ask the peers."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._known.set()
        self._to_pass_on.put(None)

    def all(self) -> Mapping[str, Seen]:
        """Return every edge by name, as the hub sees it that it has connected to last.

        Waits until the peers have been asked for the first time, or have not answered: before, nobody knows who leads.
        """
        self._known.wait(FIRST)
        edges = self.own()
        for theirs in list(self._theirs.values()):
            for name, each in theirs.items():
                known = edges.get(name)
                if known is None or (each.connected, each.since) > (known.connected, known.since):
                    edges[name] = each
        return edges

    def own(self) -> dict[str, Seen]:
        """Return every edge that has been here since the hub started."""
        return {record.name: seen(record) for record in self._server.edges()}

    def send(self, name: str, body: Document) -> None:
        """Send an edge what it is handed, wherever it is connected."""
        if (own := self.own().get(name)) and own.connected:
            self._server.send(name, Fleet(body))
        else:
            self._to_pass_on.put((name, body))

    def leader(self) -> str:
        """Return the peer that hands settings out in place of this hub; empty: none."""
        return min((name for name in self._leaders.values() if name < self._name), default="")

    def ask(self) -> None:
        """Ask every peer for its edges once."""
        answers = self._peers.ask_all({"type": EDGES})
        for url, answer in answers.items():
            self._theirs[url] = {str(name): Seen.read(each) for name, each in answer["edges"].items()}
            self._leaders.pop(url, None)
            if answer["leads"]:
                self._leaders[url] = str(answer["hub"])
        for url in self._theirs.keys() - answers.keys():  # its edges are about to come elsewhere
            self._theirs.pop(url)
            self._leaders.pop(url, None)

    def _run(self) -> None:
        while True:
            self._guard.tried(self.ask)
            self._known.set()
            try:
                while True:
                    if (item := self._to_pass_on.get(timeout=ASKED)) is None:
                        return
                    self._guard.tried(partial(self._send_on, *item))
            except queue.Empty:
                continue

    def _send_on(self, name: str, body: Document) -> None:
        for url, theirs in list(self._theirs.items()):
            if name in theirs and theirs[name].connected:
                try:
                    self._peers.ask(url, {"type": HAND, "edge": name, "body": body})
                except LbgenError as error:
                    log.warning("fleet_not_passed_on", edge=name, peer=url, error=str(error))

    def _tell(self, _request: Mapping[str, Any]) -> Document:
        edges = {name: asdict(each) for name, each in self.own().items()}
        return {"type": EDGES, "hub": self._name, "leads": self._leads, "edges": edges}

    def _pass_on(self, request: Mapping[str, Any]) -> Document:
        """Pass on what another hub has signed: the edge looks at the signature."""
        self._server.send(str(request["edge"]), Fleet(dict(request["body"])))
        return {"type": HAND}


class HubFleet:
    """What one hub has to do with settings for edges: it hands them out, or passes on what another hub does."""

    def __init__(self, settings: FleetSettings | None, state: Path, authority: Authority, server: HubServer) -> None:
        """
        Args:
            settings: None: this hub only passes on.
            state: the hub's.
        """
        self._edges = FleetEdges(server, server.registrar, authority.name, leads=settings is not None)
        self.rollouts: HandingOut | None = None
        if settings:
            store, edges = RolloutStore(state / DIRECTORY), self._edges
            self.rollouts = HandingOut(settings, store, authority.sign, edges.all, edges.send, waits=edges.leader)

    def start(self) -> None:
        """Begin."""
        if self.rollouts:
            self._edges.start()
            self.rollouts.start()

    def stop(self) -> None:
        """End."""
        if self.rollouts:
            self._edges.stop()
            self.rollouts.stop()
