"""Larger images without a registry: a Debian base out of Debian's packages, builds, copies between nodes.

The base is made once per machine by debootstrap, from the mirror that this machine's own apt uses, and kept
as a tar archive in the cache. Everything after that needs no network.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.lab import debian, host
from tests.lab.settings import CACHE
from tests.lab.swarm import Swarm

PACKAGES = ("ca-certificates", "haproxy", "libnginx-mod-stream", "nginx", "python3", "python3-pip", "python3-venv")


def debian_base(
    lab: Swarm,
    packages: Iterable[str] = PACKAGES,
    *,
    files: Mapping[str, bytes] | Path | None = None,
    node: str = "n1",
) -> str:
    """Have an image with a minimal Debian and these packages on a node; return its id.

    The first time on a machine this takes some minutes, later a few seconds, and in a lab that has it none.

    Args:
        files: added on top: {path in the image: content}, or a directory whose content goes to /.
    """
    archive = _archive(sorted(set(packages)))
    where, tag = lab.nodes[node], f"lab/debian:{archive.name.split('.')[0].rpartition('-')[2]}"
    image = where.docker("images", "--quiet", "--no-trunc", tag)
    if not image:
        image = where.docker("import", "--change", 'CMD ["bash"]', str(archive), tag, timeout=900)
    if files is None:
        return image
    dockerfile = f"FROM {image}\nADD files.tar /\n".encode()
    return build(lab, {"Dockerfile": dockerfile, "files.tar": pack(files)}, node=node)


def build(
    lab: Swarm,
    context: Mapping[str, bytes] | Path,
    *flags: str,
    node: str = "n1",
    timeout: float = 300,
) -> str:
    """Build an image with the classic builder on a node, without network, and return its id.

    Args:
        context: a directory with a Dockerfile, or {path: content} with one.
        flags: more flags of ``docker build``: ``--file``, ``--tag``, ``--build-arg``.
    """
    command = ["build", "--quiet", "--network", "none", *flags]
    if isinstance(context, Path):
        return lab.nodes[node].docker(*command, str(context), timeout=timeout)
    return lab.nodes[node].docker(*command, "-", input=pack(context), timeout=timeout)


def copy_image(lab: Swarm, image: str, source: str = "n1", to: Collection[str] | None = None) -> None:
    """Copy an image between nodes (``docker save | docker load``); `to` is all others by default.

    A service's tasks can be placed on any node, and none can pull. Nodes that have it are left alone.
    """
    wanted = [lab.nodes[name] for name in lab.nodes if name != source and (to is None or name in to)]
    targets = [node for node in wanted if image not in node.docker("images", "--quiet", "--no-trunc")]
    kept = lab.settings.directory / "image.tar"
    if targets:
        try:
            lab.nodes[source].docker("save", "--output", str(kept), image, timeout=300)
            with ThreadPoolExecutor(len(targets)) as pool:
                list(pool.map(lambda node: node.docker("load", "--input", str(kept), timeout=300), targets))
        finally:
            kept.unlink(missing_ok=True)


def pack(files: Mapping[str, bytes] | Path) -> bytes:
    """A tar archive of {path: content} or of a directory's content; files that look executable are."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        if isinstance(files, Path):
            archive.add(files, arcname=".")
            return _closed(archive, target)
        for name, content in files.items():
            member = tarfile.TarInfo(name.lstrip("/"))
            member.size, executable = len(content), content.startswith((b"#!", b"\x7fELF"))
            member.mode = 0o755 if executable else 0o644
            archive.addfile(member, io.BytesIO(content))
        return _closed(archive, target)


def _closed(archive: tarfile.TarFile, target: io.BytesIO) -> bytes:
    archive.close()
    return target.getvalue()


def _archive(packages: list[str]) -> Path:
    """Path of the base's archive, made now if the cache has none for this suite and these packages."""
    suite = debian.own_suite()
    key = hashlib.sha256("\n".join([suite, *packages, *debian.LEFT_OUT]).encode()).hexdigest()[:12]
    path = CACHE / f"debian-{suite}-{key}.tar"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        tree, fresh = CACHE / f"tree-{os.getpid()}", CACHE / f"{path.name}.{os.getpid()}"
        try:
            debian.debootstrap(suite, packages, tree)
            flags = ["--numeric-owner", *(f"--exclude=./{name}/*" for name in debian.LEFT_OUT)]
            host.run("tar", "--create", f"--file={fresh}", f"--directory={tree}", *flags, ".")
            fresh.rename(path)
        finally:
            shutil.rmtree(tree, ignore_errors=True)
            fresh.unlink(missing_ok=True)
    return path
