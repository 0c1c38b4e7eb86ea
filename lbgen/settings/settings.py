"""All settings, as one value. Other modules are handed what they need of it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import field_validator, model_validator

from lbgen.base.address import split_bind
from lbgen.model import Listener, Rules
from lbgen.settings.discovery import DiscoverySettings
from lbgen.settings.source import SourceSettings
from lbgen.settings.target import TargetSettings
from lbgen.settings.value_types import Bind, Name, Seconds, Section, Texts


class ListenerSettings(Section):
    """A port the proxy listens on."""

    bind: Bind
    """ADDRESS:PORT; ":80" is port 80 on every address, "[::1]:80" an IPv6 address."""
    protocol: Literal["http", "tcp", "udp"] = "http"
    tls: bool = False
    """Terminate TLS with the certificates of the directory `certificates`."""


class StatusSettings(Section):
    """Status and metrics over HTTP, for people and for Prometheus. Read-only, and without a password."""

    bind: str = "127.0.0.1:9099"
    """ADDRESS:PORT as for listeners; empty: off."""

    @field_validator("bind")
    @classmethod
    def _bind(cls, value: str) -> str:
        if value:
            split_bind(value)
        return value

    @property
    def address(self) -> tuple[str, int] | None:
        """`bind` as address and port; None: off."""
        return split_bind(self.bind) if self.bind else None


class LogSettings(Section):
    """Log lines go to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Settings(Section):
    """All settings of lbgen."""

    source: SourceSettings = SourceSettings()
    discovery: DiscoverySettings = DiscoverySettings()
    listeners: dict[Name, ListenerSettings] = {"web": ListenerSettings(bind=":80")}
    default_listeners: Texts = []
    """Listeners of routes that name none; default: web if there is one, else the only one."""
    certificates: Path = Path("/etc/lbgen/certs")
    """Directory of PEM files (certificate chain and key) for listeners with tls; default.pem is for all other names."""
    users: Path = Path("/etc/lbgen/users")
    """Directory of the files that label basic-auth names: lines NAME:HASH, as `htpasswd -nB NAME` prints them."""
    client_cas: Path = Path("/etc/lbgen/client-ca")
    """Directory of the files NAME.pem that label client-ca names: authorities of clients' certificates."""
    targets: dict[Name, TargetSettings] = {}
    min_reload_interval: Seconds = 1.0
    """Least time between two reloads of a proxy; changes meanwhile are applied together."""
    status: StatusSettings = StatusSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _known_listeners(self) -> Settings:
        named = {"default_listeners": self.default_listeners}
        named |= {f"targets.{name}.listeners": target.listeners or [] for name, target in self.targets.items()}
        for setting, names in named.items():
            if unknown := [name for name in names if name not in self.listeners]:
                raise ValueError(f"{setting} names {', '.join(unknown)}, listeners are {', '.join(self.listeners)}")
        return self

    @model_validator(mode="after")
    def _distinct_binds(self) -> Settings:
        """Two listeners of one proxy on one port: HAProxy would share the connections out between them."""
        for served in [target.listeners for target in self.targets.values()] or [None]:
            by_bind: dict[tuple[bool, tuple[str, int]], str] = {}
            for name, listener in self.listeners.items():
                if served is None or name in served:
                    first = by_bind.setdefault((listener.protocol == "udp", split_bind(listener.bind)), name)
                    if first != name:
                        raise ValueError(f"listeners {first} and {name} both bind {listener.bind}")
        return self

    def rules(self) -> Rules:
        """Return the settings that the model depends on."""
        defaults = self.default_listeners or (
            ["web"] if "web" in self.listeners else list(self.listeners) if len(self.listeners) == 1 else []
        )
        return Rules(
            listeners=tuple(_listener(name, listener) for name, listener in sorted(self.listeners.items())),
            default_listeners=tuple(defaults),
            expose_by_default=self.discovery.expose_by_default,
            networks=tuple(self.discovery.networks),
            nodes=self.discovery.nodes,
            node_cidrs=tuple(self.discovery.node_cidrs),
            dialects=tuple(self.discovery.dialects),
            provider=self.discovery.traefik.provider(),
        )


def _listener(name: str, settings: ListenerSettings) -> Listener:
    address, port = split_bind(settings.bind)
    return Listener(name, address, port, settings.protocol, settings.tls)
