"""Runs a program as systemd would let it run: ``python -m tests.support.unit_filter UNIT PROGRAM ARGUMENT...``.

Of a unit's sandbox what a program cannot see coming, the filter on system calls: ``MemoryDenyWriteExecute``,
``SystemCallFilter`` and ``RestrictAddressFamilies``, made as systemd makes it, with libseccomp and the groups of calls
that ``systemd-analyze syscall-filter`` names. User, files and capabilities are left as they are.

Source: systemd 252, src/shared/seccomp-util.c; systemd.exec(5).
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ALLOW = 0x7FFF0000
DENY = 0x00050000  # | errno
NOT_EQUAL, EQUAL, MASKED_EQUAL = 1, 4, 7
SHM_EXEC = 0o100000
ANALYZE = "systemd-analyze"
_CALL = re.compile(r"^\s+(@?[a-z0-9_-]+)$", re.MULTILINE)


class _Comparison(ctypes.Structure):
    """``struct scmp_arg_cmp``."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


class Filter:
    """What is refused; all else is allowed."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(ALLOW)))

    def deny(self, call: str, *comparisons: tuple[int, int, int, int], error: int = errno.EPERM) -> None:
        """Refuse a system call if its arguments are like this: (which one, how compared, with what, with what)."""
        number = self._library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:  # of another architecture
            return
        array = (_Comparison * max(1, len(comparisons)))(*comparisons)
        done = self._library.seccomp_rule_add_array(
            self._context, ctypes.c_uint32(DENY | error), number, len(comparisons), array
        )
        if done not in (0, -errno.EEXIST):
            raise OSError(-done, f"seccomp: {call}")

    def load(self) -> None:
        """Put this process and all that it starts under the filter."""
        if done := self._library.seccomp_load(self._context):
            raise OSError(-done, "seccomp")


def options(unit: Path) -> dict[str, list[str]]:
    """Return what a unit's section Service says, each option's lines in their order."""
    said: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            said.setdefault(name.strip(), []).append(value.strip())
    return said


def filter_of(unit: Path) -> Filter:
    """Return the filter that systemd would put the unit's processes under."""
    said, made = options(unit), Filter()
    if said.get("MemoryDenyWriteExecute", ["no"])[-1] in ("yes", "true", "on", "1"):
        writable_code = mmap.PROT_WRITE | mmap.PROT_EXEC
        made.deny("mmap", (2, MASKED_EQUAL, writable_code, writable_code))
        for call in ("mprotect", "pkey_mprotect"):
            made.deny(call, (2, MASKED_EQUAL, mmap.PROT_EXEC, mmap.PROT_EXEC))
        made.deny("shmat", (2, MASKED_EQUAL, SHM_EXEC, SHM_EXEC))
    if (lines := said.get("SystemCallFilter")) and shutil.which(ANALYZE):
        for call in calls(["@known"]) - allowed(lines):
            made.deny(call)
    if families := said.get("RestrictAddressFamilies"):
        named = {int(getattr(socket, name)) for name in " ".join(families).split()}
        for family in set(range(1, 46)) - named:
            made.deny("socket", (0, EQUAL, family, 0), error=errno.EAFNOSUPPORT)
    return made


def allowed(lines: Iterable[str]) -> set[str]:
    """Return the calls that lines of SystemCallFilter leave: the first one says what is allowed, ``~`` takes away."""
    left: set[str] = set()
    for line in lines:
        names = line.removeprefix("~").split()
        left = left - calls(names) if line.startswith("~") else left | calls(names)
    return left | calls(["@default"])


def calls(names: Iterable[str]) -> set[str]:
    """Return the calls of these groups, and those that are named themselves."""
    return {call for name in names for call in (_members(name) if name.startswith("@") else {name})}


@cache
def _members(group: str) -> frozenset[str]:
    words = [ANALYZE, "--no-pager", "syscall-filter", group]
    told = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout
    return frozenset(calls(name for name in _CALL.findall(told) if name != group))


if __name__ == "__main__":
    filter_of(Path(sys.argv[1])).load()
    os.execvp(sys.argv[2], sys.argv[2:])
