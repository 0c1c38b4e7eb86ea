"""The keys that say which requests a route wants, and on which listeners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lbgen.labels.keys.key import key
from lbgen.labels.values import basic
from lbgen.labels.values.regex import regex


@dataclass(frozen=True, kw_only=True)
class MatchingKeys:
    """Which requests."""

    listener: tuple[str, ...] | None = key(
        "listener", basic.listed(basic.name), "Listeners that carry the route", example="web"
    )
    host: tuple[str, ...] = key(
        "host",
        basic.listed(basic.host),
        "Host is one of these; `*.` stands for one label",
        (),
        example="shop.example.org,*.shop.example.org",
        only="http",
    )
    path: tuple[str, ...] = key(
        "path", basic.listed(basic.path_prefix), "Path is one of these or below it", (), example="/api", only="http"
    )
    path_exact: tuple[str, ...] = key(
        "path-exact", basic.listed(basic.path), "Path is exactly one of these", (), example="/robots.txt", only="http"
    )
    path_regex: tuple[str, ...] = key(
        "path-regex",
        basic.listed(regex, outside=True),
        "One of these expressions is found in the path",
        (),
        example="^/v[12]/",
        only="http",
    )
    method: tuple[str, ...] = key(
        "method", basic.listed(basic.method), "Method is one of these", (), example="GET,HEAD", only="http"
    )
    header: Mapping[str, tuple[str, ...]] = key(
        "header.<name>",
        basic.listed(basic.header_value),
        "Header has one of these values",
        example="x-tenant=blue",
        only="http",
    )
    header_regex: Mapping[str, tuple[str, ...]] = key(
        "header-regex.<name>",
        basic.listed(regex, outside=True),
        "One of these expressions is found in a value of the header",
        example="user-agent=(?i)bot",
        only="http",
    )
    query: Mapping[str, tuple[str, ...]] = key(
        "query.<name>",
        basic.listed(basic.query_value),
        "The parameter has one of these values",
        example="debug=1",
        only="http",
    )
    client_ip: tuple[str, ...] = key(
        "client-ip",
        basic.listed(basic.network),
        "The client's address is in one of these networks",
        (),
        example="192.0.2.0/24",
        only="http",
    )
    rule: str | None = key(
        "rule",
        basic.text,
        "Traefik's rule syntax, instead of the matching keys above: ``Host(`a.org`) && !PathPrefix(`/api`)``",
        example="Host(`shop.example.org`) && !PathPrefix(`/api`)",
        only=("http", "tcp"),
    )
    priority: int | None = key(
        "priority",
        basic.integer(0, 1_000_000),
        "Higher goes first; default: the length of the matching rule",
        example="100",
    )
    sni: tuple[str, ...] = key(
        "sni",
        basic.listed(basic.sni),
        "TLS server name is one of these",
        ("*",),
        example="db.example.org",
        only="tcp",
    )
