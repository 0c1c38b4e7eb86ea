"""Which settings a hub may hand to an edge, and how they lie under the edge's own. Pure.

A setting is handed out only if a row here allows it: a setting that is new is forbidden until somebody has thought
about it. None of the rows names a file, a program, a socket, an address of lbgen's own or a place to write to, and
none takes away what the edge's owner holds against the facts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

from lbgen.base.errors import SettingsError

Accept = Literal["templates", "discovery", "listeners", "claims"]
TEMPLATES: Accept = "templates"  # no setting: the template sets that come along

# What an edge's `accept` may name -> the settings that this accepts; * stands for any name, or any entry of a list.
# Where a setting has a short form (`tls: true`), the section itself is a row too.
SETTINGS: Mapping[Accept, frozenset[str]] = {
    "templates": frozenset(),
    "discovery": frozenset(
        {
            "discovery.expose_by_default",
            "discovery.dialects",
            "discovery.via",
            "discovery.networks",
            "discovery.nodes",
            "discovery.node_cidrs",
            "discovery.drain_grace",
            "discovery.dockerflow.via",
            "discovery.traefik.via",
            "discovery.traefik.default_rule",
            "discovery.traefik.rule_syntax",
            "discovery.traefik.constraints",
        }
    ),
    "listeners": frozenset(
        {
            "default_listeners",
            "listeners.*.bind",
            "listeners.*.protocol",
            "listeners.*.tls",
            "listeners.*.tls.minimum",
            "listeners.*.tls.strict_sni",
            "listeners.*.tls.http3",
            "listeners.*.access_log",
            "listeners.*.access_log.format",  # and not `to`: the proxy would write wherever it says
            "listeners.*.encoded_slashes",
            "listeners.*.max_headers",
            "listeners.*.public_port",
            "listeners.*.trusted_proxies",
            "listeners.*.hello_timeout",
            "listeners.*.redirect",
            "listeners.*.redirect.to",
            "listeners.*.redirect.scheme",
            "listeners.*.redirect.permanent",
            "listeners.*.redirect.priority",
            "listeners.*.proxy_protocol",
        }
    ),
    # They only take away, and an edge that has claims of its own keeps to those.
    "claims": frozenset(
        {
            "claims.*.services",
            "claims.*.hosts",
            "claims.*.listeners",
            "claims.*.ports",
            "claims.*.keys",
            "claims.*.deny_keys",
            "claims.*.groups",
            "claims.*.logins",
        }
    ),
}
ALLOWED: Mapping[str, Accept] = {row: word for word, rows in SETTINGS.items() for row in rows}
_SECTIONS = {row[:end]: word for row, word in ALLOWED.items() for end in range(len(row)) if row[end] == "."}
_WORDS = {**_SECTIONS, **ALLOWED}  # an empty section says something as well: that there is nothing in it


def forbidden(fragment: Mapping[str, object]) -> list[str]:
    """Return the keys of handed-out settings that no hub may set, as the file has them: ``targets.edge.binary``."""
    return [key for key, row in _rows(fragment) if row not in _WORDS]


def refuse(fragment: Mapping[str, object], accept: Collection[str]) -> None:
    """Check handed-out settings against what an edge accepts.

    Raises:
        SettingsError: names each key that may not be set, and what to do.
    """
    if keys := forbidden(fragment):
        raise SettingsError(f"a hub never sets {', '.join(keys)}: remove this from the settings that it hands out")
    if words := {key: _WORDS[row] for key, row in _rows(fragment) if _WORDS[row] not in accept}:
        wanted = ", ".join(sorted({*words.values()}))
        raise SettingsError(
            f"this edge does not accept {', '.join(words)}: hand out less, or add {wanted} to source.hub.accept in the "
            "edge's own settings"
        )


def lay_under(fragment: Mapping[str, object], own: Mapping[str, object]) -> dict[str, Any]:
    """Return an edge's own settings with handed-out ones where its own say nothing: the own ones always win.

    Sections and listeners are merged key by key; a list, a short form or a value is taken whole.
    """
    merged = dict(fragment)
    for key, value in own.items():
        handed = merged.get(key)
        both = isinstance(handed, Mapping) and isinstance(value, Mapping)
        merged[key] = lay_under(handed, value) if both else value  # type: ignore[arg-type]
    return merged


def _rows(value: object, key: str = "", row: str = "") -> Iterator[tuple[str, str]]:
    """Yield every key that has a value of its own, and the row that would allow it."""
    items: list[tuple[str, object]]
    if isinstance(value, Mapping) and value:
        items = [(str(name), each) for name, each in value.items()]
    elif isinstance(value, list) and any(isinstance(each, Mapping | list) for each in value):
        items = [(str(number), each) for number, each in enumerate(value)]
    else:
        if key:
            yield key, row
        return
    named = row in ("listeners", "claims")
    for name, each in items:
        part = "*" if named or isinstance(value, list) else name
        yield from _rows(each, f"{key}.{name}".lstrip("."), f"{row}.{part}".lstrip("."))
