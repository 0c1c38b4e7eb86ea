"""The listeners as labels depend on them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from lbgen.labels.context import Listeners

if TYPE_CHECKING:
    from lbgen.model.types import Listener


def carrying(listeners: Iterable[Listener], protocol: str, default: Collection[str]) -> Listeners:
    """Return the listeners of one protocol.

    Args:
        default: names of those that routes are on that name none.
    """
    own = [listener for listener in listeners if listener.protocol == protocol]
    secure = [listener for listener in own if listener.tls]
    return Listeners(
        default=tuple(listener.name for listener in own if listener.name in default),
        plain=frozenset(listener.name for listener in own if not listener.tls),
        secure=frozenset(listener.name for listener in secure),
        tls13=frozenset(listener.name for listener in secure if listener.tls_minimum == "1.3"),
        redirecting=frozenset(each.name for each in own if each.redirect and each.redirect.priority is None),
    )
