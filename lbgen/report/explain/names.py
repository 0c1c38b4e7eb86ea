"""What a service defines for the labels of others, and what of others its own labels use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lbgen.base.problem import is_secret
from lbgen.labels.definitions import Definition, Definitions
from lbgen.labels.route_spec import ServiceLabels
from lbgen.model.own_names import read_labels
from lbgen.report.explain.facts import Facts
from lbgen.report.masking import MASK
from lbgen.snapshot import Service

Rows = list[dict[str, Any]]
_SHOWN = ("middlewares", "services")


def joined_rows(read: ServiceLabels) -> Rows:
    """Return the routes that are those of older services."""
    return [{"protocol": each.protocol, "route": each.name, "service": each.service} for each in read.joined]


def used_rows(service: Service, read: ServiceLabels, definitions: Definitions) -> Rows:
    """Return what the labels name of other services and settings, and what nothing defines."""
    rows = []
    for use in read.uses:
        answer = definitions.answer(use)
        secret = is_secret("", use.reference)  # what stands in a name's place by mistake
        row = {"protocol": use.protocol, "kind": use.kind[:-1], "name": MASK if secret else use.reference}
        if use.kind not in _SHOWN or use.asking != service.own_name:  # others are asked for to be compared
            continue
        if not isinstance(answer, Definition):
            why = "names what nothing defines" if secret else answer[0]
            rows.append(row | {"service": "", "setting": False, "also": [], "why": why})
        elif answer.service != use.asking or answer.also:
            also = [each.service for each in answer.also]
            rows.append(row | {"service": answer.service, "setting": not answer.service, "also": also, "why": ""})
    return rows


def defined_rows(facts: Facts, service: Service, definitions: Definitions) -> Rows:
    """Return what the service defines for others, each with the services whose labels use it."""
    own = definitions.defined.get(service.own_name)
    named = [each for each in own.definitions if each.element.kind in _SHOWN and each.element.options] if own else []
    users = dict(_users(facts, service, {each.element.name for each in named}, definitions)) if named else {}
    rows = []
    for each in named:
        used = sorted(name for name, found in users.items() if each.key in found)
        protocol, kind, name = each.key
        rows.append({"protocol": protocol, "kind": kind[:-1], "name": name, "used_by": used})
    return rows


def _users(
    facts: Facts, service: Service, names: set[str], definitions: Definitions
) -> Iterable[tuple[str, set[tuple[str, str, str]]]]:
    """Yield services whose labels use what this one defines: of those that have one of its names in a value."""
    context = facts.rules.label_context(definitions)
    for other in facts.snapshot.services.values():
        values = " ".join(other.labels.values()).lower()
        if other is service or other.part != service.part or not any(name in values for name in names):
            continue
        found = set()
        for use in read_labels(other, context).uses:
            answer = definitions.answer(use)
            if isinstance(answer, Definition) and service.own_name in (
                answer.service,
                *(e.service for e in answer.also),
            ):
                found.add(answer.key)
        if found:
            yield other.name, found
