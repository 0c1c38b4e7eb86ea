"""What to say where a file cannot be written: which one, why, and what to do."""

from __future__ import annotations

import errno
from pathlib import Path

_OURS = "give it to lbgen's account, or run this as the account that owns it"
_REMEDIES = {
    errno.ENOSPC: "free space on its file system",
    errno.EDQUOT: "free space, or raise the quota of lbgen's account",
    errno.EROFS: "its file system is mounted read-only: mount it writable",
    errno.EACCES: _OURS,
    errno.EPERM: _OURS,
}


def unwritable(path: Path, error: OSError) -> str:
    """Return ``PATH: cannot be written: No space left on device; free space on its file system``."""
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{path}: cannot be written: {error.strerror or error}" + (f"; {remedy}" if remedy else "")
