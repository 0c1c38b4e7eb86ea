"""Anything that is none of the known proxies: files are put in place, and a command or a signal has them read."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lbgen.base.errors import SettingsError
from lbgen.proxies import check_command
from lbgen.proxies.kind import Check, Facts, Kind, Parts, Setup
from lbgen.proxies.other.apply import Other
from lbgen.proxies.reload_command import Command, Signal


def facts(setup: Setup) -> Facts:  # noqa: ARG001
    """Nothing is known of it."""
    return Facts()


def checker(setup: Setup, beside: Path | None) -> Check:
    """Return what has files checked by the set's command."""
    return partial(check_command.check, command=setup.manifest.check, binary=setup.binary, beside=beside)


def parts(setup: Setup) -> Parts:
    """Return how its files are checked and brought to it."""
    return Parts(Other(setup.output, _way(setup)), checker(setup, setup.output))


def _way(setup: Setup) -> Callable[[], None] | None:
    """Return how it is told of new files; None: it notices by itself."""
    apply = setup.target.apply
    if apply.command:
        return Command(apply.command).reload
    if apply.pid_file:
        return Signal(apply.pid_file, signal.SIGHUP).reload
    if apply.chosen:
        raise SettingsError(
            f"targets.{setup.name}.apply: what lbgen does not know takes command, pid_file (SIGHUP) or nothing, if it "
            f"watches its files; not {apply.chosen}"
        )
    return None


OTHER = Kind("", facts, checker, parts)
