"""Section `discovery`: which services are routed, and where traffic goes."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, field_validator

from lbgen.labels.context import Provider, Ways
from lbgen.model.placement import chooser
from lbgen.settings.entry_points import EntryPointSettings
from lbgen.settings.traefik_files import TraefikFiles
from lbgen.settings.value_types import Name, Seconds, Section, Texts, split_list

if TYPE_CHECKING:
    from lbgen.labels.traefik.file_check import Checked
    from lbgen.labels.traefik.file_provider import FileElements

Way = Literal["auto", "mesh", "host", "task", "vip"]


class TraefikSettings(Section):
    """Options of Traefik's Swarm provider (its static configuration), for dialect traefik."""

    # Its methods import `traefik_provider`, and with it half the dialect, when there is something to read.

    via: Way = "task"
    """Where traffic of Traefik's routers goes, unless label lbgen.via or traefik.swarm.lbswarm says it."""
    default_rule: str = ""
    """Rule of routers without one; {{ .Name }} and {{ normalize .Name }} stand for the service's name.
    Traefik's own default is Host(`{{ normalize .Name }}`); empty: such a router is a problem."""
    rule_syntax: Literal["v2", "v3", ""] = ""
    """Syntax of rules whose router has no ruleSyntax: Traefik's core.defaultRuleSyntax. Empty: v3, and a rule that has
    a meaning in v2 alone is taken as that."""
    constraints: str = ""
    """Services whose traefik.* labels are read, e.g. Label(`traefik.constraint-label`,`public`); empty: all."""
    users_files: Texts = []
    """Middlewares basicauth.users whose users are in a file of that name in the directory of setting users: the file
    counts, not the label."""
    insecure_transports: Texts = []
    """Names, as in legacy@file, of Traefik's serversTransports with insecureSkipVerify."""
    middlewares: dict[str, Any] = {}
    """Middlewares that labels name as NAME@file, as they stand below http.middlewares in a file of Traefik's."""
    services: dict[str, Any] = {}
    """Likewise services, as below http.services: of fixed addresses, weighted, mirroring, failover."""
    tls_options: dict[str, Any] = {}
    """Likewise TLS options, as below tls.options."""
    tcp_middlewares: dict[str, Any] = {}
    """Likewise middlewares of TCP routers, as below tcp.middlewares."""
    tcp_services: dict[str, Any] = {}
    """Likewise services of TCP routers, as below tcp.services."""
    files: TraefikFiles = []
    """Files of Traefik's file provider, YAML or TOML, which define what labels name as NAME@file."""
    entrypoints: dict[Name, EntryPointSettings] = {}
    """What Traefik's static configuration says of entry points, by name; listeners of these names stand for them."""

    @field_validator("default_rule")
    @classmethod
    def _rule(cls, value: str) -> str:
        if value:
            from lbgen.settings import traefik_provider

            traefik_provider.check_rule(value)
        return value

    @field_validator("constraints")
    @classmethod
    def _constraints(cls, value: str) -> str:
        if value:
            from lbgen.settings import traefik_provider

            traefik_provider.check_constraints(value)
        return value

    @property
    def silent(self) -> bool:
        """Whether nothing is said, so that there is nothing to check either."""
        return not self.model_fields_set

    def defined(self) -> FileElements:
        """Return what the sections and the files define, and what is wrong with them."""
        from lbgen.settings import traefik_provider

        return traefik_provider.defined_by(self)

    def checked(self) -> Checked:
        """Return what there is to say of what they define."""
        from lbgen.settings import traefik_provider

        return traefik_provider.checked(self.defined())

    def provider(self) -> Provider:
        """Return the options that labels are read with."""
        if self.silent:
            return Provider()
        from lbgen.settings import traefik_provider

        return traefik_provider.provider_of(self)


class DockerflowSettings(Section):
    """For dialect dockerflow."""

    via: Way = "task"
    """Where traffic of docker-flow-proxy's destinations goes, unless label lbgen.via says it."""


class DiscoverySettings(Section):
    """Which services are routed, and where traffic goes."""

    expose_by_default: bool = False
    """Also route services without label lbgen.enable (traefik.enable or com.df.notify in those dialects)."""
    dialects: Annotated[
        list[Literal["lbgen", "traefik", "dockerflow"]],
        BeforeValidator(split_list, json_schema_input_type=str | list[str]),
    ] = ["lbgen"]
    """Label dialects that are read: lbgen, traefik, dockerflow."""
    via: Way = "auto"
    """Where traffic goes, unless label lbgen.via says it: mesh, host, task, vip, or auto (mesh if the port is
    published in ingress mode, else host if it is in host mode, else task)."""
    traefik: TraefikSettings = TraefikSettings.default()
    dockerflow: DockerflowSettings = DockerflowSettings.default()
    networks: Texts = []
    """Networks that the proxy shares with services, the preferred first; none: it is outside the Swarm."""
    nodes: str = ""
    """Placement constraints for nodes that receive mesh traffic, e.g. node.role==worker."""
    node_cidrs: Texts = []
    """Prefer a node's address in one of these networks."""
    any_health_check: bool = False
    """Let health checks ask ports that are not the service's own, and use method POST."""
    drain_grace: Seconds = 10.0
    """How long a draining server stays, without new sessions, before it is removed; the last one goes on serving."""

    def ways(self) -> Ways:
        """Return where traffic goes, by dialect."""
        return Ways(self.via, self.traefik.via, self.dockerflow.via)

    @field_validator("dialects")
    @classmethod
    def _dialects(cls, value: list[str]) -> list[str]:
        if not value or len(set(value)) < len(value):
            raise ValueError("name each dialect once, and at least one")
        return value

    @field_validator("nodes")
    @classmethod
    def _constraints(cls, value: str) -> str:
        chooser(value)  # BadValue is a ValueError: its message is shown
        return value

    @field_validator("node_cidrs")
    @classmethod
    def _cidrs(cls, value: list[str]) -> list[str]:
        for item in value:
            ipaddress.ip_network(item, strict=False)
        return value
