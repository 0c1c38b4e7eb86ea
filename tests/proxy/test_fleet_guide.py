"""docs/fleet.md, from nothing to two edges and an agent: every command of the page, in its order."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.fake_engine import FakeEngine
from tests.support.fake_host import FakeHost
from tests.support.guide import HUBS, Block, Machines, blocks_of
from tests.support.paths import ROOT
from tests.support.real_haproxy import BINARY
from tests.support.real_servers import http_servers
from tests.support.wait import wait_for

BLOCKS = blocks_of((ROOT / "docs/fleet.md").read_text())


@pytest.fixture
def machines(short_dir: Path) -> Iterator[Machines]:
    """The page's machines: a Swarm with service shop.example.org, and Docker on box1 with box.example.org."""
    with http_servers() as servers:
        swarm, host = FakeEngine(short_dir / "swarm.sock"), FakeHost(short_dir / "box.sock")
        _publish_shop(swarm, servers.port)
        _publish_box(host, servers.port)
        made = Machines(short_dir, {**dict.fromkeys(("admin", *HUBS), swarm.path), "box1": host.path})
        yield made
        made.end()
        swarm.stop()
        host.stop()


def _publish_shop(engine: FakeEngine, port: int) -> None:
    service = engine.service("agent")
    service["Spec"]["Name"], service["Spec"]["Labels"] = (
        "shop",
        {"lbgen.enable": "true", "lbgen.host": "shop.example.org"},
    )
    engine.replies["services"] = [service]
    engine.replies["tasks"] = [task for task in engine.tasks_of("shop") if task["DesiredState"] == "running"]
    told = [task["Status"]["PortStatus"] for task in engine.replies["tasks"]]
    for ports in (service["Endpoint"], *told):
        for published in ports["Ports"]:
            published["PublishedPort"] = port
    for number, node in enumerate(engine.replies["nodes"], 11):
        node["Spec"]["Labels"] = {"lbgen.address": f"127.0.0.{number}"}


def _publish_box(host: FakeHost, port: int) -> None:
    web = copy.deepcopy(host.container("shop-web-1"))
    web["Labels"]["lbgen.host"] = "box.example.org"
    web["Ports"] = [{**each, "PublicPort": port} for each in web["Ports"]]
    host.containers = [web]


def page_runs(machines: Machines, block: Block) -> str:
    """Run one block of the page; return what it has printed."""
    machines.settle()
    name = block.place.removeprefix("on ")
    done = machines.run(name, block.text)
    logs = "".join(f"--- {each}\n{machines.log(each)}" for each in (*HUBS, name) if done.returncode)
    assert done.returncode == 0, f"on {name}:\n{block.text}\n{done.stdout}{done.stderr}\n{logs}"
    return done.stdout


@pytest.mark.proxy(BINARY, "curl")
def test_every_command_of_the_page(machines: Machines) -> None:
    """Two edges serve what hubs tell, and an agent's containers; one is revoked and back; the authority changes."""
    printed = [page_runs(machines, block) for block in BLOCKS if block.place.startswith("on ")]
    machines.settle()
    said = "\n".join(printed)
    assert {"edge1", "edge2"} <= set(re.findall("^edge[12](?= )", said, re.MULTILINE))  # in the tables of the hub
    assert "edge2 is revoked" in said
    for edge in ("edge1", "edge2"):
        wait_for(lambda edge=edge: machines.answer(edge, "shop.example.org") == 200, f"shop at {edge}")
        wait_for(lambda edge=edge: machines.answer(edge, "box.example.org") == 200, f"box1's container at {edge}")
    for hub in HUBS:
        wait_for(lambda hub=hub: "hub_authority_changed" in machines.log(hub), f"{hub} to take the new authority")
    for name in (*HUBS, "edge1", "edge2", "box1"):
        assert "unexpected_error" not in machines.log(name)
        assert "Traceback" not in machines.log(name)


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "yaml"], ids=lambda block: block.place
)
def test_files_of_the_page(block: Block) -> None:
    """A file that the page shows is the one that it has installed."""
    assert yaml.safe_load(block.text) == yaml.safe_load((ROOT / block.place).read_text())


def test_page_has_what_the_test_knows() -> None:
    """All commands of the page are in blocks that say where they are given."""
    page = (ROOT / "docs/fleet.md").read_text()
    assert page.count("```") == 2 * len(BLOCKS)
    assert {block.place for block in BLOCKS if block.language == "sh"} == {
        f"on {name}" for name in ("admin", "m1", "edge1", "edge2", "box1")
    }
