"""Users that labels hold: every proxy lets in those whose hashes it knows, with the right password, and nobody else."""

from __future__ import annotations

import base64
import contextlib
import http.client
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lbgen.model import build
from lbgen.render.credential_problems import with_credential_problems
from lbgen.render.credentials import CredentialReader
from lbgen.settings import Settings
from lbgen.snapshot import Snapshot
from tests.support.builders import a_network, a_node, a_service, a_snapshot, a_task
from tests.support.command import run
from tests.support.daemon import Daemon
from tests.support.passwords import APR1, BCRYPT_12, HASH, SHA_1, SHA_5, SHA_6, SHA_100001
from tests.support.ports import free_port
from tests.support.real_servers import http_servers
from tests.support.running import PROXIES, changing, ports_of
from tests.support.wait import PATIENCE, wait_for

Labels = Mapping[str, Mapping[str, str]]  # by service
OTHER = "$2y$04$abcdefghijklmnopqrstuu0HtfOlPbTiymk5tcV.3TsFPDd3SYZqu"
HASHES = {
    "bcrypt": HASH,
    "sha-256": SHA_5,
    "sha-512": SHA_6,
    "apr1": APR1,
    "sha-1": SHA_1,
    "dear": BCRYPT_12,
    "dearer": SHA_100001,
}
LETS_IN = {
    "haproxy": {"bcrypt", "sha-256", "sha-512"},
    "nginx": {"bcrypt", "sha-256", "sha-512", "apr1", "sha-1"},
    "traefik": {"bcrypt", "apr1", "sha-1", "dear"},
}
EVERY = [pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES]


def traefik_labels(name: str, users: str) -> dict[str, str]:
    """A guarded router of Traefik's for NAME.org."""
    return {
        "traefik.enable": "true",
        f"traefik.http.routers.{name}.rule": f"Host(`{name}.org`)",
        f"traefik.http.routers.{name}.middlewares": f"{name}-admins",
        f"traefik.http.middlewares.{name}-admins.basicauth.users": users,
    }


def dockerflow_labels(name: str, users: str, **more: str) -> dict[str, str]:
    """A guarded destination of docker-flow-proxy's for NAME.org."""
    own = {"notify": "true", "serviceDomain": f"{name}.org", "serviceDomainAlgo": "hdr(host)", "users": users, **more}
    return {f"com.df.{key}": value for key, value in own.items()}


ALL = ",".join(f"{kind}:{hashed}" for kind, hashed in HASHES.items())
SERVICES = {
    "routers": traefik_labels("routers", ALL),
    "encrypted": dockerflow_labels("encrypted", ALL, usersPassEncrypted="true"),
    "plain": dockerflow_labels("plain", r"""anna:s"e$c:r'e\t #,bob:$$pass"""),
    "only-apr1": traefik_labels("only-apr1", f"anna:{APR1}"),
}


class Site:
    """A proxy with a route for each service."""

    def __init__(self, settings: Settings, problems: Mapping[str, str], become: Callable[[Labels], None]) -> None:
        self.port, self.problems = ports_of(settings)["web"], problems
        self.output, self.probe = settings.targets["edge"].output, str(settings.targets["edge"].probe)
        self.become = become  # has the services have these labels

    def ask(self, service: str, user: str = "", password: str = "secret") -> int:
        """Return the status of a request, with a password if there is a user."""
        headers = {"Host": f"{service}.org"}
        if user:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(client):
            client.request("GET", "/", headers=headers)
            with client.getresponse() as response:
                response.read()
                return response.status


@contextlib.contextmanager
def site(proxy: str, directory: Path, services: Labels) -> Iterator[Site]:
    """Run the proxy with services that have these labels."""
    directory.chmod(0o755)  # Nginx's workers get to the output directory, on an account of their own
    target: dict[str, Any] = {"templates": [proxy], "output": str(directory / "out")}
    settings = Settings.model_validate(
        {
            "listeners": {"web": {"bind": f"127.0.0.1:{free_port()}"}},
            "default_listeners": ["web"],
            "discovery": {"dialects": ["traefik", "dockerflow"]},
            "status": {"bind": ""},
            "users": str(directory / "users"),
            "targets": {"edge": {**target, "probe": f"127.0.0.1:{free_port()}", "apply": {"run": True}}},
        }
    )
    with http_servers() as servers:

        def facts(services: Labels) -> Snapshot:
            return a_snapshot(a_node(), a_network("edge"), *cluster(services, servers.port))

        snapshot = facts(services)
        model = with_credential_problems(
            build(snapshot, settings.rules()), CredentialReader(settings, proxies=[proxy]).read(), here=True
        )
        problems = {problem.service: str(problem) for problem in model.problems}
        with changing(settings, snapshot) as bring_to:
            yield Site(settings, problems, lambda services: bring_to(facts(services)) and None)


def cluster(services: Labels, port: int) -> list[Any]:
    """Services with these labels, each with a task."""
    facts: list[Any] = []
    for number, (name, labels) in enumerate(services.items(), 1):
        router = {f"traefik.http.services.{name}.loadbalancer.server.port": str(port)}
        own = {"com.df.port": str(port)} if "com.df.notify" in labels else router
        facts.append(a_service(name, None, networks=("edge-id",), labels={**labels, **own}))
        facts.append(a_task(name, addresses={"edge-id": f"127.1.0.{number}"}))
    return facts


@pytest.mark.parametrize("proxy", EVERY)
def test_users_of_labels(proxy, short_dir):
    """Right passwords let in those whose hashes the proxy knows; the others are told, and the route is never open."""
    with site(proxy, short_dir, SERVICES) as made:
        for service in ("routers", "encrypted"):
            found = {kind for kind in HASHES if made.ask(service, kind) == 200}
            assert found == LETS_IN[proxy], service
            told = made.problems[service]
            assert [kind for kind in HASHES if f"user {kind} has" in told] == [
                kind for kind in HASHES if kind not in found
            ]
            assert "htpasswd -nB NAME" in told
        for service in SERVICES:
            assert made.ask(service) == 401
        assert made.ask("routers", "bcrypt", "wrong") == 401
        assert made.ask("plain", "anna", r"""s"e$c:r'e\t #""") == 200
        assert made.ask("plain", "bob", "$$pass") == 200
        assert made.ask("plain", "anna", "$$pass") == 401
        assert made.ask("only-apr1", "anna") == (401 if proxy == "haproxy" else 200)
        assert ("only-apr1" in made.problems) == (proxy == "haproxy")


@pytest.mark.parametrize("proxy", EVERY)
def test_files_are_nobody_elses(proxy, short_dir):
    """No file that holds a hash or a password can be read by other accounts than lbgen's and the proxy's."""
    with site(proxy, short_dir, {name: SERVICES[name] for name in ("routers", "plain")}) as made:
        holding = [
            path
            for path in made.output.rglob("*")
            if path.is_file() and any(word in path.read_text(errors="replace") for word in (HASH, APR1, "{SHA}"))
        ]
        assert holding
        assert [oct(path.stat().st_mode & 0o7777) for path in holding] == ["0o640"] * len(holding)


@pytest.mark.parametrize("proxy", EVERY)
def test_changed_password(proxy, short_dir):
    """A new hash in a label takes the place of the old one, and the file of a list that is gone goes too."""
    with site(proxy, short_dir, {"routers": traefik_labels("routers", f"anna:{HASH},bob:{HASH}")}) as made:
        assert [made.ask("routers", "anna"), made.ask("routers", "bob")] == [200, 200]
        made.become({"routers": traefik_labels("routers", f"anna:{OTHER}")})
        assert [made.ask("routers", "anna"), made.ask("routers", "bob")] == [401, 401]
        assert made.ask("routers", "anna", "other") == 200
        made.become({"others": traefik_labels("others", f"anna:{HASH}")})
        assert [made.ask("others", "anna"), made.ask("others", "anna", "other")] == [200, 401]
        assert not [path.name for path in made.output.glob("users/*") if "routers" in path.name]


@pytest.mark.proxy("traefik")
def test_api_of_traefik(short_dir):
    """Where Traefik reads OUTPUT its API, which others may see, shows no hash: of labels or files."""
    (short_dir / "users").mkdir()
    (short_dir / "users/staff").write_text(f"eve:{HASH}\n")
    file = {**traefik_labels("file", ""), "traefik.http.middlewares.file-admins.basicauth.usersfile": "staff"}
    del file["traefik.http.middlewares.file-admins.basicauth.users"]
    services = {**SERVICES, "file": file}
    with site("traefik", short_dir, services) as made:
        assert made.ask("file", "eve") == 200
        client = http.client.HTTPConnection(made.probe, timeout=PATIENCE)
        for path in ("/api/rawdata", "/api/http/middlewares?per_page=1000"):
            client.request("GET", path)
            text = client.getresponse().read().decode()
            assert "label:routers.routers-admins" in text
            assert not re.search(r"\$(2y|apr1|5|6)\$|\{SHA\}", text)
        client.close()


@pytest.mark.proxy("haproxy")
def test_nothing_tells_a_hash(short_dir):
    """Whatever lbgen says of services, in whatever form, has no hash and no password of a label in it."""
    secrets = [HASH, OTHER, APR1, BCRYPT_12, "pl4in-passw0rd"]
    labels = {
        "good": traefik_labels("good", f"anna:{HASH},eve:{APR1},bob:{BCRYPT_12}"),
        "bad": traefik_labels("bad", f"anna:{HASH}x"),
        "doubled": traefik_labels("doubled", f"anna:{APR1.replace('$', '$$')}"),
        "plain": dockerflow_labels("plain", "anna:pl4in-passw0rd"),
        "unread": {**traefik_labels("unread", f"anna:{HASH}"), "traefik.http.routers.unread.middlewares": "others"},
    }
    with http_servers() as servers:
        daemon = Daemon(short_dir, servers.port)
        daemon.settings["discovery"] = {"dialects": ["traefik", "dockerflow"]}
        daemon.save()
        daemon.write([a_node(), a_network("edge"), *cluster(labels, servers.port)])
        daemon.start()
        try:
            wait_for(lambda: daemon.status("/readyz")[0] == 200, "the first round")
            labels["good"] = traefik_labels("good", f"anna:{OTHER},bob:{BCRYPT_12}")
            daemon.write([a_node(), a_network("edge"), *cluster(labels, servers.port)])
            wait_for(lambda: OTHER in daemon.file(), "the changed label")
            paths = ["status", "model", "problems", "history", *(f"explain/{name}" for name in labels)]
            told = {path: daemon.status(f"/api/v1/{path}")[1] for path in paths}
            wait_for(lambda: len(json.loads(daemon.status("/api/v1/history")[1])["changes"]) > 1, "the second change")
            told["history"] = daemon.status("/api/v1/history")[1]
        finally:
            daemon.end()
        told["log"] = daemon.log.read_text()
        config = ["--config", str(short_dir / "lbgen.yml")]
        for form in ("text", "json", "github", "gitlab"):
            told[f"lint {form}"] = run("lint", *config, "--output", form).output
        for name, form in itertools.product(labels, ("text", "json")):
            asked = run("explain", name, *config, "--output", form)
            told[f"explain {name} {form}"] = asked.output
    assert all("good" in told[path] for path in ("model", "problems", "lint text", "lint json", "explain good text"))
    leaks = [(path, word) for path, text in told.items() for word in secrets if word in text or word[7:] in text]
    assert leaks == []
