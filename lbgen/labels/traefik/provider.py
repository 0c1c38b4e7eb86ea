"""What Traefik was told besides labels, as far as routes depend on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provider:
    """The Swarm provider's static configuration, and what stands in for files that only Traefik has."""

    default_rule: str = ""  # of routers without one; {{ .Name }} and {{ normalize .Name }} stand for the service's name
    constraints: str = ""  # which services are routed; empty: all
    users_files: tuple[str, ...] = ()  # basicauth middlewares whose users are in a file of that name, not in the label
    insecure_transports: tuple[str, ...] = ()  # names, with their @provider, of those with insecureSkipVerify
