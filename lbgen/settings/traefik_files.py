"""Files of Traefik's file provider as settings name them: YAML, JSON or TOML.

What such a file holds becomes part of the settings' value, so that a file that is saved anew is a change of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from lbgen.settings.value_types import PathIn, Section, split_list


class TraefikFile(Section):
    """One file, as it was read."""

    path: str
    content: dict[str, Any] = {}


def _files(value: object) -> object:
    """Take the names of files, and what the loader has made of them."""
    items = split_list(value)
    if isinstance(items, list):
        if wrong := [item for item in items if not isinstance(item, str | TraefikFile)]:
            raise ValueError(f"write the paths of files, not {type(wrong[0]).__name__}")
        return [TraefikFile(path=item) if isinstance(item, str) else item for item in items]
    return items


TraefikFiles = Annotated[
    list[TraefikFile],
    BeforeValidator(_files, json_schema_input_type=str | list[str]),
    PathIn(bool),
]


def read_files(document: dict[Any, Any], base: Path) -> dict[str, str]:
    """Read the files that a document of settings names, in their place there; return where each key of them stands.

    Args:
        base: what relative paths are relative to.
    Raises:
        SettingsError: a file cannot be read.
    """
    section = document.get("discovery")
    traefik = section.get("traefik") if isinstance(section, dict) else None
    if not isinstance(traefik, dict):
        return {}
    names = split_list(traefik.get("files"))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return {}
    if not names:
        return {}
    from lbgen.settings.traefik_provider import read_file

    lines: dict[str, str] = {}
    traefik["files"] = [TraefikFile(path=name, content=read_file(name, base, lines)) for name in names]
    return lines
