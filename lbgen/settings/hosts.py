"""Hosts without Swarm: engines whose containers are followed, each with the address of its published ports."""

from __future__ import annotations

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from lbgen.settings.engine_tls import TlsSettings
from lbgen.settings.value_types import Section, Texts

_REMEDY = "write the one that reaches the host's published ports"


def _address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address; {_REMEDY}") from None
    if address.is_unspecified or "%" in text:
        raise ValueError(f"{text} leads to no host; {_REMEDY}")
    return str(address)


class HostSettings(Section):
    """One engine that is in no Swarm."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=63)]
    """What it is called: in server names, in `lbgen drain`, as node.hostname."""
    endpoint: Annotated[str, Field(min_length=1)]
    """unix://, tcp://, ssh:// or context:NAME, as docker takes them."""
    address: Annotated[str, AfterValidator(_address)] = ""
    """IP address that reaches the host's published ports; default: that in `endpoint`, if it names one."""
    labels: dict[str, str] = {}
    """Labels of the host, as a Swarm's nodes have them."""
    networks: Texts = []
    """Docker networks there that the proxy is on as well: via task reaches containers of these, on this host only."""
    tls: TlsSettings | None = None

    @property
    def reached_at(self) -> str:
        """The address that reaches its published ports."""
        return self.address or _host_in(self.endpoint)

    @model_validator(mode="after")
    def _reachable(self) -> HostSettings:
        if not self.reached_at:
            raise ValueError(
                f"host {self.name}: its endpoint does not say where published ports are reached; write an IP address "
                "that the proxy can reach as `address` (127.0.0.1 for a proxy on that host itself)"
            )
        if self.tls and not self.endpoint.startswith(("tcp://", "https://", "context:")):
            raise ValueError(f"host {self.name}: tls is for tcp:// endpoints; leave it out")
        return self


def distinct(hosts: list[HostSettings]) -> list[HostSettings]:
    """Return the hosts; raise ValueError if there is none, or two have one name or one endpoint."""
    if not hosts:
        raise ValueError("name at least one host")
    for what, values in (
        ("name", [host.name.lower() for host in hosts]),
        ("endpoint", [host.endpoint for host in hosts]),
    ):
        if twice := next((value for value in values if values.count(value) > 1), ""):
            raise ValueError(f"two hosts have the {what} {twice!r}: give each its own")
    return hosts


def _host_in(endpoint: str) -> str:
    """Return the IP address that an endpoint names, empty if it names none."""
    if not endpoint.startswith(("tcp://", "https://", "http://", "ssh://")):
        return ""
    try:
        return _address(urlsplit(endpoint).hostname or "")
    except ValueError:
        return ""
