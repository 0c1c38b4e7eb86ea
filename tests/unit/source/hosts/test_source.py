"""`HostsSource` on fake engines: subscribe, list, look again; a host that is away; what is asked for.

Nothing here measures time: intervals are short so that tests are quick, and long where something must not happen by
itself.
"""

import random

import pytest
from structlog.testing import capture_logs

from lbgen.base.errors import SourceError
from lbgen.source.engine.api import HOST_PATHS
from lbgen.source.engine.schedule import Pace
from lbgen.source.hosts import follower, grouping, said, stopping
from lbgen.source.hosts.host import Host
from lbgen.source.hosts.source import HostsSource
from tests.support.fake_host import FakeHost
from tests.support.following import Following
from tests.support.wait import wait_for

NEVER = 10_000.0
QUICK = {"retry_min": 0.01, "retry_max": 0.05, "rest": 0.0, "timeout": 5.0, "head_start": 5.0}
TOLD = Pace(fast=NEVER, slow=NEVER, resync=NEVER, grace=0.05, **QUICK)  # nothing is listed but what is told
RESYNCING = Pace(fast=NEVER, slow=NEVER, resync=0.1, grace=0.05, **QUICK)
DOWN, UP = {"State": "exited", "Status": "Exited (137) 1 second ago", "Ports": []}, {"State": "running"}


@pytest.fixture
def engines(tmp_path):
    """Host a as it was recorded, and an empty host b."""
    made = FakeHost(tmp_path / "a.sock"), FakeHost(tmp_path / "b.sock", empty=True)
    yield made
    for engine in made:
        engine.stop()


def source(engines, pace=TOLD, **values):
    """The source of these engines, as hosts a and b."""
    hosts = [
        Host(name, engine.endpoint, f"192.0.2.{index}", networks=("shop_back",))
        for index, (name, engine) in enumerate(zip("ab", engines, strict=True), 11)
    ]
    return HostsSource(hosts, pace=pace, rng=random.Random(1), **values)


def task(snapshot, name):
    """The only task of a service."""
    (found,) = [task for task in snapshot.tasks.values() if task.service_id == name]
    return found


def settled(following, engines):
    """The first snapshot, after which nothing is under way."""
    first = following.next()
    wait_for(lambda: all(engine.streams == 1 for engine in engines))
    return first


def members(following):
    """What is said of each host."""
    (state,) = following.source.states()
    return {member.name: member for member in state.members}


def test_take(engines):
    """Everything, once; a Swarm's paths are never asked for."""
    found = source(engines).take()
    assert {service.name for service in found.services.values()} >= {"shop_web", "shop_api", "hostnet"}
    assert (found.listing, set(found.nodes)) == (1, {"a", "b"})
    assert engines[0].opened == 0


def test_only_these_paths(engines):
    """GET of these, and nothing else, whatever happens: a tested contract."""
    with Following(source(engines, RESYNCING)) as following:
        settled(following, engines)
        engines[0].change("ended", "create")
        engines[0].change("shop-web-1", "kill", signal="15")
        following.until(lambda snapshot: any(each.desired_state == "shutdown" for each in snapshot.tasks.values()))
        following.source.relist()
        following.until(lambda snapshot: snapshot.listing > 1)
    ids = {item["Id"] for engine in engines for item in engine.containers}
    asked = {(method, "/containers/ID/json" if path.split("/")[2:3] and path.split("/")[2] in ids else path)
             for engine in engines for method, path in engine.requests}  # fmt: skip
    assert asked <= {("GET", path) for path in HOST_PATHS}
    assert ("GET", "/containers/ID/json") in asked


def test_takes_nothing_of_half(engines):
    """A host that does not answer is named, and there is no snapshot without it."""
    engines[1].stop()
    with pytest.raises(SourceError, match=r"host b: .*there is no such socket"):
        source(engines).take()


def test_subscribes_then_lists(engines):
    """Nothing that happens meanwhile is lost."""
    with Following(source(engines)) as following:
        settled(following, engines)
    asked = [path for _, path in engines[0].requests]
    assert asked.index("/events") < asked.index("/containers/json")
    filters = next(query["filters"][0] for path, query in engines[0].queries if path == "/events")
    assert '"health_status"' in filters
    assert "exec" not in filters


@pytest.mark.parametrize(
    ("name", "action", "values", "state"),
    [
        ("shop-web-1", "pause", {"State": "paused", "Status": "Up 1 second (Paused)"}, "paused"),
        ("shop-api-1", "health_status: unhealthy", {"Status": "Up 5 seconds (unhealthy)"}, "unhealthy"),
        ("shop-slow-1", "health_status: healthy", {"Status": "Up 5 seconds (healthy)"}, "running"),
        ("frozen", "unpause", {"State": "running", "Status": "Up 5 seconds"}, "running"),
        ("ended", "start", {"State": "running", "Status": "Up Less than a second"}, "running"),
        ("shop-web-1", "die", DOWN, "exited"),
    ],
)
def test_events(engines, name, action, values, state):
    """Only the container to which something happened is asked about."""
    with Following(source(engines)) as following:
        settled(following, engines)
        before = engines[0].count("/containers/json")
        id_ = engines[0].change(name, action, **values)
        found = following.until(lambda snapshot: snapshot.tasks[id_].state == state)
        assert found.causes[0].text.startswith(f"task {found.services[found.tasks[id_].service_id].name}")
        looks = [query for path, query in engines[0].queries if path == "/containers/json"][before:]
        assert all(query["filters"] == [f'{{"id": ["{id_}"]}}'] for query in looks)


def test_a_death_counts_before_it_is_listed(engines):
    """An engine tells of it half a second before it lists it; what it lists meanwhile is old."""
    with Following(source(engines)) as following:
        settled(following, engines)
        id_ = engines[0].change("shop-web-1", "die")
        assert following.until(lambda snapshot: snapshot.tasks[id_].state == "exited").tasks[id_].ports
        engines[0].happen(id_, "die")  # told twice, and looked at again: it is listed as running still
        wait_for(lambda: engines[0].count("/containers/json") >= 3)
        assert following.pending == 0
        engines[0].change("shop-web-1", "start", **UP)
        following.until(lambda snapshot: snapshot.tasks[id_].state == "running")


def test_a_container_that_comes_and_goes(engines):
    """It is added, renamed, which makes it another service, and removed."""
    with Following(source(engines)) as following:
        settled(following, engines)
        id_ = engines[0].add("lonely", "fresh")
        assert following.until(lambda snapshot: id_ in snapshot.tasks).services["fresh"].replicas == 1
        engines[0].change("fresh", "rename", Names=["/other"])
        assert "fresh" not in following.until(lambda snapshot: "other" in snapshot.services).services
        engines[0].remove("other")
        assert "other" not in following.until(lambda snapshot: id_ not in snapshot.tasks).services


def test_kill_that_stops(engines):
    """The signal that stops a container has it drain; another one does not."""
    with Following(source(engines)) as following:
        settled(following, engines)
        ids = [engines[0].change(f"shop-web-{number}", "kill", signal=text) for number, text in ((1, "1"), (2, "15"))]
        found = following.until(lambda snapshot: snapshot.tasks[ids[1]].desired_state == "shutdown")
        assert found.tasks[ids[0]].desired_state == "running"
        engines[0].change("shop-web-2", "die", **DOWN)
        assert following.until(lambda snapshot: snapshot.tasks[ids[1]].state == "exited").tasks[ids[1]].ports


def test_a_signal_that_is_ignored(engines, monkeypatch):
    """A container that outlives its signal is up again."""
    monkeypatch.setattr(stopping, "MARGIN", -9.9)
    with Following(source(engines)) as following:
        settled(following, engines)
        id_ = engines[0].change("shop-web-2", "kill", signal="15")
        following.until(lambda snapshot: snapshot.tasks[id_].desired_state == "shutdown")
        following.until(lambda snapshot: snapshot.tasks[id_].desired_state == "running")


def test_an_old_signal(engines):
    """One that was sent before the container was started again is no news."""
    id_ = engines[0].container("shop-web-2")["Id"]
    engines[0].inspected[id_]["State"]["StartedAt"] = "2999-01-01T00:00:00Z"
    with Following(source(engines)) as following:
        settled(following, engines)
        engines[0].change("shop-web-2", "kill", signal="15")
        wait_for(lambda: engines[0].count(f"/containers/{id_}/json") == 1)
        engines[0].change("shop-web-1", "pause", State="paused")
        after = following.until(lambda snapshot: any(each.state == "paused" for each in snapshot.tasks.values()))
        assert after.tasks[id_].desired_state == "running"


def test_a_host_that_is_away_loses_nothing(engines):
    """Its tasks stay, its node says so, the others are followed; when it is back, so is it."""
    with Following(source(engines)) as following, capture_logs() as logs:
        first = settled(following, engines)
        engines[0].stop()
        gone = following.until(lambda snapshot: snapshot.nodes["a"].state == "unreachable")
        assert (gone.tasks, gone.services) == (first.tasks, first.services)
        assert "node a: state unreachable" in [cause.text for cause in gone.causes]
        assert members(following)["a"].failing.startswith("host a: ")
        assert members(following)["a"].failing_since
        engines[1].containers = [engines[0].container("lonely") | {"Id": "b" * 64, "Names": ["/here"]}]
        engines[1].happen("b" * 64, "start")
        assert following.until(lambda snapshot: "here" in snapshot.services).nodes["a"].state == "unreachable"
        engines[0].change("shop-web-1", tell=False, **DOWN)
        engines[0].start()
        back = following.until(lambda snapshot: snapshot.nodes["a"].state == "ready")
        assert "exited" in {each.state for each in back.tasks.values() if each.service_id == "shop_web"}
        assert members(following)["a"].failing == ""
    assert [entry["event"] for entry in logs].count("source_failed") == 1


def test_a_host_that_hangs_holds_nobody_up(engines):
    """The first snapshot comes without it, after a while, and others are followed."""
    engines[1].hang()
    with Following(source(engines, Pace(**{**QUICK, "timeout": 2.0}))) as following:  # long for a busy machine
        first = following.next()
        assert set(first.nodes) == {"a"}
        assert members(following)["b"].failing
        engines[1].resume()
        assert following.until(lambda snapshot: "b" in snapshot.nodes).nodes["b"].state == "ready"


def test_an_event_groups_once(engines, monkeypatch):
    """All containers are grouped into services once for what happened to one of them, not before the look at it too."""
    monkeypatch.setattr(said, "AGAIN", NEVER)
    grouped = []
    with Following(source(engines)) as following:
        settled(following, engines)

        def counted(*values):
            grouped.append(values)
            return grouping.host_snapshot(*values)

        monkeypatch.setattr(follower, "host_snapshot", counted)
        engines[0].change("shop-slow-1", "health_status: healthy", Status="Up 5 seconds (healthy)")
        following.until(lambda snapshot: task(snapshot, "shop_slow").state == "running")
        assert len(grouped) == 1


def test_resync_finds_what_nobody_told(engines):
    """It is found, counted and logged, and the stream replaced."""
    with Following(source(engines, RESYNCING)) as following, capture_logs() as logs:
        settled(following, engines)
        id_ = engines[0].change("shop-web-1", tell=False, **DOWN)
        following.until(lambda snapshot: snapshot.tasks[id_].state == "exited")
        wait_for(lambda: members(following)["a"].counts["drift"] == 1)
        wait_for(lambda: engines[0].opened == 2)
    assert [entry["containers"] for entry in logs if entry["event"] == "source_drift"] == [1]


def test_without_events_it_polls(engines):
    """A proxy in front of the engine may refuse streams."""
    engines[0].failures["/events"] = (403, "no")
    with Following(source(engines, Pace(**{**QUICK, "fast": 0.05, "slow": 0.05}))) as following:
        following.next()
        id_ = engines[0].change("shop-web-1", tell=False, **DOWN)
        following.until(lambda snapshot: snapshot.tasks[id_].state == "exited")
        assert members(following)["a"].mode == "polling"


def test_a_stream_that_breaks(engines):
    """What happened meanwhile is found by listing; it is opened again."""
    with Following(source(engines)) as following:
        settled(following, engines)
        id_ = engines[0].change("shop-web-1", tell=False, **DOWN)
        engines[0].end_streams(cut=True)
        following.until(lambda snapshot: snapshot.tasks[id_].state == "exited")


def test_relist(engines):
    """Every host that answers is listed anew, and what they say is handed on though nothing changed."""
    with Following(source(engines)) as following:
        first = settled(following, engines)
        following.source.relist()
        again = following.next()
        assert (first.listing, again.listing, again.tasks is first.tasks) == (1, 2, True)
        engines[0].stop()
        following.until(lambda snapshot: snapshot.nodes["a"].state == "unreachable")
        following.source.relist()
        assert following.next().listing == 3


def test_a_silent_connection_is_found_out(engines):
    """An engine whose host is gone says nothing, and neither does its stream: it is asked now and then."""
    pace = Pace(**{**QUICK, "timeout": 0.3, "slow": 0.05, "resync": NEVER})
    with Following(source(engines, pace)) as following:
        if "a" not in settled(following, engines).nodes:  # a busy machine's first answer can take longer than that
            following.until(lambda snapshot: "a" in snapshot.nodes)
        engines[0].hang("/_ping", "/version")
        following.until(lambda snapshot: snapshot.nodes["a"].state == "unreachable")


def test_two_names_for_one_engine(engines):
    """Its containers are servers once, and the other name is told."""
    twice = source((engines[0], engines[0]))
    with Following(twice) as following, capture_logs() as logs:
        first = following.next()
        wait_for(lambda: members(following)["b"].failing)
        assert {each.node_id for each in first.tasks.values()} == {"a"}
        assert "lead to one engine" in members(following)["b"].failing
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["host_left_out"]


@pytest.mark.parametrize("body", [b"[", b"{}", b"[5]", b'[{"Id": "a", "State": 5}]'])
def test_a_reply_that_makes_no_sense(engines, body):
    """The host counts as away; what was known of it stays."""
    with Following(source(engines)) as following:
        first = settled(following, engines)
        engines[0].raw["/containers/json"] = lambda out: out.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        engines[0].happen("c" * 64, "start")
        gone = following.until(lambda snapshot: snapshot.nodes["a"].state == "unreachable")
        assert gone.tasks == first.tasks
        assert "GET /containers/json" in members(following)["a"].failing


def test_endpoints_are_checked_before_anything_connects():
    """A mistake is no outage."""
    with pytest.raises(SourceError, match="is none of"):
        HostsSource([Host("a", "nonsense", "192.0.2.11")])


def test_risks():
    """Plain TCP is told, with the setting that mends it."""
    (line,) = HostsSource([Host("a", "tcp://192.0.2.11:2375", "192.0.2.11")]).risks()
    assert line.startswith("host a: tcp://192.0.2.11:2375: plain TCP")
    assert "setting tls of the host" in line


class Kept:
    """A place on a disk that is a dictionary."""

    def __init__(self, disk, name):
        self.disk, self.name = disk, name

    def read(self):
        return self.disk.get(self.name)

    def keep(self, facts):
        self.disk[self.name] = facts

    def close(self):
        self.disk[f"{self.name} closed"] = True


def test_a_restart_while_a_host_is_away(engines):
    """What an earlier run knew of it stands in its place, until it answers."""
    disk = {}
    with Following(source(engines, store=lambda name: Kept(disk, name))) as following:
        first = settled(following, engines)
    assert disk.keys() == {"a", "b", "a closed", "b closed"}
    engines[0].stop()
    again = source(engines, store=lambda name: Kept(disk, name))
    assert again.take().tasks == first.tasks
    with Following(again) as following:
        recalled = following.next()
        assert (recalled.tasks, recalled.services) == (first.tasks, first.services)
        assert {name: node.state for name, node in recalled.nodes.items()} == {"a": "unreachable", "b": "ready"}
        engines[0].start()
        assert following.until(lambda snapshot: snapshot.nodes["a"].state == "ready").tasks == first.tasks


def test_what_is_kept_of_another_host(engines):
    """It is not taken for this one's."""
    disk = {}
    with Following(source(engines, store=lambda name: Kept(disk, name))) as following:
        settled(following, engines)
    disk["b"] = disk["a"]
    engines[1].stop()
    with pytest.raises(SourceError, match="host b"):
        source(engines, store=lambda name: Kept(disk, name)).take()


def test_seniority_over_a_restart(engines):
    """A service that was deployed anew stays as old as an earlier run knew it."""
    disk = {}
    with Following(source(engines, store=lambda name: Kept(disk, name))) as following:
        first = settled(following, engines)
    for name in ("shop-web-1", "shop-web-2"):
        engines[0].change(name, tell=False, Created=2_000_000_000)
    with Following(source(engines, store=lambda name: Kept(disk, name))) as following:
        assert following.next().services["shop_web"].created_at == first.services["shop_web"].created_at
