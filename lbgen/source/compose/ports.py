"""Ports in the short and in the long form.

Source: docker/go-connections, nat/nat.go, and docker/cli, opts/swarmopts/port.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lbgen.base.address import ANY, is_address
from lbgen.snapshot import PublishedPort

_NUMBER = re.compile(r"[0-9]{1,9}")


def is_short(value: object) -> bool:
    """Tell whether the value is a port or range in the short form."""
    try:
        return bool(short(value))
    except ValueError:
        return False


def is_range(text: str) -> bool:
    """Tell whether the text is a port, or a range of ports."""
    try:
        return bool(_range(text))
    except ValueError:
        return False


def short(value: object) -> list[PublishedPort]:
    """Read ``[[ADDRESS:]PUBLISHED:]TARGET[/PROTOCOL]``, either of them a range; always mode ingress.

    Raises:
        ValueError: it says something else; the text is what is wrong with it.
    """
    *before, target = str(value).rsplit(":", 2)
    target, _, protocol = target.partition("/")
    protocol = (protocol or "tcp").lower()
    if protocol not in ("tcp", "udp", "sctp"):
        raise ValueError(f"protocol {protocol!r} is not tcp, udp or sctp")
    if len(before) == 2 and before[0]:
        _check_address(before[0])
    targets = _range(target)
    published = _range(before[-1]) if before and before[-1] else range(0)
    if len(targets) == 1:
        return [PublishedPort(targets[0], port, protocol) for port in published or [0]]
    if published and len(published) != len(targets):
        raise ValueError("the two ranges differ in length")
    return [PublishedPort(port, published[index] if published else 0, protocol) for index, port in enumerate(targets)]


def address_of(value: object) -> str:
    """Return the address that a port in the short form is bound to, which Swarm does not heed; mostly empty."""
    before = str(value).rsplit(":", 2)
    address = before[0].strip("[]") if len(before) == 3 else ""
    return "" if address in ("", *ANY) else address


def long(value: Mapping[str, object]) -> list[PublishedPort]:
    """Read a port in the long form; Compose's ``published`` as text may be a range, of which Swarm would get all."""
    published = value.get("published") or 0
    ports = _range(published) if isinstance(published, str) else [published]
    return [
        PublishedPort(
            target=int(str(value.get("target") or 0)),
            published=int(str(port)),
            protocol=str(value.get("protocol") or "tcp").lower(),
            mode=str(value.get("mode") or "ingress").lower(),
        )
        for port in ports
    ]


def _range(text: str) -> range:
    first, dash, last = text.partition("-")
    numbers = [first, last] if dash else [first]
    if not all(_NUMBER.fullmatch(number) and int(number) <= 65535 for number in numbers):
        raise ValueError(f"{text!r} is neither a port from 0 to 65535 nor a range of them")
    ports = range(int(numbers[0]), int(numbers[-1]) + 1)
    if not ports:
        raise ValueError(f"the range {text!r} ends before it begins")
    return ports


def _check_address(text: str) -> None:
    bare = text[1:-1] if text[0] == "[" and text[-1] == "]" else text
    if not is_address(bare):
        raise ValueError(f"{text!r} is not an IP address")
