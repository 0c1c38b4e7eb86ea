"""Anything that is none of the known proxies: files are rendered and checked, never applied."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from lbgen import check
from lbgen.errors import SettingsError
from lbgen.kinds import Facts, Parts, Setup
from lbgen.render import Files


def facts(setup: Setup) -> Facts:  # noqa: ARG001
    """Nothing is known of it."""
    return Facts()


def checker(setup: Setup, beside: Path | None) -> Callable[[Files], None]:
    """Return what has files checked by the set's command."""
    return partial(check.check, command=setup.manifest.check, binary=setup.binary, beside=beside)


def parts(setup: Setup) -> Parts:
    """Refuse: nothing says how it takes files."""
    raise SettingsError(
        f"targets.{setup.name}: lbgen cannot apply to proxy kind {setup.manifest.proxy!r}; use 'lbgen render'"
    )
