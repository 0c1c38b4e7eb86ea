"""The keys that have a login service asked before each request."""

from __future__ import annotations

from dataclasses import dataclass

from lbgen.labels.keys.key import http_key, http_switch
from lbgen.labels.values import login
from lbgen.labels.values.references import ServiceUrl, service_url


@dataclass(frozen=True, kw_only=True)
class LoginKeys:
    """Forward authentication."""

    forward_auth: ServiceUrl | None = http_key(  # noqa: RUF009  # a field, as all others
        "forward-auth",
        service_url,
        "Login service that is asked about each request, a Swarm service or an address: 2xx lets the request pass, any "
        "other answer is the client's; while it cannot be reached nothing passes",
        example="http://authelia:9091/api/authz/forward-auth",
        guard=True,
    )
    forward_auth_response_headers: tuple[str, ...] = http_key(
        "forward-auth.response-headers",
        login.answered_headers,
        "Headers of the login service's answer that servers get; never those that a client sent under these names",
        (),
        example="remote-user,remote-groups",
    )
    forward_auth_cookies: tuple[str, ...] = http_key(
        "forward-auth.cookies",
        login.cookies,
        "Cookies that the login service sets as it lets a request pass, to renew a session, by name: Traefik hands "
        "these on to the client, HAProxy and Nginx all, 8 at most",
        (),
        example="authelia_session",
    )
    forward_auth_trust: bool = http_switch(
        "forward-auth.trust",
        "The login service is told the method and URI that load balancers of `trusted_proxies` say in "
        "X-Forwarded-Method and -Uri",
    )
