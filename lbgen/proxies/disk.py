"""Puts rendered files in place, all or none, and puts the old ones back.

Every file is written beside its target first, so that a full disk or a missing permission shows before anything is
replaced; then each is renamed over its target. A file that is a bind mount cannot be renamed over (EBUSY, EXDEV):
it is overwritten in place.

Whatever the umask, a new file is for lbgen's account and its group alone. One that is there keeps owner, group and
mode, since the proxy may run as somebody else; but what holds passwords or their hashes is nobody else's to read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from lbgen.base import bounded_file, whole_file
from lbgen.base.directories import make_directory
from lbgen.base.errors import ApplyFailed
from lbgen.base.unwritable import unwritable
from lbgen.render.outputs import is_inside
from lbgen.render.renderer import PLACEHOLDER, Files

LEDGER = ".lbgen-files"  # in the output directory: one path a line
LARGEST = 256 << 20  # bytes of a file that lbgen may have written
NEW_FILE = 0o640  # mode of a file that was not there, and the most that one with passwords may have
OWN, OWN_FILE = ".lbgen-", 0o600  # how names of files begin that lbgen alone reads, and their mode: labels are in them
_PASSWORD = re.compile(  # as crypt(3), Apache and HAProxy write passwords
    r"\$2[abxy]\$[0-9]{2}\$|\{SHA\}|insecure-password "
    r"|\$(?:apr1|[156])\$(?:rounds=[0-9]+\$)?[^$\s]{1,16}\$[A-Za-z0-9./]{22}"
)


def read(output: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the texts of those of the files that are there."""
    texts = {}
    for name in names:
        try:
            texts[name] = bounded_file.read(output / name, LARGEST).decode("utf-8")  # line ends as they are
        except (OSError, UnicodeDecodeError):
            continue  # not there or not ours: it will be written
    return texts


def names(output: Path, fixed: Iterable[str]) -> set[str]:
    """Return the fixed names of files and the recorded ones, which is everything that lbgen has written there."""
    noted = read(output, [LEDGER]).get(LEDGER, "").split("\n")
    return {*fixed, *filter(is_inside, noted)}


def note(output: Path, written: Iterable[str]) -> None:
    """Record which files there are besides those with fixed names: lbgen removes no file but its own.

    Raises:
        ApplyFailed: it cannot be written.
    """
    text = "".join(f"{name}\n" for name in sorted(written))
    if text != read(output, [LEDGER]).get(LEDGER, ""):
        write(output, {LEDGER: text} if text else {}, () if text else [LEDGER])


def generation_on_disk(texts: Mapping[str, str], generation: str) -> Files | None:
    """Return the texts as files if they are what was rendered as this generation, else None."""
    if not generation:
        return None
    files = Files.of({name: text.replace(generation, PLACEHOLDER) for name, text in texts.items()})
    return files if files.generation == generation else None


def write(output: Path, texts: Mapping[str, str], remove: Iterable[str] = (), *, stage: Path | None = None) -> None:
    """Replace the files in ``output`` by ``texts``; then remove the named files.

    Args:
        stage: where unfinished files are kept instead of beside their targets, for a proxy that takes whatever appears
            in a directory the moment it does. For the same reason nothing is overwritten in place then.
    Raises:
        ApplyFailed: every file is as it was before.
    """
    staged: dict[Path, Path] = {}
    before: dict[Path, bytes | None] = {}  # of those that may have been replaced
    try:
        for name, text in texts.items():
            target = Path(os.path.realpath(output / name))  # what a link leads to is replaced, not the link
            make_directory(target.parent)
            staged[target] = _beside(target, text.encode(), stage)
        for target, new in staged.items():
            before[target] = _content(target)
            _replace(target, new, in_place=stage is None)
        for name in remove:
            before[output / name] = _content(output / name)
            (output / name).unlink(missing_ok=True)
        for directory in {target.parent for target in staged}:
            whole_file.sync_directory(directory)
    except OSError as error:
        _put_back(before, stage)
        raise ApplyFailed(unwritable(Path(error.filename or output), error)) from error
    finally:
        for new in staged.values():
            new.unlink(missing_ok=True)


def close_to_others(output: Path, texts: Mapping[str, str]) -> None:
    """Take away what others may do with files that hold passwords: an older lbgen has written them."""
    for name, text in texts.items():
        with contextlib.suppress(OSError):
            mode = stat.S_IMODE((output / name).stat().st_mode)
            if mode & ~NEW_FILE and _PASSWORD.search(text):
                (output / name).chmod(mode & NEW_FILE)


def clear(output: Path) -> None:
    """Remove what a killed lbgen left half-written."""
    for path in output.rglob(whole_file.PREFIX + "*"):
        path.unlink(missing_ok=True)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _put_back(before: Mapping[Path, bytes | None], stage: Path | None) -> None:
    for target, old in before.items():
        with contextlib.suppress(OSError):  # the error that led here is the one to report
            if old is None:
                target.unlink(missing_ok=True)
            elif _content(target) != old:
                _replace(target, _beside(target, old, stage), in_place=stage is None)


def _beside(target: Path, content: bytes, stage: Path | None) -> Path:
    def dress(handle: int) -> None:
        own = target.name.startswith(OWN)
        mode = OWN_FILE if own else NEW_FILE
        # The proxy may run as somebody else: what it could read it can read again.
        if target.exists() and not own:
            status = target.stat()
            with contextlib.suppress(PermissionError):  # only root may give files away
                os.fchown(handle, status.st_uid, status.st_gid)
            mode = stat.S_IMODE(status.st_mode) & (
                NEW_FILE if _PASSWORD.search(content.decode(errors="replace")) else 0o777
            )
        os.fchmod(handle, mode)

    return whole_file.write_beside(target, content, dress, directory=stage)


def _replace(target: Path, new: Path, *, in_place: bool) -> None:
    try:
        new.replace(target)
    except OSError as error:
        if not in_place or error.errno not in (errno.EBUSY, errno.EXDEV):
            raise
        data = new.read_bytes()
        with contextlib.suppress(PermissionError):  # somebody else's
            target.chmod(stat.S_IMODE(new.stat().st_mode))
        with target.open("r+b") as file:
            file.write(data)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
