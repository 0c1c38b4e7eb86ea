"""Which services answer in place of errors (key ``error-pages.<status>`` with a URL), and the backends with them.

What cannot be found, or is not allowed, is a problem, and the plain answer stays: pages guard nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lbgen.base.problem import Problem
from lbgen.labels.values.value_type import BadValue
from lbgen.model.claims import check_share
from lbgen.model.named_services import NamedServices, backend_name
from lbgen.model.pages import PageService
from lbgen.model.parts import Around
from lbgen.model.types import Backend, Model
from lbgen.snapshot import Snapshot

TIMEOUT = 10.0  # seconds to the first byte of a page


class PageServices:
    """Finds the services of one model after another; what did not change is the same object as before."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Backend, Backend]] = {}  # as it was asked for, and as it was made
        self._pages: dict[str, Backend] = {}  # those of the last model, by name

    def found(self, model: Model, snapshot: Snapshot, around: Around) -> Model:
        """Return the model with the backends of its page services, and with what is wrong with them."""
        before, self._known = self._known, {}
        if not any(backend.page_services for backend in model.backends):
            self._pages = {}
            return model
        search = _Search(NamedServices(snapshot, around), around, self._pages)
        backends = [self._with_pages(each, search, before) if each.page_services else each for each in model.backends]
        self._pages = search.pages
        return replace(
            model,
            backends=tuple(sorted([*backends, *search.pages.values()], key=lambda backend: backend.name)),
            problems=tuple(sorted({*model.problems, *search.problems})),
        )

    def _with_pages(self, backend: Backend, search: _Search, before: Mapping[str, tuple[Backend, Backend]]) -> Backend:
        services = tuple(found for page in backend.page_services if (found := search.of(backend, page)))
        known = before.get(backend.name)
        if not known or known[0] is not backend or known[1].page_services != services:
            known = backend, replace(backend, page_services=services)
        self._known[backend.name] = known
        return known[1]


class _Search:
    """Finds them in one snapshot."""

    def __init__(self, services: NamedServices, around: Around, before: Mapping[str, Backend]) -> None:
        self._services, self._around, self._before = services, around, before
        self.pages: dict[str, Backend] = {}
        self.problems: list[Problem] = []

    def of(self, backend: Backend, page: PageService) -> PageService | None:
        """Return a page service with its backend's name; None: there is none, which is a problem."""
        try:
            asking = self._services.by_name[backend.service]
            service = self._services.find(page.url, asking.part, backend.stack)
            name = backend_name(page.url, service, "pages")
            pages = self.pages.get(name) or self._services.backend(name, page.url, service, TIMEOUT)
            ports = {server.port for server in pages.servers}
            check_share(asking, service, ports, self._around.rules.claims)
        except BadValue as bad:
            self.problems.append(_problem(backend, page, bad))
            return None
        known = self._before.get(name)
        self.pages[name] = known if known == pages else pages
        return replace(page, backend=name)


def _problem(backend: Backend, page: PageService, bad: BadValue) -> Problem:
    key = f"error-pages.{page.key}"
    label = f"lbgen.http.{backend.route}.{key}" if backend.route else f"lbgen.{key}"
    message = f"asks service {page.url.host} for pages: {bad.message}"
    return Problem(
        backend.service, message, f"{bad.remedy}; the plain answer stays till then", label, str(page.url), backend.route
    )
