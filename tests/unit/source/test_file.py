"""`FileSource`: what a snapshot file may contain, and following it through all that editors and mounts do to files."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from lbgen.base.errors import LbgenError, SourceError
from lbgen.base.file_watch import Pace
from lbgen.base.unexpected import UNEXPECTED, Part
from lbgen.snapshot import Node, Snapshot
from lbgen.source import decode, file
from lbgen.source.file import FileSource, load, write_snapshot
from tests.support.following import Following
from tests.support.paths import FIXTURES
from tests.support.saving import save
from tests.support.wait import wait_for

NEVER = 10_000.0


def a_snapshot(*names: str) -> Snapshot:
    return Snapshot(cluster="c", nodes={name: Node(name, name) for name in names})


def text(*names: str) -> str:
    return write_snapshot(a_snapshot(*names))


@pytest.fixture
def path(tmp_path):
    """A file with one node in it, in a directory of its own."""
    (tmp_path / "config").mkdir()
    made = tmp_path / "config" / "snapshot.json"
    made.write_text(text("a"))
    return made


def following(path, **options):
    pace = {"settle": 0.01, "longest": 1.0, "poll": NEVER}
    seconds = {key: options.pop(key) for key in pace.keys() & options.keys()}
    return Following(FileSource(path, pace=Pace(**pace | seconds), **options))


# -- contents ------------------------------------------------------------------------------------------------


def test_recorded_snapshot():
    """The recorded file is read, and written back as it was."""
    recorded = FIXTURES / "snapshot-lab.json"
    assert write_snapshot(load(recorded)) == recorded.read_text()


def test_whole_engine_objects(tmp_path):
    """Replies of `curl --unix-socket`, put into one file, are a snapshot file."""
    kinds = ("nodes", "services", "tasks", "networks")
    whole = {kind: json.loads((FIXTURES / "engine-20.10" / f"{kind}.json").read_text()) for kind in kinds}
    (tmp_path / "x.json").write_text(json.dumps({"version": 1, **whole}))
    assert load(tmp_path / "x.json").services == load(FIXTURES / "snapshot-lab.json").services
    assert load(tmp_path / "x.json").networks == load(FIXTURES / "snapshot-lab.json").networks


def test_yaml_by_hand(tmp_path):
    """Lists may be missing or null, labels may be numbers, x- keys hold anchors."""
    (tmp_path / "x.yml").write_text("""
version: 1
taken_at: 2026-11-22T10:00:00Z
x-labels: &labels {lbgen.enable: true, lbgen.port: 8080}
services:
- ID: a
  Spec: {Name: web, Labels: *labels}
tasks:
nodes: []
""")
    snapshot = load(tmp_path / "x.yml")
    assert snapshot.services["a"].labels == {"lbgen.enable": "true", "lbgen.port": "8080"}
    assert snapshot.taken_at == 1795341600.0
    assert snapshot.cluster == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "x.yml: not a snapshot: expected an object with version and lists, found list"),
        ("", "x.yml: not a snapshot: expected an object with version and lists, found NoneType"),
        ("{}", "x.yml: version: 1 and 2 are the versions that this lbgen reads, there is none"),
        ("version: 3", "x.yml: version: 1 and 2 are the versions that this lbgen reads, found 3"),
        ("version: true", "found True"),
        ("version: '1'", "found '1'"),
        ("{version: 1, nodes: {a: b}}", "x.yml: nodes: expected a list, found dict"),
        ("{version: 1, service: []}", "x.yml: service: not a part of a snapshot; its parts are version, cluster"),
        ("{version: 1, cluster: 7}", "x.yml: cluster: expected a text, found 7"),
        ("{version: 1, services: [{ID: a, Spec: {}}]}", "x.yml: services[0].Spec.Name: expected a text, found nothing"),
        ("{version: 1, nodes: [{ID: a}, {ID: a}]}", "x.yml: nodes[1].ID: 'a' is there twice"),
        ("{version: 1, version: 1}", "x.yml:1:14: key 'version' is there twice"),
        ("version: 1\nnodes: [", "x.yml:3:1"),
    ],
)
def test_refused(tmp_path, content, message):
    """The file, the place in it, and what is wrong."""
    (tmp_path / "x.yml").write_text(content)
    with pytest.raises(SourceError) as raised:
        FileSource(tmp_path / "x.yml").take()
    assert message in str(raised.value)


def test_compose_files(tmp_path, monkeypatch):
    """Several files make one stack; the environment is this process's; a file without services may follow."""
    base, prod, nets = (tmp_path / name for name in ("stack.yml", "prod.yml", "nets.json"))
    base.write_text("services: {web: {image: x, networks: [front], deploy: {replicas: 2}}}\nnetworks: {front: }")
    prod.write_text("services: {web: {deploy: {replicas: '${WEB_REPLICAS}'}}}")
    nets.write_text('{"networks": {"front": {"external": true}}}')
    monkeypatch.setenv("WEB_REPLICAS", "3")
    snapshot = FileSource([base, prod, nets], stack="shop").take()
    assert list(snapshot.tasks) == ["shop_web.1", "shop_web.2", "shop_web.3"]
    assert list(snapshot.networks) == ["front"]
    assert FileSource([base, prod, nets], stack="shop").take() == snapshot
    assert load(base, "shop").notes == ()


@pytest.mark.parametrize(
    ("names", "stack", "message"),
    [
        (["a.json", "b.json"], "", "a.json: only Compose files can be read together, and this is a snapshot: give"),
        (["a.json"], "shop", "a.json: only Compose files are given the name of a stack ('shop'), and this is none"),
        (["c.yml", "a.json"], "shop", "a.json: only Compose files can be read together, and this is a snapshot"),
        (["c.yml", "d.yml"], "shop", "d.yml: not a Compose file: expected a mapping with services"),
        (["c.yml", "e.yml"], "shop", "e.yml: cannot be read: No such file"),
    ],
)
def test_no_such_mixture(tmp_path, names, stack, message):
    """What is no stack together is refused, with the file that does not fit."""
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(text("a"))
    (tmp_path / "c.yml").write_text("services: {web: {image: x}}")
    (tmp_path / "d.yml").write_text("- a")
    with pytest.raises(SourceError) as raised:
        FileSource([tmp_path / name for name in names], stack=stack).take()
    assert message in str(raised.value)


def test_take(path):
    """One complete snapshot, with a larger number each time."""
    source = FileSource(path)
    first, second = source.take(), source.take()
    assert first == second == a_snapshot("a")
    assert second.listing > first.listing
    path.unlink()
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        source.take()


def test_write_snapshot(tmp_path):
    """Written whole or not at all, the same text for the same facts."""
    target = tmp_path / "x.json"
    assert write_snapshot(a_snapshot("a"), target) == target.read_text() == text("a")
    assert oct(target.stat().st_mode)[-3:] == "600"
    assert load(target) == a_snapshot("a")
    target.chmod(0o644)
    (tmp_path / "link.json").symlink_to(target)
    write_snapshot(a_snapshot("b"), tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert load(target) == a_snapshot("b")
    assert oct(target.stat().st_mode)[-3:] == "600"
    with pytest.raises(LbgenError, match=r"cannot be written: No such file"):
        write_snapshot(a_snapshot("a"), tmp_path / "none" / "x.json")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["link.json", "x.json"]
    write_snapshot(a_snapshot("a"), "/dev/null")
    assert Path("/dev/null").is_char_device()


# -- following -----------------------------------------------------------------------------------------------


def overwrite(path, content):
    path.write_text(content)


def rename_over(path, content):
    """Most editors, and lbgen itself."""
    (path.parent / ".tmp").write_text(content)
    (path.parent / ".tmp").rename(path)


def backup_first(path, content):
    """vim with backupcopy=no."""
    path.rename(path.parent / "snapshot.json~")
    path.write_text(content)


def in_pieces(path, content):
    """A slow writer."""
    with path.open("w") as file_:
        for start in range(0, len(content), 100):
            file_.write(content[start : start + 100])
            file_.flush()


def delete_and_write(path, content):
    path.unlink()
    path.write_text(content)


@pytest.mark.parametrize("write", [overwrite, rename_over, backup_first, in_pieces, delete_and_write])
def test_following_a_file(path, write):
    """Each way of writing is noticed; unchanged objects are the same ones. Polling is off here."""
    with following(path) as followed:
        first = followed.next()
        assert first == a_snapshot("a")
        write(path, text("a", "b"))
        second = followed.until(lambda snapshot: "b" in snapshot.nodes)
        assert second == a_snapshot("a", "b")
        assert second.nodes["a"] is first.nodes["a"]
        assert second.services is first.services
        write(path, text("c"))
        assert followed.until(lambda snapshot: "c" in snapshot.nodes) == a_snapshot("c")


def test_config_mount(tmp_path):
    """Kubernetes and its like swap a link to a whole directory: ``..data`` -> ``..2026_2``."""
    for number, name in enumerate("ab"):
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}" / "snapshot.json").write_text(text(name))
    (tmp_path / "..data").symlink_to("..0")
    (tmp_path / "snapshot.json").symlink_to("..data/snapshot.json")
    with following(tmp_path / "snapshot.json") as followed:
        assert followed.next() == a_snapshot("a")
        (tmp_path / "..new").symlink_to("..1")
        (tmp_path / "..new").rename(tmp_path / "..data")
        assert followed.next() == a_snapshot("b")
        (tmp_path / "..1" / "snapshot.json").write_text(text("c"))
        assert followed.until(lambda s: "c" in s.nodes) == a_snapshot("c")


def test_link_to_a_file_elsewhere(path, tmp_path):
    """What the link leads to is watched, also after the link was changed."""
    link = tmp_path / "link.json"
    link.symlink_to(path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.json").write_text(text("x"))
    with following(link) as followed:
        followed.next()
        path.write_text(text("b"))
        followed.until(lambda s: "b" in s.nodes)
        (tmp_path / "new").symlink_to(tmp_path / "other" / "x.json")
        (tmp_path / "new").rename(link)
        followed.until(lambda s: "x" in s.nodes)
        (tmp_path / "other" / "x.json").write_text(text("y"))
        followed.until(lambda s: "y" in s.nodes)


def test_changes_without_notification_are_polled_for(path, monkeypatch):
    """Network file systems and single mounted files send none."""
    monkeypatch.setattr("watchdog.observers.Observer.schedule", lambda *_: None)
    with following(path, poll=0.02) as followed:
        followed.next()
        path.write_text(text("b"))
        followed.until(lambda s: "b" in s.nodes)


def test_directory_made_anew(path):
    """A watch belongs to a directory, not to its name: the new one of that name is watched as well."""
    pace = SimpleNamespace(settle=0.01, longest=1.0, poll=0.02)
    with Following(FileSource(path, pace=pace)) as followed:
        followed.next()
        path.parent.rename(path.parent.parent / "old")
        path.parent.mkdir()
        path.write_text(text("b"))
        followed.until(lambda s: "b" in s.nodes)
        pace.poll = NEVER
        followed.source.relist()
        followed.next()
        path.write_text(text("c"))
        followed.until(lambda s: "c" in s.nodes)


def test_no_watches_left(path, monkeypatch):
    """A machine out of inotify watches: said once, and polled for."""

    def refuse(*_):
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr("watchdog.observers.Observer.schedule", refuse)
    with capture_logs() as logs, following(path, poll=0.02) as followed:
        followed.next()
        for name in "bc":
            path.write_text(text(name))
            followed.until(lambda s, name=name: name in s.nodes)
    assert [entry["event"] for entry in logs] == ["file_watch_unavailable"]


def test_broken_file_changes_nothing(path):
    """It is logged once, with the place; when it is whole again, the same facts are no news."""
    with capture_logs() as logs, following(path, poll=0.02) as followed:
        followed.next()
        save(path, '{"version": 1,\n "nodes": [')
        wait_for(lambda: logs)
        threading.Event().wait(0.2)
        save(path, text("a"))
        wait_for(lambda: len(logs) == 2)
        save(path, text("b"))
        assert followed.next() == a_snapshot("b")
    assert [entry["event"] for entry in logs] == ["snapshot_file_unusable", "snapshot_file_usable_again"]
    assert f"{path}:2:" in logs[0]["error"]


@pytest.mark.parametrize("error", [RuntimeError("a mistake"), KeyError("ID"), AttributeError("get")])
def test_reading_that_raises(path, monkeypatch, error):
    """What nobody expected of a file's content is logged and counted, changes nothing, and does not end following."""
    reading = decode.snapshot
    with capture_logs() as logs, following(path) as followed:
        first = followed.next()

        def refuse(*_: object, **__: object) -> Snapshot:
            raise error

        monkeypatch.setattr(decode, "snapshot", refuse)
        save(path, text("b"))
        wait_for(lambda: UNEXPECTED.counts()[Part.SOURCE])
        assert followed.pending == 0
        monkeypatch.setattr(decode, "snapshot", reading)
        second = followed.next()
    assert (first, second) == (a_snapshot("a"), a_snapshot("b"))
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["unexpected_error"]


def test_broken_file_is_told_without_polling(path):
    """A second look follows soon, whether or not anything happens to the file."""
    with capture_logs() as logs, following(path) as followed:
        followed.next()
        path.write_text("{")
        wait_for(lambda: [entry["event"] for entry in logs] == ["snapshot_file_unusable"])


def test_change_that_does_not_show(path):
    """Two changes within one step of file times have one fingerprint: a file that is that new is read again."""
    future = 2 * os.stat(path).st_mtime_ns  # noqa: PTH116
    os.utime(path, ns=(future, future))
    with following(path, settle=0.3, poll=0.6) as followed:
        followed.next()
        path.write_text(text("b"))
        os.utime(path, ns=(future, future))
        assert followed.until(lambda s: "b" in s.nodes) == a_snapshot("b")


def test_file_that_comes_later(tmp_path):
    """Nothing is yielded before there is something, not even where the directory is missing at first."""
    path = tmp_path / "later" / "x.json"
    with capture_logs() as logs, following(path, poll=0.02) as followed:
        wait_for(lambda: any("unusable" in entry["event"] for entry in logs))
        assert followed.pending == 0
        path.parent.mkdir()
        path.write_text(text("a"))
        assert followed.next() == a_snapshot("a")
        rename_over(path, text("b"))
        assert followed.next() == a_snapshot("b")


def test_file_that_vanishes_for_a_moment(path):
    """No line in the log, no snapshot."""
    with capture_logs() as logs, following(path, settle=0.1) as followed:
        followed.next()
        path.rename(path.parent / "away")
        (path.parent / "away").rename(path)
        path.write_text(text("b"))
        assert followed.until(lambda s: "b" in s.nodes) == a_snapshot("b")
    assert logs == []


def test_unrelated_changes_are_no_news(path):
    """Other files in the directory, a touch, the same contents again."""
    with following(path, poll=0.02) as followed:
        first = followed.next()
        (path.parent / "other").write_text("x")
        os.utime(path)
        rename_over(path, text("a"))
        threading.Event().wait(0.3)
        assert followed.pending == 0
        followed.source.relist()
        second = followed.next()
    assert second == first
    assert second.nodes is first.nodes
    assert second.listing > first.listing


def test_burst(path):
    """Several changes at short intervals are one: what lies between them is never handed on."""
    with following(path, settle=3.0, longest=NEVER) as followed:
        followed.next()
        for name in "bcd":
            overwrite(path, text(name))
            threading.Event().wait(0.1)
        assert followed.next() == a_snapshot("d")


def test_file_written_while_it_is_read(path, monkeypatch):
    """What was read may be a mixture of old and new: it is read again, and only that is handed on."""
    real = file.load

    def load_slowly(*where):
        found = real(*where)
        if "half" in found.nodes:
            overwrite(path, text("whole", "file"))
        return found

    monkeypatch.setattr(file, "load", load_slowly)
    with following(path) as followed:
        followed.next()
        overwrite(path, text("half"))
        assert followed.next() == a_snapshot("file", "whole")


def test_own_reading_is_no_change(path, monkeypatch):
    """Reading a file must not wake the watch that leads to reading it."""
    reads = []
    real = decode.snapshot
    monkeypatch.setattr(decode, "snapshot", lambda *lists, **rest: reads.append(1) or real(*lists, **rest))
    with following(path) as followed:
        followed.next()
        threading.Event().wait(0.5)
    assert len(reads) <= 2


def test_following_compose_files(tmp_path):
    """A change in any of them, in whatever directory, is noticed; notes are logged once, until they are new."""
    base, later = tmp_path / "a" / "stack.yml", tmp_path / "b" / "prod.yml"
    for file_ in (base, later):
        file_.parent.mkdir()
    base.write_text("services: {web: {image: x}, db: {image: y, restart: always}}")
    later.write_text("services: {web: {deploy: {replicas: 2}}}")
    with capture_logs() as logs, following([base, later], stack="s") as followed:
        first = followed.next()
        assert list(first.tasks) == ["s_db.1", "s_web.1", "s_web.2"]
        later.write_text("services: {web: {deploy: {replicas: 1}}}")
        second = followed.until(lambda s: len(s.tasks) == 2)
        assert second.services["s_db"] is first.services["s_db"]
        base.write_text("services: {web: {image: x}, db: {image: y, restart: always, build: .}}")
        wait_for(lambda: len(logs) == 2)
    assert [entry["event"] for entry in logs] == ["note", "note"]
    assert "services.db.restart" in logs[0]["note"]
    assert "services.db.build" in logs[1]["note"]


def test_close_while_waiting(path):
    """The end of the block closes it; nothing is left of the watch."""
    before = threading.active_count()
    with following(path) as followed:
        followed.next()
    wait_for(lambda: threading.active_count() <= before)
