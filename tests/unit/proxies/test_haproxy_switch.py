"""`haproxy.switch`: files are replaced all or none, also where that takes several steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbgen.base.errors import ApplyFailed
from lbgen.proxies import disk
from lbgen.proxies.haproxy import switch

OLD = {"haproxy.cfg": "use map(a.map) and xa.map, a.map.old\n", "a.map": "old\n", "b.map": "same\n", "c.map": "gone\n"}
NEW = {"haproxy.cfg": "new: map(a.map) 'd/e.http'\n", "a.map": "new\n", "b.map": "same\n", "d/e.http": "more\n"}


def contents(directory: Path) -> dict[str, str]:
    """Every file below."""
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def test_write(tmp_path):
    """In the end there are the new files and no others, and what has not changed was not written."""
    switch.write(tmp_path, OLD)
    assert contents(tmp_path) == OLD
    same = (tmp_path / "b.map").stat()
    switch.write(tmp_path, NEW, ["c.map", "never there"])
    assert contents(tmp_path) == NEW
    assert (tmp_path / "b.map").stat().st_ino == same.st_ino
    assert not list(tmp_path.glob(".lbgen-*"))


def test_decisive_moment(tmp_path, monkeypatch):
    """One rename of haproxy.cfg decides: before it every old file is as it was, and it names the new ones' copies."""
    switch.write(tmp_path, OLD)
    seen = []
    original = disk.write

    def write(output, texts, remove=(), **more):
        seen.append((sorted(texts), contents(tmp_path)))
        original(output, texts, remove, **more)

    monkeypatch.setattr(disk, "write", write)
    switch.write(tmp_path, NEW, ["c.map"])
    (staged, first), (decisive, second), (rest, third), (last, _) = seen
    stage = staged[0].partition("/")[0]
    assert staged == [f"{stage}/a.map", f"{stage}/d/e.http"]
    assert (decisive, rest, last) == (["haproxy.cfg"], ["a.map", "d/e.http"], ["haproxy.cfg"])
    assert first == OLD
    assert {name: text for name, text in second.items() if not name.startswith(stage)} == OLD
    assert third["haproxy.cfg"] == f"new: map({stage}/a.map) '{stage}/d/e.http'\n"


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_failure(tmp_path, monkeypatch, step):
    """If any step fails, every file is as it was."""
    switch.write(tmp_path, OLD)
    original, steps = disk.write, 0

    def write(output, texts, remove=(), **more):
        nonlocal steps
        steps += 1
        if steps == step:
            raise ApplyFailed("No space left on device")
        original(output, texts, remove, **more)

    monkeypatch.setattr(disk, "write", write)
    with pytest.raises(ApplyFailed):
        switch.write(tmp_path, NEW, ["c.map"])
    found = {name: text for name, text in contents(tmp_path).items() if not name.startswith(".lbgen-next-")}
    assert found == OLD
    monkeypatch.undo()
    switch.write(tmp_path, NEW, ["c.map"])
    assert contents(tmp_path) == NEW
