"""`status.edges`, `status.server_counts`: what an edge reports, and how a hub shows what others have reported."""

from __future__ import annotations

import threading
from typing import Any

import click
import pytest
from prometheus_client import generate_latest

from lbgen.base.errors import SourceError
from lbgen.cli.status_text import status_lines
from lbgen.hub.rollout import Phase, Rollout
from lbgen.hub.running import KnownEdge
from lbgen.hub.session import EdgeRecord
from lbgen.proxies.proxy import Seen
from lbgen.render.renderer import Files
from lbgen.source import Validity
from lbgen.source.hub.messages import MOST_UP, Report, TargetReport, read, written
from lbgen.status.edges import edge_document, report_of, rollout_document
from lbgen.status.metrics import registry_of
from lbgen.status.server_counts import PAUSE, SHARE, ServerCounts, counted
from lbgen.status.view import View
from tests.support.clock import Clock
from tests.support.wait import PATIENCE, wait_for
from tests.support.watched import AT, FakeLoop, FakeProxy, FakeTarget

FILES = Files({}, "0123456789ab")


class SlowProxy(FakeProxy):
    """A proxy that takes its time, and counts how often it is asked."""

    def __init__(self, clock: Clock, takes: float = 0.0) -> None:
        super().__init__({("web", "web.1"): Seen("up"), ("web", "web.2"): Seen("down 1/2")})
        self.clock, self.takes, self.asked = clock, takes, 0

    def seen(self) -> dict[tuple[str, str], Seen]:
        self.asked += 1
        self.clock.now += self.takes
        return super().seen()


@pytest.mark.parametrize(
    ("states", "counts"),
    [
        ([], {}),
        (["down", "up", "up 1/3", "up"], {"up": 3, "down": 1}),
        (["down (agent)", "down 1/2", "maint", "maint (via web)"], {"down": 2, "maint": 2}),
        (["drain", "nolb 1/3"], {"drain": 2}),
        (["\x1b[2J", "", "elsewhere"], {"other": 3}),
    ],
)
def test_counted(states: list[str], counts: dict[str, int]) -> None:
    """What proxies say is counted by a few words; what none of them is, is "other"."""
    assert counted(states) == counts


def test_report_has_the_servers_as_the_proxy_sees_them() -> None:
    """A report counts, for each target, what its proxy sees; a target that serves nothing yet is not asked."""
    clock = Clock()
    proxy, idle = SlowProxy(clock), SlowProxy(clock)
    targets = [FakeTarget("a", proxy=proxy, running=FILES), FakeTarget("b", proxy=idle)]
    report = report_of(View(FakeLoop(), targets), counts=ServerCounts(clock))
    assert [target.servers for target in report.targets] == [{"up": 1, "down": 1}, {}]
    assert idle.asked == 0
    assert read(written(report), MOST_UP) == report


def test_a_proxy_is_asked_at_a_bounded_pace() -> None:
    """Between two questions the last answer counts; a slow proxy is asked the more seldom the slower it is."""
    clock = Clock()
    proxy = SlowProxy(clock)
    target, counts = FakeTarget(proxy=proxy, running=FILES), ServerCounts(clock)
    counts.of(target)
    proxy.servers.clear()
    clock.now += PAUSE - 0.1
    assert counts.of(target) == {"up": 1, "down": 1}
    clock.now += 0.2
    proxy.takes = 2.0
    assert (counts.of(target), proxy.asked) == ({}, 2)
    clock.now += 2.0 * SHARE - 0.1
    counts.of(target)
    assert proxy.asked == 2
    clock.now += 0.2
    counts.of(target)
    assert proxy.asked == 3


def test_nobody_waits_for_a_question_of_another() -> None:
    """While a proxy keeps one thread waiting, another one gets what was known before."""
    waits, answers = threading.Event(), threading.Event()

    class Stuck(FakeProxy):
        def seen(self) -> dict[tuple[str, str], Seen]:
            waits.set()
            answers.wait(PATIENCE)
            return {("web", "web.1"): Seen("up")}

    target, counts = FakeTarget(proxy=Stuck(), running=FILES), ServerCounts()
    asking = threading.Thread(target=counts.of, args=[target], daemon=True)
    asking.start()
    assert waits.wait(PATIENCE)
    assert counts.of(target) == {}
    answers.set()
    asking.join(PATIENCE)
    wait_for(lambda: counts.of(target) == {"up": 1})


def a_hub(*targets: TargetReport, lbgen: str = "0.9.0") -> View:
    """A hub to which one edge has reported this."""
    record = EdgeRecord("e1", connected=True, lbgen=lbgen, report=Report(ready=True, targets=targets))
    return View(FakeLoop(), [], edges=lambda: [edge_document(KnownEdge("e1", None, record, revoked=False))])


def shown(view: View) -> list[str]:
    document: dict[str, Any] = view.status() | {"source": view.source()}
    return list(status_lines(document, {"problems": []}))


def test_status_counts_the_servers_of_each_edge() -> None:
    """Text and metrics have the sum over an edge's proxies, JSON has each."""
    view = a_hub(TargetReport("a", servers={"up": 3, "down": 1}), TargetReport("b", servers={"up": 2}))
    assert [target["servers"] for target in view.edges()[0]["targets"]] == [{"up": 3, "down": 1}, {"up": 2}]
    assert any("5 up, 1 down" in line for line in shown(view))
    assert 'lbgen_edge_servers{edge="e1",state="up"} 5.0' in generate_latest(registry_of(view)).decode()


def test_an_edge_writes_on_no_terminal() -> None:
    """What an edge reports cannot steer the terminal of who looks, nor make metrics grow."""
    view = a_hub(TargetReport("a", "\x1b[31m", "\n", "\x1b]0;", servers={"\x1b[2J": 1, "\x1b[3J": 2}), lbgen="\x1b[1m")
    assert not any("\x1b" in line for line in shown(view) if line.startswith("e1"))
    assert 'lbgen_edge_servers{edge="e1",state="other"} 3.0' in generate_latest(registry_of(view)).decode()


def test_rollout() -> None:
    """A hub that hands settings out shows how far it is: in JSON, text and metrics."""
    stopped = Rollout(
        Phase.STOPPED, "v2", "v1", AT, "edge7 refused\x1b it", frozenset({"edge7", "e8"}), frozenset({"e8"})
    )
    view = View(FakeLoop(), [], edges=list, rollout=lambda: rollout_document(stopped))
    assert view.status()["rollout"]["phase"] == "stopped"
    text = "stopped since 2026-11-22 10:00:00.000, version v2, 2 edges have got it, 1 are ready: edge7 refused"
    (line,) = (click.unstyle(line) for line in shown(view) if "rollout" in line)
    assert text in line
    assert "\x1b" not in line
    metrics = generate_latest(registry_of(view)).decode()
    assert 'lbgen_rollout_phase{phase="stopped"} 1.0' in metrics
    assert 'lbgen_rollout_phase{phase="canary"} 0.0' in metrics
    assert 'lbgen_rollout_edges{state="ready"} 1.0' in metrics


def test_no_rollout() -> None:
    """A hub that hands nothing out says nothing of it."""
    view = View(FakeLoop(), [], edges=list, rollout=lambda: rollout_document(None))
    assert view.status()["rollout"] is None
    assert not any("rollout" in line for line in shown(view))
    assert "lbgen_rollout" not in generate_latest(registry_of(view)).decode()


@pytest.mark.parametrize(
    "servers", [{str(number): 1 for number in range(21)}, {"x" * 301: 1}, {"up": -1}, {"up": 1 << 60}]
)
def test_counts_are_bounded(servers: dict[str, int]) -> None:
    """A report with too many counts, long words or no counts is refused at the hub."""
    with pytest.raises(SourceError):
        read(written(Report(targets=(TargetReport("a", servers=servers),))), MOST_UP)


def test_certificates_that_end():
    """What is wrong with a certificate of the fleet is a problem; of several edges in one lbgen the first counts."""
    ends = Validity("authority", 5000.0, "the authority ends", "rotate it")
    view = View(FakeLoop(), [], validities=lambda: [Validity("own", 3000.0), Validity("own", 2000.0), ends])
    assert [each["text"] for each in view.problems()["problems"]] == ["fleet: the authority ends; rotate it"]
    metrics = generate_latest(registry_of(view)).decode()
    assert 'lbgen_fleet_certificate_until_seconds{certificate="own"} 2000.0' in metrics
    assert 'lbgen_fleet_certificate_until_seconds{certificate="authority"} 5000.0' in metrics
