"""`lbgen drain` and `lbgen ls`: what they write, ask, print, and end with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest
import structlog
import yaml
from click.testing import Result

from lbgen.base.errors import NoDaemon
from lbgen.cli import drain as command
from lbgen.cli.ls import fitting
from lbgen.cli.ls_text import listing_lines, matching
from lbgen.daemon.drain_store import Drain, changing, read
from lbgen.daemon.drains import Drains
from lbgen.model import build
from lbgen.proxies.proxy import Seen
from lbgen.report.drains import Scene
from lbgen.report.listing import listing
from lbgen.snapshot import Snapshot
from lbgen.status.server import serve_status
from lbgen.status.view import View
from tests.support.builders import a_network, a_node, a_rules, a_service, a_snapshot, a_task, host_port, ingress
from tests.support.command import run
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.watched import AT, FakeLoop, FakeTarget

SNAPSHOT = a_snapshot(
    *(a_node("node1"), a_node("node2"), a_network("edge")),
    a_service("web", {"port": 80, "host": "web.org"}, networks=("edge-id",)),
    a_task("web", 1, addresses={"edge-id": "10.0.0.1"}),
    a_task("web", 2, node="node2", addresses={"edge-id": "10.0.0.2"}),
    a_service("solo", {"host": "solo.org"}, ports=(host_port(8080, 8080),)),
    a_task("solo", 1, node="node2", ports=(host_port(8080, 8080),)),
    a_service("mesh", {"host": "mesh.org"}, ports=(ingress(8080, 9000),)),
    a_task("mesh", 1, node="node1"),
)


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch) -> Iterator[None]:
    """No settings but the test's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lbgen.settings.loader.DEFAULT_FILES", (Path("lbgen.yml"),))
    for name in [name for name in os.environ if name.startswith(("LBGEN_", "DOCKER_"))]:
        monkeypatch.delenv(name)
    yield
    structlog.reset_defaults()


class Site:
    """A state directory, and maybe a daemon that goes by it."""

    def __init__(self, directory: Path, port: int) -> None:
        self.path = directory / "state" / "drains.json"
        self.settings = {"state": str(directory / "state"), "status": {"bind": f"127.0.0.1:{port}"}}
        (directory / "lbgen.yml").write_text(yaml.safe_dump(self.settings))
        self.snapshot, self.loop, self.target = SNAPSHOT, FakeLoop(drains=Drains(self.path)), FakeTarget()
        self.over = False  # whether times to drain are over

    def run(self, *words: str) -> Result:
        """Run a command."""
        return run(*words)

    def drains(self, *words: str) -> list[dict]:
        """The documents of ``lbgen drain``."""
        return json.loads(self.run("drain", "--output", "json", *words).stdout)["drains"]

    def round(self) -> None:
        """Do what the loop does."""
        found = self.loop.drains.applied(self.snapshot)
        over = frozenset(self.loop.drains.origins(found)) if self.over else frozenset()
        self.loop.accepted, self.loop.model = found, build(found, a_rules(), over)


class DaemonView(View):
    """A daemon that has always taken what was written."""

    site: Site

    def _scene(self) -> Scene:
        self.site.round()
        return super()._scene()


@pytest.fixture
def site(tmp_path) -> Iterator[Site]:
    """A site whose daemon runs."""
    port = free_port()
    made = Site(tmp_path, port)
    view = DaemonView(made.loop, [made.target])
    view.site = made
    with serve_status(("127.0.0.1", port), view):
        yield made


@pytest.fixture
def quiet(tmp_path) -> Site:
    """A site without a daemon."""
    return Site(tmp_path, free_port())


# ------------------------------------------------------------------------------------------------ without a daemon


def test_without_a_daemon(quiet):
    """It is written, unchecked, and said so; it can be listed and put back."""
    result = quiet.run("drain", "node2", "--reason", "new disk")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"node2: written to {quiet.path}, unchecked")
    assert "no daemon was asked" in result.stdout
    assert [(drain.name, drain.reason) for drain in read(quiet.path).values()] == [("node2", "new disk")]
    listed = quiet.run("drain", "--list")
    assert (listed.exit_code, "node2" in listed.stdout, "new disk" in listed.stdout) == (0, True, True)
    assert quiet.drains()[0]["reason"] == "new disk"
    undone = quiet.run("drain", "--undo", "node2")
    assert undone.exit_code == 0
    assert undone.stdout.startswith("node2 is put back\nno daemon was asked")
    assert read(quiet.path) == {}
    assert quiet.run("drain").stdout.endswith("nothing is drained\n")


def test_wait_without_a_daemon(quiet):
    """Nobody can say when it is over, so nothing is written."""
    for words in (["node2"], ["--undo", "node2"]):
        assert quiet.run("drain", "--wait", *words).exit_code in (2, NoDaemon.exit_code)
    assert not quiet.path.exists() or read(quiet.path) == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--undo"], "name what to put back"),
        (["--undo", "node7"], "node7 is not drained: 'lbgen drain --list'"),
        ([""], "is no name"),
        (["a\nb"], "is no name"),
        (["x" * 301], "is no name"),
        (["a", "--reason", "b\nc"], "one line of at most 200"),
        (["a", "--for", "1 day"], "is not a duration"),
        (["a", "--for", "0s"], "is outside"),
    ],
)
def test_refused(quiet, words, said):
    """What cannot be meant is refused, and nothing is written."""
    result = quiet.run("drain", *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not quiet.path.exists() or read(quiet.path) == {}


def test_bad_file(quiet):
    """A file that cannot be read is told, not written over."""
    quiet.path.parent.mkdir()
    quiet.path.write_text("{}")
    for words in (["node2"], [], ["--undo", "node2"]):
        result = quiet.run("drain", *words)
        assert (result.exit_code, "is not what 'lbgen drain' writes" in result.stderr) == (2, True)
    assert quiet.path.read_text() == "{}"


# ------------------------------------------------------------------------------------------------ with a daemon


def test_servers_told(site):
    """Its servers are told with their sessions; when their time is over it can be stopped."""
    site.target.proxy.servers = {("web", "web.1"): Seen("up", 3), ("web", "web.2"): Seen("up", 0)}
    result = site.run("drain", "node1")
    assert result.exit_code == 5, result.output  # the mesh
    assert "node node1 is drained" in result.stdout
    assert "web.1 10.0.0.1:80 draining, 3 sessions" in " ".join(result.stdout.split())
    assert "mesh: Swarm chooses the tasks by itself" in result.stdout
    assert "--wait waits for their end" in result.stdout
    (row,) = site.drains()
    assert (row["kind"], row["asked"], row["done"], row["by_swarm"], row["only"]) == ("node", True, False, ["mesh"], [])
    site.over = True
    result = site.run("drain", "node1", "--wait", "--allow-served")
    assert result.exit_code == 0, result.output
    assert "web.1" not in result.stdout
    assert site.drains()[0]["done"]


def test_wait(site):
    """It ends when HAProxy has no more sessions with any of them; the reason and the time of before are kept."""
    site.run("drain", "web.1", "--reason", "slow")
    before = read(site.path)
    site.target.proxy.servers = {("web", "web.1"): Seen("drain", 1)}
    late = site.run("drain", "web.1", "--wait", "--timeout", "1s")
    assert late.exit_code == 1
    assert "web.1 is not drained yet" in late.stderr
    site.target.proxy.servers = {("web", "web.1"): Seen("drain", 0)}
    done = site.run("drain", "web.1", "--wait")
    assert done.exit_code == 0, done.output
    assert "server web.1 is drained: it can be stopped" in done.stdout
    assert read(site.path) == before


def test_only_server(site):
    """A backend that has no other server is told, together with what is drained already, and goes on being served."""
    site.run("drain", "web.1")
    site.over = True
    result = site.run("drain", "node2", "--wait", "--timeout", "9s")
    assert result.exit_code == 5, result.output
    assert "solo, web: no other server is up, so requests still go there" in result.stdout
    assert "still served" in result.stdout
    assert site.run("drain", "node2", "--allow-served").exit_code == 0
    assert {row["name"]: row["only"] for row in site.drains()} == {"node2": ["solo", "web"], "web.1": ["web"]}


def test_others_down(site):
    """Where the proxy finds all others down, requests would fail: it is not drained, unless that is asked for."""
    site.target.proxy.servers = {("web", "10.0.0.2:80"): Seen("down")}
    result = site.run("drain", "web.1")
    assert result.exit_code == 5
    assert "of web the proxy finds all other servers down" in result.stderr
    assert not site.path.exists()
    result = site.run("drain", "web.1", "--allow-served")
    assert result.exit_code == 0
    assert "web: the proxy finds all other servers down, so requests fail until one is up" in " ".join(
        result.stdout.split()
    )
    assert site.run("drain", "web.1").exit_code == 5


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nod2", "did you mean node2"),
        ("zzzz", "'lbgen ls' shows"),
        ("web", "did you mean web.1"),
        ("mesh.node2", "stands for node node2 in Swarm's mesh, which is shared by all services: drain node2"),
        ("mesh.1", "Swarm itself chooses the tasks of mesh"),
    ],
)
def test_unusable_names(site, name, said):
    """Names that nothing has, or that would change nothing, are refused with what to write; --force writes them."""
    result = site.run("drain", name)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not site.path.exists()
    forced = site.run("drain", name, "--force", "--allow-served")
    assert forced.exit_code == 0, forced.output
    assert list(read(site.path)) == [name]


def test_several_sources(site):
    """A name of two sources is refused with the unmistakable ones."""
    nodes = [replace(node, part="north") for node in SNAPSHOT.nodes.values()]
    other = a_node("node3", hostname="node2", part="south")
    site.snapshot = replace(SNAPSHOT, nodes={node.id: node for node in (*nodes, other)})
    result = site.run("drain", "node2")
    assert result.exit_code == 2
    assert "name one of north/node2, south/node2" in result.stderr
    assert site.run("drain", "north/node2", "--allow-served").exit_code == 0


def test_undo(site):
    """Put back; twice is no error, a name that nothing has is one."""
    site.run("drain", "web.1")
    assert site.run("drain", "--undo", "web.1").stdout == "web.1 is put back\n"
    again = site.run("drain", "--undo", "web.1")
    assert (again.exit_code, again.stdout) == (0, "web.1 was not drained\n")
    assert site.run("drain", "--undo", "web.7").exit_code == 2
    assert site.loop.drains.asked == ()


def test_for_a_while(site):
    """Until when is written, shown, and taken back by the next command without --for."""
    site.run("drain", "web.1", "--for", "2h")
    (drain,) = read(site.path).values()
    assert drain.until == pytest.approx(drain.since + 7200, abs=1)
    assert " until 2" in site.run("drain").stdout
    site.run("drain", "web.1")
    assert read(site.path)["web.1"].until is None


def test_another_daemon(site, tmp_path):
    """A daemon that reads another file is not told by this one."""
    site.loop.drains.path = tmp_path / "elsewhere.json"
    result = site.run("drain", "web.1")
    assert result.exit_code == 2
    assert "elsewhere.json" in result.stderr
    assert not site.path.exists()


def test_not_taken(site, monkeypatch):
    """A daemon that does not take it in time: it stays written, and the command says so."""
    monkeypatch.setattr(command, "TAKEN", 0.0)
    monkeypatch.setattr(Site, "round", lambda self: vars(self.loop).update(accepted=SNAPSHOT))
    result = site.run("drain", "web.1", "--force")
    assert result.exit_code == 1
    assert "has not been taken" in result.stderr
    assert list(read(site.path)) == ["web.1"]


# ------------------------------------------------------------------------------------------------ ls


def scene(
    *drains: str, over: bool = False, seen: dict | None = None, snapshot: Snapshot = SNAPSHOT, path=None
) -> Scene:
    """A scene with these names drained."""
    with changing(path) as asked:
        asked |= {name: Drain(name, AT, "new disk") for name in drains}
    held = Drains(path)
    found = held.applied(snapshot)
    model = build(found, a_rules(), frozenset(held.origins(found)) if over else frozenset())
    return Scene(found, model, held.asked, {"edge": seen or {}})


def test_listing(tmp_path):
    """Every route with listener, match, servers and states; what an operator drains with since when and why."""
    shown = "\n".join(
        listing_lines(listing(scene("node2", path=tmp_path / "d", seen={("web", "web.1"): Seen("up", 2)})))
    )
    plain = [" ".join(line.split()) for line in click.unstyle(shown).splitlines()]
    assert plain == [
        "ROUTE LISTENER MATCH SERVER ADDRESS NODE STATE PROXY",
        "mesh web host(mesh.org) mesh.node1 192.168.1.1:9000 node1 up",
        "mesh.node2 192.168.1.2:9000 node2 draining: asked by an operator",
        "solo web host(solo.org) solo.1 192.168.1.2:8080 node2 only: asked by an operator, and no other server is up",
        "web web host(web.org) web.1 10.0.0.1:80 node1 up up, 2 sessions",
        "web.2 10.0.0.2:80 node2 draining: asked by an operator",
        "",
        "node2 is drained, asked by an operator since 2026-11-22 10:00:00 UTC (new disk); 'lbgen drain --undo node2' "
        "ends it",
        "",
        "3 routes, 3 servers up, 3 to go",
    ]


def test_listing_when_it_is_over(tmp_path):
    """What is gone from the proxies still stands there, as drained."""
    document = listing(scene("node2", path=tmp_path / "d", over=True))
    absent = {row["route"]: [(each["name"], each["state"]) for each in row["absent"]] for row in document["routes"]}
    assert absent == {"mesh": [("mesh.node2", "drained")], "solo": [], "web": [("web.2", "drained")]}


def test_listing_of_others(tmp_path):
    """Redirects, services without servers, tasks that do not run yet, and what differs between proxies."""
    snapshot = a_snapshot(
        *(a_node("node1"), a_network("edge")),
        a_service("none", {"port": 80, "host": "none.org"}, networks=("edge-id",)),
        a_task("none", 1, state="starting"),
        a_service("old", {"host": "old.org", "redirect": "https://new.org", "port": 80}, networks=("edge-id",)),
    )
    lines = [" ".join(line.split()) for line in listing_lines(listing(scene(path=tmp_path / "d", snapshot=snapshot)))]
    assert "none web host(none.org) none.1 node1 starting: it does not run" in lines
    assert any(line.startswith("old web host(old.org) - redirect 302") for line in lines), lines
    assert "1 without any" in lines[-1]


@pytest.mark.parametrize(("names", "found"), [([], 3), (["web"], 1), (["w*", "solo"], 2), (["nothing"], 0)])
def test_matching(tmp_path, names, found):
    """Services by name and pattern."""
    assert len(matching(listing(scene(path=tmp_path / "d")), names)["routes"]) == found


def test_ls_asks_the_daemon(site):
    """By name, as text and JSON; a name of nothing is refused."""
    assert "web.1" in site.run("ls").stdout
    document = json.loads(site.run("ls", "solo", "--output", "json").stdout)
    assert [(route["route"], route["servers"][0]["name"]) for route in document["routes"]] == [("solo", "solo.1")]
    refused = site.run("ls", "shop")
    assert refused.exit_code == 2
    assert "no route is of shop" in refused.stderr


def test_ls_without_a_daemon(quiet):
    """Nobody answers: the way out is told; a file needs no daemon."""
    result = quiet.run("ls")
    assert result.exit_code == 4
    assert "'lbgen ls --once' reads Docker itself" in result.stderr
    result = quiet.run("ls", "--from", str(ROOT / "examples/snapshot.yml"))
    assert result.exit_code == 0
    assert result.stdout.endswith("2 routes, 5 servers up\n")
    assert quiet.run("ls", "--watch", "--once").exit_code == 2


def test_watch(site, monkeypatch):
    """Drawn when something has changed, not otherwise; it ends with 130."""
    steps = iter([lambda: None, lambda: site.run("drain", "web.1"), lambda: None, lambda: None])

    def sleep(_: float) -> None:
        step = next(steps, None)
        if step is None:
            raise KeyboardInterrupt
        step()

    monkeypatch.setattr("lbgen.cli.ls.pause", sleep)
    result = site.run("ls", "--watch", "web")
    assert result.exit_code == 130
    assert result.stdout.count("--- ") == 2
    assert result.stdout.index("draining: asked by an operator") > result.stdout.rindex("--- ")


def test_lines_fit_the_terminal():
    """A line that is too wide is cut, its colours with it."""
    assert fitting("abc", 3) == "abc"
    assert fitting("\x1b[32mabcd\x1b[0m", 3) == "ab…"
