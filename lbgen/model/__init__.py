"""Who receives traffic: listeners, routes, backends and servers, decided from one snapshot."""

from lbgen.model.build import Builder, build
from lbgen.model.entries import AccessLog, Cell, Rule
from lbgen.model.types import (
    CONTEXT_VERSION,
    Backend,
    Basis,
    HealthCheck,
    Listener,
    Model,
    Redirect,
    Route,
    Rules,
    Server,
)

__all__ = [
    "CONTEXT_VERSION",
    "AccessLog",
    "Backend",
    "Basis",
    "Builder",
    "Cell",
    "HealthCheck",
    "Listener",
    "Model",
    "Redirect",
    "Route",
    "Rule",
    "Rules",
    "Server",
    "build",
]
