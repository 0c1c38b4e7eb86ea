"""Which daemon the commands ask that show what runs, and with which token or password."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from lbgen.base import bounded_file
from lbgen.base.errors import SettingsError
from lbgen.labels.values.value_type import BadValue
from lbgen.settings import ENV_STATUS_AUTH, StatusSettings
from lbgen.status.client import Daemon, full_url, url_of

F = TypeVar("F", bound=Callable[..., Any])
_LARGEST = 64 << 10  # bytes of a file

_AUTH = click.option(
    "--auth",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help=f"File with the token that the daemon wants, or with NAME:PASSWORD. {ENV_STATUS_AUTH} holds the same itself. "
    "Default: the token of setting status.auth, for a daemon on this host.",
)


def status_options(help_text: str) -> Callable[[F], F]:
    """Add --status and --auth to a command, which gets them as `url` and `auth`."""
    url = click.option("--status", "url", metavar="URL", help=help_text)
    return lambda command: url(_AUTH(command))


def daemon_at(url: str, auth: Path | None) -> Daemon:
    """Return the daemon at a URL that somebody typed."""
    return Daemon(full_url(url), _given(auth))


def daemon_of(settings: StatusSettings, auth: Path | None) -> Daemon:
    """Return the daemon of these settings on this host; raise SettingsError."""
    url = url_of(settings.address)
    given = _given(auth)
    if not given and settings.auth and settings.auth.token:
        given = _token(settings.auth.token)
    return Daemon(url, given)


def _given(auth: Path | None) -> str:
    """Return the token, or NAME:PASSWORD, that option or environment have; empty: none."""
    if auth is None:
        return os.environ.get(ENV_STATUS_AUTH, "").strip()
    try:
        text = bounded_file.read(auth, _LARGEST, pipes=True).decode().strip()
    except OSError as error:
        raise SettingsError(f"--auth {auth}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        text = ""
    if not text or not text.isprintable():
        raise SettingsError(f"--auth {auth}: holds neither a token nor one line NAME:PASSWORD")
    return text


def _token(path: Path) -> str:
    from lbgen.status.secret_files import token_in

    try:
        return token_in(path)
    except (OSError, BadValue) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(
            f"status.auth.token: {path}: {why}; run this as a user who may read it, or give --auth FILE"
        ) from error
