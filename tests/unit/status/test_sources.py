"""How it goes with several sources: what the status API, the command and Prometheus say."""

from __future__ import annotations

from dataclasses import dataclass, replace

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from lbgen.cli.status_text import source_lines
from lbgen.source import PartState
from lbgen.status.metrics import registry_of
from lbgen.status.sources import source_document
from lbgen.status.view import View
from tests.support.watched import AT, FakeLoop

PROD = PartState("docker", "prod", "push", "ssh://m1", "c1", stream_age=1.0, counts={"drift": 1, "listings": 2})
BOXES = PartState(
    "hosts",
    "boxes",
    "events",
    members=(PartState("host", "a", "events"), PartState("host", "b", failing="no answer", failing_since=AT)),
)
GONE = PartState("file", "old", "file", "/old.json", failing="is not there", failing_since=AT, facts=False)


@dataclass
class Parts:
    """A source with these parts."""

    parts: tuple[PartState, ...]

    def states(self) -> tuple[PartState, ...]:
        return self.parts


def test_one_without_a_name():
    """One source is as it was before there could be several."""
    document = source_document([replace(PROD, name="")])
    assert "parts" not in document
    assert (document["mode"], document["cluster"], document["drift"]) == ("push", "c1", 1)


def test_document():
    """Several are one, of which the worst mode and the oldest failure count, with each of them beside."""
    document = source_document([PROD, BOXES, GONE])
    assert (document["kind"], document["mode"], document["listings"]) == ("several", "events", 2)
    assert document["failing"] == "old: is not there"
    assert document["failing_since"] == "2026-11-22T10:00:00.000Z"
    assert [(part["name"], part["kind"], part["facts"]) for part in document["parts"]] == [
        ("prod", "docker", True),
        ("boxes", "hosts", True),
        ("old", "file", False),
    ]
    assert [member["failing"] for member in document["parts"][1]["members"]] == [None, "no answer"]


def test_lines():
    """People see each source, what fails and since when."""
    text = "\n".join(source_lines(source_document([PROD, BOXES, GONE]) | {"snapshot_at": None}))
    assert "source    prod: push, ssh://m1, cluster c1, last word 1.0 s ago" in text
    assert "failing since 2026-11-22 10:00:00.000: is not there; nothing of it is known" in text
    assert "failing since 2026-11-22 10:00:00.000: no answer" in text


def test_metrics():
    """Each source has its own numbers; the labels are names from the settings."""
    text = generate_latest(registry_of(View(FakeLoop(source=Parts((PROD, BOXES, GONE))), []))).decode()
    found = {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert [found["lbgen_source_part_up", name] for name in ("prod", "boxes", "old")] == [1, 1, 0]
    assert found["lbgen_source_part_failing_since_seconds", "old"] == AT
    assert ("lbgen_source_part_failing_since_seconds", "prod") not in found
    assert found["lbgen_source_part_mode", "push", "prod"] == 1
    assert [found["lbgen_source_member_up", name, "boxes"] for name in ("a", "b")] == [1, 0]
    assert found["lbgen_source_listings_total",] == 2
