"""One destination of docker-flow-proxy's labels, as the routes that it asks for or closes.

Source: docker-flow-proxy docs/usage.md, proxy/types.go (getServiceDest).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lbgen.base.problem import Problem
from lbgen.labels.context import Ports
from lbgen.labels.dockerflow import PREFIX
from lbgen.labels.dockerflow.conditions import Conditions, any_host
from lbgen.labels.dockerflow.options import FIELDS_OF, OPTIONS, SENT, UNREADABLE_GUARDS
from lbgen.labels.foreign_options import Element, Options, Written, flag, read
from lbgen.labels.keys.table import FIELDS, RouteKeys
from lbgen.labels.match import ALWAYS, Match
from lbgen.labels.route_spec import ClosedSpec, RouteSpec, about
from lbgen.labels.values import http
from lbgen.labels.values.substitution import Substitution
from lbgen.labels.values.users import IN_LABEL, LabelUsers, hashed_users, plain_users
from lbgen.labels.values.value_type import BadValue

TO = "http://{host}{uri}"


@dataclass(frozen=True, slots=True)
class Destination:
    """Makes the routes of one destination: its own, and that of the domains that are redirected to it."""

    name: str
    options: Options
    ports: Ports

    @property
    def conditions(self) -> Conditions:
        """Which requests are meant."""
        return Conditions(self.options)

    @classmethod
    def of(cls, service: str, name: str, element: Element, ports: Ports, *, last: bool = True) -> Destination:
        """Read what a destination's parameters say.

        Args:
            last: of the service's; the others are not its default backend.
        """
        written = _joined(element.options)
        if not last:
            written = {key: value for key, value in written.items() if key != "isdefaultbackend"}
        if "ignoreauthorization" in written and is_true(written["ignoreauthorization"].value, otherwise=False):
            written = {key: value for key, value in written.items() if key not in ("users", "userssecret")}
        options = read(service, name, Element("http", "destination", name, dict(written)), OPTIONS)
        if options.fields.get("_forwarded"):
            message = "is taken: X-Forwarded-Proto is that of listeners.NAME.trusted_proxies"
            options.leave("_forwarded", BadValue(message, "name your load balancers there"))
            options.fields["redirect_https"] = True
        destination = cls(name, options, ports)
        parameters = {"port": "port", "host": "serviceDomain", "listener": "srcPort"}
        destination.options.missing(**{key: destination._label(option) for key, option in parameters.items()})
        return destination

    def routes(self) -> tuple[list[RouteSpec], list[ClosedSpec], list[Problem]]:
        """Return the routes, or what is closed if they cannot be honoured, and what there is to say."""
        options = self.options
        protocol = "http" if options.fields.get("_mode", "http") == "http" else "tcp"
        made: list[RouteSpec] = []
        try:
            fields = self._fields(protocol)
            users = self._users(protocol)
            if users:
                fields["basic_auth"] = users.name
            match = self.conditions.match(protocol)
            priority = 0 if options.fields.get("_default") and match == ALWAYS else None
            if protocol == "http":
                made += self._redirects(fields)
            made.insert(0, self._route(protocol, self.name, fields, match, priority, users))
            if protocol == "http" and options.fields.get("_default") and priority is None:
                # Besides its own requests it gets those that nobody takes.
                made.append(self._route(protocol, self._rest, fields, ALWAYS, 0, users))
        except BadValue as bad:
            blamed = options.written.get(bad.key, Written(self._label("serviceDomain"), ""))
            options.lose(blamed, bad, bad.key or "host")
        problems = [*options.lost, *options.left]
        return ([], list(self._closed(protocol)), problems) if options.lost else (made, [], problems)

    def _closed(self, protocol: str) -> Iterator[ClosedSpec]:
        """Yield what a destination that cannot be honoured keeps from the others of its service."""
        said, lost = self.options.fields, self.options.broken
        match = self.conditions.readable(protocol)
        fields: dict[str, Any] = {"basic_auth": said["basic_auth"]} if "basic_auth" in said else {}
        if "_source_port" in said:
            try:
                fields["listener"] = (self.ports.listener(protocol, said["_source_port"]),)
            except BadValue:
                lost.add("listener")
        broken = frozenset(FIELDS_OF.get(name, name) for name in lost) & FIELDS.keys()
        if "_users" in said and "_users" not in lost:
            fields["basic_auth"] = self._list_of_users
        denies = protocol == "http" and bool(self.conditions.denials())
        guards = UNREADABLE_GUARDS & lost
        spec = ClosedSpec(
            protocol,
            self.name,
            RouteKeys(**fields),
            match,
            broken,
            "dockerflow",
            self._origin,
            guards,
            denies,
            self._readable_users(protocol),
        )
        # No listener has its requests: it is known which port they come by.
        nowhere = "listener" in broken and ("_source_port" in said or "listener" in lost)
        if spec.guarded or not (spec.unreadable or nowhere):
            yield spec
        if hosts := said.get("_redirected", ()) if protocol == "http" else ():
            keys = RouteKeys(listener=fields.get("listener"))
            yield ClosedSpec("http", self._from, keys, any_host(hosts), dialect="dockerflow", origin=self._origin)

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
        denials = self.conditions.denials() if protocol == "http" and name != self._from else ()
        return RouteSpec(
            protocol, name, keys, match, priority, self.options.written, "dockerflow", self._origin, users, denials
        )

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
        return LabelUsers(self._list_of_users, users, service, self.options.written["_users"].label)

    def _readable_users(self, protocol: str) -> LabelUsers | None:
        try:
            return self._users(protocol)
        except BadValue:
            return None

    @property
    def _list_of_users(self) -> str:
        return f"{IN_LABEL}{self.options.service}" + (f":{self.name}" if self.name else "")

    def _fields(self, protocol: str) -> dict[str, Any]:
        """Return the fields of `RouteKeys`; docker-flow-proxy's own time-outs where none are given."""
        said = self.options.fields
        known = {key: value for key, value in said.items() if key in FIELDS}
        fields = {"timeout_response": 20.0, "timeout_idle": 3600.0, **known}
        if "_source_port" in said:
            fields["listener"] = (about("_source_port", self.ports.listener, protocol, said["_source_port"]),)
        elif protocol == "tcp":
            raise BadValue("is missing, which TCP needs", "say which port clients connect to", "listener")
        if balance := said.get("_balance"):
            fields["balance"] = {"roundrobin": "round-robin", "leastconn": "least-conn"}.get(balance, balance)
        if protocol == "tcp":
            return {key: value for key, value in fields.items() if key not in _HTTP_ONLY}
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
        if any(name.startswith("x-forwarded-") and not value for name, value in (*added, *changed)):
            self.options.leave(
                f"_{'add' if added else 'set'}_{which}",
                BadValue("is left out where it sets X-Forwarded-*: the proxy sends that itself", "remove that part"),
            )
        kept = {name: value for name, value in (*added, *changed) if value or name not in SENT}
        return {**kept, **dict.fromkeys(removed, "")}

    @property
    def _origin(self) -> str:
        return f"destination {self.name}" if self.name else ""

    @property
    def _from(self) -> str:
        """The name of the route of the domains that are redirected to this one's."""
        return f"{self.name or 'df'}-from"

    @property
    def _rest(self) -> str:
        """The name of the route of requests that nobody takes, if the destination has others of its own."""
        return f"{self.name or 'df'}-default"

    def _redirects(self, fields: Mapping[str, Any]) -> list[RouteSpec]:
        """Return the route of the domains that are redirected to the first one."""
        said = self.options.fields
        hosts, domains = said.get("_redirected"), said.get("_domains")
        if not hosts:
            return []
        if not domains or domains[0][0]:
            raise BadValue("has no domain to go to", "write serviceDomain, without asterisk first", "_redirected")
        scheme = "https" if fields.get("redirect_https") or said.get("_deny_http") else "http"
        target = http.redirect(TO.replace("http", scheme, 1).replace("{host}", domains[0][1]))
        own = {"redirect": target, "redirect_code": 301}
        if "listener" in fields:
            own["listener"] = fields["listener"]
        return [self._route("http", self._from, own, any_host(hosts), None)]


_HTTP_ONLY = frozenset(
    {*("basic_auth", "compress", "redirect_https", "sticky", "scheme"), *("request_header", "response_header")}
)


def _joined(options: Mapping[str, Written]) -> Mapping[str, Written]:
    """Return the parameters with the older two for a path that is replaced as the newer one."""
    search, replace = options.get("reqpathsearch"), options.get("reqpathreplace")
    if not search or "reqpathsearchreplace" in options:
        return options
    both = Written(search.label, f"{search.value.strip()},{replace.value.strip() if replace else ''}")
    others = {key: value for key, value in options.items() if key not in ("reqpathsearch", "reqpathreplace")}
    return {**others, "reqpathsearchreplace": both}


def is_true(value: str, *, otherwise: bool) -> bool:
    try:
        return flag(value.strip())
    except BadValue:
        return otherwise
