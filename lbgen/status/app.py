"""The status API's addresses. Every answer is made in the server's one thread, from what `view.py` says."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.exposition import choose_encoder
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from lbgen.base.errors import UnknownService
from lbgen.base.logs import log
from lbgen.proxies.traefik.feed import Feed
from lbgen.status.metrics import registry_of
from lbgen.status.view import Document, View


def application(view: View, feeds: Mapping[str, Feed]) -> Starlette:
    """Return the application that answers for this view.

    Args:
        feeds: dynamic configurations to hand out, by target.
    """
    registry = registry_of(view)

    async def healthz(_: Request) -> Response:
        stuck = view.stuck()
        return _said(stuck or "alive", 503 if stuck else 200)

    async def readyz(_: Request) -> Response:
        unready = view.unready()
        return _said("\n".join(unready) or "ready", 503 if unready else 200)

    async def metrics(request: Request) -> Response:
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": kind})

    async def status(_: Request) -> Response:
        return _json(view.status())

    async def model(_: Request) -> Response:
        return _json(view.model())

    async def problems(_: Request) -> Response:
        return _json(view.problems())

    async def explain(request: Request) -> Response:
        try:
            document = view.explanation(request.path_params["service"])
        except UnknownService as error:
            raise HTTPException(404, f"{error}\n") from error
        return _said("no snapshot yet", 503) if document is None else _json(document)

    async def history(request: Request) -> Response:
        return _json(view.history(_limit(request)))

    async def traefik(request: Request) -> Response:
        feed = feeds.get(request.path_params["target"])
        if feed is None:
            raise HTTPException(
                404, f"no target of this name is fed over HTTP; there are: {', '.join(feeds) or 'none'}\n"
            )
        document = await feed.answer(str(request.client))
        if document is None:
            return _said("nothing has been rendered and checked yet", 503)
        return Response(document.body, headers={"content-type": "application/yaml", "cache-control": "no-store"})

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Route("/api/v1/status", status),
            Route("/api/v1/model", model),
            Route("/api/v1/problems", problems),
            Route("/api/v1/history", history),
            Route("/api/v1/explain/{service:path}", explain),
            Route("/traefik/{target}", traefik),
        ],
        exception_handlers={Exception: _failed},
    )


async def _failed(request: Request, error: Exception) -> Response:
    log.error("status_failed", path=request.url.path, exc_info=error)
    return _said("this cannot be told; lbgen's log says why", 500)


def _limit(request: Request) -> int | None:
    text = request.query_params.get("limit")
    if text is None:
        return None
    if not (text.isdecimal() and 0 < len(text) < 10):
        raise HTTPException(400, f"limit={text!r}: write a whole number, such as 20\n")
    return int(text)


def _said(text: str, status: int) -> Response:
    return PlainTextResponse(text + "\n", status, headers={"cache-control": "no-store"})


def _json(document: Document) -> Response:
    """Write lists item by item: between two of them the loop's thread may run, during one long call it may not."""
    members = []
    for key, value in document.items():
        many = isinstance(value, list | tuple)
        text = b"[" + b",".join([to_json(item) for item in value]) + b"]" if many else to_json(value)
        members.append(to_json(key) + b":" + text)
    body = b"{" + b",".join(members) + b"}\n"
    return Response(body, headers={"content-type": "application/json", "cache-control": "no-store"})
