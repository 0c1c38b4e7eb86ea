"""How labels refer to elements by name."""

from __future__ import annotations


def local(reference: str) -> str:
    """Return the name that a reference to the same service's elements has; empty for another provider's."""
    name, at, provider = reference.strip().lower().partition("@")
    return name if not at or provider in ("docker", "swarm") else ""
