"""From the rename of a snapshot file to the HAProxy that has it: directly, and by hub and edge, side by side."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.hub import SERVICES, TASKS, facts, spread
from lbgen.source import decode
from tests.support.daemon import Daemon
from tests.support.ports import free_port
from tests.support.wait import wait_for


def live(rounds: int) -> dict[str, object]:
    """Measure so many changes of one task, each with the next server's address."""
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as ends:
        hub, edge, direct = (_daemon(Path(place), name) for name in ("hub", "edge", "direct"))
        url = f"https://127.0.0.1:{free_port()}"
        _lbgen("hub", "init", "--dir", str(hub.directory))
        authority = str(hub.directory / "authority.pem")
        hub.settings |= {"hub": {"bind": url.removeprefix("https://"), "authority": authority}, "targets": {}}
        edge.settings |= {"source": {"hub": {"urls": [url]}}}
        direct.settings |= {"source": {"file": str(hub.directory / "snapshot.json")}}
        _write(hub.directory, 0)
        for daemon in (hub, direct, edge):
            if daemon is edge:
                wait_for(lambda: hub.status("/readyz")[0] == 200)
                token = _lbgen("hub", "token", "bench", "--authority", authority)
                _lbgen("join", url, "--token", token, "--state", str(edge.directory / "state/edge"))
            daemon.save()
            daemon.start()
            ends.callback(_end, daemon)
        wait_for(lambda: _changes(edge) and _changes(direct))
        samples = [_round(hub.directory, number, (direct, edge)) for number in range(1, rounds + 1)]
    directly, through = zip(*samples, strict=True)
    extra = [b - a for a, b in samples]
    return {
        "services": SERVICES, "tasks": SERVICES * TASKS, "direct_ms": spread(directly), "edge_ms": spread(through),
        "hub_adds_ms": spread(extra), "ratio": round(statistics.median(through) / statistics.median(directly), 2),
    }  # fmt: skip


def _round(directory: Path, number: int, daemons: Sequence[Daemon]) -> list[float]:
    time.sleep(1.0)
    before = [_changes(daemon) for daemon in daemons]
    at = _write(directory, number)
    wait_for(lambda: all(_changes(daemon) != old for daemon, old in zip(daemons, before, strict=True)))
    return [(_changes(daemon) - at) * 1000 for daemon in daemons]


def _changes(daemon: Daemon) -> float:
    """When the last change was live, in seconds since 1970; 0: there is none."""
    from datetime import datetime

    document: dict[str, Any] = json.loads(daemon.status("/api/v1/history?limit=1")[1] or '{"changes": []}')
    return datetime.fromisoformat(document["changes"][0]["at"]).timestamp() if document["changes"] else 0.0


def _write(directory: Path, number: int) -> float:
    (directory / "new.json").write_text(json.dumps(decode.document(facts(number))))
    (directory / "new.json").replace(directory / "snapshot.json")
    return time.time()


def _daemon(place: Path, name: str) -> Daemon:
    (place / name).mkdir()
    daemon = Daemon(place / name, 80)
    daemon.settings |= {"state": str(place / name / "state"), "discovery": {"expose_by_default": True}}
    return daemon


def _lbgen(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "lbgen", *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _end(daemon: Daemon) -> None:
    if daemon.process:
        os.kill(daemon.process.pid, 15)
        daemon.process.wait(60)
