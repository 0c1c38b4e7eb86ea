"""Which of a service's labels were read, and why the others were not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lbgen.base.problem import Problem, printable, shown
from lbgen.daemon.kept_labels import Kept
from lbgen.labels import beside, native
from lbgen.labels.context import LabelContext
from lbgen.labels.dialects import NATIVE, dialect_of
from lbgen.labels.keys.table import ENABLE, PREFIX
from lbgen.labels.other_labels import meant as meant_by
from lbgen.labels.route_spec import ServiceLabels
from lbgen.model.own_names import read_labels
from lbgen.model.routes import route_name
from lbgen.snapshot import Service

_SWITCHES = ("traefik.enable", "com.df.notify")  # beside `ENABLE` they decide whether a service takes part


def label_rows(
    service: Service,
    parsed: ServiceLabels,
    problems: Sequence[Problem],
    context: LabelContext,
    kept: Kept | None = None,
    used: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Say of each label what became of it.

    ``use`` is "read"; "problem": it cannot be used; "note": it is left out, or taken otherwise; "unused": it is of a
    vocabulary that lbgen knows, or meant to be, and nothing came of it; "other": another program's. The value of one
    that was not read is left out: it may be a secret.

    Args:
        kept: why the service has these labels, and not its newest.
        used: beginnings of labels, in lower case, that other services use.
    """
    routes = _routes_by_label(service, parsed)
    # Of a label with a problem and a note the problem counts.
    wrong = {problem.label: problem for problem in sorted(problems, key=lambda each: not each.note) if problem.label}
    newest = kept.newest if kept else {}
    told = []
    for label in sorted({*service.labels, *newest}):
        dialect = dialect_of(label)
        problem = wrong.get(printable(label))
        use, why, value = "read", _newest(service, label, kept), shown(label, service.labels.get(label, ""))
        if problem:
            use, why, value = "note" if problem.note else "problem", problem.message, problem.value
        elif label not in service.labels:
            use = "unused"
        elif label.lower().startswith(tuple(used)):
            pass
        elif not (label in routes or (_is_switch(label) and dialect in context.names)):
            use, why, value = _unread(service, label, dialect, context)
        row = {"label": printable(label, 200), "value": value, "dialect": dialect, "use": use}
        told.append({**row, "routes": routes.get(label, []), "why": why})
    return told


def _routes_by_label(service: Service, parsed: ServiceLabels) -> dict[str, list[str]]:
    """Return the names of the routes that labels take part in."""
    routes: dict[str, list[str]] = {}
    for route in parsed.routes:
        for label in {label for label, _ in route.written.values() if label in service.labels}:
            routes.setdefault(label, []).append(route_name(service.name, route))
    return routes


def _newest(service: Service, label: str, kept: Kept | None) -> str:
    """Say how a label of the newest ones differs from that in force; empty: it does not."""
    if kept is None or not (label in kept.newest or dialect_of(label)):
        return ""
    if label not in service.labels:
        return "is new, and not in force: the previous labels are"
    if label not in kept.newest:
        return "is in force: the newest labels, which are without it, are not"
    return "" if kept.newest[label] == service.labels[label] else "is in force as it was: its newest value is not"


def _is_switch(label: str) -> bool:
    return label == ENABLE or label.lower() in _SWITCHES


def _unread(service: Service, label: str, dialect: str, context: LabelContext) -> tuple[str, str, str]:
    if not dialect:
        meant = meant_by(label, context.names)
        return ("unused", f"is no label that is read; did you mean {meant}?", "") if meant else ("other", "", "")
    if dialect == NATIVE.name and (why := _beside(service, label, context)):
        return "unused", why, ""
    if dialect not in context.names:
        return "unused", f"is of dialect {dialect}, which setting discovery.dialects does not have", ""
    own = read_labels(service, replace(context, names=(dialect,)))
    if own.enabled:
        dropped = any(problem.route not in {route.name for route in own.routes} for problem in own.problems)
        return "unused", "its route is not served" if dropped else "no route of the service uses it", ""
    return "unused", _would_be(service.labels, label) or own.unless, ""


def _beside(service: Service, label: str, context: LabelContext) -> str:
    """Say why a short key does not hold for routes of other dialects; empty: there are none, or it is no such key."""
    others = tuple(name for name in context.names if name != NATIVE.name)
    own = read_labels(service, replace(context, names=others)) if others else None
    if own is None or not own.enabled or native.NAMED.fullmatch(label.removeprefix(PREFIX)) or label == ENABLE:
        return ""
    if not beside.holds(label):
        said = read_labels(service, replace(context, names=(NATIVE.name,))).enabled
        return "" if said else "says which requests are meant, which the labels of the routes say themselves"
    return "the routes' own labels say it" if own.routes else "no route of the service is served"


def _would_be(labels: Mapping[str, str], label: str) -> str:
    """Return the problems that a label of lbgen's would have if the service took part."""
    others = {name: value for name, value in labels.items() if name != ENABLE}
    wrong = native.parse("", others, LabelContext(expose_by_default=True)).problems
    meant = meant_by(label)
    for problem in wrong:
        if problem.label == printable(label):
            return f"{problem.message}; {f'did you mean {meant}?' if meant else problem.remedy}"
    return ""
