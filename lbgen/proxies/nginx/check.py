"""Checks rendered files with ``nginx -t`` as if they were in their place.

The check reads what they include, opens logs, writes the pid file and binds every port that is free. So the files are
staged among links to all else that the output directory holds, and the running Nginx's own pid file and log are spared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from lbgen.base.errors import CheckFailed, CheckUnavailable
from lbgen.proxies import check_command, disk
from lbgen.proxies.kind import Check, Setup
from lbgen.proxies.nginx import error_log, processes
from lbgen.render.renderer import Files

# No right to bind, or an address of another namespace: says nothing about the Nginx that will load the files.
_BIND = re.compile(r"\[emerg\] (?:\d+#\d+: )?bind\(\) to \S+ failed \((?:13|99):")


def checker(setup: Setup, beside: Path | None) -> Check:
    """Return the checker: a function that raises CheckFailed."""
    return partial(
        check,
        command=setup.manifest.check,
        binary=setup.binary,
        output=setup.output,
        spared=[path for path in (str(setup.output / error_log.NAME), processes.pid_file(setup)) if path],
        beside=beside,
    )


def check(
    files: Files, command: Sequence[str], binary: str, output: Path, spared: Sequence[str], beside: Path | None
) -> None:
    """Run the checker on the files.

    Args:
        command: words with {binary} and {dir} to fill in; empty: there is nothing to ask.
        output: the directory they are meant for.
        spared: paths in them that the check must not touch.
        beside: where to stage them; None: where nothing reads them.
    Raises:
        CheckFailed: the checker refused them; its message names the files as they will be called.
        CheckUnavailable: it could not be asked.
    """
    if not command:
        return
    with check_command.staged(files, beside, _sparing(spared)) as stage:
        _link_others(files, stage, output)
        own_pid_file = any(re.search(r"^\s*pid\s", text, re.MULTILINE) for text in files.texts.values())
        more = () if own_pid_file else ("-g", f"pid {stage}/nginx.pid;")
        try:
            check_command.run([*command, *more], binary, stage)
        except CheckFailed as error:
            complaints = [line for line in error.output.splitlines() if "[emerg]" in line]
            if not complaints or not all(map(_BIND.search, complaints)):
                raise


def _sparing(paths: Sequence[str]) -> Callable[[str, Path], str]:
    def edit(text: str, stage: Path) -> str:
        for number, path in enumerate(paths):
            text = text.replace(path, f"{stage}/spared-{number}")
        return text

    return edit


def _link_others(files: Files, stage: Path, output: Path) -> None:
    """Put links to everything else in the output directory beside the files."""
    gone = disk.names(output, ())  # those of lbgen's that are not rendered any more
    try:
        for directory in {Path(name).parent for name in files.texts}:
            for path in (output / directory).glob("*"):
                here = stage / directory / path.name
                left_out = path.name.startswith(check_command.STAGE_PREFIX) or f"{directory / path.name}" in gone
                if not here.exists() and not left_out:
                    here.symlink_to(path)
    except OSError as error:
        raise CheckUnavailable(f"{stage}: cannot stage the files there: {error.strerror}") from error
