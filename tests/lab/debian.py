"""Debian trees, of this machine's release or of another one, from the mirror that its own apt uses.

They are made by debootstrap once per machine and stay in the cache; after that they need no network.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.lab import host
from tests.lab.settings import CACHE, LabError

# Nothing in here is read by a program that a test runs.
LEFT_OUT = ["var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "dev"]
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def kept(name: str, make: Callable[[Path, Path], None]) -> Path:
    """Have a directory of the cache; `make(made, home)` fills `made`, which then becomes `home`, the path returned.

    One process makes it, others wait; what a killed one leaves unfinished is never taken for it.
    """
    home = CACHE / name
    if not home.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another row of tests may be making it
            if not home.exists():
                with tempfile.TemporaryDirectory(prefix=f"{name}-part-", dir=CACHE) as unfinished:
                    made = Path(unfinished) / "home"
                    made.mkdir()
                    make(made, home)
                    made.rename(home)
    return home


def debootstrap(suite: str, packages: Iterable[str], tree: Path) -> None:
    """Unpack a release's smallest system with these packages into `tree`, which is not there yet; needs root.

    Raises:
        LabError: it cannot be made here; the message has debootstrap's words.
    """
    if shutil.which("debootstrap") is None or not KEYRING.exists():
        host.run("apt-get", "update", "--quiet")
        tools = ["debootstrap", "debian-archive-keyring"]
        host.run("apt-get", "install", "--quiet", "--yes", "--no-install-recommends", *tools)
    environment = dict(os.environ)
    proxy = host.run("apt-config", "shell", "proxy", "Acquire::http::Proxy").strip()
    if found := re.fullmatch(r"proxy='(.+)'", proxy):
        environment["http_proxy"] = found[1]
    flags = ["--variant=minbase", f"--include={','.join(packages)}", f"--keyring={KEYRING}"]
    # A mount namespace of its own takes along whatever a failed run leaves mounted in the tree.
    # Where this machine's own release comes from, the others are as well.
    command = ["unshare", "--mount", "debootstrap", *flags, suite, str(tree), mirror(own_suite())]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        raise LabError(f"debootstrap {suite} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def own_suite() -> str:
    """This machine's own Debian release, whose mirror apt knows: "bookworm"."""
    found = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.MULTILINE)
    if not found:
        raise LabError("/etc/os-release names no release: a Debian base is made on Debian only")
    return found[1]


def mirror(suite: str) -> str:
    """Address of the mirror that apt on this machine takes the suite's packages from."""
    listed = host.run("apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages")
    for line in listed.splitlines():
        release, _, address = line.partition(" ")
        if release == suite:
            return address
    raise LabError(f"apt knows no mirror of {suite}: run apt-get update, or add it to the apt sources")
