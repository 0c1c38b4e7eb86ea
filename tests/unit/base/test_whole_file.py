"""`base.whole_file`: a file is there whole or as it was before, and nothing else is left."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from lbgen.base import whole_file


def test_in_place(tmp_path: Path) -> None:
    """A new file is its account's alone; what was there before is replaced, and not written to."""
    place = tmp_path / "file"
    place.write_text("old")
    with place.open() as before:
        whole_file.replace(place, b"new")
        assert before.read() == "old"
    assert place.read_text() == "new"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


@pytest.mark.parametrize("lasting", [True, False])
def test_prepared(tmp_path: Path, lasting: bool) -> None:
    """What prepares it is given the file whole, before anybody can open it by its name."""
    place = tmp_path / "file"

    def prepare(handle: int) -> None:
        assert os.fstat(handle).st_size == 3
        assert not place.exists()
        os.fchmod(handle, 0o640)

    whole_file.replace(place, b"new", prepare, lasting=lasting)
    assert stat.S_IMODE(place.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    "broken", [OSError(errno.ENOSPC, "No space left on device", "what/is/gone"), KeyboardInterrupt()]
)
def test_not_written(tmp_path: Path, broken: BaseException) -> None:
    """Whatever comes between, the file is as it was and nothing lies beside it; an error names the file."""
    place = tmp_path / "file"
    place.write_text("old")

    def prepare(_handle: int) -> None:
        raise broken

    with pytest.raises(type(broken)) as caught:
        whole_file.replace(place, b"new", prepare)
    if isinstance(caught.value, OSError):
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(place))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert place.read_text() == "old"


@pytest.mark.parametrize("missing", [True, False])
def test_no_place(tmp_path: Path, missing: bool) -> None:
    """Where there is no directory, or one is in the file's place, the error is of that kind and names the file."""
    place = tmp_path / "directory" / "file"
    if not missing:
        place.mkdir(parents=True)
    with pytest.raises(FileNotFoundError if missing else IsADirectoryError) as caught:
        whole_file.replace(place, b"new")
    assert caught.value.filename == str(place)
    assert missing or [path.name for path in place.parent.iterdir()] == ["file"]
