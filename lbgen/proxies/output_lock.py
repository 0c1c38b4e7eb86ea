"""One lbgen for an output directory: a lock in it, which says who holds it.

It is one of flock(2), which the kernel drops when its holder ends, however that ends; a file that is left behind locks
nothing. Over NFS it holds between machines, as far as the server takes part in locking. Where a file system has no such
locks, lbgen goes on without: that nothing else writes there is then the operator's to see to.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from lbgen.base.backoff import Backoff
from lbgen.base.directories import make_directory
from lbgen.base.errors import SettingsError
from lbgen.base.fingerprint import identity
from lbgen.base.logs import log

NAME = ".lbgen-lock"
REMINDERS = 10.0, 3600.0  # seconds between two log lines while another one holds it
_LONGEST = 300  # characters of what a lock says


class OutputLock:
    """The lock of one output directory, held or not."""

    def __init__(self, output: Path, clock: Callable[[], float] = time.time) -> None:
        """
        Args:
            clock: seconds since 1970.
        """
        self.output, self._clock = output, clock
        self.holder = ""  # who has it instead: "lbgen with pid 7 on host edge1, since ..."
        self._handle = -1
        self._unsupported = False
        self._reminder = Backoff(*REMINDERS)

    def take(self) -> bool:
        """Take the lock, unless it is held here already; return False if another one holds it.

        Raises:
            OSError: the directory cannot be used.
        """
        if self._unsupported or self._held():
            return True
        self.release()
        make_directory(self.output)
        handle = os.open(self.output / NAME, os.O_RDWR | os.O_CREAT, 0o640)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.holder = _holder(self.output)
            os.close(handle)
            return False
        except OSError as error:
            os.close(handle)
            self._go_without(error)
            return True
        self._handle, self.holder = handle, ""
        since = datetime.fromtimestamp(self._clock(), UTC)
        text = f"lbgen with pid {os.getpid()} on host {socket.gethostname()}, since {since:%Y-%m-%d %H:%M:%S} UTC\n"
        os.ftruncate(handle, 0)
        os.pwrite(handle, text.encode(), 0)
        return self._held() or self.take()  # the file may have been replaced meanwhile

    def take_or_tell(self, target: str) -> bool:
        """Take the lock, and log who else holds it, ever less often; return False while one does.

        Raises:
            SettingsError: the directory cannot be used.
        """
        waited = bool(self.holder)
        try:
            taken = self.take()
        except OSError as error:
            raise SettingsError(f"targets.{target}.output: {self.output}: {error.strerror}") from error
        if taken and waited:
            log.info("output_free", target=target, output=str(self.output))
        if not taken and self._reminder.arrive():
            log.warning(
                "output_held",
                target=target,
                output=str(self.output),
                holder=self.holder,
                effect="nothing is written or started until it ends, then its proxy is taken over",
                next_reminder_in_s=self._reminder.pause(),
            )
        return taken

    def retake(self) -> None:
        """Take the lock again if its file was removed; a directory that was never locked stays so."""
        if self._handle >= 0:
            with contextlib.suppress(OSError):  # what the directory is for fails as well then, and is told
                self.take()

    def release(self) -> None:
        """Let go of the lock. The file stays: without it two could hold a lock of the same name."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _held(self) -> bool:
        """Tell whether the file that is locked here is still the one that others would lock."""
        if self._handle < 0:
            return False
        status = os.fstat(self._handle)
        return (status.st_dev, status.st_ino) == identity(self.output / NAME)

    def _go_without(self, error: OSError) -> None:
        self._unsupported = True
        log.warning(
            "output_unlocked",
            output=str(self.output),
            error=error.strerror,
            effect="nothing keeps a second lbgen from writing there",
            remedy="use a file system with flock, or see to it that one lbgen at a time has this output",
        )


@contextlib.contextmanager
def unheld(output: Path) -> Iterator[None]:
    """Keep the lbgen that may run on an output directory from starting on it during the block.

    Raises:
        SettingsError: one runs there.
    """
    if not (output / NAME).exists():  # no lbgen has ever run there, and none of its files are left behind
        yield
        return
    lock = OutputLock(output)
    try:
        if not lock.take():
            raise SettingsError(f"{output}: {lock.holder} writes there; choose another directory, or end it first")
        yield
    finally:
        lock.release()


def _holder(output: Path) -> str:
    with contextlib.suppress(OSError):
        with (output / NAME).open("rb") as file:
            text = file.read(_LONGEST).decode(errors="replace").strip()
        if text and text.isprintable():
            return text
    return "another lbgen"
