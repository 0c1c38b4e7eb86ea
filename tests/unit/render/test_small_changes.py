"""A small change of one service is a small change of the rendered files: people read them as differences, in Git."""

from __future__ import annotations

import difflib

import pytest

from lbgen.daemon import assembly
from lbgen.model import build
from lbgen.render.renderer import Files
from lbgen.settings import Settings, TargetSettings
from lbgen.snapshot import Snapshot
from tests.support.builders import Fact, a_network, a_node, a_snapshot, app

SERVICES = 20
VERSIONS = {"haproxy": {}, "nginx": {"version": "1.22.1"}, "traefik": {"version": "3.7"}}


def a_cluster(*added: str) -> Snapshot:
    """Services with hosts, paths and methods of many kinds; the seventh also has these paths."""
    facts: list[Fact] = [a_node(), a_network()]
    for number in range(SERVICES):
        name = f"service{number}"
        paths = ["/", f"/{name}"] + [f"/v{version}/{name}" for version in range(number % 4)]
        keys: dict[str, object] = {"host": f"{name}.example.org", "path": ",".join(paths)}
        if number % 5 == 0:
            keys["host"] = "shared.example.org"
            keys["path"] = ",".join(paths[1:])
        if number % 6 == 2:
            keys["host"] = f"*.{name}.example.org"
        if number == 7:
            keys["path"] = ",".join([*paths, *added])
        if number % 7 == 3:
            keys["method"] = "GET,POST"
        facts += app(name, keys, 8080, f"10.0.0.{number + 1}")
    return a_snapshot(*facts)


def rendered(proxy: str, snapshot: Snapshot) -> Files:
    """What is rendered of it for a proxy."""
    settings = Settings()
    model = build(snapshot, settings.rules())
    assert model.problems == ()
    target = TargetSettings(templates=[proxy], options=VERSIONS[proxy])
    return assembly.Assembly("edge", target, settings).renderer().render(model, snapshot)


@pytest.mark.parametrize("proxy", VERSIONS)
def test_another_path(proxy):
    """A path more of one service is some lines of its own, the line of the generation, and no other service's."""
    before, after = (rendered(proxy, a_cluster(*added)) for added in ((), ("/a",)))
    assert before.texts.keys() == after.texts.keys()
    lines = [
        line
        for name, text in before.texts.items()
        for line in difflib.unified_diff(text.splitlines(), after.texts[name].splitlines(), n=0, lineterm="")
        if line[0] in "+-" and not line.startswith(("+++", "---"))
    ]
    assert 2 < len(lines) <= 30, lines
    assert [line for line in lines if "service" in line and "service7" not in line] == []
    assert sum(before.generation in line for line in lines) == 1
