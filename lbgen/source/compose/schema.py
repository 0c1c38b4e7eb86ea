"""The Compose file format as `docker stack deploy` reads it: version 3, in all its minor versions.

What a later minor version added says so by `from_version`. What Docker Compose takes and `docker stack deploy` refuses
is told apart from mistakes where its meaning is plain. `service_schema` has what a service may hold.
Source: docker/cli, cli/compose/schema/data/config_schema_v3.*.json (3.0 to 3.13).
"""

from __future__ import annotations

from lbgen.source.compose.schema_types import (
    BOOLEAN,
    NAMES,
    OPTIONS,
    PAIRS,
    TEXT,
    Shape,
    compose_only,
)
from lbgen.source.compose.service_schema import SERVICE

NEWEST = 13  # what a file without a version is read as, and one that says just "3"

_EXTERNAL = Shape(("boolean", "mapping"), {"name": TEXT})
_SUBNET = Shape(("mapping",), {"subnet": TEXT}, compose_keys=compose_only("gateway", "ip_range", "aux_addresses"))
_IPAM = {"driver": TEXT, "config": Shape(("list",), items=_SUBNET)}

_NETWORK = Shape(
    ("mapping", "null"),
    {
        "name": TEXT.from_version(5),
        "driver": TEXT,
        "driver_opts": OPTIONS,
        "ipam": Shape(("mapping",), _IPAM, compose_keys=compose_only("options")),
        "external": _EXTERNAL,
        "internal": BOOLEAN,
        "attachable": BOOLEAN.from_version(2),
        "labels": PAIRS,
    },
    extensible=7,
    compose_keys=compose_only("enable_ipv4", "enable_ipv6"),
)
_VOLUME = Shape(
    ("mapping", "null"),
    {"name": TEXT.from_version(4), "driver": TEXT, "driver_opts": OPTIONS, "external": _EXTERNAL, "labels": PAIRS},
    extensible=7,
)
_CONFIG = {
    "name": TEXT.from_version(5),
    "file": TEXT,
    "external": Shape(("boolean", "mapping"), {"name": TEXT}, open=True),
    "labels": PAIRS,
    "template_driver": TEXT.from_version(8),
}
_SECRET = _CONFIG | {"driver": TEXT.from_version(8), "driver_opts": OPTIONS.from_version(8)}


def _files(keys: dict[str, Shape], since: int) -> Shape:
    each = Shape(("mapping",), keys, extensible=7, compose_keys=compose_only("content", "environment"))
    return Shape(("mapping",), names=NAMES, each=each, since=since)


FILE = Shape(
    ("mapping",),
    {
        "version": Shape(("text",), compose=dict.fromkeys(("integer", "number"), "put it into quotes")),
        "services": Shape(("mapping",), names=NAMES, each=SERVICE),
        "networks": Shape(("mapping",), names=NAMES, each=_NETWORK, open=True),
        "volumes": Shape(("mapping",), names=NAMES, each=_VOLUME),
        "secrets": _files(_SECRET, 1),
        "configs": _files(_CONFIG, 3),
    },
    extensible=4,
    compose_keys=compose_only("models") | {"name": "give the stack's name on the command line"},
)
