"""Secrets in labels are in configuration files and nowhere else: no address, command or log line tells them."""

from __future__ import annotations

import http.client
import importlib
import json
import re
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from lbgen.labels.dockerflow.options import OPTIONS
from lbgen.labels.keys.table import KEYS, PREFIX
from lbgen.labels.traefik.options import TABLES
from lbgen.model import build
from lbgen.report.masking import MASK, masked
from lbgen.settings import Settings
from lbgen.source import decode
from lbgen.status.server import serve_status
from lbgen.status.view import View
from tests.support.builders import a_network, a_node, a_service, a_snapshot, a_task
from tests.support.command import run
from tests.support.wait import PATIENCE
from tests.support.watched import FakeLoop, FakeTarget

PLANTED = "hunter2planted"
LOOKS = (  # that give a secret away under any name
    f"Basic {PLANTED}",
    f"Bearer {PLANTED}",
    f"ada:$2y$05${PLANTED}",
    f"ada:$apr1$x${PLANTED}",
    f"-----BEGIN PRIVATE KEY-----{PLANTED}",
    f"https://ada:{PLANTED}@auth.example.org/",
)
RULES = (
    f"Host(`a.org`) && Header(`X-Api-Key`, `{PLANTED}`)",
    f"Host(`a.org`) && (Query(`token`, `{PLANTED}`) || HeaderRegexp(`Authorization`, `^{PLANTED}$`))",
    f"Host(`a.org`) & Header(`X-Api-Key`, `{PLANTED}`)",
)
NAMES = ("authorization", "proxy-authorization", "x-api-key", "x-auth-token", "x-secret", "x-password")
LINT = importlib.import_module("lbgen.cli.lint")
REPORT, POSITIONS = vars(LINT)["_report"], vars(LINT)["Positions"]
ON = {"lbgen.enable": "true", "lbgen.port": "80", "lbgen.host": "a.org"}


def native() -> Iterator[dict[str, str]]:
    """Every key of lbgen's own with what looks like a secret, and every family with the names of secrets."""
    for key in KEYS.values():
        for scope in ("", "http.a.", "tcp.a."):
            if key.family:
                for name in NAMES:
                    yield {f"{PREFIX}{scope}{key.family}{name}": PLANTED}
            name = f"{key.family}{key.member}" if key.family else key.name
            for value in RULES if name == "rule" else LOOKS:
                yield {f"{PREFIX}{scope}{name}": value}


def foreign() -> Iterator[dict[str, str]]:
    """The same of the other dialects."""
    router = {"traefik.enable": "true", "traefik.http.routers.a.rule": "Host(`a.org`)"}
    router |= {"traefik.http.routers.a.middlewares": "a", "traefik.http.services.a.loadbalancer.server.port": "80"}
    headers = "traefik.http.middlewares.a.headers."
    for kind in ("customrequestheaders", "customresponseheaders"):
        for name in NAMES:
            yield router | {f"{headers}{kind}.{name}": PLANTED}
    for (protocol, kind), table in TABLES.items():
        for option in table:
            name = option.replace("<>", "x").replace("[n]", "[0]")
            for value in RULES if name == "rule" else LOOKS:
                yield router | {f"traefik.{protocol}.{kind}.a.{name}": value}
    for value in LOOKS:
        yield router | {"traefik.http.middlewares.a.basicauth.users": value}
        yield router | {"traefik.http.middlewares.a.digestauth.users": value}
    flow = {"com.df.notify": "true", "com.df.servicePath": "/", "com.df.port": "80"}
    yield flow | {"com.df.users": f"ada:{PLANTED}"}
    yield flow | {"com.df.addReqHeader": f"X-Api-Key {PLANTED}"}
    for name in OPTIONS:
        for value in LOOKS:
            yield flow | {f"com.df.{name}": value}


CASES = {"native": list(native()), "foreign": list(foreign())}
SETTINGS = Settings.model_validate(
    {
        "discovery": {"dialects": ["lbgen", "traefik", "dockerflow"]},
        "listeners": {"web": {"bind": ":80"}, "pg": {"bind": ":5432", "protocol": "tcp"}},
        "default_listeners": ["web", "pg"],
    }
)


def cluster(cases: list[dict[str, str]]):
    """A service for each set of labels."""
    facts = [a_node(), a_network("edge")]
    for number, labels in enumerate(cases):
        own = ON if any(label.startswith("lbgen.") for label in labels) else _named(labels, f"a{number}")
        facts.append(a_service(f"s{number}", networks=("edge",), labels=own | labels if own is ON else own))
        facts.append(a_task(f"s{number}"))
    return a_snapshot(*facts)


def _named(labels: dict[str, str], name: str) -> dict[str, str]:
    """The labels with this name in place of a: names of Traefik's labels are all services'."""
    return {
        re.sub(r"^(traefik\.\w+\.\w+)\.a\.", rf"\1.{name}.", label): name if label.endswith("a.middlewares") else value
        for label, value in labels.items()
    }


@pytest.mark.parametrize("kind", CASES)
def test_status_port(kind):
    """Whatever is asked for: the model, problems, explanations, history, metrics; and what is logged meanwhile."""
    facts = cluster(CASES[kind])
    loop = FakeLoop(accepted=facts, model=build(facts, SETTINGS.rules()))
    assert PLANTED in repr(loop.model)
    paths = ["status", "model", "problems", "history", *(f"explain/{item.name}" for item in facts.services.values())]
    with capture_logs() as logs, serve_status(("127.0.0.1", 0), View(loop, [FakeTarget("a")])) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        told = {}
        for path in paths[:4] + paths[4 :: max(1, len(paths) // 100)]:
            connection.request("GET", f"/api/v1/{path}")
            answer = connection.getresponse()
            told[path] = answer.read().decode()
            assert answer.status == 200, path
        connection.close()
    leaks = {path: _around(text) for path, text in told.items() if PLANTED in text}
    assert leaks == {}
    assert PLANTED not in str(logs)


@pytest.fixture(scope="module", params=CASES)
def linted(request, tmp_path_factory):
    """The files of a cluster in a directory, and what lint finds in them: the same, in whatever form it is printed."""
    directory = tmp_path_factory.mktemp("linted")
    _files(directory, cluster(CASES[request.param]))
    made = {}

    def once(make):
        def made_once(*asked):
            if make not in made:
                made[make] = make(*asked)
            return made[make]

        return made_once

    return directory, {"_report": once(REPORT), "Positions": once(POSITIONS)}


@pytest.mark.parametrize("form", ["text", "json", "github", "gitlab"])
def test_lint(form, linted, monkeypatch):
    """Nor does `lbgen lint`, in any form."""
    directory, found = linted
    monkeypatch.chdir(directory)
    for name, once in found.items():
        monkeypatch.setattr(LINT, name, once)
    done = run("lint", "--output", form, "--proxy", "haproxy")
    assert done.exit_code == 5, done.output[-1000:]
    assert len(done.output.splitlines()) > 1000
    assert PLANTED not in done.output, _around(done.output)


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize("number", range(40))
def test_explain_command(number, output, tmp_path, monkeypatch):
    """Nor `lbgen explain`."""
    cases = [case for each in CASES.values() for case in each]
    case = cases[number * len(cases) // 40]
    monkeypatch.chdir(tmp_path)
    _files(tmp_path, cluster([case]))
    done = run("explain", "s0", "--output", output)
    assert done.exit_code in (0, 5), done.output
    assert PLANTED not in done.output, _around(done.output)


def _files(directory, facts) -> None:
    (directory / "snapshot.json").write_text(json.dumps(decode.document(facts)))
    document = SETTINGS.model_dump(
        mode="json", include={"discovery": {"dialects"}, "listeners": True, "default_listeners": True}
    )
    (directory / "lbgen.yml").write_text(json.dumps(document | {"source": {"file": "snapshot.json"}}))


def _around(text: str) -> list[str]:
    """Where it is, for people."""
    places, at = [], text.find(PLANTED)
    while at >= 0 and len(places) < 5:
        places.append(text[max(0, at - 150) : at + 30])
        at = text.find(PLANTED, at + 1)
    return places


def test_the_rest_is_told():
    """What is no secret is told as it is; the model itself is not changed."""
    labels = ON | {"lbgen.request-header.authorization": f"Basic {PLANTED}", "lbgen.request-header.x-tenant": "blue"}
    facts = cluster([labels])
    model = build(facts, SETTINGS.rules())
    [backend] = masked(model).backends
    assert backend.policy.request_headers == (("authorization", MASK), ("x-tenant", "blue"))
    assert model.backends[0].policy.request_headers[0] == ("authorization", f"Basic {PLANTED}")
    plain = build(cluster([ON]), SETTINGS.rules())
    assert masked(plain) == plain
