"""`status.metrics` and `daemon.counters`: what is counted where it happens, and what Prometheus is told of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from lbgen.base.errors import ApplyFailed
from lbgen.base.problem import Problem
from lbgen.base.unexpected import UNEXPECTED, Part
from lbgen.daemon.counters import BOUNDS, Counters, Histogram
from lbgen.daemon.history import MOST_CAUSES
from lbgen.daemon.kept_labels import Kept
from lbgen.daemon.loop import Loop
from lbgen.model import build
from lbgen.proxies.haproxy import plan as haproxy_plan
from lbgen.proxies.haproxy.plan import MOST_MAP_CHANGES, Commands
from lbgen.proxies.plan import Method, Reload, ReloadKind
from lbgen.render.renderer import Files
from lbgen.snapshot import Cause
from lbgen.status import metrics
from lbgen.status.metrics import registry_of
from lbgen.status.view import View
from tests.support.bench import INTERVAL, Bench, a_cluster
from tests.support.builders import a_network, a_node, a_rules, a_service, a_snapshot, a_task, modelled
from tests.support.clock import Clock
from tests.support.watched import AT, FakeFile, FakeLoop, FakeSource, FakeTarget


def samples(loop: object, *targets: object) -> dict[tuple[str, ...], float]:
    """Every sample as Prometheus reads it: (name, label values in the order of their names) -> value."""
    text = generate_latest(registry_of(View(loop, targets))).decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# ------------------------------------------------------------------------------------------------ counting


def test_counters():
    """Counts are kept by what and which."""
    counters = Counters()
    counters.count("checks", "accepted")
    counters.count("checks", "accepted")
    counters.count("checks", "refused")
    counters.count("renders")
    assert counters.counts("checks") == {"accepted": 2, "refused": 1}
    assert counters.counts("renders") == {"": 1}
    assert counters.counts("reloads") == {}


@pytest.mark.parametrize(
    ("seconds", "bound"),
    [(0.0, 0), (0.001, 0), (0.0011, 1), (0.06, 6), (1.0, 9), (60.0, len(BOUNDS) - 1), (60.1, len(BOUNDS))],
)
def test_histogram(seconds, bound):
    """A time counts under the first bound that is not below it: Prometheus's bounds are inclusive."""
    histogram = Histogram()
    histogram.add(seconds)
    assert histogram.times.index(1) == bound
    assert (sum(histogram.times), histogram.total) == (1, seconds)


def test_bounds():
    """From a millisecond to a minute."""
    assert (BOUNDS[0], BOUNDS[-1]) == (0.001, 60.0)
    assert list(BOUNDS) == sorted(BOUNDS)


# ------------------------------------------------------------------------------------------------ what targets count


@pytest.fixture
def bench(tmp_path) -> Bench:
    """A target on a fake proxy that serves its first files, with the interval between reloads over."""
    made = Bench(tmp_path, interval=0.0)
    assert made.bring()
    return made


def counted(bench: Bench, what: str) -> dict[str, int]:
    return bench.target.counters.counts(what)


def test_first_files(bench):
    """The first files: one rendering, one check, one reload because nothing was known."""
    assert counted(bench, "renders") == {"": 1}
    assert counted(bench, "checks") == {"accepted": 1}
    assert counted(bench, "reloads") == {"first": 1}
    assert counted(bench, "live_changes") == {}
    assert bench.target.ready
    assert not bench.target.failing


def test_live_change(bench):
    """A change by the runtime API is no reload; its file is checked when it is saved."""
    assert bench.bring(3)
    assert counted(bench, "live_changes") == {"": 1}
    assert counted(bench, "reloads") == {"first": 1}
    assert counted(bench, "renders") == {"": 2}


def test_live_change_that_fails(bench):
    """When the runtime API will not, the reload counts as its fault."""

    def fail() -> None:
        raise ApplyFailed("no")

    bench.proxy.on_change = fail
    assert bench.bring(3)
    assert counted(bench, "reloads") == {"first": 1, "runtime-api": 1}
    assert counted(bench, "live_changes") == {}


def test_refusal(bench):
    """What the checker refuses is counted once, however often it is looked at, and is the target's failure."""
    (bench.templates / "_haproxy.j2").unlink(missing_ok=True)
    (bench.templates / "haproxy.cfg.j2").write_text(
        "{% extends 'haproxy/haproxy.cfg.j2' %}{% block extra %}\nbroken\n{% endblock %}"
    )
    assert not bench.bring()
    assert not bench.bring()
    assert counted(bench, "refused") == {"": 1}
    assert counted(bench, "checks") == {"accepted": 1, "refused": 1}
    assert counted(bench, "renders") == {"": 4}  # with the templates before, too
    assert bench.target.failing
    assert bench.target.failure.kind == "refused"
    assert "broken" in bench.target.failure.error
    assert bench.target.ready  # it has served something, and still does
    (bench.templates / "haproxy.cfg.j2").unlink()
    assert bench.bring()
    assert not bench.target.failing
    assert bench.target.failure.kind == "refused"  # the last one, over


def test_template_error(bench):
    """A template that fails is a refusal too, without a check."""
    (bench.templates / "haproxy.cfg.j2").write_text("{{ nope }}")
    assert not bench.bring()
    assert not bench.bring()
    assert counted(bench, "refused") == {"": 1}
    assert counted(bench, "checks") == {"accepted": 1}
    assert bench.target.failing


def test_the_same_refusal_again(bench):
    """What is refused again after something else was live is said and counted again."""
    template = bench.templates / "haproxy.cfg.j2"
    for times in (1, 2):
        template.write_text("{{ nope }}")
        assert not bench.bring(times + 1)
        assert counted(bench, "refused") == {"": times}
        assert [line["event"] for line in bench.logs] == ["refused"]
        assert bench.target.failing
        template.unlink()
        assert bench.bring(times + 2)  # a live change
        assert not bench.target.failing


def test_flapping():
    """Services that flap are counted, and what they said meanwhile."""
    loop = FakeLoop()
    for weight in range(1, 9):
        loop.flapping.damped(a_snapshot(a_service("web", {"weight": weight})), a_rules())
    numbers = samples(loop)
    assert (numbers["lbgen_flapping_services",], numbers["lbgen_label_changes_held_total",]) == (1, 2)


def test_mislabelled_services():
    """Services that keep their previous labels are counted."""
    loop = FakeLoop()
    assert samples(loop)["lbgen_mislabelled_services",] == 0
    loop.kept.kept = {"web": Kept(AT, {}, ())}
    assert samples(loop)["lbgen_mislabelled_services",] == 1


def test_old_workers():
    """Old workers are a number where they can be seen, and none where they cannot."""
    seen, unseen = FakeTarget("seen"), FakeTarget("unseen")
    seen.old_workers.number = 3
    numbers = samples(FakeLoop(), seen, unseen)
    assert numbers["lbgen_proxy_old_workers", "seen"] == 3
    assert ("lbgen_proxy_old_workers", "unseen") not in numbers


def test_no_checker(bench):
    """A checker that is gone is told from one that refuses."""
    bench.checker.unlink()
    assert not bench.bring(2, "least-conn")
    assert counted(bench, "checks") == {"accepted": 1, "unavailable": 1}
    assert counted(bench, "apply_failed") == {"": 1}
    assert bench.target.failure.kind == "apply_failed"


def test_apply_failure(bench):
    """A proxy that cannot be reached is a failure each time it is tried."""
    bench.proxy.reachable = False
    assert not bench.bring(2, "least-conn")
    assert counted(bench, "apply_failed") == {"": 1}
    assert (bench.target.failing, bench.target.ready) == (True, True)


def test_ready_only_when_live(tmp_path):
    """A target is ready when the proxy has proven a snapshot, not when files were written."""
    bench = Bench(tmp_path)
    bench.proxy.reachable = False
    assert not bench.bring()
    assert not bench.target.ready
    assert bench.texts()  # for the proxy to start with
    bench.proxy.reachable = True
    bench.clock.now += INTERVAL
    assert bench.bring()
    assert bench.target.ready


def test_not_ready_while_a_reload_waits(tmp_path):
    """Nothing failed, but nothing is live either: the first reload has to wait for its time."""
    bench = Bench(tmp_path)
    bench.target.schedule.reloading()
    assert not bench.bring()
    assert not bench.target.ready
    assert not bench.target.failing


def lags(bench: Bench) -> dict[str, int]:
    """How many changes took so long by each method."""
    return {
        method: sum(histogram.times) for method, histogram in bench.target.counters.histograms("change_live").items()
    }


def caused(bench: Bench, *cluster, causes: int = 1) -> bool:
    """Bring the target to such a cluster, because of so many changes."""
    facts = replace(a_cluster(*cluster), causes=tuple(Cause(f"task {n}", 1.0) for n in range(causes)))
    return bench.target.bring_to(build(facts, a_rules()), facts)


def test_lags(bench):
    """Each cause's time to live is counted once, by the method that made it live."""
    assert caused(bench, 3, causes=2)
    assert lags(bench) == {"runtime-api": 2}
    assert caused(bench, 3, "least-conn")
    assert lags(bench) == {"runtime-api": 2, "reload": 1}
    assert caused(bench, 3, "least-conn")  # changes nothing here
    assert lags(bench) == {"runtime-api": 2, "reload": 1}
    assert caused(bench, 2, "least-conn", causes=MOST_CAUSES + 10)
    assert lags(bench)["runtime-api"] == 2 + MOST_CAUSES


def test_lag_of_a_change_that_waits(bench):
    """While part of the changes waits for a reload nobody can say which: they all count when it has come."""
    bench.target.schedule.interval = 3600.0
    assert not caused(bench, 3, "round-robin", "new")
    assert bench.proxy.did[-1].startswith("change")  # the server did not wait
    assert lags(bench) == {}
    bench.target.schedule.interval = 0.0
    assert caused(bench, 3, "round-robin", "new")
    assert lags(bench) == {"reload": 2}


# ------------------------------------------------------------------------------------------------ kinds of reload


def haproxy(**more: str) -> Files:
    """Files of a HAProxy with one backend."""
    text = "global\n    maxconn 10\nbackend web\n    server a 10.0.0.1:80 check\n"
    return Files.of({"haproxy.cfg": text, "names.map": "a web\n", "other.txt": "x\n", **more})


CFG = haproxy().texts["haproxy.cfg"]


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("first", None, haproxy()),
        ("files", haproxy(), haproxy(**{"new.cfg": "global\n"})),
        ("files", haproxy(), haproxy(**{"other.txt": "y\n"})),
        ("sections", haproxy(), haproxy(**{"haproxy.cfg": f"{CFG}backend new\n"})),
        ("settings", haproxy(), haproxy(**{"haproxy.cfg": CFG.replace("10\n", "20\n")})),
        ("servers", haproxy(), haproxy(**{"haproxy.cfg": CFG.replace("check", "check inter 5s")})),
        ("servers", haproxy(), haproxy(**{"haproxy.cfg": CFG.replace("check", "check cookie 'a b'")})),
        ("map", haproxy(), haproxy(**{"names.map": "".join(f"n{n} web\n" for n in range(MOST_MAP_CHANGES + 1))})),
    ],
)
def test_kinds(kind, before, after):
    """Every reload is of one of the known kinds, whatever its reason says."""
    step = haproxy_plan.between(before, after)
    assert isinstance(step, Reload), step
    assert step.kind == kind
    assert isinstance(step.kind, ReloadKind)


def test_kind_of_a_map_after_a_live_change():
    """What goes by the runtime API leaves no mark on the kind of a later reason."""
    before, after = haproxy(), haproxy(**{"haproxy.cfg": CFG.replace("a 10", "b 10"), "other.txt": "y\n"})
    assert isinstance(haproxy_plan.between(before, haproxy(**{"names.map": "b web\n"})), Commands)
    assert haproxy_plan.between(before, after).kind == "files"


# ------------------------------------------------------------------------------------------------ what the loop counts


class Still:
    """A follower that looks at the loop while it is brought to a model."""

    def __init__(self) -> None:
        self.loop: Loop | None = None
        self.seen: list[float | None] = []

    def bring_to(self, _model, _snapshot) -> bool:
        self.seen.append(self.loop.busy_since)
        return True


class Listings:
    """A source that counts how often another listing was asked for."""

    relists = 0

    def relist(self) -> None:
        self.relists += 1


def a_listing(servers: int, listing: int = 1):
    """A service with so many servers."""
    tasks = [a_task("web", slot, addresses={"edge-id": f"10.0.0.{slot}"}) for slot in range(1, servers + 1)]
    return a_snapshot(
        a_node(), a_network(), a_service("web", {"port": 80}, networks=("edge-id",)), *tasks, listing=listing
    )


@pytest.fixture
def clock() -> Clock:
    """The loop's clock, and the target's."""
    return Clock()


@pytest.fixture
def loop(clock) -> Loop:
    """A loop that does rounds when the test says so."""
    target = Still()
    target.loop = Loop(Listings(), a_rules(), [target], clock=clock)
    return target.loop


def test_rounds(loop, clock):
    """A round is under way while targets are brought to the model, and is counted when it is over."""
    assert loop.busy_since is None
    assert loop.round(a_listing(1))
    (seen,) = loop.targets[0].seen
    assert seen == clock.now
    assert loop.busy_since is None
    assert sum(loop.counters.histograms("round")[""].times) == 1


def test_round_that_raises(loop):
    """A round that ends by an error is over."""
    loop.targets[0].bring_to = None
    with pytest.raises(TypeError):
        loop.round(a_listing(1))
    assert loop.busy_since is None


def test_held(loop):
    """While the shrink guard holds a snapshot the loop says how much is at stake, also when it renders the last one."""
    loop.accepted = a_listing(10)
    loop.round(loop.accepted)
    assert not loop.round(a_listing(1, listing=2))
    assert loop.held == 9
    assert loop.round(loop.accepted)
    assert loop.held == 9
    assert loop.round(a_listing(1, listing=3))
    assert loop.held == 0


# ------------------------------------------------------------------------------------------------ what is told


def test_everything_from_the_start():
    """Counters are there, as 0, before anything was counted: a rate needs a beginning."""
    found = samples(FakeLoop(), FakeTarget())
    for kind in ("start", *ReloadKind):
        assert found["lbgen_reloads_total", kind, "edge"] == 0
    for result in ("accepted", "refused", "unavailable"):
        assert found["lbgen_checks_total", result, "edge"] == 0
    for method in Method:
        assert found["lbgen_change_live_seconds_count", method, "edge"] == 0
    for name in ("renders", "live_changes", "refusals", "apply_failures"):
        assert found[f"lbgen_{name}_total", "edge"] == 0
    assert found["lbgen_target_ready", "edge"] == 0
    assert found["lbgen_round_seconds_count",] == 0
    assert not [key for key in found if key[0] == "lbgen_generation_info"]


def test_unexpected_errors():
    """They are counted by part, from 0 on; numbers that cannot be gathered leave the others."""
    found = samples(FakeLoop(), FakeTarget())
    assert {found["lbgen_unexpected_errors_total", part] for part in Part} == {0}
    UNEXPECTED.guard(Part.TARGET, "edge").failed(RuntimeError("a mistake"))
    UNEXPECTED.guard(Part.TARGET, "other").failed(RuntimeError("a mistake"))
    loop = FakeLoop()
    loop.counters = None
    found = samples(loop, FakeTarget())
    assert found["lbgen_unexpected_errors_total", "target"] == 2
    assert found["lbgen_unexpected_errors_total", "metrics"] == 1
    assert ("lbgen_round_seconds_count",) not in found
    assert ("lbgen_target_ready", "edge") in found
    assert ("lbgen_source_mode", "push") in found


def test_names():
    """Every metric is lbgen's, says what it is, and has its unit in its name."""
    families = list(registry_of(View(FakeLoop(), [FakeTarget()])).collect())
    assert all(family.name.startswith("lbgen_") and family.documentation.endswith(".") for family in families)
    assert {family.name for family in families if family.type == "histogram"} == {
        "lbgen_change_live_seconds",
        "lbgen_round_seconds",
    }


def test_after_a_change():
    """What was counted is told, of each target apart."""
    loop, edge, other = FakeLoop(), FakeTarget(), FakeTarget("other")
    edge.applied()
    edge.counters.observe("change_live", 0.004, "runtime-api")
    edge.counters.observe("change_live", 0.3, "runtime-api")
    edge.counters.observe("change_live", 100.0, "reload")
    edge.counters.count("reloads", "sections")
    edge.counters.count("checks", "refused")
    edge.counters.count("refused")
    edge.counters.count("apply_failed")
    edge.failing = True
    loop.counters.observe("round", 0.02)
    found = samples(loop, edge, other)
    live = "lbgen_change_live_seconds"
    assert found[f"{live}_bucket", "0.0025", "runtime-api", "edge"] == 0
    assert found[f"{live}_bucket", "0.005", "runtime-api", "edge"] == 1
    assert found[f"{live}_bucket", "0.5", "runtime-api", "edge"] == 2
    assert found[f"{live}_bucket", "+Inf", "runtime-api", "edge"] == 2
    assert found[f"{live}_sum", "runtime-api", "edge"] == pytest.approx(0.304)
    assert found[f"{live}_bucket", "60.0", "reload", "edge"] == 0
    assert found[f"{live}_count", "reload", "edge"] == 1
    assert found[f"{live}_count", "runtime-api", "other"] == 0
    assert found["lbgen_reloads_total", "sections", "edge"] == 1
    assert found["lbgen_checks_total", "refused", "edge"] == 1
    assert found["lbgen_refusals_total", "edge"] == 1
    assert found["lbgen_apply_failures_total", "edge"] == 1
    assert (found["lbgen_target_ready", "edge"], found["lbgen_target_ready", "other"]) == (1, 0)
    assert (found["lbgen_target_failing", "edge"], found["lbgen_target_failing", "other"]) == (1, 0)
    assert found["lbgen_round_seconds_count",] == 1


def test_model():
    """Servers by state, and problems."""
    model = modelled(
        a_node(),
        a_network(),
        a_service("web", {"port": 80}, networks=("edge-id",)),
        a_task("web", 1, addresses={"edge-id": "10.0.0.1"}),
        a_task("web", 2, addresses={"edge-id": "10.0.0.2"}),
        a_task("web", 3, addresses={"edge-id": "10.0.0.3"}, desired_state="shutdown"),
    )
    found = samples(FakeLoop(model=replace(model, problems=(Problem("a", "b", "c"),)), held=7))
    assert (found["lbgen_servers", "up"], found["lbgen_servers", "drain"]) == (2, 1)
    assert found["lbgen_problems",] == 1
    assert found["lbgen_servers_held",] == 7


@pytest.mark.parametrize("mode", ["push", "events", "polling", "none"])
def test_source(mode):
    """How changes are learnt is one of the known modes; the rest is as the source counts it."""
    source = FakeSource()
    source.stats = replace(source.stats, mode=mode)
    found = samples(FakeLoop(source))
    assert {key[1]: value for key, value in found.items() if key[0] == "lbgen_source_mode"} == {
        name: float(name == mode) for name in metrics.MODES
    }
    assert found["lbgen_source_stream_age_seconds",] == 1.25
    assert found["lbgen_source_drift_total",] == 3
    assert found["lbgen_source_listings_total",] == 7
    assert found["lbgen_source_reconnects_total",] == 2


def test_no_stream():
    """Without a stream it has no age; a file has no stream, and no listings that could differ from one."""
    source = FakeSource()
    source.stats = replace(source.stats, stream_age=None)
    assert ("lbgen_source_stream_age_seconds",) not in samples(FakeLoop(source))
    found = samples(FakeLoop(FakeFile()))
    assert found["lbgen_source_mode", "file"] == 1
    assert not {key for key in found if "stream_age" in key[0] or "drift" in key[0]}


def test_generation():
    """Only the generation in force has a series."""
    loop, target = FakeLoop(), FakeTarget()
    for number in range(3):
        target.applied(number)
        found = samples(loop, target)
        assert {key: value for key, value in found.items() if key[0] == "lbgen_generation_info"} == {
            ("lbgen_generation_info", target.running.generation, "edge"): 1.0
        }
    target.running = None
    assert not [key for key in samples(loop, target) if key[0] == "lbgen_generation_info"]


def test_bounded():
    """Whatever happens, however often, the number of series stays."""
    loop, target = FakeLoop(), FakeTarget()
    target.applied()
    before = samples(loop, target).keys()
    for number in range(1000):
        target.counters.count("reloads", f"backend b{number} added")
        target.counters.count("renders", f"r{number}")
        target.counters.observe("change_live", 1.0, f"m{number}")
        target.applied(number, Cause(f"task {number}", 1.0))
    found = samples(loop, target)
    assert len(found) == len(before)
    assert found["lbgen_reloads_total", "other", "edge"] == 1000
