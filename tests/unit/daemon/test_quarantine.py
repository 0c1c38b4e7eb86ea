"""A proxy that refuses a service costs nobody else anything: `daemon.quarantine`, and the target that uses it."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from lbgen.base.errors import CheckFailed, CheckUnavailable
from lbgen.daemon import assembly, quarantine_store
from lbgen.daemon.bisection import LONGEST_SEARCH, MOST
from lbgen.daemon.quarantine import FIRST_TRIAL, Quarantine
from lbgen.model import build
from lbgen.proxies import check_command
from lbgen.render.renderer import Files, Renderer
from lbgen.snapshot import Service, Snapshot
from lbgen.source.file import write_snapshot
from tests.support.bench import INTERVAL, Bench
from tests.support.builders import a_network, a_node, a_rules, a_service, a_snapshot, a_task, lbgen_labels
from tests.support.clock import Clock
from tests.support.command import run

RULES = a_rules()


def services(number: int) -> list[Service]:
    """Services s0, s1, ... from the oldest on."""
    return [
        a_service(
            f"s{index}",
            {"port": 80, "host": f"s{index}.org"},
            networks=("edge-id",),
            created_at=f"2026-11-22T10:{index // 60:02}:{index % 60:02}Z",
        )
        for index in range(number)
    ]


def saying(service: Service, **keys: object) -> Service:
    """The service with other labels."""
    return replace(service, labels=service.labels | lbgen_labels(keys))


def a_cluster(found: list[Service], slots: int = 1) -> Snapshot:
    tasks = [
        a_task(service.name, slot, addresses={"edge-id": f"10.0.{index}.{slot}"})
        for index, service in enumerate(found)
        for slot in range(1, slots + 1)
    ]
    return a_snapshot(a_node(), a_network(), *found, *tasks)


class Checker:
    """Refuses a model with one of these backends' host headers; counts."""

    def __init__(self, *bad: str) -> None:
        self.bad, self.asked = bad, 0

    def __call__(self, model, _snapshot) -> None:
        self.asked += 1
        for backend in model.backends:
            if backend.policy.host_header in self.bad:
                raise CheckFailed(["proxy"], f"{backend.name}: will not have {backend.policy.host_header}")


def searched(
    before: list[Service], after: list[Service], checker: Checker, clock: Clock | None = None
) -> tuple[Quarantine, bool]:
    """What a quarantine finds after such a change, of which everything was refused."""
    quarantine = Quarantine(clock or Clock())
    quarantine.accepted(a_cluster(before), "stamp")
    facts = a_cluster(after)
    with pytest.raises(CheckFailed) as refusal:
        checker(build(facts, RULES), facts)
    return quarantine, quarantine.hold_culprits(build(facts, RULES), facts, refusal.value, checker, "stamp")


# ------------------------------------------------------------------------------------------------ the search


@settings(max_examples=60, deadline=None)
@given(number=st.integers(1, 40), data=st.data())
def test_the_culprits_and_nobody_else(number, data):
    """Each service that is refused is found, within the bound, whatever else has changed."""
    bad = data.draw(st.sets(st.integers(0, number - 1), min_size=1, max_size=MOST - 1))
    changed = data.draw(st.sets(st.integers(0, number - 1))) | bad
    new = data.draw(st.sets(st.integers(0, number - 1)))
    before = services(number)
    after = [
        saying(service, **{"host-header": "bad.org" if index in bad else "good.org"}) if index in changed else service
        for index, service in enumerate(before)
    ]
    checker = Checker("bad.org")
    quarantine, found = searched([each for index, each in enumerate(before) if index not in new], after, checker)
    assert found
    assert {held.name for held in quarantine.held.values()} == {f"s{index}" for index in bad}
    suspects = len(changed | new)
    assert checker.asked - 1 <= len(bad) * (2 * math.log2(suspects) + 2)
    for index in bad:  # what it said before, or nothing if it is new
        assert quarantine.held[f"s{index}-id"].instead == (None if index in new else before[index].labels)
        assert f"s{index}: will not have bad.org" in quarantine.held[f"s{index}-id"].error


def test_nobody_is_to_blame():
    """Where the rest is refused as well, nobody is held."""
    quarantine, found = searched(services(4), [saying(each, balance="source") for each in services(4)], Always())
    assert (found, quarantine.held) == (False, {})


@pytest.mark.parametrize("accepted", ["the templates before", None])
def test_templates_are_to_blame(accepted):
    """What everybody is refused for, once the templates have changed or at the start, takes no service away."""
    facts, checker = a_cluster([saying(each, **{"host-header": "bad.org"}) for each in services(4)]), Checker("bad.org")
    quarantine = Quarantine()
    if accepted:
        quarantine.accepted(facts, accepted)
    assert not quarantine.hold_culprits(build(facts, RULES), facts, CheckFailed(["proxy"], "no"), checker, "stamp")
    assert quarantine.held == {}


class Always(Checker):
    """Refuses everything."""

    def __call__(self, *_) -> None:
        raise CheckFailed(["proxy"], "no")


def test_no_label_is_to_blame():
    """A service whose labels are the same as ever can be refused too, for a task of its own: then it is left out."""
    before = [saying(each, **{"host-header": "x.org"}) if each.name == "s2" else each for each in services(5)]
    quarantine, found = searched(before, before, Checker("x.org"))
    assert found
    assert {held.name: held.instead for held in quarantine.held.values()} == {"s2": None}


def test_a_checker_that_cannot_be_asked_is_no_verdict():
    """Nobody is blamed for a checker that is gone."""

    def gone(*_) -> None:
        raise CheckUnavailable("not found")

    quarantine, _ = held_one()
    facts = a_cluster([saying(each, balance="source") for each in services(3)])
    with pytest.raises(CheckUnavailable):
        quarantine.hold_culprits(build(facts, RULES), facts, CheckFailed(["proxy"], "no"), gone, "stamp")


def test_many_culprits_take_several_rounds():
    """So many at once are not all found in one round; one that had no turn is called neither good nor bad."""
    after = [saying(each, **{"host-header": "bad.org"}) for each in services(3 * MOST)]
    quarantine, found = searched(services(3 * MOST), after, Checker("bad.org"))
    assert found
    judged = [held for held in quarantine.held.values() if held.error]
    assert len(judged) == MOST == len(quarantine.problems("edge"))
    assert len(quarantine.held) == 3 * MOST
    assert quarantine.due() == Clock().now  # the others' turn is next
    facts = a_cluster(after)
    checker = Checker("bad.org")
    for _ in range(2):
        relieved, _facts = quarantine.to_serve(build(facts, RULES), facts, "stamp")
        with pytest.raises(CheckFailed):
            checker(relieved, facts)
        assert quarantine.hold_culprits(build(facts, RULES), facts, CheckFailed(["proxy"], "x"), checker, "stamp")
    relieved, _facts = quarantine.to_serve(build(facts, RULES), facts, "stamp")
    checker(relieved, facts)
    assert len(quarantine.problems("edge")) == 3 * MOST


# ------------------------------------------------------------------------------------------------ while held


def held_one(clock: Clock | None = None) -> tuple[Quarantine, list[Service]]:
    """A quarantine that holds s1, whose labels were others before."""
    after = services(3)
    after[1] = saying(after[1], **{"host-header": "bad.org", "host": "new.org"})
    quarantine, _ = searched(services(3), after, Checker("bad.org"), clock)
    return quarantine, after


def hosts(model) -> list[str]:
    return [cell.host for cell in model.listeners[0].cells]


def test_labels_stay_behind_and_tasks_do_not():
    """A held service is served as it asked before, by the tasks that it has now."""
    quarantine, after = held_one()
    facts = a_cluster(after, slots=2)
    model, shown = quarantine.to_serve(build(facts, RULES), facts, "stamp")
    assert hosts(model) == ["s0.org", "s1.org", "s2.org"]
    assert [server.name for server in model.backends[1].servers] == ["s1.1", "s1.2"]
    assert shown.services["s1-id"].labels == services(3)[1].labels
    again, _ = quarantine.to_serve(build(facts, RULES), facts, "stamp")
    assert all(one is other for one, other in zip(model.backends, again.backends, strict=True))  # nothing is redone


@pytest.mark.parametrize(
    ("labels", "stamp", "seconds", "held"),
    [
        ({}, "stamp", 1.0, True),
        ({"host-header": "good.org"}, "stamp", 1.0, False),  # corrected
        ({}, "another edition", 1.0, False),  # of the templates
        ({}, "stamp", FIRST_TRIAL, False),  # tried again, whatever it was
    ],
)
def test_until_when(labels, stamp, seconds, held):
    """It is held until it, or the templates, or the time has changed."""
    clock = Clock()
    quarantine, after = held_one(clock)
    clock.now += seconds
    after[1] = saying(after[1], **labels)
    facts = a_cluster(after)
    model, _ = quarantine.to_serve(build(facts, RULES), facts, stamp)
    assert ("new.org" not in hosts(model)) == held


def refused_on_trial(quarantine: Quarantine, clock: Clock, after: list[Service]) -> float:
    """Try what is held again when it is due, and have it refused again; return how long that took to be due."""
    facts, began = a_cluster(after), clock.now
    model = build(facts, RULES)
    clock.now = quarantine.due()
    assert quarantine.to_serve(model, facts, "stamp") == (model, facts)
    assert quarantine.due() is None  # it waits for the verdict
    assert quarantine.hold_culprits(model, facts, CheckFailed(["proxy"], "x"), Checker("bad.org"), "stamp")
    return clock.now - began


def accepted_on_trial(quarantine: Quarantine, clock: Clock, after: list[Service]) -> None:
    """Try what is held again when it is due, and have it accepted."""
    facts = a_cluster(after)
    clock.now = quarantine.due()
    quarantine.to_serve(build(facts, RULES), facts, "stamp")
    quarantine.accepted(facts, "stamp")
    assert (quarantine.held, quarantine.due()) == ({}, None)


def test_trials_get_rarer_and_end():
    """A service that is refused on trial is tried again later and later; one that passes is held no longer."""
    clock = Clock()
    quarantine, after = held_one(clock)
    pauses = [refused_on_trial(quarantine, clock, after) for _ in range(6)]
    assert pauses == [60.0, 120.0, 240.0, 480.0, 600.0, 600.0]
    accepted_on_trial(quarantine, clock, after)


def test_trials_start_anew():
    """Once nothing is held any more, the next service that is held is tried after the shortest pause again."""
    clock = Clock()
    quarantine, after = held_one(clock)
    assert [refused_on_trial(quarantine, clock, after) for _ in range(2)] == [60.0, 120.0]
    accepted_on_trial(quarantine, clock, after)
    after[2] = saying(after[2], **{"host-header": "bad.org"})
    after[1] = services(3)[1]  # nothing is wrong with this one any more
    facts, refusal = a_cluster(after), CheckFailed(["proxy"], "x")
    assert quarantine.hold_culprits(build(facts, RULES), facts, refusal, Checker("bad.org"), "stamp")
    assert refused_on_trial(quarantine, clock, after) == 60.0


def test_of_two_that_disagree_the_younger_is_to_blame():
    """The older service goes on: age decides, whatever the ids are."""
    old, young = (
        replace(service, id=id_, created_at=f"2026-11-22T1{hour}:00:00Z")
        for service, id_, hour in zip(services(2), ("z-id", "a-id"), (0, 1), strict=True)
    )
    after = [saying(service, **{"host-header": "same.org"}) for service in (old, young)]

    def no_two(model, _snapshot) -> None:
        if [backend.policy.host_header for backend in model.backends].count("same.org") > 1:
            raise CheckFailed(["proxy"], "twice the same")

    quarantine, found = searched([old, young], after, no_two)
    assert found
    assert list(quarantine.held) == ["a-id"]


def test_other_settings_while_held():
    """What is served of a held service is decided by the settings of now."""
    quarantine, after = held_one()
    labels = {key: value for key, value in services(3)[2].labels.items() if key != "lbgen.enable"}
    facts = a_cluster([*after[:2], replace(after[2], labels=labels)])
    for expose, seen in (
        (False, ["s0.org", "s1.org"]),
        (True, ["s0.org", "s1.org", "s2.org"]),
        (False, ["s0.org", "s1.org"]),
    ):
        model, _ = quarantine.to_serve(build(facts, a_rules(expose_by_default=expose)), facts, "stamp")
        assert hosts(model) == seen


def test_a_service_that_goes_is_forgotten():
    """Nothing is held of a service that is not there any more."""
    quarantine, after = held_one()
    facts = a_cluster([after[0], after[2]])
    quarantine.to_serve(build(facts, RULES), facts, "stamp")
    assert quarantine.held == {}


def test_problem():
    """The owner is told which target, what is served meanwhile, and what the checker said, on one line."""
    quarantine, _ = held_one()
    (problem,) = quarantine.problems("edge")
    assert str(problem) == (
        "service s1: target edge refuses the configuration with this service in it, so what it asked for before "
        "stays in force: proxy refused the rendered configuration: s1: will not have bad.org; correct its labels, or "
        "the template; it returns by itself"
    )


# ------------------------------------------------------------------------------------------------ a target


@pytest.fixture
def bench(tmp_path) -> Bench:
    """A target that serves 200 services; its checker refuses the word "broken"."""
    made = Bench(tmp_path)
    bring(made, services(200))
    made.clock.now += INTERVAL
    made.proxy.did.clear()
    return made


def bring(bench: Bench, found: list[Service], slots: int = 1) -> bool:
    return bench.bring_to(a_cluster(found, slots))


def events(bench: Bench) -> list[object]:
    return [entry["event"] for entry in bench.logs]


def test_one_of_200(bench):
    """What 199 others ask for is live in the same round, whatever the checker says of one; within the bound."""
    after = [saying(each, path="/v2") for each in services(200)]
    after[77] = saying(after[77], **{"host-header": "broken.org"})
    checks = bench.target.counters.counts("checks").get("refused", 0) + bench.checks
    assert bring(bench, after)
    text = bench.texts()
    assert text["haproxy.cfg"].count("\nbackend s") == 200
    assert "broken" not in text["haproxy.cfg"]
    assert text["routes.map"].count(".org/v2/") == 199
    asked = bench.target.counters.counts("checks")["refused"] + bench.checks - checks
    assert asked - 1 <= 2 * math.log2(200) + 2
    assert bench.proxy.did == ["change +0 -0"]  # maps alone
    assert events(bench) == ["applied", "quarantined"]
    assert (bench.logs[1]["service"], bench.logs[1]["instead"]) == ("s77", "what it asked for before")
    assert "haproxy.cfg:" in str(bench.logs[1]["error"])
    assert not bench.target.failing

    # Others go on as if nothing had happened: one check for a reload, none for a live change.
    bench.clock.now += INTERVAL
    before = bench.target.counters.counts("checks")
    after[5] = saying(after[5], balance="source")
    assert bring(bench, after)
    now = bench.target.counters.counts("checks")
    assert (now["refused"], now["accepted"]) == (before["refused"], before["accepted"] + 1)
    assert events(bench) == ["applied"]
    bench.proxy.did.clear()
    assert bring(bench, after, slots=2)
    assert bench.proxy.did == ["change +200 -0"]  # its own tasks are followed as well

    # It returns by itself.
    bench.clock.now += INTERVAL
    after[77] = saying(services(200)[77], path="/v2", **{"host-header": "good.org"})
    assert bring(bench, after, slots=2)
    assert events(bench) == ["applied", "quarantine_over"]
    assert "set-header Host good.org" in bench.texts()["haproxy.cfg"]
    assert bench.target.quarantine.problems("edge") == []


def test_a_new_one_is_left_out(bench):
    """A service without a good past is left out until it is right."""
    assert bring(bench, [*services(200), a_service("broken", {"port": 80, "host": "b.org"}, networks=("edge-id",))])
    assert "broken" not in bench.texts()["haproxy.cfg"]
    assert (bench.logs[0]["event"], bench.logs[0]["instead"]) == ("quarantined", "left out")
    assert bench.proxy.did == []  # nothing else had changed


def test_changes_without_reload_do_not_wait_for_the_search(bench, monkeypatch):
    """Servers that come and go in the same snapshot are live before anybody is searched for."""
    seen = []
    hold_culprits = bench.target.quarantine.hold_culprits
    monkeypatch.setattr(
        bench.target.quarantine,
        "hold_culprits",
        lambda *args: seen.append(list(bench.proxy.did)) or hold_culprits(*args),
    )
    after = services(200)
    after[3] = saying(after[3], **{"host-header": "broken.org"})
    assert bring(bench, after, slots=2)
    assert seen == [["change +199 -0"]]


def test_a_template_that_fails_for_one_service(bench):
    """A template of an author's own may choke on one service alone; the others are served."""
    (bench.templates / "names.map.j2").write_text("{% for b in backends %}{{ 1 // (b.retries - 7) }}\n{% endfor %}")
    after = services(200)
    after[9] = saying(after[9], retries="7")
    assert bring(bench, after)
    assert (bench.logs[-1]["event"], bench.logs[-1]["service"]) == ("quarantined", "s9")
    assert "names.map.j2:1" in str(bench.logs[-1]["error"])
    (bench.templates / "names.map.j2").write_text("{% for b in backends %}{{ b.retries }}\n{% endfor %}")
    bench.clock.now += INTERVAL
    assert bring(bench, after)
    assert events(bench) == ["applied", "quarantine_over"]


def test_other_settings(bench):
    """A held service is judged anew once the settings have changed: an option may have been the reason."""
    after = services(200)
    after[3] = saying(after[3], **{"host-header": "broken.org"})
    assert bring(bench, after)
    before = bench.target.renderer
    bench.target.revise(Renderer(before.templates, before.target, before.settings), lambda _: None, 0.0)
    assert bring(bench, after)
    assert events(bench) == ["applied", "quarantine_over"]


def test_on_trial(bench):
    """Held for a reason that has gone without a word: it is tried again in time, and says so once only."""
    after = services(200)
    after[3] = saying(after[3], **{"host-header": "broken.org"})
    assert bring(bench, after)
    bench.clock.now = bench.target.due()
    assert bench.clock.now >= 1000.0 + FIRST_TRIAL
    assert bring(bench, after)
    assert events(bench) == []  # still refused: nothing new
    bench.checker.write_text("#!/bin/sh\n")
    bench.clock.now = bench.target.due()
    assert bring(bench, after)
    assert events(bench) == ["applied", "quarantine_over"]


def test_a_restart_knows_what_was_good(bench):
    """An lbgen that starts anew keeps a held service at what it asked for before, not just out."""
    after = services(200)
    after[3] = saying(after[3], **{"host-header": "broken.org"})
    assert bring(bench, after)
    bench.target = bench.new_target()
    bench.clock.now += INTERVAL
    after[4] = saying(after[4], balance="source")
    assert bring(bench, after)
    assert bench.texts()["haproxy.cfg"].count("\nbackend s") == 200
    assert "balance source" in bench.texts()["haproxy.cfg"]
    assert [entry["instead"] for entry in bench.logs if entry["event"] == "quarantined"] == ["what it asked for before"]
    bench.clock.now += INTERVAL
    assert bring(bench, services(200))
    assert not (bench.output / quarantine_store.FILE).exists()


@pytest.mark.parametrize("text", ["", "[]", '{"labels": {"a": 1}}', "\x00"])
def test_what_was_good_cannot_be_read(tmp_path, text):
    """A broken file is told of, and is none."""
    (tmp_path / quarantine_store.FILE).write_text(text)
    with capture_logs() as logs:
        assert quarantine_store.read(tmp_path) == {}
    assert [entry["event"] for entry in logs] == ["last_good_unread"]


# ------------------------------------------------------------------------------------------------ a pipeline


@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_a_pipeline_is_told_whom_to_blame(tmp_path, form):
    """`lbgen render --once` names the services without which the rest would be accepted."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "names.map.j2").write_text("{% for b in backends %}{{ 1 // (b.retries - 7) }}\n{% endfor %}")
    found = [saying(each, retries="7") if each.name in ("s3", "s5") else each for each in services(9)]
    path = tmp_path / "snapshot.json"
    write_snapshot(a_cluster(found), path)
    words = ["render", "--once", "--from", str(path), "--templates", str(tmp_path / "mine"), "--proxy", "haproxy"]
    done = run(*words, "--output", form)
    assert done.exit_code == 3
    assert "names.map.j2" in done.stderr
    assert "without service s3, s5 the rest is accepted" in done.stderr
    if form == "json":
        assert json.loads(done.stdout)["targets"][0]["blamed"] == ["s3", "s5"]
    if form == "github":
        assert "title=service s5%3A refused::target haproxy refuses" in done.stdout


# ------------------------------------------------------------------------------------------------ real proxies


@pytest.mark.proxy("haproxy")
def test_real_haproxy_refuses_an_authors_template(short_dir):
    """With HAProxy's own words: the author's template writes what HAProxy does not know for one service's label."""
    from lbgen.settings import Settings
    from tests.support.ports import free_port
    from tests.support.wait import wait_for

    (short_dir / "mine").mkdir()
    (short_dir / "mine" / "haproxy.cfg.j2").write_text(
        '{% extends "haproxy/haproxy.cfg.j2" %}{% block http_backend_extra scoped %}'
        "{% for service in snapshot.services.values() if service.name == backend.service %}"
        "{% if 'my.extra' in service.labels %}    {{ service.labels['my.extra'] }}\n{% endif %}"
        "{% endfor %}{% endblock %}"
    )
    given_settings = Settings.model_validate(
        {
            "listeners": {"web": {"bind": f"127.0.0.1:{free_port()}"}},
            "status": {"bind": ""},
            "targets": {
                "edge": {
                    "templates": [str(short_dir / "mine"), "haproxy"],
                    "output": str(short_dir / "out"),
                    "apply": {"run": True},
                }
            },
        }
    )
    target = assembly.Assembly("edge", given_settings.targets["edge"], given_settings).target()
    rules = given_settings.rules()
    found = services(12)
    target.start()
    try:
        facts = a_cluster(found)
        wait_for(lambda: target.bring_to(build(facts, rules), facts), "the first configuration")
        found = [saying(each, path="/v2") for each in found]
        found[4] = replace(found[4], labels=found[4].labels | {"my.extra": "no-such-directive at all"})
        changed = a_cluster(found)
        wait_for(lambda: target.bring_to(build(changed, rules), changed), "the others' change")
        (problem,) = target.quarantine.problems("edge")
        assert problem.service == "s4"
        assert "unknown keyword 'no-such-directive'" in problem.message
        running: Files = target.running
        assert running.texts["routes.map"].count("/v2") == 11
        assert target.proxy.generation() == running.generation
        found[4] = replace(found[4], labels=found[4].labels | {"my.extra": "option httpchk"})
        mended = a_cluster(found)
        wait_for(lambda: target.bring_to(build(mended, rules), mended), "its return")
        assert target.quarantine.problems("edge") == []
        assert target.running.texts["routes.map"].count("/v2") == 12
    finally:
        target.stop()


# ------------------------------------------------------------------------------------------------ too slow

SLOW = """#!/bin/sh
# As `nginx -t` on thousands of rules: it takes longer than anybody waits.
if grep -q broken "$1"; then exec sleep 600; fi
echo x >> {calls}
"""


def slow_checker(bench: Bench, monkeypatch) -> None:
    """Have the checker take for ever over the word "broken", and be waited for as long as the machine needs."""
    bench.checker.write_text(SLOW.format(calls=bench.calls))
    monkeypatch.setattr(check_command, "TIMEOUT", 5.0)


def test_a_checker_that_takes_too_long(bench, monkeypatch):
    """One service that the checker takes too long over is held like one that it refuses; the others are served."""
    slow_checker(bench, monkeypatch)
    after = [saying(each, path="/v2") if each.name in ("s3", "s7", "s9") else each for each in services(200)]
    after[7] = saying(after[7], **{"host-header": "broken.org"})
    assert bring(bench, after)
    assert events(bench) == ["applied", "quarantined"]
    assert bench.logs[1]["service"] == "s7"
    assert "no verdict after 5 s" in str(bench.logs[1]["error"])
    assert bench.texts()["routes.map"].count(".org/v2/") == 2
    assert not bench.target.failing


def test_a_checker_that_takes_too_long_at_the_first_start(tmp_path, monkeypatch):
    """One service never keeps the proxy from starting."""
    bench = Bench(tmp_path)
    slow_checker(bench, monkeypatch)
    found = services(4)
    found[2] = saying(found[2], **{"host-header": "broken.org"})
    assert bring(bench, found)
    assert bench.texts()["haproxy.cfg"].count("\nbackend s") == 3
    assert bench.proxy.did == ["reload"]


def test_a_checker_that_is_slow_for_everybody(bench, monkeypatch):
    """Where nobody is to blame, it is asked again: a machine is not busy for ever."""
    slow_checker(bench, monkeypatch)
    bench.spoil()
    after = [saying(each, balance="source") for each in services(2)]
    bring(bench, after)
    due = bench.target.due()
    assert due is not None
    bench.clock.now = due
    bench.mend()
    assert bring(bench, after)


def test_a_search_ends():
    """Once a search has taken its time, the culprits that are left wait for the next round; it finds one at least."""
    after = [saying(each, **{"host-header": "bad.org"}) for each in services(8)]
    clock = Clock()

    class Slow(Checker):
        """Takes ten seconds for each refusal."""

        def __call__(self, model, snapshot) -> None:
            try:
                super().__call__(model, snapshot)
            except CheckFailed:
                clock.now += 10.0
                raise

    checker = Slow("bad.org")
    began = clock.now
    quarantine, found = searched(services(8), after, checker, clock)
    assert found
    judged = [held for held in quarantine.held.values() if held.error]
    assert 1 <= len(judged) < 8 == len(quarantine.held)
    assert clock.now - began <= LONGEST_SEARCH + 10.0 * (math.log2(8) + 2)
    assert quarantine.due() == clock.now  # the others' turn is next
