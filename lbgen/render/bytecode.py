"""Compiled templates: in memory, and those of the built-in sets also on disk, so that a start need not compile them.

To compile a built-in set takes longer than all the rest of a start. Its code is kept as Python keeps that of modules:
in ``__pycache__`` beside the template, not written where Python writes none, and trusted no more than the code of
lbgen itself, whose sandbox it could leave. Templates of users are never kept on disk.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import marshal
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType

import jinja2
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

from lbgen.base import whole_file

_PACKAGE = Path(__file__).parent.parent
# What a template's code depends on besides its text: what writes it, and the filters, whose results stand in it
# where a value is known.
SOURCES = ("base", "labels/values", "model", "render")


class Bytecode(BytecodeCache):
    """The code of templates that are compiled with one grammar of quoting, each as it was compiled last."""

    def __init__(self, builtin: Path, quote: str, programs: bytes | None = None) -> None:
        """
        Args:
            builtin: directory of the built-in sets.
            quote: name of the grammar, in letters and digits.
            programs: a value that changes with whatever makes the code; None: that of the programs that run.
        """
        self._builtin, self._quote = builtin, quote
        self._programs = programs or _programs()
        self._known: dict[str, tuple[str, CodeType]] = {}

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        """Return the template's path: no two are one file."""
        return filename or name

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give the code of this very source, if it is known."""
        known = self._known.get(bucket.key)
        if known is None and (code := self._read(bucket)):
            known = self._known[bucket.key] = bucket.checksum, code
        if known and known[0] == bucket.checksum:
            bucket.code = known[1]

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep it."""
        if bucket.code:
            self._known[bucket.key] = bucket.checksum, bucket.code
            self._write(bucket, bucket.code)

    def _read(self, bucket: Bucket) -> CodeType | None:
        path = self._path(bucket)
        if path is None:
            return None
        with suppress(OSError, EOFError, TypeError, ValueError), path.open("rb") as file:
            head = self._head(bucket)
            if _trusted(file.fileno()) and file.read(len(head)) == head:
                code = marshal.load(file)
                return code if isinstance(code, CodeType) else None
        return None

    def _write(self, bucket: Bucket, code: CodeType) -> None:
        path = self._path(bucket)
        if path is None or sys.dont_write_bytecode:
            return
        with suppress(OSError):  # a directory that is only read
            path.parent.mkdir(exist_ok=True)
            content = self._head(bucket) + marshal.dumps(code)
            whole_file.replace(path, content, lambda handle: os.fchmod(handle, 0o644), lasting=False)

    def _path(self, bucket: Bucket) -> Path | None:
        """Return the file of a built-in template's code; None: it is of a user's."""
        path = Path(bucket.key)
        if ".." in path.parts or not path.is_relative_to(self._builtin):
            return None
        return Path(importlib.util.cache_from_source(str(path), optimization=self._quote))

    def _head(self, bucket: Bucket) -> bytes:
        """Return what a file begins with whose code is this template's, made by these very programs."""
        return hashlib.sha256(self._programs + bucket.key.encode() + bucket.checksum.encode()).digest()


@functools.cache
def _programs() -> bytes:
    """Return a value that changes with whatever makes code of templates."""
    versions = f"{jinja2.__version__} {sys.version}".encode()
    return importlib.util.MAGIC_NUMBER + versions + repr(sorted(_modules())).encode()


def _modules() -> Iterator[tuple[str, int, int]]:
    """Yield name, time and size of lbgen's modules that a template's code depends on.

    Whole seconds, as Python has for byte code of modules: layers of images know no others.
    """
    for directory in SOURCES:
        with os.scandir(_PACKAGE / directory) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    status = entry.stat()
                    yield f"{directory}/{entry.name}", int(status.st_mtime), status.st_size


def _trusted(file: int) -> bool:
    """Tell whether nobody can have written an open file who could not have written lbgen itself."""
    status = os.fstat(file)
    owners = {0, os.geteuid(), Path(__file__).stat().st_uid}
    return stat.S_ISREG(status.st_mode) and status.st_uid in owners and not status.st_mode & 0o022
