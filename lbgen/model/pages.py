"""Which page is shown in place of which error: the most specific key decides."""

from __future__ import annotations

from collections.abc import Mapping

from lbgen.labels.values.pages import covered
from lbgen.labels.values.references import ServiceUrl
from lbgen.model.types import ErrorPage, PageService


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
