"""Pages in place of errors, part of the public vocabulary of templates: the most specific key decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lbgen.labels.values.pages import covered
from lbgen.labels.values.references import ServiceUrl


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """What clients get in place of errors, whether the proxy's own or the application's; the status stays."""

    key: str  # the statuses as the label has them: "503", "500-599", "5xx"
    statuses: tuple[int, ...]  # sorted
    file: str  # name of a page; where `pages` has none of this name, nothing is replaced


@dataclass(frozen=True, slots=True)
class PageService:
    """The service whose answers clients get in place of errors, as with `ErrorPage`; the status stays."""

    key: str  # the statuses as the label has them: "503", "500-599", "5xx"
    statuses: tuple[int, ...]  # sorted
    url: ServiceUrl  # its path may have {status}, and {url} for the path and query that the client asked for
    backend: str = ""  # name of the backend with its servers


def error_pages(written: Mapping[str, str | ServiceUrl]) -> tuple[ErrorPage, ...]:
    """Return the files that keys such as ``503``, ``500-599`` and ``5xx`` ask for."""
    return tuple(ErrorPage(key, covers, page) for key, covers, page in _decided(written) if isinstance(page, str))


def page_services(written: Mapping[str, str | ServiceUrl]) -> tuple[PageService, ...]:
    """Return the services that such keys ask for, which are not looked for yet."""
    decided = _decided(written)
    return tuple(PageService(key, covers, page) for key, covers, page in decided if isinstance(page, ServiceUrl))


def _decided(written: Mapping[str, str | ServiceUrl]) -> list[tuple[str, tuple[int, ...], str | ServiceUrl]]:
    """Return each key with the statuses that it decides on.

    Of two keys for a status the one for fewer statuses decides, then the one for lower ones.
    """
    widest_first = sorted(written, key=lambda text: (-len(covered(text)), [-status for status in covered(text)]))
    deciding = {status: text for text in widest_first for status in covered(text)}
    kept = ((text, tuple(s for s in covered(text) if deciding[s] == text)) for text in sorted(written))
    return [(text, statuses, written[text]) for text, statuses in kept if statuses]
