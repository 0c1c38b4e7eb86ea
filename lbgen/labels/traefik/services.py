"""What a Traefik service comes to: fields of `RouteKeys` with Traefik's defaults, and what is said of its transport.

Source: traefik 3.7 pkg/config/dynamic/http_config.go, tcp_config.go; pkg/server/service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lbgen.labels.context import Provider
from lbgen.labels.foreign_options import Options
from lbgen.labels.keys.servers import LONGEST_WAIT
from lbgen.labels.keys.table import KEYS, RouteKeys
from lbgen.labels.keys.table import PREFIX as LBGEN
from lbgen.labels.traefik.transports import KIND, verified
from lbgen.labels.values import policy
from lbgen.labels.values.value_type import BadValue

VERIFIED_BY = f"{LBGEN}{KEYS['server_ca'].name}"  # the label of lbgen's that stands beside Traefik's
DEFAULT_TRANSPORT = "default@internal"  # that of Traefik's static configuration, serversTransport


def service_fields(protocol: str, options: Options) -> dict[str, Any]:
    """Return the fields of `RouteKeys` that a Traefik service sets, with Traefik's defaults."""
    said = options.fields
    fields = {key: value for key, value in said.items() if key.isidentifier() and not key.startswith("_")}
    if protocol == "udp":
        return fields
    # Neither has Traefik a time-out for answers, nor does it check a server unless asked to.
    fields = {"timeout_response": LONGEST_WAIT, "timeout_idle": LONGEST_WAIT, "health_check": "off", **fields}
    if protocol == "tcp":
        return {"send_proxy": "v2", **fields} if said.get("_proxy") else fields
    if not said.get("_pass_host", True):
        fields["host_header"] = "server"
    if any("health_check_" in key or ".healthcheck." in key for key in said):
        check: dict[str, Any] = {"health_check_interval": 30.0, "health_check_timeout": 5.0, "health_check_rise": 1}
        check["health_check_header"] = _headers_of_check(options)
        fields = {**check, "health_check_fall": 1, **fields, "health_check": said.get("_health_check_kind") or "http"}
    return fields | _cookie(said, fields, options)


def _headers_of_check(options: Options) -> dict[str, str]:
    """Return the headers that a check has, and note those that it cannot have."""
    headers = {}
    for name, value in options.fields.get("_health_check_headers", {}).items():
        try:
            headers[policy.edited_header(name)] = value
        except BadValue as bad:
            note = BadValue(f"is left out: {bad.message}", "use healthcheck.hostname for Host")
            options.leave("_health_check_headers", note)
    return headers


def _cookie(said: Mapping[str, Any], fields: Mapping[str, Any], options: Options) -> dict[str, Any]:
    """Return the fields of the cookie; any option of it asks for one. Without one its attributes mean nothing."""
    attributes = {"sticky_secure", "sticky_http_only", "sticky_same_site", "sticky_max_age"} & fields.keys()
    if not said.get("_cookie", "sticky" in fields or "_cookie_too" in said or bool(attributes)):
        usual = RouteKeys()
        return {"sticky": "", **{name: getattr(usual, name) for name in attributes}}
    cookie = {"sticky": fields.get("sticky", "lbgen")}
    if fields.get("sticky_same_site") == "none" and fields.get("sticky_secure") is False:
        options.leave(
            "sticky_secure", BadValue("is left out: browsers refuse such a cookie for other sites", "write true")
        )
        cookie["sticky_secure"] = None
    return cookie


def note_transport(options: Options, provider: Provider) -> None:
    """Have servers verified as a transport of the settings says, or note what is not done of what it says.

    Label lbgen.server-ca goes before it.
    """
    named = options.fields.get("_transport")
    secure = "server_tls" if options.fields.get("server_tls") else ""
    secure = secure or ("scheme" if options.fields.get("scheme") == "https" else "")
    transport = str(named or DEFAULT_TRANSPORT).strip().lower()
    if transport in provider.insecure_transports or not (named or secure):
        return
    if provider.verified:
        if named:
            message = f"is left out: time-outs are the route's, and label {VERIFIED_BY} says who vouches for servers"
            options.leave("_transport", BadValue(message, "remove it, or live without it"))
        return
    defined = provider.elements.get(("http", KIND, transport.removesuffix("@file")))
    if secure == "scheme" and defined and transport.endswith("@file"):
        lost = len(options.lost)
        options.fields.update(verified(options, defined))
        if "server_ca" in options.fields or len(options.lost) > lost:
            return
    remedy = f"name {transport} in setting discovery.traefik.insecure_transports if it has insecureSkipVerify"
    if defined:
        remedy = "write serverName, the name that the servers have certificates for"
    if named:
        message = "is left out: time-outs are the route's, and servers' certificates are not verified"
    else:
        message = "is taken, but servers' certificates are not verified, which Traefik does"
    options.leave("_transport" if named else secure, BadValue(message, remedy))
