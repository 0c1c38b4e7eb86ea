"""Many edges join at several hubs at once: hubs that wait for one another still answer one another."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lbgen.hub.authority import Authority, new_bundle
from lbgen.hub.door import JOINING
from lbgen.hub.ledger import Ledger
from lbgen.hub.registrar import Registrar
from lbgen.hub.server import HubServer
from lbgen.hub.tokens import new_token
from lbgen.source.hub.exchange import Answer, exchange
from lbgen.source.hub.identity import join
from tests.support.hub_and_edges import url_of


def test_both_wait_for_the_other(tmp_path: Path) -> None:
    """As many as a hub takes at once, at each of two, all of which ask the other hub at the same moment."""
    bundle, together = new_bundle(time.time()), threading.Barrier(2 * JOINING)
    urls: dict[str, str] = {}

    def asked(url: str, path: str, request: Mapping[str, Any], context: ssl.SSLContext) -> Answer:
        together.wait(60)
        return exchange(urls[url], path, request, context)

    with contextlib.ExitStack() as stack:
        for name, other in (("m1", "m2"), ("m2", "m1")):
            authority = Authority(bundle, name)
            registrar = Registrar(authority, Ledger(tmp_path / name), (other,), asked)
            hub = HubServer(("127.0.0.1", 0), authority, registrar)
            hub.start()
            stack.callback(hub.stop)
            assert hub.listening.wait(60)
            urls[name] = url_of(hub)

        def joined(number: int) -> str:
            token = new_token(authority, f"e{number}", time.time(), 3600.0)
            return join(exchange, urls[f"m{number % 2 + 1}"], token, tmp_path / f"e{number}").name

        with ThreadPoolExecutor(2 * JOINING) as pool:
            names = list(pool.map(joined, range(2 * JOINING)))
    assert names == [f"e{number}" for number in range(2 * JOINING)]
