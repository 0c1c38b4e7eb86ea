"""Stack files as `docker stack deploy` reads them."""

from __future__ import annotations

from collections.abc import Mapping

_SECTIONS = ("services", "networks", "volumes", "secrets", "configs")


def is_compose(data: object) -> bool:
    """Tell whether a document is a Compose file: its services are a mapping, where a snapshot has a list."""
    return isinstance(data, Mapping) and any(isinstance(data.get(key), Mapping) for key in _SECTIONS)
