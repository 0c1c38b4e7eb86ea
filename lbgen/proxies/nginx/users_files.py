"""Lets Nginx's workers read the files of users and the pages that lbgen writes: they do so on their own account."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
from collections.abc import Iterable
from pathlib import Path

from lbgen.render.outputs import NAME, PAGES, USERS

DIRECTORIES = tuple(pattern.partition(NAME)[0] for pattern in (USERS, PAGES))  # "users/", "pages/"
_NOBODY = ("nobody", "nogroup")  # Nginx's own group, by system, where nothing says another


def let_read(output: Path, names: Iterable[str], account: str) -> None:
    """Give such files among these, and their directories, to the workers' group. Only root can, and has to.

    Args:
        account: of the workers; empty: Nginx's default.
    """
    files = [output / name for name in names if name.startswith(DIRECTORIES)]
    group = group_of(account) if files and os.geteuid() == 0 else None
    if group is not None:
        for path in (*{path.parent for path in files}, *files):
            with contextlib.suppress(OSError):  # gone; or a file system without owners
                os.chown(path, -1, group)


def group_of(account: str) -> int | None:
    """Return the id of the group that workers of this account have; None: not known here.

    Source: nginx src/core/nginx.c (ngx_set_user): the group that is called like the account.
    """
    for name in (account,) if account else _NOBODY:
        with contextlib.suppress(KeyError):
            return grp.getgrnam(name).gr_gid
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(account or _NOBODY[0]).pw_gid
    return None
