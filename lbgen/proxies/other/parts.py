"""How files are handed to a program that lbgen does not know."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial

from lbgen.base.errors import SettingsError
from lbgen.proxies.kind import Parts, Setup
from lbgen.proxies.other.apply import Other
from lbgen.proxies.other.check import checker
from lbgen.proxies.reload_command import Command, Signal, running_pid_in


def parts(setup: Setup) -> Parts:
    """Return the proxy and its checker."""
    return Parts(Other(setup.output, _way(setup)), checker(setup, setup.output))


def _way(setup: Setup) -> Callable[[], None] | None:
    """Return how it is told of new files; None: it notices by itself."""
    apply = setup.target.apply
    if apply.command:
        return Command(apply.command).reload
    if apply.pid_file:
        return Signal(partial(running_pid_in, apply.pid_file), signal.SIGHUP).reload
    if apply.chosen:
        raise SettingsError(
            f"targets.{setup.name}.apply: what lbgen does not know takes command, pid_file (SIGHUP) or nothing, if it "
            f"watches its files; not {apply.chosen}"
        )
    return None
