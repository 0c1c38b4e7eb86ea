"""Worked examples for docs/labels.md. Tests route every one without a problem, and have all proxies check them.

They are all of one cluster, so they claim different hosts; listeners are web, websecure (TLS), pg (TCP) and dns (UDP).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """What somebody wants, and the labels that say so."""

    title: str
    text: str
    services: Mapping[str, Mapping[str, str]]  # service -> label, without "lbgen." -> value


EXAMPLES = (
    Example(
        "A canary release",
        "Both services name one group, which becomes one backend: nine of ten requests go to the old version, whatever "
        "the number of tasks. The canary says nothing of the host, so the other one leads: its settings hold for both. "
        "The guards of all services of a group [add up](security.md#groups), whichever service leads.",
        {
            "shop": {"host": "shop.example.org", "port": "8080", "group": "shop", "weight": "90"},
            "shop-canary": {"port": "8080", "group": "shop", "weight": "10"},
        },
    ),
    Example(
        "Blue and green",
        "`green` gets no requests of the group while its weight is 0, and is tried out under a name of its own. "
        "`docker service update --label-add lbgen.http.live.weight=100 green`, and 0 for `blue`, switch over.",
        {
            "blue": {"port": "8080", "host": "news.example.org", "group": "news", "weight": "100"},
            "green": {
                "port": "8080",
                "http.live.group": "news",
                "http.live.weight": "0",
                "http.preview.host": "preview.news.example.org",
            },
        },
    ),
    Example(
        "Redirects: one name, and always https",
        "The first route answers on `web` with 308 to the same URL with https; the second sends the old name to the "
        "new one and needs no server.",
        {
            "site": {
                "port": "8080",
                "listener": "web,websecure",
                "http.main.host": "www.example.net",
                "http.main.redirect-https": "true",
                "http.bare.host": "example.net",
                "http.bare.redirect": "https://www.example.net{path}?{query}",
                "http.bare.redirect.code": "308",
            }
        },
    ),
    Example(
        "An API below a path",
        "Requests for `/api` go to this service, `/apix` does not; the service sees `/v1/...`. The longer match wins "
        "over the site's own, and a rule can say what the keys cannot.",
        {
            "api": {
                "port": "8080",
                "http.v1.host": "www.example.com",
                "http.v1.path": "/api",
                "http.v1.strip-prefix": "/api",
                "http.v1.add-prefix": "/v1",
                "http.beta.rule": "Host(`www.example.com`) && PathPrefix(`/api/`) && Header(`X-Beta`, `yes`)",
                "http.beta.priority": "1000",
            }
        },
    ),
    Example(
        "CORS",
        "Pages of the shop may call this API with their users' cookies; the proxy answers the preflight requests. With "
        "credentials nothing may be `*`.",
        {
            "api-cors": {
                "host": "api.example.org",
                "port": "8080",
                "cors.origins": "https://shop.example.org",
                "cors.methods": "GET,PUT,DELETE",
                "cors.headers": "content-type,x-token",
                "cors.max-age": "10m",
                "cors.credentials": "true",
            }
        },
    ),
    Example(
        "Who may come in",
        "Only from these networks, with a password (`htpasswd -nB ada >> /etc/lbgen/users/staff`), no faster than "
        "this, and with small bodies. Passwords never stand in labels of lbgen's own.",
        {
            "admin": {
                "host": "admin.example.org",
                "port": "8080",
                "allow-ip": "192.0.2.0/24,2001:db8::/32",
                "deny-ip": "192.0.2.13",
                "basic-auth": "staff",
                "rate-limit": "20/s",
                "rate-limit.burst": "40",
                "max-body": "1m",
            }
        },
    ),
    Example(
        "A login service",
        "Authelia is asked about every request; the service `authelia` needs no label of lbgen's, only a network that "
        "the proxy shares, or a published port. Of oauth2-proxy it is `http://oauth2-proxy:4180/`, with its option "
        "`--upstream=static://202` and `--reverse-proxy`, and `forward-auth.response-headers=x-auth-request-user`. "
        "`forward-auth.cookies` names the cookie that it renews, which Traefik has to be told.",
        {
            "wiki": {
                "host": "wiki.example.org",
                "port": "8080",
                "forward-auth": "http://authelia:9091/api/authz/forward-auth",
                "forward-auth.response-headers": "remote-user,remote-groups,remote-name,remote-email",
                "forward-auth.cookies": "authelia_session",
            },
            "authelia": {"host": "login.example.org", "port": "9091"},
        },
    ),
    Example(
        "TLS: a certificate, HSTS, clients' certificates",
        "The certificate is chosen by the host's name, or named: a file in the directory of setting `certificates`. "
        "Partners have to show a certificate that the authority in `partners.pem` signed.",
        {
            "bank": {
                "port": "8080",
                "http.web.host": "bank.example.org",
                "http.web.tls": "true",
                "http.web.hsts": "max-age=63072000; includeSubDomains",
                "http.partners.host": "partners.bank.example.org",
                "http.partners.client-ca": "partners",
            }
        },
    ),
    Example(
        "TCP by server name",
        "Two databases on one port: the proxy reads the name that the TLS client asks for and hands the connection on "
        "untouched.",
        {
            "orders-db": {"port": "5432", "tcp.pg.sni": "orders.db.example.org", "tcp.pg.passthrough": "true"},
            "users-db": {"port": "5432", "tcp.pg.sni": "users.db.example.org", "tcp.pg.passthrough": "true"},
        },
    ),
    Example(
        "A slow application that is asked how it is",
        "The proxy asks every 5 s, waits long for answers, tries one other server if a connect fails, keeps a client "
        "with its server, and lets a server that comes up warm up first. Not every proxy can do all of that: see "
        "[proxies.md](proxies.md), or `lbgen lint --proxy nginx`.",
        {
            "reports": {
                "host": "reports.example.org",
                "port": "8080",
                "health-check.path": "/healthz",
                "health-check.interval": "5s",
                "health-check.status": "200",
                "timeout.response": "5m",
                "retries": "1",
                "balance": "least-conn",
                "sticky": "cookie:REPORTS",
                "slow-start": "30s",
            }
        },
    ),
    Example(
        "UDP",
        "A named route of protocol `udp`. HAProxy has none, and leaves it out: see [proxies.md](proxies.md).",
        {"resolver": {"udp.dns.port": "53"}},
    ),
)
