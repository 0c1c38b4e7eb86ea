"""What becomes of each router of the public stacks: with Traefik itself, as the oracle tells it, and with lbgen.

tests/real_life/verdicts/traefik.yml has what Traefik says, tests/real_life/verdicts/lbgen.yml what lbgen does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from lbgen.base.problem import Problem
from lbgen.model import Model, build
from lbgen.report.expected import Expected
from lbgen.report.limits import limits
from lbgen.report.lint import Report, lint_report
from lbgen.snapshot import Service, Task
from tests.support.builders import Fact, a_snapshot
from tests.support.paths import TESTS
from tests.support.provider_oracle import Oracle
from tests.support.public_stacks import NAMESPACE, STACKS, Router, Stack
from tests.support.running import PROXIES

RECORDED = TESTS / "real_life" / "verdicts" / "traefik.yml"
ANSWERS = TESTS / "real_life" / "verdicts" / "lbgen.yml"
SERVED, INTERNAL = "served", "Traefik's own"
_ELEMENT = re.compile(r"traefik\.(?:http|tcp|udp)\.(?:routers|services|middlewares)\.([^.]+)\.", re.IGNORECASE)
_OWN = re.compile(r"(?:api|dashboard|rest|ping|prometheus|acme-http)@internal", re.IGNORECASE)
# What differs from one message to the next that says the same.
_VALUE = re.compile(
    r"(\b(?:middleware|network|login service|listener|user) )(?!is |of |has )[\w.@-]+"
    r"|'[^']*'|\"[^\"]*\"|`[^`]*`|\([^()]*\)"
)
BEGIN, END = "<!-- public stacks: begin -->", "<!-- public stacks: end -->"


def groups(stacks: Iterable[Stack]) -> Iterator[list[Stack]]:
    """Yield stacks that have no name in common, of an element or a reference: Traefik may have them at once."""
    found: list[tuple[list[Stack], set[str]]] = []
    for stack in stacks:
        names = set(_names(stack))
        group = next((group for group in found if group[1].isdisjoint(names)), None)
        if group is None:
            found.append(([stack], names))
        else:
            group[0].append(stack)
            group[1].update(names)
    yield from (group for group, _ in found)


def _names(stack: Stack) -> Iterator[str]:
    for label, value in stack.labels:
        if named := _ELEMENT.match(label):
            yield named[1].lower()
            if label.lower().endswith((".middlewares", ".service")):
                yield from (name.strip().partition("@")[0].lower() for name in value.split(","))
    for kinds in stack.document.get("file", {}).values():
        yield from (name.lower() for elements in kinds.values() for name in elements)


def asked(oracle: Oracle, stacks: list[Stack], users: str) -> dict[str, dict[str, str]]:
    """Return what Traefik says of each router of stacks: `SERVED`, `INTERNAL`, or why it is not served.

    Args:
        users: a file of users, which stands for those that stacks have in their containers.
    """
    facts: list[Fact] = []
    file: dict[str, dict[str, dict[str, Any]]] = {}
    for number, stack in enumerate(stacks):
        facts += (_as_deployed(fact, f"{NAMESPACE}{number}", users) for fact in stack.facts)
        for protocol, kinds in stack.document.get("file", {}).items():
            for kind, elements in kinds.items():
                file.setdefault(protocol, {}).setdefault(kind, {}).update(_with_users(elements, users))
    oracle.follow(a_snapshot(*facts), file)
    kinds_of = {protocol: oracle.elements(protocol, "routers") for protocol in ("http", "tcp", "udp")}
    return {stack.name: dict(_verdicts(stack, number, kinds_of)) for number, stack in enumerate(stacks)}


def _as_deployed(fact: Fact, namespace: str, users: str) -> Fact:
    """Give services of several stacks names of their own; and ``NAME@docker`` is what ``NAME@swarm`` is there."""
    if isinstance(fact, Service):
        labels = {label: value.replace("@docker", "@swarm") for label, value in fact.labels.items()}
        labels |= {label: users for label in labels if label.lower().endswith("auth.usersfile")}
        return replace(fact, id=f"{namespace}-{fact.id}", name=_renamed(fact.name, namespace), labels=labels)
    if isinstance(fact, Task):
        return replace(fact, id=f"{namespace}-{fact.id}", service_id=f"{namespace}-{fact.service_id}")
    return fact


def _renamed(service: str, namespace: str) -> str:
    return namespace + service.removeprefix(NAMESPACE)


def _with_users(element: Any, users: str) -> Any:
    if isinstance(element, Mapping):
        return {key: users if key == "usersFile" else _with_users(value, users) for key, value in element.items()}
    return element


def _verdicts(stack: Stack, number: int, found: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for router in stack.routers():
        listed = {name.lower(): said for name, said in found[router.protocol].items()}
        yield str(router), _verdict(listed.get(f"{router.name.lower()}@swarm"))
    for service in stack.without_routers():
        name = "-".join(re.findall(r"[^\W_]+", _renamed(service, f"{NAMESPACE}{number}")))
        if said := found["http"].get(f"{name}@swarm"):
            yield str(Router("http", "", service)), _verdict(said)


def _verdict(said: Mapping[str, Any] | None) -> str:
    if said is None:
        return "its provider does not take it"
    if _OWN.fullmatch(said["service"]):
        return INTERNAL
    return SERVED if said["status"] == "enabled" else str(said["error"][0])[:200]


@dataclass(frozen=True)
class Answer:
    """What lbgen makes of a stack."""

    model: Model
    reports: Mapping[str, Report]  # lint's, by proxy

    @classmethod
    def of(cls, stack: Stack) -> Answer:
        """Ask lint for all proxies."""
        settings = stack.settings(PROXIES[0])
        snapshot, rules = a_snapshot(*stack.facts), settings.rules()
        model = build(snapshot, rules)
        told = {proxy: tuple(limits(model, snapshot, "edge", proxy)) for proxy in PROXIES}
        expected = Expected((), some=False)
        return cls(model, {name: lint_report(snapshot, model, told[name], expected, rules) for name in PROXIES})

    def routers(self, stack: Stack) -> dict[str, str]:
        """Return what becomes of each router: `SERVED`, or the problem that keeps it from being served."""
        routes = {route.name for route in self.model.routes}
        found: dict[str, str] = {}
        default = [Router("http", "", service) for service in stack.without_routers()]
        for router in [*stack.routers(), *default]:
            served = not {f"{router.service}.{router.protocol}.{router.name.lower()}", router.service}.isdisjoint(
                routes
            )
            if found.get(str(router)) != SERVED:  # of several services with it one is enough
                found[str(router)] = SERVED if served else self._reason(router)
        return found

    def destinations(self) -> dict[str, str]:
        """Return the routes that are served, and what keeps others from being served."""
        closed = {closed.name for closed in self.model.closed}
        found = {route.name: SERVED for route in self.model.routes if route.name not in closed}
        for problem in self.model.problems:
            if not _is_note(problem):
                found.setdefault(f"{problem.service} {problem.route}".strip(), problem.what)
        return found

    def _reason(self, router: Router) -> str:
        """Return the problem that keeps a router from being served; one that names it goes first."""
        own = [problem for problem in self.model.problems if problem.service == router.service]
        name = f".routers.{router.name}.".lower()
        ranked = sorted(
            (problem.route.lower() != router.name.lower(), name not in problem.label.lower(), number)
            for number, problem in enumerate(own)
            if not _is_note(problem)
        )
        return own[ranked[0][-1]].what if ranked else ""


def _is_note(problem: Problem) -> bool:
    return problem.message.startswith(("is left out", "is taken", "belongs to", "is not a label that routes"))


def share(traefik: Mapping[str, Mapping[str, str]], lbgen: Mapping[str, Mapping[str, str]]) -> tuple[int, int]:
    """Return how many of the routers that Traefik serves lbgen serves, and how many these are."""
    counted = [
        lbgen[stack][router] == SERVED
        for stack, routers in traefik.items()
        for router, verdict in routers.items()
        if verdict == SERVED
    ]
    return sum(counted), len(counted)


def reasons(traefik: Mapping[str, Mapping[str, str]], lbgen: Mapping[str, Mapping[str, str]]) -> Counter[str]:
    """Count why routers are not served that Traefik serves, without the remedies and values in the reasons."""
    return Counter(
        _VALUE.sub(r"\1...", lbgen[stack][router].partition(";")[0])
        for stack, routers in traefik.items()
        for router, verdict in routers.items()
        if verdict == SERVED != lbgen[stack][router]
    )


def table(traefik: Mapping[str, Mapping[str, str]], lbgen: Mapping[str, Mapping[str, str]]) -> str:
    """Return what docs/migration.md says of public stacks."""
    served, all_of_them = share(traefik, lbgen)
    verdicts = Counter(verdict for routers in traefik.values() for verdict in routers.values())
    stacks = sum(SERVED in routers.values() for routers in traefik.values())
    rows = sorted(reasons(traefik, lbgen).items(), key=lambda row: (-row[1], row[0]))
    lines = [
        f"Of {all_of_them} routers that Traefik serves in {stacks} stacks, lbgen serves {served}: "
        f"{served / all_of_them:.1%}.",
        f"Another {verdicts[INTERNAL]} lead to what is Traefik's own, mostly its dashboard, which goes with it.",
        *(["", "| why not | routers |", "| --- | --- |"] if rows else []),
        *(f"| {why} | {count} |" for why, count in rows),
    ]
    return "\n".join(lines)


def recorded() -> dict[str, dict[str, str]]:
    """Return what Traefik said when it was last asked."""
    found: dict[str, dict[str, str]] = yaml.safe_load(RECORDED.read_text())
    return found


def answers() -> dict[str, dict[str, str]]:
    """Return what lbgen makes of all stacks."""
    return {
        stack.name: answer.routers(stack) if stack.dialect == "traefik" else answer.destinations()
        for stack in STACKS
        for answer in [Answer.of(stack)]
    }
