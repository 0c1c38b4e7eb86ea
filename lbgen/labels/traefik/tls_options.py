"""The TLS options that a router names: whose certificates clients need, and what its listeners have to refuse.

lbgen asks for clients' certificates by host, as Traefik does; all else of TLS is a listener's. What a listener refuses
less than the options do closes the router there.

Source: traefik 3.7 pkg/tls/tls.go, tlsmanager.go (buildTLSConfig); pkg/server/router/tcp/manager.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from lbgen.base.problem import printable
from lbgen.labels.context import Listeners
from lbgen.labels.definitions import Definitions
from lbgen.labels.foreign_options import Element, Left, Options, Table, Taken, flag, read
from lbgen.labels.values import basic, policy
from lbgen.labels.values.value_type import BadValue

GUARD = ("tls.options",)
DEFAULT = "default"  # the options of routers that name none
_LISTENERS = "is left out: it is the listener's, and that offers what Mozilla recommends"
_VERSIONS = {"VersionTLS10": "1.2", "VersionTLS11": "1.2", "VersionTLS12": "1.2", "VersionTLS13": "1.3"}
_REQUIRED = "RequireAndVerifyClientCert"
_KNOWN_TYPES = ("NoClientCert", "RequestClientCert", "RequireAnyClientCert", "VerifyClientCertIfGiven", _REQUIRED)


def _version(text: str) -> str:
    if text not in _VERSIONS:
        raise BadValue("is not a version of TLS", f"write one of {', '.join(_VERSIONS)}")
    return _VERSIONS[text]


def _authority(text: str) -> str:
    """The name of the file without directory and suffix: directories are Traefik's, and ours are all NAME.pem."""
    if "BEGIN" in text:
        raise BadValue("is a certificate itself", "put it into a file NAME.pem in setting client_cas, and name that")
    return policy.file_name(PurePosixPath(text).stem)


def _type(text: str) -> str:
    if text not in _KNOWN_TYPES:
        raise BadValue("is not a kind of client authentication", f"write one of {', '.join(_KNOWN_TYPES)}")
    return text


OPTIONS: Table = {
    "minversion": Taken(_version, "_minimum"),
    "maxversion": Left("is left out: newer versions are offered, too", "remove it"),
    "ciphersuites": Left(_LISTENERS, "remove it"),
    "curvepreferences": Left(_LISTENERS, "remove it"),
    "alpnprotocols": Left(_LISTENERS, "remove it"),
    "preferserverciphersuites": Left(_LISTENERS, "remove it"),
    "disablesessiontickets": Left(_LISTENERS, "remove it"),
    "snistrict": Taken(flag, "_strict"),
    "clientauth.cafiles": Taken(basic.list_of(_authority), "_authorities"),
    "clientauth.clientauthtype": Taken(_type, "_type"),
}


def client_ca(said: Mapping[str, Any]) -> str:
    """Return the authority that clients need a certificate of; empty: they need none.

    Raises:
        BadValue: they need something else; its key is the field that says so.
    """
    authorities, asked = said.get("_authorities", ()), said.get("_type", "")
    if asked in ("RequestClientCert", "RequireAnyClientCert", "VerifyClientCertIfGiven"):
        only_if = "also lets in clients without one" if asked != "RequireAnyClientCert" else "verifies none"
        raise BadValue(
            f"asks for clients' certificates in a way that {only_if}, which is not done here",
            f"write {_REQUIRED}, or leave the router to Traefik",
            "_type",
        )
    if asked == _REQUIRED and not authorities:
        raise BadValue("needs caFiles, which Traefik refuses to do without", "add clientAuth.caFiles", "_type")
    if asked == "NoClientCert" or not authorities:
        return ""
    if len(authorities) > 1:
        raise BadValue(
            f"names several files ({', '.join(authorities)}), and here there is one",
            "put all authorities into one file of setting client_cas, and name that",
            "_authorities",
        )
    return str(authorities[0])


def apply_tls_options(
    protocol: str,
    options: Options,
    fields: dict[str, Any],
    definitions: Definitions,
    known: Listeners,
    names: Iterable[str],
) -> None:
    """Have a router's TLS options in force: add what clients need to fields of `RouteKeys`, or close the router.

    Args:
        protocol: of the router: http, or tcp that ends TLS.
        options: of the router.
        definitions: with the TLS options that the settings define.
        known: the listeners of that protocol.
        names: those that the router is on.
    """
    reference = options.fields.get("_tls_options") or DEFAULT
    secure = known.secure.intersection(names)
    if reference.partition("@")[0].lower() == DEFAULT:
        default = definitions.settings.get(("tls", "options", DEFAULT))
        element = default.element if default else None
    else:
        element = _named(options, definitions, reference)
    if element is None or not (secure or "_tls_options" in options.fields):
        return
    own = read(options.service, options.route, element, OPTIONS)
    options.lost += own.lost
    try:
        authority = client_ca(own.fields)
        if authority:
            _ask(protocol, options, fields, authority, known, names)
        if own.fields.get("_minimum") == "1.3":
            _check_versions(sorted(secure - known.tls13))
    except BadValue as bad:
        options.lose(own.written.get(bad.key) or next(iter(element.options.values())), bad, *GUARD)
    else:
        options.broken.update(GUARD if own.lost else ())


def _check_versions(old: Sequence[str]) -> None:
    """Raise BadValue if there are listeners that offer older versions of TLS than 1.3."""
    if old:
        raise BadValue(
            f"asks for TLS 1.3, and listener {old[0]} offers older versions",
            f'set listeners.{old[0]}.tls to {{minimum: "1.3"}}',
            "_minimum",
        )


def _ask(
    protocol: str, options: Options, fields: dict[str, Any], authority: str, known: Listeners, names: Iterable[str]
) -> None:
    """Have clients asked for a certificate; a router that asks for no TLS keeps to where Traefik would serve it."""
    if protocol == "tcp":
        raise BadValue(
            "asks for clients' certificates, which TCP listeners do not ask for here",
            "have the server end TLS (tls.passthrough), or leave the router to Traefik",
            "_authorities",
        )
    plain = tuple(name for name in names if name in known.plain)
    if plain and "_tls_options" not in options.fields and not options.fields.get("_tls"):
        options.fields["listener"] = plain
    else:
        fields["client_ca"] = authority


def _named(options: Options, definitions: Definitions, reference: str) -> Element | None:
    try:
        if "@" not in reference:
            raise BadValue("names TLS options of labels, which define none", f"write {printable(reference)}@file")
        return definitions.find("tls", "options", reference, options.service).element
    except BadValue as bad:
        options.lose("_tls_options", bad, *GUARD)
        return None
