"""What Traefik needs for a change: whole files, taken without a reload; the reason names what differs. Pure."""

from __future__ import annotations

import re

from lbgen.proxies import plan
from lbgen.proxies.plan import Plan, Reload, shortened
from lbgen.render.renderer import Files

_HEADING = re.compile(r'^(?: {4}"(.+)":|(\w+):| {2}(\w+):)', re.MULTILINE)


def between(running: Files | None, desired: Files) -> Plan:
    """Return whether the files have changed: a change costs Traefik nothing, so two need no time in between."""
    step = plan.between(running, desired, spaced=False)
    if isinstance(step, Reload) and running:
        return Reload("; ".join(_changes(running, desired)) or step.reason, step.kind, spaced=False)
    return step


def _changes(running: Files, desired: Files) -> list[str]:
    """Say which services, routers and so on differ."""
    changes = []
    for name in sorted({*running.texts, *desired.texts}):
        old = _sections(running.texts.get(name, "").replace(running.generation, ""))
        new = _sections(desired.texts.get(name, "").replace(desired.generation, ""))
        differing = [heading for heading in {**old, **new} if old.get(heading) != new.get(heading)]
        if differing:
            changes.append(f"{name}: {shortened(differing)}")
    return changes


def _sections(text: str) -> dict[str, str]:
    """Return each named part (``http services shop``) and its text."""
    sections: dict[str, str] = {}
    top = inner = ""
    matches = list(_HEADING.finditer(text))
    for match, following in zip(matches, [*matches[1:], None], strict=False):  # none: an empty file
        name, first, second = match.groups()
        top, inner = (first, "") if first else (top, second or inner)
        heading = " ".join(part for part in (top, inner, name) if part)
        sections[heading] = sections.get(heading, "") + text[match.start() : following.start() if following else None]
    return sections
