"""Files of Traefik's file provider as settings name them, and reading them: YAML, JSON or TOML.

What such a file holds becomes part of the settings' value, so that a file that is saved anew is a change of them.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from lbgen.base import documents
from lbgen.base.errors import SettingsError
from lbgen.labels.traefik.file_provider import TEMPLATE, Keys, place
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
    lines: dict[str, str] = {}
    traefik["files"] = [_file(name, base, lines) for name in names]
    return lines


def _file(name: str, base: Path, lines: dict[str, str]) -> TraefikFile:
    text = documents.read_text(base / name, SettingsError)
    content, found = _parsed(text, name)
    if not isinstance(content, dict):
        raise SettingsError(f"{name}: expected sections such as http and tls, found {type(content).__name__}")
    lines |= {f"{name}:{place(key)}": f"{name}:{line}" for key, line in found.items()}
    return TraefikFile(path=name, content=content)


def _parsed(text: str, name: str) -> tuple[object, dict[Keys, int]]:
    """Return what a file says, and the line of each key; the lines of TOML are not known."""
    try:
        if name.endswith(".toml"):
            return _toml(text, name), {}
        return documents.parse_with_positions(text, name, SettingsError)
    except SettingsError as error:
        if "{{" in text:
            raise SettingsError(f"{name}: {TEMPLATE.message}; {TEMPLATE.remedy}") from error
        raise


def _toml(text: str, name: str) -> object:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{name}: {error}") from error
