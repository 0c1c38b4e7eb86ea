"""`daemon.drain_store`: the file that `lbgen drain` writes: whole, private, by one command at a time."""

from __future__ import annotations

import json
import os
import stat
import threading

import pytest

from lbgen.base.errors import SettingsError
from lbgen.daemon import drain_store
from lbgen.daemon.drain_store import LOCK, BadDrains, Drain, changing, read
from tests.support.small_disk import needs_root, small_disk
from tests.support.watched import AT


def test_written_and_read(tmp_path):
    """What was changed is read back, with its directory made and for its owner alone."""
    path = tmp_path / "state" / "drains.json"
    drains = {"node2": Drain("node2", AT, "new kernel", AT + 60), "web.1": Drain("web.1", AT + 1)}
    with changing(path) as found:
        found |= drains
    assert read(path) == drains
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {
        "version": 1,
        "drains": {
            "node2": {"since": "2026-11-22T10:00:00.000Z", "reason": "new kernel", "until": "2026-11-22T10:01:00.000Z"},
            "web.1": {"since": "2026-11-22T10:00:01.000Z"},
        },
    }
    assert sorted(each.name for each in path.parent.iterdir()) == [LOCK, "drains.json"]


def test_no_file(tmp_path):
    """Without a file nothing is drained."""
    assert read(tmp_path / "drains.json") == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not what 'lbgen drain' writes"),
        ("[]", "it is no object"),
        ('{"version": 2, "drains": {}}', "version 2, not 1"),
        ('{"version": 1}', "drains is missing"),
        ('{"version": 1, "drains": {"a": {}}}', "since is missing"),
        ('{"version": 1, "drains": {"a": {"since": "now"}}}', "'now' is no time such as"),
        ('{"version": 1, "drains": {" ": {"since": "2026-11-22T10:00:00Z"}}}', "the name ' '"),
        ('{"version": 1, "drains": ["a"]}', "is not what 'lbgen drain' writes"),
    ],
)
def test_bad_file(tmp_path, text, why):
    """A file of another kind is refused with its name and what is wrong, and is not written over."""
    path = tmp_path / "drains.json"
    path.write_text(text)
    with pytest.raises(BadDrains, match=r"drains\.json") as caught:
        read(path)
    assert why in str(caught.value)
    with pytest.raises(BadDrains), changing(path) as drains:
        drains["b"] = Drain("b", AT)
    assert path.read_text() == text


def test_unreadable(tmp_path):
    """A directory in its place is told as such."""
    (tmp_path / "drains.json").mkdir()
    with pytest.raises(BadDrains, match="Is a directory"):
        read(tmp_path / "drains.json")


def test_cannot_be_written(tmp_path):
    """Where the directory cannot be made, the message has the setting."""
    (tmp_path / "state").write_text("")
    with pytest.raises(SettingsError, match=r"see setting state"), changing(tmp_path / "state" / "drains.json"):
        pass


def test_one_at_a_time(tmp_path):
    """Many commands at once lose none of what each writes."""
    path = tmp_path / "drains.json"

    def drain(number: int) -> None:
        with changing(path) as drains:
            drains[f"node{number}"] = Drain(f"node{number}", AT)

    threads = [threading.Thread(target=drain, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read(path)) == 8


def test_held(tmp_path):
    """Who does not get the lock says so, and changes nothing."""
    path = tmp_path / "drains.json"
    with changing(path), pytest.raises(SettingsError, match="another 'lbgen drain'"), changing(path, patience=0.0):
        raise AssertionError("both have it")


def test_failure_changes_nothing(tmp_path):
    """What raises inside the block is not written."""
    path = tmp_path / "drains.json"

    def failing(drains: dict[str, Drain]) -> None:
        drains["a"] = Drain("a", AT)
        raise KeyError

    with pytest.raises(KeyError), changing(path) as drains:
        failing(drains)
    assert read(path) == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owner(tmp_path):
    """Written by root it belongs to the directory's owner, who is to read it."""
    os.chown(tmp_path, 1234, 1234)
    path = tmp_path / drain_store.FILE
    with changing(path) as drains:
        drains["a"] = Drain("a", AT)
    assert [each.stat().st_uid for each in sorted(tmp_path.iterdir())] == [1234, 1234]


@needs_root
@pytest.mark.parametrize("how", ["full", "read-only"])
def test_disk_that_cannot_be_written(tmp_path, how):
    """What is drained stays drained, and what to do is said."""
    with small_disk(tmp_path / "disk") as disk:
        path = disk.path / drain_store.FILE
        with changing(path) as drains:
            drains["a"] = Drain("a", AT)
        with (
            disk.broken(how) as why,
            pytest.raises(SettingsError, match=rf"{path}: cannot be written: {why}; .*; nothing was changed"),
            changing(path) as drains,
        ):
            drains["b"] = Drain("b", AT)
        assert list(read(path)) == ["a"]
        assert disk.unfinished() == []
