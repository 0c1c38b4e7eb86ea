"""Whatever is damaged in labels, and however a path is spelt: what a guard kept from the application is kept from it.

Random services with open and guarded routes, random damage, random spellings, real proxies, real traffic. Each seed
gives the same run again.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

import pytest

from tests.support.conformance_suite import Case, Suite
from tests.support.conformance_traffic import received, servers
from tests.support.login_service import login_service
from tests.support.path_readings import normal, readings, segments
from tests.support.running import PROXIES, changing, ports_of

SERVICES, REQUESTS, ROUNDS = 8, 14, 3
PATHS = ("/admin", "/a/b", "/api", "/public/in", "/public")
LOGIN = "http://127.9.9.9:<login>/verify"  # at a login service
# Nobody of this test is let in by any of them.
GUARDS = (
    ("allow-ip", "10.0.0.0/8"),
    ("deny-ip", "127.0.0.0/8"),
    ("basic-auth", "staff"),
    ("deny", "true"),
    ("forward-auth", LOGIN),
)
USERS = "anna:$2y$05$" + "x" * 53  # nobody has that password
MIDDLEWARES = (
    ("ipallowlist.sourcerange", "10.0.0.0/8"),
    ("basicauth.users", USERS),
    ("ipallowlist.sourcerange", "192.0.2.0/24"),
    ("forwardauth.address", LOGIN),
)
PIECES = ("/", "//", "/./", "/../", "%2f", "%2F", "%5c", "\\", ";x=1", "/..;/", "%2e", "/%2e%2e/", "..%2f", "x", "")


@dataclass(frozen=True)
class Host:
    """A service: which of its paths are guarded, by which route, and its labels."""

    name: str
    routes: dict[str, str]  # path -> name of the route
    guarded: frozenset[str]  # paths
    labels: dict[str, str]

    def guards(self, path: str) -> bool:
        """Tell whether some application reads a path that the labels guard."""
        return any(self._guards(read) for read in readings(normal(_decoded(path))))

    def _guards(self, read: list[str]) -> bool:
        while ".." in read:
            place = read.index("..")
            read = read[: max(0, place - 1)] + read[place + 1 :]
        below = [path for path in self.routes if read[: len(segments(path))] == segments(path)]
        return max(below, key=len) in self.guarded


def a_host(chance: random.Random, number: int, dialect: str) -> Host:
    """A service with an open route for its host, and others below it."""
    name = f"s{number}"
    chosen = chance.sample(PATHS, chance.randint(1, 4))
    guarded = {path for path in chosen if chance.random() < 0.7} or {chosen[0]}
    routes = {"/": "all", **{path: f"r{place}" for place, path in enumerate(chosen)}}
    labels: dict[str, str] = {}
    for path, route in routes.items():
        labels |= WRITTEN[dialect](chance, f"{name}.test", path, route, path in guarded)
    return Host(name, routes, frozenset(guarded), labels)


def native(chance: random.Random, host: str, path: str, route: str, guarded: bool) -> dict[str, str]:
    """The labels of one route."""
    labels = {f"http.{route}.host": host}
    if path != "/":
        labels[f"http.{route}.path"] = path
    if guarded:
        key, value = chance.choice(GUARDS)
        labels[f"http.{route}.{key}"] = value
    return labels


def traefik(chance: random.Random, host: str, path: str, route: str, guarded: bool) -> dict[str, str]:
    """The labels of one router, and of the middleware that guards it."""
    labels = {f"http.routers.{route}.rule": f"Host(`{host}`)" + (f" && PathPrefix(`{path}`)" if path != "/" else "")}
    if guarded:
        option, value = chance.choice(MIDDLEWARES)
        name = f"guard-{host.partition('.')[0]}-{route}"  # names are all services'
        labels[f"http.routers.{route}.middlewares"] = name
        labels[f"http.middlewares.{name}.{option}"] = value
    return labels


WRITTEN = {"lbgen": native, "traefik": traefik}


def damaged(chance: random.Random, host: Host, dialect: str) -> dict[str, str]:
    """The labels with one mistake."""
    labels = dict(host.labels)
    route = host.routes[chance.choice(sorted(host.guarded))]
    key = chance.choice(sorted(label for label in labels if f".{route}." in label or f"-{route}." in label))
    how = chance.randrange(7)
    if how == 0:
        labels[key] = chance.choice(["", "no good", "10.0.0.0/33", labels[key] + "\x00", "x" * 9000, "../x", "maybe"])
    elif how == 1:
        labels[key[:-2] + key[-1]] = labels.pop(key)  # a letter is missing
    elif how == 2 and dialect == "lbgen":
        labels[key.upper().replace("HTTP.", "http.")] = labels.pop(key)
    elif how == 3:
        unknown = chance.choice(["retires", "x", "alow-ip", "rate-limits", "middlewars", "tls.optoins"])
        labels[f"{'http' if dialect == 'lbgen' else 'http.routers'}.{route}.{unknown}"] = "1"
    elif how == 4:
        other, value = chance.choice(WRONG[dialect])
        labels[f"{'http' if dialect == 'lbgen' else 'http.routers'}.{route}.{other}"] = value
    elif how == 5:
        of_all = (
            ["retires", "timeout.connect", "sticky"]
            if dialect == "lbgen"
            else ["swarm.netwrk", "http.x", "swarm.lbswarm"]
        )
        labels[chance.choice(of_all)] = "?"  # of every route
    elif dialect == "lbgen":
        labels[f"http.{route}.path-regex"] = "("
    else:
        labels[f"http.routers.{route}.middlewares"] = chance.choice(
            ["auth@file", "nobody", "guard-r0,other", "forward@docker"]
        )
    return labels


def asking(port: int, labels: dict[str, str]) -> dict[str, str]:
    """The labels, with the login service at this port."""
    return {key: value.replace("<login>", str(port)) for key, value in labels.items()}


WRONG = {
    "lbgen": [("listener", "nowhere"), ("via", "mesh"), ("network", "gone"), ("port", "x"), ("priority", "high")],
    "traefik": [("entrypoints", "nowhere"), ("service", "gone"), ("priority", "high"), ("tls", "maybe")],
}


def spelled(chance: random.Random, path: str) -> str:
    """The path in some spelling, or another path."""
    if chance.random() < 0.3:
        return path + chance.choice(["", "/", "/x", "x"])
    text = ""
    for char in path:
        text += f"%{ord(char):02x}" if char != "/" and chance.random() < 0.1 else char
        if char == "/" and chance.random() < 0.6:
            text += chance.choice(PIECES)
    around = chance.choice(["", "/x/..", "/public/..%2f..", "/x%2f..", "/a;b=/..;"])
    return around + text + chance.choice(["", "%2fx", ";x", "/x", "/..%2fadmin", "\\x"])


def asked(chance: random.Random, hosts: list[Host]) -> Iterator[tuple[Host, Case]]:
    for host in hosts:
        for _ in range(REQUESTS):
            path = spelled(chance, chance.choice([*host.routes, "/other"]))
            if path.startswith("/"):
                yield host, Case("", "GET", "web", f"{host.name}.test", path, "", (), "")


def _decoded(path: str) -> str:
    """The path with its unreserved characters decoded, as every proxy has it before it looks for a route."""
    kept = []
    for part in path.replace("%", "\n%").split("\n"):
        char = unquote(part[:3], errors="surrogateescape") if part.startswith("%") else ""
        plain = len(char) == 1 and quote(char, safe="") == char
        kept.append(char + part[3:] if plain else part)
    return "".join(kept)


@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("dialect", WRITTEN)
@pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])
def test_guards_hold(proxy, dialect, seed, short_dir):
    """Before, during and after the damage nothing guarded is answered by the application; after it all is as before."""
    chance = random.Random(seed)
    hosts = [a_host(chance, number, dialect) for number in range(SERVICES)]
    cases = list(asked(chance, hosts))
    victims = {host.name: damaged(chance, host, dialect) for host in chance.sample(hosts, SERVICES // 2)}
    with login_service() as login, contextlib.ExitStack() as stack:
        services = {host.name: asking(login.port, host.labels) for host in hosts}
        claims = ({"logins": ["*"]},)
        whole = Suite("guards", {"web": "http"}, services, frozenset(), frozenset(), [], dialect, "", claims)
        refused = {name: asking(login.port, labels) for name, labels in victims.items()}
        broken = replace(whole, services={**services, **refused})
        settings = whole.settings(proxy, short_dir)
        ports = stack.enter_context(servers(whole, short_dir))
        bring_to = stack.enter_context(changing(settings, whole.snapshot(ports)))
        listeners = ports_of(settings)

        def answers() -> list[str]:
            given = [received(case, whole, listeners["web"]) for _, case in cases]
            let_in = [
                f"{case.host}{case.path}, received as {path}"
                for (host, case), (answer, path) in zip(cases, given, strict=True)
                if answer == host.name and host.guards(path)
            ]
            assert let_in == [], (seed, victims)
            return [answer for answer, _ in given]

        before = answers()
        assert len({host.name for host in hosts} & set(before)) > SERVICES // 2  # not everything is refused
        bring_to(broken.snapshot(ports))
        during = answers()
        others = [place for place, (host, _) in enumerate(cases) if host.name not in victims]
        assert [during[place] for place in others] == [before[place] for place in others]
        bring_to(whole.snapshot(ports))
        assert answers() == before
        assert login.asked or all(LOGIN not in host.labels.values() for host in hosts)
