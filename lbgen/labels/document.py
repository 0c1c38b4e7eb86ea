"""``python -m lbgen.labels.document`` prints docs/labels.md, made from the table of keys."""

from __future__ import annotations

from dataclasses import MISSING

from lbgen.labels.keys import FIELDS, KEYS
from lbgen.labels.values import spell_duration

_HEAD = """\
# Labels

<!-- Made from the table of keys by `python -m lbgen.labels.document`. -->

Labels are those of the service (`docker service create --label`, `deploy.labels` in a stack file), not of its
containers. `lbgen.enable=true` makes a service take part. `lbgen.<key>` holds for every route of the service;
`lbgen.http.<route>.<key>` and `lbgen.tcp.<route>.<key>` make named routes, whose own keys win. Without a named route
the short keys make one HTTP route. Keys are lower case; lists are separated by commas; durations are `500ms`, `2s`,
`1m`; sizes are `64k`, `10m`, `1g`.

Matching keys are ANDed, the values of one key ORed. A request takes the matching route with the highest `priority`;
without one, the longer match counts as the higher: the lengths of all that it names added (hosts, paths, methods,
headers, parameters and their values; TLS server names). At the same length a match on more than host and path goes
first, then the exact host, the exact path, and the older service. Two routes that ask for exactly the same are a
conflict: the older service keeps it, the newer is told.

A route with any problem in its own keys, or in a short key it inherits, is dropped and reported; the service's other
routes, and all other services, go on.

| key | routes | default | example | meaning |
| --- | --- | --- | --- | --- |
| `enable` | | setting `discovery.expose_by_default` | `true` | Take part: `true` or `false` |
"""

_TAIL = """
A node may carry one label of its own: `lbgen.address`, the address that reaches it, where the one Swarm knows does not.
"""


def document() -> str:
    """Return docs/labels.md."""
    rows = []
    for name, row in KEYS.items():
        default = FIELDS[name].default
        shown = "" if default in (None, MISSING, (), "") else f"`{_spelt(default)}`"
        example = row.example.partition("=")[2] if row.family else row.example
        example = f"`` {example} ``" if "`" in example else f"`{example}`"
        rows.append(f"| `{row.name}` | {', '.join(row.protocols)} | {shown} | {example} | {row.doc} |")
    return _HEAD + "\n".join(rows) + "\n" + _TAIL


def _spelt(default: object) -> str:
    """Write a default as a label would."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return spell_duration(default)
    if isinstance(default, tuple):
        return ",".join("-".join(map(str, item)) if isinstance(item, tuple) else str(item) for item in default)
    return str(default)


if __name__ == "__main__":
    print(document(), end="")
