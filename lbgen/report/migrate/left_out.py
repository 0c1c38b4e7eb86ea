"""Why options of Traefik's static configuration are not carried over, and what to do instead.

Source: traefik 3.7 pkg/config/static, pkg/provider/*, pkg/observability/types.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lbgen.settings.entry_points import LEFT_OUT

_ACME = (
    "certificates are files here: let Traefik, or another program, go on renewing them, and put them into certificates"
)
_ONLY_SWARM = "lbgen follows a Swarm: routes that this provider makes stay with Traefik"
_STATUS = (
    "see setting status: /healthz and /readyz stand for ping, /metrics for the metrics, `lbgen status` for the API"
)
_TUNES = "it tunes Traefik alone"
# Option or section -> reason; * is one name. The longest that fits counts.
REASONS: Mapping[str, str] = {
    "global": "it is about Traefik itself",
    "configfile": "give that file with --static",
    "entrypoints.*.forwardedheaders.insecure": "anybody could say who the client is: name your load balancers under "
    "trusted_proxies of the listener",
    "entrypoints.*.proxyprotocol.insecure": "anybody could say who the client is: name your load balancers under "
    "trusted_proxies of the listener",
    **{f"entrypoints.*.{path}": reason for path, reason in LEFT_OUT.items() if path != "address"},
    "serverstransport.rootcas": "write lbgen.server-ca and setting server_cas for services with scheme=https",
    "serverstransport.forwardingtimeouts": "connecting takes at most 1 s; see labels timeout.connect and .response",
    "serverstransport": _TUNES,
    "tcpserverstransport": _TUNES,
    "providers.providersthrottleduration": "changes reach the proxy at once",
    "providers.precedence": _ONLY_SWARM,
    "providers.plugin": _ONLY_SWARM,
    **{
        f"providers.{name}": _ONLY_SWARM
        for name in (
            *("docker", "kubernetesingress", "kubernetesingressnginx", "kubernetescrd", "kubernetesgateway", "knative"),
            *("rest", "consulcatalog", "nomad", "ecs", "consul", "etcd", "zookeeper", "redis", "http"),
        )
    },
    "providers.swarm.refreshseconds": "changes are pushed",
    "providers.swarm.watch": "changes are always followed",
    "providers.swarm.allowemptyservices": "a service without servers answers 503, as with this option",
    "providers.swarm.usebindportip": "set discovery.traefik.via: host to send traffic to published ports",
    "providers.swarm.httpclienttimeout": _TUNES,
    "providers.swarm.username": "lbgen asks engines by TLS client certificates, SSH or a socket",
    "providers.swarm.password": "lbgen asks engines by TLS client certificates, SSH or a socket",
    "providers.swarm.swarmmode": "it is always on",
    "providers.file.watch": "files are always followed",
    "providers.file.debugloggeneratedtemplate": _TUNES,
    "api": _STATUS,
    "ping": _STATUS,
    "metrics": _STATUS,
    "log": "the log goes to standard error",
    "accesslog": "a line has the same fields for every request",
    "tracing": "there is no tracing",
    "hostresolver": "there is no flattening of CNAMEs",
    "certificatesresolvers": _ACME,
    "experimental": "plugins are Traefik's own: a router whose middleware is one is closed",
    "spiffe": "there is no SPIFFE",
    "ocsp": "there is no OCSP stapling",
}
_PATTERNS = sorted(
    ((re.compile(re.escape(path).replace(r"\*", "[^.]+") + r"(?:[.\[].*)?"), path) for path in REASONS),
    key=lambda item: -len(item[1]),
)


def reason(path: str) -> str:
    """Return why an option is not carried over; one that nobody knows is called so."""
    known = next((name for pattern, name in _PATTERNS if pattern.fullmatch(path.lower())), None)
    return REASONS[known] if known else "is no option of Traefik 3 that lbgen knows: check its spelling"
