"""`lbgen.model.placement`: placement constraints choose nodes as Swarm would."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.labels.values.value_type import BadValue
from lbgen.model.placement import chooser
from tests.support.builders import a_node

NODE = a_node(
    "db1",
    id="abc123",
    role="manager",
    labels={"zone": "eu", "disk.kind": "ssd", "Rack": "7", "rank": "A"},
    engine_labels={"gpu": "yes"},
    os="linux",
    arch="x86_64",
)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("", True),
        ("  ", True),
        ("node.role==manager", True),
        ("node.role == manager", True),
        ("  node.role  !=  worker  ", True),
        ("node.role!=manager", False),
        ("NODE.ROLE==Manager", True),
        ("node.id==abc123", True),
        ("node.id==ABC123", True),
        ("node.id!=abc123", False),
        ("node.hostname==DB1", True),
        ("node.hostname!=db1", False),
        ("node.labels.disk.kind==SSD", True),
        ("node.labels.rank==a", True),
        ("node.platform.os==linux", True),
        ("node.platform.arch==arm64", False),
        ("node.labels.zone==eu", True),
        ("node.labels.zone==EU", True),
        ("node.labels.zone!=us", True),
        ("node.labels.disk.kind==ssd", True),
        ("node.labels.Rack==7", True),
        ("node.labels.rack==7", False),
        ("node.labels.missing==eu", False),
        ("node.labels.missing!=eu", True),
        ("engine.labels.gpu==yes", True),
        ("engine.labels.gpu!=yes", False),
        ("node.role==manager,node.labels.zone==eu", True),
        ("node.role==manager, node.labels.zone==us", False),
        ("node.hostname==db 1", False),
    ],
)
def test_chosen(text, chosen):
    """Same keys, operators and comparison as ``docker service create --constraint``; all of them must hold."""
    assert chooser(text)(NODE) is chosen


def test_refusal():
    """The first constraint that a node does not satisfy, as it was written."""
    assert chooser("node.role==manager, node.labels.zone == us").refusal(NODE) == "node.labels.zone == us"
    assert chooser("node.role==manager").refusal(NODE) == ""


@pytest.mark.parametrize(
    "text",
    [
        "node.role=manager",
        "node.role===manager",
        "node.role",
        "node.role==",
        "==manager",
        "node.name==db1",
        "node.labels==eu",
        "node.labels.==eu",
        "labels.zone==eu",
        "node.role==manager,",
        ",",
        "node.role==manager;node.id==1",
        "node.role>=manager",
    ],
)
def test_refused(text):
    """What Swarm would not understand is refused, with an example and under the key ``nodes``."""
    with pytest.raises(BadValue, match="is not a placement constraint") as caught:
        chooser(text)
    assert "node.role==worker" in caught.value.remedy
    assert caught.value.key == "nodes"


@given(st.text(alphabet="node.rlabsid=!, \nA"))
@settings(deadline=None, max_examples=200)
def test_nothing_but_bad_value(text):
    """No text raises anything but BadValue, nor makes a test that fails on some node."""
    try:
        choose = chooser(text)
    except BadValue:
        return
    assert choose(NODE) in (True, False)
