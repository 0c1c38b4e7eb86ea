"""`lbgen hub rollout`: what it shows, and that a hub takes its commands up."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lbgen.cli.hub_rollout import rollout, rollout_lines
from lbgen.hub.rollout import Phase, Rollout
from lbgen.hub.rollout_store import Kept, RolloutStore
from tests.support.wait import wait_for

EDGE = {"version": "a", "wanted": "b", "refused": "", "error": "", "ready": True, "connected": True, "accept": ["x"]}
EDGES = {
    "c1": {**EDGE, "refused": "b", "error": "haproxy:\n[ALERT] no"},
    "e1": {**EDGE, "connected": False},
    "e2": {**EDGE, "accept": []},
    "e3": {**EDGE, "ready": False},
    "e4": EDGE,
    "e5": {**EDGE, "version": "", "wanted": "", "error": "signed by no authority"},
}
KEPT = Kept(
    Rollout(Phase.STOPPED, "b", "a", 1000.0, "c1 refused it: no"),
    {},
    {"c1": "has not gone back yet"},
    EDGES,
    ["c1"],
    "x: y",
)


def run(*words: str | Path) -> Result:
    """Run the command."""
    return CliRunner().invoke(rollout, list(map(str, words)), standalone_mode=True)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state of a hub that has stopped a rollout."""
    RolloutStore(tmp_path / "fleet").write(KEPT)
    return tmp_path


def test_lines() -> None:
    """Phase, versions, reason, who is waited for, and each edge on a line."""
    lines = list(rollout_lines(KEPT.document(), 1000.0 + 3700))
    assert lines[0] == "stopped for 1 h 1 min: stopped; who got it gets the version before"
    assert "reason   c1 refused it: no" in lines
    assert "waits    c1 has not gone back yet" in lines
    assert "the directory cannot be used, and nothing of it is handed out: x: y" in lines
    rows = {line.split()[0]: " ".join(line.split()) for line in lines[lines.index("") + 2 :]}
    assert rows == {
        "c1": "c1 canary a b refused it: haproxy: [ALERT] no",
        "e1": "e1 a b away",
        "e2": "e2 a b accepts nothing from a hub",
        "e3": "e3 a b not ready",
        "e4": "e4 a b ready",
        "e5": "e5 - - signed by no authority",
    }


@pytest.mark.parametrize("phase", Phase)
def test_each_phase(phase: Phase) -> None:
    """Each has words of its own."""
    document = replace(KEPT, rollout=Rollout(phase, "b", since=1.0)).document()
    assert next(rollout_lines(document, 62.0)).startswith(f"{phase.value} for 1 min 1 s: ")
    assert next(rollout_lines(Kept().document(), 5.0)) == "idle"


def test_status(state: Path) -> None:
    """As text, and as the document that the hub wrote."""
    assert "stopped for" in run("status", "--state", state).output
    assert json.loads(run("status", "--state", state, "--output", "json").output)["rollout"]["version"] == "b"


@pytest.mark.parametrize("command", ["resume", "abort"])
def test_commands(state: Path, command: str) -> None:
    """A hub finds the command, once."""
    store, taken = RolloutStore(state / "fleet"), list[str]()
    hub = threading.Thread(target=lambda: taken.append(wait_for(store.command)))
    hub.start()
    result = run(command, "--state", state)
    hub.join()
    assert (result.exit_code, taken) == (0, [command])
    assert store.command() == ""


def test_no_hub(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that nobody takes up is not left for a hub that is started tomorrow."""
    monkeypatch.setattr("lbgen.base.request_file.PATIENCE", 0.0)
    result = run("abort", "--state", state)
    assert result.exit_code == 4
    assert RolloutStore(state / "fleet").command() == ""


@pytest.mark.parametrize("command", ["status", "resume", "abort"])
def test_no_rollout(tmp_path: Path, command: str) -> None:
    """Where there is none, the message says how to begin one."""
    result = run(command, "--state", tmp_path)
    assert "set hub.fleet, and run lbgen" in str(result.exception)
