"""The images `app` and `app-health`: one static binary each, made without a builder and without a registry.

An image archive is written by hand in the format of ``docker save``. The same source gives the same archive
and the same image id everywhere, so every node loads it for itself, and services name the image by that id.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from tests.lab.settings import CACHE, LabError

SOURCE = Path(__file__).parent / "app" / "app.c"
COMPILE = ["gcc", "-static", "-O2", "-Wall", "-Wextra", "-pthread"]
SECOND = 1_000_000_000  # the Engine API counts nanoseconds
# The start period lets --healthy-after take its time; the first good check ends it.
HEALTH = {
    "Test": ["CMD", "/app", "check"],
    "Interval": SECOND,
    "Timeout": 2 * SECOND,
    "StartPeriod": 120 * SECOND,
    "Retries": 2,
}
VARIANTS: dict[str, dict[str, Any]] = {"app": {}, "app-health": {"Healthcheck": HEALTH}}


def binary() -> Path:
    """Path of the compiled application, compiled now if its source is new."""
    key = hashlib.sha256(SOURCE.read_bytes() + " ".join(COMPILE).encode()).hexdigest()[:16]
    path = CACHE / f"app-{key}"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        fresh = CACHE / f"app-{key}.{os.getpid()}"
        done = subprocess.run([*COMPILE, "-o", fresh, SOURCE], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LabError(f"gcc (packages gcc and libc6-dev) cannot compile {SOURCE}:\n{done.stderr}")
        fresh.rename(path)
    return path


def archive() -> tuple[bytes, dict[str, str]]:
    """Return an image archive for ``docker load`` with all variants, and {variant: image id}."""
    layer = _tar({"app": binary().read_bytes()})
    files, manifest, ids = {"layer.tar": layer}, [], {}
    for name, extra in VARIANTS.items():
        config = _config(layer, extra)
        ids[name] = f"sha256:{hashlib.sha256(config).hexdigest()}"
        files[f"{name}.json"] = config
        tags = [f"lab/{name}:latest"]
        manifest.append({"Config": f"{name}.json", "RepoTags": tags, "Layers": ["layer.tar"]})
    return _tar(files | {"manifest.json": json.dumps(manifest).encode()}), ids


def _config(layer: bytes, extra: dict[str, Any]) -> bytes:
    config = {
        "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64",
        "os": "linux",
        "created": "2000-01-01T00:00:00Z",
        "config": {"Entrypoint": ["/app"], **extra},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created": "2000-01-01T00:00:00Z", "created_by": "tests/lab"}],
    }
    return json.dumps(config, sort_keys=True).encode()


def _tar(files: dict[str, bytes]) -> bytes:
    """A tar archive with these executable files, and nothing that depends on time or user."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as archive_file:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive_file.addfile(member, io.BytesIO(content))
    return target.getvalue()
