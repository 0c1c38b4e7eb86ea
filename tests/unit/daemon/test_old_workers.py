"""`daemon.old_workers`: they are counted, told of once, and space the reloads, but nothing that is changed live."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from lbgen.daemon.old_workers import LOOK_INTERVAL
from lbgen.daemon.reload_schedule import LONGEST, LONGEST_URGENT
from lbgen.proxies.proxy import Workers
from tests.support.bench import INTERVAL, Bench
from tests.support.builders import a_snapshot, cluster

BALANCE = ("source", "random", "least-conn")


@pytest.fixture
def bench(tmp_path) -> Bench:
    """A target that serves `a_cluster()`, with its interval between reloads over."""
    made = Bench(tmp_path)
    assert made.bring()
    made.clock.now += LONGEST
    made.proxy.did.clear()
    return made


def test_reloads_are_spaced(bench):
    """With many old workers the next reload waits for a minute; there is a line when that begins, and a number."""
    bench.proxy.crowd = Workers(1, 20)
    assert bench.bring(2, BALANCE[0])
    (told, applied) = bench.logs
    assert (told["event"], told["old_workers"], told["interval_s"]) == ("reloads_spaced", 20, LONGEST)
    assert applied["event"] == "applied"
    assert bench.target.old_workers.number == 20
    bench.clock.now += LONGEST - 1.0
    assert not bench.bring(2, BALANCE[1])
    assert (bench.proxy.did, bench.logs) == (["reload"], [])
    assert bench.target.due() == bench.clock.now + 1.0
    bench.clock.now += 1.0
    assert bench.bring(2, BALANCE[1])


def test_live_changes_are_not(bench):
    """Servers come and go at once, whether or not a reload waits."""
    bench.proxy.crowd = Workers(1, 20)
    assert bench.bring(2, BALANCE[0])
    assert bench.bring(3, BALANCE[0])
    assert not bench.bring(1, BALANCE[0], "more")
    assert bench.proxy.did == ["reload", "change +1 -0", "change +0 -2"]


def test_a_new_service_waits_less(bench):
    """What only a reload can give servers is urgent."""
    bench.proxy.crowd = Workers(1, 20)
    assert bench.bring(2, BALANCE[0])
    facts = cluster(80, "127.1.0.1", "127.1.0.2")
    assert not bench.bring_to(a_snapshot(*facts))
    assert bench.target.due() == bench.clock.now + max(INTERVAL, LONGEST_URGENT)


def test_few_again(bench):
    """When there are few again, that is one line, and what waits is due; looks end with the last old worker."""
    bench.proxy.crowd = Workers(2, 20)
    assert bench.bring(2, BALANCE[0])
    assert not bench.bring(2, BALANCE[1])
    assert bench.target.old_workers.due() == bench.clock.now + LOOK_INTERVAL
    said = []
    for old in (20, 8, 9, 5, 4, 0):
        bench.proxy.crowd = Workers(2, old)
        bench.clock.now += LOOK_INTERVAL
        with capture_logs() as logs:
            bench.target.old_workers.look()
        said.append([entry["event"] for entry in logs])
    assert said == [[], [], [], [], ["reloads_spaced_over"], []]
    assert bench.target.due() <= bench.clock.now
    assert bench.target.old_workers.due() is None


def test_not_seen(bench):
    """A proxy whose workers nobody can count is reloaded as before, and has no number."""
    assert bench.bring(2, BALANCE[0])
    bench.clock.now += INTERVAL
    assert bench.bring(2, BALANCE[1])
    assert bench.target.old_workers.number is None
    assert bench.target.old_workers.due() is None
