"""Traefik v2's rules, such as ``Host(`a.org`, `b.org`) && PathPrefix(`/{lang:[a-z]+}`)``, as match expressions.

They end in the same expressions as those of v3. A matcher takes several values, one of which has to fit, and
``{name:expression}`` in one stands for what the expression fits as a whole; without an expression for what has no dot
or slash in it. What is accepted means what it means in Traefik 2, and in Traefik 3 for a router with ``ruleSyntax=v2``.
Refused are, besides what `parser` refuses, values that no request can have.

Of a parameter that a request has several times Traefik 2 asks the first one only; here any may fit, as in Traefik 3.

Source: traefik 3.7 pkg/muxer/http/matcher_v2.go, pkg/muxer/tcp/matcher_v2.go; containous/mux regexp.go, route.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from lbgen.labels.match import ALWAYS, All, AnyOf, Match, Test
from lbgen.labels.rule import expression
from lbgen.labels.rule.expression import Language, Matcher
from lbgen.labels.rule.matchers import MATCHERS, header, header_regex, path_pattern, path_text, query
from lbgen.labels.suggestions import alike
from lbgen.labels.values import http
from lbgen.labels.values.regex import regex
from lbgen.labels.values.value_type import BadValue

_MANY = range(1, 1025)
_PAIRS = range(2, 1025, 2)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_HOST_TEXT = re.compile(r"[A-Za-z0-9._-]*")

Parts = list[tuple[str, str]]  # ("text", "/x/"), ("pattern", "[0-9]+"); a pattern is empty where there is none


def parse(text: str, protocol: str = "http") -> Match:
    """Return the expression that a rule means.

    Raises:
        BadValue: it is not such a rule; the message begins with the place, "at character 14: ".
    """
    if not text.strip():
        raise BadValue("is empty", f"write a matcher such as {_EXAMPLES[protocol]}")
    return expression.parse(text, _RULES[protocol])


def _parts(template: str) -> Parts:
    """Read a value with ``{name:expression}`` in it. Braces of an expression are counted, not read."""
    parts, depth, start = [], 0, 0
    for at, char in enumerate(template):
        if char == "{":
            depth += 1
            if depth == 1:
                parts.append(("text", template[start:at]))
                start = at + 1
        elif char == "}":
            depth -= 1
            if depth < 0:
                break
            if not depth:
                parts.append(("pattern", _pattern(template[start:at])))
                start = at + 1
    if depth:
        raise BadValue("has a { or } without its other half", "write {name:expression}")
    return [part for part in [*parts, ("text", template[start:])] if part != ("text", "")]


def _pattern(inner: str) -> str:
    name, colon, pattern = inner.partition(":")
    if not _NAME.fullmatch(name) or (colon and not pattern):
        raise BadValue("has braces without a name or an expression", "write {name:expression}, such as {id:[0-9]+}")
    return regex(pattern) if pattern else ""


def _expression(parts: Parts, default: str, written: Callable[[str], str]) -> str:
    """Return the expression that fits the parts, one after the other."""
    return "".join(_escaped(written(text)) if kind == "text" else f"(?:{text or default})" for kind, text in parts)


def _escaped(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9/_-]", r"\\\g<0>", text)


def _any(read: Callable[[str], Match]) -> Callable[..., Match]:
    """Return what reads several values, one of which has to fit."""

    def several(*texts: str) -> Match:
        return AnyOf(tuple(map(read, texts))) if len(texts) > 1 else read(texts[0])

    return several


def _all_pairs(read: Callable[[str, str], Match]) -> Callable[..., Match]:
    """Return what reads names and values by turns, all of which have to fit."""
    return lambda *texts: All(tuple(map(read, texts[::2], texts[1::2])))


def _host(text: str, kind: str = "host") -> Match:
    if "*" in text:
        raise BadValue("has a *, which Traefik 2 takes literally", "write HostRegexp(`{any:.+}.example.org`)")
    return Test(kind, http.host(text))


def _host_regex(text: str, kind: str = "host") -> Match:
    parts = _parts(text)
    if not any(part == "pattern" for part, _ in parts):
        return _host(text, kind)
    if not all(part == "pattern" or _HOST_TEXT.fullmatch(literal) for part, literal in parts):
        raise BadValue("has a character outside braces that no host has", "write {name:expression} for what varies")
    # Hosts are asked in lower case, and Traefik 2 ignores the case of the expression.
    folded = any(re.search("[A-Z]", re.sub(r"\\.", "", pattern)) for part, pattern in parts if part == "pattern")
    found = _expression(parts, "[^.]+", str.lower)
    return Test(f"{kind}_regex", regex(f"{'(?i)' if folded else ''}^{found}$"))


def _path(text: str, *, prefix: bool = False) -> Match:
    parts = _parts(text)
    if all(part == "text" for part, _ in parts):
        own = path_text(text)
        return Test("path" if not prefix else "path_prefix" if own == "/" else "path_start", own)
    if not text.startswith("/"):
        raise BadValue("does not begin with a slash", "write an absolute path such as /api")
    # The first text has the slash; those behind it get one only to be read as paths, too.
    found = _expression(parts, "[^/]+", lambda literal: path_text(f"/{literal}")[1:])
    return path_pattern(f"^{found}{'' if prefix else '$'}")


def _query(*texts: str) -> Match:
    words = [word for text in texts for word in text.split("=", 1)]
    if len(words) % 2:
        raise BadValue("has a name without a value", "write Query(`name=value`)")
    return All(tuple(map(_parameter, words[::2], words[1::2])))


def _parameter(name: str, value: str) -> Match:
    parts = _parts(value)
    if all(part == "text" for part, _ in parts) and value:
        return query(name, value)
    own = query(name)  # the name is one
    assert isinstance(own, Test)
    found = regex(f"^{_expression(parts, '.*', str)}$") if value else ".*"
    return Test("query_regex", found, own.name)


def _server_name(text: str) -> Match:
    return ALWAYS if text == "*" else _host(text, "sni")


def _server_names(*texts: str) -> Match:
    """Any of the names; a ``*`` that is not the first one is for clients that ask for some name."""
    first, *others = texts
    match = [_server_name(first), *(Test("sni_regex", ".+") if text == "*" else _server_name(text) for text in others)]
    return AnyOf(tuple(match)) if others else match[0]


def _matchers() -> Iterator[tuple[str, str, Matcher]]:
    http3, tcp3 = MATCHERS["http"], MATCHERS["tcp"]
    for name in ("Host", "HostHeader"):
        yield "http", name, Matcher(_MANY, _any(_host))
    yield "http", "HostRegexp", Matcher(_MANY, _any(_host_regex))
    yield "http", "Path", Matcher(_MANY, _any(_path))
    yield "http", "PathPrefix", Matcher(_MANY, _any(partial(_path, prefix=True)))
    yield "http", "Method", Matcher(_MANY, _any(http3["Method"].read))
    yield "http", "Headers", Matcher(_PAIRS, _all_pairs(header))
    yield "http", "HeadersRegexp", Matcher(_PAIRS, _all_pairs(header_regex))
    yield "http", "Query", Matcher(_MANY, _query)
    yield "tcp", "HostSNI", Matcher(_MANY, _server_names)
    yield "tcp", "HostSNIRegexp", Matcher(_MANY, _any(partial(_host_regex, kind="sni")))
    yield "tcp", "ALPN", Matcher(_MANY, _any(tcp3["ALPN"].read))
    for protocol in ("http", "tcp"):
        yield protocol, "ClientIP", Matcher(_MANY, _any(http3["ClientIP"].read))


def _spellings(protocol: str) -> Mapping[str, Matcher]:
    return {
        spelt: matcher
        for own, name, matcher in _matchers()
        if own == protocol
        for spelt in (name, name.lower(), name.upper(), name.capitalize())
    }


def _instead(name: str, protocol: str) -> str:
    known = {each.lower(): each for own, each, _ in _matchers() if own == protocol}
    close = alike(name, known)
    return f"did you mean {known[close]}?" if close else "write one of " + ", ".join(sorted(known.values()))


_EXAMPLES = {"http": "Host(`a.example.org`, `b.example.org`) && PathPrefix(`/api`)", "tcp": "HostSNI(`db.example.org`)"}
_RULES = {
    protocol: Language(
        f"{protocol} rules of Traefik 2", _spellings(protocol), example, partial(_instead, protocol=protocol)
    )
    for protocol, example in _EXAMPLES.items()
}
