"""Which certificates there are: PEM files, each with a certificate, its chain and its key, in one directory.

Nothing is read but their names and times, so templates can name them to proxies and never print a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".pem"


@dataclass(frozen=True, slots=True, order=True)
class Certificate:
    """One file."""

    name: str  # of the file: "shop.example.org.pem"
    path: str  # absolute
    changed: int  # when it was written last, seconds since 1970


def certificates(directory: Path) -> tuple[Certificate, ...]:
    """Return the certificates of a directory, sorted by name; none if it cannot be read."""
    found = []
    try:
        for path in directory.iterdir():
            if path.suffix == SUFFIX and not path.name.startswith("."):
                found.append(Certificate(path.name, str(path), int(path.stat().st_mtime)))
    except OSError:  # there is none, or it has just gone
        return ()
    return tuple(sorted(found))
