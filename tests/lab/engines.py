"""Docker engines of other Debian releases than this machine's own: a node of the lab runs whichever is asked for.

A release's ``/usr`` is mounted over the node's own before its dockerd starts, so daemon, containerd, runc, iptables and
libc are the release's, on this machine's files and kernel.

By hand: ``python -m tests.lab.engines 28.5`` makes a tree and prints its path.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.lab import debian
from tests.lab.settings import LabError

PACKAGES = ("docker.io", "iptables", "procps")  # the last one for `docker top`
SUITES = {"20.10": "bookworm", "26.1": "trixie", "28.5": "sid"}
STABLE, NEWEST = "26.1", "28.5"


def usr(engine: str) -> Path | None:
    """Have the ``/usr`` with an engine ("28.5"); None for the installed one ("", or that of this machine's release).

    The first time on a machine this takes a minute or two and Debian's mirror.

    Raises:
        LabError: it cannot be made here, or the release has another engine by now.
    """
    if engine and engine not in SUITES:
        raise LabError(f"engine {engine!r} is none of {', '.join(SUITES)}")
    if not engine or SUITES[engine] == debian.own_suite():
        return None
    key = hashlib.sha256(repr((PACKAGES, debian.LEFT_OUT)).encode()).hexdigest()[:8]
    return debian.kept(f"engine-{engine}-{key}", lambda made, _: _make(engine, made)) / "usr"


def newest() -> tuple[str, str]:
    """Return the newest engine that can be had here, and why it is not the newest of all, "" where it is.

    Debian's unstable release is not whole every day, and moves on, which is not this program's fault; trixie is there.

    Raises:
        LabError: neither can be had.
    """
    try:
        usr(NEWEST)
    except LabError as error:
        usr(STABLE)
        return STABLE, f"no engine {NEWEST}: {error}"
    return NEWEST, ""


def _make(engine: str, made: Path) -> None:
    tree = made / "tree"
    debian.debootstrap(SUITES[engine], PACKAGES, tree)
    for name in debian.LEFT_OUT:
        shutil.rmtree(tree / name, ignore_errors=True)
    (tree / "usr").rename(made / "usr")
    shutil.rmtree(tree)
    found = version(made / "usr")
    if not found.startswith(f"{engine}."):
        raise LabError(f"{SUITES[engine]} has engine {found} by now, not {engine}: name that one in {__file__}")


def version(tree: Path) -> str:
    """The version of the engine in a ``/usr``: "28.5.2"."""
    script = 'mount --rbind "$1" /usr && exec /usr/sbin/dockerd --version'
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"version (\d[\d.]*)", done.stdout)
    if done.returncode != 0 or not found:
        raise LabError(f"{tree} has no dockerd that runs here: {(done.stdout + done.stderr).strip()}")
    return found[1]


if __name__ == "__main__":
    try:
        for wanted in sys.argv[1:] or SUITES:
            print(wanted, usr(wanted) or "is installed")
    except LabError as problem:
        sys.exit(f"engines: {problem}")
