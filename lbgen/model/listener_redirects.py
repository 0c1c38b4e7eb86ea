"""Listeners that lead their requests elsewhere (setting `listeners.NAME.redirect`), as a route that goes before others.

A redirect is a route like any other to templates: one for every request, to a backend that only redirects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from lbgen.model.closed import PLAIN
from lbgen.model.entries import Refusal
from lbgen.model.types import Backend, Listener, Redirect, Route

LOOP = 418  # what Traefik answers to requests that its redirect would lead to themselves
FIRST = 2**31  # above every priority that labels may give
_USUAL = {"http": 80, "https": 443}


def redirect_route(listener: Listener) -> Route | None:
    """Return the route of a listener's redirect; None: it has none.

    Of its requests those that came by https already, as a trusted load balancer says, are refused: they would be
    redirected for ever.
    """
    target = listener.redirect
    if target is None:
        return None
    loops = target.scheme == "https" and not listener.tls
    return Route(
        name=redirect_name(listener.name),
        backend=redirect_name(listener.name),
        service="",
        protocol="http",
        listeners=(listener.name,),
        alternatives=((),),
        priority=FIRST if target.priority is None else target.priority,
        age=(0.0, ""),  # older than every service: it wins a conflict
        refusals=(Refusal((), LOOP, tls=True),) if loops else (),
    )


def takes_everything(listener: Listener) -> bool:
    """Tell whether no request of a listener gets past its redirect."""
    return listener.redirect is not None and listener.redirect.priority is None


def redirect_backends(listeners: Iterable[Listener]) -> Iterator[Backend]:
    """Yield the backends of the listeners' redirects."""
    for listener in listeners:
        if target := listener.redirect:
            port = (("text", f":{target.port}"),) if target.port not in (0, _USUAL[target.scheme]) else ()
            parts = (("text", f"{target.scheme}://"), ("host", ""), *port, ("uri", ""))
            yield replace(PLAIN, name=redirect_name(listener.name), redirect=Redirect(target.code, parts))


def redirect_name(listener: str) -> str:
    """Return the name of the backend, which is no service's: those of groups and logins end in other words."""
    return f"{listener}.redirect"
