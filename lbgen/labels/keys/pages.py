"""The keys that say which page clients are shown in place of an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lbgen.labels.keys.key import http_key
from lbgen.labels.values import pages
from lbgen.labels.values.references import ServiceUrl


@dataclass(frozen=True, kw_only=True)
class PageKeys:
    """Error and maintenance pages."""

    error_pages: Mapping[str, str | ServiceUrl] = http_key(
        "error-pages.<status>",
        pages.page,
        "A file of the directory of setting `pages`, or a URL of a Swarm service (`http://pages/{status}.html`), which "
        "clients get with this status (`503`, `500-599`, `5xx`) in place of the proxy's own answer and of the "
        "application's",
        example="503=maintenance.html",
    )
