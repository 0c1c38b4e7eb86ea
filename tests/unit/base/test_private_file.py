"""`base.private_file`: files that nobody else may read, also where root writes for `lbgen run`."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lbgen.base.private_file import hand_over, make_private_directory, write_private

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
ACCOUNT, ANOTHER = 12345, 12346


def owners(*paths: Path) -> list[tuple[int, int]]:
    return [(path.lstat().st_uid, stat.S_IMODE(path.lstat().st_mode)) for path in paths]


@needs_root
def test_directory_of_the_daemons(tmp_path: Path) -> None:
    """What root puts in a directory of another account belongs to that: file, and directories on the way."""
    os.chown(tmp_path, ACCOUNT, ACCOUNT)
    path = tmp_path / "revocations" / "edge1.json"
    write_private(path, "{}")
    assert owners(path.parent, path) == [(ACCOUNT, 0o700), (ACCOUNT, 0o600)]


@needs_root
def test_file_of_the_daemons(tmp_path: Path) -> None:
    """In a directory of root's a file keeps the account that may read it; a new one is root's."""
    path = tmp_path / "authority.pem"
    write_private(path, "old")
    assert owners(path) == [(0, 0o600)]
    os.chown(path, ACCOUNT, ACCOUNT)
    write_private(path, "new")
    assert owners(path) == [(ACCOUNT, 0o600)]


@needs_root
def test_another_name_of_a_file(tmp_path: Path) -> None:
    """A file of root's that somebody has given a second name is given to nobody."""
    own, theirs = tmp_path / "shadow", tmp_path / "state"
    own.write_text("secret")
    theirs.mkdir()
    os.chown(theirs, ACCOUNT, ANOTHER)
    (theirs / "lock").hardlink_to(own)
    with own.open() as file:
        hand_over(file.fileno(), theirs / "lock")
    assert owners(own)[0][0] == 0


def test_no_directory(tmp_path: Path) -> None:
    """A file in the place of a directory is an error."""
    (tmp_path / "state").write_text("")
    with pytest.raises(FileExistsError):
        make_private_directory(tmp_path / "state")
