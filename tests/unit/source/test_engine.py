"""`EngineSource` against a fake Engine API that fails in ways a real engine only does when it likes.

The fake (tests/support/fake_engine.py) answers with recorded replies. Nothing here measures time: intervals are short
so that tests are quick, and long where something must not happen by itself.
"""

from __future__ import annotations

import copy
import random
import re
import threading
import time
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from lbgen.base.errors import SourceError
from lbgen.base.unexpected import UNEXPECTED, Part
from lbgen.snapshot import Snapshot
from lbgen.source import decode, diff
from lbgen.source.engine.api import PATHS
from lbgen.source.engine.events import EventStream, kinds_of
from lbgen.source.engine.schedule import Pace
from lbgen.source.engine.source import EngineSource
from tests.support.fake_engine import FakeEngine, recorded
from tests.support.following import Following
from tests.support.wait import PATIENCE, wait_for

CLUSTER = recorded("info")["Swarm"]["Cluster"]["ID"]
NEVER = 10_000.0
QUICK = {"retry_min": 0.01, "retry_max": 0.05, "settle": 0.01, "grace": 0.05, "timeout": PATIENCE}
# Nothing is listed but what events, reconnecting and `relist` ask for.
TOLD = Pace(fast=NEVER, slow=NEVER, resync=NEVER, excited=0.0, **QUICK)
POLLING = Pace(fast=0.02, slow=0.02, resync=NEVER, excited=0.0, **QUICK)
RESYNCING = Pace(fast=NEVER, slow=NEVER, resync=0.1, excited=0.0, **QUICK)


@pytest.fixture
def engine(tmp_path):
    """A manager of the recorded cluster."""
    fake = FakeEngine(tmp_path / "one.sock")
    yield fake
    fake.stop()


@pytest.fixture
def other(tmp_path):
    """Another manager of the same cluster."""
    fake = FakeEngine(tmp_path / "two.sock")
    yield fake
    fake.stop()


def source(*engines, pace=TOLD, **options):
    return EngineSource([engine.endpoint for engine in engines], pace=pace, rng=random.Random(1), **options)


def label(name, value):
    """A predicate on snapshots: this service has this label "test"."""
    return lambda snapshot: any(s.name == name and s.labels.get("test") == value for s in snapshot.services.values())


def logged(logs, event):
    return [entry for entry in logs if entry["event"] == event]


# -- listing -------------------------------------------------------------------------------------------------


def test_first_snapshot_is_the_recorded_cluster(engine):
    """Everything that was recorded, and the cluster's id."""
    lists = [recorded(kind) for kind in ("nodes", "services", "tasks", "networks")]
    with Following(source(engine)) as following:
        first = following.next()
    assert first == decode.snapshot(*lists, cluster=CLUSTER)
    assert first.taken_at > 0
    assert first.listing == 1


def test_only_allowed_requests(engine):
    """GET, and only the paths of the contract, in the negotiated version."""
    with Following(source(engine, pace=POLLING)) as following:
        following.next()
        wait_for(lambda: engine.count("/tasks") > 3)
    assert set(engine.requests) <= {("GET", path) for path in PATHS}
    assert engine.versions == {"1.41"}


@pytest.mark.parametrize(
    ("newest", "oldest", "spoken"),
    [
        ("1.41", "1.12", "1.41"),
        ("1.40", "1.12", "1.40"),
        ("1.51", "1.24", "1.51"),
        ("1.52", "1.44", "1.51"),
        ("1.60", "1.55", "1.55"),
    ],
)
def test_version(engine, newest, oldest, spoken):
    """The newest version both sides know; beyond that the oldest the engine still speaks."""
    engine.replies["version"] |= {"ApiVersion": newest, "MinAPIVersion": oldest}
    source(engine).take()
    assert engine.versions == {spoken}


def test_take(engine):
    """One complete snapshot, with a larger number each time."""
    taker = source(engine)
    first, second = taker.take(), taker.take()
    assert first == second
    assert second.listing > first.listing
    assert engine.count("/events") == 0


def test_subscribes_before_listing(engine):
    """Otherwise what changes between the two would be missed."""
    with Following(source(engine)) as following:
        following.next()
    asked = [path for _, path in engine.requests]
    assert asked.index("/events") < asked.index("/services")


def test_events_query(engine):
    """Only cluster-wide events of the kinds that matter, and the last moments again."""
    with Following(source(engine)) as following:
        following.next()
    query = next(query for path, query in engine.queries if path == "/events")
    assert set(re.findall(r"\w+", query["filters"][0])) == {
        *("type", "service", "node", "network", "secret", "config"),
        *("scope", "swarm"),
    }
    assert query["since"][0].isdigit()


# -- following -----------------------------------------------------------------------------------------------


def test_event_leads_to_a_snapshot_that_keeps_what_did_not_change(engine):
    """One service changed: all other objects and mappings are the same ones."""
    with Following(source(engine)) as following:
        first = following.next()
        engine.label("shop", "1")
        second = following.next()
    assert label("shop", "1")(second)
    assert second.nodes is first.nodes
    assert second.networks is first.networks
    assert second.tasks is first.tasks
    changed = [id_ for id_ in first.services if first.services[id_] is not second.services[id_]]
    assert [first.services[id_].name for id_ in changed] == ["shop"]
    assert second.listing == first.listing


@pytest.mark.parametrize(
    ("kind", "listed"),
    [
        ("service", {"/services", "/tasks"}),
        ("node", {"/nodes", "/tasks"}),
        ("network", {"/networks", "/tasks"}),
        ("secret", set()),
        ("config", set()),
    ],
)
def test_event_says_what_to_list(engine, kind, listed):
    """The kind it is about, and tasks with it; secrets and configs are in no snapshot."""
    with Following(source(engine)) as following:
        following.next()
        engine.requests.clear()
        engine.tell(kind)
        wait_for(lambda: listed <= {path for _, path in engine.requests})
        before = {path for _, path in engine.requests}
        following.source.relist()
        following.next()
    assert before == listed


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        (b'{"Type": "service", "Action": "create", "Actor": {"ID": "x"}}', {"services", "tasks"}),
        (b'{"Type": "node", "Action": "update"}', {"nodes", "tasks"}),
        (b'{"Type": "network", "Action": "remove"}', {"networks", "tasks"}),
        (b'{"Type": "secret", "Action": "create"}', set()),
        (b'{"Type": "volume", "Action": "create"}', set()),
    ],
)
def test_kinds_of_an_event(line, kinds):
    """Tasks may follow from services, nodes and networks, so they are looked at in the same round."""
    assert kinds_of(line) == kinds


def test_nothing_is_yielded_while_nothing_changes(engine):
    """Listings that say the same as before, even in another order, are no news."""
    with Following(source(engine, pace=POLLING)) as following:
        following.next()
        engine.replies["services"] = engine.replies["services"][::-1]
        engine.replies["tasks"] = engine.replies["tasks"][::-1]
        engine.tell("service")
        wait_for(lambda: engine.count("/services") > 1 and engine.count("/tasks") > 5)
        assert following.pending == 0


def test_same_replies_are_not_read_again(engine, monkeypatch):
    """Polling a large cluster costs little while nothing changes."""
    reads = []
    real = decode.read
    monkeypatch.setattr(decode, "read", lambda kind, items: reads.append(kind) or real(kind, items))
    with Following(source(engine)) as following:
        following.next()
        following.source.relist()
        following.next()
    assert sorted(reads) == ["networks", "nodes", "services", "tasks"]


def test_relist_yields_even_if_nothing_changed(engine):
    """A new listing with a larger number, of the very same objects."""
    with Following(source(engine)) as following:
        first = following.next()
        following.source.relist()
        second = following.next()
    assert second == first
    assert second.listing > first.listing
    assert second is not first
    assert all(getattr(second, kind) is getattr(first, kind) for kind in ("nodes", "services", "tasks", "networks"))


def test_tasks_are_polled_without_events(engine):
    """No event tells of a task: a crash is found by listing."""
    with Following(source(engine, pace=POLLING)) as following:
        following.next()
        gone = engine.tasks_of("shop")[0]
        gone["Status"]["State"] = "failed"
        second = following.next()
    assert second.tasks[gone["ID"]].state == "failed"


def test_fast_while_something_moves_slow_otherwise(engine):
    """With a slow interval of hours, only motion makes the source look at the tasks again."""
    engine.replies["tasks"] = [t for t in engine.replies["tasks"] if t["Status"]["State"] == t["DesiredState"]]
    pace = Pace(fast=0.01, slow=NEVER, resync=NEVER, excited=0.0, **QUICK)
    with Following(source(engine, pace=pace)) as following:
        following.next()
        still = engine.count("/tasks")
        task = engine.tasks_of("shop")[0]
        task["DesiredState"] = "shutdown"
        following.source.relist()
        following.next()
        wait_for(lambda: engine.count("/tasks") > still + 5)
        task["Status"]["State"] = "shutdown"
        following.until(lambda s: s.tasks[task["ID"]].state == "shutdown")
        wait_for(lambda: engine.count("/tasks") == settled(engine))


def settled(engine):
    """How many task listings there are once a while has passed in which there could have been dozens."""
    before = engine.count("/tasks")
    threading.Event().wait(0.3)
    return before


def test_second_look_after_an_event(engine):
    """Swarm's orchestrator acts a moment after the event: the tasks are looked at again soon after."""
    with Following(source(engine)) as following:
        following.next()
        before = engine.count("/tasks")
        engine.tell("service")
        wait_for(lambda: engine.count("/tasks") == before + 2)


# -- consistency ---------------------------------------------------------------------------------------------


def test_task_of_a_service_that_was_not_listed_yet(engine):
    """A service made between listing services and listing tasks is in the snapshot together with its task."""
    service, task = copy.deepcopy(engine.service("shop")), copy.deepcopy(engine.tasks_of("shop")[0])
    service |= {"ID": "new-service"}
    service["Spec"]["Name"] = "new"
    task |= {"ID": "new-task", "ServiceID": "new-service"}

    def deploy(path):
        if path == "/tasks":
            engine.before_reply = None
            engine.replies["services"].append(service)
            engine.replies["tasks"].append(task)

    engine.before_reply = deploy
    with Following(source(engine)) as following:
        first = following.next()
    assert first.tasks["new-task"].service_id in first.services
    assert engine.count("/services") == 2


def test_tasks_of_a_removed_service(engine):
    """They outlive it for seconds: no part of the snapshot, and no reason to list services again and again."""
    id_ = engine.service("shop")["ID"]
    with Following(source(engine, pace=POLLING)) as following:
        following.next()
        engine.replies["services"] = [item for item in engine.replies["services"] if item["ID"] != id_]
        engine.tell("service", id_, "remove")
        second = following.until(lambda s: id_ not in s.services)
        assert not [task for task in second.tasks.values() if task.service_id == id_]
        listed = engine.count("/tasks")
        wait_for(lambda: engine.count("/tasks") > listed + 5)
    assert engine.count("/services") <= 4


def test_failed_listing_changes_nothing(engine):
    """Neither a refusal nor nonsense, of any kind, yields anything; when it is over the objects are the same."""
    with capture_logs() as logs, Following(source(engine)) as following:
        first = following.next()
        for path in ("/services", "/tasks", "/nodes", "/networks"):
            engine.failures = {path: (500, "rpc error: code = Unavailable")}
            before = engine.count(path)
            following.source.relist()
            wait_for(lambda path=path, before=before: engine.count(path) > before + 3)
            assert following.pending == 0
            engine.failures = {}
            second = following.next()
            assert second == first
            assert second.services is first.services
    failures = logged(logs, "source_failed")
    assert len(failures) == 4
    assert "GET /services answered 500: rpc error: code = Unavailable" in failures[0]["error"]
    assert all("gone_s" in entry for entry in logged(logs, "source_following")[1:])


@pytest.mark.parametrize("nonsense", [b"", b"[{", b'{"message": "hello"}', b"null", b'[{"ID": 7}]', b"<html>"])
def test_unreadable_listing_changes_nothing(engine, nonsense):
    """A proxy's error page with status 200, say."""
    with Following(source(engine)) as following:
        first = following.next()
        good, engine.replies["tasks"] = engine.replies["tasks"], nonsense
        before = engine.count("/tasks")
        following.source.relist()
        wait_for(lambda: engine.count("/tasks") > before + 3)
        assert following.pending == 0
        engine.replies["tasks"] = good
        assert following.next() == first


# -- the stream ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["ended", "cut", "garbage"])
def test_broken_stream(engine, how):
    """It is opened again, and what happened meanwhile is found."""
    with Following(source(engine)) as following:
        following.next()
        engine.label("shop", "1", tell=False)
        if how == "garbage":
            engine.send(b"<html>\n")
        else:
            engine.end_streams(cut=how == "cut")
        following.until(label("shop", "1"))
        wait_for(lambda: engine.streams == 1 and following.source.stats.reconnects == 1)
        engine.label("shop", "2")
        following.until(label("shop", "2"))
        assert following.source.stats.drift == 0


def test_deeply_nested_event(engine):
    """An event that nobody can read ends its stream, which is opened again: lbgen does not go deaf."""
    with capture_logs() as logs, Following(source(engine)) as following:
        following.next()
        for number in range(1, 4):
            engine.send(b'{"Type":' + b"[" * 200_000 + b"\n")
            wait_for(lambda number=number: following.source.stats.reconnects == number and engine.streams == 1)
        engine.label("shop", "1")
        following.until(label("shop", "1"))
    assert "not an event: " in logged(logs, "stream_lost")[0]["error"]
    assert UNEXPECTED.counts()[Part.STREAM] == 0


def test_stream_that_raises(engine, monkeypatch):
    """What nobody expected of a stream is counted, ends that stream, and it is opened again."""
    mistakes = [RuntimeError("a mistake")]
    received = EventStream.received

    def receiving(self, message):
        if mistakes:
            raise mistakes.pop()
        received(self, message)

    monkeypatch.setattr(EventStream, "received", receiving)
    with capture_logs() as logs, Following(source(engine)) as following:
        following.next()
        engine.label("shop", "1")
        following.until(label("shop", "1"))
        wait_for(lambda: following.source.stats.reconnects == 1 and engine.streams == 1)
        engine.label("shop", "2")
        following.until(label("shop", "2"))
    assert "a mistake" in logged(logs, "stream_lost")[0]["error"]
    assert UNEXPECTED.counts()[Part.STREAM] == 1


def test_source_that_raises(engine, other, monkeypatch):
    """What nobody expected while an engine is followed is counted, and the next endpoint is tried."""
    mistakes = [RuntimeError("a mistake")] * 3
    between = diff.between

    def differing(*args):
        if mistakes:
            raise mistakes.pop()
        return between(*args)

    monkeypatch.setattr(diff, "between", differing)
    with capture_logs() as logs, Following(source(engine, other)) as following:
        assert len(following.next().services) == len(recorded("services"))
    failed = logged(logs, "source_failed")
    assert {entry["error"].split(":")[0] for entry in failed} == {"unix"}
    assert "a mistake" in failed[0]["error"]
    assert UNEXPECTED.counts()[Part.SOURCE] == 3


def test_event_in_pieces(engine):
    """A line may arrive in several chunks, and several in one."""
    with Following(source(engine)) as following:
        following.next()
        engine.label("shop", "1", tell=False)
        event = b'{"Type":"service","Action":"update","Actor":{"ID":"x"}}\n'
        for piece in (event[:20], event[20:], b"\n" + event + event):
            engine.send(piece)
        following.until(label("shop", "1"))
        assert following.source.stats.reconnects == 0


def test_stream_may_be_silent_for_longer_than_a_request(engine):
    """In a quiet cluster there is nothing to tell: the timeout of requests is none of the stream."""
    with Following(source(engine, pace=replace(TOLD, timeout=2.0))) as following:
        following.next()
        threading.Event().wait(2.5)
        engine.label("shop", "1")
        following.until(label("shop", "1"))
        assert following.source.stats.reconnects == 0


def test_changes_while_there_was_no_stream_are_no_drift(engine):
    """Nobody could have told of them; they are found when the stream is back."""
    with Following(source(engine)) as following:
        following.next()
        engine.failures = {"/events": (500, "no")}
        engine.end_streams()
        wait_for(lambda: engine.count("/services") == 2 and engine.count("/events") > 3)
        engine.label("shop", "1", tell=False)
        engine.failures = {}
        following.until(label("shop", "1"))
        threading.Event().wait(0.2)
        following.source.relist()
        following.next()
        assert following.source.stats.drift == 0


def test_silent_stream(engine):
    """Full listings find what a silent stream did not tell; that is counted, and the stream replaced."""
    with capture_logs() as logs, Following(source(engine, pace=RESYNCING)) as following:
        following.next()
        engine.silent = True
        engine.label("shop", "1")
        following.until(label("shop", "1"))
        wait_for(lambda: following.source.stats.drift == 1)
        wait_for(lambda: following.source.stats.reconnects == 1)
    assert logged(logs, "source_drift")[0]["services"] == 1


def test_late_event_is_no_drift(engine):
    """A listing can show a change before the event about it arrives."""
    pace = Pace(fast=NEVER, slow=NEVER, resync=0.05, excited=0.0, **QUICK | {"grace": NEVER})
    with Following(source(engine, pace=pace)) as following:
        following.next()
        engine.label("shop", "1", tell=False)
        following.until(label("shop", "1"))
        engine.tell("service")
        wait_for(lambda: not following.source.follower.drift.suspects)
        assert following.source.stats.drift == 0


def test_told_changes_are_no_drift(engine):
    """Nor are changes of tasks, which nobody tells of."""
    with Following(source(engine, pace=RESYNCING)) as following:
        following.next()
        for value in "123":
            engine.tasks_of("shop")[0]["UpdatedAt"] = value
            engine.label("shop", value)
            following.until(label("shop", value))
        listings = following.source.stats.listings
        wait_for(lambda: following.source.stats.listings > listings + 3)
        assert following.source.stats.drift == 0


def test_without_a_stream_everything_is_polled(engine):
    """A proxy that forbids /events: said once, and still every change is seen."""
    engine.failures = {"/events": (403, "forbidden")}
    with capture_logs() as logs, Following(source(engine, pace=POLLING)) as following:
        following.next()
        engine.label("shop", "1", tell=False)
        following.until(label("shop", "1"))
        wait_for(lambda: engine.count("/events") > 3)
        assert following.source.stats.mode == "polling"
        assert following.source.stats.stream_age is None
        engine.failures = {}
        wait_for(lambda: following.source.stats.mode == "events")
    assert len(logged(logs, "stream_lost")) == 1
    assert "a socket proxy must allow GET to" in logged(logs, "stream_lost")[0]["error"]


def test_stats(engine):
    """What metrics read."""
    following = Following(source(engine))
    assert following.source.stats.mode == "none"
    with following:
        following.next()
        stats = following.source.stats
        assert (stats.mode, stats.endpoint, stats.cluster) == ("events", engine.endpoint, CLUSTER)
        assert (stats.drift, stats.listings, stats.reconnects) == (0, 1, 0)
        assert stats.stream_age >= 0


# -- several endpoints ---------------------------------------------------------------------------------------


def test_failover_when_an_engine_is_gone(engine, other):
    """The next endpoint goes on where the first one stopped, with the same objects."""
    with capture_logs() as logs, Following(source(engine, other)) as following:
        first = following.next()
        other.label("shop", "1", tell=False)
        engine.stop()
        second = following.until(label("shop", "1"))
        assert second.nodes is first.nodes
        assert second.tasks is first.tasks
        wait_for(lambda: other.streams == 1)
        assert following.source.stats.endpoint == other.endpoint
    assert len(logged(logs, "source_failed")) == 1


def test_first_endpoint_that_works(engine, other):
    """They are tried in order; one that never answered is only logged."""
    engine.stop()
    with capture_logs() as logs, Following(source(engine, other)) as following:
        following.next()
        assert following.source.stats.endpoint == other.endpoint
    assert "there is no such socket: mount it" in logged(logs, "source_failed")[0]["error"]


def test_one_endpoint_gone_and_back(engine):
    """Many attempts, one line in the log for the outage and one for its end."""
    with capture_logs() as logs, Following(source(engine)) as following:
        first = following.next()
        engine.stop()
        wait_for(lambda: logged(logs, "source_failed"))
        threading.Event().wait(0.5)
        engine.label("shop", "1", tell=False)
        engine.start()
        second = following.until(label("shop", "1"))
        assert second.nodes is first.nodes
    assert len(logged(logs, "source_failed")) == 1
    assert logged(logs, "source_following")[1]["gone_s"] > 0


@pytest.mark.parametrize("noticed_by", ["info", "lists"])
def test_failover_when_no_longer_a_manager(engine, other, noticed_by):
    """A demoted engine still answers, but not about services."""
    with capture_logs() as logs, Following(source(engine, other)) as following:
        following.next()
        engine.demote()
        if noticed_by == "info":
            engine.failures = {}
            engine.replies |= {"services": [], "tasks": [], "nodes": []}
        other.label("shop", "1", tell=False)
        following.source.relist()
        second = following.next()
        assert label("shop", "1")(second)
    assert "is not a Swarm manager; give the endpoint of one" in logged(logs, "source_failed")[0]["error"]


def test_hanging_engine(engine, other):
    """One that accepts requests and never answers counts as gone after the timeout."""
    pace = Pace(fast=0.05, slow=0.05, resync=NEVER, excited=0.0, **QUICK | {"timeout": 0.3})
    with capture_logs() as logs, Following(source(engine, other, pace=pace)) as following:
        following.next()
        other.label("shop", "1", tell=False)
        engine.hang()
        following.until(label("shop", "1"))
    assert "no answer for 0.3 s" in logged(logs, "source_failed")[0]["error"]


def test_hanging_at_first_contact(engine, other):
    """The same before anything was known."""
    engine.hang()
    pace = Pace(resync=NEVER, **QUICK | {"timeout": 0.3})
    with Following(source(engine, other, pace=pace)) as following:
        following.next()
        assert following.source.stats.endpoint == other.endpoint


def test_pause_between_rounds(engine, other):
    """Every endpoint once, in order, then a pause before the next round."""
    engine.failures = other.failures = {"/version": (500, "no")}
    pace = Pace(**QUICK | {"retry_min": NEVER, "retry_max": NEVER})
    with Following(source(engine, other, pace=pace)):
        wait_for(lambda: other.count("/version"))
        threading.Event().wait(0.2)
        assert (engine.count("/version"), other.count("/version")) == (1, 1)


def test_pause_after_a_session_that_broke_at_once(engine):
    """Connecting and listing works, the next request never does: that is no reason to try again without a pause."""
    pace = Pace(fast=0.01, slow=0.01, resync=NEVER, **QUICK | {"retry_min": NEVER, "retry_max": NEVER})
    with capture_logs() as logs, Following(source(engine, pace=pace)) as following:
        following.next()
        engine.failures = {"/tasks": (500, "no")}
        wait_for(lambda: logged(logs, "source_failed"))
        threading.Event().wait(0.2)
        assert engine.count("/version") == 1


def test_pauses_start_anew_after_a_long_session(engine):
    """One that lasted for longer than the longest pause; a shorter one leaves them as long as they were."""
    shift, pauses = [0.0], []
    pace = Pace(fast=NEVER, slow=NEVER, resync=NEVER, **QUICK | {"retry_min": 1.0, "retry_max": 64.0})
    followed = source(engine, pace=pace, clock=lambda: time.monotonic() + shift[0])
    pause = followed.mailbox.pause
    followed.mailbox.pause = lambda seconds: pauses.append(seconds) or pause(0.01)
    with Following(followed) as following:
        for lasted, restarted in ((0.0, False), (65.0, True)):
            engine.failures = {"/version": (500, "no"), "/tasks": (500, "no")}
            followed.relist()
            wait_for(lambda: pauses and pauses[-1] > 10.0)
            engine.failures = {}
            following.next()
            shift[0] += lasted
            before = len(pauses)
            engine.failures = {"/version": (500, "no"), "/tasks": (500, "no")}
            followed.relist()
            wait_for(lambda before=before: len(pauses) > before)
            assert (pauses[before] < 2.0) == restarted
            engine.failures = {}
            following.next()


# -- the right cluster ---------------------------------------------------------------------------------------


def test_endpoint_of_another_cluster(engine, other):
    """After a failover to the wrong Swarm nothing is yielded, however long it goes on."""
    other.replies["info"]["Swarm"]["Cluster"]["ID"] = "another"
    other.replies["services"] = []
    with capture_logs() as logs, Following(source(engine, other)) as following:
        first = following.next()
        engine.stop()
        wait_for(lambda: other.count("/info") > 3)
        assert following.pending == 0
        engine.start()
        wait_for(lambda: len(logged(logs, "source_following")) == 2)
        following.source.relist()
        assert following.next() == first
    refusals = [entry["error"] for entry in logged(logs, "source_failed") if "belongs" in entry["error"]]
    assert refusals == [
        f"{other.endpoint}: belongs to cluster another, but {CLUSTER} is followed: "
        "remove this endpoint, or restart lbgen to follow the other cluster"
    ]
    assert other.count("/services") == 0


def test_pinned_by_settings(engine):
    """A cluster id from outside holds from the first contact on."""
    with pytest.raises(SourceError, match="belongs to cluster"):
        source(engine, cluster="another").take()
    assert source(engine, cluster=CLUSTER).take().cluster == CLUSTER


@pytest.mark.parametrize("listing", ["services", "tasks", "everything"])
def test_engine_that_moves_to_another_cluster(engine, listing):
    """The same engine leaves its Swarm and makes a new, empty one: seen before a snapshot of it is made."""
    pace = POLLING if listing == "tasks" else TOLD
    with capture_logs() as logs, Following(source(engine, pace=pace)) as following:
        following.next()
        engine.replies["info"]["Swarm"]["Cluster"]["ID"] = "another"
        engine.replies |= {"services": [], "tasks": [], "nodes": recorded("nodes")[:1]}
        engine.replies["nodes"][0]["ID"] = "new"
        if listing == "services":
            engine.tell("service")
        elif listing == "everything":
            following.source.relist()
        wait_for(lambda: logged(logs, "source_failed"))
        wait_for(lambda: engine.count("/info") > 5)
        assert following.pending == 0
    assert "belongs to cluster another" in logged(logs, "source_failed")[0]["error"]


def test_swarm_without_a_leader(engine):
    """Managers that lost their majority say so in /info (moby: Info.Error) and know no cluster."""
    engine.replies["info"]["Swarm"] |= {"Cluster": None, "Error": "The swarm does not have a leader."}
    with pytest.raises(SourceError, match="cannot answer: The swarm does not have a leader"):
        source(engine).take()


@pytest.mark.parametrize(
    ("state", "remedy"),
    [("inactive", "docker swarm init"), ("locked", "docker swarm unlock"), ("pending", "still joining"), ("", "init")],
)
def test_not_in_a_swarm(engine, state, remedy):
    """Each local state has its remedy."""
    engine.replies["info"]["Swarm"] = {"LocalNodeState": state, "ControlAvailable": False}
    with pytest.raises(SourceError, match=remedy):
        source(engine).take()


def test_worker_names_the_managers(engine):
    """A worker knows who the managers are, and the error passes it on."""
    engine.demote()
    addresses = [manager["Addr"] for manager in recorded("info")["Swarm"]["RemoteManagers"]]
    with pytest.raises(SourceError, match="is not a Swarm manager") as raised:
        source(engine).take()
    assert all(address in str(raised.value) for address in addresses)


def test_take_names_every_endpoint(engine, other):
    """When none works, all reasons are given."""
    engine.stop()
    other.demote()
    with pytest.raises(SourceError) as raised:
        source(engine, other).take()
    assert engine.endpoint in str(raised.value)
    assert other.endpoint in str(raised.value)


# -- closing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "when", ["idle", "request hangs", "connecting hangs", "subscribing hangs", "engine gone", "never followed"]
)
def test_close(engine, when):
    """follow() ends, wherever it is. The timeouts are far away: only close() can have ended it."""
    pace = Pace(fast=NEVER, slow=NEVER, resync=NEVER, **QUICK | {"timeout": NEVER, "retry_max": NEVER})
    hangs = {"connecting hangs": "/version", "subscribing hangs": "/events"}
    if when in hangs:
        engine.hang(hangs[when])
    if when == "engine gone":
        engine.stop()
    following = Following(source(engine, pace=pace))
    if when == "never followed":
        following.source.close()
        assert list(following.source.follow()) == []
        return
    with following:
        if when in hangs:
            wait_for(lambda: engine.count(hangs[when]))
        elif when != "engine gone":
            following.next()
        if when == "request hangs":
            engine.hang()
            before = len(engine.requests)
            following.source.relist()
            wait_for(lambda: len(engine.requests) > before)
    engine.resume()
    wait_for(lambda: not engine.connections and engine.streams == 0, "connections and stream to be closed")


def test_close_ends_take(engine):
    """take() in another thread ends as well."""
    engine.hang()
    taker = source(engine, pace=Pace(**QUICK | {"timeout": NEVER}))
    errors = []

    def take():
        with pytest.raises(SourceError) as raised:
            taker.take()
        errors.append(str(raised.value))

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    wait_for(lambda: engine.requests)
    taker.close()
    thread.join(PATIENCE)
    assert errors == ["the source was closed"]


def test_generator_that_is_dropped(engine):
    """A reader that stops iterating leaves no stream behind."""
    follower = source(engine)
    snapshots = follower.follow()
    assert isinstance(next(snapshots), Snapshot)
    snapshots.close()
    wait_for(lambda: engine.streams == 0)
