"""Who is admitted by a hub: joins, renewals, revocations, over real TLS on loopback."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbgen.base.errors import SourceError
from lbgen.hub.authority import LIFE, new_bundle
from lbgen.hub.ledger import GRACE
from lbgen.source.hub.certificates import Refused
from lbgen.source.hub.exchange import exchange
from lbgen.source.hub.identity import Identity, join
from tests.support.clock import Clock
from tests.support.fleet import Hub

HOUR = 3600.0


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())


@pytest.fixture
def hub(tmp_path: Path, clock: Clock) -> Iterator[Hub]:
    with Hub(new_bundle(clock()), "m1", tmp_path / "hub", clock) as hub:
        yield hub


def code_of(refused: pytest.ExceptionInfo[Refused]) -> str:
    return refused.value.code


def test_join(hub: Hub, tmp_path: Path) -> None:
    """An edge joins with a token, and is admitted with what the token says of it."""
    edge = hub.joined("e1", tmp_path / "e1", offer="10.200.0.7", labels={"zone": "eu west"})
    answer = hub.ask("/v1/edge", {"type": "hello"}, edge)
    assert answer.document == {"type": "admitted", "name": "e1", "offer": "10.200.0.7", "labels": {"zone": "eu west"}}
    assert (edge.name, edge.holder.offer) == ("e1", "10.200.0.7")


def test_token_is_used_once(hub: Hub, tmp_path: Path) -> None:
    """The second to come with a token is refused, and the first stays."""
    token = hub.token("e1")
    join(exchange, hub.url, token, tmp_path / "one")
    with pytest.raises(Refused, match="token for e1 has been used by another key") as refused:
        join(exchange, hub.url, token, tmp_path / "two")
    assert code_of(refused) == "used"
    assert hub.ask("/v1/edge", {"type": "hello"}, Identity(tmp_path / "one")).document["name"] == "e1"


def test_lost_answer(hub: Hub, tmp_path: Path) -> None:
    """An edge whose answer was lost joins with the same token again: it has the same key."""
    token = hub.token("e1")
    hub.lose_answer = True
    with pytest.raises(SourceError, match="no answer"):
        join(exchange, hub.url, token, tmp_path / "e1")
    joined = hub.ledger.entries.edges["e1"].joined
    hub.clock.now += 1
    edge = join(exchange, hub.url, token, tmp_path / "e1")
    assert (hub.ledger.entries.edges["e1"].joined, hub.revoked) == (joined, [])
    assert hub.ask("/v1/edge", {"type": "hello"}, edge).document["name"] == "e1"


def test_expired_token(hub: Hub, tmp_path: Path, clock: Clock) -> None:
    token = hub.token("e1", life=60)
    clock.now += 61
    with pytest.raises(
        Refused, match=r"token for e1 has expired 1 s ago by this hub's clock.*lbgen hub token"
    ) as refused:
        join(exchange, hub.url, token, tmp_path / "e1")
    assert code_of(refused) == "expired"


def test_renewal(hub: Hub, tmp_path: Path, clock: Clock) -> None:
    """A certificate is renewed when a third of its life is left, and not before."""
    edge = hub.joined("e1", tmp_path / "e1", hub.at_any_time)
    until = edge.until
    clock.now += 15 * HOUR
    assert not edge.renew_if_due(hub.dial_at_any_time())
    clock.now += 2 * HOUR
    assert edge.renew_if_due(hub.dial_at_any_time())
    assert edge.until == pytest.approx(until + 17 * HOUR, abs=2)
    assert Identity(tmp_path / "e1").until == edge.until


def test_renewal_of_an_expired_certificate(hub: Hub, tmp_path: Path, clock: Clock) -> None:
    """A certificate that has expired can be renewed for 30 days, and then no more."""
    edge = hub.joined("e1", tmp_path / "e1", hub.at_any_time)
    clock.now += LIFE + GRACE - 1
    edge.renew(hub.dial_at_any_time())
    clock.now += LIFE + GRACE + 2
    with pytest.raises(Refused, match="too long ago to renew it; join again with a new token") as refused:
        edge.renew(hub.dial_at_any_time())
    assert code_of(refused) == "expired"


def test_expired_certificate_is_not_admitted(hub: Hub, tmp_path: Path, clock: Clock) -> None:
    """It learns nothing until it has renewed, for which it needs no certificate that is in force."""
    clock.now -= LIFE + 60
    edge = hub.joined("e1", tmp_path / "e1", hub.at_any_time)
    clock.now += LIFE + 60
    with pytest.raises(SourceError):
        hub.ask("/v1/edge", {"type": "hello"}, edge)
    assert edge.renew_if_due(hub.dial())
    assert hub.ask("/v1/edge", {"type": "hello"}, edge).document["name"] == "e1"
    clock.now += LIFE + 60  # by the hub's clock alone: what TLS lets pass
    with pytest.raises(Refused) as refused:
        hub.registrar.admitted(Identity(tmp_path / "e1").certificate)
    assert code_of(refused) == "expired"


def test_revoked(hub: Hub, tmp_path: Path, clock: Clock) -> None:
    """Who is revoked is neither admitted nor renewed, its tokens are void, and a newer token lets the name in again."""
    edge, older = hub.joined("e1", tmp_path / "e1"), hub.token("e1")
    clock.now += 1
    hub.registrar.revoke("e1")
    assert hub.revoked == ["e1"]
    for attempt in (lambda: hub.ask("/v1/edge", {"type": "hello"}, edge), lambda: edge.renew(hub.dial())):
        with pytest.raises(Refused, match="e1 is revoked") as refused:
            attempt()
        assert code_of(refused) == "revoked"
    with pytest.raises(Refused, match="older than the revocation"):
        join(exchange, hub.url, older, tmp_path / "again")
    clock.now += 1
    anew = hub.joined("e1", tmp_path / "again")
    assert hub.ask("/v1/edge", {"type": "hello"}, anew).document["name"] == "e1"
    with pytest.raises(Refused, match="e1 is revoked"):
        hub.ask("/v1/edge", {"type": "hello"}, edge)


def test_two_under_one_name(hub: Hub, tmp_path: Path, clock: Clock) -> None:
    """The one that joins later takes the name; the older one's certificate is void, and it is told why."""
    older = hub.joined("e1", tmp_path / "one")
    clock.now += 1
    newer = hub.joined("e1", tmp_path / "two")
    assert hub.revoked == ["e1"]
    assert hub.ask("/v1/edge", {"type": "hello"}, newer).document["name"] == "e1"
    for attempt in (lambda: hub.ask("/v1/edge", {"type": "hello"}, older), lambda: older.renew(hub.dial())):
        with pytest.raises(Refused, match="another edge has joined as e1 since") as refused:
            attempt()
        assert code_of(refused) == "replaced"


def test_restarted_hub(hub: Hub, tmp_path: Path, clock: Clock) -> None:
    """What a hub has decided it knows after a restart."""
    edge, token = hub.joined("e1", tmp_path / "e1"), hub.token("e2")
    join(exchange, hub.url, token, tmp_path / "e2")
    clock.now += 1
    hub.registrar.revoke("e1")
    with Hub(hub.bundle, "m1", tmp_path / "hub", clock) as restarted:
        with pytest.raises(Refused, match="e1 is revoked"):
            restarted.ask("/v1/edge", {"type": "hello"}, edge)
        with pytest.raises(Refused, match="has been used"):
            join(exchange, restarted.url, token, tmp_path / "other")
