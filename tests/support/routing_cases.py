"""Services and requests with which every proxy's routing is tried, the same ones every time."""

from __future__ import annotations

import random

from tests.support import oracle
from tests.support.builders import Fact, app

HOSTS = ["a.org", "b.org", "c.b.org", "deep.c.b.org", "*.b.org", "*.c.b.org", "*.org", "localhost", "192.0.2.7"]


PATHS = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/x%20y", "/.well-known/acme-challenge", "/A"]


ASKED_HOSTS = [*[host.replace("*", "any") for host in HOSTS], "B.Org:8080", "unknown.net", "q.any.org", ""]


ASKED_PATHS = [
    *PATHS,
    "/a/",
    "/a/bc",
    "/a/b/c/d?x=/ab",
    "/abc",
    "/b",
    "/ab?/a/b",
    "//a",
    "/a//b",
    "/.well-known/acme-challenge/t",
]


def random_services(port: int) -> list[Fact]:
    """Seventy services that match in all ways there are, many in each other's way."""
    draw = random.Random(20261122)
    facts: list[Fact] = []
    for number in range(70):
        keys: dict[str, object] = {}
        kind = draw.random()
        if draw.random() < 0.8 or kind > 0.7:  # nothing takes every request
            keys["host"] = ",".join(draw.sample(HOSTS, draw.choice([1, 1, 1, 2])))
        if kind < 0.7:
            keys["path" if kind < 0.45 else "path-exact"] = ",".join(draw.sample(PATHS, draw.choice([1, 1, 2])))
        if draw.random() < 0.2:
            keys["priority"] = draw.choice([0, 4, 6, 8, 12, 30])
        if draw.random() < 0.15:
            keys["method"] = draw.choice(["GET", "POST", "GET,PUT"])
        if draw.random() < 0.15:
            keys["header.x-env"] = draw.choice(["blue", "it's $odd", "blue,green"])
        if draw.random() < 0.05:
            keys |= {"path": "/a", "path-exact": "/a/b", **{f"header.x-{letter}": letter for letter in "abcde"}}
        created = f"2026-11-22T10:00:{draw.randrange(60):02}Z"
        facts += app(f"s{number}", keys, port, f"127.1.1.{number + 1}", created_at=created)
    return facts


def random_requests() -> list[oracle.Request]:
    """Four hundred requests."""
    draw = random.Random(4711)
    kinds: list[dict[str, str]] = [
        {},
        {},
        {"x-env": "blue"},
        {"x-env": "it's $odd"},
        {f"x-{each}": each for each in "abcde"},
    ]
    return [
        oracle.Request(
            draw.choice(ASKED_HOSTS), draw.choice(ASKED_PATHS), draw.choice(["GET", "POST", "PUT"]), draw.choice(kinds)
        )
        for _ in range(400)
    ]


def sni_services(port: int, *, default: bool = True) -> list[Fact]:
    """TCP services by TLS server name, and one for the rest."""
    return [
        *app("one", {"tcp.a.sni": "one.org", "tcp.a.listener": "pg"}, port, "127.1.0.1"),
        *app("wild", {"tcp.a.sni": "*.wild.org,two.org", "tcp.a.listener": "pg"}, port, "127.1.0.2"),
        *(app("rest", {"tcp.a.listener": "pg"}, port, "127.1.0.3") if default else []),
    ]
