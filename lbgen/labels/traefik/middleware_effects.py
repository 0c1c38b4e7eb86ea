"""What the middlewares of a router come to: each adds to the fields of `RouteKeys`, in the order Traefik asks them.

Here that order is always the same (`lbgen.model.policy`). Guards may be named in any order, since a request has to
pass all of them; where the order decides what happens to a request that passes, another one than ours is a problem.

Source: traefik 3.7 pkg/middlewares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lbgen.labels.context import Provider
from lbgen.labels.definitions import Definitions
from lbgen.labels.foreign_options import Options
from lbgen.labels.match import All, Alternative, Not, Test
from lbgen.labels.route_spec import Denial, about
from lbgen.labels.traefik import headers
from lbgen.labels.traefik.limits import rate, stricter
from lbgen.labels.traefik.lookup import Names
from lbgen.labels.traefik.middleware_options import ENCODED
from lbgen.labels.traefik.pages import error_pages
from lbgen.labels.traefik.redirects import by_regex, checked_substitution, to_https, to_scheme, whole_redirect
from lbgen.labels.values.networks import in_both
from lbgen.labels.values.references import USUAL_PORTS
from lbgen.labels.values.substitution import UrlRedirect, path_from
from lbgen.labels.values.users import IN_LABEL, LabelUsers, hashed_users
from lbgen.labels.values.value_type import BadValue

_PATHS = "a path is stripped, then replaced, then put behind a prefix"
_AS_SENT = "redirects go by the URL as the client sent it"
# (what stands first, what follows) -> why that is another way round here.
_TURNED: Mapping[tuple[str, str], str] = {
    ("password", "cors"): "browsers ask without a password whether a page may use the answers",
    ("login", "cors"): "browsers ask without a cookie whether a page may use the answers",
    ("redirect", "login"): "the login service is asked before a redirect is answered",
    **{
        (first, "login"): "the login service is told of the URL as the client sent it"
        for first in ("host", "strip", "replace", "add")
    },
    ("redirect", "password"): "the password is asked for before a redirect is answered",
    **{(first, then): _AS_SENT for first in ("host", "strip", "replace", "add") for then in ("https", "redirect")},
    ("replace", "strip"): _PATHS,
    ("add", "strip"): _PATHS,
    ("add", "replace"): _PATHS,
}
_BAD_HOST = 500  # what Traefik answers to a host that headers.allowedHosts does not name
_ONCE = {"password", "login", "cors", "strip", "replace"}


@dataclass(slots=True)
class Effects:
    """What the middlewares so far come to."""

    options: Options  # what is wrong with the middlewares, and which labels set the fields
    names: Names = field(default_factory=lambda: Names("", Definitions()))
    provider: Provider = field(default_factory=Provider)
    alternatives: tuple[Alternative, ...] = ()  # what the route matches
    fields: dict[str, Any] = field(default_factory=dict)
    # By provider and name: a middleware counts once, however many chains lead to it.
    seen: set[tuple[str, str]] = field(default_factory=set)
    stages: list[str] = field(default_factory=list)
    users: LabelUsers | None = None  # whom a basicauth lets in, if its label says it
    denials: list[Denial] = field(default_factory=list)
    whole: dict[str, object] = field(default_factory=dict)  # the first redirect, if it is one of all requests

    def enter(self, stage: str) -> None:
        """Go on to something of which the order matters.

        Raises:
            BadValue: it comes before what is already there, or there can be one of it.
        """
        if stage in _ONCE and stage in self.stages:
            raise BadValue("is the second middleware of its kind, and here there is one", "make one of the two")
        for first in self.stages:
            if (first, stage) in _TURNED:
                raise BadValue(
                    f"stands after a middleware that comes later here: {_TURNED[first, stage]}",
                    "name it earlier in the list, if that does as well",
                )
        self.stages.append(stage)


def _needed(options: Mapping[str, Any], key: str, message: str, remedy: str) -> Any:
    """Return an option that a middleware cannot do without."""
    if key not in options:
        raise BadValue(message, remedy)
    return options[key]


def _add_prefix(effects: Effects, options: Mapping[str, Any]) -> None:
    prefix = _needed(options, "_prefix", "has no prefix", "add addprefix.prefix")
    effects.enter("add")
    effects.fields["add_prefix"] = prefix.rstrip("/") + effects.fields.get("add_prefix", "")


def _basic_auth(effects: Effects, options: Mapping[str, Any]) -> None:
    file, said, definition = options.get("_file", ""), options.get("_users"), options["_definition"]
    name = definition.element.name
    users = None
    if said and file:
        raise BadValue("has users in the label and in a file", "put all of them into one of the two", "_users")
    if said and name in effects.provider.users_files:
        file = name
    elif said:
        service, label = definition.service, options["_labels"]["_users"].label
        users = LabelUsers(f"{IN_LABEL}{service}.{name}", about("_users", hashed_users, said), service, label)
        file = users.name
    if not file:
        raise BadValue("has no users", "add basicauth.usersfile, or basicauth.users")
    effects.enter("password")
    effects.users = users
    effects.fields["basic_auth"] = file
    if options.get("_remove"):
        effects.fields["request_header"] = effects.fields.get("request_header", {}) | {"authorization": ""}


def _buffering(effects: Effects, options: Mapping[str, Any]) -> None:
    if size := options.get("_size"):
        effects.fields["max_body"] = min(size, effects.fields.get("max_body", size))


def _compress(effects: Effects, options: Mapping[str, Any]) -> None:
    if options.get("_wanted", True):
        effects.fields["compress"] = True


def _encoded_characters(effects: Effects, options: Mapping[str, Any]) -> None:
    refused = [code for name, code in ENCODED.items() if not options.get(name)]
    if refused:
        effects.denials.append(Denial(Test("path_regex", "|".join(refused)), 400))


def _errors(effects: Effects, options: Mapping[str, Any]) -> None:
    before, labels = effects.fields.get("error_pages", {}), options["_labels"]
    try:
        pages = error_pages(effects.names, options["_definition"].provider, options, before)
    except BadValue as bad:
        label = labels.get(bad.key) or next(iter(labels.values()), None)
        if label is None:  # what there is, is told of already
            return
        message = f"{bad.message}; so errors stay as they are"
        effects.options.leave(label, BadValue(message, bad.remedy))
    else:
        effects.fields["error_pages"] = {**before, **pages}


def _forward_auth(effects: Effects, options: Mapping[str, Any]) -> None:
    url = _needed(options, "_url", "has no address", "add forwardauth.address")
    effects.enter("login")
    # Of a service Traefik asks the scheme's port, whichever one the service says it has.
    effects.fields["forward_auth"] = url if url.port else replace(url, port=USUAL_PORTS[url.scheme])
    effects.fields["forward_auth_response_headers"] = options.get("_headers", ())
    effects.fields["forward_auth_cookies"] = options.get("_cookies", ())
    effects.fields["forward_auth_trust"] = options.get("_trust", False)


def _headers(effects: Effects, options: Mapping[str, Any]) -> None:
    if "_hosts" in options and not options.get("_development"):
        others = All(tuple(Not(Test("host", name)) for name in options["_hosts"]))
        effects.denials.append(Denial(others, _BAD_HOST))
    cors, host = headers.cors(options), headers.host(options)
    if cors:
        effects.enter("cors")
    if host:
        effects.enter("host")
        effects.fields["host_header"] = host
    effects.fields |= cors
    # Of several middlewares the last one has the last word on requests, and the first one on answers.
    requests, answers = headers.request_headers(options), headers.response_headers(options)
    effects.fields["request_header"] = effects.fields.get("request_header", {}) | requests
    effects.fields["response_header"] = answers | effects.fields.get("response_header", {})
    hsts = headers.hsts(options)
    if hsts and "strict-transport-security" not in effects.fields["response_header"]:
        effects.fields.setdefault("hsts", hsts)


def _ip_allow_list(effects: Effects, options: Mapping[str, Any]) -> None:
    networks = _needed(options, "_networks", "lets nobody in", "add sourcerange")
    before = effects.fields.get("allow_ip")
    allowed = networks if before is None else in_both(before, networks)
    if not allowed:
        raise BadValue("lets in nobody that the others let in", "remove one of them")
    status = options.get("_status", 403)
    if effects.fields.setdefault("allow_ip_status", status) != status:
        raise BadValue("refuses with another status than the others", "give all of them the same rejectStatusCode")
    effects.fields["allow_ip"] = allowed


def _rate_limit(effects: Effects, options: Mapping[str, Any]) -> None:
    average, period = options.get("_average", 0), options.get("_period") or 1.0
    if not average:  # no limit
        return
    effects.enter("rate")
    limit = (rate(average, period), max(options.get("_burst", 1), 1) - 1)  # Traefik counts the first one too
    if before := effects.fields.get("rate_limit"):
        limit = stricter(limit, (before, effects.fields["rate_limit_burst"]))
    effects.fields["rate_limit"], effects.fields["rate_limit_burst"] = limit


def _in_flight(effects: Effects, options: Mapping[str, Any]) -> None:
    amount = _needed(options, "_amount", "lets nothing through", "add an amount")
    effects.enter("concurrency")
    counted = "client" if options.get("_by_client") else "host"
    if effects.fields.setdefault("max_concurrent_by", counted) != counted:
        raise BadValue("counts otherwise than the one before it", "count both by host, or both by client")
    effects.fields["max_concurrent"] = min(amount, effects.fields.get("max_concurrent", amount))


def _in_flight_of_tcp(effects: Effects, options: Mapping[str, Any]) -> None:
    _in_flight(effects, {**options, "_by_client": True})


def _redirect_scheme(effects: Effects, options: Mapping[str, Any]) -> None:
    redirect = to_scheme(options)
    if redirect is None and "redirect" not in effects.stages:
        effects.enter("https")
        effects.fields |= {"redirect_https": True, "redirect_https_port": 443}
    else:
        _redirect(effects, redirect or to_https(options))


def _redirect_regex(effects: Effects, options: Mapping[str, Any]) -> None:
    redirect = by_regex(options)
    if "redirect" not in effects.stages:
        effects.whole = whole_redirect(options, effects.alternatives)
    _redirect(effects, redirect)


def _redirect(effects: Effects, redirect: UrlRedirect) -> None:
    effects.enter("redirect")
    effects.fields["redirect_regex"] = (*effects.fields.get("redirect_regex", ()), redirect)


def _replace_path(effects: Effects, options: Mapping[str, Any]) -> None:
    path = _needed(options, "_path", "has no path", "add replacepath.path")
    effects.enter("replace")
    effects.fields["replace_path"] = path


def _replace_path_regex(effects: Effects, options: Mapping[str, Any]) -> None:
    lacks = "lacks the expression or the path", "add replacepathregex.regex and .replacement"
    expression, path = (_needed(options, key, *lacks) for key in ("_regex", "_replacement"))
    effects.enter("replace")
    effects.fields["replace_path_regex"] = checked_substitution(path_from, expression, path)


def _strip_prefix(effects: Effects, options: Mapping[str, Any]) -> None:
    prefixes = _needed(options, "_prefixes", "strips nothing", "add the prefixes")
    effects.enter("strip")
    effects.fields["strip_prefix_regex"] = prefixes


def _retry(effects: Effects, options: Mapping[str, Any]) -> None:
    if "_attempts" in options:
        effects.fields["retries"] = options["_attempts"] - 1  # Traefik counts the first one too


def _nothing(effects: Effects, options: Mapping[str, Any]) -> None:
    """Kinds that are left out."""


# Given the middleware's options, what defines it as _definition, and which label set which option as _labels.
Effect = Callable[[Effects, Mapping[str, Any]], None]
EFFECTS: Mapping[str, Effect] = {
    "addprefix": _add_prefix,
    "basicauth": _basic_auth,
    "buffering": _buffering,
    "circuitbreaker": _nothing,
    "compress": _compress,
    "contenttype": _nothing,
    "encodedcharacters": _encoded_characters,
    "errors": _errors,
    "forwardauth": _forward_auth,
    "grpcweb": _nothing,
    "headers": _headers,
    "inflightconn": _in_flight_of_tcp,
    "inflightreq": _in_flight,
    "ipallowlist": _ip_allow_list,
    "ipwhitelist": _ip_allow_list,
    "passtlsclientcert": _nothing,
    "ratelimit": _rate_limit,
    "redirectregex": _redirect_regex,
    "redirectscheme": _redirect_scheme,
    "replacepath": _replace_path,
    "replacepathregex": _replace_path_regex,
    "retry": _retry,
    "stripprefix": _strip_prefix,
    "stripprefixregex": _strip_prefix,
}
