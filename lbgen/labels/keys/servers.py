"""The keys that say where a route's traffic goes, and how its servers are used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lbgen.labels.keys.key import http_key, key, stream_key
from lbgen.labels.values import basic, http, policy

LONGEST_WAIT = 86400.0  # seconds, of a key: as good as no limit


@dataclass(frozen=True, kw_only=True)
class ServerKeys:
    """Which servers, and how. Durations are seconds."""

    port: int | None = key("port", basic.port, "Port the application listens on", example="8080")
    published_port: int | None = key(
        "published-port", basic.port, "Picks among several published ports", example="8080"
    )
    via: str | None = key(
        "via",
        basic.choice("auto", "mesh", "host", "task", "vip"),
        "Where traffic goes; default: setting `discovery.via`, or that of the dialect whose labels ask for the route",
        example="task",
    )
    network: str | None = key(
        "network", basic.name, "Network that the proxy shares, for via task and vip", example="edge"
    )
    nodes: str = key(
        "nodes",
        basic.text,
        "Nodes that may receive mesh traffic, as placement constraints",
        "",
        example="node.labels.zone==eu",
    )
    mesh_nodes: str = key(
        "mesh-nodes",
        basic.choice("all", "running"),
        "running: only nodes that run a task of the service",
        "all",
        example="running",
    )
    balance: str = key(
        "balance",
        basic.choice("round-robin", "least-conn", "source", "random"),
        "How requests are spread",
        "round-robin",
        example="least-conn",
    )
    weight: int = key(
        "weight",
        basic.integer(0, 256),
        "Weight of each server; in a `group` the share of the service",
        100,
        example="50",
    )
    health_check: str | None = stream_key(
        "health-check",
        basic.choice("http", "tcp", "off"),
        "Active check; default: http if a path is given, else tcp",
        example="tcp",
    )
    health_check_path: str | None = stream_key(
        "health-check.path",
        http.path_and_query,
        "Path the check asks for, perhaps with a query",
        example="/healthz?full=1",
    )
    health_check_interval: float = stream_key(
        "health-check.interval", basic.duration(0.1, 3600), "Time between two checks", 2.0, example="5s"
    )
    health_check_timeout: float = stream_key(
        "health-check.timeout", basic.duration(0.01, 600), "A check's time-out", 1.0, example="2s"
    )
    health_check_rise: int = stream_key(
        "health-check.rise", basic.integer(1, 100), "Good checks until a server is up", 2, example="3"
    )
    health_check_fall: int = stream_key(
        "health-check.fall", basic.integer(1, 100), "Bad checks until it is down", 2, example="3"
    )
    health_check_status: tuple[tuple[int, int], ...] = stream_key(
        "health-check.status", http.status_codes, "Statuses that are good", ((200, 399),), example="200-299,404"
    )
    health_check_method: str = stream_key(
        "health-check.method",
        basic.choice("GET", "HEAD", "OPTIONS", "POST"),
        "Method of the check; POST only with setting discovery.any_health_check",
        "GET",
        example="HEAD",
    )
    health_check_header: Mapping[str, str] = stream_key(
        "health-check.header.<name>",
        http.header_value,
        "A header of the check, such as one by which the application lets it in",
        example="x-probe=lbgen",
    )
    health_check_host: str | None = stream_key(
        "health-check.host",
        http.host,
        "Host header of the check; default: that of `host-header`, else the first exact host of the route, else the "
        "server's address",
        example="shop.example.org",
    )
    health_check_port: int | None = stream_key(
        "health-check.port",
        basic.port,
        "Port the check asks, via mesh or host one that the service publishes; default: the server's",
        example="8081",
    )
    health_check_scheme: str | None = stream_key(
        "health-check.scheme", basic.choice("http", "https"), "http or https; default: as `scheme`", example="https"
    )
    timeout_connect: float = stream_key(
        "timeout.connect", basic.duration(0.01, 600), "To connect to a server", 1.0, example="500ms"
    )
    timeout_response: float = key(
        "timeout.response",
        basic.duration(0.1, LONGEST_WAIT),
        "To the first byte of answer, and with HAProxy and Nginx between two",
        60.0,
        example="5m",
    )
    timeout_idle: float = key(
        "timeout.idle", basic.duration(0.1, LONGEST_WAIT), "Without a byte, on open streams", 60.0, example="1h"
    )
    retries: int = stream_key(
        "retries", basic.integer(0, 100), "Further servers tried when a connect fails", 2, example="1"
    )
    sticky: str = http_key(
        "sticky",
        http.sticky,
        "Keeps a client with its server: `cookie`, `cookie:NAME` or `source` (client address)",
        "",
        example="cookie:SESSION",
    )
    max_conn: int | None = key(
        "max-conn", basic.integer(1, 1_000_000), "Concurrent requests for each server", example="100"
    )
    backup: bool = key(
        "backup",
        basic.boolean,
        "A standby: gets requests only while no other server, of its `group` say, is up; several share them",
        False,
        example="true",
    )

    scheme: str = http_key(
        "scheme",
        basic.choice("http", "https", "h2c"),
        "Spoken to servers; with https see `server-ca`",
        "http",
        example="https",
    )
    group: str = stream_key(
        "group",
        basic.name,
        "Services of one group are one backend; each gets its `weight` of the requests, and guards add up",
        "",
        example="shop",
    )
    slow_start: float = stream_key(
        "slow-start",
        basic.duration(0, 3600),
        "A server that comes up takes so long until it gets its full share",
        0.0,
        example="30s",
    )
    send_proxy: str = stream_key(
        "send-proxy",
        policy.send_proxy,
        "Tell servers the client's address by the PROXY protocol: `v1` or `v2`",
        "",
        example="v2",
    )
