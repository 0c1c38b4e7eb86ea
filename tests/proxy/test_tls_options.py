"""Traefik's TLS options (``tls.options=NAME@file``) on all proxies, and on a Traefik that has the same file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import provider_oracle
from tests.support.conformance_suite import Suite
from tests.support.conformance_traffic import servers
from tests.support.real_traefik import BINARY as TRAEFIK
from tests.support.running import PROXIES, running
from tests.support.tls_site import REFUSED, Authority, ask

ORIGINAL = "original"
WHO = [
    *(pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES),
    pytest.param(ORIGINAL, marks=pytest.mark.proxy(TRAEFIK)),
]


def a_suite(authority: Path) -> Suite:
    """A router that asks for certificates of an authority, and one that does not."""
    options = {
        "partners": {"clientAuth": {"caFiles": [str(authority)], "clientAuthType": "RequireAndVerifyClientCert"}}
    }
    services = {
        name: {f"http.routers.{name}.rule": f"Host(`{name}.org`)", f"http.routers.{name}.tls": "true", **more}
        for name, more in {"mtls": {"http.routers.mtls.tls.options": "partners@file"}, "open": {}}.items()
    }
    nobody: frozenset[str] = frozenset()
    listeners = {"secure": "https"}
    return Suite("tls", listeners, services, nobody, nobody, [], "traefik", "", file={"tls": {"options": options}})


@contextlib.contextmanager
def serving(who: str, suite: Suite, directory: Path) -> Iterator[int]:
    """Have a proxy, or a Traefik of its own, serve it; give the listener's port."""
    with servers(suite, directory) as ports:
        snapshot = suite.snapshot(ports)
        if who == ORIGINAL:
            with provider_oracle.asking(suite.listeners, directory / "oracle") as oracle:
                oracle.follow(snapshot, suite.file_provider(ports))
                yield oracle.ports["secure"]
        else:
            settings = suite.settings(who, directory, ports=ports)
            settings = settings.model_copy(update={"client_cas": directory / "authorities"})
            with running(settings, snapshot) as listeners:
                yield listeners["secure"]


@pytest.mark.parametrize("who", WHO)
def test_client_certificates(who, short_dir):
    """Who has a certificate of the file's authority comes in; where the options are not named everybody does."""
    partners, strangers = (Authority(short_dir / "authorities", name) for name in ("partners", "strangers"))
    suite = a_suite(partners.path)
    with serving(who, suite, short_dir) as port:
        assert ask(port, "mtls.org", partners.client(short_dir)) == suite.addresses("mtls")[0]
        for client in (None, strangers.client(short_dir)):
            assert ask(port, "mtls.org", client) in (REFUSED, 400, 403)
        assert ask(port, "open.org") == suite.addresses("open")[0]
