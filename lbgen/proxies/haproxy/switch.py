"""Replaces HAProxy's files so that one that is started meanwhile finds old files or new ones, never a mixture.

No file system replaces several files at once, and an lbgen that is killed between two of them would leave maps that
name backends which haproxy.cfg does not have. So the other files are first written a second time, in a directory of
their own, and haproxy.cfg is replaced by one that refers to these: that rename decides. Only then the files themselves
are replaced, and haproxy.cfg once more.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from lbgen.base.errors import ApplyFailed
from lbgen.proxies import disk

CONF = "haproxy.cfg"
_STAGE = ".lbgen-next-"
_PART = r"[A-Za-z0-9_./-]"  # of a path


def write(output: Path, texts: Mapping[str, str], remove: Iterable[str] = ()) -> None:
    """Replace files in ``output``, then remove some.

    Raises:
        ApplyFailed: every file is as it was before.
    """
    gone = [name for name in remove if (output / name).exists()]
    before = disk.read(output, {*texts, *gone})
    others = {name: text for name, text in texts.items() if name != CONF and before.get(name) != text}
    main = {CONF: texts[CONF]} if texts.get(CONF, before.get(CONF)) != before.get(CONF) else {}
    if not main or CONF not in before or not (others or gone):
        disk.write(output, {**others, **main}, gone)
    else:
        _switch(output, others, main[CONF], gone, before)
    for stage in output.glob(f"{_STAGE}*"):
        shutil.rmtree(stage, ignore_errors=True)


def _switch(output: Path, others: Mapping[str, str], main: str, gone: list[str], before: Mapping[str, str]) -> None:
    stage = _STAGE + hashlib.sha256(main.encode()).hexdigest()[:12]
    try:
        disk.write(output, {f"{stage}/{name}": text for name, text in others.items()})
        disk.write(output, {CONF: _referring(main, others, stage)})
        disk.write(output, others, gone)
        disk.write(output, {CONF: main})
    except ApplyFailed:
        with contextlib.suppress(ApplyFailed):  # the error that led here is the one to report
            old = {name: before[name] for name in (*others, *gone) if name in before}
            disk.write(output, old, set(others) - set(before))
            disk.write(output, {CONF: before[CONF]})
        raise


def _referring(main: str, names: Iterable[str], directory: str) -> str:
    """Return the configuration with these files looked for in another directory."""
    for name in names:
        main = re.sub(rf"(?<!{_PART}){re.escape(name)}(?!{_PART})", f"{directory}/{name}", main)
    return main
