"""`lbgen.proxies.disk`: files are replaced all or none, keep their modes, and a bind-mounted one is overwritten."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lbgen.base.errors import ApplyFailed
from lbgen.proxies import disk
from lbgen.render.renderer import PLACEHOLDER, Files
from tests.support.passwords import HASH, SHA_100001
from tests.support.paths import ROOT

OLD = {"a.cfg": "old a\n", "b.map": "old b\n", "sub/c": "old c\n"}
NEW = {"a.cfg": "new a, and longer\n", "b.map": "new\n", "sub/c": "new c\n"}
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount")


def contents(directory: Path) -> dict[str, str]:
    """Every file below, whatever its name."""
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture
def output(tmp_path):
    """An output directory that holds OLD."""
    disk.write(tmp_path, OLD)
    return tmp_path


def test_write_and_read(output):
    """What is written is read back, with nothing left beside it."""
    assert disk.read(output, OLD) == OLD
    disk.write(output, NEW)
    assert contents(output) == NEW
    assert disk.read(output, [*NEW, "missing"]) == NEW


def test_remove(output):
    """Files of before can be removed along; one that is not there is no error."""
    disk.write(output, {"a.cfg": "x"}, remove=["b.map", "missing"])
    assert contents(output) == {"a.cfg": "x", "sub/c": "old c\n"}


def test_bytes_are_kept(tmp_path):
    """Line ends and characters are written as they are rendered."""
    disk.write(tmp_path, {"a": "one\r\ntwo\rZ\u00fcrich\n"})
    assert (tmp_path / "a").read_bytes() == "one\r\ntwo\rZ\u00fcrich\n".encode()
    assert disk.read(tmp_path, ["a"]) == {"a": "one\r\ntwo\rZ\u00fcrich\n"}


def test_read_what_is_not_ours(tmp_path):
    """A file that is not UTF-8 is as good as none; so is a directory."""
    (tmp_path / "a").write_bytes(b"\xff")
    (tmp_path / "b").mkdir()
    assert disk.read(tmp_path, ["a", "b"]) == {}


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755])
def test_mode_is_kept(output, mode):
    """A replaced file keeps its mode."""
    (output / "a.cfg").chmod(mode)
    disk.write(output, NEW)
    assert stat.S_IMODE((output / "a.cfg").stat().st_mode) == mode


SECRETS = [
    f"    user a password '{HASH}'",
    f"a:{SHA_100001}",
    "a:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/",
    "a:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
    "    user a insecure-password x",
]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_mode_of_new_files(tmp_path, umask):
    """New files and directories are for lbgen's account and group alone, whatever the umask."""
    before = os.umask(umask)
    try:
        disk.write(tmp_path / "x/y", {"sub/a": "1"})
    finally:
        os.umask(before)
    modes = {str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes == {"x": 0o750, "x/y": 0o750, "x/y/sub": 0o750, "x/y/sub/a": 0o640}


@pytest.mark.parametrize("secret", SECRETS)
def test_passwords_are_for_nobody_else(output, secret):
    """A file that everybody may read is so no more once there is a password in it; one that few may read stays so."""
    (output / "a.cfg").chmod(0o666)
    (output / "sub/c").chmod(0o600)
    disk.write(output, {"a.cfg": secret, "sub/c": secret})
    assert [stat.S_IMODE((output / name).stat().st_mode) for name in ("a.cfg", "sub/c")] == [0o640, 0o600]


def test_passwords_of_before(output):
    """What an older lbgen has written is taken from others too, and nothing else."""
    texts = {"a.cfg": SECRETS[0], "b.map": "redirect $1$2/$1$abc"}
    for name, text in texts.items():
        (output / name).write_text(text)
        (output / name).chmod(0o644)
    disk.close_to_others(output, {**texts, "missing": SECRETS[0]})
    assert [stat.S_IMODE((output / name).stat().st_mode) for name in texts] == [0o640, 0o644]


def test_group_of_a_shared_directory(tmp_path):
    """Below a directory whose group is taken over by what is made in it, so it is further down."""
    tmp_path.chmod(0o2755)
    disk.write(tmp_path / "x/y", {"a": "1"})
    assert stat.S_IMODE((tmp_path / "x/y").stat().st_mode) == 0o2750


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to change owners")
def test_owner_is_kept(output):
    """A replaced file keeps its owner: the proxy's account could read it, and can again."""
    (output / "a.cfg").chmod(0o640)
    os.chown(output / "a.cfg", 12345, 12346)
    disk.write(output, NEW)
    found = (output / "a.cfg").stat()
    assert (found.st_uid, found.st_gid) == (12345, 12346)


def test_symlink(tmp_path):
    """A file that is a link to elsewhere stays one, and its target is what is replaced."""
    (tmp_path / "real").write_text("old")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.cfg").symlink_to(tmp_path / "real")
    disk.write(tmp_path / "out", {"a.cfg": "new"})
    assert (tmp_path / "out/a.cfg").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize(
    "blocked",
    [
        lambda output: (output / "b.map").unlink() or (output / "b.map").mkdir(),
        lambda output: (output / "sub/c").unlink() or (output / "sub").rmdir() or (output / "sub").write_text("file"),
    ],
    ids=["a directory in the place of a file", "a file in the place of a directory"],
)
def test_cannot_be_replaced(output, blocked):
    """If one file cannot be put in place, none is: what was there is there again."""
    blocked(output)
    before = contents(output)
    with pytest.raises(ApplyFailed, match="cannot be written"):
        disk.write(output, NEW)
    assert contents(output) == before


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_disk_fails(output, monkeypatch, function, call):
    """Whichever write or rename fails, nothing is replaced in the end and nothing is left behind."""
    calls = []

    def failing(*args, **kwargs):
        calls.append(args)
        if len(calls) == call:
            raise OSError(errno.EIO, "Input/output error", "somewhere")
        return real(*args, **kwargs)

    owner = os if function == "fsync" else Path
    real = getattr(owner, function)
    monkeypatch.setattr(owner, function, failing)
    with pytest.raises(ApplyFailed, match="Input/output error"):
        disk.write(output, NEW)
    monkeypatch.undo()
    assert contents(output) == OLD


def in_mount_namespace(script: str, directory: Path) -> str:
    """Run a Python script with its own mounts; return what it printed."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + script
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", code, str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_root
def test_disk_full(tmp_path):
    """A full disk is found before anything is replaced."""
    printed = in_mount_namespace(
        """
import subprocess
from pathlib import Path
from lbgen.proxies import disk
from lbgen.base.errors import ApplyFailed
output = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", output], check=True)
disk.write(output, {"a": "old\\n", "b": "old\\n"})
try:
    disk.write(output, {"a": "new\\n", "b": "x" * 100_000})
except ApplyFailed as error:
    print(error)
print(disk.read(output, ["a", "b"]), len(list(output.iterdir())))
""",
        tmp_path,
    )
    assert "No space left on device" in printed
    assert printed.endswith("{'a': 'old\\n', 'b': 'old\\n'} 2\n")


@needs_root
def test_bind_mounted_file(tmp_path):
    """A file that is a bind mount cannot be renamed over; it is overwritten in place, longer or shorter."""
    for name in ("outside", "output"):
        (tmp_path / name).mkdir()
    (tmp_path / "outside/a").write_text("old and long enough\n")
    printed = in_mount_namespace(
        """
import subprocess
from pathlib import Path
from lbgen.proxies import disk
outside, output = Path(sys.argv[1]) / "outside", Path(sys.argv[1]) / "output"
(output / "a").touch()
subprocess.run(["mount", "--bind", outside / "a", output / "a"], check=True)
for text in ("new\\n", "newer, and much longer than that\\n"):
    disk.write(output, {"a": text, "b": text})
    assert (output / "a").read_text() == (outside / "a").read_text() == (output / "b").read_text() == text
print(sorted(path.name for path in output.iterdir()))
""",
        tmp_path,
    )
    assert printed == "['a', 'b']\n"
    assert (tmp_path / "outside/a").read_text() == "newer, and much longer than that\n"


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EXDEV])
def test_overwritten_in_place(output, monkeypatch, number):
    """Where a rename is refused as on a mount point, the file keeps its inode and gets the new text."""
    inode = (output / "a.cfg").stat().st_ino

    def refusing(self, target):
        raise OSError(number, os.strerror(number), str(self), None, str(target))

    monkeypatch.setattr(Path, "replace", refusing)
    disk.write(output, NEW)
    monkeypatch.undo()
    assert contents(output) == NEW
    assert (output / "a.cfg").stat().st_ino == inode


def test_missing_directory(tmp_path):
    """A directory that is not there is made."""
    disk.write(tmp_path / "x/y", {"a": "1"})
    assert contents(tmp_path) == {"x/y/a": "1"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_right(output):
    """A directory that may not be written to is an error that names the file."""
    output.chmod(0o500)
    with pytest.raises(ApplyFailed, match="Permission denied"):
        disk.write(output, NEW)
    output.chmod(0o700)
    assert contents(output) == OLD


@needs_root
def test_read_only(tmp_path):
    """A read-only file system is an error that says so."""
    printed = in_mount_namespace(
        """
import subprocess
from lbgen.proxies import disk
from lbgen.base.errors import ApplyFailed
from pathlib import Path
subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", sys.argv[1]], check=True)
try:
    disk.write(Path(sys.argv[1]), {"a": "new\\n"})
except ApplyFailed as error:
    print(error)
""",
        tmp_path,
    )
    assert "Read-only file system" in printed
    assert str(tmp_path) in printed


def test_clear(output):
    """What a killed lbgen left half-written is removed, and nothing else."""
    (output / ".lbgen-new-abc").write_text("half")
    (output / "sub/.lbgen-new-def").write_text("half")
    (output / ".other").write_text("kept")
    disk.clear(output)
    assert contents(output) == {**OLD, ".other": "kept"}


@pytest.mark.parametrize(
    ("change", "recognised"),
    [
        (lambda texts: texts, True),
        (lambda texts: {**texts, "a": texts["a"] + "\n"}, False),
        (lambda texts: {"a": texts["a"]}, False),
        (lambda texts: {**texts, "c": ""}, False),
        (lambda _: {}, False),
    ],
)
def test_generation_on_disk(change, recognised):
    """Files on disk are known again by the generation they name, and only if every byte is as it was rendered."""
    files = Files.of({"a": f"generation {PLACEHOLDER}, {PLACEHOLDER}\n", "b": "x\n"})
    found = disk.generation_on_disk(change(dict(files.texts)), files.generation)
    assert found == (files if recognised else None)


@pytest.mark.parametrize("generation", ["", "0123456789ab"])
def test_another_generation_on_disk(generation):
    """A proxy that serves another generation, or none, does not run these files."""
    assert disk.generation_on_disk(Files.of({"a": PLACEHOLDER}).texts, generation) is None
