"""Reads the settings: one YAML file, the environment over it, flags over both.

Everything wrong is listed at once, each with the line or the variable it stands in.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from lbgen.base import documents
from lbgen.base.errors import SettingsError
from lbgen.base.problem import Problem
from lbgen.settings.accepted import lay_under
from lbgen.settings.locations import located
from lbgen.settings.settings import Settings
from lbgen.settings.traefik_files import read_files

ENV_PREFIX = "LBGEN_"
ENV_FILE = "LBGEN_CONFIG"
ENV_STATUS_AUTH = "LBGEN_STATUS_AUTH"  # what a command that asks a daemon sends; see `cli.daemon`
_NO_SETTINGS = (ENV_FILE, ENV_STATUS_AUTH)
# What Kubernetes sets for a service: LBGEN_SERVICE_HOST, LBGEN_PORT_80_TCP_ADDR; also of one called lbgen-status.
_SERVICE_LINK = re.compile(
    r"(?:.+_)?(?:service_host|service_port(?:_.+)?|port(?:_[0-9]+_(?:tcp|udp|sctp)(?:_(?:proto|port|addr))?)?)"
)
_LIKE = 0.75  # of two names, from 0 to 1: "sorce" and "source" have 0.91
_TELLING = 4  # letters of a name's beginning: "min_reload"
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
    under: Mapping[str, object] | None = None,
) -> Settings:
    """Read the settings file, with the environment and then the flags laid over it.

    Args:
        path: the file, or None for no file.
        flags: key path -> value, e.g. ("log", "level") -> "debug"; values of None are left out.
        as_written: leave relative paths as they are; if not, those of the file are relative to it, and those of the
            environment and of flags to the working directory.
        under: settings that hold where none of these says anything, see `accepted.lay_under`.
    Raises:
        SettingsError: one line for each thing that is wrong.
    """
    document, origins = _file(path) if path else ({}, {})
    if path and not as_written:
        document = located(document, Settings, path.parent)
    _lay_over(document, origins, environ, flags)
    if not as_written:
        document = located(document, Settings, Path())
    if under:
        document = lay_under(under, document)
    lines = read_files(document, path.parent if path and as_written else Path())
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        unknown = "unknown key; see 'lbgen config schema'"
        complaints = documents.complaints(error, origins, str(path or "settings"), lambda _: unknown)
        raise SettingsError("\n".join(complaints)) from error
    if not settings.discovery.traefik.silent:
        _refuse_mistakes(settings, origins, lines, str(path or "settings"))
    return settings


def _refuse_mistakes(
    settings: Settings, origins: Mapping[tuple[str | int, ...], str], lines: Mapping[str, str], fallback: str
) -> None:
    """Raise SettingsError for what is wrong in the configuration of Traefik that the settings hold."""
    from lbgen.settings.traefik_provider import place

    if mistakes := settings.discovery.traefik.checked().mistakes:
        known = {**lines, **{place(key): origin for key, origin in origins.items()}}
        raise SettingsError("\n".join(_complaint(mistake, known, fallback) for mistake in mistakes))


def _lay_over(
    document: dict[str, object],
    origins: dict[tuple[str | int, ...], str],
    environ: Mapping[str, str],
    flags: Mapping[tuple[str, ...], object],
) -> None:
    """Put the environment's settings, then those of flags, into a document, and note which variable says what."""
    for variable, key, value in _environment(environ):
        _put(document, key, value)
        origins[key] = variable
        for length in range(1, len(key)):  # an unknown section is complained of as a whole
            origins.setdefault(key[:length], variable)
    for key, value in flags.items():
        if value is not None:
            _put(document, key, value)


def _complaint(mistake: Problem, lines: Mapping[str, str], fallback: str) -> str:
    """Return the line about something wrong in the configuration of Traefik that the settings hold."""
    parts = re.split(r"(?=[.\[])", mistake.label)
    known = ("".join(parts[:length]) for length in range(len(parts), 0, -1))
    origin = next((lines[text] for text in known if text in lines), fallback)
    found = f" (found {mistake.value!r})" if mistake.value else ""
    return f"{origin}: {mistake.label}: {mistake.what}{found}"


def _file(path: Path) -> tuple[dict[str, object], dict[tuple[str | int, ...], str]]:
    """Return what the settings file says, and where it says each key."""
    text = documents.read_text(path, SettingsError)
    document = documents.parse(text, str(path), SettingsError) if text.strip() else {}
    if document is None:  # nothing but comments
        document = {}
    if not isinstance(document, dict):
        raise SettingsError(f"{path}: expected a mapping of settings, found {type(document).__name__}")
    return document, {key: f"{path}:{line}" for key, line in documents.positions(text).items()}


def _environment(environ: Mapping[str, str]) -> list[tuple[str, tuple[str, ...], object]]:
    """List (variable, key path, value) of every setting in the environment; a value is read as YAML."""
    settings: list[tuple[str, tuple[str, ...], object]] = []
    for variable, text in sorted(environ.items()):
        if variable.startswith(ENV_PREFIX) and variable not in _NO_SETTINGS and not _foreign(variable):
            key = tuple(variable.removeprefix(ENV_PREFIX).lower().split("__"))
            try:
                value = documents.parse(text, variable, SettingsError)
            except SettingsError:
                value = text  # ":80" is not YAML, but a good value
            settings.append((variable, key, text if isinstance(value, str) or value is None else value))
    return settings


def foreign_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the variables that begin like lbgen's and that nobody can have meant as settings: they are not read."""
    ours = (name for name in environ if name.startswith(ENV_PREFIX) and name not in _NO_SETTINGS)
    return sorted(name for name in ours if _foreign(name))


def _foreign(variable: str) -> bool:
    """Tell whether a variable is somebody else's, such as Kubernetes' for a service of the name lbgen.

    What has two underscores in a row, or looks like a setting, is a setting that is misspelt, and an error.
    """
    name = variable.removeprefix(ENV_PREFIX).lower()
    if "__" in name or name in Settings.model_fields:
        return False
    if _SERVICE_LINK.fullmatch(name):
        return True
    begun = len(name) >= _TELLING and any(known.startswith(name) for known in _setting_names())
    return not begun and not difflib.get_close_matches(name, _setting_names(), 1, _LIKE)


@functools.cache
def _setting_names() -> tuple[str, ...]:
    """Return every setting as it would be written with single underscores: "log", "log_level"."""
    return tuple(_names_in(Settings, ""))


def _names_in(section: type[BaseModel], before: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield before + name
        for kind in _sections_in(field.annotation):
            yield from _names_in(kind, f"{before}{name}_")


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _sections_in(part)


def _put(document: dict[Any, Any], key: tuple[str, ...], value: object) -> None:
    """Set a value deep inside the document; anything in the way that is not a mapping is replaced."""
    for part in key[:-1]:
        inner = document.get(part)
        if not isinstance(inner, dict):
            inner = document[part] = {}
        document = inner
    document[key[-1]] = value
