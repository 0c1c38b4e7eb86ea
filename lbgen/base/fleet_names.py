"""How hubs, edges and agents are written in settings, tokens and certificates."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")  # as a source's name: an agent's is one
NAME_RULE = "1 to 32 letters a-z, digits and hyphens, none of these first or last"


def hub_place(url: str) -> str:
    """Return ``HOST:PORT`` of a hub's address ``https://HOST:PORT``; raise ValueError if it is none."""
    try:
        parts = urlsplit(url)
        good = parts.scheme == "https" and parts.hostname and parts.port and parts.path in ("", "/")
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"{url!r} is not the address of a hub: write https://HOST:PORT")
    return parts.netloc
