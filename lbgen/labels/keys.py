"""The one table of label keys: parsing, documentation and schema are all made from it.

A key is a field of `RouteKeys`; its metadata says how the value is parsed and what it means.
Durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

from lbgen.labels import values
from lbgen.labels.regex import regex
from lbgen.labels.values import Parser

ENABLE = "lbgen.enable"
PREFIX = "lbgen."
PROTOCOLS = ("http", "tcp", "udp")
CHECKED = ("http", "tcp")  # what can be asked whether it is well


@dataclass(frozen=True, slots=True)
class Key:
    """One row of the table."""

    name: str  # as written after "lbgen." or "lbgen.http.<route>."; "header.<name>" stands for a family
    parse: Parser[Any]
    doc: str
    protocols: tuple[str, ...] = PROTOCOLS

    @property
    def family(self) -> str:
        """``header.`` for ``header.<name>``; empty for a plain key."""
        return self.name.removesuffix("<name>") if self.name.endswith("<name>") else ""


def _key(
    name: str, parse: Parser[Any], doc: str, default: object = None, *, only: str | tuple[str, ...] = PROTOCOLS
) -> Any:
    row = Key(name, parse, doc, (only,) if isinstance(only, str) else only)
    metadata = {"key": row}
    return field(default_factory=dict, metadata=metadata) if row.family else field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteKeys:
    """The typed values of one route, defaults filled in. None: not given, the model decides."""

    port: int | None = _key("port", values.port, "Port the application listens on")
    published_port: int | None = _key("published-port", values.port, "Picks among several published ports")
    via: str = _key("via", values.choice("auto", "mesh", "host", "task", "vip"), "Where traffic goes", "auto")
    network: str | None = _key("network", values.name, "Network that the proxy shares, for via task and vip")
    nodes: str = _key("nodes", str, "Nodes that may receive mesh traffic, as placement constraints", "")
    mesh_nodes: str = _key(
        "mesh-nodes",
        values.choice("all", "running"),
        "running: only nodes that run a task of the service",
        "all",
    )
    listener: tuple[str, ...] | None = _key("listener", values.listed(values.name), "Listeners that carry the route")
    host: tuple[str, ...] = _key("host", values.listed(values.host), "Host is one of these", (), only="http")
    path: tuple[str, ...] = _key(
        "path", values.listed(values.path_prefix), "Path is one of these or below it", (), only="http"
    )
    path_exact: tuple[str, ...] = _key(
        "path-exact", values.listed(values.path), "Path is exactly one of these", (), only="http"
    )
    path_regex: tuple[str, ...] = _key(
        "path-regex",
        values.listed(regex, outside=True),
        "One of these expressions is found in the path",
        (),
        only="http",
    )
    method: tuple[str, ...] = _key("method", values.listed(values.method), "Method is one of these", (), only="http")
    header: Mapping[str, tuple[str, ...]] = _key(
        "header.<name>", values.listed(values.header_value), "Header has one of these values", only="http"
    )
    header_regex: Mapping[str, tuple[str, ...]] = _key(
        "header-regex.<name>",
        values.listed(regex, outside=True),
        "One of these expressions is found in a value of the header",
        only="http",
    )
    query: Mapping[str, tuple[str, ...]] = _key(
        "query.<name>", values.listed(values.query_value), "The parameter has one of these values", only="http"
    )
    client_ip: tuple[str, ...] = _key(
        "client-ip", values.listed(values.network), "The client's address is in one of these networks", (), only="http"
    )
    rule: str | None = _key(
        "rule",
        str,
        "Traefik's rule syntax, instead of the matching keys above: ``Host(`a.org`) && !PathPrefix(`/api`)``",
        only=("http", "tcp"),
    )
    priority: int | None = _key(
        "priority", values.integer(0, 1_000_000), "Higher goes first; default: the length of the matching rule"
    )
    sni: tuple[str, ...] = _key("sni", values.listed(values.sni), "TLS server name is one of these", ("*",), only="tcp")
    balance: str = _key(
        "balance",
        values.choice("round-robin", "least-conn", "source", "random"),
        "How requests are spread",
        "round-robin",
    )
    weight: int = _key("weight", values.integer(0, 256), "Weight of each server", 100)
    health_check: str | None = _key(
        "health-check",
        values.choice("http", "tcp", "off"),
        "Active check; default: http if a path is given, else tcp",
        only=CHECKED,
    )
    health_check_path: str | None = _key("health-check.path", values.path, "Path the check asks for", only=CHECKED)
    health_check_interval: float = _key(
        "health-check.interval", values.duration(0.1, 3600), "Time between two checks", 2.0, only=CHECKED
    )
    health_check_timeout: float = _key(
        "health-check.timeout", values.duration(0.01, 600), "A check's time-out", 1.0, only=CHECKED
    )
    health_check_rise: int = _key(
        "health-check.rise", values.integer(1, 100), "Good checks until a server is up", 2, only=CHECKED
    )
    health_check_fall: int = _key(
        "health-check.fall", values.integer(1, 100), "Bad checks until it is down", 2, only=CHECKED
    )
    health_check_status: tuple[tuple[int, int], ...] = _key(
        "health-check.status", values.status_codes, "Statuses that are good", ((200, 399),), only=CHECKED
    )
    health_check_method: str = _key(
        "health-check.method",
        values.choice("GET", "HEAD", "OPTIONS", "POST"),
        "Method of the check",
        "GET",
        only=CHECKED,
    )
    health_check_host: str | None = _key("health-check.host", values.host, "Host header of the check", only=CHECKED)
    health_check_port: int | None = _key(
        "health-check.port", values.port, "Port the check asks; default: the server's", only=CHECKED
    )
    health_check_scheme: str = _key(
        "health-check.scheme", values.choice("http", "https"), "http or https", "http", only=CHECKED
    )
    timeout_connect: float = _key(
        "timeout.connect", values.duration(0.01, 600), "To connect to a server", 1.0, only=CHECKED
    )
    timeout_response: float = _key("timeout.response", values.duration(0.1, 86400), "To the first byte of answer", 60.0)
    timeout_idle: float = _key("timeout.idle", values.duration(0.1, 86400), "Without a byte, on open streams", 60.0)
    retries: int = _key(
        "retries", values.integer(0, 100), "Further servers tried when a connect fails", 2, only=CHECKED
    )
    sticky: str = _key(
        "sticky",
        values.sticky,
        "Keeps a client with its server: `cookie`, `cookie:NAME` or `source` (client address)",
        "",
        only="http",
    )
    redirect: tuple[tuple[str, str], ...] = _key(
        "redirect",
        values.redirect,
        "Answer with this URL, which may use `{host} {path} {query}`, instead of a server",
        (),
        only="http",
    )
    redirect_code: int = _key(
        "redirect.code", values.number(301, 302, 307, 308), "Status of the redirect", 302, only="http"
    )
    redirect_https: bool = _key(
        "redirect-https", values.boolean, "On listeners without TLS, 308 to the same URL with https", False, only="http"
    )
    max_conn: int | None = _key("max-conn", values.integer(1, 1_000_000), "Concurrent requests for each server")
    backup: bool = _key("backup", values.boolean, "Used only when no other server is up", False)


FIELDS: dict[str, Field[Any]] = {field_.name: field_ for field_ in fields(RouteKeys)}
KEYS: dict[str, Key] = {name: field_.metadata["key"] for name, field_ in FIELDS.items()}
BY_NAME: dict[str, str] = {row.name: field_name for field_name, row in KEYS.items() if not row.family}
FAMILIES: dict[str, str] = {row.family: field_name for field_name, row in KEYS.items() if row.family}


def find(text: str) -> tuple[str, str] | None:
    """Return (field, member) for a written key: ``balance`` -> ("balance", ""), ``header.x-a`` -> ("header", "x-a")."""
    if text.startswith("query.") and len(text) > 6:  # names of parameters are case-sensitive
        return "query", text.removeprefix("query.")
    if text != text.lower():
        return None
    if text in BY_NAME:
        return BY_NAME[text], ""
    for prefix, field_name in FAMILIES.items():
        if text.startswith(prefix) and len(text) > len(prefix):
            return field_name, text.removeprefix(prefix)
    return None
