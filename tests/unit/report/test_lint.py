"""`lbgen lint` and the table of capabilities: what a proxy cannot do is said before anybody relies on it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result

from lbgen.labels.keys.table import KEYS
from lbgen.model import AccessLog, build
from lbgen.proxies import capabilities, registry
from lbgen.proxies.capabilities import PROXIES, TABLE, Capability
from lbgen.proxies.kind import NO, PARTLY, YES, Support
from lbgen.report.limits import Limit, limits
from lbgen.source.file import write_snapshot
from scripts.reference import proxies
from tests.support.builders import a_listener, a_network, a_node, a_rules, a_service, a_snapshot, a_task, ingress
from tests.support.command import run
from tests.support.paths import ROOT

DOCS = ROOT / "docs"
PLACE = re.compile(r"^\S+:[0-9]+: ", re.MULTILINE)  # FILE:LINE, where editors jump to
SNAPSHOT = ROOT / "examples" / "snapshot.yml"
EVERYTHING = {
    "http.a.host": "a.org",
    "http.a.balance": "random",
    "http.a.sticky": "cookie",
    "http.a.listener": "web,websecure,quic,told",
    "http.a.max-conn": "5",
    "http.a.health-check.path": "/up",
    "http.a.health-check.status": "200",
    "http.a.health-check.method": "HEAD",
    "http.a.health-check.rise": "3",
    "http.a.health-check.header.x-probe": "lbgen",
    "http.b.host": "b.org",
    "http.b.balance": "least-conn",
    "http.b.weight": "0",
    "http.c.host": "c.org",
    "http.c.balance": "source",
    "http.d.host": "d.org",
    "http.d.redirect": "/x",
    "http.d.redirect.code": "307",
    "http.q.rule": "QueryRegexp(`a`, `b`)",
    "http.u.host": "u.org",
    "http.u.header.x_y": "1",
    "http.u.timeout.idle": "24h",
    "http.u.error-pages.503": "sorry.html",
    "http.u.error-pages.404": "http://web:80/{status}?{url}",
    "http.u.mirror": "standby",
    "http.u.forward-auth": "http://192.0.2.1/",
    "http.u.redirect-https": "true",
    "http.h.header.host": "h.org",
    "http.l.header.x-long": "l" * 700,
    "http.p.host": "p.org",
    "http.p.rate-limit": "500/h",
    "http.p.max-concurrent": "9",
    "http.p.basic-auth": "staff",
    "http.p.forward-auth": "http://web:80/",
    "http.p.host-header": "server",
    "http.p.response-header.server": "mine",
    "http.p.scheme": "h2c",
    "http.p.slow-start": "10s",
    "http.p.max-body": "1m",
    "http.p.compress": "true",
    "http.p.strip-prefix": "/x",
    "http.p.add-prefix": "/y",
    "http.p.cors.origins": "*",
    "http.p.send-proxy": "v2",
    "http.p.request-header.x-with-very-many-dashes": "1",
    "http.m.redirect-regex": "^http://m.org/(.*) https://n.org/$1",
    "http.m.host": "m.org",
    "http.m.client-ip": "192.0.2.0/24",
    "http.v.host": "v.org",
    "http.v.scheme": "https",
    "http.v.server-ca": "system",
    "http.w.host": "*.w.org",
    "http.w.scheme": "https",
    "http.s.host": "s.org,*.s.org",
    "http.s.tls": "somebody",
    "http.s.client-ca": "partners",
    "http.s.client-ca.headers": "true",
    "http.g.host": "g.org",
    "http.g.forward-auth": "http://192.0.2.9:9000/verify",
    "http.g.group": "grouped",
    "http.g.balance": "source",
    "http.k.host": "k.org",
    "http.k.group": "kept",
    "http.k.sticky": "cookie",
    "tcp.t.group": "grouped",
    "tcp.t.retries": "0",
    "tcp.t.listener": "pg",
    "tcp.v.listener": "pgs",
    "tcp.n.sni": "n.org",
    "tcp.n.listener": "pg",
    "tcp.n.max-concurrent": "5",
    "tcp.h.sni": "tcp.org",
    "tcp.h.listener": "websecure",
    "tcp.r.sni": "r.org",
    "tcp.r.listener": "pg",
    "tcp.r.server-tls": "true",
    "udp.e.port": "53",
}

_STANDBY = {
    f"{route}.{key}": value
    for route in ("http.g", "http.k", "tcp.t")
    for key, value in (("group", EVERYTHING[f"{route}.group"]), ("backup", "true"), ("port", "80"))
}
STANDBY = [
    a_service("standby", _STANDBY, networks=("edge-id",), created_at="2026-11-23T10:00:00Z"),
    a_task("standby", addresses={"edge-id": "10.0.0.2"}),
]


BEHIND = replace(a_listener(address="0.0.0.0"), trusted_proxies=("192.0.2.0/24",), proxy_protocol=True)
SECURE = replace(a_listener("websecure", 443, tls=True), tls_minimum="1.3", strict_sni=True)
LISTENERS = a_rules(
    BEHIND,
    SECURE,
    replace(SECURE, name="quic", port=8443, http3=True, access_log=AccessLog("json", "/log")),
    replace(SECURE, name="told", port=8444, access_log=AccessLog("json", "syslog:/dev/log")),
    replace(SECURE, name="pgs", port=5433, protocol="tcp", tls_minimum="1.2"),
    a_listener("pg", 5432, "tcp"),
    a_listener("dns", 53, "udp"),
)


def cluster(**keys: object):
    """A service with everything that some proxy cannot do, or with these keys."""
    facts = [a_node(), a_network(), a_service("web", {"port": 80, **(keys or EVERYTHING)}, networks=("edge-id",))]
    facts += [] if keys else STANDBY
    return a_snapshot(*facts, a_task(addresses={"edge-id": "10.0.0.1"}))


def found(proxy: str, version: tuple[int, ...] = (), **keys: object) -> list[Limit]:
    """What lint says of the cluster."""
    snapshot = cluster(**keys)
    model = build(snapshot, LISTENERS)
    assert model.problems == ()
    return list(limits(model, snapshot, "edge", proxy, version))


def test_documentation_is_current():
    """docs/proxies.md is what the table says."""
    assert (DOCS / "proxies.md").read_text() == proxies.markdown()


@pytest.mark.parametrize("proxy", ["haproxy", "nginx"])
@pytest.mark.parametrize(("longest", "told"), [("30m", True), ("1h", False), ("24h", False), ("7d", False)])
def test_outliving_a_reload(proxy, longest, told):
    """Connections that may be idle for longer than old workers live are told of, by the option that the target has."""
    snapshot = cluster(**{"timeout.idle": "1h"})
    options = {"hard_stop_after": longest, "worker_shutdown": longest, "shutdown_timeout": ""}
    said = limits(build(snapshot, LISTENERS), snapshot, "edge", proxy, (), options)
    assert any(limit.feature == "connections that outlive a reload" for limit in said) == told


def test_every_row_can_be_asked_for():
    """Each row is told of by some proxy, names a label that exists, and is met by who asks for everything."""
    said = {limit.feature for proxy in PROXIES for limit in found(proxy)}
    for row in TABLE:
        assert any(row.support(proxy).level != YES for proxy in PROXIES), row.name
        assert not row.key or row.key in {key.name for key in KEYS.values()}, row.name
        assert row.name in said
        for proxy in PROXIES:
            support = row.support(proxy)
            assert bool(support.instead) == (support.level != YES)
            assert support.level in (YES, PARTLY, NO)


def test_columns_name_rows():
    """What a proxy cannot do is said of a row that exists: under another name nobody would ever be told."""
    rows = {row.name for row in TABLE}
    for name, kind in ((name, registry.kind_of(name)) for name in registry.KINDS):
        assert set(kind.capabilities) <= rows, name


def test_nothing_is_asked_for():
    """A plain service has no limits with HAProxy, and one of another kind of target none at all."""
    assert found("haproxy", host="a.org", listener="web,websecure") == []
    assert found("other") == []


def test_what_is_said():
    """A limit names the service, the label that asks for it (of the named route first), its value, and what happens."""
    keys = {"balance": "least-conn", "http.a.balance": "random", "http.a.host": "a.org", "http.b.host": "b.org"}
    said = {limit.route: limit for limit in found("traefik", **keys) if "balance" in limit.label}
    assert (said["a"].label, said["a"].value) == ("lbgen.http.a.balance", "random")
    assert (said["b"].label, said["b"].value) == ("lbgen.balance", "least-conn")
    assert str(said["a"]).startswith(
        "service web, label lbgen.http.a.balance='random': Traefik can do only in part: random server"
    )


def test_once_for_a_listener():
    """What settings ask of a listener is told once, however many services have routes there, and none without any."""
    facts = [a_node(), a_network()]
    for name in ("one", "two"):
        keys = {"port": 80, "host": f"{name}.org", "listener": "quic,websecure"}
        facts.append(a_service(name, keys, networks=("edge-id",)))
    snapshot = a_snapshot(*facts)
    said = [limit for limit in limits(build(snapshot, LISTENERS), snapshot, "edge", "haproxy") if limit.listener]
    assert [(limit.listener, limit.feature) for limit in said] == [
        ("quic", "access log in a file"),
        ("quic", "HTTP/3"),
    ]
    assert str(said[1]) == "listener quic: HAProxy cannot do: HTTP/3; clients speak HTTP/2"
    assert {limit.service for limit in said} == {""}


def test_versions(monkeypatch):
    """From the version on that can do it, a proxy has no limit; of an unknown version the least is assumed."""
    row = Capability("x", "", lambda *_: True)
    nginx = replace(registry.kind_of("nginx"), capabilities={"x": Support(NO, "nothing", since="1.27.3")})
    monkeypatch.setattr(capabilities, "kind_of", lambda _: nginx)
    monkeypatch.setattr(capabilities, "TABLE", (row,))
    assert row.support("nginx").level == NO
    assert row.support("nginx", (1, 26, 3)).level == NO
    assert row.support("nginx", (1, 27, 3)).level == YES
    assert row.support("nginx", (2, 0)).level == YES
    assert "since 1.27.3; before: no: nothing" in proxies.markdown()


def lint(*words: str, snapshot: Path = SNAPSHOT):
    """Run the command."""
    return run("lint", "--from", str(snapshot), *words)


def flat(done: Result) -> str:
    """The output without line breaks and places."""
    return " ".join(PLACE.sub("", done.output).split())


def written(tmp_path: Path, **keys: object) -> Path:
    """A snapshot file of such a service."""
    path = tmp_path / "snapshot.json"
    write_snapshot(cluster(**keys), path)
    return path


@pytest.mark.parametrize("proxy", PROXIES)
def test_fine(proxy):
    """The example has no problems, and nothing that any proxy cannot do at all."""
    done = lint("--proxy", proxy)
    assert done.exit_code == 0, done.output


def test_problems(tmp_path):
    """A problem is listed with its remedy, and fails; without any target as well."""
    done = lint(snapshot=written(tmp_path, host="a.org", weight="heavy"))
    assert done.exit_code == 5
    assert flat(done).startswith(
        "service web problem: label lbgen.weight='heavy': is not a whole number from 0 to 256;"
    )
    assert done.output.endswith("\n\n0 of 1 services routed (--allow-empty accepts that); 1 problem\n")


def test_strict(tmp_path):
    """What a proxy can do in part is listed, and fails only if asked to."""
    path = written(tmp_path, host="a.org", redirect="/x", **{"redirect.code": "307"})
    done = lint("--proxy", "traefik", snapshot=path)
    assert done.exit_code == 0
    assert "service web traefik: label lbgen.redirect.code='307': Traefik can do only in part" in flat(done)
    assert done.output.endswith("1 of 1 services routed; 1 thing that a proxy can do only in part\n")
    assert lint("--proxy", "traefik", "--strict", snapshot=path).exit_code == 5
    assert lint("--proxy", "haproxy", "--strict", snapshot=path).exit_code == 0


def test_json(tmp_path):
    """Everything is there for a script as well."""
    path = written(tmp_path, host="a.org", redirect="/x")
    told = json.loads(lint("--proxy", "traefik", "--output", "json", snapshot=path).output)
    assert told["problems"] == []
    (limit,) = told["limits"]
    assert (limit["target"], limit["service"], limit["level"]) == ("traefik", "web", "partly")
    assert limit["text"].startswith("service web")


def test_settings_targets(tmp_path):
    """The settings' targets are asked, each for the listeners that it serves."""
    path = written(tmp_path, **{"udp.dns.port": 53})
    settings = tmp_path / "lbgen.yml"
    settings.write_text(
        f"source: {{file: {path}}}\nlisteners: {{web: {{bind: ':80'}}, dns: {{bind: ':53', protocol: udp}}}}\n"
        "default_listeners: [web, dns]\ntargets:\n"
        "  one: {templates: haproxy, output: /tmp/one, listeners: [web]}\n"
        "  two: {templates: haproxy, output: /tmp/two}\n"
    )
    done = run("lint", "--config", str(settings))
    assert done.exit_code == 5, done.output
    assert [PLACE.sub("", line).split(":")[0] for line in done.output.splitlines() if PLACE.match(line)] == ["two"]


def test_grouped(tmp_path, monkeypatch):
    """What concerns one service stands together: problems, limits, conflicts, labels that nobody reads."""
    facts = [
        a_node(address="0.0.0.0"),
        a_network(),
        a_service("old", {"port": 80, "host": "a.org"}, networks=("edge-id",), created_at="2026-11-21T10:00:00Z"),
        a_service("new", {"port": 80, "http.x.host": "a.org"}, networks=("edge-id",)),
        a_service("mesh", {"host": "b.org"}, ports=(ingress(),)),
        a_service("typo", labels={"lbgn.enable": "true", "traefik.enable": "true", "traefik.b": "x", "other": "x"}),
        a_task("mesh"),
    ]
    monkeypatch.chdir(tmp_path)
    path = Path("s.json")
    write_snapshot(a_snapshot(*facts), path)
    done = lint(snapshot=path)
    assert done.exit_code == 5
    assert (
        done.output
        == """\
node node1
s.json:6: problem: has no address that reaches it (Swarm reports 0.0.0.0); docker node update
    --label-add lbgen.address=ADDRESS node1, or set discovery.node_cidrs

service new
s.json:63: problem: route new.http.x: host(a.org) on listener web is already taken by service old,
    which is older; change the match, or give one of the two another lbgen.priority

service typo
s.json:138: note: label traefik.b: is of dialect traefik, which setting discovery.dialects does not
    have
s.json:136: problem: label lbgn.enable: is not read, so nothing enables the service; did you mean
    lbgen.enable?

2 of 4 services routed; 2 problems, 1 service that nothing enables, 1 label that is not read
"""
    )
    told = json.loads(lint("--output", "json", snapshot=path).output)
    assert (told["services"], told["routed"]) == (4, 2)
    assert [note["text"] for note in told["unread"]] == [
        "service typo, label traefik.b: is of dialect traefik, which setting discovery.dialects does not have",
        "service typo, label lbgn.enable: is not read, so nothing enables the service; did you mean lbgen.enable?",
    ]
    assert all(found["text"].startswith(("node node1:", "service new")) for found in told["problems"])


def test_what_is_left_out_fails_with_strict_alone(tmp_path):
    """A route that is served without an option has a note in every format, and fails with --strict alone."""
    labels = {
        "traefik.enable": "true",
        "traefik.http.routers.web.rule": "Host(`a.org`)",
        "traefik.http.routers.web.tls.certresolver": "le",
        "traefik.http.services.web.loadbalancer.server.port": "80",
        "traefik.http.middlewares.spare.compress": "true",
    }
    path = tmp_path / "s.json"
    service = a_service(labels=labels, networks=("edge-id",))
    write_snapshot(a_snapshot(a_node(), a_network(), service, a_task("web", addresses={"edge-id": "10.0.0.5"})), path)
    settings = tmp_path / "lbgen.yml"
    settings.write_text(
        f"source: {{file: {path}}}\ndiscovery: {{dialects: [traefik]}}\n"
        "listeners: {web: {bind: ':80'}, websecure: {bind: ':443', tls: true}}\ndefault_listeners: [web, websecure]\n"
        "targets: {edge: {templates: haproxy, output: /tmp/one}}\n"
    )

    def linted(*words: str) -> Result:
        return run("lint", "--config", str(settings), *words)

    done = linted()
    assert done.exit_code == 0, done.output
    assert "note: label traefik.http.routers.web.tls.certresolver='le': is left out" in flat(done)
    assert "problem" not in done.output
    assert "2 notes on labels" in flat(done)
    told = json.loads(linted("--output", "json").stdout)
    assert (told["problems"], len(told["left_out"])) == ([], 2)
    assert "::warning" in linted("--output", "github").stdout
    assert {each["severity"] for each in json.loads(linted("--output", "gitlab").stdout)} <= {"minor", "info"}
    assert linted("--strict").exit_code == 5
    assert "::error" in linted("--strict", "--output", "github").stdout
    explained = run("explain", "--config", str(settings), "web")
    assert explained.exit_code == 0, explained.output
    assert "problem" not in explained.output


def test_label_with_a_name_of_its_own():
    """A limit of a key with a name in it shows the label that was written."""
    keys = {"health-check.path": "/up", "health-check.header.x-probe": "lbgen"}
    (said,) = [limit for limit in found("nginx", **keys) if limit.feature == "headers of the check"]
    assert said.label == "lbgen.health-check.header.x-probe"
