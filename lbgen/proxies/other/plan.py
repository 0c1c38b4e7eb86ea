"""What an unknown program needs for a change: whole files, always. Pure."""

from __future__ import annotations

from lbgen.proxies import plan
from lbgen.proxies.plan import Plan
from lbgen.render.renderer import Files


def between(running: Files | None, desired: Files, *, told: bool) -> Plan:
    """Return whether the files have changed; where the program is not told, two changes need no time in between."""
    return plan.between(running, desired, spaced=told)
