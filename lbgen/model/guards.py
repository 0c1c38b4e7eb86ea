"""The guards of a backend, and their sum where services share one (label ``group``).

A sum refuses every request that one of its terms refuses: a service's servers are never reached by requests that its
own labels keep out, whichever services it shares them with. What has no such sum raises `CannotAdd`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from lbgen.model.policy import NOBODY, Concurrency, ForwardAuth, Network, Policy, Rate
from lbgen.model.types import Backend

T = TypeVar("T")
# Fields of `RouteKeys` that guards are made of.
KEYS = frozenset(
    {
        *("allow_ip", "allow_ip_status", "deny_ip", "basic_auth", "client_ca"),
        *("forward_auth", "forward_auth_response_headers", "forward_auth_cookies", "forward_auth_trust"),
        *("rate_limit", "rate_limit_burst", "max_concurrent", "max_concurrent_by", "max_body"),
    }
)


FORBIDDEN = 403


class CannotAdd(ValueError):
    """Two guards of one kind of which neither can stand for both; nothing was added."""

    def __init__(self, key: str, this: object, other: object) -> None:
        super().__init__(f"{key} {this} and {other}")
        self.key = key  # as in labels


@dataclass(frozen=True, slots=True)
class Guards:
    """What keeps requests from a backend; as it stands here, nothing does. Fields as in `Policy` and `Backend`."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    users: str = ""
    client_ca: str = ""
    rate: Rate | None = None
    concurrency: Concurrency | None = None
    max_body: int | None = None
    refusal: int = FORBIDDEN
    forward_auth: ForwardAuth | None = None

    @classmethod
    def of(cls, backend: Backend) -> Guards:
        """Return those of a backend."""
        own = {name: getattr(backend.policy, name) for name in _OF_POLICY}
        return cls(client_ca=backend.client_ca, **own)

    def on(self, backend: Backend) -> Backend:
        """Return the backend with these guards in place of its own."""
        own: dict[str, Any] = {name: getattr(self, name) for name in _OF_POLICY}
        return replace(backend, policy=replace(backend.policy, **own), client_ca=self.client_ca)

    def as_keys(self) -> dict[str, Any]:
        """Return them as fields of `RouteKeys`."""
        return {
            "allow_ip": self.allow,
            "deny_ip": self.deny,
            "allow_ip_status": self.refusal,
            "basic_auth": self.users,
            "client_ca": self.client_ca,
            "rate_limit": self.rate and (self.rate.requests, self.rate.period),
            "rate_limit_burst": self.rate and self.rate.burst,
            "max_concurrent": self.concurrency and self.concurrency.most,
            "max_concurrent_by": self.concurrency.by if self.concurrency else "client",
            "max_body": self.max_body,
            "forward_auth": self.forward_auth and self.forward_auth.url,
            "forward_auth_response_headers": self.forward_auth.headers if self.forward_auth else (),
            "forward_auth_cookies": self.forward_auth.cookies if self.forward_auth else (),
            "forward_auth_trust": self.forward_auth is not None and self.forward_auth.trust,
        }

    def __add__(self, other: Guards) -> Guards:
        """Return the guards that refuse whatever one of the two refuses.

        Raises:
            CannotAdd: there are none, such as of two files of users.
        """
        return Guards(
            _allowed(self.allow, other.allow),
            tuple(sorted({*self.deny, *other.deny})),
            _same("basic-auth", self.users, other.users),
            _same("client-ca", self.client_ca, other.client_ca),
            _slower(self.rate, other.rate),
            _fewer(self.concurrency, other.concurrency),
            min((size for size in (self.max_body, other.max_body) if size is not None), default=None),
            self._refusal_with(other),
            _same("forward-auth", self.forward_auth, other.forward_auth),
        )

    def _refusal_with(self, other: Guards) -> int:
        """Return the status that all of them have who keep out addresses; the usual one where they differ."""
        statuses = {guards.refusal for guards in (self, other) if guards.allow or guards.deny}
        return statuses.pop() if len(statuses) == 1 else FORBIDDEN

    def beyond(self, other: Guards) -> Iterator[str]:
        """Yield the keys of those that another one does not have like this."""
        for item in fields(self):
            if getattr(self, item.name) != getattr(other, item.name):
                yield _NAMES.get(item.name, item.name.replace("_", "-"))


_OF_POLICY = tuple(item.name for item in fields(Guards) if item.name in {own.name for own in fields(Policy)})
_NAMES = {
    "allow": "allow-ip",
    "deny": "deny-ip",
    "refusal": "allow-ip.status",
    "users": "basic-auth",
    "rate": "rate-limit",
    "concurrency": "max-concurrent",
}


def _same(key: str, this: T, other: T) -> T:
    if this and other and this != other:
        raise CannotAdd(key, this, other)
    return this or other


def _allowed(these: tuple[str, ...], those: tuple[str, ...]) -> tuple[str, ...]:
    """Return the networks that are in both lists; without a list everybody is allowed."""
    if not these or not those or these == those:
        return these or those
    this, that = (frozenset(map(ipaddress.ip_network, texts)) for texts in (these, those))
    both = {*_inside(this, that), *_inside(that, this)}
    return tuple(sorted(map(str, both))) or (NOBODY,)


def _inside(networks: frozenset[Network], others: frozenset[Network]) -> Iterator[Network]:
    """Yield the networks that are part of another one: of two that overlap one is part of the other."""
    lengths = {(other.version, other.prefixlen) for other in others}
    for network in networks:
        around = (
            network.supernet(new_prefix=length)
            for version, length in lengths
            if version == network.version and length <= network.prefixlen
        )
        if any(other in others for other in around):
            yield network


def _slower(this: Rate | None, other: Rate | None) -> Rate | None:
    """Return the rate that lets through no more than either, in any time.

    Of two rates per second, minute or hour alike that is the smaller number of each. Of others only one that allows no
    more in a longer time; 1/s and 60/m both let through what the other one does not.
    """
    if this is None or other is None or this == other:
        return this or other
    if this.period == other.period:
        return Rate(min(this.requests, other.requests), this.period, min(this.burst, other.burst))
    longer, shorter = (this, other) if this.period > other.period else (other, this)
    if longer.requests <= shorter.requests and longer.burst <= shorter.burst:
        return longer
    raise CannotAdd("rate-limit", f"{this.requests} in {this.period} s", f"{other.requests} in {other.period} s")


def _fewer(this: Concurrency | None, other: Concurrency | None) -> Concurrency | None:
    if this is None or other is None or this == other:
        return this or other
    if this.by != other.by:
        raise CannotAdd("max-concurrent", f"by {this.by}", f"by {other.by}")
    return Concurrency(min(this.most, other.most), this.by)
