"""Reading a file that somebody else wrote: never more of it than a limit, and never for ever.

A device, a directory or a socket in place of a file is an error; a pipe (``<(command)``, ``/dev/stdin``) is read where
the caller says so, for a bounded time.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from pathlib import Path

PIPE_TIME = 60.0  # seconds until a pipe has to be read to its end
_PIECE = 1 << 20
_KINDS = {stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket", stat.S_IFIFO: "a pipe"}


class TooLarge(OSError):
    """A file is larger than its limit."""


def read(path: str | os.PathLike[str], most: int, *, pipes: bool = False, pipe_time: float = PIPE_TIME) -> bytes:
    """Return a file's content.

    Args:
        most: bytes.
        pipes: read pipes as well.
        pipe_time: seconds until a pipe has to have ended.
    Raises:
        OSError: it cannot be read; `strerror` says why. TooLarge if there is more in it.
    """
    # Not blocking: opening a pipe without a writer would wait for one.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFDIR:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if kind != stat.S_IFREG and not (pipes and kind == stat.S_IFIFO):
            raise OSError(errno.EINVAL, f"it is {_KINDS.get(kind, 'something else')}, not a file", os.fspath(path))
        ends = time.monotonic() + pipe_time
        content = bytearray()
        while len(content) <= most and status.st_size <= most:
            try:
                piece = os.read(handle, min(_PIECE, most + 1 - len(content)))
            except BlockingIOError:  # a pipe whose writer has more to say
                if not select.select([handle], [], [], max(0.0, ends - time.monotonic()))[0]:
                    why = f"it is a pipe that does not end within {pipe_time:g} s"
                    raise TimeoutError(errno.ETIMEDOUT, why) from None
                continue
            if not piece:
                return bytes(content)
            content += piece
        size = f"{most >> 20} MiB" if most >= 1 << 20 else f"{most >> 10} KiB"
        raise TooLarge(errno.EFBIG, f"larger than {size}", os.fspath(path))
    finally:
        os.close(handle)


def read_text(path: str | os.PathLike[str], most: int) -> str:
    """Return the text of a file that lbgen, or a program on this machine, wrote; what is not UTF-8 is replaced.

    Raises:
        OSError: as `read` does.
    """
    return read(Path(path), most).decode("utf-8", "replace")
