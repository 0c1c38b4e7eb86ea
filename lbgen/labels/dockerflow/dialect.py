"""docker-flow-proxy's vocabulary: ``com.df.<parameter>`` and, for several destinations, ``com.df.<parameter>.<index>``.

A destination becomes a route, named by its index. A parameter without index holds for every destination that has none
of its own. Domains, which docker-flow-proxy matches by their beginning (``shop.example.org`` also matches
``shop.example.org.evil.example``), are matched whole, with a note.

Source: docker-flow-proxy docs/usage.md, docs/swarm-mode-auto.md, proxy/types.go (getServiceDestList) and
proxy/template.go; docker-flow-swarm-listener docs/tutorial.md (``com.df.notify``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lbgen.base.problem import Problem
from lbgen.labels.context import PLAIN, Dialect, LabelContext, Ports
from lbgen.labels.dockerflow.options import OPTIONS, OTHERS, PREFIX
from lbgen.labels.foreign_options import Element, Options, Written, flag, read
from lbgen.labels.keys.table import FIELDS, RouteKeys
from lbgen.labels.match import ALWAYS, All, AnyOf, Match, Not, Test, any_of
from lbgen.labels.route_spec import RouteSpec, ServiceLabels, about, problem_of
from lbgen.labels.values import http, paths
from lbgen.labels.values.regex import regex
from lbgen.labels.values.substitution import Substitution
from lbgen.labels.values.users import IN_LABEL, LabelUsers, hashed_users, plain_users
from lbgen.labels.values.value_type import BadValue

_INDEXED = re.compile(r"([a-z]+)(?:\.([1-9][0-9]?))?")
MOST = 10  # destinations of a service, as in docker-flow-proxy
TO = "http://{host}{path}?{query}"


def parse(service: str, labels: Mapping[str, str], context: LabelContext = PLAIN) -> ServiceLabels:
    """Read one service's labels. A pure function of its arguments.

    A service takes part if it has the label ``com.df.notify``, as the swarm listener wants it, whatever its value but
    false.
    """
    notify = next((value for label, value in labels.items() if label.lower() == PREFIX + "notify"), None)
    if not (context.expose_by_default if notify is None else _is_true(notify, otherwise=True)):
        if notify is not None:
            return ServiceLabels(False, unless=f"label {PREFIX}notify says no")
        return ServiceLabels(False, unless=f"label {PREFIX}notify=true is missing", missing=f"{PREFIX}notify")
    destinations, stray = _destinations(service, labels)
    routes, problems = [], list(stray)
    for name, element in destinations.items():
        made, told = _Destination.of(service, name, element, context.ports).routes()
        routes += made
        problems += told
    return ServiceLabels(True, tuple(routes), tuple(sorted(set(problems))))


def _destinations(service: str, labels: Mapping[str, str]) -> tuple[dict[str, Element], list[Problem]]:
    """Sort the labels by destination: without an index there is one, which has no name."""
    common: dict[str, Written] = {}
    indexed: dict[str, dict[str, Written]] = {}
    stray = []
    for label, value in sorted(labels.items()):
        if not label.lower().startswith(PREFIX) or label.lower() == PREFIX + "notify":
            continue
        parts = _INDEXED.fullmatch(label.lower().removeprefix(PREFIX))
        if not parts or int(parts[2] or 1) > MOST:
            bad = BadValue(
                "is not a parameter", f"write {PREFIX}NAME or {PREFIX}NAME.INDEX, with an index of 1 to {MOST}"
            )
            stray.append(problem_of(service, label, "", bad))
        elif parts[1] in OTHERS:
            bad = BadValue("is left out: it is for docker-flow-monitor or the swarm listener", "leave it to them")
            stray.append(problem_of(service, label, value, bad))
        else:
            known = indexed.setdefault(parts[2], {}) if parts[2] else common
            known[parts[1]] = Written(label, value)
    if not indexed:
        return {"": Element("http", "destination", "", common)}, stray
    return {
        index: Element("http", "destination", index, {**common, **own})
        for index, own in sorted(indexed.items(), key=lambda item: int(item[0]))
    }, stray


@dataclass(frozen=True, slots=True)
class _Destination:
    """Makes the routes of one destination: its own, and that of the domains that are redirected to it."""

    name: str
    options: Options
    ports: Ports

    @classmethod
    def of(cls, service: str, name: str, element: Element, ports: Ports) -> _Destination:
        """Read what a destination's parameters say."""
        written = element.options
        if "ignoreauthorization" in written and _is_true(written["ignoreauthorization"].value, otherwise=False):
            written = {key: value for key, value in written.items() if key not in ("users", "userssecret")}
        destination = cls(name, read(service, name, Element("http", "destination", name, written), OPTIONS), ports)
        parameters = {"port": "port", "host": "serviceDomain", "listener": "srcPort", "tls": "denyHttp"}
        destination.options.missing(**{key: destination._label(option) for key, option in parameters.items()})
        return destination

    def routes(self) -> tuple[list[RouteSpec], list[Problem]]:
        """Return the routes, none if it cannot be honoured, and what there is to say."""
        options = self.options
        protocol = "http" if options.fields.get("_mode", "http") == "http" else "tcp"
        made: list[RouteSpec] = []
        try:
            fields = self._fields(protocol)
            users = self._users(protocol)
            if users:
                fields["basic_auth"] = users.name
            match = self._match(protocol)
            priority = 0 if options.fields.get("_default") and match == ALWAYS else None
            if protocol == "http":
                made += self._redirects(fields)
            made.insert(0, self._route(protocol, self.name, fields, match, priority, users))
        except BadValue as bad:
            options.lose(options.written.get(bad.key, Written(self._label("serviceDomain"), "")), bad)
        return [] if options.lost else made, [*options.lost, *options.left]

    def _label(self, option: str) -> str:
        return f"{PREFIX}{option}" + (f".{self.name}" if self.name else "")

    def _route(
        self,
        protocol: str,
        name: str,
        fields: dict[str, Any],
        match: Match,
        priority: int | None,
        users: LabelUsers | None = None,
    ) -> RouteSpec:
        keys = RouteKeys(**fields)  # each value came from the field's own parser
        origin = f"destination {self.name}" if self.name else ""
        return RouteSpec(protocol, name, keys, match, priority, self.options.written, "dockerflow", origin, users)

    def _users(self, protocol: str) -> LabelUsers | None:
        """Return whom parameter users lets in, None where there is none."""
        said = self.options.fields
        if "_users" not in said:
            return None
        if protocol == "tcp":
            raise BadValue("asks for passwords, which TCP cannot", "remove it, or set reqMode to http", "_users")
        if "basic_auth" in said:
            raise BadValue("stands beside usersSecret", "put all users into one of the two", "_users")
        users = about("_users", hashed_users if said.get("_encrypted") else plain_users, said["_users"])
        service = self.options.service
        name = f"{IN_LABEL}{service}" + (f":{self.name}" if self.name else "")
        return LabelUsers(name, users, service, self.options.written["_users"].label)

    def _fields(self, protocol: str) -> dict[str, Any]:
        """Return the fields of `RouteKeys`; docker-flow-proxy's own time-outs where none are given."""
        said = self.options.fields
        known = {key: value for key, value in said.items() if key in FIELDS}
        fields = {"via": "task", "timeout_response": 20.0, "timeout_idle": 3600.0, **known}
        if "_source_port" in said:
            fields["listener"] = (about("_source_port", self.ports.listener, protocol, said["_source_port"]),)
        elif protocol == "tcp":
            raise BadValue("is missing, which TCP needs", "say which port clients connect to", "listener")
        if balance := said.get("_balance"):
            fields["balance"] = {"roundrobin": "round-robin", "leastconn": "least-conn"}.get(balance, balance)
        if protocol == "tcp":
            return {key: value for key, value in fields.items() if key not in _HTTP_ONLY}
        if said.get("_deny_http"):
            fields["tls"] = ""
        if said.get("_sticky"):
            fields["sticky"] = "lbgen"
        if said.get("_tls_servers"):
            fields["scheme"] = "https"
        fields["request_header"] = self._edits("request")
        fields["response_header"] = self._edits("response")
        replace = said.get("_replace")
        if isinstance(replace, Substitution):
            fields["replace_path_regex"] = replace
        elif replace:
            fields["strip_prefix_regex"] = (replace,)
        return fields

    def _edits(self, which: str) -> dict[str, str]:
        """Return the headers that are set (an empty value removes one). What is to be added is set, with a note."""
        said = self.options.fields
        added, changed, removed = (said.get(f"_{how}_{which}", ()) for how in ("add", "set", "del"))
        if added:
            bad = BadValue("is set instead of added: there is one afterwards", "use the set parameter")
            self.options.leave(f"_add_{which}", bad)
        return {**dict(added), **dict(changed), **dict.fromkeys(removed, "")}

    def _match(self, protocol: str) -> Match:
        """Return which requests the destination takes."""
        said = self.options.fields
        domains = said.get("_domains", ())
        if protocol == "tcp":
            names = [_server_name(*item) for item in domains] if said["_mode"] == "sni" else []
            return AnyOf(tuple(names)) if names else ALWAYS
        terms = [self._hosts(domains), self._paths("_paths")]
        if not any(terms) and not said.get("_default"):
            raise BadValue("is missing, and so is servicePath", "say which requests are meant", "host")
        terms += [any_of("header", [value], name) for name, value in said.get("_headers", ())]
        terms.append(any_of("header_regex", [_escaped(word, "(?i)") for word in said.get("_agents", ())], "user-agent"))
        terms.append(any_of("method", said.get("_allowed", ())))
        denied, excluded = any_of("method", said.get("_denied", ())), self._paths("_excluded")
        terms += [Not(term) for term in (denied, excluded) if term]
        kept = tuple(term for term in terms if term and term != ALWAYS)
        return All(kept) if kept else ALWAYS

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
        if algorithm == "hdr_beg(host)" and any(test.kind == "host" for test in tests):
            bad = BadValue("is matched whole, not by its beginning", "set serviceDomainAlgo to hdr(host)")
            self.options.leave("_domains", bad)
        return AnyOf(tuple(tests)) if tests else None

    def _paths(self, key: str) -> Match | None:
        kind = self.options.fields.get("_path_type", "path_beg")
        tests = []
        for path in self.options.fields.get(key, ()):
            if kind in ("path_beg", "path"):
                checked = about(key, paths.exact, path)
                if kind == "path_beg" and checked == "/":
                    return ALWAYS
                tests.append(Test("path_start" if kind == "path_beg" else "path", checked))
            else:
                text = path if kind == "path_reg" else _escaped(path, "", "$" if kind == "path_end" else "")
                tests.append(Test("path_regex", about(key, regex, text)))
        return AnyOf(tuple(tests)) if tests else None

    def _redirects(self, fields: Mapping[str, Any]) -> list[RouteSpec]:
        """Return the route of the domains that are redirected to the first one."""
        said = self.options.fields
        hosts, domains = said.get("_redirected"), said.get("_domains")
        if not hosts:
            return []
        if not domains or domains[0][0]:
            raise BadValue("has no domain to go to", "write serviceDomain, without asterisk first", "_redirected")
        scheme = "https" if fields.get("redirect_https") or "tls" in fields else "http"
        target = http.redirect(TO.replace("http", scheme, 1).replace("{host}", domains[0][1]))
        own = {"redirect": target, "redirect_code": 301}
        if "listener" in fields:
            own["listener"] = fields["listener"]
        match = AnyOf(tuple(Test("host", host) for host in hosts))
        return [self._route("http", f"{self.name or 'df'}-from", own, match, None)]


_HTTP_ONLY = frozenset(
    {*("basic_auth", "compress", "redirect_https", "tls", "sticky", "scheme"), *("request_header", "response_header")}
)


def _is_true(value: str, *, otherwise: bool) -> bool:
    try:
        return flag(value.strip())
    except BadValue:
        return otherwise


def _escaped(text: str, before: str = "", after: str = "") -> str:
    """Return an expression that finds this very text."""
    return before + re.sub(r"([^A-Za-z0-9_/ -])", r"\\\1", text) + after


def _server_name(star: str, name: str) -> Test:
    if star and not name:
        raise BadValue("is any name", "leave serviceDomain out, with reqMode tcp", "_domains")
    return Test("sni", ("*." if star else "") + name)


DOCKERFLOW = Dialect("dockerflow", PREFIX, parse)
