"""Has rendered files checked by ``nginx -t`` as if they were in their place.

The check reads what they include, opens logs, writes the pid file and binds every port that is free. So the files are
staged among links to all else that the output directory holds, and the running Nginx's own pid file and log are spared.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lbgen.base.errors import CheckFailed, CheckUnavailable
from lbgen.proxies import check_command, disk
from lbgen.render.files import Files

# No right to bind, or an address of another namespace: says nothing about the Nginx that will load the files.
_BIND = re.compile(r"\[emerg\] (?:\d+#\d+: )?bind\(\) to \S+ failed \((?:13|99):")


def nginx_check(
    files: Files, command: Sequence[str], binary: str, output: Path, spared: Sequence[str], beside: Path | None
) -> None:
    """Run the checker on the files.

    Args:
        command: words with {binary} and {dir} to fill in.
        output: the directory they are meant for.
        spared: paths in them that the check must not touch.
        beside: where to stage them; None: where nothing reads them.
    Raises:
        CheckFailed: the checker refused them; its message names the files as they will be called.
        CheckUnavailable: it could not be asked.
    """
    where = beside if beside and beside.is_dir() else None
    try:
        stage = Path(tempfile.mkdtemp(prefix=check_command.STAGE_PREFIX, dir=where))
    except OSError as error:
        raise CheckUnavailable(f"{beside}: cannot stage the files there: {error.strerror}") from error
    try:
        _stage(files, stage, output, spared)
        words = [word.replace("{dir}", str(stage)) for word in command]
        if not any(re.search(r"^\s*pid\s", text, re.MULTILINE) for text in files.texts.values()):
            words += ["-g", f"pid {stage}/nginx.pid;"] if words else []
        check_command.check(Files({}, ""), words, binary)
    except CheckFailed as error:
        complaints = [line for line in error.output.splitlines() if "[emerg]" in line]
        if not complaints or not all(map(_BIND.search, complaints)):
            raise CheckFailed(error.command, error.output.replace(f"{stage}/", "")) from None
    except OSError as error:
        raise CheckUnavailable(f"{stage}: cannot stage the files there: {error.strerror}") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _stage(files: Files, stage: Path, output: Path, spared: Sequence[str]) -> None:
    """Lay the files out as in the output directory."""
    for name, text in files.texts.items():
        for number, path in enumerate(spared):
            text = text.replace(path, f"{stage}/spared-{number}")
        (stage / name).parent.mkdir(parents=True, exist_ok=True)
        (stage / name).write_text(text, encoding="utf-8")
    gone = disk.names(output, ())  # those of them that are not rendered any more
    for directory in {Path(name).parent for name in files.texts}:
        for found in (output / directory).glob("*"):
            here = stage / directory / found.name
            left_out = found.name.startswith(check_command.STAGE_PREFIX) or (directory / found.name).as_posix() in gone
            if not here.exists() and not left_out:
                here.symlink_to(found)
