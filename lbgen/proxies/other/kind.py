"""Anything else with a text configuration: files are put in place, and a command or a signal makes it read them."""

from __future__ import annotations

from lbgen.proxies.kind import Facts, Kind, Setup


def facts(setup: Setup) -> Facts:  # noqa: ARG001
    """Nothing is known of it."""
    return Facts()


OTHER = Kind("", facts, __package__)
