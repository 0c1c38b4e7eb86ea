"""Services by the names that other services' labels have for them, and what their own labels say of them.

Such a service need not take part otherwise: its short labels say where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lbgen.labels.keys.table import KEYS, PREFIX
from lbgen.labels.route_spec import sound
from lbgen.labels.values.value_type import BadValue
from lbgen.snapshot import Service, moment


def services_by_name(services: Iterable[Service]) -> dict[str, Service]:
    """Return services by name; of several of one name, which only a file can have, the oldest."""
    oldest_last = sorted(services, key=lambda service: (moment(service.created_at), service.id), reverse=True)
    return {service.name: service for service in oldest_last}


def services_by_own_name(services: Iterable[Service]) -> dict[str, Service]:
    """Return a part's services as `services_by_name` does, by the names that labels in it have for them."""
    oldest_last = sorted(services, key=lambda service: (moment(service.created_at), service.id), reverse=True)
    return {service.own_name: service for service in oldest_last}


def named_service(services: Mapping[str, Service], name: str, stack: str) -> Service | None:
    """Return the service that a label means: of the asking service's own stack first, as Docker's own names are.

    Args:
        stack: of the service whose label it is; empty: it is of none.
    """
    return (services.get(f"{stack}_{name}") if stack else None) or services.get(name)


def own_keys(service: Service, fields: Iterable[str]) -> dict[str, object]:
    """Return those of these fields of `RouteKeys` that the service's short labels have.

    Raises:
        BadValue: one of the labels cannot be read.
    """
    own: dict[str, object] = {}
    for field in fields:
        label = PREFIX + KEYS[field].name
        if label in service.labels:
            try:
                own[field] = KEYS[field].parse(sound(service.labels[label]))
            except BadValue as bad:
                raise BadValue(f"its label {label} {bad.message}", bad.remedy) from bad
    return own
