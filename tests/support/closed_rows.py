"""Every guard, in every dialect, in every way in which it cannot be honoured: as labels of one service each.

Each service has an open route for its host and a guarded one for ``/admin`` there. Made from the tables of keys,
middlewares and parameters, so that a new guard is asked about as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lbgen.labels.dockerflow.options import FIELDS_OF, OPTIONS, UNREADABLE_GUARDS
from lbgen.labels.foreign_options import Taken
from lbgen.labels.keys.table import BY_NAME, GUARDS, KEYS, nearest
from lbgen.labels.traefik.middleware_options import KINDS, guard_of

CONTROL = "\u0007"


@dataclass(frozen=True)
class Row:
    """A guard that cannot be honoured."""

    dialect: str
    guard: str  # key, kind of middleware, or parameter
    way: str
    labels: dict[str, str]  # without their prefix; HOST and NAME stand for its own

    def written(self, name: str) -> dict[str, str]:
        """The labels of a service of this name, without their prefix."""
        host = f"{name}.example.org"
        return {
            key.replace("NAME", name): value.replace("NAME", name).replace("HOST", host)
            for key, value in self.labels.items()
        }

    def __str__(self) -> str:
        return f"{self.dialect}-{self.guard}-{self.way}"


def misspelt(word: str) -> str:
    """The word with a letter left out."""
    return word[:2] + word[3:] if len(word) > 4 else word[:-1]


def rows() -> list[Row]:
    """All of them."""
    return [*_native(), *_traefik(), *_dockerflow()]


def _native() -> Iterator[Row]:
    usual = {"http.all.host": "HOST", "http.admin.host": "HOST", "http.admin.path": "/admin"}
    for name in sorted(GUARDS):
        key = KEYS[name]
        if "http" not in key.protocols:
            continue
        own = {**usual, "http.admin.allow-ip": "127.0.0.0/8"} if key.name == "allow-ip.status" else usual
        for way, value in (("control", CONTROL), ("bad", "!"), ("empty", " ")):
            yield Row("lbgen", key.name, way, {**own, f"http.admin.{key.name}": value})
        for way, text in (("misspelt", misspelt(key.name)), ("capital", key.name.capitalize())):
            assert BY_NAME.get(nearest(text)) in GUARDS, text
            yield Row("lbgen", key.name, way, {**own, f"http.admin.{text}": key.sample})


# A value of each kind of middleware that guards, by an option that it cannot do without.
_GOOD = {
    "basicauth": ("usersfile", "staff"),
    "forwardauth": ("address", "http://login"),
    "inflightreq": ("amount", "10"),
    "ipallowlist": ("sourcerange", "127.0.0.0/8"),
    "ipwhitelist": ("sourcerange", "127.0.0.0/8"),
    "ratelimit": ("average", "100"),
}
_UNKNOWN = {"digestauth": ("users", "joe:x:y"), "guardian": ("level", "9"), "plugin": ("waf.level", "9")}
# They guard by what they refuse, or by what they lead to.
_BY_OTHERS = {"chain", "encodedcharacters"}


def _traefik() -> Iterator[Row]:
    assert {kind for kind in KINDS if guard_of(kind)} == {*_GOOD, *_BY_OTHERS, *_UNKNOWN} & {*KINDS}
    for kind, (option, value) in _GOOD.items():
        label = f"http.middlewares.NAME-guard.{kind}"
        fine = {f"{label}.{option}": value}
        for way, more in {
            "control": {f"{label}.{option}": CONTROL},
            "bad": {f"{label}.{option}": "!"},
            "empty": {f"{label}.{option}": " "},
            "unknown-option": {**fine, f"{label}.{misspelt(option)}": value},
            "misspelt-option": {f"{label}.{misspelt(option)}": value},
            "misspelt-kind": {f"http.middlewares.NAME-guard.{misspelt(kind)}.{option}": value},
            "two-kinds": {**fine, "http.middlewares.NAME-guard.compress": "true"},
        }.items():
            yield Row("traefik", kind, way, _routers("NAME-guard") | more)
            chain = {"http.middlewares.NAME-chain.chain.middlewares": "NAME-guard"}
            yield Row("traefik", kind, f"{way}-in-chain", _routers("NAME-chain") | chain | more)
        for way, named in {"other-name": "NAME-gaurd", "other-provider": "NAME-guard@file", "list": CONTROL}.items():
            yield Row("traefik", kind, way, _routers(named) | fine)
        for word in ("middlewars", "middleware"):
            renamed = {
                key.replace("-admin.middlewares", f"-admin.{word}"): v for key, v in _routers("NAME-guard").items()
            }
            yield Row("traefik", kind, word, renamed | fine)
    for kind, (option, value) in _UNKNOWN.items():
        yield Row(
            "traefik", kind, "unknown", _routers("NAME-guard") | {f"http.middlewares.NAME-guard.{kind}.{option}": value}
        )
    hosts = {"http.middlewares.NAME-guard.headers.allowedhosts": "*.a.org"}
    yield Row("traefik", "allowedhosts", "unknown", _routers("NAME-guard") | hosts)
    for way, option in {"other-provider": "tls.options", "misspelt-option": "tls.option"}.items():
        yield Row(
            "traefik",
            "tls.options",
            way,
            _routers("") | {"http.routers.NAME-admin.tls": "false", f"http.routers.NAME-admin.{option}": "x@file"},
        )
    broken_chain = {"http.middlewares.NAME-guard.chain.middleware": "other"}
    yield Row("traefik", "chain", "misspelt-option", _routers("NAME-guard") | broken_chain)


def _routers(named: str) -> dict[str, str]:
    rules = {
        "enable": "true",
        "http.routers.NAME-all.rule": "Host(`HOST`)",
        "http.routers.NAME-admin.rule": "Host(`HOST`) && PathPrefix(`/admin`)",
    }
    return {**rules, "http.routers.NAME-admin.middlewares": named} if named else rules


_VALUES = {
    "users": "joe:pw",
    "userssecret": "staff",
    "userspassencrypted": "true",
    "allowedmethods": "PUT",
    "deniedmethods": "GET",
    "denyhttp": "true",
    "verifyclientssl": "true",
}


def _dockerflow() -> Iterator[Row]:
    guards = {name for name, meaning in OPTIONS.items() if _field(name, meaning) in GUARDS} | UNREADABLE_GUARDS
    assert guards == {*_VALUES, *UNREADABLE_GUARDS}
    domain = {"serviceDomain": "HOST", "serviceDomainAlgo": "hdr(host)"}
    two = {**domain, "servicePath.1": "/", "servicePath.2": "/admin"}
    for name in sorted(guards):
        users = {"users.2": "joe:pw"} if name == "userspassencrypted" else {}
        for way, label, value in (
            ("control", name, CONTROL),
            ("empty", name, " "),
            ("bad", name, "!" if name != "users" else "joe"),
            ("misspelt", misspelt(name), _VALUES.get(name, "x")),
        ):
            yield Row("dockerflow", name, way, {**two, **users, f"{label}.2": value})


def _field(name: str, meaning: object) -> str:
    own = meaning.field if isinstance(meaning, Taken) and meaning.field else name
    return FIELDS_OF.get(own, own)
