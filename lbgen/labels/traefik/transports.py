"""Transports to HTTP servers that Traefik's files define: who vouches for the servers' certificates.

Source: traefik 3.7 pkg/config/dynamic/http_config.go (ServersTransport), pkg/server/service/transport.go.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from lbgen.labels.foreign_options import Element, Left, Lost, Options, Table, Taken, flag, read
from lbgen.labels.values import basic, http, policy
from lbgen.labels.values.value_type import BadValue

KIND = "serverstransports"
SYSTEM = "system"  # the authorities that this machine trusts
_TUNES = Left("is left out: it tunes Traefik alone", "remove it")
_LEAVE = "remove it, or leave the service to Traefik"


def _authority(text: str) -> str:
    """The name of the file without directory and suffix."""
    if "BEGIN" in text:
        raise BadValue("is a certificate itself", "put it into a file NAME.pem in setting server_cas, and name that")
    return policy.file_name(PurePosixPath(text).stem)


TRANSPORT: Table = {
    "servername": Taken(http.server_name, "_name"),
    "insecureskipverify": Taken(flag, "_insecure"),
    "rootcas": Taken(basic.list_of(_authority), "_authorities"),
    "certificates[n].certfile": Lost("shows servers a certificate, which is not done here", _LEAVE),
    "certificates[n].keyfile": Lost("shows servers a certificate, which is not done here", _LEAVE),
    **{
        option: Lost("asks for more of servers' certificates than a name and an authority", _LEAVE)
        for option in ("peercerturi", "peercertsans[n].<>", "peercertsans", "spiffe", "spiffe.<>")
    },
    **dict.fromkeys(("maxidleconnsperhost", "forwardingtimeouts.<>", "disablehttp2"), _TUNES),
    **dict.fromkeys(("ciphersuites", "minversion", "maxversion"), _TUNES),
}


def is_insecure(element: Element) -> bool:
    """Tell whether servers' certificates are not verified by a transport."""
    return "insecureskipverify" in element.options and element.options["insecureskipverify"].value.lower() == "true"


def verified(options: Options, element: Element) -> dict[str, Any]:
    """Return the fields of `RouteKeys` by which a transport's servers are verified; none: it verifies none by a name.

    What is wrong with it is lost of the options.
    """
    own = read(options.service, options.route, element, TRANSPORT)
    options.lost += own.lost
    said = own.fields
    name, authorities = said.get("_name"), said.get("_authorities", (SYSTEM,))
    if own.lost or said.get("_insecure") or not name:
        return {}
    if len(authorities) > 1:
        bad = BadValue(
            f"names several files ({', '.join(authorities)}), and here there is one",
            "put all authorities into one file of setting server_cas, and name that",
        )
        options.lose(own.written["_authorities"], bad, "server_ca")
        return {}
    return {"server_ca": authorities[0], "server_name": name}
