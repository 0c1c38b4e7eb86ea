"""Several hubs of one fleet: what one decides all know, and a token is used once in the whole fleet."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lbgen.base.errors import LbgenError
from lbgen.hub.authority import new_bundle
from lbgen.hub.registrar import RESERVED, Registrar
from lbgen.source.hub.certificates import Refused
from lbgen.source.hub.exchange import PEER, Answer, exchange
from lbgen.source.hub.identity import join
from tests.support.clock import Clock
from tests.support.fleet import Hub
from tests.support.wait import wait_for

NOWHERE = "https://127.0.0.1:1"


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())


@pytest.fixture
def hubs(tmp_path: Path, clock: Clock) -> Iterator[list[Hub]]:
    """Three hubs that name all three, themselves among them, as one stack file for all would."""
    bundle = new_bundle(clock())
    with contextlib.ExitStack() as stack:
        hubs = [stack.enter_context(Hub(bundle, f"m{n}", tmp_path / f"hub{n}", clock)) for n in range(3)]
        for hub in hubs:
            hub.with_peers(*(each.url for each in hubs))
        yield hubs


def test_token_is_used_once_in_the_fleet(hubs: list[Hub], tmp_path: Path) -> None:
    token = hubs[0].token("e1")
    join(exchange, hubs[0].url, token, tmp_path / "one")
    with pytest.raises(Refused) as refused:  # though nothing was exchanged yet
        join(exchange, hubs[1].url, token, tmp_path / "two")
    assert refused.value.code == "used"
    assert "e1" not in hubs[1].ledger.entries.edges


def test_token_is_used_once_at_the_same_time(hubs: list[Hub], tmp_path: Path) -> None:
    """Of three that come at once to three hubs one joins at most; if none did, one that comes a minute later does."""
    token, joined = hubs[0].token("e1"), []

    def attempt(number: int) -> None:
        with contextlib.suppress(LbgenError):
            joined.append(join(exchange, hubs[number].url, token, tmp_path / f"{number}"))

    threads = [threading.Thread(target=attempt, args=[number]) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(joined) <= 1
    hubs[0].clock.now += RESERVED + 1
    attempt(2)
    assert len(joined) == 1
    assert len({hub.ledger.entries.edges["e1"].key for hub in hubs if "e1" in hub.ledger.entries.edges}) == 1


def test_nobody_joins_without_the_peers(hubs: list[Hub], tmp_path: Path) -> None:
    """A hub that cannot reach a peer joins nobody and says which; it serves and renews who has joined."""
    edge = hubs[0].joined("e1", tmp_path / "e1")
    hubs[0].with_peers(hubs[1].url, NOWHERE)
    with pytest.raises(Refused, match=f"its peer {NOWHERE} cannot be asked") as refused:
        hubs[0].joined("e2", tmp_path / "e2")
    assert refused.value.code == "peer"
    edge.renew(hubs[0].dial())
    assert hubs[0].ask("/v1/edge", {"type": "hello"}, edge).document["name"] == "e1"


def test_edge_of_another_hub(hubs: list[Hub], tmp_path: Path) -> None:
    """An edge is admitted and renewed by a hub that has not heard of it, with what was fixed when it joined."""
    edge = hubs[0].joined("e1", tmp_path / "e1", offer="10.0.0.7", labels={"zone": "eu"})
    answer = hubs[1].ask("/v1/edge", {"type": "hello"}, edge)
    assert answer.document == {"type": "admitted", "name": "e1", "offer": "10.0.0.7", "labels": {"zone": "eu"}}
    edge.renew(hubs[2].dial())


def test_revocation_reaches_all_hubs(hubs: list[Hub], tmp_path: Path) -> None:
    """It closes connections there, and a hub that comes back later hears of it."""
    edge = hubs[0].joined("e1", tmp_path / "e1")
    for hub in hubs:
        hub.ask("/v1/edge", {"type": "hello"}, edge)
    hubs[0].clock.now += 1
    hubs[0].registrar.revoke("e1")
    hubs[0].registrar.peers.sync()  # as `run` does at once
    for hub in hubs:
        assert hub.revoked == ["e1"]
        with pytest.raises(Refused, match="e1 is revoked"):
            hub.ask("/v1/edge", {"type": "hello"}, edge)


def test_healed_partition(hubs: list[Hub], tmp_path: Path) -> None:
    """What two halves have decided apart both know afterwards; a revocation wins."""
    edge = hubs[0].joined("e1", tmp_path / "e1")
    hubs[0].registrar.peers.sync()
    hubs[0].clock.now += 1
    hubs[1].registrar.revoke("e1")  # while the others cannot be reached
    edge.renew(hubs[0].dial())
    hubs[2].registrar.peers.sync()
    hubs[0].registrar.peers.sync()
    assert len({hub.ledger.digest() for hub in hubs}) == 1
    with pytest.raises(Refused, match="e1 is revoked"):
        edge.renew(hubs[0].dial())


def test_a_join_is_known_at_a_hub_that_has_the_older_edge(hubs: list[Hub], tmp_path: Path, clock: Clock) -> None:
    """An edge that has joined anew elsewhere is admitted before its hub is told; the older one is not any more."""
    older = hubs[1].joined("e1", tmp_path / "older")
    clock.now += 1
    newer = hubs[0].joined("e1", tmp_path / "newer")
    assert hubs[1].ask("/v1/edge", {"type": "hello"}, newer).document["name"] == "e1"
    assert hubs[1].revoked == ["e1"]
    with pytest.raises(Refused) as refused:
        hubs[1].ask("/v1/edge", {"type": "hello"}, older)
    assert refused.value.code == "replaced"


def test_only_hubs_are_peers(hubs: list[Hub], tmp_path: Path) -> None:
    """An edge's certificate opens nothing for hubs."""
    edge = hubs[0].joined("e1", tmp_path / "e1")
    for request in ({"type": "sync", "digest": ""}, {"type": "reserve", "token": "t", "key": "k"}):
        with pytest.raises(Refused, match="e1 is no hub"):
            hubs[0].ask(PEER, request, edge)


@pytest.mark.parametrize(
    "request_",
    [
        {}, {"type": "reserve"}, {"type": "entries", "ledger": []}, {"type": "entries", "ledger": {"version": 2}},
        {"type": "entries", "ledger": {"version": 1, "edges": {"A B": {}}, "tokens": {}, "revoked": {}}},
        {"type": "entries", "ledger": {"version": 1, "edges": {}, "tokens": {}, "revoked": {"e1": float("inf")}}},
        {"type": "entries", "ledger": {"version": 1, "edges": {"e1": {"key": 1}}, "tokens": {}, "revoked": {}}},
    ],
)  # fmt: skip
def test_what_is_no_request(hubs: list[Hub], request_: dict[str, object]) -> None:
    """It is refused in words, and changes nothing."""
    before = hubs[0].ledger.entries
    answer = hubs[0].registrar.peer_request(request_, hubs[1].registrar.admitted(hubs[1].authority.certificate))
    assert (answer["type"], answer["code"]) == ("refused", "request")
    assert hubs[0].ledger.entries == before


def test_peer_of_another_fleet(hubs: list[Hub], tmp_path: Path, clock: Clock) -> None:
    """It is asked nothing, and believed nothing."""
    with Hub(new_bundle(clock()), "other", tmp_path / "other", clock) as other:
        hubs[0].with_peers(other.url).peers.sync()
        assert "not a hub of this fleet" in hubs[0].registrar.peers.failing[other.url]
        with pytest.raises(LbgenError):
            exchange(hubs[0].url, PEER, {"type": "sync", "digest": ""}, other.authority.client_context())


def test_hub_that_ends_waits_for_no_peer(tmp_path: Path, clock: Clock) -> None:
    """Neither for the exchange of ledgers nor with an edge that joins: a peer may be silent for as long as it likes."""
    asked: list[str] = []

    def silent(_url: str, _path: str, request: Mapping[str, Any], _context: ssl.SSLContext) -> Answer:
        asked.append(str(request["type"]))
        threading.Event().wait()
        raise AssertionError("nobody ends that")

    with Hub(new_bundle(clock()), "m1", tmp_path / "hub", clock) as hub:
        hub.registrar = Registrar(hub.authority, hub.ledger, (NOWHERE,), silent, clock)
        refusals: list[Refused] = []

        def joins() -> None:
            with pytest.raises(Refused) as refused:
                join(exchange, hub.url, hub.token("e1"), tmp_path / "e1")
            refusals.append(refused.value)

        threads = [threading.Thread(target=work, daemon=True) for work in (hub.registrar.peers.run, joins)]
        for thread in threads:
            thread.start()
        wait_for(lambda: sorted(asked) == ["reserve", "sync"])
        hub.registrar.peers.end()
        hub.registrar.peers.end()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
    assert [(each.code, "about to end" in str(each)) for each in refusals] == [("peer", True)]
