"""Labels of no dialect: what was probably meant by one that looks like it, and which program reads it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lbgen.base.problem import printable
from lbgen.labels.dialects import DIALECTS
from lbgen.labels.keys.table import PREFIX, find, nearest
from lbgen.labels.suggestions import like

_LIKE = 0.75  # of two words, from 0 to 1: "lbgn" and "lbgen" have 0.89
# Programs that route by labels, too -> what their labels begin with, and the section of docs/migration.md.
PROGRAMS = {
    "caddy-docker-proxy": (r"caddy(?:_[a-z0-9_]+)?(?:\.|$)", "caddy-docker-proxy"),
    "EasyHAProxy": (r"easyhaproxy\.", "easyhaproxy"),
    "Interlock (Docker Enterprise)": (r"com\.docker\.lb\.|interlock\.", "interlock"),
    "nginx-proxy": (r"(?:virtual_(?:host|port|path|proto|dest)|letsencrypt_host)$", "nginx-proxy"),
}
_OF_OTHERS = {name: re.compile(pattern) for name, (pattern, _) in PROGRAMS.items()}
_NAMED = re.compile(r"(?:http|tcp|udp)\.")


def meant(label: str, names: Sequence[str] = ("lbgen",)) -> str:
    """Return the label that was probably meant: of ``lbgn.port``, ``lbgen/port``, ``lbgen.io/port``; empty: none.

    Args:
        names: dialects that are read.
    """
    head, *rest = re.split(r"[./]", label.lower(), maxsplit=1)
    for name in names:
        prefix = DIALECTS[name].prefix
        word = prefix.removesuffix(".")
        if not rest or "." in word or not like(head, word, _LIKE):
            continue
        suggestion = prefix + rest[0] if name != "lbgen" else _native(rest[0].removeprefix("io/"))
        return "" if suggestion == label else printable(suggestion)
    return ""


def _native(key: str) -> str:
    if key != "enable" and not find(key) and not _NAMED.match(key):
        key = nearest(key)
    return PREFIX + key if key else ""


def program_of(label: str) -> str:
    """Return the program whose label it is, of those that route by labels and are not a dialect; empty: none."""
    lowered = label.lower()
    return next((name for name, pattern in _OF_OTHERS.items() if pattern.match(lowered)), "")
