"""docker-flow-proxy's vocabulary: ``com.df.<parameter>`` and, for several destinations, ``com.df.<parameter>.<index>``.

A destination becomes a route, named by its index. A parameter without index holds for every destination that has none
of its own. One that cannot be honoured is closed, and so is the whole service for a guard that no destination has.

Source: docker-flow-proxy docs/usage.md, docs/swarm-mode-auto.md, proxy/types.go (getServiceDestList);
docker-flow-swarm-listener docs/tutorial.md (``com.df.notify``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from lbgen.base.problem import Problem, printable
from lbgen.labels.context import PLAIN, LabelContext
from lbgen.labels.dockerflow import PREFIX
from lbgen.labels.dockerflow.destination import Destination, is_true
from lbgen.labels.dockerflow.options import OTHERS, guard_of
from lbgen.labels.foreign_options import Element, Written
from lbgen.labels.keys.table import GUARDS, RouteKeys
from lbgen.labels.match import ALWAYS
from lbgen.labels.route_spec import ClosedSpec, ServiceLabels, problem_of
from lbgen.labels.values.value_type import BadValue

_INDEXED = re.compile(r"([a-z]+)(?:\.([1-9][0-9]?))?")
_CERTIFICATES = f"{PREFIX}letsencrypt."  # docker-flow-proxy-letsencrypt's
_JOBS = f"{PREFIX}cron."  # docker-flow-cron's
MOST = 10  # destinations of a service, as in docker-flow-proxy
_NO_PARAMETER = BadValue(
    "is not a parameter", f"write {PREFIX}NAME or {PREFIX}NAME.INDEX, with an index of 1 to {MOST}"
)


def parse(service: str, labels: Mapping[str, str], context: LabelContext = PLAIN) -> ServiceLabels:
    """Read one service's labels. A pure function of its arguments.

    A service takes part if it has the label ``com.df.notify``, as the swarm listener wants it, whatever its value but
    false.
    """
    notify = next((value for label, value in labels.items() if label.lower() == PREFIX + "notify"), None)
    if not (context.expose_by_default if notify is None else is_true(notify, otherwise=True)):
        if notify is not None:
            return ServiceLabels(False, unless=f"label {PREFIX}notify says no")
        return ServiceLabels(False, unless=f"label {PREFIX}notify=true is missing", missing=f"{PREFIX}notify")
    destinations, stray, closed = _destinations(service, labels)
    routes, problems = [], list(stray)
    for name, element in destinations.items():
        last = name == list(destinations)[-1]  # there is one default backend, the last that asks to be it
        made, refused, told = Destination.of(service, name, element, context.ports, last=last).routes()
        routes += made
        closed += refused
        problems += told
    return ServiceLabels(True, tuple(routes), tuple(sorted(set(problems))), closed=tuple(closed))


def _destinations(
    service: str, labels: Mapping[str, str]
) -> tuple[dict[str, Element], list[Problem], list[ClosedSpec]]:
    """Sort the labels by destination: without an index there is one, which has no name.

    Also returned are what is wrong with those of none, and what these close.
    """
    said: dict[str, dict[str, Written]] = {}  # by index
    others: list[str] = []
    stray: list[Problem] = []
    closed: list[ClosedSpec] = []
    for label, value in sorted(labels.items()):
        parameter = label.lower().removeprefix(PREFIX)
        if not label.lower().startswith(PREFIX) or parameter == "notify":
            continue
        parts = _INDEXED.fullmatch(parameter)
        if label.lower().startswith(_CERTIFICATES):
            bad = BadValue("is left out: certificates are files here", "put one where setting certificates says")
            stray.append(problem_of(service, label, value, bad))
        elif label.lower().startswith(_JOBS):
            others.append(label)
        elif not parts or int(parts[2] or 1) > MOST:
            stray.append(problem_of(service, label, "", _NO_PARAMETER))
            closed += _of_no_destination(parameter)
        elif parts[1] in OTHERS:
            others.append(label)
        else:
            first = said.setdefault(parts[2] or "", {}).setdefault(parts[1], Written(label, value))
            if first.label != label:
                bad = BadValue(f"says again what label {first.label} says", "remove one of the two")
                stray.append(problem_of(service, label, value, bad))
                closed += _of_no_destination(parameter)
    return _by_index(said), stray + _left_to_others(service, labels, others), closed


def _by_index(said: dict[str, dict[str, Written]]) -> dict[str, Element]:
    """Return the destinations by index: what stands without one holds for each, or is the only one."""
    common = said.pop("", {})
    ordered = sorted(said.items(), key=lambda item: int(item[0])) or [("", {})]
    return {index: Element("http", "destination", index, {**common, **own}) for index, own in ordered}


def _left_to_others(service: str, labels: Mapping[str, str], others: list[str]) -> list[Problem]:
    """Return a note on the labels that docker-flow-proxy's companions read."""
    if not others:
        return []
    more = f", like {len(others) - 1} more" if others[1:] else ""
    message = f"is left out{more}: a companion of docker-flow-proxy's reads it"
    return [problem_of(service, others[0], labels[others[0]], BadValue(message, "leave it to them"))]


def _of_no_destination(parameter: str) -> Iterator[ClosedSpec]:
    """Yield what a parameter closes that may be anybody's: the service, if it guards."""
    name, *index = parameter.split(".", 1)
    if guard := guard_of(name):
        origin = f"destination {printable(index[0])}" if index else ""
        broken, lost = frozenset({"rule"}), frozenset({guard})
        yield ClosedSpec("http", "", RouteKeys(), ALWAYS, broken | (lost & GUARDS), "dockerflow", origin, lost - GUARDS)
