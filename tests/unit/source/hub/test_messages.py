"""The wire format: golden files, other versions, and what is wrong, too large or meant to exhaust."""

from __future__ import annotations

import json
import os
import tracemalloc
import zlib
from pathlib import Path

import pytest

from lbgen.source.hub.messages import (
    MESSAGES,
    MOST_DOWN,
    MOST_UP,
    BadMessage,
    Bye,
    Changes,
    Fleet,
    Hello,
    Message,
    Offer,
    Report,
    Resend,
    Same,
    State,
    TargetReport,
    Welcome,
    Whole,
    negotiated,
    packed,
    read,
    written,
)
from tests.support.paths import ROOT

GOLDEN = ROOT / "tests" / "golden" / "wire-1"
NODE = {"ID": "n1", "Spec": {"Role": "worker"}, "Status": {"State": "ready", "Addr": "192.0.2.1"}}
EXAMPLES: list[Message] = [
    Hello("1.0", "0.9.0", True, False, ("templates",), "0123"),
    Welcome("1.0", "0.9.0", "m1", True, 0.5, "tcp://m1:2376: connection refused"),
    Whole(7, "0123", {"version": 2, "taken_at": "", "parts": {"": {"cluster": "c1", "nodes": [NODE]}}}),
    Same(7, "0123"),
    Changes(7, 9, {"": {"nodes": [NODE]}}, {"tasks": ["t1"]}, {"": "c1"}),
    Resend("a gap"),
    State("no endpoint answers"),
    Report(
        "0.9.0", True, (), True, 9, 2, {"up": 3, "drain": 1},
        (TargetReport("edge", "haproxy", "2.6.12", "abc", True, True, "refused", ("web",), {"up": 3}),), {"version": 4},
    ),
    Offer(True, False, {"nodes": [NODE]}, {"tasks": ["t1"]}, False),
    Fleet({"version": 4}),
    Bye("revoked", "by an operator"),
]  # fmt: skip


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda each: each.type)
def test_golden(message: Message) -> None:
    """Each message is written as its golden file has it, and read back as it was: other versions depend on it."""
    path = GOLDEN / f"{message.type}.json"
    text = json.dumps(json.loads(written(message)), indent=1) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text
    assert read(path.read_text(), MOST_UP) == message


def test_every_message_has_its_golden_file() -> None:
    """No message is forgotten, and no file is of a message that there is no more."""
    assert sorted(each.type for each in MESSAGES) == sorted(path.stem for path in Path(GOLDEN).glob("*.json"))


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda each: each.type)
def test_fields_of_a_newer_version_are_passed_over(message: Message) -> None:
    """A newer lbgen may say more in a message."""
    body = json.loads(written(message)) | {"newer": {"deep": [1]}}
    assert read(json.dumps(body), MOST_UP) == message


def test_messages_of_a_newer_version() -> None:
    """One of an unknown type is passed over, unless it says that it is needed."""
    assert read('{"type": "weather", "rain": true}', MOST_UP) is None
    with pytest.raises(BadMessage, match=r"weather.*too old"):
        read('{"type": "weather", "needed": true}', MOST_UP)


@pytest.mark.parametrize(("ours", "theirs", "spoken"), [(1, "1.0", 0), (0, "1.1", 0), (0, "1.0", 0), (2, "1.7", 2)])
def test_the_older_minor_version_is_spoken(ours: int, theirs: str, spoken: int) -> None:
    """Whichever is newer, both speak what both know."""
    assert negotiated(theirs, ours) == spoken


@pytest.mark.parametrize("theirs", ["2.0", "0.9", "1", "", "1.x", "-1.0", "1." + "0" * 50])
def test_other_major_versions_are_refused(theirs: str) -> None:
    """What is no version of ours is refused, with what to do."""
    with pytest.raises(BadMessage, match=r"update the older one|no version"):
        negotiated(theirs)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "cannot be read"),
        ("[]", "not an object with a type"),
        ('{"type": 1}', "not an object with a type"),
        ('{"type": "hello"}', "hello with protocol"),
        ('{"type": "hello", "protocol": "' + "1" * 400 + '"}', "hello with protocol"),
        ('{"type": "welcome", "protocol": "1.0", "heartbeat": NaN}', "welcome with heartbeat"),
        ('{"type": "changes", "since": -1, "sequence": 2}', "changes with since"),
        ('{"type": "changes", "since": 1, "sequence": 2, "put": {"": {"nodes": ["x"]}}}', "changes with put"),
        ('{"type": "report", "not_ready": ' + json.dumps(["x"] * 500) + "}", "report with not_ready"),
        # Numbers and names become metrics.
        ('{"type": "report", "servers": {"up": 1' + "0" * 400 + "}}", "report with servers.up"),
        ('{"type": "report", "servers": ' + json.dumps({f"s{n}": 1 for n in range(51)}) + "}", "report with servers"),
        ("[" * 100_000, "nested too deeply"),
        ('{"type": "fleet", "body": "' + "x" * MOST_UP + '"}', "larger than 256 KiB"),
    ],
)
def test_bad_messages(text: str, why: str) -> None:
    """What is wrong with a message is said by its type and field, and none of its content."""
    with pytest.raises(BadMessage, match=why) as caught:
        read(text, MOST_UP)
    assert len(str(caught.value)) < 300


def test_nothing_nested_in_a_report() -> None:
    """What an edge reports of its settings is texts and numbers: what is nested is left out, however deep."""
    deep = "[" * 700 + "]" * 700
    fleet = f'{{"version": "a", "sequence": 2, "error": {deep}, "x": NaN}}'
    told = read(f'{{"type": "report", "fleet": {fleet}}}', MOST_UP)
    assert told == Report(fleet={"version": "a", "sequence": 2})


def test_long_messages_are_packed() -> None:
    """What goes to edges is deflated if it is long, and read as it was."""
    long, short = written(Fleet({"text": "x" * 100_000})), written(Fleet({}))
    assert packed(short) == short
    assert isinstance(packed(long), bytes)
    assert len(packed(long)) < 1000
    assert read(packed(long), MOST_DOWN) == Fleet({"text": "x" * 100_000})


def test_a_packed_message_cannot_exhaust_memory() -> None:
    """One that would be larger than the limit is refused before it is unpacked; so is one that is cut short."""
    bomb = zlib.compress(b" " * 20_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(BadMessage, match="larger than"):
            read(bomb, 1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    with pytest.raises(BadMessage, match="cut short"):
        read(zlib.compress(b"{}")[:-3], 1 << 20)
    with pytest.raises(BadMessage, match="not deflated"):
        read(b"garbage", 1 << 20)
