"""Which page is shown in place of which error: the most specific key decides."""

from __future__ import annotations

from collections.abc import Mapping

from lbgen.labels.values.pages import covered
from lbgen.model.types import ErrorPage


def error_pages(written: Mapping[str, str]) -> tuple[ErrorPage, ...]:
    """Return the pages that keys such as ``503``, ``500-599`` and ``5xx`` ask for.

    Of two keys for a status the one for fewer statuses decides, then the one for lower ones.
    """
    widest_first = sorted(written, key=lambda text: (-len(covered(text)), [-status for status in covered(text)]))
    deciding = {status: text for text in widest_first for status in covered(text)}
    kept = ((text, tuple(s for s in covered(text) if deciding[s] == text)) for text in sorted(written))
    return tuple(ErrorPage(text, statuses, written[text]) for text, statuses in kept if statuses)
