"""What happens to a backend's requests and answers on their way: part of the public vocabulary of templates.

As `types`: fields are added, never renamed or removed. Durations are seconds, sizes bytes.
In order: clients' addresses, rates and numbers; 308 to https; preflight requests; passwords, sizes; the login service;
other redirects; then the path is stripped, replaced and put behind a prefix, and headers are set.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from functools import lru_cache

from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.values.references import ServiceUrl
from lbgen.labels.values.substitution import Substitution, UrlRedirect
from lbgen.labels.values.value_type import BadValue

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Rate:
    """How many requests one client address may make; more are answered 429."""

    requests: int
    period: int  # seconds: 1, 60, 3600
    burst: int  # so many more at once


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many requests there may be at once; more are answered 429. Protocol tcp: connections; more are closed."""

    most: int
    by: str  # "client": from one client address; "host" (protocol http): for one host


@dataclass(frozen=True, slots=True)
class Cors:
    """Which pages of other origins may use the answers; preflight requests are answered by the proxy, with 204."""

    origins: tuple[str, ...]  # "https://shop.example.org", or "*" for any
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    max_age: int | None
    credentials: bool

    @property
    def any_origin(self) -> bool:
        """Whether every page may."""
        return "*" in self.origins


@dataclass(frozen=True, slots=True)
class ForwardAuth:
    """A login service that is asked before each request; its answer is the client's unless the status is 2xx.

    It gets a GET without body: the request's other headers, X-Forwarded-Method, -Uri, -Proto, -Host, -Port and -For.
    """

    url: ServiceUrl
    headers: tuple[str, ...] = ()  # of its answer, names in lower case: for servers, in place of the client's own
    cookies: tuple[str, ...] = ()  # of its answer, names: for the client that it lets in, where they must be named
    trust: bool = False  # X-Forwarded-Method and -Uri of trusted load balancers are passed on to it
    backend: str = ""  # name of the backend that has its servers

    def __str__(self) -> str:
        return str(self.url)


@dataclass(frozen=True, slots=True)
class Policy:
    """All of it; as it stands here, nothing happens."""

    allow: tuple[str, ...] = ()  # networks; empty: all. Others: `refusal`, or the connection is closed (protocol tcp)
    deny: tuple[str, ...] = ()  # networks; goes before `allow`
    refusal: int = 403  # protocol http: the status for those whom these two keep out
    rate: Rate | None = None
    concurrency: Concurrency | None = None
    users: str = ""  # name of the file of users that may come in
    max_body: int | None = None  # larger requests: 413
    forward_auth: ForwardAuth | None = None  # a login service that has to let each request in
    host_header: str = ""  # what servers see: empty: what the client sent; "server": the server's address; or a name
    redirects: tuple[UrlRedirect, ...] = ()  # the first that is found decides; others go on
    strip_prefixes: tuple[str, ...] = ()  # longest first; by segment; servers are told in X-Forwarded-Prefix
    # In place of those: expressions, and the first that is found at the beginning of the path decides. What is left
    # gets a slash, if it has none; servers are told as well.
    strip_regexes: tuple[str, ...] = ()  # expressions, at the beginning of the path, in place of `strip_prefixes`
    replace_path: str = ""  # the path that servers see
    replace_regex: Substitution | None = None  # in place of that: in the path, after it was stripped
    add_prefix: str = ""  # put before the path, after all that
    request_headers: tuple[tuple[str, str], ...] = ()  # (name in lower case, value); empty value: removed
    response_headers: tuple[tuple[str, str], ...] = ()
    cors: Cors | None = None
    hsts: str = ""  # the value of Strict-Transport-Security, on listeners with TLS
    compress: bool = False

    @property
    def admitted(self) -> tuple[str, ...]:
        """`allow` less `deny` as one list of networks, for proxies that only know allow lists; empty: everybody."""
        return _admitted(self.allow, self.deny)

    @property
    def answer_headers(self) -> tuple[tuple[str, str], ...]:
        """Those of `response_headers` that are for all answers, the proxy's own ones too."""
        return tuple(header for header in self.response_headers if header[0] not in DESCRIBING)

    @property
    def server_headers(self) -> tuple[tuple[str, str], ...]:
        """The others, that are for servers' answers alone: they describe them."""
        return tuple(header for header in self.response_headers if header[0] in DESCRIBING)

    def answers(self) -> Policy:
        """What of it concerns all answers, the proxy's own ones too: headers and nothing else."""
        headers = Policy(response_headers=self.answer_headers, cors=self.cors, hsts=self.hsts)
        return NOTHING if headers == NOTHING else headers

    def __bool__(self) -> bool:
        """Whether anything happens at all."""
        return self != NOTHING


NOTHING = Policy()
# Headers that describe the very answer they are in, which of its own ones only the proxy can.
DESCRIBING = frozenset(
    {
        *("accept-ranges", "content-disposition", "content-encoding", "content-language", "content-type", "etag"),
        *("last-modified", "location", "retry-after", "www-authenticate"),
    }
)


NOBODY = "0.0.0.0/32"  # no client has it


@lru_cache(maxsize=1024)
def _admitted(allow: tuple[str, ...], deny: tuple[str, ...]) -> tuple[str, ...]:
    if not deny:
        return allow
    left = [ipaddress.ip_network(text) for text in allow or ("0.0.0.0/0", "::/0")]
    for denied in map(ipaddress.ip_network, deny):
        left = [kept for network in left for kept in _without(network, denied)]
    texts = sorted(str(network) for version in (4, 6) for network in _collapse(left, version))
    return tuple(texts) or (NOBODY,)


def _without(network: Network, denied: Network) -> list[Network]:
    if network.version != denied.version or not network.overlaps(denied):
        return [network]
    # Of two networks that overlap one is part of the other.
    if network.prefixlen >= denied.prefixlen:
        return []
    return list(network.address_exclude(denied))  # type: ignore[arg-type]  # of the same version


def _collapse(networks: list[Network], version: int) -> list[Network]:
    return list(ipaddress.collapse_addresses(network for network in networks if network.version == version))  # type: ignore[type-var]


def policy_of(keys: RouteKeys) -> Policy:
    """Return the policy that a route's keys ask for.

    Raises:
        BadValue: a key makes no sense without, or beside, another.
    """
    _check_company(keys)
    policy = Policy(
        allow=keys.allow_ip,
        deny=keys.deny_ip,
        refusal=keys.allow_ip_status,
        rate=_rate(keys),
        concurrency=None if keys.max_concurrent is None else Concurrency(keys.max_concurrent, keys.max_concurrent_by),
        users=keys.basic_auth,
        max_body=keys.max_body,
        forward_auth=_forward_auth(keys),
        host_header=keys.host_header,
        redirects=tuple(
            replace(redirect, code=redirect.code or keys.redirect_code) for redirect in keys.redirect_regex
        ),
        strip_prefixes=tuple(sorted((path for path in keys.strip_prefix if path != "/"), key=lambda path: -len(path))),
        strip_regexes=keys.strip_prefix_regex,
        replace_path=keys.replace_path,
        replace_regex=keys.replace_path_regex,
        add_prefix=keys.add_prefix.rstrip("/"),
        request_headers=tuple(sorted(keys.request_header.items())),
        response_headers=tuple(sorted(keys.response_header.items())),
        cors=_cors(keys),
        hsts=keys.hsts,
        compress=keys.compress,
    )
    return NOTHING if policy == NOTHING else policy


def _check_company(keys: RouteKeys) -> None:
    """Raise BadValue if a key stands without one that it needs, or beside one that it contradicts."""
    if keys.strip_prefix and keys.strip_prefix_regex:
        raise BadValue("stands beside strip-prefix", "write all of them as expressions", "strip-prefix-regex")
    if keys.replace_path and keys.replace_path_regex:
        raise BadValue("stands beside replace-path", "remove one of the two", "replace-path-regex")
    if keys.allow_ip_status != 403 and not (keys.allow_ip or keys.deny_ip):
        raise BadValue("nobody is kept out by address", "add allow-ip or deny-ip", "allow-ip.status")
    if keys.max_concurrent is None and keys.max_concurrent_by != "client":
        raise BadValue("has no number beside it", "add max-concurrent, such as 20", "max-concurrent.by")
    if keys.client_ca_headers and not keys.client_ca:
        raise BadValue("nobody is asked for a certificate", "add client-ca, the authority's name", "client-ca.headers")
    if keys.redirect_https_port and not keys.redirect_https:
        raise BadValue("nothing is redirected", "add redirect-https=true", "redirect-https.port")


def answers_of(keys: RouteKeys) -> Policy:
    """Return the headers and CORS rules that a closed route still sets on its answers; invalid ones are left out."""
    try:
        cors = _cors(keys)
    except BadValue:
        cors = None
    return Policy(response_headers=tuple(sorted(keys.response_header.items())), cors=cors, hsts=keys.hsts).answers()


def _forward_auth(keys: RouteKeys) -> ForwardAuth | None:
    if keys.forward_auth is None:
        for key, value in (
            ("response-headers", keys.forward_auth_response_headers),
            ("cookies", keys.forward_auth_cookies),
            ("trust", keys.forward_auth_trust),
        ):
            if value:
                raise BadValue("no login service is asked", "add forward-auth", f"forward-auth.{key}")
        return None
    headers, cookies = keys.forward_auth_response_headers, keys.forward_auth_cookies
    return ForwardAuth(keys.forward_auth, headers, cookies, keys.forward_auth_trust)


def _rate(keys: RouteKeys) -> Rate | None:
    if keys.rate_limit is None:
        if keys.rate_limit_burst is not None:
            raise BadValue("has no rate beside it", "add rate-limit, such as 100/s", "rate-limit.burst")
        return None
    requests, period = keys.rate_limit
    return Rate(requests, period, requests if keys.rate_limit_burst is None else keys.rate_limit_burst)


def _cors(keys: RouteKeys) -> Cors | None:
    if not keys.cors_origins:
        if keys.cors_credentials or keys.cors_headers or keys.cors_max_age is not None:
            raise BadValue("nothing says which pages may use the answers", "add cors.origins", "cors.origins")
        return None
    if keys.cors_credentials and "*" in (*keys.cors_origins, *keys.cors_methods, *keys.cors_headers):
        # Browsers take * for nothing special then, and every page of the web acting as its visitors is never meant.
        raise BadValue("goes with * nowhere", "name the origins, methods and headers", "cors.credentials")
    age = None if keys.cors_max_age is None else int(keys.cors_max_age)
    return Cors(keys.cors_origins, keys.cors_methods, keys.cors_headers, age, keys.cors_credentials)
