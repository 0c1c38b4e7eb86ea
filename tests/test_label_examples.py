"""The example of every label key, as docs/labels.md shows it: it is taken, and all proxies' templates render it."""

from __future__ import annotations

from functools import cache

import pytest

from lbgen import config, wiring
from lbgen.labels.keys import KEYS
from lbgen.model import Model, build
from lbgen.render import Renderer
from lbgen.snapshot import Snapshot
from tests.builders import a_network, a_node, a_service, a_snapshot, a_task, host_port, ingress

SETTINGS = config.Settings.model_validate(
    {
        "listeners": {
            "web": {"bind": ":80"},
            "websecure": {"bind": ":443", "tls": True},
            "pg": {"bind": ":5432", "protocol": "tcp"},
            "dns": {"bind": ":53", "protocol": "udp"},
        },
        "default_listeners": ["web", "pg", "dns"],
    }
)
# What a key cannot do without.
BESIDE = {
    "published-port": {"via": "mesh"},
    "nodes": {"via": "mesh"},
    "mesh-nodes": {"via": "mesh"},
    "redirect.code": {"redirect": "/new"},
    "rate-limit.burst": {"rate-limit": "100/s"},
    "max-concurrent.by": {"max-concurrent": 20},
    "tls": {"host": "shop.example.org"},
    "client-ca": {"host": "shop.example.org"},
    "cors.methods": {"cors.origins": "https://shop.example.org"},
    "cors.headers": {"cors.origins": "https://shop.example.org"},
    "cors.max-age": {"cors.origins": "https://shop.example.org"},
    "cors.credentials": {"cors.origins": "https://shop.example.org"},
}


@cache
def renderer(proxy: str) -> Renderer:
    """One for all examples."""
    return wiring.renderer_of("edge", config.Target(templates=[proxy]), SETTINGS)


def asking(field: str) -> tuple[Model, Snapshot]:
    """The model of a service with the key's example."""
    key = KEYS[field]
    member, _, value = key.example.partition("=") if key.family else ("", "", key.example)
    name = key.name.replace("<name>", member)
    protocol = key.protocols[0]
    labels = {"port": 8080, **BESIDE.get(key.name, {}), name: value}
    if name in ("port", "published-port"):
        labels.setdefault("port", 8080)
    prefix = "" if protocol == "http" else f"{protocol}.x."
    service = a_service(
        keys={prefix + label: text for label, text in labels.items()},
        networks=("edge-id",),
        ports=(ingress(8080, 8080), host_port(8080, 8080)),
    )
    node = a_node(labels={"zone": "eu"})
    snapshot = a_snapshot(node, a_network("edge"), service, a_task(addresses={"edge-id": "10.0.0.1"}))
    return build(snapshot, SETTINGS.rules()), snapshot


@pytest.mark.parametrize("field", sorted(KEYS))
def test_example(field):
    """No problem, one route, and every built-in set of templates takes it."""
    model, snapshot = asking(field)
    assert model.problems == ()
    assert len(model.routes) == 1
    for proxy in ("haproxy", "nginx", "traefik"):
        assert renderer(proxy).render(model, snapshot).texts
