"""A request that an alternative takes and nothing takes before it: the proof that a route gets requests at all.

Requests are made up, not enumerated: one for the alternative alone, which is then changed wherever a rule that goes
before it can be dodged. What is found is a proof; that nothing is found is one only as far as the values below go.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from lbgen.labels.match import Alternative, Test
from lbgen.labels.values.regex import tree
from lbgen.labels.values.regex_tree import Chars, Choice, Node, Repeat, Sequence

_TRIES = 100  # requests that are made up for one alternative
_PLENTY = 40  # repetitions that an example of an expression has at most
# Values that no label names by accident, the likeliest first; None: the request has no such header or parameter.
_FRESH: Mapping[str, tuple[str | None, ...]] = {
    "host": ("w7x.invalid", "w7x", "0.w7x.invalid"),
    "path": ("/w7x", "/", "/W7X/0.w7x"),
    "scheme": ("http", "https"),
    "method": ("GET", "POST", "PUT", "DELETE", "W7X"),
    "client_ip": ("192.0.2.77", "2001:db8::77", "127.0.0.77", "10.77.77.77", "203.0.113.254"),
    "header": (None, "w7x", "1"),
    "query": (None, "w7x", "1"),
}
_Part = tuple[
    str, str
]  # of a request: "host", "path", "scheme", "method", "client_ip", "header", "query", and its name


@dataclass(frozen=True, slots=True)
class Request:
    """A request by the parts that somebody tests; the others are as with every ordinary request."""

    parts: Mapping[_Part, str | None] = field(default_factory=dict)

    def part(self, kind: str, name: str = "") -> str | None:
        """Return a part's value; None: the request has no such header or parameter."""
        part = kind, name
        return self.parts[part] if part in self.parts else _FRESH[kind][0]

    def but(self, part: _Part, value: str | None) -> Request:
        """Return the request with another value of one part."""
        return Request({**self.parts, part: value})


def holds(alternative: Alternative, request: Request) -> bool:
    """Tell whether a request fulfils all tests; one of a kind that is not known here does not hold."""
    return all(_known(test) and _holds(test, request.part(*_part_of(test))) for test in alternative)


def witness(alternative: Alternative, rival: Callable[[Request], Alternative | None]) -> Request | None:
    """Return a request that the alternative takes and for which there is no rival; None: none was found.

    Args:
        rival: who takes a request instead: tests to be dodged, () if that is not possible; None: nobody does.
    """
    first = a_request(alternative)
    return _Search(alternative, rival).search(first) if first else None


def a_request(alternative: Alternative) -> Request | None:
    """Return a request that fulfils the alternative; None: none was found."""
    if not all(map(_known, alternative)):
        return None
    request = Request()
    for part in dict.fromkeys(map(_part_of, alternative)):
        tests = [test for test in alternative if _part_of(test) == part]
        values = (value for value in _values(part, tests) if all(_holds(test, value) for test in tests))
        try:
            request = request.but(part, next(values))
        except StopIteration:
            return None
    return request


def impossible(alternative: Alternative) -> bool:
    """Tell whether no request can fulfil the alternative; what depends on an expression is taken to be possible."""
    if not all(map(_known, alternative)) or any(test.is_regex for test in alternative):
        return False
    return a_request(alternative) is None


class _Search:
    """Changes a request until nobody takes it before the alternative does."""

    def __init__(self, alternative: Alternative, rival: Callable[[Request], Alternative | None]) -> None:
        self._alternative, self._rival, self._left = alternative, rival, _TRIES

    def search(self, request: Request, depth: int = 8) -> Request | None:
        self._left -= 1
        rival = self._rival(request)
        if rival is None:
            return request
        for changed in self._dodging(rival, request):
            if depth == 0 or self._left <= 0:
                break
            if found := self.search(changed, depth - 1):
                return found
        return None

    def _dodging(self, rival: Alternative, request: Request) -> Iterator[Request]:
        """Yield requests like this one that the alternative takes and the rival does not."""
        for test in rival:
            if not _known(test):
                continue
            part = _part_of(test)
            own = [each for each in self._alternative if _known(each) and _part_of(each) == part]
            for value in dict.fromkeys([*_values(part, own), *_examples(test)]):
                if not _holds(test, value) and all(_holds(each, value) for each in own):
                    yield request.but(part, value)


def _known(test: Test) -> bool:
    return test.kind in _KINDS


_KINDS = {
    **dict.fromkeys(("host", "host_regex"), "host"),
    **dict.fromkeys(("path", "path_prefix", "path_start", "path_regex", "path_decoded", "path_odd"), "path"),
    **dict.fromkeys(("header", "header_regex"), "header"),
    **dict.fromkeys(("query", "query_regex"), "query"),
    **{kind: kind for kind in ("scheme", "method", "client_ip")},
}


def _part_of(test: Test) -> _Part:
    return _KINDS[test.kind], test.name


def _holds(test: Test, value: str | None) -> bool:
    return (value is not None and _true(test, value)) ^ test.negated


def _true(test: Test, value: str) -> bool:
    match test.kind:
        case "host" if test.value.startswith("*."):
            return value.partition(".")[2] == test.value[2:]
        case "path_prefix":
            return value == test.value or value.startswith(test.value.rstrip("/") + "/")
        case "path_start":
            return value.startswith(test.value)
        case "client_ip":
            return ipaddress.ip_address(value) in ipaddress.ip_network(test.value)
    expression = test.value if test.is_regex else test.pattern
    return bool(re.search(expression, value)) if expression else value == test.value


def _values(part: _Part, tests: list[Test]) -> Iterator[str | None]:
    """Yield values that may fulfil the tests of one part of the request."""
    for test in tests:
        yield from _examples(test)
    texts = [text for test in tests if test.is_regex for text in _texts(test.value)]
    for test in tests:
        if test.kind in ("path_prefix", "path_start"):
            yield from (test.value.rstrip("/") + slash + text for text in texts for slash in ("", "/"))
    yield from _FRESH[part[0]]


def _examples(test: Test) -> Iterator[str]:
    """Yield values for which the test is true, before it is negated."""
    match test.kind:
        case "host":
            yield test.value.replace("*", "w7x", 1)
        case "path_odd":
            yield "/w7x%2Fw7x"
        case "path_prefix" | "path_start" | "path_decoded":
            yield test.value.rstrip("/") + "/w7x"
            yield test.value
            if test.kind == "path_start":
                yield test.value + "w7x"
        case "client_ip":
            network = ipaddress.ip_network(test.value)
            yield str(network[-1])
            yield str(network[0])
        case "path_regex":
            for text in _texts(test.value):
                yield text if text.startswith("/") else f"/{text}"
        case _ if test.is_regex:
            yield from _texts(test.value)
        case _:
            yield test.value


def _texts(expression: str) -> list[str]:
    """Return texts that the expression is likely to find something in."""
    whole = tree(expression)
    return list(dict.fromkeys(_text(whole, last=last, more=more) for last in (False, True) for more in (0, 1)))


def _text(node: Node, *, last: bool, more: int) -> str:
    """Return a text for a part of an expression: its last alternatives, with so many repetitions more than needed."""
    match node:
        case Chars(mask):
            likely = [char for char in "w7/-.W_ x" if mask >> ord(char) & 1]
            lowest = next((chr(code) for code in range(33, 127) if mask >> code & 1), " ")
            return likely[0] if likely else lowest
        case Sequence(parts):
            return "".join(_text(part, last=last, more=more) for part in parts)
        case Choice(parts):
            return _text(parts[-1 if last else 0], last=last, more=more)
        case Repeat(part, low, high):
            times = min(low + more, _PLENTY if high is None else high)
            return _text(part, last=last, more=more) * max(times, low)
    return ""  # an anchor
