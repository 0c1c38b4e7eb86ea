"""What a Traefik service comes to: fields of `RouteKeys` with Traefik's defaults, and what is said of its transport.

Source: traefik 3.7 pkg/config/dynamic/http_config.go, tcp_config.go; pkg/server/service.
"""

from __future__ import annotations

from lbgen.base.problem import Problem
from lbgen.labels.context import Provider
from lbgen.labels.foreign_options import Read
from lbgen.labels.route_spec import problem_of
from lbgen.labels.values.value_type import BadValue

DEFAULT_TRANSPORT = "default@internal"  # that of Traefik's static configuration, serversTransport


def service_fields(protocol: str, found: Read) -> dict[str, object]:
    """Return the fields of `RouteKeys` that a Traefik service sets, with Traefik's defaults."""
    fields = {key: value for key, value in found.fields.items() if key.isidentifier() and not key.startswith("_")}
    if protocol == "udp":
        return fields
    # Neither has Traefik a time-out for answers, nor does it check a server unless asked to.
    fields = {"timeout_response": 86400.0, "timeout_idle": 86400.0, "health_check": "off", **fields}
    if protocol == "tcp":
        return {"send_proxy": "v2", **fields} if found.fields.get("_proxy") else fields
    if not found.fields.get("_pass_host", True):
        fields["host_header"] = "server"
    if any("health_check_" in key or ".healthcheck." in key for key in found.fields):
        check = {"health_check_interval": 30.0, "health_check_timeout": 5.0, "health_check_rise": 1}
        fields = {**check, "health_check_fall": 1, **fields, "health_check": "http"}
    wanted = found.fields.get("_cookie", "sticky" in fields)
    fields["sticky"] = fields.get("sticky", "lbgen") if wanted else ""
    return fields


def transport_notes(service: str, route: str, found: Read, provider: Provider) -> list[Problem]:
    """Return what is not done of what a transport says. Servers' certificates are never verified here."""
    named, secure = found.fields.get("_transport"), found.fields.get("scheme") == "https"
    transport = str(named or DEFAULT_TRANSPORT).strip().lower()
    if transport in provider.insecure_transports or not (named or secure):
        return []
    remedy = f"name {transport} in setting discovery.traefik.insecure_transports if it has insecureSkipVerify"
    if named:
        bad = BadValue("is left out: time-outs are the route's, and servers' certificates are not verified", remedy)
        return [problem_of(service, *found.written["_transport"], bad, route)]
    bad = BadValue("is taken, but servers' certificates are not verified, which Traefik does", remedy)
    return [problem_of(service, *found.written["scheme"], bad, route)]
