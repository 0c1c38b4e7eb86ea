"""The loop's numbers in Prometheus's terms, gathered when they are asked for: nothing here runs in the loop's thread.

Label values come from short fixed lists, from the settings' target names and, at a hub, from the edges that have
joined, never from Swarm, so the number of series does not grow; only that of `lbgen_generation_info` changes its label,
and loses the old one.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

import lbgen
from lbgen.base.unexpected import UNEXPECTED, Part, UnexpectedErrors
from lbgen.daemon.counters import BOUNDS, Histogram
from lbgen.hub.rollout import Phase
from lbgen.proxies.plan import Method, ReloadKind
from lbgen.status.server_counts import STATES
from lbgen.status.view import View

DRAINED = ("node", "host", "server", "unknown")
MODES = ("push", "events", "polling", "file", "none")
REASONS = (Method.START, *ReloadKind)  # for which a proxy is made to load files
# What a target counts, the metric of it, its help, its label besides the target, and what that can say.
COUNTERS = (
    ("renders", "lbgen_renders", "Renderings of a target's files.", "", ()),
    ("checks", "lbgen_checks", "Answers of the proxy's own checker.", "result", ("accepted", "refused", "unavailable")),
    ("live_changes", "lbgen_live_changes", "Changes made in the running proxy, without a reload.", "", ()),
    ("reloads", "lbgen_reloads", "Reloads and starts, by what made them necessary.", "reason", REASONS),
    ("published", "lbgen_publications", "Files that a proxy took without a reload.", "", ()),
    ("repairs", "lbgen_output_repairs", "Output directories made as they were.", "what", ("files", "connection")),
    ("refused", "lbgen_refusals", "Files that a template or the checker refused.", "", ()),
    ("apply_failed", "lbgen_apply_failures", "Attempts to bring files to the proxy that failed.", "", ()),
)


def registry_of(view: View, unexpected: UnexpectedErrors = UNEXPECTED) -> CollectorRegistry:
    """Return a registry of its own with everything that is counted in this view."""
    registry = CollectorRegistry()
    registry.register(_Numbers(view, unexpected))
    return registry


class _Numbers(Collector):
    def __init__(self, view: View, unexpected: UnexpectedErrors) -> None:
        self._view, self._unexpected = view, unexpected

    def collect(self) -> Iterator[Metric]:
        yield _gauge("lbgen_build_info", "Always 1; the label is the version.", "version", {lbgen.__version__: 1})
        for subject, numbers in (
            ("targets", self._targets),
            ("loop", self._loop),
            ("source", self._source),
            ("edges", self._edges),
            ("rollout", self._rollout),
            ("certificates", self._certificates),
        ):
            collected: list[Metric] = []
            self._unexpected.guard(Part.METRICS, subject).tried(partial(_collect, numbers, collected))
            yield from collected  # of what fails, as far as it came
        errors = CounterMetricFamily(
            "lbgen_unexpected_errors", "Exceptions that lbgen caught and did not expect: its mistakes.", labels=["part"]
        )
        for part, number in self._unexpected.counts().items():
            errors.add_metric([part], number)
        yield errors

    def _targets(self) -> Iterator[Metric]:
        targets = self._view.targets
        live = HistogramMetricFamily(
            "lbgen_change_live_seconds",
            "Seconds from Swarm's own time of a change to the proxy's proof that it is live.",
            labels=["target", "method"],
        )
        for target in targets:
            histograms = target.counters.histograms("change_live")
            for method in Method:
                _add(live, [target.name, method], histograms.get(method, Histogram()))
        yield live
        for what, name, text, label, kinds in COUNTERS:
            family = CounterMetricFamily(name, text, labels=["target", label] if label else ["target"])
            for target in targets:
                for kind, number in _by_kind(target.counters.counts(what), kinds or ("",)).items():
                    family.add_metric([target.name, kind] if label else [target.name], number)
            yield family
        ready = {target.name: int(target.ready) for target in targets}
        yield _gauge("lbgen_target_ready", "1 once the target has served a snapshot.", "target", ready)
        failing = {target.name: int(target.failing) for target in targets}
        yield _gauge("lbgen_target_failing", "1 while the newest model cannot be brought to it.", "target", failing)
        held = {target.name: len(target.quarantine.held) for target in targets}
        yield _gauge(
            "lbgen_quarantined_services", "Services whose configuration the target's proxy refuses.", "target", held
        )
        old = {target.name: seen for target in targets if (seen := target.old_workers.number) is not None}
        yield _gauge("lbgen_proxy_old_workers", "Workers that a reload has replaced, and that live on.", "target", old)
        generation = GaugeMetricFamily(
            "lbgen_generation_info", "Always 1; the label is what the proxy serves.", labels=["target", "generation"]
        )
        for target in targets:
            if running := target.running:
                generation.add_metric([target.name, running.generation], 1)
        yield generation

    def _loop(self) -> Iterator[Metric]:
        loop = self._view.loop
        rounds = HistogramMetricFamily(
            "lbgen_round_seconds", "Seconds from a snapshot to its model, with every target told.", labels=[]
        )
        _add(rounds, [], loop.counters.histograms("round").get("", Histogram()))
        yield rounds
        problems = len(self._view.problems()["problems"])
        yield GaugeMetricFamily("lbgen_problems", "Services and nodes that need their owner.", problems)
        yield _gauge("lbgen_servers", "Servers of all backends, by state.", "state", self._view.servers())
        kept = loop.kept.kept if loop.kept else {}
        yield GaugeMetricFamily(
            "lbgen_mislabelled_services", "Services that keep their previous labels for a mistake in theirs.", len(kept)
        )
        flapping = loop.flapping
        yield GaugeMetricFamily(
            "lbgen_flapping_services", "Services that keep earlier labels, since theirs flap.", len(flapping.problems)
        )
        yield CounterMetricFamily(
            "lbgen_label_changes_held",
            "Changes of labels that came while a service flapped.",
            flapping.counters.counts("label_changes_held").get("", 0),
        )
        kinds = _by_kind(Counter(each.kind or "unknown" for each in loop.drains.meant), DRAINED)
        yield _gauge("lbgen_drains", "Names that operators drain, by what has them.", "kind", kinds)
        yield GaugeMetricFamily("lbgen_servers_held", "Servers kept by the shrink guard until it is sure.", loop.held)

    def _edges(self) -> Iterator[Metric]:
        edges = {edge["name"]: edge for edge in self._view.edges() if not edge["revoked"]}
        if not edges:
            return
        for name, text, value in (
            ("connected", "1 while the edge is connected to this hub.", lambda edge: edge["connected"]),
            ("ready", "1 if the edge says that it has served a snapshot.", lambda edge: edge["ready"]),
            ("failing", "1 if a proxy of the edge cannot be brought to the newest model.", _is_failing),
            ("current", "1 if the edge has in force what it was sent last.", _is_current),
        ):
            numbers = {which: int(bool(value(edge))) for which, edge in edges.items()}
            yield _gauge(f"lbgen_edge_{name}", text, "edge", numbers)
        servers = GaugeMetricFamily(
            "lbgen_edge_servers", "Servers as the proxies of the edge see them, by state.", labels=["edge", "state"]
        )
        for which, edge in edges.items():
            for state, number in _servers(edge).items():
                servers.add_metric([which, state], number)
        yield servers

    def _rollout(self) -> Iterator[Metric]:
        if rollout := self._view.rollout():
            phases = {phase.value: int(phase.value == rollout["phase"]) for phase in Phase}
            yield _gauge("lbgen_rollout_phase", "1 for the phase of the hub's rollout.", "phase", phases)
            numbers = {state: rollout[state] for state in ("handed", "ready")}
            text = "Edges that were handed the newest version, and that are ready with it."
            yield _gauge("lbgen_rollout_edges", text, "state", numbers)

    def _certificates(self) -> Iterator[Metric]:
        """Yield when certificates of a fleet end: of several the first."""
        until: dict[str, float] = {}
        for each in self._view.validities():
            until[each.which] = min(each.until, until.get(each.which, each.until))
        if until:
            text = "When a certificate of the fleet ends, in seconds since 1970."
            yield _gauge("lbgen_fleet_certificate_until_seconds", text, "certificate", until)

    def _source(self) -> Iterator[Metric]:
        source = self._view.source()
        modes = {mode: int(mode == source["mode"]) for mode in MODES}
        yield _gauge("lbgen_source_mode", "1 for the way changes are learnt now.", "mode", modes)
        age = source["stream_age_seconds"]  # None makes no sample
        yield GaugeMetricFamily("lbgen_source_stream_age_seconds", "Seconds since the stream said anything.", age)
        for key, text in (
            ("drift", "Changes that a listing found and the stream had not told."),
            ("listings", "Full listings."),
            ("reconnects", "Streams opened, besides the first."),
        ):
            if key in source:
                yield CounterMetricFamily(f"lbgen_source_{key}", text, source[key])
        yield from self._parts()

    def _parts(self) -> Iterator[Metric]:
        """Yield how it goes with each source of several; their names are those of settings."""
        parts = [state for state in self._view.loop.source.states() if state.name]
        if not parts:
            return
        up = {state.name: int(not state.failing and state.mode != "none") for state in parts}
        yield _gauge("lbgen_source_part_up", "1 while something is learnt of the source.", "part", up)
        since = {state.name: state.failing_since for state in parts if state.failing_since}
        yield _gauge(
            "lbgen_source_part_failing_since_seconds", "Since when it fails, in seconds since 1970.", "part", since
        )
        modes = GaugeMetricFamily(
            "lbgen_source_part_mode", "1 for the way changes are learnt now.", labels=["part", "mode"]
        )
        members = GaugeMetricFamily(
            "lbgen_source_member_up", "1 while something is learnt of a host of it.", labels=["part", "member"]
        )
        for state in parts:
            for mode in MODES:
                modes.add_metric([state.name, mode], int(mode == state.mode))
            for member in state.members:
                members.add_metric([state.name, member.name], int(not member.failing and member.mode != "none"))
        yield modes
        yield members


def _servers(edge: Mapping[str, Any]) -> Counter[str]:
    """Count servers by the words of `STATES`, whatever an edge has written."""
    numbers = Counter[str]()
    for target in edge["targets"]:
        for state, number in target["servers"].items():
            numbers[state if state in STATES else "other"] += number
    return numbers


def _is_failing(edge: Mapping[str, Any]) -> bool:
    return any(target["failing"] for target in edge["targets"])


def _is_current(edge: Mapping[str, Any]) -> bool:
    return bool(edge["connected"] and edge["in_force"] == edge["sequence"])


def _collect(numbers: Callable[[], Iterable[Metric]], collected: list[Metric]) -> None:
    collected.extend(numbers())


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    counted = itertools.accumulate(list(histogram.times))  # a copy: the loop counts on
    family.add_metric(labels, list(zip([*map(str, BOUNDS), "+Inf"], counted, strict=True)), histogram.total)


def _by_kind(counts: Mapping[str, int], kinds: Iterable[str]) -> dict[str, int]:
    """Return the number of every kind, 0 included; what is of no known kind is "other"."""
    numbers = dict.fromkeys(kinds, 0)
    for which, number in counts.items():
        kind = which if which in numbers else "other"
        numbers[kind] = numbers.get(kind, 0) + number
    return numbers
