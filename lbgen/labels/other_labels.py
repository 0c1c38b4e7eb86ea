"""What was probably meant by a label whose name only looks like one that is read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lbgen.base.problem import printable
from lbgen.labels.dialects import DIALECTS
from lbgen.labels.keys.table import PREFIX, find, nearest
from lbgen.labels.suggestions import like

_LIKE = 0.75  # of two words, from 0 to 1: "lbgn" and "lbgen" have 0.89
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
