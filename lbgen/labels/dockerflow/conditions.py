"""Which requests a destination of docker-flow-proxy's labels takes, and which of those it refuses.

Domains, which docker-flow-proxy matches by their beginning (``shop.example.org`` also matches
``shop.example.org.evil.example``), are matched whole, with a note.

Source: docker-flow-proxy docs/usage.md and proxy/template.go: `use_backend` says what a destination takes,
`http-request deny` in its backend what it refuses (403).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from lbgen.labels.dockerflow.options import SNI_ALGORITHMS, SNI_TYPES
from lbgen.labels.foreign_options import Options
from lbgen.labels.match import ALWAYS, All, AnyOf, Match, Not, Test, any_of
from lbgen.labels.route_spec import Denial, about
from lbgen.labels.values import http, paths
from lbgen.labels.values.regex import regex
from lbgen.labels.values.value_type import BadValue

_WHOLE = re.compile(r"\^\(?((?:[A-Za-z0-9_-]|\\\.)+)\)?\$")  # an expression for one name


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a destination's parameters say of requests."""

    options: Options

    def match(self, protocol: str) -> Match:
        """Return which requests the destination takes."""
        said = self.options.fields
        if protocol == "tcp":
            return _together(term() for term in self._names())
        which = {"_domains", "_paths", "_default"}
        if which.isdisjoint(said.keys() | self.options.broken):  # what is wrong with one is told already
            raise BadValue("is missing, and so is servicePath", "say which requests are meant", "host")
        return _together(term() for term in self._terms())

    def _terms(self) -> Iterator[Callable[[], Match | None]]:
        """Yield what makes the conditions of a match."""
        said = self.options.fields
        yield lambda: self._hosts(said.get("_domains", ()))
        yield lambda: self._paths("_paths")
        for name, value in said.get("_headers", ()):
            yield partial(any_of, "header", [value], name)
        agents = [_escaped(word, "(?i)") for word in said.get("_agents", ())]
        yield lambda: any_of("header_regex", agents, "user-agent")
        yield lambda: Not(excluded) if (excluded := self._paths("_excluded")) else None

    def _names(self) -> Iterator[Callable[[], Match | None]]:
        """Yield what makes the names that a TCP destination asks for.

        With a path type of SNI the paths are names; without one a path means nothing.
        """
        said = self.options.fields
        by_name = said["_mode"] == "sni" or said.get("_algorithm") in SNI_ALGORITHMS
        domains = said.get("_domains", ()) if by_name else ()
        how = said.get("_path_type", "")
        names = said.get("_paths", ()) if how in SNI_TYPES else ()
        yield lambda: AnyOf(tuple(_server_name(*item) for item in domains)) if domains else None
        yield lambda: AnyOf(tuple(_named(SNI_TYPES[how], name) for name in names)) if names else None

    def denials(self) -> tuple[Denial, ...]:
        """Return which of the destination's own requests are refused. A redirect to https goes before all that."""
        said = self.options.fields
        found = []
        if allowed := any_of("method", said.get("_allowed", ())):
            found.append(Denial(Not(allowed)))
        if denied := any_of("method", said.get("_denied", ())):
            found.append(Denial(denied))
        if said.get("_deny_http") and not said.get("redirect_https"):
            found.append(Denial(ALWAYS, tls=False))
        return tuple(found)

    def readable(self, protocol: str) -> Match:
        """Return what can be read of the match: what is left out only widens it."""
        said, lost = self.options.fields, self.options.broken
        if "_path_type" in lost:
            said.pop("_paths", None), said.pop("_excluded", None)
        if "_algorithm" in lost:
            said.pop("_domains", None)
        kept = []
        for term in self._names() if protocol == "tcp" else self._terms():
            try:
                kept.append(term())
            except BadValue as bad:
                lost.add(bad.key)
        return _together(kept)

    def _hosts(self, domains: Sequence[tuple[str, str]]) -> Match | None:
        algorithm = self.options.fields.get("_algorithm", "hdr_beg(host)")
        tests = []
        for star, name in domains:
            if star and not name:
                return ALWAYS
            if star:  # by its end, whatever else is said
                tests.append(Test("host_regex", _escaped(("." if star == "*." else "") + name, "", "$")))
            elif algorithm == "hdr_dom(host)":
                tests.append(Test("host_regex", _escaped(name, r"(^|\.)", "$")))
            elif algorithm == "hdr_end(host)":
                tests.append(Test("host_regex", _escaped(name, "", "$")))
            else:
                tests.append(Test("host", name))
        if (
            algorithm == "hdr_beg(host)"
            and "_algorithm" not in self.options.broken
            and any(test.kind == "host" for test in tests)
        ):
            bad = BadValue("is matched whole, not by its beginning", "set serviceDomainAlgo to hdr(host)")
            self.options.leave("_domains", bad)
        return AnyOf(tuple(tests)) if tests else None

    def _paths(self, key: str) -> Match | None:
        kind = self.options.fields.get("_path_type", "path_beg")
        tests = []
        for path in self.options.fields.get(key, ()):
            if kind in ("path_beg", "path"):
                checked = about(key, paths.exact, path)
                begins = "path_prefix" if checked == "/" else "path_start"  # all paths begin with a slash
                tests.append(Test(begins if kind == "path_beg" else "path", checked))
            else:
                text = path if kind == "path_reg" else _escaped(path, "", "$" if kind == "path_end" else "")
                tests.append(Test("path_regex", about(key, regex, text)))
        # Beside / the others stay: requests for them go before those for shorter paths of other services.
        return ALWAYS if tests == [Test("path_prefix", "/")] else AnyOf(tuple(tests)) if tests else None


def any_host(hosts: Iterable[str]) -> Match:
    return AnyOf(tuple(Test("host", host) for host in hosts))


def _together(terms: Iterable[Match | None]) -> Match:
    kept = tuple(term for term in terms if term and term != ALWAYS)
    return All(kept) if kept else ALWAYS


def _escaped(text: str, before: str = "", after: str = "") -> str:
    """Return an expression that finds this very text."""
    return before + re.sub(r"([^A-Za-z0-9_/ -])", r"\\\1", text) + after


def _named(how: str, text: str) -> Test:
    """Return the test of a server name that HAProxy's way to match makes: of a whole name, or of what it ends in."""
    if how == "reg" and (whole := _WHOLE.fullmatch(text)):
        how, text = "str", re.sub(r"\\(.)", r"\1", whole[1])
    if how == "str":
        return Test("sni", about("_paths", http.host, text))
    if how == "end" and text.startswith("."):
        return Test("sni", f"*.{about('_paths', http.host, text[1:])}")
    raise BadValue(
        "matches a part of a server name", "write whole names in servicePath, and req_ssl_sni -i in pathType", "_paths"
    )


def _server_name(star: str, name: str) -> Test:
    if star and not name:
        raise BadValue("is any name", "leave serviceDomain out, with reqMode tcp", "_domains")
    return Test("sni", ("*." if star else "") + name)
