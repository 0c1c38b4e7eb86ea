"""HAProxy checks staged files as they are: ``default-path config`` leads it to the maps beside haproxy.cfg."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from lbgen.proxies import check_command
from lbgen.proxies.kind import Check, Setup


def checker(setup: Setup, beside: Path | None) -> Check:
    """Return the checker: a function that raises CheckFailed."""
    return partial(check_command.check, command=setup.manifest.check, binary=setup.binary, beside=beside)
