"""Users that labels hold: every proxy lets in those whose hashes it knows, with the right password, and nobody else."""

from __future__ import annotations

import base64
import contextlib
import http.client
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lbgen.model import build
from lbgen.render.credential_problems import with_credential_problems
from lbgen.render.credentials import CredentialReader
from lbgen.settings import Settings
from tests.support.builders import a_network, a_node, a_service, a_snapshot, a_task
from tests.support.passwords import APR1, BCRYPT_12, HASH, SHA_1, SHA_5, SHA_6, SHA_100001
from tests.support.ports import free_port
from tests.support.real_servers import http_servers
from tests.support.running import PROXIES, running
from tests.support.wait import PATIENCE

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
        f"traefik.http.routers.{name}.middlewares": "admins",
        "traefik.http.middlewares.admins.basicauth.users": users,
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
    """A proxy with a route for each of SERVICES."""

    def __init__(self, port: int, problems: Mapping[str, str], output: Path) -> None:
        self.port, self.problems, self.output = port, problems, output

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
def site(proxy: str, directory: Path, services: Mapping[str, Mapping[str, str]]) -> Iterator[Site]:
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
    facts: list[Any] = [a_node(), a_network("edge")]
    with http_servers() as servers:
        for number, (name, labels) in enumerate(services.items(), 1):
            port = {f"traefik.http.services.{name}.loadbalancer.server.port": str(servers.port)}
            own = {"com.df.port": str(servers.port)} if "com.df.notify" in labels else port
            facts.append(a_service(name, None, networks=("edge-id",), labels={**labels, **own}))
            facts.append(a_task(name, addresses={"edge-id": f"127.1.0.{number}"}))
        snapshot = a_snapshot(*facts)
        model = with_credential_problems(
            build(snapshot, settings.rules()), CredentialReader(settings, proxies=[proxy]).read(), here=True
        )
        with running(settings, snapshot) as listeners:
            yield Site(
                listeners["web"], {problem.service: str(problem) for problem in model.problems}, directory / "out"
            )


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
