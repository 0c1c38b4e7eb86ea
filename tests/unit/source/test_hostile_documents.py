"""Whatever an engine answers, or a file says: it is read, or a SourceError says where it is wrong. Nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from lbgen.base import documents
from lbgen.base.errors import SourceError
from lbgen.source import decode
from lbgen.source.engine.api import Engine
from lbgen.source.engine.endpoints import Endpoint
from lbgen.source.engine.events import kinds_of
from lbgen.source.engine.listing import Lister, Round
from lbgen.source.facts import EMPTY, KINDS
from lbgen.source.file import parse
from lbgen.source.swarmkit import objects
from lbgen.source.swarmkit import watch_pb2 as pb
from tests.support.engine_answers import NINE, Answers
from tests.support.fake_engine import recorded
from tests.support.mutants import mutants
from tests.support.paths import ROOT

STACKS = sorted((ROOT / "tests/compose").glob("*.yml"))

NUMBER = 200  # mutants of each document
ENDPOINT = Endpoint("unix:///x", "unix:///x")


class FakeEngine(Engine):
    """An engine that has these answers, and no connection."""

    def __init__(self, **replies: bytes) -> None:
        self.endpoint, self.replies = ENDPOINT, replies

    def body(self, path: str, _: object = None) -> bytes:
        return self.replies[path[1:]]


def asked(read: Callable[[], object]) -> str:
    """What is wrong with it, empty if nothing is; whatever else it raises is the test's."""
    try:
        read()
    except SourceError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", sorted(NINE))
def test_nine_answers(name):
    """Answers of wrong types and depths are errors that name path and place."""
    answer = NINE[name]
    read = {
        "/info": lambda engine: engine.cluster(),
        "/swarm": lambda engine: engine.asked("/swarm", lambda reply: decode.get(reply, "TLSInfo.TrustRoot", str, "")),
        "/services": lambda engine: Lister(engine).list("services", {}),
    }[answer.path]
    said = asked(lambda: read(FakeEngine(**{answer.path[1:]: answer.body})))
    assert said.startswith(f"{ENDPOINT.name}: GET {answer.path}")
    assert answer.place in said
    assert len(said) < 300


@pytest.mark.parametrize("name", ["info", "version", "swarm"])
def test_mutated_objects(name):
    """Mutants of an object are read, or refused by path."""
    outcomes = set()
    document = Answers.swarm() if name == "swarm" else recorded(name)
    for mutant in mutants(document, NUMBER):
        engine = FakeEngine(info=dumped(mutant), swarm=dumped(mutant), version=dumped(mutant))
        reads = {"info": engine.cluster, "version": engine.negotiate, "swarm": partial(Answers.root, engine)}
        outcomes.add(bool(asked(reads[name])))
    assert outcomes == {True, False}


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_listings(kind):
    """Mutants of a listing are read whole, with all that follows from it, or refused by path."""
    replies = {other: dumped(recorded(other)) for other in KINDS}
    outcomes = set()
    for mutant in mutants(recorded(kind), NUMBER):
        engine = FakeEngine(**replies | {kind: dumped(mutant)})
        outcomes.add(bool(asked(lambda engine=engine: Round(Lister(engine), EMPTY, {}).list(KINDS))))
    assert outcomes == {True, False}


def test_mutated_snapshot_files():
    """Mutants of a snapshot file are read, or refused with file and place."""
    document = json.loads((ROOT / "tests/fixtures/snapshot-lab.json").read_text())
    texts = [dumped(mutant).decode() for mutant in mutants(document, NUMBER)]
    outcomes = {bool(asked(partial(parse, text, "x.json"))) for text in texts}
    assert outcomes == {True, False}


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.stem)
def test_mutated_stack_files(path):
    """Mutants of a stack file are read, or refused with file and place."""
    document = documents.read(path, SourceError)
    texts = [dumped(mutant).decode() for mutant in mutants(document, NUMBER // 16)]
    outcomes = [asked(partial(parse, text, "x.yml")) for text in texts]  # all of them
    assert any(outcomes)


@pytest.mark.parametrize(
    "line", [b"[", b"1", b"[1]", b'{"Type": []}', b'{"Type": {}}', b'{"Type":' + b"[" * 200_000, b"\xff"]
)
def test_events(line):
    """A line that is not an event is refused as one."""
    assert asked(lambda: kinds_of(line)).startswith("not an event: ")


@pytest.mark.parametrize("seconds", [2**62, -(2**62), 10**12])
def test_pushed_time(seconds):
    """A pushed object with a time that is none is refused."""
    event = pb.WatchMessage.Event(action=pb.WATCH_ACTION_UPDATE)
    event.object.node.id = "n1"
    event.object.node.meta.created_at.seconds = seconds
    assert "is no time" in asked(lambda: objects.changes(pb.WatchMessage(events=[event]).SerializeToString()))


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()
