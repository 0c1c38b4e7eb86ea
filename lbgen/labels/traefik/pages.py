"""Middleware ``errors``: a service's answers in place of errors. What cannot be done is left out: it guards nothing.

Source: traefik 3.7 pkg/middlewares/customerrors.
"""

from __future__ import annotations

from collections.abc import Mapping

from lbgen.labels.foreign_options import Element, Left, Table, Taken
from lbgen.labels.traefik.names import local
from lbgen.labels.values.basic import list_of
from lbgen.labels.values.pages import covered, page
from lbgen.labels.values.references import ServiceUrl
from lbgen.labels.values.value_type import BadValue

_KEPT = "is left out: clients get the status that there was"
ERRORS: Table = {
    "status": Taken(str, "_status"),
    "service": Taken(str, "_service"),
    "query": Taken(str, "_query"),
    "statusrewrites.<>": Left(_KEPT),
    "<>": Left("is unknown, and left out", "remove it, or correct its name"),
}


def error_pages(
    service: str, known: Mapping[str, Element], said: Mapping[str, str], before: Mapping[str, str | ServiceUrl]
) -> dict[str, str | ServiceUrl]:
    """Return the pages that a middleware asks for, for statuses that none before it has pages for.

    Args:
        service: the Swarm service whose labels these are.
        known: the Traefik services among them.
        said: the middleware's options.

    Raises:
        BadValue: there can be none; its key is the option that says so.
    """
    url = _url(service, known, said)
    taken = {status for text in before for status in covered(text)}
    found: dict[str, str | ServiceUrl] = {}
    for text in _statuses(said.get("_status", "")):
        own = covered(text)
        keys = [text] if taken.isdisjoint(own) else [str(status) for status in own if status not in taken]
        found |= dict.fromkeys(keys, url)
    return found


def _statuses(text: str) -> tuple[str, ...]:
    try:
        statuses = list_of(str)(text)
        for each in statuses:
            covered(each)
    except BadValue as bad:
        raise BadValue(bad.message, "write statuses such as 404,500-599", "_status") from bad
    return statuses


def _url(service: str, known: Mapping[str, Element], said: Mapping[str, str]) -> str | ServiceUrl:
    options = known[name].options if (name := local(said.get("_service", ""))) in known else {}
    if "loadbalancer.server.port" not in options:
        raise BadValue(
            "names a service that is not among these labels, or has no port there",
            "write lbgen.error-pages.5xx=http://SERVICE/{status}.html on this service",
            "_service",
        )
    scheme = options["loadbalancer.server.scheme"].value if "loadbalancer.server.scheme" in options else "http"
    try:
        port = options["loadbalancer.server.port"].value.strip()
        return page(f"{scheme.strip().lower()}://{service}:{port}{said.get('_query', '')}")
    except BadValue as bad:
        raise BadValue(bad.message, "write a path such as /{status}.html", "_query") from bad
