"""The files that say who may ask: a token, or users with the hashes of their passwords. Read anew when they change.

A file that is away or broken lets nobody in; the log says so once. Neither a token nor a password is ever logged.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from lbgen.base import bounded_file, password
from lbgen.base.fingerprint import Fingerprint, fingerprint
from lbgen.base.logs import log
from lbgen.labels.values.users import User
from lbgen.labels.values.value_type import BadValue
from lbgen.render.credential_files import content_of

T = TypeVar("T")
LARGEST = 64 << 10  # bytes of a file
REMEMBERED = 64  # right passwords, so that who asks again does not pay again
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,4096}=*")  # RFC 6750, 2.1


class Key(Protocol):
    """What opens the status port."""

    setting: str  # "status.auth.token"
    scheme: str  # as WWW-Authenticate names it

    def admits(self, authorization: str, spend: Callable[[float], None]) -> bool:
        """Tell whether a request with this header Authorization is let in; may take a tenth of a second.

        Args:
            spend: is told of seconds of the processor.
        """
        ...


def token_in(path: Path) -> str:
    """Return the token that a file holds; raise OSError or BadValue."""
    text = bounded_file.read_text(path, LARGEST).strip()
    if not _TOKEN.fullmatch(text):
        raise BadValue(
            "holds no token", "write 16 or more letters, digits and . _ ~ + / - into it: `openssl rand -hex 32`"
        )
    return text


class Token:
    """Admits every client that sends the token that a file holds."""

    scheme = "Bearer"

    def __init__(self, setting: str, path: Path) -> None:
        self.setting = setting
        self._file = _File(setting, path, token_in)

    def admits(self, authorization: str, spend: Callable[[float], None]) -> bool:  # noqa: ARG002
        """See `Key`."""
        scheme, _, given = authorization.partition(" ")
        token = self._file.content()
        right = hmac.compare_digest(given.strip().encode("utf-8", "replace"), (token or "").encode())
        return right and token is not None and scheme.lower() == "bearer"


class Passwords:
    """Admits the users of a file with their passwords. Not for several threads at once."""

    scheme = "Basic"

    def __init__(self, setting: str, path: Path) -> None:
        self.setting = setting
        self._file = _File(setting, path, _users)
        self._known: tuple[object, set[bytes]] = None, set()  # the users, and digests of what was right for them
        self._salt = os.urandom(32)

    def admits(self, authorization: str, spend: Callable[[float], None]) -> bool:
        """See `Key`."""
        users, sent = self._file.content(), _basic(authorization)
        if not users or not sent:
            return False
        name, given = sent
        digest = hashlib.blake2b(f"{name}:{given}".encode("utf-8", "surrogateescape"), key=self._salt).digest()
        known, right = self._known
        if known is users and digest in right:
            return True
        # An unknown name takes as long as a known one.
        user = users.get(name) or next(iter(users.values()))
        began = time.thread_time()
        admitted = password.matches(given, user.hash) and user.name == name
        spend(time.thread_time() - began)
        if admitted:
            kept = right if known is users and len(right) < REMEMBERED else set()
            self._known = users, kept | {digest}
        return admitted


def _users(path: Path) -> dict[str, User]:
    if not password.known():
        raise BadValue("cannot be used: this machine has no crypt_r", "install libcrypt1, or use status.auth.token")
    users: tuple[User, ...] = content_of("users", path, bounded_file.read(path, LARGEST)).value
    if slow := [user.name for user in users if user.costly]:
        raise BadValue(f"has a hash that is too slow to compare, of {slow[0]}", "make it anew with `htpasswd -B -C 8`")
    if not users:
        raise BadValue("has no users", "write lines NAME:HASH, as `htpasswd -nB NAME` prints them")
    return {user.name: user for user in users}


def _basic(authorization: str) -> tuple[str, str] | None:
    """Return name and password of a header Authorization; None: it has none."""
    scheme, _, given = authorization.partition(" ")
    try:
        text = base64.b64decode(given.strip(), validate=True).decode("utf-8", "surrogateescape")
    except (ValueError, binascii.Error):
        return None
    name, colon, secret = text.partition(":")
    return (name, secret) if scheme.lower() == "basic" and colon else None


class _File(Generic[T]):
    """A file's content, read anew when the file has changed."""

    def __init__(self, setting: str, path: Path, read: Callable[[Path], T]) -> None:
        self._setting, self._path, self._read = setting, path, read
        self._lock = threading.Lock()
        self._content: T | None = None
        self._as_of: Fingerprint | None = None  # None: look again
        self._told = ""

    def content(self) -> T | None:
        """Return it; None if the file cannot be used."""
        with self._lock:
            now = fingerprint(self._path)
            if now is None or now != self._as_of:
                self._look()
                self._as_of = now if now and now.settled() else None
            return self._content

    def _look(self) -> None:
        try:
            self._content = self._read(self._path)
            self._told = ""
        except OSError as error:
            self._unusable(f"cannot be read: {error.strerror}", "let lbgen read it")
        except BadValue as bad:
            self._unusable(bad.message, bad.remedy)

    def _unusable(self, error: str, remedy: str) -> None:
        self._content = None
        if self._told != error:
            log.error(
                "status_auth_unusable",
                setting=self._setting,
                file=str(self._path),
                error=error,
                effect="nobody is let in by it",
                remedy=remedy,
            )
        self._told = error
