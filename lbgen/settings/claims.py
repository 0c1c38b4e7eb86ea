"""Section `claims`: which services may use which hosts, listeners, ports, keys and groups."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, field_validator

from lbgen.labels.keys.table import BY_NAME, FAMILIES, find
from lbgen.labels.values import basic, http
from lbgen.labels.values.value_type import BadValue
from lbgen.model.claims import services
from lbgen.model.types import Claim
from lbgen.settings.value_types import Section, Texts, split_list

T = TypeVar("T")
_RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")


def _port_texts(value: object) -> object:
    return [str(value)] if isinstance(value, int) else split_list(value)


Ports = Annotated[list[str | int], BeforeValidator(_port_texts, json_schema_input_type=int | str | list[int | str])]


class ClaimSettings(Section):
    """What some services may use; what is left out is not limited."""

    services: str = ""
    """Which services: constraints on name, stack and label.KEY, such as stack==shop,name!=shop_db; empty: all."""
    hosts: Texts | None = None
    """Names, or *.NAME for all of a domain; routes that match any other host are not allowed."""
    listeners: Texts | None = None
    """Listeners that their routes may be on."""
    ports: Ports | None = None
    """Ports, or ranges such as 8000-8999, that the proxy may connect to: of servers and of their checks."""
    keys: Texts | None = None
    """Keys that they may use, without lbgen.; cors.* is all that begin so."""
    deny_keys: Texts = []
    """Keys that they may not use, even if `keys` has them."""
    groups: Texts | None = None
    """Groups that they may join; team-a-* is all that begin so. Left out: any, among the services of this entry."""

    logins: Texts | None = None
    """Services and addresses that their key forward-auth may name; auth-* is all that begin so. Left out: the services
    of this entry."""

    @field_validator("services")
    @classmethod
    def _services(cls, value: str) -> str:
        services(value)  # BadValue is a ValueError: its message is shown
        return value

    @field_validator("hosts")
    @classmethod
    def _hosts(cls, value: list[str] | None) -> list[str] | None:
        return value if value is None else [_parsed(text, http.host) for text in value]

    @field_validator("ports")
    @classmethod
    def _ports(cls, value: list[str | int] | None) -> list[str | int] | None:
        for item in value or ():
            port_range(str(item))
        return value

    @field_validator("keys", "deny_keys")
    @classmethod
    def _keys(cls, value: list[str] | None) -> list[str] | None:
        for text in value or ():
            if not _is_key(text):
                close = difflib.get_close_matches(text, [*BY_NAME, *(f"{family}*" for family in FAMILIES)], 1)
                raise ValueError(f"{text!r} is not a key" + (f"; did you mean {close[0]}?" if close else ""))
        return value

    def claim(self) -> Claim:
        """Return what the model is told."""
        return Claim(
            services=self.services,
            hosts=None if self.hosts is None else tuple(self.hosts),
            listeners=None if self.listeners is None else tuple(self.listeners),
            ports=None if self.ports is None else tuple(port_range(str(item)) for item in self.ports),
            keys=None if self.keys is None else tuple(self.keys),
            deny_keys=tuple(self.deny_keys),
            groups=None if self.groups is None else tuple(self.groups),
            logins=None if self.logins is None else tuple(self.logins),
        )


def port_range(text: str) -> tuple[int, int]:
    """Read ``8080`` or ``8000-8999``."""
    match = _RANGE.fullmatch(text)
    low, high = (match[1], match[2]) if match else (text, text)
    ports = _parsed(low, basic.port), _parsed(high, basic.port)
    if ports[0] > ports[1]:
        raise ValueError(f"{text!r} ends before it begins")
    return ports


def _is_key(text: str) -> bool:
    if text.endswith("*"):
        names = (*BY_NAME, *FAMILIES)
        return any(name.startswith(text[:-1]) or (name in FAMILIES and text.startswith(name)) for name in names)
    return find(text) is not None


def _parsed(text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except BadValue as bad:
        raise ValueError(f"{text!r} {bad.message}; {bad.remedy}") from bad
