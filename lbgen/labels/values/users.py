"""Users and their passwords, as labels and files say them; which proxies can compare a password with which hash.

Values are never part of a message: they hold what strangers must not see.

Sources: crypt(5); nginx src/core/ngx_crypt.c; traefik 3.7 pkg/middlewares/auth and abbot/go-http-auth basic.go;
HAProxy 2.6 configuration manual, section 3.4.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from lbgen.labels.values.password_cost import Level, cost_of
from lbgen.labels.values.value_type import BadValue

IN_LABEL = "label:"  # begins the name of a list of users that a label holds; no file has a colon in its name
REMEDY = "write what `htpasswd -nB NAME` prints"
USER_NAME = re.compile(r"[A-Za-z0-9._@+-]{1,64}")
_HASH = re.compile(
    r"\$2[aby]\$[0-9]{2}\$[A-Za-z0-9./]{53}"
    r"|\$5\$(?:rounds=[0-9]{1,9}\$)?[A-Za-z0-9./]{1,16}\$[A-Za-z0-9./]{43}"
    r"|\$6\$(?:rounds=[0-9]{1,9}\$)?[A-Za-z0-9./]{1,16}\$[A-Za-z0-9./]{86}"
    r"|\$apr1\$[A-Za-z0-9./]{1,8}\$[A-Za-z0-9./]{22}"
    r"|\{SHA\}[A-Za-z0-9+/]{27}="
)
_ALL = ("haproxy", "nginx", "traefik")
# What a hash begins with -> the proxies that know it. HAProxy and Nginx ask crypt(); Apache's kinds Nginx knows itself.
_KNOWN = {"$2": _ALL, "$5$": _ALL[:2], "$6$": _ALL[:2], "$apr1$": _ALL[1:], "{SHA}": _ALL[1:]}


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may come in with a password."""

    name: str
    hash: str = field(repr=False)  # as crypt(3) writes it: "$2y$...", or "$apr1$...", "{SHA}..."; never the password
    password: str = field(default="", repr=False)  # itself, where a label says it; `hash` is "{SHA}..." then

    @property
    def costly(self) -> bool:
        """Whether crypt(3) takes too long for a wrong password, or does not know the hash."""
        return cost_of(self.hash).level is Level.REFUSED

    @property
    def proxies(self) -> tuple[str, ...]:
        """Kinds of proxies that can compare a password with the hash (HAProxy: with `password`), soon enough."""
        known = next((proxies for start, proxies in _KNOWN.items() if self.hash.startswith(start)), ())
        if self.password:
            return _ALL
        dear = self.hash.startswith(("$2", "$5$", "$6$")) and self.costly
        return tuple(proxy for proxy in known if not dear or proxy == "traefik")

    @property
    def kind(self) -> str:
        """What the hash is, for messages: "bcrypt of cost 12", "a hash of kind $apr1$"."""
        start = next((start for start in ("$apr1$", "{SHA}") if self.hash.startswith(start)), "")
        return f"a hash of kind {start}" if start else cost_of(self.hash).text


@dataclass(frozen=True, slots=True)
class LabelUsers:
    """The users that a label holds."""

    name: str  # as `Policy.users` has it: "label:shop.admins"
    users: tuple[User, ...]
    service: str
    label: str


def hashed_users(text: str) -> tuple[User, ...]:
    """Read ``NAME:HASH``, or several with commas in between."""
    return _users(text, _with_hash)


def plain_users(text: str) -> tuple[User, ...]:
    """Read ``NAME:PASSWORD``, or several with commas in between."""
    return _users(text, _with_password)


def _users(text: str, read: Callable[[str, str], User]) -> tuple[User, ...]:
    found: dict[str, User] = {}
    for item in text.split(","):
        name, _, secret = item.strip().partition(":")
        if not USER_NAME.fullmatch(name):
            raise BadValue("has a user without a usable name", "write NAME:HASH, with letters, digits and . _ @ + -")
        found[name] = read(name, secret)
    return tuple(found[name] for name in sorted(found))


def _with_hash(name: str, secret: str) -> User:
    if "$$" in secret:
        raise BadValue(
            f"has two dollar signs in a row in the hash of user {name}, of which only Compose files make one",
            "write each dollar sign once",
        )
    if not _HASH.fullmatch(secret):
        raise BadValue(f"has a password of user {name} that is not hashed as a proxy knows it", REMEDY)
    return User(name, secret)


def _with_password(name: str, secret: str) -> User:
    if not secret:
        raise BadValue(f"has no password of user {name}", "write NAME:PASSWORD")
    digest = hashlib.sha1(secret.encode(), usedforsecurity=False).digest()
    return User(name, "{SHA}" + base64.b64encode(digest).decode(), secret)
