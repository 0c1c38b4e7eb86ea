"""docs/labels.md is what the table of keys says, and its examples work: each key's, and the worked ones.

They are routed without a problem, all proxies' templates render them, and the proxies' own programs accept the result.
"""

from __future__ import annotations

import re
from functools import cache

import pytest
import yaml

from lbgen.daemon import assembly
from lbgen.labels.keys.table import KEYS
from lbgen.model import Model, build
from lbgen.proxies.kind import NO
from lbgen.render.renderer import Renderer
from lbgen.report.limits import limits
from lbgen.settings import Settings, TargetSettings
from lbgen.snapshot import Snapshot
from scripts.reference.label_examples import EXAMPLES
from scripts.reference.labels import THEMES, document, theme_of
from tests.support.builders import a_network, a_node, a_service, a_snapshot, a_task, host_port, ingress
from tests.support.certificates import certificate
from tests.support.paths import ROOT
from tests.support.running import PROXIES

SETTINGS = Settings.model_validate(
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
    "redirect-https.port": {"redirect-https": "true"},
    "rate-limit.burst": {"rate-limit": "100/s"},
    "client-ca.headers": {"client-ca": "partners", "host": "shop.example.org"},
    "server-ca": {"scheme": "https", "host": "shop.example.org"},
    "server-name": {"scheme": "https"},
    "max-concurrent.by": {"max-concurrent": 20},
    "health-check.port": {"via": "task"},
    **{f"sticky.{name}": {"sticky": "cookie"} for name in ("secure", "same-site", "http-only", "max-age")},
    "allow-ip.status": {"allow-ip": "192.0.2.0/24"},
    "forward-auth.response-headers": {"forward-auth": "http://web:8080/"},
    "forward-auth.cookies": {"forward-auth": "http://web:8080/"},
    "forward-auth.trust": {"forward-auth": "http://web:8080/"},
    "mirror.percent": {"mirror": "shop-next"},
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
    return assembly.Assembly("edge", TargetSettings(templates=[proxy]), SETTINGS).renderer()


def asking(field: str) -> tuple[Model, Snapshot]:
    """The model of a service with the key's example."""
    key = KEYS[field]
    name, value = re.sub("<[a-z]+>", key.member, key.name), key.sample
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
    login = a_service("authelia", labels={}, networks=("edge-id",))  # that forward-auth names; it does not take part
    copied = a_service("shop-next", labels={"lbgen.port": "8080"}, networks=("edge-id",))  # that mirror names, likewise
    tasks = [a_task(addresses={"edge-id": "10.0.0.1"}), a_task("shop-next", addresses={"edge-id": "10.0.0.2"})]
    snapshot = a_snapshot(node, a_network("edge"), service, login, copied, *tasks)
    return build(snapshot, SETTINGS.rules()), snapshot


@pytest.mark.parametrize("field", sorted(KEYS))
def test_example(field):
    """No problem, one route, and every built-in set of templates takes it."""
    model, snapshot = asking(field)
    assert model.problems == ()
    assert len(model.routes) == 1
    for proxy in ("haproxy", "nginx", "traefik"):
        assert renderer(proxy).render(model, snapshot).texts


# ------------------------------------------------------------------------------------------------ the document

DOCUMENT = ROOT / "docs" / "labels.md"
# What is said in YAML of the examples, service by service, and the listeners that they are shown with.
LISTENERS, *WRITTEN = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", document(), re.DOTALL))


def test_document_is_current():
    """docs/labels.md is what the table and the examples say: `python -m scripts.reference.labels > docs/labels.md`."""
    assert DOCUMENT.read_text() == document()


def test_themes():
    """Every key has a row, in one chapter, and every chapter names keys that there are."""
    rows = re.findall(r"^\| `([^`]+)` \|", document(), re.MULTILINE)
    assert sorted(rows) == sorted(key.name for key in KEYS.values())
    stems = {key.name.partition(".")[0] for key in KEYS.values()}
    for theme in THEMES:
        assert set(theme.keys) <= stems, theme.title
    assert sum(len(set(theme.keys)) for theme in THEMES) == len({stem for theme in THEMES for stem in theme.keys})
    assert all(theme_of(field) in THEMES for field in KEYS)


def test_examples_as_they_are_written():
    """The YAML of an example is read back as the very labels."""
    read = [{name: service["deploy"]["labels"] for name, service in found["services"].items()} for found in WRITTEN]
    assert read == [
        {
            name: {"lbgen.enable": "true", **{f"lbgen.{key}": value for key, value in labels.items()}}
            for name, labels in example.services.items()
        }
        for example in EXAMPLES
    ]


# ------------------------------------------------------------------------------------------------ the worked examples


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Settings:
    """The settings that the examples are shown with, and the files that they name."""
    home = tmp_path_factory.mktemp("named")
    for name in ("certificates", "users", "client_cas"):
        (home / name).mkdir()
    certificate(home / "certificates" / "default.pem", "example.org")
    certificate(home / "client_cas" / "partners.pem", "partners")
    (home / "users" / "staff").write_text("ada:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n")
    directories = {name: home / name for name in ("certificates", "users", "client_cas")}
    return Settings.model_validate(LISTENERS | directories)


def cluster() -> Snapshot:
    """All services of all examples, the first of each the oldest."""
    facts = [a_node(), a_network("edge")]
    labels = [(name, labels) for found in WRITTEN for name, labels in found["services"].items()]
    for number, (name, service) in enumerate(labels, 1):
        created = f"2026-11-22T10:{number:02}:00Z"
        own = service["deploy"]["labels"]
        facts.append(a_service(name, labels=own, networks=("edge-id",), created_at=created))
        facts.append(a_task(name, addresses={"edge-id": f"10.0.0.{number}"}))
    return a_snapshot(*facts)


def test_worked_examples(shown):
    """No problem, and every service has its requests or its share of them."""
    model = build(cluster(), shown.rules())
    assert model.problems == ()
    served = {server.name.partition(".")[0] for server in model.servers}
    assert served == {name for example in EXAMPLES for name in example.services}
    shares = {server.name: server.weight for server in model.servers if "shop" in server.name}
    assert shares["shop.1"] == pytest.approx(9 * shares["shop-canary.1"], rel=0.05)


@pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])
def test_worked_examples_are_accepted(shown, proxy, tmp_path):
    """The proxy's own program accepts them all; what it cannot do at all is said beside the example."""
    target = TargetSettings(templates=[proxy], output=tmp_path)
    snapshot, made = cluster(), assembly.Assembly("edge", target, shown).renderer()
    model = build(snapshot, shown.rules())
    assembly.Assembly("edge", target, shown).preview_checker()(made.render(model, snapshot))
    cannot = {
        limit.service for limit in limits(model, snapshot, "edge", proxy, made.target.version) if limit.level == NO
    }
    told = {name for example in EXAMPLES for name in example.services if "proxies.md" in example.text}
    assert cannot <= told
