"""A hub and edges on loopback, with real TLS and certificates."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lbgen.hub.authority import LIFE, Authority, Bundle, issued, new_bundle
from lbgen.hub.ledger import Ledger
from lbgen.hub.registrar import Registrar
from lbgen.hub.server import HubServer
from lbgen.hub.tokens import new_token
from lbgen.snapshot import Snapshot
from lbgen.source.hub.certificates import pem
from lbgen.source.hub.exchange import Answer, answer
from lbgen.source.hub.identity import Identity, join
from lbgen.source.hub.source import HubSource
from tests.support.wait import wait_for


class Fleet:
    """An authority and the edges that have joined, in a directory."""

    def __init__(self, state: Path) -> None:
        self.bundle, self._state = new_bundle(time.time()), state
        self._identities: dict[str, Identity] = {}

    def registrar(self, name: str, peers: tuple[str, ...] = ()) -> tuple[Authority, Registrar]:
        """What a hub of this name is made of."""
        authority = Authority(self.bundle, name)
        return authority, Registrar(authority, Ledger(self._state / name), peers)

    def identity(self, name: str, **facts: Any) -> Identity:
        """The edge of this name, which has joined."""
        if name not in self._identities:
            authority, registrar = self.registrar("joins")

            def answered(_url: str, _path: str, request: Mapping[str, Any], _context: ssl.SSLContext) -> Answer:
                return answer("", json.dumps(registrar.join(request)), authority.certificate)

            token = new_token(authority, name, time.time(), 3600.0, **facts)
            self._identities[name] = join(answered, "https://joins:1", token, self._state / f"edge-{name}")
        return self._identities[name]


def expire(state: Path, bundle: Bundle, seconds: float) -> None:
    """Put into an edge's state a certificate as it has after a day, and so many seconds, without any hub."""
    path = state / "identity.json"
    known = json.loads(path.read_text())
    key = serialization.load_pem_private_key(known["key"].encode(), None).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    certificate = issued(bundle, Identity(state).holder, key, time.time() - LIFE - seconds)
    path.write_text(json.dumps(known | {"certificate": pem(certificate)}))


@contextlib.contextmanager
def a_hub(
    fleet: Fleet,
    facts: Snapshot | None = None,
    port: int = 0,
    name: str = "m1",
    peers: tuple[str, ...] = (),
    **options: Any,
) -> Iterator[HubServer]:
    """A hub that listens on loopback."""
    hub = HubServer(("127.0.0.1", port), *fleet.registrar(name, peers), **options)
    if facts is not None:
        hub.publish(facts)
    hub.start()
    assert hub.listening.wait(60)
    try:
        yield hub
    finally:
        hub.stop()


def url_of(hub: HubServer) -> str:
    return f"https://127.0.0.1:{hub.port}"


class Following:
    """An edge whose snapshots are collected in a thread."""

    def __init__(self, source: HubSource) -> None:
        self.source, self.seen = source, list[Snapshot]()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        for snapshot in self.source.follow():
            self.seen.append(snapshot)

    def until(self, facts: Snapshot) -> Snapshot:
        """Wait until the newest snapshot is this, and return it."""
        wait_for(lambda: bool(self.seen) and self.seen[-1] == facts, f"{len(facts.tasks)} tasks")
        return self.seen[-1]

    def close(self) -> None:
        self.source.close()
        self._thread.join(60)
        assert not self._thread.is_alive()


@contextlib.contextmanager
def an_edge(fleet: Fleet, *urls: str, name: str = "edge1", **options: Any) -> Iterator[Following]:
    """An edge that follows these hubs."""
    following = Following(HubSource(urls, fleet.identity(name), options.pop("store", None), **options))
    try:
        yield following
    finally:
        following.close()
