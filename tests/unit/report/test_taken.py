"""Who takes requests of whom: told to both."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbgen.model import Model
from lbgen.report.taken import remarks
from tests.support.builders import Fact, a_listener, a_network, a_node, a_rules, a_service, a_task, modelled

RULES = a_rules(a_listener(), a_listener("pg", 5432, "tcp"), default_listeners=("web",))


def of(name: str, number: int, keys: dict[str, object]) -> list[Fact]:
    """A service; the lower its number, the older it is."""
    created = f"2026-11-22T10:00:{number:02}Z"
    service = a_service(name, {"port": 80, **keys}, networks=("edge-id",), created_at=created)
    return [service, a_task(name, addresses={"edge-id": f"10.0.0.{number}"})]


def model(older: dict[str, object], younger: dict[str, object]) -> Model:
    """Of services bank, the older, and evil."""
    return modelled(a_node(), a_network(), *of("bank", 1, older), *of("evil", 2, younger), rules=RULES)


@pytest.mark.parametrize(
    ("older", "younger"),
    [
        ({"host": "bank.test"}, keys)
        for keys in (
            {"host": "bank.test", "priority": 1_000_000},
            {"path": "/", "priority": 1_000_000},
            {"host": "bank.test", "path": "/login"},
            {"host": "bank.test", "path-exact": "/login"},
            {"host": "bank.test", "path-regex": "^/login"},
            {"path-exact": "/a-path-that-is-longer-than-the-host"},
            {"rule": "!Host(`a-host-that-is-longer-than-the-other.test`)"},
            {"rule": "HostRegexp(`^bank[.]test$`)"},
            {"host": "*.test", "priority": 900},
            {"host": "bank.test", "method": "GET,POST"},
            {"host": "bank.test", "header-regex.cookie": ".*"},
            {"host": "bank.test", "client-ip": "0.0.0.0/0"},
            {"host": "bank.test", "redirect": "https://evil.test{path}", "priority": 9999},
        )
    ]
    + [
        ({"path": "/api"}, {"path": "/api/v1"}),
        ({"path": "/api"}, {"path-regex": "^/api/v1"}),
        ({"host": "*.test"}, {"host": "bank.test"}),
        ({"tcp.x.listener": "pg"}, {"tcp.x.listener": "pg", "tcp.x.priority": 1_000_000}),
        ({"tcp.x.listener": "pg", "tcp.x.sni": "bank.test"}, {"tcp.x.listener": "pg", "tcp.x.priority": 1_000_000}),
        ({"tcp.x.listener": "pg", "tcp.x.sni": "*.test"}, {"tcp.x.listener": "pg", "tcp.x.sni": "bank.test"}),
    ],
    ids=str,
)
def test_taken(older, younger):
    """The one who is overridden is told, and the one who takes; neither is at fault."""
    found = model(older, younger)
    assert found.problems == ()
    bank, evil = remarks(found)
    assert (bank.service, evil.service) == ("bank", "evil")
    assert bank.message.startswith("service evil, which is younger, takes requests of it on listener ")
    assert evil.message.startswith("takes requests of service bank, which is older, on listener ")
    assert remarks(found, "bank") == (bank,)
    assert remarks(found, "evil") == (evil,)


@pytest.mark.parametrize(
    ("older", "younger"),
    [
        ({"host": "bank.test"}, {"host": "evil.test", "priority": 1_000_000}),
        ({"host": "bank.test"}, {"host": "*.test"}),
        ({"host": "bank.test"}, {"rule": "!Host(`bank.test`)", "priority": 1_000_000}),
        ({"host": "bank.test"}, {"path": "/a"}),
        ({"host": "bank.test", "path": "/a"}, {"host": "bank.test", "path": "/login"}),
        ({"host": "bank.test", "path": "/login"}, {"host": "bank.test"}),
        ({}, {"host": "evil.test"}),
        ({"path": "/api"}, {"host": "evil.test", "path": "/api"}),
        ({}, {"path": "/api"}),
        ({"host": "bank.test", "group": "g"}, {"host": "bank.test", "path": "/a", "group": "g"}),
        ({"tcp.x.listener": "pg"}, {"tcp.x.listener": "pg", "tcp.x.sni": "evil.test"}),
        ({"tcp.x.listener": "pg", "tcp.x.sni": "bank.test"}, {"tcp.x.listener": "pg"}),
    ],
    ids=str,
)
def test_not_taken(older, younger):
    """What does not match the older one's requests, goes after it, or is one backend with it."""
    assert remarks(model(older, younger)) == ()


def test_text():
    """Both are told of all pairs of their routes, once."""
    found = model({"host": "a.test,b.test"}, {"host": "a.test,b.test", "path": "/x"})
    assert [str(remark) for remark in remarks(found)] == [
        "service bank: service evil, which is younger, takes requests of it on listener web: "
        "host(a.test) && path_prefix(/x) at priority 34 goes before host(a.test) at priority 14, "
        "and 1 more such pair; nothing, if that is meant; setting claims says who may use what",
        "service evil: takes requests of service bank, which is older, on listener web: "
        "host(a.test) && path_prefix(/x) at priority 34 goes before host(a.test) at priority 14, "
        "and 1 more such pair; nothing, if that is meant; setting claims says who may use what",
    ]


def test_unverified_servers():
    """That anybody may be a server of TLS is noted, unless labels say who vouches for it."""
    told = remarks(model({"host": "a.test", "scheme": "https"}, {"host": "b.test"}))
    assert [(remark.service, remark.message) for remark in told] == [
        ("bank", "its servers' certificates are not verified")
    ]
    assert remarks(model({"host": "a.test", "scheme": "https", "server-ca": "system"}, {"host": "b.test"})) == ()


def test_shared_by_name():
    """Services whose labels define a Traefik service alike share its requests, and are told so; groups are not."""
    facts: list[Fact] = [a_node(), a_network()]
    for number, name in enumerate(("blue", "green"), 1):
        labels = {
            "traefik.enable": "true",
            f"traefik.http.routers.{name}.rule": f"Host(`{name}.org`)",
            "traefik.http.services.web.loadbalancer.server.port": "80",
        }
        service, task = of(name, number, {})
        facts += [replace(service, labels=labels), task]
    told = remarks(modelled(*facts, rules=replace(RULES, dialects=("traefik",))))
    message = "the tasks of services blue, green answer its requests"
    assert [(remark.service, remark.message) for remark in told] == [("blue", message), ("green", message)]
    assert remarks(model({"host": "a.test", "group": "g"}, {"host": "a.test", "group": "g"})) == ()
