"""`lbgen.base.fingerprint`: whether a file is another one, or may have changed."""

from __future__ import annotations

import os

from lbgen.base.fingerprint import STEP, Fingerprint, fingerprint, identity, walk


def test_fingerprint(tmp_path):
    """It differs with content, time and file; the identity of a directory does not with what is in it."""
    path = tmp_path / "a"
    path.write_text("one")
    first = fingerprint(path)
    os.utime(path, ns=(0, first.modified + 1))
    second = fingerprint(path)
    path.write_text("other")
    os.utime(path, ns=(0, second.modified))
    third = fingerprint(path)
    assert len({first, second, third}) == 3
    directory = identity(tmp_path)
    (tmp_path / "b").write_text("new")
    assert identity(tmp_path) == directory != identity(path)
    assert fingerprint(tmp_path / "none") is identity(tmp_path / "none") is None


def test_settled():
    """A change right after the last one may not show: file times advance in steps."""
    made = Fingerprint(1, 2, 3, modified=5_000_000_000)
    assert not made.settled(lambda: 5.0 + STEP)
    assert made.settled(lambda: 5.0 + STEP + 0.001)


def test_walk(tmp_path):
    """Links are followed, but not back; hidden files and directories are left out."""
    for name in ("set/dynamic", "set/.hidden", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("set/b.j2", "set/a.j2", "set/.a.swp", "set/dynamic/c.j2", "set/.hidden/x", "elsewhere/d.j2"):
        (tmp_path / name).touch()
    (tmp_path / "set/linked").symlink_to("../elsewhere")
    (tmp_path / "set/dynamic/back").symlink_to("..")
    files = [str(file.relative_to(tmp_path / "set")) for _, files in walk(tmp_path / "set") for file in files]
    assert files == ["a.j2", "b.j2", "dynamic/c.j2", "linked/d.j2"]
    assert list(walk(tmp_path / "set/a.j2")) == list(walk(tmp_path / "none")) == []
