"""Sections `hub` and `source.hub`: handing facts to edges, and being one."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from lbgen.base.address import is_address, split_bind
from lbgen.base.fleet_names import NAME, NAME_RULE, hub_place
from lbgen.settings.accepted import Accept
from lbgen.settings.fleet import FleetSettings
from lbgen.settings.value_types import Bind, Section, Texts, split_list


def _urls(urls: list[str]) -> list[str]:
    return list(dict.fromkeys(f"https://{hub_place(url)}" for url in urls))


def _address(text: str) -> str:
    if text and not is_address(text):
        raise ValueError(f"{text!r} is not an IP address")
    return text


def _name(text: str) -> str:
    if text and not NAME.fullmatch(text):
        raise ValueError(f"{text!r}: {NAME_RULE}")
    return text


Urls = Annotated[Texts, AfterValidator(_urls)]


class OfferSettings(Section):
    """Offer the facts of the Docker host that lbgen runs on to all hubs, for which its token has to be made."""

    endpoint: str = ""
    """unix://, tcp://, ssh:// or context:NAME of the engine; default: DOCKER_HOST, else the current context."""
    address: Annotated[str, AfterValidator(_address)] = ""
    """IP address of the host's published ports. What counts is fixed by the token: another one here is an error."""


class HubSourceSettings(Section):
    """Follow what a hub hands out: this lbgen is an edge, after `lbgen join`."""

    urls: Annotated[Urls, Field(min_length=1)]
    """https://HOST:PORT of every hub; the edge follows one of them, and goes on with the next when that is lost."""
    state: Path | None = None
    """Directory that `lbgen join` wrote; default: STATE/edge, STATE being setting state."""
    accept: Annotated[list[Accept], BeforeValidator(split_list, json_schema_input_type=str | list[Accept])] = []
    """What this edge takes of settings that a hub hands out; default: nothing."""
    offer: Annotated[
        OfferSettings | None, BeforeValidator(lambda value: {} if value is True else None if value is False else value)
    ] = None


class HubSettings(Section):
    """Hand facts to edges, which dial in over TLS with certificates of the fleet's authority."""

    bind: Bind = ":9443"
    """ADDRESS:PORT as for listeners."""
    authority: Path
    """File of the authority, which `lbgen hub init` makes once; all hubs share it."""
    name: Annotated[str, AfterValidator(_name)] = ""
    """What edges call this hub; default: the machine's name."""
    state: Path | None = None
    """Directory of what the hub knows of edges; default: STATE/hub, STATE being setting state."""
    peers: Urls = []
    """https://HOST:PORT of the other hubs; this one may be among them."""
    fleet: FleetSettings | None = None

    @property
    def address(self) -> tuple[str, int]:
        """`bind` as address and port."""
        return split_bind(self.bind)

    @property
    def own_name(self) -> str:
        """`name`, or what the machine's name becomes as one."""
        given = re.sub(r"[^a-z0-9]+", "-", socket.gethostname().partition(".")[0].lower()).strip("-")[:32].strip("-")
        return self.name or given or "hub"


def with_state(section: Any, directory: Path) -> Any:
    """Return a section whose `state` is below lbgen's own, if it does not say where it is."""
    return section if section is None or section.state else section.model_copy(update={"state": directory})
