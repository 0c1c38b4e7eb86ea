"""What labels are read with besides their text: the settings they depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lbgen.labels.definitions import Definition, Definitions
from lbgen.labels.foreign_options import Element
from lbgen.labels.values.value_type import BadValue


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """What Traefik's static configuration adds to the HTTP routers on an entry point."""

    name: str  # of the listener
    middlewares: tuple[str, ...] = ()  # before the router's own
    tls: bool = False  # its routers see TLS requests only, whether they ask for TLS or not
    tls_options: str = ""  # of those that do not
    default: bool = False  # routers that name no entry point are on it, and not on others


@dataclass(frozen=True, slots=True)
class Provider:
    """Traefik's Swarm provider: its static configuration, and what stands in for files that only Traefik has."""

    default_rule: str = ""  # of routers without one; {{ .Name }} and {{ normalize .Name }} stand for the service's name
    constraints: str = ""  # which services are routed; empty: all
    users_files: tuple[str, ...] = ()  # basicauth middlewares whose users are in a file of that name, not in the label
    insecure_transports: tuple[str, ...] = ()  # names, with their @provider, of those with insecureSkipVerify
    rule_syntax: str = ""  # of routers that do not say theirs: v2 or v3; empty: v3, and v2 where that means nothing
    # What Traefik's file provider would define, by protocol, kind and name, as `file_provider` reads it.
    elements: Mapping[tuple[str, str, str], Element] = field(default_factory=dict)
    entry_points: tuple[EntryPoint, ...] = ()  # those that the settings describe
    verified: bool = False  # the service's label lbgen.server-ca says who vouches for its servers

    def defined(self) -> Definitions:
        """Return the definitions of the settings alone, without those of labels."""
        return Definitions(settings={key: Definition(element) for key, element in self.elements.items()})


@dataclass(frozen=True, slots=True)
class Listeners:
    """The listeners of one protocol, as far as a router depends on them."""

    default: tuple[str, ...] = ()
    plain: frozenset[str] = frozenset()
    secure: frozenset[str] = frozenset()  # they terminate TLS
    tls13: frozenset[str] = frozenset()  # of these, those that take no older version
    redirecting: frozenset[str] = frozenset()  # they lead every request to another listener

    def choose(self, asked: tuple[str, ...] | None, *, secure: bool) -> tuple[str, ...]:
        """Return those that carry a router that is only on these with TLS, or only on those without.

        They are the ones that it asks for, else the default ones, else all; none: there is no such listener.
        """
        fitting = self.secure if secure else self.plain
        wanted = self.default if asked is None else asked
        own = tuple(name for name in wanted if name in fitting)
        return own or (tuple(sorted(fitting)) if asked is None else ())


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
class Ways:
    """Which way traffic goes where no label says it, by dialect: a value of key ``via``."""

    lbgen: str = "auto"
    traefik: str = "task"
    dockerflow: str = "task"

    def of(self, dialect: str) -> str:
        """Return the way of a dialect's routes."""
        return str(getattr(self, dialect))

    @property
    def of_hosts(self) -> Ways:
        """The ways to hosts without Swarm. A foreign dialect's own default is a Swarm's overlay; there is none."""
        return Ways(self.lbgen, "auto", "auto")

    @staticmethod
    def setting(dialect: str) -> str:
        """Return the name of the setting that says it."""
        return "discovery.via" if dialect == "lbgen" else f"discovery.{dialect}.via"


@dataclass(frozen=True, slots=True)
class LabelContext:
    """The settings that the labels of every service are read with."""

    names: tuple[str, ...] = ("lbgen",)  # of the dialects that are read
    expose_by_default: bool = False
    provider: Provider = field(default_factory=Provider)
    listeners: Listeners = field(default_factory=Listeners)  # of HTTP
    tcp_listeners: Listeners = field(default_factory=Listeners)
    ports: Ports = field(default_factory=Ports)
    definitions: Definitions = field(default_factory=Definitions)  # what names in Traefik's labels mean
    ways: Ways = field(default_factory=Ways)


PLAIN = LabelContext()
