"""The result as a text for people and as JSON for programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bench import seats, trace
from bench.endurance import Deploys, Idle
from bench.hup import Hups
from bench.load import MODES
from bench.measure import BETWEEN, Outcome, Outcomes
from bench.stage import Block

REFERENCE = seats.LbgenPush.name  # the seat that the others are compared with


@dataclasses.dataclass(slots=True)
class Run:
    """Everything a run has found."""

    form: str
    head: dict[str, Any]
    outcomes: Outcomes
    blocks: Sequence[Block]
    skipped: Mapping[str, str]
    hups: Hups | None
    deploys: Deploys | None
    idle: Idle | None
    remarks: Sequence[str]


def text(run: Run) -> str:
    """The tables."""
    parts = [_head(run), _scale_up(run), *_matrices(run), _kinds(run)]
    parts += [_hups(run.hups)] if run.hups else []
    parts += [_deploys(run.deploys)] if run.deploys else []
    parts += [_idle(run.idle)] if run.idle else []
    parts += [_costs(run), _legend(run)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(run: Run) -> str:
    lines = [f"lbgen benchmark, {run.form} form"]
    lines += [f"  {key}: {value}" for key, value in run.head.items()]
    return "\n".join(lines)


# -- how soon ------------------------------------------------------------------------------------------------


def _scale_up(run: Run) -> str:
    """The one scenario with nothing else going on: every column, and the ratios."""
    found: dict[str, Outcome] = {}
    for (scenario, _), some in run.outcomes.items():
        if scenario == "scale-up":
            for seat, outcome in some.items():
                together = found.setdefault(seat, Outcome())
                for field in ("entered_stored", "entered", "inside", "live"):
                    getattr(together, field).extend(getattr(outcome, field))
    if not found:
        return ""
    reference = trace.spread(found[REFERENCE].entered_stored) if REFERENCE in found else None
    rows = []
    for seat, outcome in found.items():
        stored = trace.spread(outcome.entered_stored)
        row = [seat, str(len(outcome.entered_stored)), *_three(stored)]
        ratio = "-"
        if stored and reference and reference.median > 0:
            ratio = f"{stored.median / reference.median:.1f}"
        others = [trace.spread(samples) for samples in (outcome.inside, outcome.live, outcome.entered)]
        rows.append([*row, ratio, *(_cell(spread) for spread in others)])
    heads = ["seat", "n", "median", "min", "max", "x push", "in rotation", "said to be live", "since agent's stamp"]
    title = "scale-up: Swarm's store has the task running -> its first answer through the seat, ms"
    return f"{title}\n" + _table(heads, rows)


def _matrices(run: Run) -> Iterable[str]:
    titles = {
        "entered_stored": "new task: Swarm's store has it running -> its first answer through the seat, ms",
        "left": "leaving task: the store wants it gone -> the last request that it was given, ms",
        "out": "killed task: the store knows that it is dead -> the seat has it out of its rotation, ms",
        "disturbed": "killed task: it is dead -> begin of the last request that failed or was held up, ms",
    }
    for field, title in titles.items():
        wanted = ["kill"] if field in ("out", "disturbed") else [name for name, _ in run.outcomes if name != "kill"]

        def cell(outcome: Outcome, field: str = field) -> str:
            return _cell(trace.spread(getattr(outcome, field)))

        yield _matrix(run, f"{title}: median (min..max)", cell, wanted)
    scenarios = [name for name, _ in run.outcomes]
    yield _matrix(run, "requests that failed: on kept connections + on new ones / sent", _lost, scenarios)
    yield _matrix(run, f"requests answered well, but after more than {trace.SLOW * 1000:.0f} ms", _slow, scenarios)


def _matrix(run: Run, title: str, cell: Callable[[Outcome], str], scenarios: Sequence[str]) -> str:
    """Seats down, scenarios across; columns without anything in them are left out."""
    columns = [key for key in run.outcomes if key[0] in scenarios]
    columns.sort(key=lambda key: key[0] == BETWEEN)
    names = list(dict.fromkeys(seat for key in columns for seat in run.outcomes[key]))
    cells = {
        key: [cell(run.outcomes[key][seat]) if seat in run.outcomes[key] else "-" for seat in names] for key in columns
    }
    columns = [key for key in columns if set(cells[key]) != {"-"}]
    if not columns:
        return ""
    heads = ["seat", *(f"{scenario} {app}" for scenario, app in columns)]
    rows = [[seat, *(cells[key][number] for key in columns)] for number, seat in enumerate(names)]
    return f"{title}\n" + _table(heads, rows)


def _cell(spread: trace.Spread | None) -> str:
    return f"{_ms(spread.median)} ({_ms(spread.least)}..{_ms(spread.most)})" if spread else "-"


def _three(spread: trace.Spread | None) -> list[str]:
    return [_ms(value) for value in (spread.median, spread.least, spread.most)] if spread else ["-", "-", "-"]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f}"


# -- what was lost -------------------------------------------------------------------------------------------


def _lost(outcome: Outcome) -> str:
    failed = "+".join(str(outcome.counts[mode].failed) for mode in MODES if mode in outcome.counts)
    return f"{failed}/{sum(count.sent for count in outcome.counts.values())}"


def _slow(outcome: Outcome) -> str:
    return str(sum(count.slow for count in outcome.counts.values()))


def _kinds(run: Run) -> str:
    """Which failures they were."""
    lines = []
    for (scenario, app), found in run.outcomes.items():
        for seat, outcome in found.items():
            if said := _failures(outcome.counts):
                late = f" (not settled after 30 s in {outcome.unsettled} rounds)" if outcome.unsettled else ""
                lines.append(f"  {scenario} {app}, {seat}: {said}{late}")
    return "\n".join(["kinds of failure", *lines]) if lines else ""


def _sums(counts: Mapping[str, trace.Count]) -> str:
    said = [f"{mode} {count.sent} sent, {count.failed} failed, {count.slow} slow" for mode, count in counts.items()]
    return "; ".join(said) + f"; {_failures(counts) or 'no failure'}"


def _failures(counts: Mapping[str, trace.Count]) -> str:
    total = trace.Count()
    for count in counts.values():
        total.add(count)
    return ", ".join(f"{number} {kind}" for kind, number in total.failures.most_common())


# -- lbgen alone ---------------------------------------------------------------------------------------------


def _hups(found: Hups) -> str:
    return (
        f"nginx: {found.reloads} reloads of lbgen-nginx during updates, and as many of the same Nginx without lbgen\n"
        f"  lbgen-nginx: {_sums(found.lbgen)}\n  without lbgen: {_sums(found.alone)}"
    )


def _deploys(found: Deploys) -> str:
    last = len(found.samples) - 1
    shown = sorted({0, *(round(last * share / 8) for share in range(9))})
    rows = []
    for number in shown:
        sample = found.samples[number]
        row = [str(number), *(str(sample.get(key, "-")) for key in ("reloads", "workers", "old_workers"))]
        rows.append(row + [f"{sample[who][what]:.1f}" for who in ("haproxy", "lbgen") for what in ("rss", "pss")])
    heads = ["after deploy", "reloads", "workers", "old workers"]
    heads += [f"{who} {what} MB" for who in ("haproxy", "lbgen") for what in ("rss", "pss")]
    entered = trace.spread(found.entered)
    lines = [
        f"deploys, {found.seat}: {found.done} of {found.asked} rolling updates of 6 tasks in {found.seconds:.0f} s, "
        "start-first and stop-first in turn",
        f"reloads {found.reloads}; requests: {_sums(found.counts)}",
    ]
    if entered:
        spread = ", ".join(_ms(value) for value in (entered.median, entered.least, entered.most))
        lines.append(f"store has a task running -> its first answer, ms: median, min, max {spread} (n {entered.n})")
    return "\n".join(lines) + "\n" + _table(heads, rows)


def _idle(found: Idle) -> str:
    lines = [f"idle, {found.seat}: {found.services} services, {found.tasks} tasks, {found.seconds:.0f} s, no load"]
    rows = [
        [name, f"{share:.3%}", f"{found.memory[name]['rss']:.1f}", f"{found.memory[name]['pss']:.1f}"]
        for name, share in found.cpu.items()
    ]
    return "\n".join(lines) + "\n" + _table(["process", "of a core", "rss MB", "pss MB"], rows)


# -- around it -----------------------------------------------------------------------------------------------


def _costs(run: Run) -> str:
    """Processor time of each seat under load, averaged over the blocks."""
    shares: dict[str, list[float]] = {}
    for block in run.blocks:
        for seat, processes in block.cpu.items():
            shares.setdefault(seat, []).append(sum(processes.values()))
    if not shares:
        return ""
    rows = [[seat, f"{sum(some) / len(some):.1%}"] for seat, some in shares.items()]
    busy = ", ".join(f"{block.busy:.0%}" for block in run.blocks)
    return f"processor time under load and events (the machine was {busy} busy)\n" + _table(["seat", "of a core"], rows)


def _legend(run: Run) -> str:
    lines = ["seats"]
    used = {seat for found in run.outcomes.values() for seat in found}
    lines += [f"  {name}: {seat.what}" for name, seat in seats.ALL.items() if name in used]
    lines += [f"  {name}: skipped, {reason}" for name, reason in run.skipped.items()]
    lines += [f"note: {remark}" for remark in run.remarks]
    lines += [
        f"A request belongs to the event during which it was begun. x push: median divided by that of {REFERENCE}. "
        "Less than 0: before the store had it. In rotation: asked of the load balancer each 10 to 50 ms."
    ]
    return "\n".join(lines)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    lines = []
    for row in [heads, *rows]:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        cells[0] = row[0].ljust(widths[0])
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def _hups_plain(found: Hups | None) -> dict[str, Any] | None:
    if found is None:
        return None
    counts = {"lbgen-nginx": found.lbgen, "without lbgen": found.alone}
    return {"reloads": found.reloads} | {
        who: {mode: count.as_dict() for mode, count in some.items()} for who, some in counts.items()
    }


def document(run: Run) -> dict[str, Any]:
    """Everything, samples included, as JSON can hold it."""
    results = []
    for (scenario, app), found in run.outcomes.items():
        for seat, outcome in found.items():
            entry: dict[str, Any] = {"scenario": scenario, "application": app, "seat": seat}
            entry |= {"rounds": outcome.events, "unsettled": outcome.unsettled}
            entry |= {"never_entered": outcome.never_entered, "undisturbed": outcome.undisturbed}
            entry["requests"] = {mode: count.as_dict() for mode, count in outcome.counts.items()}
            for field in ("entered", "entered_stored", "inside", "live", "left", "out", "disturbed"):
                samples = getattr(outcome, field)
                spread = trace.spread(samples)
                entry[f"{field}_seconds"] = {"samples": samples, **(spread.as_dict() if spread else {})}
            results.append(entry)
    return {
        "version": 1,
        "form": run.form,
        "head": run.head,
        "skipped": dict(run.skipped),
        "results": results,
        "events": [_event(event) for block in run.blocks for event in block.events],
        "cpu": [{"application": block.app, "busy": block.busy, "seats": block.cpu} for block in run.blocks],
        "hups": _hups_plain(run.hups),
        "deploys": _plain(run.deploys),
        "idle": dataclasses.asdict(run.idle) if run.idle else None,
        "remarks": list(run.remarks),
    }


def _event(event: Any) -> dict[str, Any]:
    return dataclasses.asdict(event)


def _plain(found: Deploys | None) -> dict[str, Any] | None:
    if found is None:
        return None
    plain = {item.name: getattr(found, item.name) for item in dataclasses.fields(found)}
    return plain | {"counts": {mode: count.as_dict() for mode, count in found.counts.items()}}
