"""The table of defaults in docs/proxies.md: what holds where no label, setting or option says anything else.

Every value is read from what is rendered (see `rendered`), so the table is as true as the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lbgen.proxies.capabilities import PROXIES
from scripts.reference.rendered import Cell, haproxy, matching, nginx, none, own, rendered, traefik

HEAD = """
## Defaults

What holds where nothing else is set, read from what the built-in sets render (for Nginx 1.30 and Traefik 3.7). A value
without a word of the configuration is the program's own, which lbgen leaves as it is.
"""
CLIENT = "entryPoints.web.transport.respondingTimeouts."
SERVER = "http.serversTransports.*.forwardingTimeouts."


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    haproxy: Cell
    nginx: Cell
    traefik: Cell
    by: str = ""  # what sets it: a label, setting or option; empty: a block of the templates

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The proxies', in the order of their columns."""
        return self.haproxy, self.nginx, self.traefik


# fmt: off
TABLE: Mapping[str, Sequence[Row]] = {
    "Time-outs of clients": (
        Row("headers of a request", haproxy("http defaults", "timeout http-request"), nginx("client_header_timeout"),
            traefik(f"{CLIENT}readTimeout"), "Traefik: option `read_timeout`"),
        Row("without a byte of the body", haproxy("http defaults", "timeout client"), nginx("client_body_timeout"),
            traefik(f"{CLIENT}readTimeout"), "option `client_timeout`; Traefik: `read_timeout`, of the whole request"),
        Row("without taking a byte of the answer", haproxy("http defaults", "timeout client"), nginx("send_timeout"),
            own("traefik", "writeTimeout", "none"), "option `client_timeout`"),
        Row("idle connection", haproxy("http defaults", "timeout http-keep-alive"), nginx("keepalive_timeout"),
            traefik(f"{CLIENT}idleTimeout"), "option `keep_alive`; Traefik: `idle_timeout`"),
    ),
    "Time-outs of servers": (
        Row("connect", haproxy("http defaults", "timeout connect"), nginx("proxy_connect_timeout"),
            traefik(f"{SERVER}dialTimeout"), "`timeout.connect`"),
        Row("until the answer begins", haproxy("http defaults", "timeout server"), nginx("proxy_read_timeout"),
            traefik(f"{SERVER}responseHeaderTimeout"), "`timeout.response`"),
        Row("connection of TCP, or upgraded, without a byte", haproxy("tcp defaults", "timeout tunnel"),
            nginx("proxy_timeout"), none(), "`timeout.idle`"),
        Row("waiting for a server that has `max-conn` requests", haproxy("http defaults", "timeout queue"),
            none("another server, or 502"), none("no such limit")),
        Row("idle connection to a server", own("haproxy", "pool-purge-delay", "5s"),
            matching("nginx", r"^ {8}(keepalive_timeout [^;]+);"), traefik(f"{SERVER}idleConnTimeout"),
            "option `server_keep_alive` of Nginx and Traefik"),
    ),
    "Connections": (
        Row("families of addresses", matching("haproxy", r"bind (\[::\]:80 v6only)"),
            matching("nginx", r"listen (\[::\]:80);"), own("traefik", r"tcp4|tcp6", "both"), "`listeners.NAME.bind`"),
        Row("whether clients are still there", haproxy("tcp defaults", "option clitcpka"),
            matching("nginx", "(so_keepalive=on)"), own("traefik", "keepAlive", "asked every 15 s")),
    ),
    "Tries and checks": (
        Row("tries with other servers, the first one not counted", haproxy("http defaults", "retries"),
            matching("nginx", "^ +(proxy_next_upstream_tries [0-9]+);"),
            matching("traefik", "^ +(attempts: [0-9]+)$"), "`retries`; Nginx and Traefik count the first one, too"),
        Row("what is tried again", haproxy("http defaults", "retry-on"), nginx("proxy_next_upstream"),
            none("failed connects")),
        Row("check of a server, HTTP", haproxy("backend web", "default-server"),
            matching("nginx", "^ +server 10.0.0.2:8080.* (max_fails=0)"),
            own("traefik", "^ {8}healthCheck:\n(?: {10}.*\n)* {10}path:", "none"), "`health-check`"),
        Row("check of a server, TCP", haproxy("backend db.tcp.pg", "default-server"),
            matching("nginx", "^ +server 10.0.0.3:5432.* (max_fails=[^;]+);"),
            matching("traefik", r"^ {8}healthCheck:\n {10}(interval: \S+)$"), "`health-check`"),
    ),
    "Limits": (
        Row("request line and headers; of an answer, too", haproxy("global", "tune.bufsize"),
            nginx("large_client_header_buffers"), traefik("entryPoints.web.http.maxHeaderBytes"),
            "`listeners.NAME.max_headers`"),
        Row("body of a request", own("haproxy", r"content-length|hdr_val\(content", "none"),
            nginx("client_max_body_size"), own("traefik", "maxRequestBodyBytes", "none"), "`max-body`"),
        Row("connections", own("haproxy", "^ +maxconn", "as many as the system's limits allow"),
            nginx("worker_connections"), none(), "options `maxconn`, `worker_connections` (of each worker)"),
        Row("old workers after a reload", haproxy("global", "hard-stop-after"), nginx("worker_shutdown_timeout"),
            none("there are none"), "options `hard_stop_after`, `worker_shutdown`"),
    ),
    "Headers": (
        Row("HTTP to servers", own("haproxy", "http-reuse", "1.1, kept alive"), nginx("proxy_http_version"),
            own("traefik", "disableHTTP2", "1.1, kept alive"), "`scheme: h2c`"),
        Row("Server in answers", none("the application's"), matching("nginx", "^ +(server_tokens off);"),
            none("the application's")),
        Row("Location, Set-Cookie", none("the application's"), nginx("proxy_redirect"), none("the application's")),
    ),
    "Buffering": (
        Row("body of a request", own("haproxy", "http-buffer-request", "as it comes"),
            own("nginx", "proxy_request_buffering", "whole, in memory and files"),
            own("traefik", "buffering:", "as it comes"), "Nginx: option `buffering`"),
        Row("answer", haproxy("http defaults", "option http-no-delay"), nginx("proxy_buffering"),
            own("traefik", "flushInterval", "as it comes"), "Nginx: option `response_buffering`"),
    ),
    "TLS with clients": (
        Row("oldest version", matching("haproxy", r"(ssl-min-ver \S+)"), nginx("ssl_protocols"),
            traefik("tls.options.default.minVersion"), "`listeners.NAME.tls.minimum`"),
        Row("sessions that are taken up again", matching("haproxy", r"(no-tls-tickets)"), nginx("ssl_session_cache"),
            own("traefik", "disableSessionTickets", "by tickets")),
        Row("HTTP/2", matching("haproxy", r"(alpn \S+)"), nginx("http2"), own("traefik", "alpnProtocols", "yes")),
    ),
}
# fmt: on


def markdown() -> str:
    """Return the section of docs/proxies.md."""
    found = rendered()
    lines = [HEAD]
    for heading, rows in TABLE.items():
        lines += [f"| {heading} | {' | '.join(PROXIES.values())} | set by |", "| --- " * (len(PROXIES) + 2) + "|"]
        for row in rows:
            values = " | ".join(cell(found).replace("|", "\\|") for cell in row.cells)
            lines.append(f"| {row.what} | {values} | {row.by} |")
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
