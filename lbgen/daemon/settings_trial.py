"""Trying settings before they are in force: rendered with the facts of now, checked by the proxies' own programs."""

from __future__ import annotations

from collections.abc import Mapping

from lbgen.daemon.assembly import Assembly
from lbgen.daemon.bisection import Held, WhatIf
from lbgen.model import build
from lbgen.settings import Settings
from lbgen.snapshot import Snapshot


def try_out(settings: Settings, snapshot: Snapshot, held: Mapping[str, Mapping[str, Held]]) -> None:
    """Render each target's files by the settings, and have its proxy's program check them where no proxy reads them.

    Args:
        held: services that are not served as they ask, by target: they are not what the settings are judged by.
    Raises:
        SettingsError: the settings do not fit the proxy.
        TemplateError: a template set cannot be read, or a template fails.
        CheckFailed, CheckUnavailable: the proxy's program refuses the files, or cannot be asked.
    """
    model = build(snapshot, settings.rules())
    for name, target in settings.targets.items():
        renderer, check = Assembly(name, target, settings).preview()
        instead = {id_: each.instead for id_, each in held.get(name, {}).items()}
        facts = WhatIf().facts(model, snapshot, instead) if instead else (model, snapshot)
        check(renderer.render(*facts))
