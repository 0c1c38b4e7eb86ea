"""`daemon.kept_labels`: with a mistake in new labels the previous ones stay in force, but for a guard that is added."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from lbgen.daemon.kept_labels import AGAIN, KeptLabels
from lbgen.daemon.label_store import FILE, LabelStore, Served
from lbgen.labels.keys.table import KEYS
from lbgen.model import Builder, Model
from lbgen.proxies.output_lock import OutputLock
from lbgen.snapshot import Cause, Service, Snapshot
from tests.support.builders import (
    a_listener,
    a_network,
    a_node,
    a_rules,
    a_service,
    a_snapshot,
    a_task,
    ingress,
    lbgen_labels,
)
from tests.support.clock import Clock
from tests.support.passwords import HASH

Labels = dict[str, str]
DIALECTS = ("lbgen", "traefik", "dockerflow")
RULES = a_rules(a_listener("web"), a_listener("pg", 5432, "tcp"), dialects=DIALECTS, default_listeners=("web",))
TEN, ELEVEN = "10.0.0.0/8", "11.0.0.0/8"


def keys(values: Mapping[str, object] | None = None, /, **more: object) -> Labels:
    """The labels of the route for a.org."""
    named = {key.replace("_", "-"): value for key, value in more.items()}
    return lbgen_labels({"port": 80, **(values or {}), **named})


def two(open_: Mapping[str, object] | None = None, admin: Mapping[str, object] | None = None) -> Labels:
    """The labels of an open route for a.org, and of one for its /admin."""
    routes = {"open": {"host": "a.org", **(open_ or {})}}
    if admin is not None:
        routes["admin"] = {"host": "a.org", "path": "/admin", **admin}
    return keys({f"http.{name}.{key}": value for name, own in routes.items() for key, value in own.items()})


def router(**options: str) -> Labels:
    """The labels of a router of Traefik's."""
    return {
        "traefik.enable": "true",
        "traefik.http.routers.r.rule": "Host(`a.org`)",
        "traefik.http.services.s.loadbalancer.server.port": "80",
        **{f"traefik.http.routers.r.{option}": value for option, value in options.items()},
    }


ALLOW = {"allow-ip": TEN}
OLD = {"host": "b.org", "weight": "x"}


def allowing(networks: str, option: str = "sourcerange") -> Labels:
    """The labels of Traefik's middleware m, which lets in these networks."""
    return {f"traefik.http.middlewares.m.ipallowlist.{option}": networks}


def having(users: str) -> Labels:
    """The labels of Traefik's middleware m, which lets in these users."""
    return {"traefik.http.middlewares.m.basicauth.users": users}


ALLOWED = router(middlewares="m") | allowing(TEN)
USERS = router(middlewares="m") | having(f"bob:{HASH}")
FLOW = {"com.df.notify": "true", "com.df.serviceDomain": "b.org", "com.df.port": "80"}
HASHED = {"com.df.usersPassEncrypted": "true"}
GOOD = keys(host="a.org")


class Site:
    """One service, a task of its and another service, as the loop would have them served."""

    def __init__(self, labels: Labels, store: LabelStore | None = None, **facts: Any) -> None:
        self.clock, self.store = Clock(1_795_341_600.0), store
        self.labels: Labels = labels
        self.facts = {"networks": ("edge-id",), **facts}
        self.causes: tuple[Cause, ...] = ()
        self.address = "10.0.0.1"
        self.restart()
        self.model = self.round()

    def restart(self) -> None:
        """Forget all that is not on disk."""
        self.kept, self.builder = KeptLabels(self.store, lambda: self.clock.now), Builder(RULES)

    def snapshot(self) -> Snapshot:
        task = a_task("web", addresses={"edge-id": self.address})
        service = a_service("web", None, labels=self.labels, **self.facts)
        facts = a_snapshot(a_node(), a_network(), service, a_service("other"), task)
        return replace(facts, causes=self.causes)

    def round(self, snapshot: Snapshot | None = None) -> Model:
        """One round of the loop."""
        served = self.kept.whole(snapshot or self.snapshot(), self.builder.rules)
        model = self.builder.build(served)
        self.kept.accept(served, self.builder)
        self.kept.save()
        self.served: Service = served.services[self.facts.get("id", "web-id")]
        return model

    def says(self, labels: Labels, **facts: Any) -> bool:
        """Change the labels; return whether the previous ones stay in force."""
        before, self.labels = self.served.labels, labels
        self.facts |= facts
        self.model = self.round()
        kept = self.served.labels != labels
        assert self.served.labels == (before if kept else labels)
        assert ("web" in self.kept.kept) is kept
        return kept

    @property
    def routed(self) -> set[str]:
        """The routes that the service has."""
        return {route.name for route in self.model.routes if route.service == "web"}


KEPT: dict[str, tuple[Labels, Labels]] = {
    "bad value": (GOOD, keys(host="a.org", weight="heavy")),
    "bad value of what is matched": (GOOD, keys(host="a_org/")),
    "unknown key": (GOOD, GOOD | {"lbgen.hots": "b.org"}),
    "unknown key like no other": (GOOD, GOOD | {"lbgen.qqqqq": "1"}),
    "no route's name": (GOOD, {**GOOD, "lbgen.http.A B.host": "a.org"}),
    "enable=ture": (GOOD, GOOD | {"lbgen.enable": "ture"}),
    "nothing readable": (two(), keys({"http.open.hots": "a.org"})),
    "renamed with a mistake": (two(), keys({"http.opened.hots": "a.org"})),
    "too many labels": (GOOD, GOOD | {f"lbgen.header.x-{number}": "1" for number in range(1000)}),
    "multiplied out": (GOOD, GOOD | {"lbgen.path-regex": ",".join(f"/{number}.*" for number in range(11))}),
    "no such listener": (GOOD, keys(host="a.org", listener="wbe")),
    "no such network": (GOOD, keys(host="a.org", network="egde")),
    "no such port": (GOOD, keys(host="a.org", via="mesh")),
    "one of two routes": (two({}, {}), two({}, {"weight": "heavy"})),
    "a new route in the way": (two(), two({}, {"weight": "heavy"})),
    "a guard's bad value": (keys(host="a.org", allow_ip=TEN), keys(host="a.org", allow_ip="10.0.0.0/33")),
    "a guard's key misspelt": (keys(host="a.org", allow_ip=TEN), keys(host="a.org", alow_ip=TEN)),
    "a guarded route's bad path": (two({}, {"allow-ip": TEN}), two({}, {"allow-ip": TEN, "path": "admin"})),
    "a guard is taken away, with a mistake": (two({}, {"allow-ip": TEN}), two({"weight": "x"}, {})),
    "a closed guard is mended, with a mistake": (two({}, {"allow-ip": "x"}), two({"weight": "x"}, {"allow-ip": "x"})),
    "a group": (keys(host="a.org", group="g"), keys(host="a.org", group="g", weight="heavy")),
    "a group's name": (keys(host="a.org", group="g"), keys(host="a.org", group="g h")),
    "tcp": (keys({"tcp.pg.listener": "pg"}), keys({"tcp.pg.listener": "pg", "tcp.pg.snii": "a.org"})),
    "Traefik's rule": (router(), router(rule="Hots(`a.org`)")),
    "Traefik's network": (ALLOWED, router(middlewares="m") | allowing("10.0.0.0/33")),
    "Traefik's option": (ALLOWED, router(middlewares="m") | allowing(TEN, "sourcerang")),
    "Traefik's users": (USERS, router(middlewares="m") | having("bob")),
    "Traefik's rule of a guarded router": (USERS, USERS | router(rule="Hots(`a.org`)", middlewares="m")),
    "Traefik takes nothing of it": (ALLOWED, ALLOWED | {"traefik.http.routers": "1"}),
    "Traefik's service": (router(), router(service="none")),
    "Traefik's enable": (router(), router() | {"traefik.enable": "ture"}),
    "a short key beside Traefik's": (router(), router() | {"lbgen.via": "mash"}),
    "a short guard beside Traefik's": (
        router() | {"lbgen.allow-ip": TEN},
        router() | {"lbgen.allow-ip": "10.0.0.0/33"},
    ),
    "docker-flow's port": (FLOW, FLOW | {"com.df.port": "x"}),
    "docker-flow's users": (FLOW | {"com.df.users": f"bob:{HASH}"} | HASHED, FLOW | HASHED | {"com.df.users": "bob"}),
    "one of two dialects": (GOOD | FLOW, GOOD | FLOW | {"lbgen.hots": "x"}),
}
IN_FORCE: dict[str, tuple[Labels, Labels]] = {
    "other good ones": (GOOD, keys(host="b.org")),
    "a mended route": (keys(host="a.org", weight="heavy"), GOOD),
    "never served": (keys(host="a.org", weight="heavy"), keys(host="a.org", weight="heavier")),
    "enable=false": (GOOD, GOOD | {"lbgen.enable": "false"}),
    "enable=false and a mistake": (GOOD, GOOD | {"lbgen.enable": "false", "lbgen.hots": "x"}),
    "no labels": (GOOD, {}),
    "a route is removed": (two({}, {}), two()),
    "a new route elsewhere with a mistake": (two(), two({}, {"host": "b.org", "weight": "heavy"})),
    "a new route beside with a mistake": (two({"path": "/a"}), two({"path": "/a"}, {"weight": "heavy"})),
    "an old mistake": (two({}, OLD), two({"priority": 7}, OLD)),
    "an old mistake in the way, and one elsewhere": (
        two({}, {"weight": "x"}),
        two({}, {"weight": "x"}) | {"lbgen.http.more.host": "b.org", "lbgen.http.more.weight": "x"},
    ),
    "a new route of which nothing can be read": (two(), two() | {"lbgen.http.more.rul": "Host(`b.org`)"}),
    "a guard's bad value is added": (GOOD, keys(host="a.org", allow_ip="10.0.0.0/33")),
    "a guard's key is misspelt": (GOOD, keys(host="a.org", alow_ip=TEN)),
    "a new route with a guard that is none": (two(), two({}, {"allow-ip": "10.0.0.0/33"})),
    "a good guard is added, with a mistake": (GOOD, keys(host="a.org", allow_ip=TEN, weight="heavy")),
    "a good guard on a new route, with a mistake": (two(), two({"weight": "heavy"}, {"allow-ip": TEN})),
    "another guard, with a mistake": (two({}, {"allow-ip": TEN}), two({"weight": "x"}, {"allow-ip": ELEVEN})),
    "a guard moves, with a mistake": (two({}, ALLOW), two({"weight": "x"}, {**ALLOW, "path": "/b"})),
    "Traefik's middleware of a file is added": (router(), router(middlewares="auth@file")),
    "a short guard beside Traefik's is added": (router(), router() | {"lbgen.allow-ip": "10.0.0.0/33"}),
    "Traefik's network is none": (router(), router(middlewares="m") | allowing("10.0.0.0/33")),
    "Traefik takes nothing of it, and a guard is added": (
        router(),
        router(middlewares="auth@file") | {"traefik.http.routers": "1"},
    ),
    "other passwords, with a mistake": (USERS, router(rule="Hots(`a.org`)", middlewares="m") | having(f"ann:{HASH}")),
    "docker-flow's other passwords, with a mistake": (
        FLOW | HASHED | {"com.df.users": f"bob:{HASH}"},
        FLOW | HASHED | {"com.df.users": f"ann:{HASH}", "com.df.port": "x"},
    ),
    "docker-flow's denial is added, with a mistake": (FLOW, FLOW | {"com.df.deniedMethods": "PUT", "com.df.port": "x"}),
    "docker-flow's users are none": (FLOW, FLOW | {"com.df.users": "bob"}),
    "a second guard is none": (keys(host="a.org", allow_ip=TEN), keys(host="a.org", allow_ip=TEN, deny_ip="x")),
}


@pytest.mark.parametrize("name", KEPT)
def test_kept(name):
    """A mistake that would close what is served leaves the previous labels in force, and a problem tells."""
    before, after = KEPT[name]
    site = Site(before)
    routed = site.routed
    assert routed
    assert site.says(after)
    assert site.routed == routed
    assert site.kept.problems
    assert all(
        "previous labels stay in force, since 2026-11-22 10:00:00 UTC" in str(each) for each in site.kept.problems
    )


@pytest.mark.parametrize("name", IN_FORCE)
def test_in_force(name):
    """What is no mistake, or guards more, is in force at once."""
    before, after = IN_FORCE[name]
    site = Site(before)
    assert not site.says(after)
    assert site.kept.problems == ()


@pytest.mark.parametrize("field", [name for name, row in KEYS.items() if "http" in row.protocols])
def test_every_key(field):
    """A value that no key may have leaves the previous labels in force, but for a guard that was not there before."""
    row = KEYS[field]
    label = f"lbgen.{row.family}{row.member}" if row.family else f"lbgen.{row.name}"
    site = Site(GOOD)
    assert site.says(GOOD | {label: "\x01"}) is not row.guard
    assert site.routed == (set() if row.guard else {"web"})
    site = Site(GOOD | {label: row.sample})
    if site.routed:
        assert site.says(GOOD | {label: "\x01"})


def test_problem():
    """It is that of the new labels, with its remedy, and it says since when; it stays the same."""
    site = Site(GOOD)
    assert site.says(GOOD | {"lbgen.hots": "b.org"})
    (problem,) = site.kept.problems
    assert str(problem) == (
        "service web, label lbgen.hots='b.org': unknown key (the service's previous labels stay in force, since "
        "2026-11-22 10:00:00 UTC); did you mean host?"
    )
    site.clock.now += 100
    site.round()
    assert site.kept.problems == (problem,)
    assert site.says(GOOD | {"lbgen.prot": "80"})
    (other,) = site.kept.problems
    assert "since 2026-11-22 10:00:00 UTC" in str(other)
    assert "lbgen.prot" in str(other)


def test_tasks_are_followed():
    """Servers are today's; labels of other programs, and all other services, are the ones in the snapshot."""
    site = Site(GOOD | {"my.label": "1"})
    other = a_service("other")
    site.labels = GOOD | {"lbgen.hots": "x", "my.label": "2"}
    site.address = "10.0.0.2"
    facts = site.snapshot()
    facts = replace(facts, services={**facts.services, "other-id": other})
    served = site.kept.whole(facts, RULES)
    assert served.services["other-id"] is other
    assert served.services["web-id"].labels == GOOD | {"my.label": "2"}
    assert [server.address for server in site.round(facts).servers] == ["10.0.0.2"]


@pytest.mark.parametrize(
    ("mended", "kept"),
    [(GOOD, False), (keys(host="b.org"), False), ({}, False), (keys(host="a.org", weight="x"), True)],
)
def test_mended(mended, kept):
    """Labels that are mended, changed to other good ones or removed are in force at once."""
    site = Site(GOOD)
    assert site.says(GOOD | {"lbgen.hots": "x"})
    assert site.says(mended) is kept


def test_facts_mend_them():
    """What was a mistake because of a network that the service lacks is none when the service has it."""
    site = Site(GOOD)
    wanted = keys(host="a.org", network="edge", via="mesh")
    assert site.says(wanted)
    assert not site.says(wanted, ports=(ingress(80, 8080),))
    assert site.routed == {"web"}


@pytest.mark.parametrize(
    ("good", "facts"),
    [
        (keys(host="a.org", via="mesh"), {"ports": ()}),  # the port is gone
        (GOOD, {"networks": ()}),  # the network is gone
    ],
)
def test_previous_ones_no_longer_fit(good, facts):
    """Where the previous labels do not find what was served any more, the new ones are in force."""
    site = Site(good, ports=(ingress(80, 8080),))
    broken = good | {"lbgen.hots": "x"}
    assert site.says(broken)
    assert not site.says(broken, **{"ports": (), **facts})
    assert site.routed == set()


def test_guards_add_up_over_labels_that_are_closed():
    """What closes a service is what the next labels are compared with, not what was open before."""
    site = Site(two({}, {}))
    closed = two({}, {"allow-ip": "x"})
    assert not site.says(closed)
    assert site.routed == {"web.http.open"}
    assert site.says(two({"weight": "heavy"}, {}))
    assert site.served.labels == closed


def test_gone_and_back():
    """A service that is removed is forgotten; another of its name begins anew."""
    site = Site(GOOD)
    facts = site.snapshot()
    site.round(replace(facts, services={**facts.services, "web-id": a_service("gone")}))
    assert not site.says(GOOD | {"lbgen.hots": "x"})


def test_history():
    """It has an entry when labels are kept and when they are in force again, with the change as its cause."""
    site = Site(GOOD)
    site.causes = (Cause("service web: labels changed", 7.0), Cause("service other: new", 8.0))
    site.says(GOOD | {"lbgen.hots": "x"})
    site.round()
    site.clock.now += 5
    site.says(GOOD)
    kept, again = site.kept.changes
    assert kept.detail == "service web: its previous labels stay in force: a mistake in its new ones would close it"
    assert again.detail == "service web: its newest labels are in force"
    assert (again.at - kept.at, kept.method) == (5, "labels")
    assert [cause.text for cause in kept.causes] == ["service web: labels changed"]


# ------------------------------------------------------------------------------------------------ over a restart


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def lock(output: Path) -> Iterator[OutputLock]:
    made = OutputLock(output)
    made.take()
    yield made
    made.release()


@pytest.mark.parametrize("name", KEPT)
def test_restart(name, lock):
    """Labels that are damaged while no lbgen runs, or a restart later, do no harm; since when is remembered."""
    before, after = KEPT[name]
    site = Site(before, LabelStore([lock]))
    routed, site.store = site.routed, LabelStore([lock])
    site.restart()
    assert site.says(after)
    assert site.routed == routed
    told = site.kept.problems
    site.clock.now += 1000
    site.store = LabelStore([lock])
    site.restart()
    site.model = site.round()
    assert (site.routed, site.kept.problems) == (routed, told)


@pytest.mark.parametrize("name", IN_FORCE)
def test_restart_in_force(name, lock):
    """What is in force at once is so after a restart too."""
    before, after = IN_FORCE[name]
    site = Site(before, LabelStore([lock]))
    site.store = LabelStore([lock])
    site.restart()
    assert not site.says(after)


def test_another_id(lock):
    """A stack that is removed and deployed again has services with other ids: they are known by their names."""
    site = Site(GOOD, LabelStore([lock]))
    site.facts |= {"id": "new-id"}
    site.restart()
    assert not site.says(keys(host="b.org"))


def test_file(lock, output):
    """Nobody else may read it; it has the labels that lbgen reads, and is written only when something changes."""
    site = Site(GOOD | {"my.secret": "hidden"}, LabelStore([lock]))
    file = output / FILE
    written = file.stat()
    assert stat.S_IMODE(written.st_mode) == 0o600
    assert "a.org" in file.read_text()
    assert "hidden" not in file.read_text()
    site.address = "10.0.0.9"
    site.round()
    assert file.stat().st_ino == written.st_ino
    site.says(keys(host="b.org"))
    assert file.stat().st_ino != written.st_ino
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {path.name for path in output.iterdir()} == {FILE, ".lbgen-lock"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 2}',
        '{"version": 1, "at": 1, "services": {"web": 1}}',
        "\xff",
        '{"version": 1, "at": "x"}',
    ],
)
def test_broken_file(text, lock, output):
    """A file that cannot be used is told of and ignored, and written anew."""
    (output / FILE).write_text(text, encoding="latin-1")
    with capture_logs() as logs:
        site = Site(GOOD, LabelStore([lock]))
    assert [entry["event"] for entry in logs] == ["labels_unread"]
    assert site.routed == {"web"}
    assert LabelStore([lock]).read()["web"].labels == GOOD


def test_full_disk(lock, output, monkeypatch):
    """What cannot be written is told once, costs nothing else, and is written as soon as that is possible."""

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(os, "fsync", full)
        site = Site(GOOD, LabelStore([lock]))
        site.round()
        assert site.says(GOOD | {"lbgen.hots": "x"})
    assert [entry["event"] for entry in logs] == ["labels_unwritten"]
    assert [path.name for path in output.iterdir()] == [".lbgen-lock"]
    site.round()
    assert LabelStore([lock]).read()["web"].kept_since == site.clock.now


def test_due(lock, monkeypatch):
    """The loop has another round for what could not be written, though nothing changes."""
    clock = Clock()
    store = LabelStore([lock])
    kept = KeptLabels(store, loop_clock=clock)
    monkeypatch.setattr(store, "write", lambda served: LabelStore.write(store, {"web": Served({}, (), None), **served}))
    assert kept.due() is None
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda _handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        kept.save()
    assert kept.due() == clock() + AGAIN
    kept.save()
    assert kept.due() is None


def test_removed_file(lock, output):
    """A file that somebody removes is written again in the next round."""
    site = Site(GOOD, LabelStore([lock]))
    (output / FILE).unlink()
    site.round()
    assert LabelStore([lock]).read()["web"].labels == GOOD


def test_hub_without_targets(tmp_path):
    """A hub keeps them in its state, for itself alone: edges get the labels in force after a restart, too."""
    state = tmp_path / "state" / "hub"
    site = Site(GOOD, LabelStore([], state))
    assert stat.S_IMODE((state / FILE).stat().st_mode) == 0o600
    routed, site.store = site.routed, LabelStore([], state)
    site.restart()
    assert site.says(GOOD | {"lbgen.hots": "x"})
    assert site.routed == routed


def test_several_outputs(tmp_path):
    """Each output has the same; the newest counts. What another lbgen has is left alone."""
    locks = [OutputLock(tmp_path / name) for name in ("a", "b")]
    site = Site(GOOD, LabelStore(locks))
    locks[0].holder = "another lbgen"
    site.says(keys(host="b.org"))
    (old,), (new,) = (LabelStore([lock]).read().values() for lock in locks)
    assert (old.labels, new.labels) == (GOOD, keys(host="b.org"))
    assert LabelStore(locks).read()["web"].labels == keys(host="b.org")
