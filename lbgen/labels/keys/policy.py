"""The keys that say what happens to requests and answers on their way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lbgen.labels.keys.key import http_key, http_switch, key, stream_key
from lbgen.labels.values import basic, http, paths, policy
from lbgen.labels.values.regex import regex
from lbgen.labels.values.substitution import Substitution, UrlRedirect, path_substitution, url_redirects


@dataclass(frozen=True, kw_only=True)
class PolicyKeys:
    """What happens on the way. Durations are seconds, sizes bytes."""

    redirect: tuple[tuple[str, str], ...] = http_key(
        "redirect",
        http.redirect,
        "Answer with this URL, which may use `{host} {uri} {path} {query}`, instead of a server; `{uri}` is path and "
        "query as the client sent them",
        (),
        example="https://www.example.org{uri}",
    )
    redirect_code: int = http_key(
        "redirect.code", basic.number(301, 302, 307, 308), "Status of the redirect", 302, example="308"
    )
    redirect_regex: tuple[UrlRedirect, ...] = http_key(
        "redirect-regex",
        url_redirects,
        "`EXPRESSION URL`, or several such pairs: the first expression that is found at the beginning of the request's "
        "URL leads to its own, in which `$1` is group 1; what follows the place stays",
        (),
        example=r"^https?://www\.example\.org/(.*) https://example.org/$1",
    )
    redirect_https: bool = http_switch("redirect-https", "On listeners without TLS, 308 to the same URL with https")
    redirect_https_port: int | None = http_key(
        "redirect-https.port",
        basic.port,
        "Port that it leads to; default: `public_port` of the route's listener with TLS",
        example="8443",
    )
    host_header: str = http_key(
        "host-header",
        policy.host_header,
        "Host that servers see: `pass` (the client's), `server` (the server's address) or a name",
        "",
        example="shop.internal",
    )
    strip_prefix: tuple[str, ...] = http_key(
        "strip-prefix",
        basic.list_of(policy.clean_path(paths.prefix)),
        "Taken off the path, by segment; servers are told in X-Forwarded-Prefix",
        (),
        example="/api",
    )
    strip_prefix_regex: tuple[str, ...] = http_key(
        "strip-prefix-regex",
        basic.list_of(regex, outside=True),
        "The same by expressions: what the first one that is found at the beginning of the path finds",
        (),
        example="^/api/v[0-9]+,^/old",
    )
    replace_path: str = http_key(
        "replace-path",
        policy.clean_path(http.path),
        "The path that servers see, whatever was asked for",
        "",
        example="/",
    )
    replace_path_regex: Substitution | None = http_key(  # noqa: RUF009  # a field, as all others
        "replace-path-regex",
        path_substitution,
        "`EXPRESSION PATH`: what the expression finds at the beginning of the path is replaced, `$1` by its group 1",
        example="^/articles/([0-9]+) /show/$1",
    )
    add_prefix: str = http_key(
        "add-prefix",
        policy.clean_path(http.path_prefix),
        "Put before the path, after it is stripped and replaced",
        "",
        example="/v1",
    )
    request_header: Mapping[str, str] = http_key(
        "request-header.<name>",
        policy.header_text,
        "Sets this header for the server; empty removes it",
        example="x-tenant=blue",
        may_be_empty=True,
    )
    response_header: Mapping[str, str] = http_key(
        "response-header.<name>",
        policy.header_text,
        "Sets this header for the client, in the proxy's own answers too, unless it describes the answer ("
        "content-type, location, ...); empty removes it",
        example="x-frame-options=DENY",
        may_be_empty=True,
    )
    allow_ip: tuple[str, ...] = stream_key(
        "allow-ip",
        basic.list_of(basic.network),
        "Only clients from these networks: others get 403, or are hung up on",
        (),
        example="192.0.2.0/24,2001:db8::/32",
        guard=True,
    )
    deny_ip: tuple[str, ...] = stream_key(
        "deny-ip",
        basic.list_of(basic.network),
        "No clients from these networks, not even those that `allow-ip` lets in",
        (),
        example="198.51.100.7",
        guard=True,
    )
    allow_ip_status: int = http_key(
        "allow-ip.status",
        policy.refusal,
        "Status for those whom `allow-ip` and `deny-ip` keep out",
        403,
        example="404",
        guard=True,
    )
    deny: bool = http_switch("deny", "Answer with `deny.status` in place of a server", guard=True)
    deny_status: int = http_key(
        "deny.status",
        policy.refusal,
        "Status of that answer: an error that HTTP has a name for",
        403,
        example="404",
        guard=True,
    )
    basic_auth: str = http_key(
        "basic-auth",
        policy.file_name,
        "Users and passwords are in this file of the directory of setting `users`",
        "",
        example="staff",
        guard=True,
    )
    rate_limit: tuple[int, int] | None = http_key(
        "rate-limit",
        policy.rate,
        "Requests per second, minute or hour from one client address; more get 429",
        example="100/s",
        guard=True,
    )
    rate_limit_burst: int | None = http_key(
        "rate-limit.burst",
        basic.integer(0, 1_000_000),
        "So many more at once; default: as many as the rate's number",
        example="50",
        guard=True,
    )
    max_concurrent: int | None = stream_key(
        "max-concurrent",
        basic.integer(1, 1_000_000),
        "Requests at once from one client address; more get 429. TCP: connections; more are closed",
        example="20",
        guard=True,
    )
    max_concurrent_by: str = http_key(
        "max-concurrent.by",
        basic.choice("client", "host"),
        "`host`: requests at once for one host, whichever client asks",
        "client",
        example="host",
        guard=True,
    )
    max_body: int | None = http_key(
        "max-body", policy.size, "Largest body of a request; larger ones get 413", example="10m"
    )
    hsts: str = http_key(
        "hsts",
        policy.hsts,
        "Strict-Transport-Security in all answers on listeners with TLS: `true` (a year) or the header's value",
        "",
        example="max-age=63072000; includeSubDomains",
    )
    cors_origins: tuple[str, ...] = http_key(
        "cors.origins",
        basic.list_of(policy.origin),
        "Pages from these origins may use the answers; their preflight requests are answered by the proxy",
        (),
        example="https://shop.example.org",
    )
    cors_methods: tuple[str, ...] = http_key(
        "cors.methods",
        basic.list_of(policy.cors_method),
        "Methods they may use",
        ("GET", "HEAD", "POST"),
        example="GET,PUT,DELETE",
    )
    cors_headers: tuple[str, ...] = http_key(
        "cors.headers", basic.list_of(policy.cors_header), "Headers they may send", (), example="content-type,x-token"
    )
    cors_max_age: float | None = http_key(
        "cors.max-age",
        basic.duration(0, 86400),
        "How long a browser may remember the answer to a preflight request",
        example="10m",
    )
    cors_credentials: bool = http_switch("cors.credentials", "They may send cookies")
    compress: bool = http_switch("compress", "Answers are compressed for clients that take it")
    tls: str | None = http_key(
        "tls",
        policy.certificate,
        "`true`: on listeners with TLS only; or the name of the certificate for this route's hosts",
        example="shop.example.org",
    )
    client_ca: str = http_key(
        "client-ca",
        policy.file_name,
        "Clients need a certificate of this authority, a file of the directory of setting `client_cas`",
        "",
        example="partners",
        guard=True,
    )
    client_ca_headers: bool = http_switch(
        "client-ca.headers", "Servers are told the subject and the fingerprint of the certificate, in X-Client-Cert-*"
    )
    passthrough: bool = key(
        "passthrough",
        basic.boolean,
        "TLS goes to the server untouched: refuses TCP listeners that end it; HTTP listeners with TLS take it by `sni`",
        False,
        example="true",
        only="tcp",
    )
