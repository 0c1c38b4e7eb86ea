"""What one service's labels say, whose part may have a service of the same name beside another part's.

Labels are read by the name that the service has in its part, which is what they mean by it: a rule made of it stays as
it is, whatever other parts have. What is told of it, and what the proxy is given, is called by the name that is its
alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from lbgen.base.problem import Problem
from lbgen.labels import dialects
from lbgen.labels.context import LabelContext
from lbgen.labels.route_spec import ClosedSpec, Offer, RouteSpec, ServiceLabels
from lbgen.labels.values.users import IN_LABEL
from lbgen.snapshot import Service

Spec = TypeVar("Spec", RouteSpec, ClosedSpec)


def read_labels(service: Service, context: LabelContext) -> ServiceLabels:
    """Return what the labels of a service say, by dialects' `parse`."""
    read = dialects.parse(service.own_name, service.labels, context)
    return _called(read, service) if service.part else read


def _called(read: ServiceLabels, service: Service) -> ServiceLabels:
    return replace(
        read,
        routes=tuple(_with_users(spec, service.part) for spec in read.routes),
        closed=tuple(_with_users(spec, service.part) for spec in read.closed),
        problems=_told(read.problems, service),
        offers=tuple(_offer(each, service) for each in read.offers),
    )


def _with_users(spec: Spec, part: str) -> Spec:
    """Return a route with a list of users that no other part's route has: the names of such lists are one namespace."""
    users, name = spec.users, spec.keys.basic_auth
    if not name.startswith(IN_LABEL):
        return spec
    keys = replace(spec.keys, basic_auth=_of_part(name, part))
    return replace(spec, keys=keys, users=replace(users, name=_of_part(users.name, part)) if users else None)


def _of_part(name: str, part: str) -> str:
    return f"{IN_LABEL}{part}_{name.removeprefix(IN_LABEL)}"  # no part's name has an underscore


def _told(problems: tuple[Problem, ...], service: Service) -> tuple[Problem, ...]:
    if service.name == service.own_name:
        return problems
    return tuple(
        replace(problem, service=service.name) if problem.service == service.own_name else problem
        for problem in problems
    )


def _offer(offer: Offer, service: Service) -> Offer:
    return replace(offer, unused=_told(offer.unused, service), used=_told(offer.used, service))
