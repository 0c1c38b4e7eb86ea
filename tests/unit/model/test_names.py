"""By which name servers are asked, and that those who are to be verified have one."""

from __future__ import annotations

import pytest

from lbgen.model import Model
from tests.support.builders import a_network, a_node, a_service, a_task, modelled


def model(*services: dict[str, object]) -> Model:
    """Services s0, s1, ..., the first the oldest, each with one server."""
    facts = [a_node(), a_network()]
    for number, keys in enumerate(services):
        created = f"2026-11-22T10:0{number}:00Z"
        facts.append(a_service(f"s{number}", {"port": 80, **keys}, networks=("edge-id",), created_at=created))
        facts.append(a_task(f"s{number}", addresses={"edge-id": f"10.0.0.{number + 1}"}))
    return modelled(*facts)


@pytest.mark.parametrize(
    ("keys", "host", "name"),
    [
        ({"host": "b.org,a.org"}, "b.org", "b.org"),
        ({"host": "*.b.org,a.org"}, "a.org", "a.org"),
        ({"host": "192.0.2.1,a.org"}, "192.0.2.1", "a.org"),
        ({"rule": "!Host(`c.org`) && (Host(`b.org`) || Host(`a.org`))"}, "b.org", "b.org"),
        ({"host": "*.b.org"}, "", ""),
        ({"host": "*.b.org", "health-check.host": "up.b.org"}, "up.b.org", "up.b.org"),
        ({"host": "a.org", "health-check.host": "up.org"}, "up.org", "a.org"),
        ({"host": "a.org", "host-header": "in.org:81"}, "in.org:81", "in.org"),
        ({"host": "a.org", "host-header": "server"}, "", "a.org"),
        ({"host": "a.org", "server-name": "srv.org"}, "a.org", "srv.org"),
    ],
)
def test_names_of_checks(keys, host, name):
    """Host and TLS name of the check: what labels name, else the first exact host; no address is a TLS name."""
    found = model({"scheme": "https", "health-check.path": "/", **keys})
    assert found.problems == ()
    check = found.backends[0].health_check
    assert check
    assert (check.scheme, check.host, check.server_name) == ("https", host, name)


@pytest.mark.parametrize(
    ("keys", "scheme"),
    [
        ({"scheme": "h2c", "health-check.path": "/"}, "h2c"),
        ({"scheme": "h2c", "health-check.path": "/", "health-check.scheme": "http"}, "http"),
        ({"scheme": "https", "host": "a.org"}, "https"),
        ({"scheme": "https"}, "http"),  # a handshake for no name tells nothing
        ({}, "http"),
    ],
)
def test_scheme_of_checks(keys, scheme):
    """Checks speak as requests do."""
    check = model(keys).backends[0].health_check
    assert check
    assert check.scheme == scheme


@pytest.mark.parametrize(
    ("keys", "label"),
    [
        ({"server-ca": "internal", "host": "a.org"}, "server-ca"),
        ({"server-name": "a.org"}, "server-name"),
        ({"scheme": "https", "server-ca": "internal", "host": "*.a.org"}, "server-ca"),
        ({"scheme": "https", "server-ca": "system"}, "server-ca"),
        ({"scheme": "https", "server-name": "10.0.0.1"}, "server-name"),
    ],
)
def test_not_verifiable(keys, label):
    """What has no TLS, or no name but the client's, cannot be verified: the route is closed."""
    found = model(keys)
    assert [problem.label for problem in found.problems] == [f"lbgen.{label}"]
    assert not any(backend.servers for backend in found.backends)


GROUP = {"group": "g", "scheme": "https", "health-check.path": "/up"}


@pytest.mark.parametrize(
    ("leader", "member", "told"),
    [
        ({}, {}, False),
        ({}, {"host": "b.org"}, False),
        ({"server-ca": "internal"}, {"server-ca": "internal", "host": "b.org"}, False),
        ({}, {"server-ca": "internal"}, True),
        ({}, {"server-name": "b.org"}, True),
        ({}, {"health-check.host": "b.org"}, True),
    ],
)
def test_group(leader, member, told):
    """The leader's names and authority hold; a member is told only if its own labels say otherwise."""
    found = model({**GROUP, "host": "a.org", **leader}, {**GROUP, **member})
    (backend,) = found.backends
    assert len(backend.servers) == 2
    assert (backend.server_ca, backend.server_name) == (leader.get("server-ca", ""), "a.org")
    assert backend.health_check
    assert (backend.health_check.host, backend.health_check.server_name) == ("a.org", "a.org")
    assert [problem.service for problem in found.problems] == ["s1"] * told


def test_group_without_a_name():
    """Servers of a group that are to be verified, and whose leader has no host, get no requests."""
    found = model({**GROUP, "server-ca": "internal"}, {**GROUP, "server-ca": "internal"})
    assert [backend.servers for backend in found.backends] == [()]
    assert any("for which name" in problem.message for problem in found.problems)
