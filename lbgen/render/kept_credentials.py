"""The last good content of every certificate, users file and authority, kept in the output directory.

A proxy reads such files by their paths, whenever it is reloaded or started. So while one is broken, a renewal that is
half-written say, the proxy has to be given another path: that of the copy. It is on disk, so that neither a restart of
lbgen nor one of the proxy loses it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Container, Iterator
from pathlib import Path

from lbgen.base import whole_file
from lbgen.base.directories import make_directory
from lbgen.base.fingerprint import Fingerprint, fingerprint
from lbgen.base.logs import log
from lbgen.render.credential_files import digest_of

DIRECTORY = ".lbgen-kept"


class KeptCredentials:
    """Copies of files, by kind and name."""

    def __init__(self, output: Path, *, writes: bool = True) -> None:
        """
        Args:
            writes: if not, what another one of these keeps is only read.
        """
        self._output, self._writes = output, writes
        self._kept: dict[Path, tuple[str, Fingerprint | None]] = {}  # digest, and the copy as it was written
        self._complained = False

    def reading(self) -> KeptCredentials:
        """Return one that only reads these copies."""
        return KeptCredentials(self._output, writes=False)

    def path(self, kind: str, name: str) -> Path:
        """Return where the copy of a file is, if there is one."""
        return self._output / DIRECTORY / kind / name

    def names(self, kind: str) -> Iterator[str]:
        """Yield the names of the files of a kind that there are copies of."""
        with contextlib.suppress(OSError):
            yield from (path.name for path in (self._output / DIRECTORY / kind).iterdir() if path.name[0] != ".")

    def keep(self, kind: str, original: Path, digest: str) -> None:
        """Keep a file's content, as it was when it had this digest, unless it is kept already."""
        copy = self.path(kind, original.name)
        if not self._writes or self._kept.get(copy) == (digest, fingerprint(copy)):
            return
        try:
            content = original.read_bytes()
            if digest_of(content) != digest:  # it has just changed: it is to be judged again
                return
            if _content(copy) != content:
                _replace(copy, original, content)
        except OSError as error:
            self._complain(original, error)
            return
        self._kept[copy] = digest, fingerprint(copy)

    def forget(self, kind: str, but: Container[str]) -> None:
        """Remove the copies of files that are not there any more: they were removed on purpose."""
        for name in list(self.names(kind)) if self._writes else ():
            if name not in but:
                with contextlib.suppress(OSError):
                    self.path(kind, name).unlink()
                self._kept.pop(self.path(kind, name), None)

    def _complain(self, original: Path, error: OSError) -> None:
        if not self._complained:
            log.warning(
                "credentials_not_kept",
                file=str(original),
                error=error.strerror,
                effect="if this file is broken later, it is left out at once",
                remedy=f"let lbgen write to {self._output}",
            )
        self._complained = True


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _replace(copy: Path, original: Path, content: bytes) -> None:
    """Write the copy, readable to no more people than the original."""
    make_directory(copy.parent)
    copy.parent.parent.chmod(0o755)
    copy.parent.chmod(_access(original.parent))
    # A copy that a power cut leaves empty is as good as none.
    whole_file.replace(copy, content, lambda handle: _dress(handle, original.stat()), lasting=False)


def _dress(handle: int, status: os.stat_result) -> None:
    """Give a file owner and mode of the original; one that cannot have its group stays lbgen's own."""
    for user in (status.st_uid, -1):  # only root may give files away; others to a group of theirs
        with contextlib.suppress(PermissionError):
            os.fchown(handle, user, status.st_gid)
            os.fchmod(handle, stat.S_IMODE(status.st_mode) & 0o777 | stat.S_IRUSR)
            break


def _access(directory: Path) -> int:
    """Return the mode of a directory that lets in those alone who can get to this one."""
    mode = 0o755
    for each in (directory.resolve(), *directory.resolve().parents):
        mode &= each.stat().st_mode | 0o700
    return mode
