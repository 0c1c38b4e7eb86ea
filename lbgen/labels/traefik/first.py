"""Labels of Traefik 1, which later ones leave unread: what to write in their place.

Source: traefik 1.7 docs/content/configuration/backends/docker.md, rules in docs/basics.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lbgen.base.problem import printable
from lbgen.labels.foreign_options import Written
from lbgen.labels.values.value_type import BadValue

# The words that its labels begin with, after those of a segment: traefik.web.frontend.rule.
_WORDS = ("frontend", "backend", "port", "protocol", "weight", "servicename", "domain", "tags")
_GUARDS = ("frontend.auth.", "frontend.whitelist", "frontend.ratelimit", "frontend.passtlsclientcert")
_MATCHERS = {"Host": "Host", "PathPrefix": "PathPrefix", "PathPrefixStrip": "PathPrefix", "Path": "Path"}
_PLAIN = re.compile(r"[A-Za-z0-9._/~-]+")
_ROUTER, _SERVICE, _MIDDLEWARE = (f"traefik.http.{kind}.{{name}}" for kind in ("routers", "services", "middlewares"))
# What a label became -> what stands in its place; {value} is the label's.
_INSTEAD: Mapping[str, str] = {
    "port": f"{_SERVICE}.loadbalancer.server.port={{value}}",
    "protocol": f"{_SERVICE}.loadbalancer.server.scheme={{value}}",
    "weight": f"{_SERVICE}.loadbalancer.server.weight={{value}}",
    "backend": f"{_ROUTER}.service={{name}}, if the service has several",
    "backend.healthcheck.path": f"{_SERVICE}.loadbalancer.healthcheck.path={{value}}",
    "backend.healthcheck.interval": f"{_SERVICE}.loadbalancer.healthcheck.interval={{value}}",
    "backend.loadbalancer.stickiness": f"{_SERVICE}.loadbalancer.sticky.cookie={{value}}",
    "backend.loadbalancer.sticky": f"{_SERVICE}.loadbalancer.sticky.cookie={{value}}",
    "backend.loadbalancer.stickiness.cookiename": f"{_SERVICE}.loadbalancer.sticky.cookie.name={{value}}",
    "frontend.entrypoints": f"{_ROUTER}.entrypoints={{value}}",
    "frontend.passhostheader": f"{_SERVICE}.loadbalancer.passhostheader={{value}}",
    "frontend.priority": f"{_ROUTER}.priority={{value}}",
    "frontend.auth.basic": f"{_MIDDLEWARE}.basicauth.users=... and {_ROUTER}.middlewares={{name}}",
    "frontend.auth.basic.users": f"{_MIDDLEWARE}.basicauth.users=... and {_ROUTER}.middlewares={{name}}",
    "frontend.auth.forward.address": f"{_MIDDLEWARE}.forwardauth.address=... and {_ROUTER}.middlewares={{name}}",
    "frontend.redirect.entrypoint": f"{_MIDDLEWARE}.redirectscheme.scheme=https and {_ROUTER}.middlewares={{name}}",
    "frontend.redirect.regex": f"{_MIDDLEWARE}.redirectregex.regex={{value}} and {_ROUTER}.middlewares={{name}}",
    "frontend.redirect.replacement": f"{_MIDDLEWARE}.redirectregex.replacement={{value}}",
    "frontend.whitelist.sourcerange": (
        f"{_MIDDLEWARE}.ipallowlist.sourcerange={{value}} and {_ROUTER}.middlewares={{name}}"
    ),
}


def is_first(label: str) -> bool:
    """Tell whether a label of Traefik's is one of version 1."""
    return bool(_option(label))


def guards(label: str) -> bool:
    """Tell whether such a label was to keep requests from the application."""
    return f"{_option(label)}.".startswith(_GUARDS)


def advice(service: str, written: Written) -> BadValue:
    """Return what is wrong with a label of Traefik 1, and what to write."""
    option = _option(written.label)
    words = written.label.lower().split(".")[1:]
    name = words[0] if words[0] not in _WORDS else re.sub(r"[^a-z0-9]+", "-", service.lower()).strip("-") or "app"
    value = "..." if guards(written.label) and "sourcerange" not in option else printable(written.value.strip())
    if option == "frontend.rule":
        instead = _rule(written.value, name)
    elif option in _INSTEAD:
        instead = _INSTEAD[option].format(name=name, value=value)
    else:
        instead = f"traefik.http.routers.{name}.rule, .middlewares and so on"
    return BadValue("is a label of Traefik 1, which means nothing since Traefik 2", f"write {instead}")


def _option(label: str) -> str:
    """Return what a label says, without its segment: "frontend.rule"; empty: it is none of Traefik 1."""
    words = label.lower().split(".")[1:]
    if words[0] not in _WORDS:
        words = words[1:] if len(words) > 1 and words[0] not in ("http", "tcp", "udp", "tls") else []
    return ".".join(words) if words and words[0] in _WORDS else ""


def _rule(text: str, name: str) -> str:
    """Return the labels for a rule such as ``Host:a.org,b.org;PathPrefix:/x``."""
    terms, strip = [], ""
    for part in filter(None, map(str.strip, text.split(";"))):
        matcher, _, values = part.partition(":")
        items = [item.strip() for item in values.split(",")]
        known = _MATCHERS.get(matcher.strip())
        if not known or not all(map(_PLAIN.fullmatch, items)):
            return f"traefik.http.routers.{name}.rule in the form Host(`a.org`) && PathPrefix(`/x`)"
        terms.append([f"{known}(`{item}`)" for item in items])
        strip = strip or (",".join(items) if matcher.strip() == "PathPrefixStrip" else "")
    several = len(terms) > 1
    rule = " && ".join(f"({' || '.join(term)})" if several and len(term) > 1 else " || ".join(term) for term in terms)
    label = f"traefik.http.routers.{name}.rule={rule}"
    if not strip:
        return label
    middleware = f"traefik.http.middlewares.{name}.stripprefix.prefixes={strip}"
    return f"{label}, {middleware} and traefik.http.routers.{name}.middlewares={name}"
