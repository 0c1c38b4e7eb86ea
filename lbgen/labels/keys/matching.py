"""The keys that say which requests a route wants, and on which listeners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lbgen.labels.keys.key import http_key, key
from lbgen.labels.values import basic, http, paths
from lbgen.labels.values.regex import regex


@dataclass(frozen=True, kw_only=True)
class MatchingKeys:
    """Which requests."""

    listener: tuple[str, ...] | None = key(
        "listener", basic.list_of(basic.name), "Listeners that carry the route", example="web"
    )
    host: tuple[str, ...] = http_key(
        "host",
        basic.list_of(http.host),
        "Host is one of these; `*.` stands for one label",
        (),
        example="shop.example.org,*.shop.example.org",
    )
    path: tuple[str, ...] = http_key(
        "path", basic.list_of(paths.prefix), "Path is one of these or below it", (), example="/api"
    )
    path_exact: tuple[str, ...] = http_key(
        "path-exact", basic.list_of(paths.exact), "Path is exactly one of these", (), example="/robots.txt"
    )
    path_regex: tuple[str, ...] = http_key(
        "path-regex",
        basic.list_of(regex, outside=True),
        "One of these expressions is found in the path",
        (),
        example="^/v[12]/",
    )
    method: tuple[str, ...] = http_key(
        "method", basic.list_of(http.method), "Method is one of these", (), example="GET,HEAD"
    )
    header: Mapping[str, tuple[str, ...]] = http_key(
        "header.<name>", basic.list_of(http.header_value), "Header has one of these values", example="x-tenant=blue"
    )
    header_regex: Mapping[str, tuple[str, ...]] = http_key(
        "header-regex.<name>",
        basic.list_of(regex, outside=True),
        "One of these expressions is found in a value of the header",
        example="user-agent=(?i)bot",
    )
    query: Mapping[str, tuple[str, ...]] = http_key(
        "query.<name>", basic.list_of(http.query_value), "The parameter has one of these values", example="debug=1"
    )
    client_ip: tuple[str, ...] = http_key(
        "client-ip",
        basic.list_of(basic.network),
        "The client's address is in one of these networks",
        (),
        example="192.0.2.0/24",
    )
    rule: str | None = key(
        "rule",
        basic.text,
        "Traefik's rule syntax, instead of the matching keys above: ``Host(`a.org`) && !PathPrefix(`/api`)``",
        example="Host(`shop.example.org`) && !PathPrefix(`/api`)",
        only=("http", "tcp"),
        lines=True,
    )
    priority: int | None = key(
        "priority",
        basic.integer(0, 1_000_000),
        "Higher goes first; default: the length of what matches, as a Traefik rule",
        example="100",
    )
    sni: tuple[str, ...] = key(
        "sni", basic.list_of(http.sni), "TLS server name is one of these", ("*",), example="db.example.org", only="tcp"
    )
