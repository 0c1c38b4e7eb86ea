"""Section `source`: a Swarm, a snapshot file or stack files."""

from __future__ import annotations

from pathlib import Path

from pydantic import field_validator, model_validator

from lbgen.settings.value_types import Paths, Section, Texts


class TlsSettings(Section):
    """Client certificate for tcp:// endpoints (as docker --tlsverify)."""

    ca: Path | None = None
    """CA certificate that signed the engine's; default: the system's."""
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True
    """Check the engine's certificate against the CA and its name."""


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
    """Where the facts come from: a Swarm, a snapshot file or stack files."""

    docker: DockerSettings | None = None
    file: Paths = []
    """A snapshot file, or stack files, merged in this order."""
    stack: str = ""
    """Name that stack files would be deployed under; empty: derived from the first file's name."""

    @model_validator(mode="after")
    def _one(self) -> SourceSettings:
        if self.docker and self.file:
            raise ValueError("name one source, docker or file, not both")
        if self.stack and not self.file:
            raise ValueError("stack is the name that stack files are deployed under: name the files, too")
        return self
