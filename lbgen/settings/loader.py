"""Reads the settings: one YAML file, the environment over it, flags over both.

Everything wrong is listed at once, each with the line or the variable it stands in.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lbgen.base import documents
from lbgen.base.errors import SettingsError
from lbgen.settings.locations import located
from lbgen.settings.settings import Settings

ENV_PREFIX = "LBGEN_"
ENV_FILE = "LBGEN_CONFIG"
DEFAULT_FILES = (Path("lbgen.yml"), Path("/etc/lbgen/lbgen.yml"))


def default_file() -> Path | None:
    """Return the settings file of a command that is not told of one; None: there is none."""
    return next((path for path in DEFAULT_FILES if path.is_file()), None)


def load_settings(
    path: Path | None,
    environ: Mapping[str, str],
    flags: Mapping[tuple[str, ...], object],
    *,
    as_written: bool = False,
) -> Settings:
    """Read the settings file, with the environment and then the flags laid over it.

    Args:
        path: the file, or None for no file.
        flags: key path -> value, e.g. ("log", "level") -> "debug"; values of None are left out.
        as_written: leave relative paths as they are; if not, those of the file are relative to it, and those of the
            environment and of flags to the working directory.
    Raises:
        SettingsError: one line for each thing that is wrong.
    """
    text = documents.read_text(path, SettingsError) if path else ""
    document = documents.parse(text, str(path), SettingsError) if text.strip() else {}
    if document is None:  # nothing but comments
        document = {}
    if not isinstance(document, dict):
        raise SettingsError(f"{path}: expected a mapping of settings, found {type(document).__name__}")
    origins = {key: f"{path}:{line}" for key, line in documents.positions(text).items()}
    if path and not as_written:
        document = located(document, Settings, path.parent)
    for variable, key, value in _environment(environ):
        _put(document, key, value)
        origins[key] = variable
    for key, value in flags.items():
        if value is not None:
            _put(document, key, value)
    if not as_written:
        document = located(document, Settings, Path())
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        unknown = "unknown key; see 'lbgen config schema'"
        lines = documents.complaints(error, origins, str(path or "settings"), lambda _: unknown)
        raise SettingsError("\n".join(lines)) from error


def _environment(environ: Mapping[str, str]) -> list[tuple[str, tuple[str, ...], object]]:
    """List (variable, key path, value) of every setting in the environment; a value is read as YAML."""
    settings: list[tuple[str, tuple[str, ...], object]] = []
    for variable, text in sorted(environ.items()):
        if variable.startswith(ENV_PREFIX) and variable != ENV_FILE:
            key = tuple(variable.removeprefix(ENV_PREFIX).lower().split("__"))
            try:
                value = documents.parse(text, variable, SettingsError)
            except SettingsError:
                value = text  # ":80" is not YAML, but a good value
            settings.append((variable, key, text if isinstance(value, str) or value is None else value))
    return settings


def _put(document: dict[Any, Any], key: tuple[str, ...], value: object) -> None:
    """Set a value deep inside the document; anything in the way that is not a mapping is replaced."""
    for part in key[:-1]:
        inner = document.get(part)
        if not isinstance(inner, dict):
            inner = document[part] = {}
        document = inner
    document[key[-1]] = value
