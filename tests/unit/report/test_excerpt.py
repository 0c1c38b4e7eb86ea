"""What `lbgen snapshot` records of labels."""

from __future__ import annotations

import stat

import pytest
import yaml

from lbgen.labels import dialects
from lbgen.labels.context import LabelContext
from lbgen.labels.keys.table import KEYS, PREFIX
from lbgen.labels.secret_values import LEFT_OUT, holds_secret
from lbgen.model import build
from lbgen.report.excerpt import excerpt
from lbgen.settings import Settings
from lbgen.source import decode
from lbgen.source.file import load
from tests.support.builders import a_node, a_service, a_snapshot
from tests.support.command import run

HASH = "$2y$05$EnM8cM7DtSb4CCv5o1YQSuTAXVaWDSa0Far6l79NUgYd9os.jROce"
SECRETS = {
    "traefik.http.middlewares.a.basicauth.users": f"ada:{HASH}",
    "traefik.http.middlewares.a.digestauth.users": "ada:realm:d41d8cd98f00b204e9800998ecf8427e",
    "traefik.http.middlewares.h.headers.customrequestheaders.Authorization": "Basic YWRhOmh1bnRlcjI=",
    "traefik.http.middlewares.h.headers.customrequestheaders.X-Api-Key": "hunter2",
    "traefik.http.middlewares.f.forwardauth.address": "http://ada:hunter2@auth/",
    "traefik.http.routers.r.rule": "Host(`a.org`) && Header(`X-Api-Key`, `hunter2`)",
    "com.df.users": "ada:hunter2",
    "com.df.users.2": "ada:hunter2",
    "com.df.serviceCert": "-----BEGIN CERTIFICATE-----",
    "com.df.addReqHeader": "X-Auth-Token hunter2",
    "lbgen.header.x-api-key": "hunter2",
    "lbgen.http.a.header-regex.authorization": "^hunter2$",
    "lbgen.query.token": "hunter2",
    "lbgen.request-header.authorization": "Basic YWRhOmh1bnRlcjI=",
    "lbgen.http.b.response-header.x-secret": "hunter2",
    "lbgen.rule": "QueryRegexp(`token`, `hunter2`)",
    "lbgn.request-header.x-token": "hunter2",
}
KEPT = {
    "lbgen.enable": "true",
    "lbgen.basic-auth": "staff",
    "lbgen.http.auth.host": "auth.example.org",
    "lbgen.nodes": "node.labels.zone==eu",
    "lbgen.rule": "Host(`token.example.org`) && PathPrefix(`/users`)",
    "traefik.http.routers.auth.middlewares": "secrets@file",
    "traefik.http.middlewares.auth.forwardauth.address": "http://auth:8080/",
    "traefik.http.middlewares.auth.forwardauth.authresponseheaders": "X-User",
    "traefik.http.middlewares.auth.basicauth.usersfile": "/run/secrets/staff",
    "com.df.usersPassEncrypted": "true",
    "lbgn.host": "a.org",
    "com.docker.stack.namespace": "shop",
    "tier": "public",
    "team": "a",
}
DROPPED = {"db.password": "hunter2", "com.docker.stack.image": "postgres:15", "backup.cron": "0 0 * * *"}
SETTINGS = Settings.model_validate(
    {
        "discovery": {"traefik": {"constraints": "Label(`tier`,`public`)"}, "nodes": "engine.labels.rack!=3"},
        "claims": [{"services": "label.team==a"}],
    }
)


def recorded(labels: dict[str, str], **options: object) -> dict[str, str]:
    """What is recorded of a service's labels."""
    facts = excerpt(a_snapshot(a_service("web", labels=labels)), SETTINGS, **options)
    return dict(next(iter(facts.services.values())).labels)


@pytest.mark.parametrize("label", SECRETS)
def test_secrets(label):
    """Their names stay, their values do not."""
    assert recorded({label: SECRETS[label]}) == {label: LEFT_OUT}
    assert recorded({label: SECRETS[label]}, secrets=True) == {label: SECRETS[label]}


def test_what_is_read():
    """Labels of every dialect stay, whichever are read, near misses, and what settings name; nothing else."""
    assert recorded(KEPT | DROPPED) == KEPT
    assert recorded(DROPPED, prefixes=("db.", "backup.")) == {"db.password": LEFT_OUT, "backup.cron": "0 0 * * *"}


def test_examples_of_keys_stay():
    """What the documentation shows of each key is recorded as it is, but for headers that are secrets by their name."""
    for key in KEYS.values():
        label = f"{PREFIX}{key.family}{key.member}" if key.family else f"{PREFIX}{key.name}"
        assert not holds_secret(label, key.sample), label


def test_labels_of_nodes():
    """Those of lbgen, and those that placement constraints of labels and settings name."""
    node = a_node(
        labels={"zone": "eu", "lbgen.address": "10.0.0.9", "owner": "bob"}, engine_labels={"rack": "1", "x": "y"}
    )
    service = a_service("web", labels={"lbgen.nodes": "node.labels.zone==eu"})
    [kept] = excerpt(a_snapshot(node, service), SETTINGS).nodes.values()
    assert (kept.labels, kept.engine_labels) == ({"zone": "eu", "lbgen.address": "10.0.0.9"}, {"rack": "1"})


@pytest.mark.parametrize("label", SECRETS)
def test_left_out_is_no_value(label):
    """No dialect takes the mark for a value: what needs it is a problem, and not served with the mark."""
    base = {"lbgen.enable": "true", "lbgen.host": "a.org", "traefik.enable": "true", "com.df.notify": "true"}
    if label.startswith("traefik"):
        base["traefik.http.routers.r.rule"] = "Host(`a.org`)"
        name = label.split(".")[3]
        base["traefik.http.routers.r.middlewares"] = name
    if label.startswith("com.df"):
        base |= {"com.df.servicePath": "/", "com.df.port": "80"}
    read = dialects.parse(
        "web", base | {label: LEFT_OUT}, LabelContext(names=("lbgen", "traefik", "dockerflow"), expose_by_default=True)
    )
    assert LEFT_OUT not in repr(read.routes)
    if not label.startswith("lbgn."):
        assert any(problem.label.lower() == label.lower() or label in str(problem) for problem in read.problems), label


def test_render_of_a_recording():
    """A route whose guard was left out is not served as if it had none; with the secrets it is as before."""
    labels = {"lbgen.enable": "true", "lbgen.redirect": "https://b.org", "lbgen.header.x-api-key": "hunter2"}
    facts = a_snapshot(a_service("web", labels=labels))
    open_, closed = (excerpt(facts, SETTINGS, secrets=secrets) for secrets in (True, False))
    assert open_ == facts
    rules = Settings().rules()
    assert [route.service for route in build(facts, rules).routes] == ["web"]
    model = build(closed, rules)
    assert "--with-secrets" in "".join(map(str, model.problems))
    assert not any("hunter2" in repr(part) or LEFT_OUT in repr(part) for part in (model.routes, model.backends))


def test_command(tmp_path, monkeypatch):
    """It writes a file that nobody else reads, and that can be read again."""
    monkeypatch.chdir(tmp_path)
    source, target = tmp_path / "swarm.yml", tmp_path / "out.json"
    facts = a_snapshot(a_service("web", labels=KEPT | DROPPED | {"lbgen.query.token": "hunter2"}))
    source.write_text(yaml.safe_dump(decode.document(facts)))
    (tmp_path / "lbgen.yml").write_text(f"source: {{file: {source}}}\n")
    done = run("snapshot", "-o", str(target))
    assert (done.exit_code, done.output) == (0, "")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert "hunter2" not in target.read_text()
    assert "db.password" not in target.read_text()
    assert next(iter(load(target).services.values())).labels["lbgen.query.token"] == LEFT_OUT
    shown = run("snapshot", "--with-secrets", "--keep-label", "db.")
    assert shown.output.count("hunter2") == 2
