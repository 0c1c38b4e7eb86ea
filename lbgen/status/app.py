"""The status API's addresses. Every answer is made in the server's one thread, from what `view.py` says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from prometheus_client.exposition import choose_encoder
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from lbgen.base.errors import UnknownService
from lbgen.base.unexpected import UNEXPECTED, Part, UnexpectedErrors
from lbgen.proxies.traefik.feed import Feed
from lbgen.status.metrics import registry_of
from lbgen.status.view import Document, View

MOST_NAMES = 100  # that one question may be about
Endpoint = Callable[[Request], Awaitable[Response]]


def application(view: View, feeds: Mapping[str, Feed], unexpected: UnexpectedErrors = UNEXPECTED) -> Starlette:
    """Return the application that answers for this view.

    Args:
        feeds: dynamic configurations to hand out, by target.
    """
    answers = _Answers(view, feeds, unexpected)
    endpoints: Mapping[str, Endpoint] = {
        "/healthz": answers.healthz,
        "/readyz": answers.readyz,
        "/metrics": answers.metrics,
        "/api/v1/status": _document(view.status),
        "/api/v1/model": _document(view.model),
        "/api/v1/problems": _document(view.problems),
        "/api/v1/routes": answers.routes,
        "/api/v1/drains": answers.drains,
        "/api/v1/history": answers.history,
        "/api/v1/explain/{service:path}": answers.explain,
        "/traefik/{target}": answers.traefik,
    }
    return Starlette(routes=[Route(path, _guarded(path, answer, unexpected)) for path, answer in endpoints.items()])


class _Answers:
    """The addresses that answer with more, or with something else, than a document of the view."""

    def __init__(self, view: View, feeds: Mapping[str, Feed], unexpected: UnexpectedErrors) -> None:
        self._view, self._feeds, self._registry = view, feeds, registry_of(view, unexpected)

    async def healthz(self, _: Request) -> Response:
        unhealthy = self._view.unhealthy()
        return _text("\n".join(unhealthy) or "alive", 503 if unhealthy else 200)

    async def readyz(self, _: Request) -> Response:
        unready = self._view.unready()
        return _text("\n".join(unready) or "ready", 503 if unready else 200)

    async def metrics(self, request: Request) -> Response:
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._registry), headers={"content-type": kind})

    async def routes(self, _: Request) -> Response:
        return await run_in_threadpool(lambda: _json(self._view.routes()))  # proxies are asked, one may be slow

    async def drains(self, request: Request) -> Response:
        names = request.query_params.getlist("name")[:MOST_NAMES]
        return await run_in_threadpool(lambda: _json(self._view.drains(names)))

    async def history(self, request: Request) -> Response:
        return _json(self._view.history(_limit(request)))

    async def explain(self, request: Request) -> Response:
        try:
            document = self._view.explanation(request.path_params["service"])
        except UnknownService as error:
            raise HTTPException(404, f"{error}\n") from error
        return _text("no snapshot yet", 503) if document is None else _json(document)

    async def traefik(self, request: Request) -> Response:
        feed = self._feeds.get(request.path_params["target"])
        if feed is None:
            known = ", ".join(self._feeds) or "none"
            raise HTTPException(404, f"no target of this name is fed over HTTP; there are: {known}\n")
        document = await feed.answer(str(request.client))
        if document is None:
            return _text("nothing has been rendered and checked yet", 503)
        return Response(document.body, headers={"content-type": "application/yaml", "cache-control": "no-store"})


def _document(document: Callable[[], Document]) -> Endpoint:
    async def answer(_: Request) -> Response:
        return _json(document())

    return answer


def _guarded(path: str, answer: Endpoint, unexpected: UnexpectedErrors) -> Endpoint:
    guard = unexpected.guard(Part.STATUS, path, event="status_failed", path=path)
    serving = unexpected.guard(Part.STATUS, "serving")

    async def answered(request: Request) -> Response:
        serving.worked()
        try:
            response = await answer(request)
        except HTTPException:
            raise
        except Exception as error:
            guard.failed(error)
            return _text("this cannot be told; lbgen's log says why", 500)
        guard.worked()
        return response

    return answered


def _limit(request: Request) -> int | None:
    text = request.query_params.get("limit")
    if text is None:
        return None
    if not (text.isdecimal() and 0 < len(text) < 10):
        raise HTTPException(400, f"limit={text!r}: write a whole number, such as 20\n")
    return int(text)


def _text(text: str, status: int) -> Response:
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
