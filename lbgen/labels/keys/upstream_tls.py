"""The keys that say whom the proxy speaks TLS with: which name servers are asked for, and who has to vouch for it."""

from __future__ import annotations

from dataclasses import dataclass

from lbgen.labels.keys.key import key, stream_key
from lbgen.labels.values import basic, http, policy


@dataclass(frozen=True, kw_only=True)
class UpstreamTlsKeys:
    """Of servers whose `scheme` is https, and of those of TCP routes with `server-tls`."""

    server_tls: bool = key(
        "server-tls", basic.boolean, "Servers are spoken to by TLS; see `server-ca`", False, example="true", only="tcp"
    )
    server_ca: str = stream_key(
        "server-ca",
        policy.file_name,
        "With `scheme` https or `server-tls`: servers need a certificate of this authority, a file of the directory of "
        "setting `server_cas`, or `system`: the authorities that this machine trusts; default: it is not verified",
        "",
        example="internal",
    )
    server_name: str = stream_key(
        "server-name",
        http.server_name,
        "With `scheme` https or `server-tls`: the name that servers are asked for (SNI) and have a certificate for; "
        "default: that of `host-header`, else the first exact host, or TLS server name, of the route",
        "",
        example="shop.internal",
    )
