"""`lbgen.source.last_known`: what an earlier run knew."""

from __future__ import annotations

import stat
import time

import pytest
from structlog.testing import capture_logs

from lbgen.source.last_known import LastKnown, store_in
from tests.support.builders import a_node, a_service, a_snapshot
from tests.support.small_disk import needs_root, small_disk
from tests.support.wait import wait_for


def test_kept(tmp_path):
    """Facts are on disk soon, for this account alone, and are read back by the next lbgen."""
    store = store_in(tmp_path)("boxes/a")
    assert store.read() is None
    facts = a_snapshot(a_node(), a_service())
    store.keep(facts)
    path = tmp_path / "source" / "boxes" / "a.json"
    wait_for(path.exists, "the file")
    store.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert LastKnown(path).read() == facts
    assert len(path.read_text().splitlines()) == 1  # the encoder that indents takes five times as long


def test_debounced(tmp_path):
    """Of many changes in a row the last is written when it ends, and not each of them."""
    store = LastKnown(tmp_path / "a.json", pause=3600.0)
    store.keep(a_snapshot(a_service("first")))
    wait_for(store.path.exists, "the first")
    written = store.path.stat().st_ino
    for number in range(100):
        store.keep(a_snapshot(a_service(f"web{number}")))
    for _ in range(20):  # what is right stays so however long this takes
        time.sleep(0.01)
        assert store.path.stat().st_ino == written
    store.close()
    assert [service.name for service in LastKnown(store.path).read().services.values()] == ["web99"]


def test_proxies_first(tmp_path):
    """A change after a quiet while is not written in the moment in which the proxies are brought to it."""
    store = LastKnown(tmp_path / "a.json", pause=0.0, after=3600.0)
    store.keep(a_snapshot(a_service("first")))
    wait_for(store.path.exists, "the first")
    written = store.path.stat().st_ino
    store.keep(a_snapshot(a_service("second")))
    for _ in range(20):  # what is right stays so however long this takes
        time.sleep(0.01)
        assert store.path.stat().st_ino == written
    store.close()
    assert [service.name for service in LastKnown(store.path).read().services.values()] == ["second"]


def test_damaged(tmp_path):
    """A damaged file is told of, and is as good as none."""
    store = LastKnown(tmp_path / "a.json")
    store.path.write_text('{"version": 1, "nod')
    with capture_logs() as logs:
        assert store.read() is None
    assert [entry["event"] for entry in logs] == ["last_known_unread"]


def test_unwritable(tmp_path):
    """What cannot be written is told once, and keeps nobody from anything."""
    (tmp_path / "file").write_text("")
    store = LastKnown(tmp_path / "file" / "a.json", pause=0.001, after=0.001)
    with capture_logs() as logs:
        for number in range(3):
            store.keep(a_snapshot(a_service(f"web{number}")))
        store.close()
    assert [entry["event"] for entry in logs] == ["last_known_unwritten"]


@needs_root
@pytest.mark.parametrize("how", ["full", "read-only"])
def test_disk_that_is_mended(tmp_path, how):
    """The file stays as it was, whole, and has the newest facts once there is room, though none come any more."""
    with small_disk(tmp_path / "disk") as disk:
        store = LastKnown(disk.path / "a.json", pause=0.01, after=0.01)
        store.keep(a_snapshot(a_service("before")))
        wait_for(store.path.exists)
        before = store.path.read_bytes()
        with capture_logs() as logs:
            with disk.broken(how) as why:
                store.keep(a_snapshot(*(a_service(f"web{number}") for number in range(100))))
                wait_for(lambda: logs)
                assert store.path.read_bytes() == before
            wait_for(lambda: store.path.read_bytes() != before)
        store.close()
        assert [entry["event"] for entry in logs] == ["last_known_unwritten"]
        assert logs[0]["error"].startswith(f"{store.path}: cannot be written: {why}; ")
        assert len(LastKnown(store.path).read().services) == 100
        assert [path.name for path in disk.path.iterdir()] == ["a.json"]
