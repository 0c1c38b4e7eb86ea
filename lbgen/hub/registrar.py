"""Who is admitted: joins edges that have a token, renews their certificates, and knows who is revoked.

Everything that it says of an edge it takes from the token, once, and from then on from the ledger or from the edge's
own certificate; nothing from the edge's requests but its public key.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cryptography import x509

from lbgen.base.logs import log
from lbgen.base.unexpected import UNEXPECTED, Part
from lbgen.base.unwritable import unwritable
from lbgen.hub import refusals, tokens
from lbgen.hub.attempts import Attempts
from lbgen.hub.authority import Authority
from lbgen.hub.certificate_request import bytes_in, requested_key
from lbgen.hub.challenges import Challenges
from lbgen.hub.ledger import GRACE, Edge, Entries, Ledger, Used, entries_in
from lbgen.hub.peers import Peers
from lbgen.source.hub.certificates import (
    EDGE,
    LARGEST,
    Holder,
    Refused,
    certificate_in,
    key_id,
    pem,
    proven,
)
from lbgen.source.hub.exchange import Exchange, exchange, refusal
from lbgen.source.hub.identity import PROOF
from lbgen.source.hub.token import Token

RESERVED = 60.0  # seconds for which a token is kept for somebody who is about to join
MOST_RESERVED = 10_000
JOINS, JOIN_FORGIVEN = 10, 6.0  # failed joins of one address at once; seconds until one is forgiven
RENEWALS, RENEWAL_FORGIVEN = 200, 0.5  # of renewals, as many edges may be behind one address


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection."""

    name: str
    role: str  # "edge" or "hub"
    serial: int  # of its certificate
    offer: str = ""  # address of its published ports if it may offer facts
    labels: Mapping[str, str] = field(default_factory=dict)
    until: float = 0.0  # when its certificate ends, and with it the right to this connection; seconds since 1970


class Registrar:
    """The hub's registrar. All methods are safe in several threads, and those that answer requests never raise.

    `join` waits for the peers, so it has no business in a thread that serves others.
    """

    def __init__(
        self,
        authority: Authority,
        ledger: Ledger,
        peers: tuple[str, ...] = (),
        exchange: Exchange = exchange,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            peers: URLs of the other hubs.
        """
        self._authority, self._ledger, self._clock = authority, ledger, clock
        self.peers = Peers(peers, authority, ledger, exchange, self._hear)
        self._challenges = Challenges(authority, clock)
        self._joins = Attempts(JOINS, JOIN_FORGIVEN)
        self._renewals = Attempts(RENEWALS, RENEWAL_FORGIVEN)
        self._reserved: dict[str, tuple[str, float]] = {}  # token -> key, until
        self._lock = threading.Lock()
        effect = "the request is refused"
        self._guard = UNEXPECTED.guard(Part.HUB, "joins and renewals", event="hub_failed", effect=effect)
        # Answers to what other hubs ask besides trust, by the request's type.
        self.more: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {}
        # Called with an edge's name when its certificates are void, or some are, from any thread. Its connections are
        # to be tried again by `admitted`, and closed if that refuses them: it may have joined anew meanwhile.
        self.on_revoked: Callable[[str], None] = lambda _name: None

    def join(self, request: Mapping[str, Any], address: str = "") -> dict[str, Any]:
        """Answer a request on ``/v1/join``: the authorities' certificates, which are public, or one for an edge."""
        if request.get("type") == "authorities":
            return {"type": "authorities", "authorities": self._authority.authorities}
        return self._answered("join", lambda: self._join(request), self._joins, address)

    def renew(self, request: Mapping[str, Any], address: str = "") -> dict[str, Any]:
        """Answer a request on ``/v1/renew``: a challenge, or another certificate for one who has the key."""
        if request.get("type") == "challenge":
            return {"type": "challenge", "nonce": base64.b64encode(self._challenges.new()).decode()}
        return self._answered("renew", lambda: self._renew(request), self._renewals, address)

    def admitted(self, certificate: bytes) -> Peer:
        """Return who has a certificate, in DER, that a TLS handshake has proven.

        Raises:
            Refused: it is none of this fleet, has expired or is revoked.
        """
        read = certificate_in(certificate)
        holder = self._authority.verified(read)
        if holder.role == EDGE:
            self._check_edge(read, holder, adopt=True)
        until = read.not_valid_after_utc.timestamp()
        return Peer(holder.name, holder.role, read.serial_number, holder.offer, holder.labels, until)

    def seen(self, peer: Peer) -> None:
        """Remember that an edge is connected to this hub now."""
        known = self._ledger.entries.edges.get(peer.name)
        if peer.role == EDGE and known:
            now = replace(known, seen=max(known.seen, self._clock()), hub=self._authority.name)
            self._take(Entries(edges={peer.name: now}), later=True)

    def revoke(self, name: str, at: float | None = None) -> None:
        """Void all certificates and tokens of a name that were made until a time.

        It is in force at once, here and at the peers, whatever becomes of this hub's disk.

        Args:
            at: seconds since 1970; None: now, whatever the clock of the hub that the edge has joined.
        Raises:
            OSError: it is in force only as long as this hub runs: it could not be written. To be tried again.
        """
        if at is None:
            known = self._ledger.entries.edges.get(name)
            at = max(self._clock(), known.joined if known else 0.0)
        if self._take(Entries(revoked={name: at}), later=True):
            log.warning("hub_edge_revoked", edge=name)
            self.peers.tell()
        self._ledger.flush()

    def peer_request(self, request: Mapping[str, Any], peer: Peer) -> dict[str, Any]:
        """Answer a request of another hub on ``/v1/peer``."""
        if peer.role == EDGE:
            return refusal(Refused("fleet", f"{peer.name} is no hub"))
        try:
            match request.get("type"):
                case "reserve":
                    self._reserve(str(request["token"])[:LARGEST], str(request["key"])[:LARGEST])
                    return {"type": "reserved"}
                case "entries":
                    self._hear(entries_in(request["ledger"]))
                    return {"type": "taken"}
                case "sync":
                    digest = self._ledger.digest()
                    same = request["digest"] == digest
                    ledger = {} if same else {"ledger": self._ledger.entries.document()}
                    return {"type": "ledger", "digest": digest, **ledger}
                case str(kind) if kind in self.more:
                    return self.more[kind](request)
            raise KeyError("type")
        except Refused as refused:
            return refusal(refused)
        except (KeyError, ValueError, TypeError, AttributeError):
            return refusal(Refused("request", "that is no request of a hub of this version"))

    def _answered(
        self, what: str, answer: Callable[[], dict[str, Any]], attempts: Attempts, address: str
    ) -> dict[str, Any]:
        try:
            attempts.check(address)
            said = answer()
            self._guard.worked()
            return said
        except Refused as refused:
            if refused.code != "limit":  # or there would be a line for each, too
                attempts.failed(address)
                log.warning(f"hub_{what}_refused", address=address, code=refused.code, error=str(refused))
            return refusal(refused)
        except OSError as error:
            unkept = unwritable(Path(str(error.filename)), error)
            log.error("hub_ledger_unwritten", error=unkept, effect="nobody can join here until it can be written")
            return refusal(refusals.unwritten())
        except Exception as error:
            self._guard.failed(error)
            return refusal(Refused("peer", "this hub has met an error that nobody expected: see its log"))

    def _join(self, request: Mapping[str, Any]) -> dict[str, Any]:
        now = self._clock()
        token = tokens.checked(self._authority, request.get("token"), now)
        key = requested_key(request)
        void = self._ledger.entries.revoked.get(token.name, 0.0)
        if token.made <= void:
            raise refusals.older_than_revocation(token.name, void - now)
        edge = self._joined_by(token, key_id(key))
        if edge:
            return self._certified(edge.holder(token.name), key, later=False)
        self._reserve(token.id, key_id(key))
        self.peers.reserve(token.id, key_id(key))
        return self._enter(token, key, now)

    def _joined_by(self, token: Token, key: str) -> Edge | None:
        """Return the edge if it has joined with this token and key already, and the answer was lost; raise Refused."""
        used, edge = self._ledger.entries.tokens.get(token.id), self._ledger.entries.edges.get(token.name)
        if used is None:
            return None
        if edge is None or not hmac.compare_digest(used.key, key) or edge.key != key:
            raise refusals.used(token.name)
        if edge.joined <= self._ledger.entries.revoked.get(token.name, -1.0):
            raise refusals.revoked(token.name)
        return edge

    def _reserve(self, token: str, key: str) -> None:
        """Keep a token for a key for a while; raise Refused if another has it."""
        with self._lock:
            now = self._clock()
            used = self._ledger.entries.tokens.get(token)
            holder, until = self._reserved.get(token, (key, 0.0))
            if (used and used.key != key) or (holder != key and now < until):
                raise refusals.used("one edge")
            if len(self._reserved) >= MOST_RESERVED:
                self._reserved = {id_: each for id_, each in self._reserved.items() if now < each[1]}
            if len(self._reserved) >= MOST_RESERVED:
                raise Refused("limit", "too many edges join at once; try again in a minute")
            self._reserved[token] = key, now + RESERVED

    def _enter(self, token: Token, key: Any, now: float) -> dict[str, Any]:
        entries = self._ledger.entries
        before, void = entries.edges.get(token.name), entries.revoked.get(token.name, 0.0)
        # Later than what it takes the place of, whatever the clock of the hub that wrote that.
        joined = max(now, void + 0.001, before.joined + 0.001 if before else 0.0)
        holder = Holder(EDGE, token.name, joined, token.offer, token.labels)
        # The token is used, and the edge that had the name before is replaced, once that is on disk, and not before.
        used = {token.id: Used(key_id(key), token.until)}
        certified = self._certified(holder, key, later=False, tokens_used=used)
        if before and before.joined > void:
            log.warning("hub_edge_replaced", edge=token.name, effect="the certificate of the older one is void")
        log.info("hub_edge_joined", edge=token.name, token=token.id)
        self.peers.tell()
        return certified

    def _renew(self, request: Mapping[str, Any]) -> dict[str, Any]:
        nonce, certificate, proof = (bytes_in(request, key) for key in ("nonce", "certificate", "proof"))
        self._challenges.check(nonce)
        read = certificate_in(certificate)
        holder = self._authority.verified(read, GRACE)
        if holder.role != EDGE or not proven(read.public_key(), PROOF + nonce + certificate, proof):
            raise Refused("fleet", "the request is not signed with the key of the certificate that is to be renewed")
        in_force = read.not_valid_after_utc.timestamp() >= self._clock()
        self._check_edge(read, holder, adopt=in_force)
        return self._certified(holder, read.public_key(), later=True)

    def _certified(
        self, holder: Holder, key: Any, later: bool, tokens_used: Mapping[str, Used] = MappingProxyType({})
    ) -> dict[str, Any]:
        certificate = self._authority.issue(holder, key)
        until = certificate.not_valid_after_utc.timestamp()
        trusts = ",".join(each[:16] for each in self._authority.fingerprints)
        edge = Edge(key_id(key), holder.joined, holder.offer, holder.labels, until, trusts)
        self._take(Entries({holder.name: edge}, tokens_used), later)
        said = {"certificate": pem(certificate), "authorities": self._authority.authorities}
        return {"type": "certificate", **said}

    def _check_edge(self, certificate: x509.Certificate, holder: Holder, adopt: bool) -> None:
        """Raise Refused if an edge that the authority has vouched for is not welcome any more.

        A certificate has all that the ledger would: it may be the first that this hub hears of an edge that has joined
        with another. Without the ledger one that has expired is not enough, as it may be revoked.
        """
        entries, name = self._ledger.entries, holder.name
        if holder.joined <= entries.revoked.get(name, -1.0):
            raise refusals.revoked(name)
        known, key = entries.edges.get(name), key_id(certificate.public_key())
        if known and (known.key, known.joined) == (key, holder.joined):
            return
        if known and known.joined >= holder.joined:
            raise refusals.replaced(name)
        if not adopt:
            raise Refused("unknown", f"this hub does not know {name}, and its certificate has expired: join it again")
        self._take(Entries(edges={name: Edge(key, holder.joined, holder.offer, holder.labels)}), later=True)
        log.info("hub_edge_learnt", edge=name)

    def _hear(self, entries: Entries) -> None:
        """Take in what another hub has: in force at once. Where it cannot be written, that is told by who keeps it."""
        self._take(entries, later=True)
        with contextlib.suppress(OSError):
            self._ledger.flush()

    def _take(self, entries: Entries, later: bool = False) -> frozenset[str]:
        void = self._ledger.merge(entries, later)
        for name in void:
            self.on_revoked(name)
        return void
