"""Hosts as routing knows them: a name, ``*.name`` for one label before it, or any."""

from __future__ import annotations

ANY_HOST = "*"


def broader_hosts(host: str) -> list[str]:
    """Return the less specific hosts that also match, the narrowest first: ``a.b.c`` -> ``*.b.c``, ``*``."""
    if host == ANY_HOST:
        return []
    if host.startswith("*.") or "." not in host:
        return [ANY_HOST]
    return ["*." + host.partition(".")[2], ANY_HOST]
