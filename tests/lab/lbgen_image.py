"""lbgen's own image, built from the repository's Dockerfile without a registry or a network.

The base is Debian out of Debian's packages, with the locked wheels and a pip that looks nowhere else.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

from tests.lab.images import build, debian_base
from tests.lab.services import Lab
from tests.lab.settings import CACHE

ROOT = Path(__file__).parents[2]
PIP_CONFIG = b"[global]\nno-index = true\nfind-links = /wheels\nbreak-system-packages = true\n"


def lbgen_image(lab: Lab, target: str, node: str = "n1") -> str:
    """Build one target of the Dockerfile on a node; return the image's id."""
    wheels = {f"wheels/{wheel.name}": wheel.read_bytes() for wheel in _wheelhouse().iterdir()}
    base = debian_base(lab, files={"etc/pip.conf": PIP_CONFIG, **wheels}, node=node)
    return build(lab, ROOT, "--target", target, "--build-arg", f"BASE={base}", node=node)


def _wheelhouse() -> Path:
    """Have the locked wheels, and those that build lbgen's own, in the cache; return the directory."""
    locks = [ROOT / "requirements.lock", ROOT / "requirements-dev.lock"]
    key = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()[:12]
    directory = CACHE / f"wheels-{key}"
    if not directory.is_dir():
        hatchling = re.search(r"^hatchling==\S+", locks[1].read_text(), re.MULTILINE)
        assert hatchling
        unfinished = directory.with_suffix(".part")
        for wanted in (["--requirement", str(locks[0])], [hatchling[0]]):
            download = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:"]
            subprocess.run([*download, "--python-version", "3.11", "--dest", str(unfinished), *wanted], check=True)
        unfinished.rename(directory)
    return directory
