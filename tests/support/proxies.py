"""Proxies of other versions than this machine's own: HAProxy 3.0 and Nginx 1.26 of Debian trixie, and those of sid.

``haproxy("trixie")`` is the path of a program that behaves like that release's haproxy, on this machine's files:
as a checker (``-c -f``), as a master that reloads (``-W -S``), in any network namespace; ``nginx("trixie")`` the same
for nginx, with its modules. Their Debian tree is made once per machine.

>>> subprocess.run([proxies.haproxy(), "-c", "-f", "haproxy.cfg"])

By hand: ``python -m tests.support.proxies`` makes it and prints the paths.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.lab import debian
from tests.lab.settings import LabError

UNSTABLE = "sid"
PACKAGES = ("haproxy", "libnginx-mod-stream", "nginx")
WRAPPERS = {
    # The release's own dynamic loader and libraries, on this machine's files: paths of configuration, sockets and
    # certificates mean the same to it as to lbgen, which no chroot would give. `--argv0` is what makes reloads work:
    # the master executes its argv[0] again, and that must be this script, not the bare binary.
    "haproxy": """\
#!/bin/sh
exec '{home}/loader/haproxy' --argv0 '{home}/haproxy' --library-path '{libraries}' '{home}/tree/usr/sbin/haproxy' "$@"
""",
    # All of the release's /usr in a mount namespace of its own: Nginx loads modules by their path, and writes its
    # processes' titles over its arguments, where a loader's would stand in the way. It never executes itself again.
    "nginx": """\
#!/bin/sh
exec unshare --mount --propagation private sh -c \\
    'mount --rbind "{home}/tree/usr" /usr && exec /usr/sbin/nginx "$@"' nginx "$@"
""",
}


def haproxy(suite: str = "trixie") -> Path:
    """Have the haproxy of a Debian release; return the path of the program to run.

    The first time on a machine this takes a minute and Debian's mirror; needs root then.

    Raises:
        LabError: debootstrap cannot make it here; the message has its words.
    """
    return _home(suite) / "haproxy"


def nginx(suite: str = "trixie") -> Path:
    """Have the nginx of a Debian release, as `haproxy` does; it needs root whenever it runs."""
    return _home(suite) / "nginx"


def newest(name: str) -> str:
    """Have the haproxy or nginx of Debian's unstable release; skips the test where it cannot be had.

    In CI too: unstable is not whole every day, and then that is not this program's fault. The installed versions, and
    those of trixie, are needed.
    """
    try:
        if os.geteuid() != 0:
            raise LabError("making it needs root")
        return str({"haproxy": haproxy, "nginx": nginx}[name](UNSTABLE))
    except LabError as error:
        pytest.skip(f"no {name} of {UNSTABLE}: {error}")


def _home(suite: str) -> Path:
    key = hashlib.sha256(repr((PACKAGES, WRAPPERS)).encode()).hexdigest()[:8]
    return debian.kept(f"{suite}-proxies-{key}", lambda made, home: _make(suite, made, home))


def _make(suite: str, made: Path, home: Path) -> None:
    """Fill `made`, which will be moved to `home`."""
    tree = made / "tree"
    debian.debootstrap(suite, PACKAGES, tree)
    for name in debian.LEFT_OUT:
        shutil.rmtree(tree / name, ignore_errors=True)
    loaders = sorted(tree.glob("usr/lib*/ld-linux-*.so.*"))
    libraries = sorted((tree / "usr/lib").glob("*-linux-gnu*"))
    if not loaders or not libraries:
        raise LabError(f"{tree}: no dynamic loader or no libraries in this tree")
    # Run under the name that is in the process list: the kernel calls a process after the file it executed.
    (made / "loader").mkdir()
    (made / "loader/haproxy").symlink_to(Path("..") / loaders[0].relative_to(made))
    for name, text in WRAPPERS.items():
        (made / name).write_text(text.format(home=home, libraries=home / libraries[0].relative_to(made)))
        (made / name).chmod(0o755)


if __name__ == "__main__":
    try:
        print(haproxy(*sys.argv[1:2]), nginx(*sys.argv[1:2]), sep="\n")
    except LabError as problem:
        sys.exit(f"proxies: {problem}")
