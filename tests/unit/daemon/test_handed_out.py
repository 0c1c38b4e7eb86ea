"""What an edge does with what a hub hands out: takes it, limited by its own file, or refuses it and says why."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from lbgen.base.errors import CheckFailed, LbgenError, SettingsError
from lbgen.daemon.handed_out import HandedOut
from lbgen.daemon.handed_out_store import HandedOutStore
from lbgen.settings import Settings, load_settings
from lbgen.source.hub.handout import Bundle, Handout
from tests.support.small_disk import BALLAST, needs_root, small_disk
from tests.support.wait import wait_for

OWN = """
discovery: {networks: [own]}
listeners: {web: {bind: ":8080"}}
targets:
  edge: {templates: haproxy}
  other: {templates: nginx}
"""
SETTINGS = {"discovery": {"networks": ["handed"], "via": "task"}}
TEMPLATES = {"haproxy/haproxy.cfg.j2": "{% extends 'haproxy/haproxy.cfg.j2' %}\r\n", "haproxy/_part.j2": "ä"}
BUNDLE = Bundle(SETTINGS, TEMPLATES)


class Edge:
    """An edge with a settings file and a state."""

    def __init__(self, root: Path) -> None:
        self.root, self.file = root, root / "lbgen.yml"
        self.accept = ["templates", "discovery"]
        self.refusal: Exception | None = None  # of its trial
        self.tried: list[Settings] = []
        self.taken = 0
        self.file.write_text(OWN)
        self.begin()

    def begin(self) -> None:
        """Start, or start again."""
        self.store = HandedOutStore(self.root / "fleet")
        signed = lambda _text, signature: signature == b"signed"  # noqa: E731
        self.out = HandedOut(self.store, "edge1", signed, self.read_own, lambda _own: self.accept, again=0.01)
        self.out.read()

    def run(self) -> None:
        """Act on messages from now on."""
        self.out.start(self.trial, self.take)

    def read_own(self, under: Mapping[str, Any]) -> Settings:
        """Read its settings."""
        return load_settings(self.file, {}, {}, under=under)

    def trial(self, settings: Settings) -> None:
        """Try settings as a test wants it."""
        self.tried.append(settings)
        if self.refusal:
            raise self.refusal

    def take(self) -> None:
        """Note that there are others to read."""
        self.taken += 1

    def hand(self, bundle: Bundle, sequence: int, edge: str = "edge1", by: bytes = b"signed") -> dict[str, Any]:
        """Have a hub hand something out, and the settings read; return what the hub is told."""
        self.out.act(Handout(edge, sequence, bundle).signed(lambda _: by))
        self.out.read()
        return self.out.report()

    def files(self) -> dict[str, str]:
        """Return all that is in the state, less the record."""
        found = (path for path in (self.root / "fleet").rglob("*") if path.is_file() and path.name != "current.json")
        return {path.relative_to(self.root / "fleet").as_posix(): path.read_bytes().decode() for path in found}


@pytest.fixture
def edge(tmp_path: Path) -> Edge:
    """An edge that was never handed anything."""
    edge = Edge(tmp_path)
    edge.run()
    return edge


def test_taken(edge: Edge) -> None:
    """What is handed out is under the edge's own; templates come before those of the target with their proxy."""
    assert edge.hand(BUNDLE, 1) == {"version": BUNDLE.version, "sequence": 1, "refused": "", "error": ""}
    settings = edge.out.read()
    assert settings.discovery.networks == ["own"]
    assert settings.discovery.via == "task"
    place = edge.root / "fleet" / BUNDLE.version
    assert settings.targets["edge"].templates == [str(place / "haproxy"), "haproxy"]
    assert settings.targets["other"].templates == ["nginx"]
    assert edge.files() == {f"{BUNDLE.version}/{path}": text for path, text in TEMPLATES.items()}
    assert edge.tried == [settings]
    assert edge.taken == 1


def test_an_edge_that_boots_without_a_hub(edge: Edge) -> None:
    """What was taken over last is in force from the first moment."""
    edge.hand(BUNDLE, 1)
    before = edge.out.read()
    edge.begin()
    assert edge.out.read() == before
    assert edge.out.report()["version"] == BUNDLE.version


def test_the_private_state(edge: Edge) -> None:
    """Nobody else reads it."""
    edge.hand(BUNDLE, 1)
    assert (edge.root / "fleet").stat().st_mode & 0o077 == 0
    assert edge.store.file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("bundle", "why"),
    [
        (Bundle({"source": {"file": "x"}}), "a hub never sets source.file"),
        (Bundle({"targets": {"edge": {"binary": "/bin/sh"}}}), "a hub never sets targets.edge.binary"),
        (Bundle({"listeners": {"web": {"bind": ":1"}}}), "does not accept listeners.web.bind"),
        (Bundle({"discovery": {"via": "nowhere"}}), "discovery.via"),
        (Bundle({}, {"haproxy/set.yml": "check: [sh]"}), "never sets check"),
        (Bundle({}, {"../../x.j2": ""}), "plain names"),
        (Bundle({}, {f"haproxy/{n}.j2": "x" * 250_000 for n in range(5)}), "more than 1 MiB"),
    ],
)
def test_refused(edge: Edge, bundle: Bundle, why: str) -> None:
    """What the edge's file does not accept, and what no hub may set, changes nothing; the hub is told why."""
    edge.hand(BUNDLE, 1)
    before = edge.out.read(), edge.files()
    report = edge.hand(bundle, 2)
    assert why in report.pop("error")
    assert report == {"version": BUNDLE.version, "sequence": 2, "refused": bundle.version}
    assert (edge.out.read(), edge.files()) == before
    assert edge.taken == 1


@pytest.mark.parametrize(
    ("edge_name", "by", "sequence", "why"),
    [
        ("edge2", b"signed", 2, "are for edge 'edge2'"),
        ("edge1", b"forged", 2, "signed by no authority"),
        ("edge1", b"signed", 1, ""),
        ("edge1", b"signed", 0, ""),
    ],
)
def test_not_for_this_edge(edge: Edge, edge_name: str, by: bytes, sequence: int, why: str) -> None:
    """What is for another edge, forged or old is not even looked at; and it takes no number away."""
    edge.hand(BUNDLE, 1)
    report = edge.hand(Bundle({"discovery": {"via": "host"}}), sequence, edge_name, by)
    assert why in report.pop("error")
    assert report == {"version": BUNDLE.version, "sequence": 1, "refused": ""}
    assert len(edge.tried) == 1


def test_refused_by_the_trial(edge: Edge) -> None:
    """The checker's own words get to the hub; what was unpacked is removed."""
    edge.hand(BUNDLE, 1)
    edge.refusal = CheckFailed(["haproxy"], "[ALERT] parsing haproxy.cfg:3")
    report = edge.hand(Bundle(SETTINGS, {"haproxy/other.j2": ""}), 2)
    assert "[ALERT] parsing haproxy.cfg:3" in report["error"]
    assert report["version"] == BUNDLE.version
    assert {name.partition("/")[0] for name in edge.files()} == {BUNDLE.version}


def test_an_unexpected_error(edge: Edge) -> None:
    """A mistake of lbgen's own in the trial is a refusal."""
    edge.refusal = ZeroDivisionError("secret")
    report = edge.hand(BUNDLE, 1)
    assert report["error"] == "an unexpected error, see the edge's log: ZeroDivisionError"
    assert report["version"] == ""


def test_a_long_error_is_cut(edge: Edge) -> None:
    """A hub is told no novels."""
    edge.refusal = SettingsError("x" * 10_000)
    assert len(edge.hand(BUNDLE, 1)["error"]) == 3000


def test_back_again(edge: Edge) -> None:
    """The version before comes back with a newer number; an empty one leaves the edge's own file alone."""
    other = Bundle({"discovery": {"via": "host"}}, {"haproxy/a.j2": ""})
    edge.hand(BUNDLE, 1)
    edge.hand(other, 2)
    assert edge.out.read().discovery.via == "host"
    assert edge.hand(BUNDLE, 3)["version"] == BUNDLE.version
    assert edge.out.read().discovery.via == "task"
    assert edge.hand(Bundle(), 4) == {"version": "", "sequence": 4, "refused": "", "error": ""}
    assert edge.out.read() == edge.read_own({})


def test_old_templates_are_removed(edge: Edge) -> None:
    """Those of the version before stay, as something may still render by them."""
    for number in range(1, 5):
        edge.hand(Bundle({}, {"haproxy/a.j2": str(number)}), number)
    assert sorted(edge.files().values()) == ["3", "4"]


def test_a_refusal_is_forgotten(edge: Edge) -> None:
    """What is taken over next is all that counts."""
    edge.hand(Bundle({"log": {}}), 1)
    assert edge.hand(BUNDLE, 2)["error"] == ""


def test_the_owner_accepts_less(edge: Edge) -> None:
    """The edge's own file is the last word, also later: then its own settings alone are in force, and the hub knows."""
    edge.hand(BUNDLE, 1)
    edge.accept = ["templates"]
    assert edge.out.read() == edge.read_own({})
    report = edge.out.report()
    assert (report["version"], report["refused"]) == ("", BUNDLE.version)
    assert "does not accept discovery" in report["error"]
    edge.accept = ["templates", "discovery"]
    edge.out.read()
    assert edge.out.report() == {"version": BUNDLE.version, "sequence": 1, "refused": "", "error": ""}


def test_templates_are_accepted_or_not(edge: Edge) -> None:
    """Templates are no setting, but take a word of their own."""
    edge.accept = ["discovery"]
    assert "does not accept templates" in edge.hand(BUNDLE, 1)["error"]
    assert edge.hand(Bundle(SETTINGS), 2)["error"] == ""


def test_own_settings_with_a_mistake(edge: Edge) -> None:
    """They are told as ever: nothing that was handed out can hide it."""
    edge.hand(BUNDLE, 1)
    edge.file.write_text("nonsense: 1\n")
    with pytest.raises(SettingsError, match="nonsense"):
        edge.out.read()


def test_own_settings_that_do_not_fit_any_more(edge: Edge) -> None:
    """Then they are in force alone."""
    edge.accept.append("listeners")
    edge.hand(Bundle({"listeners": {"two": {"bind": ":8081"}}}), 1)
    edge.file.write_text(OWN.replace(":8080", ":8081"))
    assert list(edge.out.read().listeners) == ["web"]
    assert "both bind" in edge.out.report()["error"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": 1}', '{"version": "x", "before": "", "refused": "", "error": "", "settings": []}'],
)
def test_a_damaged_state(edge: Edge, text: str) -> None:
    """It is told, and the edge goes on with its own settings."""
    edge.hand(BUNDLE, 1)
    edge.store.file.write_text(text)
    edge.begin()
    assert edge.out.read() == edge.read_own({})


def test_templates_that_are_lost(edge: Edge) -> None:
    """Settings without their templates are not what was handed out: the edge's own alone are in force."""
    edge.hand(BUNDLE, 1)
    for path in (edge.root / "fleet" / BUNDLE.version).rglob("*.j2"):
        path.unlink()
    edge.begin()
    assert edge.out.report()["version"] == ""
    assert "are missing" in edge.out.report()["error"]


def test_a_full_disk(edge: Edge) -> None:
    """What cannot be kept is not taken over."""
    (edge.root / "fleet").write_text("in the way")
    with pytest.raises(LbgenError, match="cannot be written"):
        edge.hand(BUNDLE, 1)
    assert edge.out.report()["version"] == ""
    assert edge.taken == 0


@needs_root
@pytest.mark.parametrize("how", ["full", "read-only"])
@pytest.mark.parametrize("trial", [None, CheckFailed(["haproxy"], "no")], ids=["taken", "refused"])
def test_a_disk_that_is_mended(tmp_path: Path, how: str, trial: CheckFailed | None) -> None:
    """What comes meanwhile is neither taken nor refused, which would stop it for all; it is told, and tried again."""
    with small_disk(tmp_path / "fleet") as disk:
        edge = Edge(tmp_path)
        edge.run()
        before = edge.hand(Bundle({"discovery": {"via": "task"}}, {"haproxy/_x.j2": "x"}), 1)
        files, edge.refusal = edge.files(), trial
        with disk.broken(how) as why, capture_logs() as logs:
            edge.out.receive(Handout("edge1", 2, BUNDLE).signed(lambda _: b"signed"))
            wait_for(lambda: edge.out.report()["error"])
            told = edge.out.report()
            assert told == before | {"error": told["error"]}
            assert told["error"].startswith(str(disk.path))
            assert f": cannot be written: {why}; " in told["error"]
            assert {name: text for name, text in edge.files().items() if name != BALLAST} == files
            assert HandedOutStore(disk.path).current.sequence == 1
        wait_for(lambda: edge.out.report()["sequence"] == 2)
        edge.out.stop()
    assert [entry["event"] for entry in logs] == ["handed_out_unwritten"]
    refused = BUNDLE.version if trial else ""
    assert (edge.store.current.refused, edge.store.current.version == BUNDLE.version) == (refused, not trial)


def test_messages(edge: Edge) -> None:
    """Messages are acted on in a thread of their own; of those that come meanwhile the newest alone is kept."""
    begun, go_on, act = threading.Event(), threading.Event(), edge.out.act
    seen: list[Mapping[str, Any]] = []

    def slowly(message: Mapping[str, Any]) -> None:
        seen.append(message)
        begun.set()
        assert go_on.wait(60)
        act(message)

    edge.out.act = slowly  # type: ignore[method-assign]
    messages = [Handout("edge1", sequence, BUNDLE).signed(lambda _: b"signed") for sequence in range(1, 5)]
    edge.out.receive(messages[0])
    assert begun.wait(60)
    for message in messages[1:]:
        edge.out.receive(message)
    go_on.set()
    wait_for(lambda: edge.out.report()["sequence"] == 4)
    edge.out.stop()
    assert seen == [messages[0], messages[3]]


def test_the_record(edge: Edge) -> None:
    """What is on disk can be read by people."""
    edge.hand(BUNDLE, 1)
    record = json.loads(edge.store.file.read_text())
    assert (record["version"], record["settings"]) == (BUNDLE.version, SETTINGS)
