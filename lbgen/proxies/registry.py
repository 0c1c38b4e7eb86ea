"""The kinds of proxies, by the name that a template set has in `proxy`. To add one, write a folder and a line here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lbgen.proxies.kind import Kind

# Where each kind is: it is imported when a target is of it.
KINDS: Mapping[str, str] = {
    "haproxy": "lbgen.proxies.haproxy.kind:HAPROXY",
    "nginx": "lbgen.proxies.nginx.kind:NGINX",
    "traefik": "lbgen.proxies.traefik.kind:TRAEFIK",
    "other": "lbgen.proxies.other.kind:OTHER",
}


@cache
def kind_of(name: str) -> Kind:
    """Import a kind of proxy."""
    module, _, attribute = KINDS[name].partition(":")
    kind: Kind = getattr(importlib.import_module(module), attribute)
    return kind
