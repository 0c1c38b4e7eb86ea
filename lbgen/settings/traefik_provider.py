"""What the settings of Traefik's provider mean, and its files, as dialect traefik reads them.

Imported where the settings say something of it: most do not, and it needs half of that dialect.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lbgen.base import documents
from lbgen.base.errors import SettingsError
from lbgen.labels.context import Provider
from lbgen.labels.traefik import routers
from lbgen.labels.traefik.constraints import meets_constraints
from lbgen.labels.traefik.file_check import checked as checked
from lbgen.labels.traefik.file_provider import TEMPLATE, FileElements, Keys
from lbgen.labels.traefik.file_provider import place as place
from lbgen.labels.traefik.rules import read_rule
from lbgen.labels.traefik.transports import KIND, is_insecure

if TYPE_CHECKING:
    from lbgen.settings.discovery import TraefikSettings


def check_rule(default_rule: str) -> None:
    """Raise BadValue, which is a ValueError, if it is no rule."""
    read_rule(routers.default_rule(default_rule, "name"), "http", "", "")


def check_constraints(constraints: str) -> None:
    """Raise BadValue, which is a ValueError, if they cannot be read."""
    meets_constraints(constraints, {})


def defined_by(settings: TraefikSettings) -> FileElements:
    """Return what the sections and the files define, and what is wrong with them."""
    found = FileElements()
    for protocol, kind, name in (
        ("http", "middlewares", "middlewares"),
        ("http", "services", "services"),
        ("tls", "options", "tls_options"),
        ("tcp", "middlewares", "tcp_middlewares"),
        ("tcp", "services", "tcp_services"),
    ):
        found.add(protocol, kind, getattr(settings, name), f"discovery.traefik.{name}")
    for file in settings.files:
        found.add_file(file.content, file.path)
    return found


def provider_of(settings: TraefikSettings) -> Provider:
    """Return the options that labels are read with; names are case-insensitive."""
    elements = defined_by(settings).elements
    insecure = {name.lower() for name in settings.insecure_transports}
    insecure |= {f"{each.name}@file" for each in elements.values() if each.kind == KIND and is_insecure(each)}
    return Provider(
        settings.default_rule,
        settings.constraints,
        tuple(name.lower() for name in settings.users_files),
        tuple(sorted(insecure)),
        settings.rule_syntax,
        elements,
        entry_points=tuple(said.entry_point(name) for name, said in sorted(settings.entrypoints.items())),
    )


def read_file(name: str, base: Path, lines: dict[str, str]) -> dict[str, Any]:
    """Read a file of Traefik's file provider; note in ``lines`` where each key of it stands.

    Raises:
        SettingsError: it cannot be read.
    """
    text = documents.read_text(base / name, SettingsError)
    content, found = _parsed(text, name)
    if not isinstance(content, dict):
        raise SettingsError(f"{name}: expected sections such as http and tls, found {type(content).__name__}")
    lines |= {f"{name}:{place(key)}": f"{name}:{line}" for key, line in found.items()}
    return content


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
