"""On which listeners a TCP router is, by what it says of TLS.

Traefik tells connections with TLS from those without before it asks routers: one with TLS sees the former alone, and
hands them on as they are (passthrough) or ends TLS, one without sees the latter.

Source: traefik 3.7 pkg/server/router/tcp/manager.go (addTCPHandlers) and router.go (ServeTCP).
"""

from __future__ import annotations

from dataclasses import replace

from lbgen.labels.context import Listeners
from lbgen.labels.foreign_options import Element, Options, Written
from lbgen.labels.match import Match, kinds_of
from lbgen.labels.traefik.entrypoints import asks_tls
from lbgen.labels.values.value_type import BadValue

_WITHOUT_TLS = frozenset({"client_ip"})  # the kinds of tests that know something of connections without TLS


def place_stream(router: Element, options: Options, match: Match, known: Listeners, web: Listeners) -> None:
    """Set the listeners of a TCP router, or close it: no listener does what it says of TLS.

    Args:
        options: the listeners among them are those that it names, else those of entry points without a name.
        known: the listeners of TCP.
        web: those of HTTP: where they end TLS routers by server name are beside those of HTTP.
    """
    asked, tls = options.fields.get("listener"), asks_tls(router)
    if asked and "entrypoints" not in router.options:
        known, asked = replace(known, default=asked), None
    if options.fields.get("passthrough"):
        names = asked or known.choose(None, secure=False) or web.choose(None, secure=True)
    elif tls is None:
        if kinds_of(match) - _WITHOUT_TLS:
            options.lose("rule", BadValue("never matches without TLS", "add tls=true, or write HostSNI(`*`)"))
        names = asked or known.choose(None, secure=False)
    else:
        names = _with_tls(options, tls, asked, known, web)
    if names:
        options.fields["listener"] = names


def _with_tls(
    options: Options, tls: Written, asked: tuple[str, ...] | None, known: Listeners, web: Listeners
) -> tuple[str, ...] | None:
    """Return the listeners of a router that ends TLS; it is closed on those that do not."""
    if asked is None:
        if names := known.choose(None, secure=True) or web.choose(None, secure=True):
            return names
        remedy = "give one tls: true, or set tls.passthrough=true if the server has the certificate"
        options.lose(tls, BadValue("asks for TLS, and no listener has it", remedy))
        return None
    if plain := (known.plain | web.plain).intersection(asked):
        remedy = "give it tls: true, or set tls.passthrough=true if the server has the certificate"
        options.lose(tls, BadValue(f"asks for TLS, which listener {min(plain)} does not have", remedy))
        return tuple(name for name in asked if name not in plain) or asked
    return asked
