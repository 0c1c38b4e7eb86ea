"""Section `source`: where the facts come from, one source or a list of several with names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from lbgen.settings.engine_tls import TlsSettings
from lbgen.settings.hosts import HostSettings, distinct
from lbgen.settings.hub import HubSourceSettings
from lbgen.settings.value_types import Paths, Section, Texts

PartName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=32)]


class DockerSettings(Section):
    """Follow a Swarm through its managers' Engine API."""

    endpoints: Texts = []
    """unix://, tcp://, ssh:// or context:NAME, tried in order; default: DOCKER_HOST, else the current context."""
    cluster: str = ""
    """Id of the only cluster to accept; default: that of the first contact."""
    control_socket: str = "auto"
    """Path of a manager's control socket, which pushes every change; "off" for none. "auto" tries
    /var/run/docker/swarm/control.sock beside unix:// endpoints. Without it, lbgen uses events and listings."""
    tls: TlsSettings | None = None

    @field_validator("control_socket")
    @classmethod
    def _socket(cls, value: str) -> str:
        if value not in ("auto", "off") and not Path(value).is_absolute():
            raise ValueError('write "auto", "off" or the absolute path of a socket')
        return value


class SourceSettings(Section):
    """Where the facts come from: a Swarm, hosts without Swarm, a hub, a snapshot file or stack files."""

    docker: DockerSettings | None = None
    hosts: Annotated[list[HostSettings], AfterValidator(distinct)] = []
    """Engines that are in no Swarm: their containers are the tasks, Compose projects' services the services."""
    file: Paths = []
    """A snapshot file, or stack files, merged in this order."""
    hub: HubSourceSettings | None = None
    stack: str = ""
    """Name that stack files would be deployed under; empty: derived from the first file's name."""

    @property
    def kind(self) -> str:
        """Which of `KINDS` it is."""
        return next((kind for kind in KINDS if getattr(self, kind)), KINDS[0])

    @model_validator(mode="after")
    def _one(self) -> SourceSettings:
        if len([kind for kind in KINDS if getattr(self, kind)]) > 1:
            *others, last = KINDS
            several = "both" if len(KINDS) == 2 else "several; a list of sources, each with a name, has as many"
            raise ValueError(f"name one source, {', '.join(others)} or {last}, not {several}")
        if self.stack and not self.file:
            raise ValueError("stack is the name that stack files are deployed under: name the files, too")
        return self


KINDS = ("docker", "hosts", "hub", "file")  # of sources, each a key of its own; the first is there if none is


class PartSettings(SourceSettings):
    """One source of several."""

    name: PartName
    """Tells its services, nodes and networks from those of the others: lower-case letters, digits and dashes."""


def _distinct(parts: list[PartSettings]) -> list[PartSettings]:
    if not parts:
        raise ValueError("name at least one source")
    names = [part.name for part in parts]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise ValueError(f"two sources have the name {twice!r}: give each its own")
    return parts


ONE, SEVERAL = "[one]", "[several]"  # in the place of an error; left out of what people see
Source = Annotated[
    Annotated[SourceSettings, Tag(ONE)] | Annotated[list[PartSettings], AfterValidator(_distinct), Tag(SEVERAL)],
    Discriminator(lambda value: SEVERAL if isinstance(value, list) else ONE),
]
