"""A file system of its own, so small that a test can fill it, free it, and forbid writing; for root alone."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount")
BALLAST = "ballast"  # what fills it


class SmallDisk:
    """A tmpfs that is mounted at a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, leave: int = 0) -> None:
        """Leave room for so many pages of 4 KiB: a file has at least one."""
        with contextlib.suppress(OSError), (self.path / BALLAST).open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        os.truncate(self.path / BALLAST, (self.path / BALLAST).stat().st_size - leave * 4096)

    def free(self) -> None:
        """Give the room back."""
        (self.path / BALLAST).unlink()

    @contextlib.contextmanager
    def full(self, leave: int = 0) -> Iterator[None]:
        """Be full for a while, as `fill` has it."""
        self.fill(leave)
        try:
            yield
        finally:
            self.free()

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        """Refuse writing for a while."""
        self._mount("-o", "remount,ro")
        try:
            yield
        finally:
            self._mount("-o", "remount,rw")

    @contextlib.contextmanager
    def broken(self, how: str) -> Iterator[str]:
        """Be ``full`` or ``read-only`` for a while; gives what the system says to that."""
        with self.full() if how == "full" else self.read_only():
            yield "No space left on device" if how == "full" else "Read-only file system"

    def unfinished(self) -> list[Path]:
        """Return what was begun to be written and left there."""
        return [path for path in self.path.rglob("*") if path.is_file() and path.name.startswith(".lbgen-new-")]

    def _mount(self, *words: str) -> None:
        subprocess.run(["mount", *words, str(self.path)], check=True)


@contextlib.contextmanager
def small_disk(path: Path, size: str = "256k") -> Iterator[SmallDisk]:
    """Mount one, and give it back in any case."""
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)], check=True)
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
