"""What agents offer: about their own host only, whatever they say."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lbgen.base.errors import SourceError
from lbgen.hub.offers import MOST, Offers, OfferSource, Place, own_facts
from lbgen.hub.registrar import Peer
from lbgen.snapshot import Node, Snapshot
from lbgen.source import Source, encode
from lbgen.source.hub.messages import Items, Offer
from tests.support.builders import a_network, a_node, a_service, a_snapshot, a_task, host_port, ingress
from tests.support.hub_and_edges import Fleet, a_hub, an_edge, url_of
from tests.support.quiet_source import GivenSource
from tests.support.wait import wait_for

PLACE = Place("shop", "10.200.0.7", {"zone": "eu"}, 1_795_000_000.0)


def host(*tasks: int, **node: object) -> Snapshot:
    """A host as its agent has it: one service with tasks on published ports."""
    return a_snapshot(
        a_node("box", role="host", **node),
        a_service("web"),
        *(a_task("web", slot, "box", ports=(host_port(80, 30000 + slot),)) for slot in tasks),
    )


def said(facts: Snapshot) -> Items:
    return {
        kind: [encode.item(kind, item) for item in getattr(facts, kind).values()]
        for kind in ("nodes", "services", "tasks", "networks")
    }


def test_place_is_not_the_agents_to_say() -> None:
    """Name, address and labels of the node are those that were fixed; labels that would move it do not count."""
    facts = own_facts(PLACE, host(1, address="192.0.2.66", labels={"lbgen.address": "192.0.2.66"}))
    (node,) = facts.nodes.values()
    assert node == Node("shop", "shop", role="host", address="10.200.0.7", labels={"zone": "eu"})
    assert {task.node_id for task in facts.tasks.values()} == {"shop"}


def test_traffic_goes_to_published_ports_alone() -> None:
    """Addresses on networks, virtual ones and ports of a mesh would be anywhere that an edge reaches."""
    task = a_task("web", 1, "box", addresses={"edge-id": "169.254.169.254"}, ports=(ingress(), host_port(80, 30001)))
    service = a_service("web", networks=("edge-id",), virtual_ips={"edge-id": "192.0.2.9"}, ports=(ingress(80, 22),))
    facts = own_facts(PLACE, a_snapshot(a_node("box"), a_network(), service, task))
    assert facts.networks == {}
    assert facts.services["web-id"].ports == ()
    assert facts.services["web-id"].virtual_ips == {}
    assert facts.tasks["web-1-id"].addresses == {}
    assert facts.tasks["web-1-id"].ports == (host_port(80, 30001),)


def test_no_service_is_older_than_its_agent() -> None:
    """The older of two services keeps a match that both claim: an agent cannot take one from those that were there."""
    old = own_facts(PLACE, a_snapshot(a_node(), a_service("web", created_at="1970-01-01T00:00:00Z")))
    assert old.services["web-id"].created_at == "2026-11-18T11:06:40Z"
    new = own_facts(PLACE, a_snapshot(a_node(), a_service("web", created_at="2027-01-01T00:00:00Z")))
    assert new.services["web-id"].created_at == "2027-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (a_snapshot(a_node("a"), a_node("b")), "more than 1 nodes"),
        (a_snapshot(a_node(), a_task("other")), "a task of a service that is not there"),
        (a_snapshot(*(a_service(f"s{number}") for number in range(MOST["services"] + 1))), "more than 2000 services"),
        (a_snapshot(a_service("web", labels={f"l{number}": "" for number in range(501)})), "more labels"),
    ],
)
def test_too_much(facts: Snapshot, why: str) -> None:
    """What is about more than a host has, or contradicts itself, is refused, and changes nothing."""
    source = OfferSource(PLACE)
    source.take_over(Offer(True, True, said(host(1))))
    with pytest.raises(SourceError, match=why):
        source.take_over(Offer(True, True, said(facts)))
    assert next(source.follow()).tasks.keys() == {"web-1-id"}


def test_refusal_is_logged_once_for_each_reason() -> None:
    """The operator of the hub sees why an agent's servers stay as they were, and not at each of its attempts."""
    offers = Offers(lambda _name, _source: None, lambda _name: None, frozenset())
    bad, good = Offer(put=said(a_snapshot(a_node("a"), a_node("b")))), Offer(put=said(host(1)))
    with capture_logs() as logs:
        for offer in (bad, bad, good, bad):
            with suppress(SourceError):
                offers.take(PLACE, offer)
    assert [(entry["event"], entry["agent"], entry["error"]) for entry in logs] == [
        ("offer_refused", "shop", "more than 1 nodes on one host")
    ] * 2


def test_pieces_and_changes() -> None:
    """Facts that come in pieces count once the last is there; later ones are what has changed."""
    source, whole = OfferSource(PLACE), said(host(1, 2))
    source.take_over(Offer(True, False, {"nodes": whole["nodes"], "services": whole["services"]}))
    assert not source.states()[0].facts
    source.take_over(Offer(False, True, {"tasks": whole["tasks"]}))
    following = source.follow()
    first = next(following)
    assert first.tasks.keys() == {"web-1-id", "web-2-id"}
    source.take_over(Offer(put={}, gone={"tasks": ["web-1-id"]}))
    after = next(following)
    assert after.tasks.keys() == {"web-2-id"}
    assert after.services is first.services


def test_agent_that_goes_away() -> None:
    """Its servers stay, on a node that is unreachable; its state says since when."""
    source = OfferSource(PLACE)
    source.take_over(Offer(True, True, said(host(1))))
    following = source.follow()
    assert next(following).nodes["shop"].state == "ready"
    source.gone()
    after = next(following)
    assert (after.nodes["shop"].state, len(after.tasks)) == ("unreachable", 1)
    (state,) = source.states()
    assert (state.mode, state.failing) == ("none", "the agent is not connected")
    source.take_over(Offer(put={}, reachable=False))
    assert source.states()[0].failing == "the agent does not reach its engine"
    source.take_over(Offer(put={}))
    assert (source.states()[0].mode, next(following).nodes["shop"].state) == ("push", "ready")


def test_agents_are_sources() -> None:
    """Each is added once, replaced when its place is another, removed when not wanted; no source is overwritten."""
    sources: dict[str, Source] = {}
    offers = Offers(sources.__setitem__, sources.__delitem__, frozenset({"prod"}))
    offers.keep({"shop": PLACE, "prod": Place("prod", "10.0.0.1")})
    assert sources.keys() == {"shop"}
    first = sources["shop"]
    offers.take(PLACE, Offer(True, True, said(host(1))))
    assert sources["shop"] is first
    offers.keep({"shop": replace(PLACE, address="10.200.0.8")})
    assert sources["shop"] is not first
    offers.keep({})
    assert sources == {}


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def test_offer_over_a_connection(fleet: Fleet) -> None:
    """An agent's facts arrive at every hub, first as a whole and then as changes, and again after a break."""
    heard: dict[str, OfferSource] = {"m1": OfferSource(PLACE), "m2": OfferSource(PLACE)}

    def listener(name: str) -> Callable[[Peer, Offer | None], None]:
        def take(peer: Peer, offer: Offer | None) -> None:
            assert (peer.name, peer.offer) == ("shop", "10.200.0.7")
            heard[name].take_over(offer) if offer else heard[name].gone()

        return take

    def tasks(name: str) -> int:
        state = heard[name].states()[0]
        return len(next(heard[name].follow()).tasks) if state.facts and not state.failing else -1

    fleet.identity("shop", offer="10.200.0.7")
    engine = GivenSource()
    with a_hub(fleet, name="m1") as first, a_hub(fleet, name="m2") as second:
        first.shared.on_offer, second.shared.on_offer = listener("m1"), listener("m2")
        with an_edge(fleet, url_of(first), url_of(second), name="shop", facts=False, offer=engine):
            engine.give(host(1, 2))
            wait_for(lambda: heard["m1"].states()[0].facts and heard["m2"].states()[0].facts)
            heard["m1"].relist()
            assert tasks("m1") == 2
            engine.give(host(2))
            wait_for(lambda: heard["m2"].relist() or tasks("m2") == 1)
            first.disconnect("shop", "leaving", "a test")
            wait_for(lambda: heard["m1"].states()[0].failing)
            engine.give(host(1, 2, 3))
            wait_for(lambda: heard["m1"].relist() or tasks("m1") == 3)
        wait_for(lambda: heard["m1"].states()[0].failing)
