"""Has rendered files checked by the proxy's own binary, before anything is replaced."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lbgen.base.errors import CheckFailed, CheckUnavailable
from lbgen.render.files import Files

STAGE_PREFIX = ".lbgen-check-"
TIMEOUT = 60.0  # seconds; 10,000 servers take HAProxy 2.6 about 0.2 s


def check(files: Files, command: Sequence[str], binary: str, beside: Path | None = None) -> None:
    """Stage the files and run the checker on them.

    Args:
        command: words with {binary} and {dir} to fill in; empty: there is nothing to ask.
        beside: the output directory; staging next to the target finds full disks and missing rights early.
    Raises:
        CheckFailed: the checker refused them; its message names the files as they will be called.
        CheckUnavailable: it could not be asked.
    """
    if not command:
        return
    where = beside if beside and beside.is_dir() else None
    try:
        stage = Path(tempfile.mkdtemp(prefix=STAGE_PREFIX, dir=where))
    except OSError as error:
        raise CheckUnavailable(f"{beside}: cannot stage the files there: {error.strerror}") from error
    try:
        _stage(files, stage)
        words = [word.replace("{binary}", binary).replace("{dir}", str(stage)) for word in command]
        _run(words, stage)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def clear_stages(output: Path) -> None:
    """Remove what a killed lbgen left behind in its output directory."""
    for stage in output.glob(STAGE_PREFIX + "*"):
        shutil.rmtree(stage, ignore_errors=True)


def _stage(files: Files, stage: Path) -> None:
    try:
        for name, text in files.texts.items():
            path = stage / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CheckUnavailable(f"{stage}: cannot stage the files there: {error.strerror}") from error


def _run(words: list[str], stage: Path) -> None:
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except FileNotFoundError as error:
        raise CheckUnavailable(
            f"{words[0]}: not found, so the files cannot be checked; install it or set targets.NAME.binary"
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CheckUnavailable(f"{words[0]}: cannot check the files: {error}") from error
    if done.returncode:
        said = (done.stdout + done.stderr).replace(f"{stage}/", "").strip()
        raise CheckFailed(words, said or f"exit status {done.returncode} without a message")
