"""What Traefik's middleware `headers` does, as fields of `RouteKeys`.

Source: traefik 3.7 pkg/middlewares/headers; github.com/unrolled/secure 1.17 secure.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lbgen.labels.values import policy
from lbgen.labels.values.value_type import BadValue

_TEXTS = {
    "_frame": "x-frame-options",
    "_xss": "x-xss-protection",
    "_csp": "content-security-policy",
    "_csp_report": "content-security-policy-report-only",
    "_referrer": "referrer-policy",
    "_permissions": "permissions-policy",
    "_exposed": "access-control-expose-headers",
}
_SWITCHES = {
    "_frame_deny": ("x-frame-options", "DENY"),
    "_nosniff": ("x-content-type-options", "nosniff"),
    "_xss_block": ("x-xss-protection", "1; mode=block"),
}


def host(options: Mapping[str, Any]) -> str:
    """Return the host that servers are told; empty if it is the client's."""
    name = options.get("_request", {}).get("host", "")
    return policy.host_header(name) if name else ""


def request_headers(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that servers are told; empty ones are removed."""
    return {policy.edited_header(name): text for name, text in _others(options.get("_request", {}))}


def _others(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, text) for name, text in headers.items() if name != "host"]


def response_headers(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that clients are told, those of customResponseHeaders before all others."""
    answers = {name: text for option, (name, text) in _SWITCHES.items() if options.get(option)}
    answers |= {name: options[option] for option, name in _TEXTS.items() if option in options}
    if any("$NONCE" in answers.get(name, "") for name in ("content-security-policy", _TEXTS["_csp_report"])):
        raise BadValue("asks for a number that is another one in each answer ($NONCE)", "let the application send it")
    sts = hsts(options)
    if sts and options.get("_sts_always"):
        answers["strict-transport-security"] = sts
    own = {policy.edited_header(name): text for name, text in options.get("_response", {}).items()}
    return answers | own


def hsts(options: Mapping[str, Any]) -> str:
    """Return the value of Strict-Transport-Security; empty if it is not sent."""
    if not options.get("_sts") or options.get("_development"):
        return ""
    domains = "; includeSubDomains" if options.get("_sts_domains") else ""
    return f"max-age={options['_sts']}{domains}{'; preload' if options.get('_sts_preload') else ''}"


def cors(options: Mapping[str, Any]) -> dict[str, object]:
    """Return which pages may use the answers; nothing where no origin is named, as no browser lets any page then.

    Methods that are not named are the simple ones: a browser does not ask for more.
    """
    if "_origins" not in options:
        return {}
    fields: dict[str, object] = {"cors_origins": options["_origins"]}
    if "_age" in options:
        fields["cors_max_age"] = float(options["_age"])
    for option, key in (
        *(("_methods", "cors_methods"), ("_headers", "cors_headers"), ("_credentials", "cors_credentials")),
    ):
        if option in options:
            fields[key] = options[option]
    return fields


def without_origin(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the options that mean nothing, since no origin is named."""
    if "_origins" in options:
        return ()
    return tuple(key for key in ("_methods", "_headers", "_credentials", "_age", "_vary") if key in options)
