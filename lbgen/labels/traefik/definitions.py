"""What Traefik's names mean, for this dialect; `lbgen.labels.definitions` is what all dialects' context has of it."""

from __future__ import annotations

from lbgen.labels.definitions import FILE, SWARM, Definition, Definitions, Key, Undefined

__all__ = ["FILE", "SWARM", "Definition", "Definitions", "Key", "Undefined"]
