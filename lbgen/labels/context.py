"""What labels are read with besides their text: the settings that a dialect depends on."""

from __future__ import annotations

from dataclasses import dataclass, field

from lbgen.labels.values.value_type import BadValue


@dataclass(frozen=True, slots=True)
class Provider:
    """Traefik's Swarm provider: its static configuration, and what stands in for files that only Traefik has."""

    default_rule: str = ""  # of routers without one; {{ .Name }} and {{ normalize .Name }} stand for the service's name
    constraints: str = ""  # which services are routed; empty: all
    users_files: tuple[str, ...] = ()  # basicauth middlewares whose users are in a file of that name, not in the label
    insecure_transports: tuple[str, ...] = ()  # names, with their @provider, of those with insecureSkipVerify


@dataclass(frozen=True, slots=True)
class Listeners:
    """The HTTP listeners, as far as a router depends on them."""

    default: tuple[str, ...] = ()
    plain: frozenset[str] = frozenset()
    secure: frozenset[str] = frozenset()  # they terminate TLS


@dataclass(frozen=True, slots=True)
class Ports:
    """The listeners by what they listen on."""

    names: tuple[tuple[str, int, str], ...] = ()  # (protocol, port, name)

    def listener(self, protocol: str, port: int) -> str:
        """Return its name; raise BadValue if there is none."""
        for known, number, name in self.names:
            if (known, number) == (protocol, port):
                return name
        raise BadValue(f"names port {port}, on which no {protocol} listener is", "add it to setting listeners")


@dataclass(frozen=True, slots=True)
class Dialects:
    """What is read, and how."""

    names: tuple[str, ...] = ("lbgen",)
    expose_by_default: bool = False
    provider: Provider = field(default_factory=Provider)
    listeners: Listeners = field(default_factory=Listeners)
    ports: Ports = field(default_factory=Ports)
