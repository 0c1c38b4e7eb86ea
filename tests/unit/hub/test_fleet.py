"""The directory that a hub hands out: who gets what of it, and that a mistake in it is told and refused whole."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lbgen.hub.fleet import Fleet, FleetRefused, read
from lbgen.source.hub.handout import LARGEST_FILE, MOST_FILES

GOOD = {
    "edges.yml": "edge1: {zone: eu, tier: front}\nedge2: {zone: us}\n",
    "10-all/group.yml": "edges: ['*']\n",
    "10-all/settings.yml": "discovery: {via: task}\nlisteners: {web: {max_headers: 64k}}\n",
    "10-all/templates/haproxy/haproxy.cfg.j2": "all\n",
    "10-all/templates/haproxy/_part.j2": "part\n",
    "20-eu/group.yml": "labels: {zone: eu}\n",
    "20-eu/settings.yml": "discovery: {via: host, networks: [n]}\n",
    "20-eu/templates/haproxy/haproxy.cfg.j2": "eu\n",
    "30-some/group.yml": "edges: [edge3, 'lab-*']\n",
    "30-some/templates/nginx/set.yml": "options: {a: 1}\n",
    ".git/config": "is not looked at",
    "10-all/.editor": "nor is this",
}


def made(root: Path, **changed: str | bytes | None) -> Path:
    """Write the good directory with some files changed; None: without the file."""
    for path, text in {**GOOD, **changed}.items():
        if text is not None:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def test_who_gets_what(tmp_path: Path) -> None:
    """Groups by name, pattern and label; the last group wins, key by key and file by file."""
    fleet = read(made(tmp_path))
    assert [group.name for group in fleet.groups] == ["10-all", "20-eu", "30-some"]
    edge1, edge2, edge3, lab = (fleet.bundle(name) for name in ("edge1", "edge2", "edge3", "lab-1"))
    web = {"web": {"max_headers": "64k"}}
    assert edge1.settings == {"discovery": {"via": "host", "networks": ["n"]}, "listeners": web}
    assert edge1.templates == {"haproxy/haproxy.cfg.j2": "eu\n", "haproxy/_part.j2": "part\n"}
    assert edge2.settings == {"discovery": {"via": "task"}, "listeners": web}
    assert edge2.templates["haproxy/haproxy.cfg.j2"] == "all\n"
    assert edge3 == lab
    assert edge3.templates["nginx/set.yml"] == "options: {a: 1}\n"
    assert Fleet().bundle("edge1").empty


def test_labels_of_certificates(tmp_path: Path) -> None:
    """The labels that an edge joined with count, too; those of edges.yml go before."""
    fleet = read(made(tmp_path))
    assert fleet.bundle("edge9", {"zone": "eu"}) == fleet.bundle("edge1")
    assert fleet.bundle("edge2", {"zone": "eu"}).settings["discovery"] == {"via": "task"}


def test_document(tmp_path: Path) -> None:
    """A hub keeps versions, to go back to them; the version says whether anything differs."""
    fleet = read(made(tmp_path))
    again = Fleet.of_document(json.loads(json.dumps(fleet.document())))
    assert again == fleet
    assert again.version == fleet.version
    assert read(made(tmp_path, **{"edges.yml": "edge1: {zone: us}\n"})).version != fleet.version


def test_together(tmp_path: Path) -> None:
    """Groups that an edge may be in together have to fit together."""
    groups = (("10-all", "a"), ("20-eu", "b"))
    same = {f"{group}/templates/haproxy/{n}.j2": "x" * (200 << 10) for group, _ in groups for n in range(3)}
    read(made(tmp_path / "same", **same))
    others = {f"{group}/templates/haproxy/{n}{end}.j2": "x" * (200 << 10) for group, end in groups for n in range(3)}
    with pytest.raises(FleetRefused, match=r"all groups together: .* more than 1 MiB"):
        read(made(tmp_path / "others", **others))


def test_all_labels(tmp_path: Path) -> None:
    """A group of several labels is for edges that have all of them."""
    fleet = read(made(tmp_path, **{"20-eu/group.yml": "labels: {zone: eu, tier: back}\n"}))
    assert fleet.bundle("edge1").settings["discovery"] == {"via": "task"}


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("10-all/settings.yml", "source: {file: /etc/shadow}\n", "never sets source.file"),
        ("10-all/settings.yml", "hub: {}\nstate: /\ntargets: {a: {binary: sh}}\n", "hub, state, targets.a.binary"),
        ("10-all/settings.yml", "listeners: {web: {access_log: {to: /etc/passwd}}}\n", "listeners.web.access_log.to"),
        ("10-all/settings.yml", "\ndiscovery: {via: nowhere}\n", "settings.yml:2: discovery.via"),
        ("10-all/settings.yml", "listeners: {web: {bind: 'x'}}\n", "settings.yml:1: listeners.web.bind"),
        ("10-all/settings.yml", "- a\n", "expected a mapping, found list"),
        ("10-all/settings.yml", "a: [\n", "settings.yml:2"),
        ("10-all/settings.yml", b"\xff", "not UTF-8"),
        ("10-all/group.yml", None, "name edges or labels"),
        ("10-all/group.yml", "{}", "name edges or labels"),
        ("10-all/group.yml", "edges: [a]\nlabels: {b: c}\n", "name edges or labels"),
        ("10-all/group.yml", "edges: [a]\nmore: 1\n", "group.yml:2: more: unknown key"),
        ("edges.yml", "edge1: eu\n", "write labels as a mapping"),
        ("edges.yml", "edge1: {zone: [eu]}\n", "write labels as a mapping"),
        ("10-all/seting.yml", "", "has seting.yml"),
        ("settings.yml", "", "neither edges.yml nor the directory of a group"),
        ("10-all/templates/a.j2", "", "named after their proxy"),
        ("10-all/templates/haproxy/run.sh", "", "neither a template"),
        ("10-all/templates/haproxy/set.yml", "check: [sh]\n", "never sets check"),
        ("10-all/templates/haproxy/a.j2", "x" * (LARGEST_FILE + 1), "larger than 256 KiB"),
    ],
)
def test_mistakes(tmp_path: Path, path: str, text: str | None, why: str) -> None:
    """Each mistake names its file and says what is wrong."""
    with pytest.raises(FleetRefused, match=re.escape(why)) as refused:
        read(made(tmp_path, **{path: text}))
    assert str(tmp_path) in str(refused.value)


def test_every_mistake_at_once(tmp_path: Path) -> None:
    """Mistakes of several groups are listed together."""
    with pytest.raises(FleetRefused) as refused:
        read(made(tmp_path, **{"10-all/group.yml": "{}", "20-eu/settings.yml": "log: {}", "edges.yml": "a: 1"}))
    assert len(str(refused.value).splitlines()) == 3


@pytest.mark.parametrize(
    "settings",
    [
        "listeners: {pg: {hello_timeout: 1s}}",  # protocol tcp, which it needs, may be the edge's
        "listeners: {web: {redirect: websecure}}",
        "default_listeners: [websecure]",
    ],
)
def test_what_only_the_edge_knows(tmp_path: Path, settings: str) -> None:
    """Whether settings fit together is left to the edge, whose own settings lie over them."""
    read(made(tmp_path, **{"10-all/settings.yml": settings}))


@pytest.mark.parametrize("path", ["10-all", "10-all/settings.yml", "10-all/templates", "10-all/templates/haproxy/in"])
def test_links_out(tmp_path: Path, path: str) -> None:
    """A link that leads elsewhere is refused, before what is there is read; one inside is followed."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "deep").mkdir(parents=True)
    (elsewhere / "deep" / "secret.j2").write_text("secret")
    root = made(tmp_path / "fleet", **{each: None for each in GOOD if each.startswith(path)})
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).symlink_to(elsewhere)
    with pytest.raises(FleetRefused, match="leads out of"):
        read(root)


@pytest.mark.parametrize("path", ["10-all", "10-all/settings.yml", "10-all/templates", "edges.yml"])
def test_links_to_nothing(tmp_path: Path, path: str) -> None:
    """What a link led to is missing: that is a mistake, and not an empty file."""
    root = made(tmp_path, **{each: None for each in GOOD if each.startswith(path)})
    (root / path).symlink_to(root / "gone")
    with pytest.raises(FleetRefused, match=path):
        read(root)


def test_links_inside(tmp_path: Path) -> None:
    """Mounts of Kubernetes show their files by links."""
    root = made(tmp_path, **{"10-all/settings.yml": None, "10-all/..data/settings.yml": "discovery: {via: vip}\n"})
    (root / "10-all" / "settings.yml").symlink_to("..data/settings.yml")
    assert read(root).groups[0].bundle.settings == {"discovery": {"via": "vip"}}


def test_too_many(tmp_path: Path) -> None:
    """So many files are not even read."""
    files = {f"10-all/templates/haproxy/{number}.j2": "" for number in range(MOST_FILES)}
    with pytest.raises(FleetRefused, match="more than 200 files"):
        read(made(tmp_path, **files))


def test_missing(tmp_path: Path) -> None:
    """A directory that is gone is no empty one: nothing is taken from the edges."""
    with pytest.raises(FleetRefused, match="is not a directory"):
        read(tmp_path / "fleet")
