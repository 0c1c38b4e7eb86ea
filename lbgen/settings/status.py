"""Where status and metrics are served, and who may ask for them."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic import field_validator, model_validator

from lbgen.base.address import split_bind
from lbgen.settings.value_types import Section


class StatusAuthSettings(Section):
    """What a client of the status port has to send. One of these ways."""

    users: Path | None = None
    """File of lines NAME:HASH, as `htpasswd -nB NAME` prints them, for people: HTTP basic authentication."""
    token: Path | None = None
    """File with a token, as `openssl rand -hex 32` prints one, for programs: Authorization: Bearer TOKEN."""

    @model_validator(mode="after")
    def _one(self) -> StatusAuthSettings:
        if bool(self.users) == bool(self.token):
            raise ValueError("name one file, users or token")
        return self


class StatusSettings(Section):
    """Status and metrics over HTTP, for people and for Prometheus. Read-only."""

    bind: str = "127.0.0.1:9099"
    """ADDRESS:PORT as for listeners; empty: off."""
    auth: StatusAuthSettings | None = None
    """Without it, and bound elsewhere than to loopback, only /healthz, /readyz, /metrics and (with its token) /traefik/
    answer."""
    traefik_token: Path | None = None
    """File with a token for /traefik/TARGET alone, which a Traefik elsewhere sends (providers.http.headers)."""
    public: bool = False
    """Everybody who reaches `bind` may ask for everything."""

    @field_validator("bind")
    @classmethod
    def _bind(cls, value: str) -> str:
        if value:
            split_bind(value)
        return value

    @model_validator(mode="after")
    def _one(self) -> StatusSettings:
        if self.public and self.auth:
            raise ValueError("choose one of public and auth")
        return self

    @property
    def address(self) -> tuple[str, int] | None:
        """`bind` as address and port; None: off."""
        return split_bind(self.bind) if self.bind else None

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return self.address is not None and self.address[0] != "*" and ipaddress.ip_address(self.address[0]).is_loopback

    @property
    def traefik_asks_without_token(self) -> bool:
        """Whether a Traefik on this machine is told its configuration without a token."""
        return not (self.auth or self.traefik_token) and (self.loopback or self.public)
