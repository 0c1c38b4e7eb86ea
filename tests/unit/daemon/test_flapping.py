"""`daemon.flapping`: labels that change again and again are held; what closes something is not, nor are tasks."""

from __future__ import annotations

import cProfile
import itertools
from dataclasses import replace

import pytest

from lbgen.daemon.flapping import CALM, FIRST_HOLD, FORGET, LONGEST_HOLD, MOST, WINDOW, Flap, Flapping, closes
from lbgen.labels.definitions import Definitions
from lbgen.model import build
from lbgen.snapshot import Service, Snapshot
from tests.support.builders import a_network, a_node, a_rules, a_service, a_snapshot, a_task, lbgen_labels
from tests.support.clock import Clock

RULES = a_rules()


def said(number: int) -> dict[str, str]:
    """Labels of the service after so many changes."""
    return {"lbgen.x": str(number)}


def never(_before: object, _after: object) -> bool:
    return False


def flapped(*moments: float, flap: Flap | None = None) -> Flap:
    """What becomes of a service whose labels change at these moments."""
    flap = flap or Flap(said(0))
    for moment in moments:
        number = int(flap.said["lbgen.x"])
        flap = flap.at(moment).after(said(number + 1), moment, never)
    return flap


@pytest.mark.parametrize(
    ("moments", "served"),
    [
        ((), 0),
        (range(MOST), MOST),
        (range(MOST + 1), MOST),  # the sixth is held
        (range(12), MOST),
        ([WINDOW / MOST * number for number in range(20)], 20),  # five in any minute are taken as they come
        ([0.0] * MOST + [WINDOW], MOST + 1),
        ([0.0] * MOST + [WINDOW - 0.1], MOST),
    ],
)
def test_most(moments, served):
    """More than five changes in a minute are too many: the labels of before stay in force."""
    assert flapped(*map(float, moments)).served == said(served)


@pytest.mark.parametrize(
    ("more", "now", "over"),
    [
        ([6.0], 6.0 + CALM - 0.1, False),
        ([6.0], 6.0 + CALM, True),  # calm
        ([15.0, 25.0, 34.0], 5.0 + FIRST_HOLD - 0.1, False),
        ([15.0, 25.0, 34.0], 5.0 + FIRST_HOLD, True),  # it goes on, but the newest are taken once
    ],
)
def test_over(more, now, over):
    """It is over after a while without a change, and at the latest after the hold; the newest labels count then."""
    flap = flapped(*map(float, range(6)), *more)
    assert (flap.at(now).served == flap.said) is over
    assert (flap.due <= now) is over


def test_holds_grow():
    """A service that goes on is held longer each time, but never for more than five minutes."""
    flap, now, taken = Flap(said(0)), 0.0, []
    for _ in range(4000):
        before, now = flap, now + 1.0
        flap = flapped(now, flap=flap)
        if before.held and flap.served != before.served:
            taken.append(now)
    between = [later - earlier for earlier, later in itertools.pairwise(taken)]
    assert [round(seconds / 10) * 10 for seconds in between[:5]] == [60, 120, 240, 300, 300]
    assert max(between) <= LONGEST_HOLD + 2
    assert len(flap.changes) == MOST + 1


def test_forgotten():
    """After ten calm minutes a service is like any other, and costs no memory."""
    flap = flapped(*map(float, range(6)))
    assert flap.hold > FIRST_HOLD
    flap = flap.at(5.0 + CALM)
    assert flap.at(5.0 + FORGET - 0.1).hold > FIRST_HOLD
    assert flap.at(5.0 + FORGET) == Flap(flap.said)


def keys(**more: object) -> dict[str, str]:
    """The labels of one route, with these keys."""
    return lbgen_labels({"port": 80, "host": "a.org", **{key.replace("_", "-"): value for key, value in more.items()}})


TRAEFIK = {
    "traefik.enable": "true",
    "traefik.http.routers.a.rule": "Host(`a.org`)",
    "traefik.http.services.a.loadbalancer.server.port": "80",
}
ALLOW = {"traefik.http.middlewares.m.ipallowlist.sourcerange": "10.0.0.0/8"}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (keys(), keys(), False),
        (keys(), keys(host="b.org"), False),
        (keys(), keys(rate_limit="1/s"), True),
        (keys(), keys(allow_ip="10.0.0.0/8"), True),
        (keys(), keys(deny_ip="10.0.0.0/8"), True),
        (keys(), keys(basic_auth="staff"), True),
        (keys(), keys(client_ca="staff"), True),
        (keys(allow_ip="10.0.0.0/8"), keys(allow_ip="10.0.0.0/8", basic_auth="staff"), True),
        (keys(allow_ip="10.0.0.0/8"), keys(allow_ip="10.1.0.0/16"), False),
        (keys(allow_ip="10.0.0.0/8"), keys(), False),
        (keys(), keys(allow_ip="nonsense"), True),  # it cannot be honoured, so the route is not served
        (keys(), keys(health_check="nonsense"), False),
        (keys(), keys() | {"lbgen.enable": "false"}, True),
        (keys(), {}, True),
        ({}, keys(), False),
        (keys(), lbgen_labels({"http.b.port": 80, "http.b.host": "a.org", "http.b.allow-ip": "10.0.0.0/8"}), True),
        (TRAEFIK, TRAEFIK | ALLOW, False),  # no router uses it
        (TRAEFIK, TRAEFIK | ALLOW | {"traefik.http.routers.a.middlewares": "m"}, True),
        (TRAEFIK, TRAEFIK | {"traefik.http.routers.a.middlewares": "auth@file"}, True),
        (TRAEFIK, TRAEFIK | {"traefik.http.routers.a.rule": "Host(`b.org`)"}, False),
    ],
)
def test_closes(before, after, expected):
    """A guard that is added, or a service that takes no part any more, is not put off."""
    rules = a_rules(dialects=("lbgen", "traefik"))
    assert closes(a_service("web"), rules, before, after, Definitions()) is expected


# ------------------------------------------------------------------------------------------------ in snapshots


def cluster(weight: int, *addresses: str, keys: dict[str, object] | None = None) -> Snapshot:
    """A service with this weight and a task at each address, beside another one."""
    service = a_service("web", {"port": 80, "host": "a.org", "weight": weight, **(keys or {})}, networks=("edge-id",))
    tasks = [a_task("web", slot, addresses={"edge-id": address}) for slot, address in enumerate(addresses, 1)]
    return a_snapshot(a_node(), a_network(), service, a_service("other"), *tasks)


def web(snapshot: Snapshot) -> Service:
    return next(service for service in snapshot.services.values() if service.name == "web")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def flapping(clock) -> Flapping:
    """One that has seen a service flap: weight 5 is in force, 6 is not."""
    made = Flapping(clock)
    for weight in range(MOST + 2):
        made.damped(cluster(weight), RULES)
    return made


def test_only_labels_are_held(flapping):
    """The service keeps its labels and has today's tasks; others are the very same objects; a problem tells."""
    facts = cluster(9, "10.0.0.1", "10.0.0.2")
    served = flapping.damped(facts, RULES)
    assert web(served).labels == web(cluster(MOST)).labels
    assert replace(web(served), labels=web(facts).labels) == web(facts)
    (other,) = [service for service in facts.services.values() if service.name == "other"]
    assert served.services[other.id] is other
    assert [server.weight for server in build(served, a_rules()).servers] == [MOST, MOST]
    (problem,) = flapping.problems
    assert str(problem).startswith("service web: flapping: its labels have changed more than 5 times in 60 s")
    assert flapping.counters.counts("label_changes_held") == {"": 2}


def test_nothing_is_held(clock):
    """As long as nothing flaps, the snapshot is the very same object."""
    facts = cluster(1)
    assert Flapping(clock).damped(facts, RULES) is facts


def test_newest_labels_when_it_is_over(flapping, clock):
    """When it has been calm for a while, its newest labels are in force, and the history can say why."""
    assert flapping.due() == clock.now + CALM
    clock.now += CALM
    served = flapping.damped(cluster(9), RULES)
    assert web(served).labels == web(cluster(9)).labels
    assert [cause.text for cause in served.causes] == ["service web: flapping is over, its newest labels are in force"]
    assert (flapping.problems, flapping.due()) == ((), None)


def test_a_guard_is_not_put_off(flapping):
    """A guard is in force at once; when it is taken away again, it stays until the service is calm."""
    guarded = web(flapping.damped(cluster(7, keys={"allow-ip": "10.0.0.0/8"}), RULES)).labels
    assert guarded["lbgen.weight"] == "7"
    assert web(flapping.damped(cluster(8), RULES)).labels == guarded


def test_rendered_again(flapping, clock):
    """A snapshot that is rendered again is no change, and does not put the end off."""
    for _ in range(20):
        clock.now += 1.0
        if clock.now < flapping.due():
            assert web(flapping.damped(cluster(MOST + 1), RULES)).labels == web(cluster(MOST)).labels
    assert web(flapping.damped(cluster(MOST + 1), RULES)).labels == web(cluster(MOST + 1)).labels


def test_an_older_snapshot_says_nothing_new(flapping):
    """While the shrink guard holds the newest, the one in force is rendered again: its labels are no change."""
    due = flapping.due()
    flapping.damped(cluster(1), RULES, news=False)
    assert flapping.due() == due
    assert flapping.counters.counts("label_changes_held") == {"": 1}


def test_gone(flapping):
    """A service that is gone is forgotten."""
    flapping.damped(a_snapshot(a_node()), RULES)
    assert (flapping.problems, flapping.due()) == ((), None)
    facts = cluster(1)
    assert flapping.damped(facts, RULES) is facts


def routed_by_traefik(name: str) -> dict[str, str]:
    """Labels of a service that defines a router and a service of this name."""
    return {label.replace(".a.", f".{name}."): value for label, value in TRAEFIK.items()}


PREFIX = {"traefik.http.middlewares.m.addprefix.prefix": "/x"}
OTHERS = [a_service("other0", labels=routed_by_traefik("other0") | PREFIX)]
OTHERS += [a_service(f"other{number}", labels=routed_by_traefik(f"other{number}")) for number in range(1, 210)]


def with_others(number: int, weight: int, middleware: str = "") -> Snapshot:
    """A service of Traefik's labels, and so many others: the first of them defines middleware ``m``."""
    said = {"traefik.http.services.a.loadbalancer.server.weight": str(weight)}
    said |= {"traefik.http.routers.a.middlewares": middleware} if middleware else {}
    return a_snapshot(a_node(), *OTHERS[:number], a_service("web", labels=TRAEFIK | said))


def test_names_that_others_define(clock):
    """What new labels name is looked up among those of all services: this middleware guards nothing, and is put off."""
    flapping, rules = Flapping(clock), a_rules(dialects=("lbgen", "traefik"))
    for weight in range(MOST + 2):
        flapping.damped(with_others(1, weight), rules)
    before = web(with_others(1, MOST)).labels
    assert web(flapping.damped(with_others(1, 9, "m"), rules)).labels == before
    assert web(flapping.damped(with_others(1, 9, "n"), rules)).labels != before  # nothing tells what it is


def work_of_a_change(others: int) -> int:
    """How many functions are called for one more change of a service that flaps: a measure that is the same everywhere.

    Args:
        others: services that do not change.
    """
    flapping, rules = Flapping(), a_rules(dialects=("lbgen", "traefik"))
    for weight in range(MOST + 2):
        flapping.damped(with_others(others, weight), rules)
    profile = cProfile.Profile()
    profile.runcall(flapping.damped, with_others(others, MOST + 3), rules)
    return sum(entry.callcount for entry in profile.getstats())


def test_work_grows_with_what_changes():
    """No other service's labels are read again for it: that would be hundreds of calls for each."""
    few, more = work_of_a_change(others=10), work_of_a_change(others=210)
    assert more - few < 200 * 30
