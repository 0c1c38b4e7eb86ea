"""What takes part: `lint` and `render` fail where nothing is routed, or not what its author meant to be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lbgen.labels.context import LabelContext
from lbgen.report.unread import ALWAYS, NEVER, STRICT, unread_labels
from lbgen.source.file import write_snapshot
from tests.support.builders import Fact, a_network, a_node, a_service, a_snapshot, a_task
from tests.support.command import run

OPEN = {"port": 80, "host": "a.org"}
RENDER = ("render", "--once", "--proxy", "haproxy", "-o", "out")
LABELS_OF_CONTAINERS = """\
version: "3.8"
services:
  web:
    image: web:1
    labels: {lbgen.enable: "true", lbgen.port: "80"}
"""
SERVING = """
  shop:
    image: shop:1
    ports: ["8080:80"]
    deploy: {labels: {lbgen.enable: "true", lbgen.host: a.org}}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def routed(name: str = "web", created_at: str = "2026-11-21T10:00:00Z", **keys: object) -> list[Fact]:
    """A service that is routed, with its task."""
    service = a_service(name, {**OPEN, **keys}, networks=("edge-id",), created_at=created_at)
    return [service, a_task(name, addresses={"edge-id": "10.0.0.1"})]


def file_of(*facts: Fact) -> Path:
    """A snapshot file of these facts."""
    path = Path("snapshot.json")
    write_snapshot(a_snapshot(a_node(), a_network(), *facts), path)
    return path


def codes(*words: object) -> tuple[int, int, int, int]:
    """The exit codes of lint and of render, each without and with --strict."""
    commands = (("lint",), ("lint", "--strict"), RENDER, (*RENDER, "--strict"))
    lax, strict, render, render_strict = (run(*command, *words).exit_code for command in commands)
    return lax, strict, render, render_strict


# ------------------------------------------------------------------------------------------------ nothing is routed


def test_an_empty_snapshot():
    """It is a failure, unless the caller accepts it."""
    path = file_of()
    assert codes("--from", path) == (5, 5, 0, 5)
    assert codes("--from", path, "--allow-empty") == (0, 0, 0, 0)
    assert run("lint", "--from", path).output == "0 of 0 services routed (--allow-empty accepts that)\n"


def test_labels_beside_deploy():
    """They count for nothing in a Swarm: with another service only --strict fails, since it may be meant so."""
    Path("stack.yml").write_text(LABELS_OF_CONTAINERS)
    assert codes("--from", "stack.yml") == (5, 5, 0, 5)
    assert codes("--from", "stack.yml", "--allow-empty") == (0, 5, 0, 5)
    Path("stack.yml").write_text(LABELS_OF_CONTAINERS + SERVING)
    assert codes("--from", "stack.yml") == (0, 5, 0, 5)
    assert run(*RENDER, "--strict", "--from", "stack.yml").exception
    done = run("lint", "--strict", "--from", "stack.yml", "--output", "github")
    assert "::error file=stack.yml,line=5,title=services.web.labels::" in done.output
    notes = json.loads(run("lint", "--from", "stack.yml", "--output", "json").output)["notes"]
    assert [note["unread"] for note in notes if note["unread"]] == [["lbgen.enable", "lbgen.port"]]


def test_container_labels_of_a_dialect_that_is_not_read():
    """They are for somebody else."""
    Path("stack.yml").write_text(LABELS_OF_CONTAINERS.replace("lbgen.", "traefik.") + SERVING)
    assert codes("--from", "stack.yml") == (0, 0, 0, 0)


def test_a_misspelt_switch():
    """The service is meant to be routed, so it fails, whatever else is routed."""
    path = file_of(*routed(), a_service("typo", labels={"lbgn.enable": "true", "lbgen.host": "b.org"}))
    assert codes("--from", path) == (5, 5, 0, 5)
    assert codes("--from", path, "--allow-empty") == (5, 5, 0, 5)
    assert "did you mean lbgen.enable?" in " ".join(run("lint", "--from", path).output.split())


def test_labels_of_a_dialect_that_is_not_read():
    """They are a note; only that nothing is routed fails."""
    path = file_of(a_service("web", labels={"traefik.enable": "true", "traefik.http.routers.a.rule": "Host(`a`)"}))
    assert codes("--from", path) == (5, 5, 0, 5)
    assert codes("--from", path, "--allow-empty") == (0, 0, 0, 0)
    path = file_of(*routed(), a_service("other", labels={"traefik.enable": "true"}))
    assert codes("--from", path) == (0, 0, 0, 0)


# ------------------------------------------------------------------------------------------------ labels

BOTH = ("lbgen", "traefik")


@pytest.mark.parametrize(
    ("labels", "dialects", "label", "said", "fails"),
    [
        ({"lbgen.host": "a"}, BOTH, "lbgen.host", "add label lbgen.enable=true, or =false", ALWAYS),
        ({"lbgen.enabled": "true", "lbgen.host": "a"}, BOTH, "lbgen.enabled", "did you mean lbgen.enable?", ALWAYS),
        ({"lbgen.Enable": "true"}, BOTH, "lbgen.Enable", "did you mean lbgen.enable?", ALWAYS),
        ({"lbgn.enable": "true"}, BOTH, "lbgn.enable", "did you mean lbgen.enable?", ALWAYS),
        ({"lbgen/enable": "true", "a": "b"}, BOTH, "lbgen/enable", "did you mean lbgen.enable?", ALWAYS),
        ({"traefik.enabled": "true"}, BOTH, "traefik.enabled", "did you mean traefik.enable?", ALWAYS),
        ({"trafik.enable": "true"}, BOTH, "trafik.enable", "did you mean traefik.enable?", ALWAYS),
        ({"traefik.http.routers.a.rule": "Host(`a`)"}, BOTH, "traefik.http.routers.a.rule", "traefik.enable", ALWAYS),
        ({"traefik.enabled": "true"}, ("lbgen",), "traefik.enabled", "is of dialect traefik", NEVER),
        ({"com.df.notfy": "true", "com.df.port": "1"}, ("dockerflow",), "com.df.notfy", "com.df.notify?", ALWAYS),
        ({"com.df.port": "80"}, ("dockerflow",), "com.df.port", "add label com.df.notify=true", ALWAYS),
        ({"traefik.enable": "true", "lbgen.host": "a"}, ("traefik",), "lbgen.host", "is of dialect lbgen", NEVER),
        ({"traefik.enable": "true", "lbgen.http.a.via": "mesh"}, BOTH, "lbgen.http.a.via", "dialect lbgen", STRICT),
        ({"lbgen.via": "mesh"}, ("traefik",), "lbgen.via", "is of dialect lbgen", NEVER),
        ({"lbgen.enable": "true", "lbgn.port": "80"}, BOTH, "lbgn.port", "did you mean lbgen.port?", STRICT),
        ({"lbgen.enable": "true", "traefik.http.a": "b"}, BOTH, "traefik.http.a", "enables dialect traefik", STRICT),
        ({"traefik.enable": "true", "lbgen.host": "a"}, BOTH, "lbgen.host", "enables dialect lbgen", STRICT),
        ({"lbgen.enable": "false", "lbgn.port": "80"}, BOTH, "lbgn.port", "did you mean lbgen.port?", STRICT),
    ],
)
def test_unread(labels, dialects, label, said, fails):
    """Which label is not read, what is said of it, and when it fails."""
    (found,) = unread_labels(a_snapshot(a_service("web", labels=labels)), LabelContext(dialects))
    assert (found.label, found.fails) == (label, fails)
    assert said in found.message


@pytest.mark.parametrize("dialects", [BOTH, ("traefik",)])
@pytest.mark.parametrize("key", ["via", "basic-auth", "timeout.response", "vai", "header.x"])
def test_short_keys_beside_other_labels(dialects, key):
    """They hold for the routes of another dialect, so that nothing is to be told of them, unless they say what a
    route's own labels say; one that is unknown is a problem."""
    snapshot = a_snapshot(a_service("web", labels={"traefik.enable": "true", f"lbgen.{key}": "x"}))
    assert [item.label for item in unread_labels(snapshot, LabelContext(dialects))] == (
        ["lbgen.header.x"] if key == "header.x" else []
    )


@pytest.mark.parametrize(
    "labels",
    [
        {"lbgen.enable": "false", "lbgen.host": "a"},
        {"traefik.enable": "false", "traefik.http.routers.a.rule": "Host(`a`)"},
        {"lbgen.enable": "maybe", "lbgen.host": "a"},  # a problem, which is listed as such
        {"lbgen.enable": "true", "lbgen.host": "a"},
        {"traefik.enable": "true", "lbgen.network": "edge", "lbgen.via": "task"},
        {"com.example.team": "shop"},
        {},
    ],
)
def test_nothing_unread(labels):
    """What is switched off, and what is read, is nothing to tell of; nor are other programs' labels."""
    assert list(unread_labels(a_snapshot(a_service("web", labels=labels)), LabelContext(BOTH))) == []


def test_exposed_by_default():
    """Then no label has to enable a service."""
    snapshot = a_snapshot(a_service("web", labels={"lbgen.host": "a"}))
    assert list(unread_labels(snapshot, LabelContext(BOTH, expose_by_default=True))) == []


# ------------------------------------------------------------------------------------------------ --require


def test_required():
    """Every service that is named has to be routed, or the reason is that of explain."""
    path = file_of(
        *routed("loser"), *routed(created_at="2020-01-01T00:00:00Z"), a_service("off", labels={"lbgen.enable": "false"})
    )
    assert run(*RENDER, "--from", path, "--require", "web").exit_code == 0
    done = run("lint", "--from", path, "--require", "web,off", "--require", "loser")
    assert done.exit_code == 5
    text = " ".join(done.output.split())
    assert "required: is required, and not routed: label lbgen.enable says no" in text
    assert "service loser" in text
    assert "service web, which is older, asks for the same" in text
    assert text.endswith("2 services required and not routed")
    assert run(*RENDER[:-1], "refused", "--from", path, "--require", "off").exit_code == 5
    assert not Path("refused").exists()
    told = json.loads(run(*RENDER[:-2], "--from", path, "--require", "off", "--output", "json").stdout)
    assert [(unmet["service"], unmet["text"].partition(",")[0]) for unmet in told["unmet"]] == [
        ("off", "service off: is required")
    ]
    done = run("lint", "--from", path, "--require", "off", "--output", "github")
    assert any(line.startswith("::error") and "service off%3A not routed" in line for line in done.output.splitlines())


def test_required_and_unknown():
    """A service that is not there is not routed; near names are suggested."""
    done = run("lint", "--from", file_of(*routed("shop_web")), "--require", "web")
    assert done.exit_code == 5
    assert "there is no service 'web': did you mean shop_web?" in " ".join(done.output.split())


def test_required_by_one_of_several_targets():
    """A service whose listener only one target serves is routed."""
    path = file_of(*routed(listener="one"), *routed("both", host="b.org"))
    Path("lbgen.yml").write_text(
        f"source: {{file: {path}}}\nlisteners: {{one: {{bind: ':81'}}, two: {{bind: ':82'}}, three: {{bind: ':83'}}}}\n"
        "default_listeners: [two]\ntargets:\n"
        "  a: {templates: haproxy, output: a, listeners: [one]}\n"
        "  b: {templates: haproxy, output: b, listeners: [two]}\n"
    )
    for command in (("lint",), ("render", "--once", "-o", "out")):
        assert run(*command, "--config", "lbgen.yml", "--require", "web,both").exit_code == 0, command
    Path("lbgen.yml").write_text(Path("lbgen.yml").read_text().replace("[one]", "[three]"))
    for command in (("lint",), ("render", "--once", "-o", "out")):
        assert run(*command, "--config", "lbgen.yml", "--require", "web,both").exit_code == 5, command
