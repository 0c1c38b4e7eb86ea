"""The keys that have copies of requests sent elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from lbgen.labels.keys.key import http_key
from lbgen.labels.values import basic


@dataclass(frozen=True, kw_only=True)
class MirrorKeys:
    """Mirroring."""

    mirror: str = http_key(
        "mirror",
        basic.name,
        "A Swarm service (of the own stack first) or a `group` that gets a copy of each request; its answer is ignored",
        "",
        example="shop-next",
    )
    mirror_percent: int = http_key(
        "mirror.percent", basic.integer(1, 100), "So many of a hundred requests are copied", 100, example="10"
    )
