"""A hub's rollouts from the directory to the edges, with edges that answer as a test wants them to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from lbgen.hub.handing_out import AGAIN, MOST_AT_ONCE, UNREAD, HandingOut
from lbgen.hub.rollout import Phase
from lbgen.hub.rollout_events import SETTLE
from lbgen.hub.rollout_store import COMMAND, RolloutStore
from lbgen.hub.seen import Seen
from lbgen.settings.fleet import FleetSettings
from lbgen.source.hub.handout import Handout, opened
from tests.support.clock import Clock
from tests.support.small_disk import needs_root, small_disk

PAUSE = 60.0


class Edges:
    """Edges that take what they are handed, or refuse it."""

    def __init__(self, *names: str) -> None:
        self.seen = {name: Seen(True, 1.0, ("discovery", "templates"), True) for name in names}
        self.got: list[Handout] = []
        self.refusing: dict[str, str] = {}  # name -> error
        self.falling: set[str] = set()
        self.silent: set[str] = set()

    def send(self, name: str, message: dict[str, Any]) -> None:
        """Take what the hub sends."""
        before = self.seen[name].fleet
        handout = opened(message, name, before.get("sequence", 0), lambda _text, signature: signature == b"signed")
        self.got.append(handout)
        version = handout.bundle.version
        if name in self.silent:
            return
        if name in self.refusing and version:
            said = {**before, "refused": version, "error": self.refusing[name]}
        else:
            said = {"version": version}
            self.change(name, ready=name not in self.falling or not version)
        self.change(name, fleet={**said, "sequence": handout.sequence})

    def change(self, name: str, **changed: object) -> None:
        """Have the hub see something else of an edge."""
        self.seen[name] = replace(self.seen[name], **changed)  # type: ignore[arg-type]

    def handed(self) -> str:
        """Return who was handed something since the last time, and whether it was something: c1+ e1-."""
        found = " ".join(f"{each.edge}{'-' if each.bundle.empty else '+'}" for each in self.got)
        self.got.clear()
        return found

    def versions(self) -> dict[str, str]:
        """Return what each edge has."""
        return {name: seen.fleet.get("version", "") for name, seen in self.seen.items()}


class Hub:
    """A hub with a directory, a store, a clock, and edges."""

    def __init__(self, root: Path, *names: str) -> None:
        self.root, self.clock, self.edges = root, Clock(), Edges(*names)
        self.save("discovery: {drain_grace: 1s}")
        self.begin()

    def begin(self) -> None:
        """Start, or start again."""
        settings = FleetSettings.model_validate(
            {"directory": self.root / "fleet", "canaries": ["c1"], "pause": f"{PAUSE:g}s"}
        )
        self.store = RolloutStore(self.root / "state")
        send: Callable[[str, dict[str, Any]], None] = self.edges.send
        self.out = HandingOut(settings, self.store, lambda _: b"signed", lambda: self.edges.seen, send, self.clock)

    def save(self, settings: str) -> None:
        """Save the group of all edges."""
        group = self.root / "fleet" / "all"
        group.mkdir(parents=True, exist_ok=True)
        (group / "group.yml").write_text("edges: ['*']\n")
        (group / "settings.yml").write_text(settings + "\n")

    def ask(self, command: str) -> None:
        """Leave a command, as `RolloutStore.ask` does, which waits for an answer."""
        (self.root / "state" / COMMAND).write_text(command + "\n")

    def steps(self, count: int = 3) -> Phase:
        """Look some times without any time passing."""
        for _ in range(count):
            self.out.step()
        return self.out.rollout.phase

    def whole(self) -> None:
        """Roll out what is saved."""
        self.steps()
        self.clock.now += PAUSE
        self.steps()
        self.clock.now += SETTLE
        assert self.steps() is Phase.DONE
        self.edges.got.clear()

    def again(self, settings: str) -> None:
        """Save something else, and have it noticed."""
        self.save(settings)
        self.out.saved()


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    """A hub with one canary and two others, at which nothing was ever handed out."""
    return Hub(tmp_path, "c1", "e1", "e2")


def test_canary_then_the_rest(hub: Hub) -> None:
    """The canary gets it at once, nobody else before the pause is over."""
    assert hub.steps() is Phase.PAUSE
    assert hub.edges.handed() == "c1+"
    hub.clock.now += PAUSE - 1
    assert hub.steps() is Phase.PAUSE
    assert hub.edges.handed() == ""
    hub.clock.now += 1
    assert hub.steps() is Phase.DONE
    assert hub.edges.handed() == "e1+ e2+"
    assert len({*hub.edges.versions().values()}) == 1


def test_a_canary_refuses(hub: Hub) -> None:
    """It is stopped, the canary keeps what it has, the others never hear of it, and the reason is told."""
    hub.whole()
    before = hub.edges.versions()
    hub.edges.refusing["c1"] = "haproxy refused it"
    hub.again("discovery: {drain_grace: 2s}")
    hub.steps()
    hub.clock.now += SETTLE
    assert hub.steps() is Phase.ROLLED_BACK
    assert hub.edges.handed() == "c1+"
    assert hub.edges.versions() == before
    assert hub.out.rollout.reason == "c1 refused it: haproxy refused it"


def test_readiness_falls(hub: Hub) -> None:
    """A canary that is no longer ready with it goes back to the version before by itself."""
    hub.whole()
    before = hub.edges.versions()
    hub.edges.falling.add("c1")
    hub.again("discovery: {drain_grace: 2s}")
    hub.steps()
    assert [each.edge for each in hub.edges.got] == ["c1", "c1"]
    assert hub.edges.versions() == before


def test_falls_in_the_pause(hub: Hub) -> None:
    """Also when it is ready at first."""
    hub.steps()
    hub.edges.change("c1", ready=False)
    assert hub.steps() is Phase.STOPPED
    assert hub.edges.handed() == "c1+ c1-"
    assert hub.out.rollout.reason == "c1 is no longer ready with it"


def test_one_of_the_rest_refuses(hub: Hub) -> None:
    """All that have it go back, canaries too; who comes later does not get it."""
    hub.whole()
    before = hub.edges.versions()
    hub.edges.change("e2", connected=False)
    hub.edges.refusing["e1"] = "no"
    hub.again("discovery: {drain_grace: 2s}")
    hub.steps()
    hub.clock.now += PAUSE
    hub.steps()
    assert hub.edges.handed() == "c1+ e1+ c1+"
    hub.edges.change("e2", connected=True, since=2.0)
    hub.steps()
    assert hub.edges.handed() == ""
    assert hub.edges.versions() == before


def test_the_first_is_refused(hub: Hub) -> None:
    """Without a version before there are the edges' own files."""
    hub.edges.falling.add("c1")
    hub.steps()
    assert hub.edges.handed() == "c1+ c1-"
    assert set(hub.edges.versions().values()) == {""}


def test_abort_and_resume(hub: Hub) -> None:
    """Commands are files that the hub looks for; each is acted on once."""
    hub.steps()
    hub.ask("abort")
    hub.steps()
    hub.clock.now += SETTLE
    assert hub.steps() is Phase.ROLLED_BACK
    assert hub.out.rollout.reason == "lbgen hub rollout abort"
    assert hub.edges.handed() == "c1+ c1-"
    hub.ask("resume")
    assert hub.steps() is Phase.PAUSE
    hub.ask("resume")
    assert hub.steps() is Phase.DONE
    assert hub.edges.handed() == "c1+ e1+ e2+"
    hub.ask("nonsense")
    assert hub.steps() is Phase.DONE


def test_resume_after_a_refusal(hub: Hub) -> None:
    """What an edge refused it is handed once more, and no oftener, as its own settings may be others now."""
    hub.edges.refusing["c1"] = "no"
    hub.steps()
    hub.clock.now += SETTLE
    assert hub.steps() is Phase.ROLLED_BACK
    hub.ask("resume")
    hub.steps(5)
    assert hub.edges.handed() == "c1+ c1+"
    del hub.edges.refusing["c1"]
    hub.clock.now += SETTLE
    hub.ask("resume")
    assert hub.steps() is Phase.PAUSE


def test_so_many_at_once(tmp_path: Path) -> None:
    """Messages are as large as the bundle: a thousand edges do not get theirs in one moment."""
    hub = Hub(tmp_path, "c1", *(f"e{number}" for number in range(2 * MOST_AT_ONCE)))
    hub.steps()
    hub.edges.silent |= {f"e{number}" for number in range(2 * MOST_AT_ONCE)}
    hub.clock.now += PAUSE
    hub.steps(5)
    assert len(hub.edges.got) == 1 + MOST_AT_ONCE
    hub.clock.now += UNREAD
    hub.steps(5)
    assert len(hub.edges.got) == 1 + 2 * MOST_AT_ONCE


def test_an_old_refusal(hub: Hub) -> None:
    """While an edge tries what it was handed once more, what it says is about the time before."""
    hub.edges.refusing["c1"] = "no"
    hub.steps()
    hub.clock.now += SETTLE
    hub.steps()
    hub.edges.silent.add("c1")
    hub.ask("resume")
    assert hub.steps(5) is Phase.CANARY
    assert hub.edges.handed() == "c1+ c1+"


def test_a_hub_that_is_started_again(hub: Hub) -> None:
    """It goes on where it was, and numbers go on as well: an edge takes no number twice."""
    hub.steps()
    hub.begin()
    assert hub.steps() is Phase.PAUSE
    assert hub.edges.handed() == "c1+"
    hub.ask("abort")
    hub.begin()
    assert hub.steps() is Phase.STOPPED
    assert [each.sequence for each in hub.edges.got] == [2]


def test_a_hub_that_has_lost_its_state(hub: Hub) -> None:
    """Edges say which number they had last."""
    hub.whole()
    for file in (hub.root / "state").iterdir():
        file.unlink()
    hub.begin()
    assert hub.steps() is Phase.PAUSE
    assert hub.edges.handed() == ""
    hub.again("discovery: {drain_grace: 2s}")
    hub.steps()
    assert [each.sequence for each in hub.edges.got] == [2]


def test_a_damaged_state(hub: Hub) -> None:
    """What cannot be read is told, and the directory is rolled out as the first version."""
    hub.whole()
    (hub.root / "state" / "rollout.json").write_text("{")
    hub.begin()
    assert hub.steps() is Phase.PAUSE


def test_a_lost_version(hub: Hub) -> None:
    """What is to be gone back to is gone: edges keep what they have, and the next version can be rolled out."""
    hub.whole()
    hub.again("discovery: {drain_grace: 2s}")
    hub.steps()
    for file in (hub.root / "state").glob("*.json"):
        if file.name != "rollout.json":
            file.unlink()
    hub.begin()
    hub.ask("abort")
    hub.edges.got.clear()
    hub.steps()
    hub.clock.now += SETTLE
    assert hub.steps() is Phase.ROLLED_BACK
    assert hub.edges.handed() == ""
    hub.again("discovery: {drain_grace: 3s}")
    assert hub.steps() is Phase.PAUSE


def test_a_canary_goes_away(hub: Hub) -> None:
    """Nobody knows how it is: it is waited for, and the pause begins anew."""
    hub.steps()
    hub.edges.change("c1", connected=False)
    hub.clock.now += PAUSE + 1
    assert hub.steps() is Phase.CANARY
    assert hub.store.document()["awaited"] == {"c1": "is not connected"}
    hub.edges.change("c1", connected=True, since=2.0)
    assert hub.steps() is Phase.PAUSE
    hub.clock.now += PAUSE - 1
    assert hub.steps() is Phase.PAUSE


def test_edges_that_accept_nothing(hub: Hub) -> None:
    """They are left alone, and hold nothing up."""
    hub.edges.change("e1", accept=())
    hub.whole()
    assert hub.edges.versions()["e1"] == ""
    assert hub.edges.versions()["e2"]


def test_one_answer_at_a_time(hub: Hub) -> None:
    """An edge that is busy with it is not handed it once more, but over a new connection it is."""
    hub.edges.silent.add("c1")
    hub.steps(5)
    assert hub.edges.handed() == "c1+"
    hub.edges.change("c1", since=2.0)
    hub.steps(5)
    assert hub.edges.handed() == "c1+"


def test_an_edge_that_answers_something_else(hub: Hub) -> None:
    """It says neither that it has it nor that it refused it: it is asked again, but not all the time."""
    hub.edges.silent.add("c1")
    hub.steps()
    hub.edges.change("c1", fleet={"version": "", "sequence": 1})
    hub.steps(5)
    assert hub.edges.handed() == "c1+"
    hub.clock.now += AGAIN
    hub.steps(5)
    assert hub.edges.handed() == "c1+"


def test_a_mistake_in_the_directory(hub: Hub) -> None:
    """It is told, and nothing changes."""
    hub.whole()
    before = hub.edges.versions()
    hub.again("source: {file: x}")
    assert hub.steps() is Phase.DONE
    assert "never sets source.file" in hub.store.document()["refused"]
    hub.again("discovery: {drain_grace: 1s}")
    assert hub.steps() is Phase.DONE
    assert hub.store.document()["refused"] == ""
    assert hub.edges.handed() == ""
    assert hub.edges.versions() == before


def test_nothing_for_some(hub: Hub) -> None:
    """A version that changes nothing for an edge is not handed to it."""
    hub.whole()
    (hub.root / "fleet" / "zz").mkdir()
    (hub.root / "fleet" / "zz" / "group.yml").write_text("edges: [e2]\n")
    (hub.root / "fleet" / "zz" / "settings.yml").write_text("discovery: {via: task}\n")
    hub.out.saved()
    assert hub.steps() is Phase.PAUSE
    hub.clock.now += PAUSE
    hub.steps()
    assert hub.edges.handed() == "e2+"


def test_an_abort_after_the_end(hub: Hub) -> None:
    """Everybody goes back to the version before."""
    hub.whole()
    before = hub.edges.versions()
    hub.again("discovery: {drain_grace: 2s}")
    hub.whole()
    assert hub.edges.versions() != before
    hub.ask("abort")
    hub.steps()
    assert hub.edges.handed() == "c1+ e1+ e2+"
    assert hub.edges.versions() == before


@pytest.mark.parametrize(
    "fleet", [{"sequence": "x"}, {"sequence": -1}, {"version": ["x"]}, {"refused": None}, {"x": 1}]
)
def test_strange_reports(hub: Hub, fleet: dict[str, Any]) -> None:
    """What an edge says in another form harms nobody."""
    hub.edges.change("e1", fleet=fleet)
    assert hub.steps() is Phase.PAUSE


def test_old_versions_are_removed(hub: Hub) -> None:
    """Only what is rolled out, and what may be gone back to, stays on disk; what is written can be read by people."""
    for number in range(1, 5):
        hub.again(f"discovery: {{drain_grace: {number}s}}")
        hub.whole()
    files = {file.name for file in (hub.root / "state").iterdir()}
    assert len(files) == 3
    document = json.loads((hub.root / "state" / "rollout.json").read_text())
    assert document["edges"]["e1"]["version"] == document["edges"]["e1"]["wanted"] != ""


@needs_root
@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_disk_that_is_mended(tmp_path: Path, how: str) -> None:
    """Nothing is handed out that is not on disk; what was saved meanwhile is rolled out once there is room."""
    with small_disk(tmp_path / "state") as disk:
        hub = Hub(tmp_path, "c1", "e1")
        hub.whole()
        state, before = (disk.path / "rollout.json").read_bytes(), hub.edges.versions()
        with capture_logs() as logs:
            with disk.broken(how) as why:
                hub.again("discovery: {drain_grace: 2s}")
                for _ in range(3):
                    hub.out.look()
                assert (hub.edges.handed(), hub.edges.versions()) == ("", before)
                assert (disk.path / "rollout.json").read_bytes() == state
            hub.out.look()
        assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["rollout_unwritten"]
        assert logs[0]["error"].startswith(str(disk.path))
        assert f": cannot be written: {why}; " in logs[0]["error"]
        hub.steps()
        assert hub.edges.handed() == "c1+"
