"""Compares passwords with hashes as htpasswd and crypt(5) write them, by the C library's crypt.

Python has no such function from 3.13 on. It costs up to 0.1 s of processor, and the interpreter is free meanwhile.
"""

from __future__ import annotations

import ctypes
import functools
import hmac

_LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2", None)  # None: what the program has loaded; musl has it in its libc
_STATE = 1 << 18  # bytes; struct crypt_data has 131,232 with glibc, 32,768 with libxcrypt
_LONGEST = 512  # bytes of a password


def known() -> bool:
    """Tell whether this machine can compare passwords."""
    return _function() is not None


def matches(password: str, hashed: str) -> bool:
    """Tell whether a hash is one of this password; one of a kind that the library does not know is of none."""
    crypt = _function()
    given = password.encode("utf-8", "surrogateescape")
    if crypt is None or b"\0" in given or len(given) > _LONGEST:
        return False
    made = crypt(given, hashed.encode(), ctypes.create_string_buffer(_STATE))
    return made is not None and hmac.compare_digest(made, hashed.encode())


@functools.cache
def _function() -> ctypes._NamedFuncPointer | None:
    for name in _LIBRARIES:
        try:
            function = ctypes.CDLL(name).crypt_r
        except (OSError, AttributeError):
            continue
        function.argtypes = ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p
        function.restype = ctypes.c_char_p
        return function
    return None
