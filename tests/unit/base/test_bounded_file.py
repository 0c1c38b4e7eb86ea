"""What lies where a file is expected is read up to a limit: in size, in time, and only if it is one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

import pytest

from lbgen.base import bounded_file, json_text
from lbgen.base.yaml_tree import MAX_VALUES
from tests.support.endless import deep
from tests.support.memory import peak
from tests.support.wait import PATIENCE

BOUND = 500  # MiB of the whole process
LOAD = """
import sys
from lbgen.base.errors import LbgenError
from lbgen.settings import load_settings
from lbgen.source.file import load
try:
    load_settings(sys.argv[2], {}, {}) if sys.argv[1] == "settings" else load(sys.argv[2])
except LbgenError as error:
    print(str(error)[:1000])
"""
CREDENTIALS = """
import sys, types
from pathlib import Path
from lbgen.render.credentials import CredentialReader
where = Path(sys.argv[1])
kinds = dict.fromkeys(("certificates", "users", "client_cas", "server_cas", "pages"), where)
found = CredentialReader(types.SimpleNamespace(**kinds)).read()
print(*(problem.what for problem in found.problems), sep="\\n")
"""


@pytest.fixture
def sparse(tmp_path):
    """A file of 3 GiB."""
    path = tmp_path / "sparse.yml"
    with path.open("wb") as file:
        file.truncate(3 << 30)
    return path


def test_whole_file(tmp_path):
    """Also one as large as the limit, and an empty one."""
    path = tmp_path / "a"
    for content in (b"", b"abc"):
        path.write_bytes(content)
        assert bounded_file.read(path, 3) == content
    with pytest.raises(bounded_file.TooLarge, match="larger than 0 KiB"):
        bounded_file.read(path, 2)


@pytest.mark.parametrize(("path", "said"), [("/dev/zero", "it is a device, not a file"), ("/", "Is a directory")])
def test_not_a_file(path, said):
    """It is not read."""
    with pytest.raises(OSError, match=said):
        bounded_file.read(path, 100, pipes=True)


def test_socket(tmp_path, monkeypatch):
    """It cannot even be opened."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        with pytest.raises(OSError, match="No such device"):
            bounded_file.read("socket", 100)


def test_pipe_in_place_of_a_file(tmp_path):
    """Nobody waits for a writer; one is read only where that is wanted."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is a pipe, not a file"):
        bounded_file.read(tmp_path / "pipe", 100)
    assert bounded_file.read(tmp_path / "pipe", 100, pipes=True) == b""


def test_pipe():
    """It is read to its end, which may be a while off, up to its limit."""
    read_end, write_end = os.pipe()
    timer = threading.Timer(0.1, lambda: (os.write(write_end, b"def"), os.close(write_end)))
    os.write(write_end, b"abc")
    timer.start()
    try:
        assert bounded_file.read(f"/proc/self/fd/{read_end}", 6, pipes=True, pipe_time=PATIENCE) == b"abcdef"
    finally:
        timer.join()
        os.close(read_end)


def test_pipe_that_does_not_end():
    """Neither silence nor a stream without end is waited for."""
    read_end, write_end = os.pipe()
    path = f"/proc/self/fd/{read_end}"
    try:
        with pytest.raises(TimeoutError, match=r"does not end within 0\.05 s"):
            bounded_file.read(path, 100, pipes=True, pipe_time=0.05)
        os.write(write_end, b"a" * 101)
        with pytest.raises(bounded_file.TooLarge):
            bounded_file.read(path, 100, pipes=True)
    finally:
        os.close(read_end)
        os.close(write_end)


def test_snapshot_of_a_command():
    """``--from <(command)`` and ``--from /dev/stdin``."""
    done = subprocess.run(
        [sys.executable, "-m", "lbgen", "lint", "--allow-empty", "--from", "/dev/stdin"],
        input="version: 1\n",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "0 of 0 services routed; nothing to complain about\n"), done.stderr


@pytest.mark.parametrize("kind", ["snapshot", "settings"])
@pytest.mark.parametrize("what", ["/dev/zero", "sparse"])
def test_memory_for_files(sparse, kind, what):
    """However large it is."""
    highest, printed = peak(LOAD, kind, str(sparse) if what == "sparse" else what)
    assert ("larger than 64 MiB" in printed) if what == "sparse" else ("it is a device, not a file" in printed)
    assert highest < BOUND


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", deep().decode(), "nested too deeply"),
        ("a.yml", deep().decode(), "nested deeper than 100"),
        ("a.json", "[" + "{}," * 20_000_000 + "{}]", f"more than {json_text.MAX_VALUES} values"),
        (
            "a.yml",
            "- a\n" * 10_000_000,
            f"a.yml:{MAX_VALUES - 1}:3: more than {MAX_VALUES} values; write so much as JSON",
        ),
        ("a.yml", "{" * 200_000, "nested deeper than 100"),
    ],
    ids=["deep JSON", "deep YAML", "many of JSON", "many of YAML", "brackets"],
)
def test_memory_for_documents(tmp_path, name, text, said):
    """However it is written."""
    (tmp_path / name).write_text(text)
    highest, printed = peak(LOAD, "snapshot", str(tmp_path / name))
    assert said in printed
    assert highest < BOUND


def test_memory_for_credentials(tmp_path, sparse):
    """Devices, pipes and huge files beside certificates, users and authorities are left out, and told of."""
    sparse.rename(tmp_path / "sparse.pem")
    (tmp_path / "zero.pem").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.pem")
    highest, printed = peak(CREDENTIALS, str(tmp_path))
    assert "is larger than 1 MiB" in printed
    assert "it is a device, not a file" in printed
    assert "it is a pipe, not a file" in printed
    assert highest < BOUND


def test_file_that_grows():
    """Its size counts for nothing: what is read does."""
    assert os.stat("/proc/self/maps").st_size == 0  # noqa: PTH116
    with pytest.raises(bounded_file.TooLarge, match="larger than 1 KiB"):
        bounded_file.read("/proc/self/maps", 1024)
