"""Middleware ``errors``: a service's answers in place of errors. What cannot be done is left out: it guards nothing.

Source: traefik 3.7 pkg/middlewares/customerrors.
"""

from __future__ import annotations

from collections.abc import Mapping

from lbgen.labels.definitions import Undefined
from lbgen.labels.foreign_options import Left, Table, Taken
from lbgen.labels.traefik.lookup import Names
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
    names: Names, provider: str, said: Mapping[str, str], before: Mapping[str, str | ServiceUrl]
) -> dict[str, str | ServiceUrl]:
    """Return the pages that a middleware asks for, for statuses that none before it has pages for.

    Args:
        provider: of the middleware, whose names need no ``@``.
        said: the middleware's options.

    Raises:
        BadValue: there can be none; its key is the option that says so.
    """
    url = _url(names, provider, said)
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


def _url(names: Names, provider: str, said: Mapping[str, str]) -> str | ServiceUrl:
    try:
        definition = names.find("http", "services", said.get("_service", ""), provider)
    except Undefined as bad:
        raise BadValue(bad.message, bad.remedy, "_service") from bad
    options = definition.element.options
    if not definition.service or "loadbalancer.server.port" not in options:
        raise BadValue(
            f"names service {definition.element.name}, which has no port in its labels",
            "write lbgen.error-pages.5xx=http://SERVICE/{status}.html on this service",
            "_service",
        )
    scheme = options["loadbalancer.server.scheme"].value if "loadbalancer.server.scheme" in options else "http"
    try:
        port = options["loadbalancer.server.port"].value.strip()
        return page(f"{scheme.strip().lower()}://{definition.service}:{port}{said.get('_query', '')}")
    except BadValue as bad:
        raise BadValue(bad.message, "write a path such as /{status}.html", "_query") from bad
