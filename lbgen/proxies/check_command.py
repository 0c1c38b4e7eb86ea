"""Checks rendered files with the proxy's own program before anything is replaced."""

from __future__ import annotations

import contextlib
import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path

from lbgen.base.errors import CheckFailed, CheckTimedOut, CheckUnavailable
from lbgen.render.renderer import Files

STAGE_PREFIX = ".lbgen-check-"
TIMEOUT = 30.0  # seconds; 10,000 servers take HAProxy 2.6 about 0.2 s, Nginx 0.5 s, Traefik 3 s
_patience: ContextVar[float] = ContextVar("patience", default=math.inf)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Have the checks that are made within, in this thread, refuse what takes longer than this."""
    token = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(token)


def timeout() -> float:
    """Return how many seconds a check may take now."""
    return min(TIMEOUT, _patience.get())


def check(files: Files, command: Sequence[str], binary: str, beside: Path | None = None) -> None:
    """Stage the files and run the checker on them.

    Args:
        command: words with {binary} and {dir} to fill in; empty: there is nothing to ask.
        beside: the output directory; see `staged`.
    Raises:
        CheckFailed: the checker refused them; its message names the files as they will be called.
        CheckTimedOut: it took too long.
        CheckUnavailable: it could not be asked.
    """
    if command:
        with staged(files, beside) as stage:
            run(command, binary, stage)


@contextlib.contextmanager
def staged(
    files: Files, beside: Path | None = None, edit: Callable[[str, Path], str] = lambda text, _: text
) -> Iterator[Path]:
    """Yield a directory that holds the files, and nothing else, until it is left.

    Args:
        beside: the output directory, where full disks and missing rights show early; None, or not there: elsewhere.
        edit: what becomes of a text in this directory.
    Raises:
        CheckUnavailable: the files cannot be written.
    """
    with contextlib.ExitStack() as cleanup:
        stage = beside
        try:
            stage = Path(tempfile.mkdtemp(prefix=STAGE_PREFIX, dir=beside if beside and beside.is_dir() else None))
            cleanup.callback(shutil.rmtree, stage, ignore_errors=True)
            for name, text in files.texts.items():
                (stage / name).parent.mkdir(parents=True, exist_ok=True)
                (stage / name).write_text(edit(text, stage), encoding="utf-8")
        except OSError as error:
            raise CheckUnavailable(f"{stage}: cannot stage the files there: {error.strerror}") from error
        yield stage


def clear_stages(output: Path) -> None:
    """Remove what a killed lbgen left behind in its output directory."""
    for stage in output.glob(STAGE_PREFIX + "*"):
        shutil.rmtree(stage, ignore_errors=True)


def run(command: Sequence[str], binary: str, stage: Path) -> None:
    """Run a checker on staged files. See `check`."""
    words = [word.replace("{binary}", binary).replace("{dir}", str(stage)) for word in command]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout(),
            check=False,
        )
    except FileNotFoundError as error:
        raise CheckUnavailable(
            f"{words[0]}: not found, so the files cannot be checked; install it or set targets.NAME.binary"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CheckTimedOut(words, error.timeout) from error
    except OSError as error:
        raise CheckUnavailable(f"{words[0]}: cannot check the files: {error}") from error
    if done.returncode:
        said = (done.stdout + done.stderr).replace(f"{stage}/", "").strip()
        raise CheckFailed(words, said or f"exit status {done.returncode} without a message")
