"""TLS with servers: the name that they are asked for, by requests and by checks, and who has to vouch for them.

Real proxies, and real servers that refuse handshakes for other names, or show certificates that are not right.
"""

from __future__ import annotations

import http.client
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from lbgen.base.address import split_bind
from lbgen.daemon import assembly
from lbgen.daemon.target import Target
from lbgen.model import Model, build
from lbgen.render.credential_problems import with_credential_problems
from lbgen.render.credentials import CredentialReader
from lbgen.render.kept_credentials import KeptCredentials
from lbgen.report.limits import limits
from lbgen.settings import Settings
from lbgen.snapshot import Snapshot
from tests.support.builders import Fact, a_network, a_node, a_service, a_snapshot, a_task
from tests.support.ports import free_port
from tests.support.strict_servers import Shown, StrictServers, strict_servers
from tests.support.tls import Authority
from tests.support.wait import PATIENCE, wait_for

EVERY = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.proxy(kind)) for kind in ("haproxy", "nginx", "traefik")]
)
# For the test's sake, but not oftener: the interval is also HAProxy's limit for a handshake, which a busy machine may
# not keep, and one that fails takes a new server down.
OFTEN: dict[str, object] = {"health-check.interval": "500ms", "health-check.fall": "100"}
CHECKS: dict[str, dict[str, object]] = {
    "no check": {"health-check": "off"},
    "tcp": OFTEN,
    "http": {"health-check.path": "/up", **OFTEN},
}
REFUSED = {"haproxy": (502, 503), "nginx": (502,), "traefik": (500, 503)}  # what clients get where nobody is right
RIGHT, OTHER = "127.1.0.1", "127.1.0.2"


class Site:
    """A proxy with one listener, and the directory of the authorities of its servers."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind, self.directory, self.server_cas = kind, directory, directory / "server-ca"
        self.server_cas.mkdir()
        directory.chmod(0o755)
        target = {"templates": [kind], "output": str(directory / "out"), "probe": f"127.0.0.1:{free_port()}"}
        self.settings = Settings.model_validate(
            {
                "listeners": {
                    "web": {"bind": f"127.0.0.1:{free_port()}"},
                    "db": {"bind": f"127.0.0.1:{free_port()}", "protocol": "tcp"},
                },
                "status": {"bind": ""},
                "server_cas": str(self.server_cas),
                "min_reload_interval": "0s",
                "targets": {"edge": {**target, "apply": {"run": True}}},
            }
        )
        self.target: Target = assembly.Assembly("edge", self.settings.targets["edge"], self.settings).target()
        self.reader = CredentialReader(self.settings, kept=KeptCredentials(directory / "out", writes=False))
        self.snapshot, self.model = a_snapshot(), Model()

    def serve(self, snapshot: Snapshot) -> str:
        """Have the proxy serve it, with the files that are there; return how that was done."""
        self.snapshot = snapshot
        self.model = with_credential_problems(build(snapshot, self.settings.rules()), self.reader.read(), here=True)
        wait_for(lambda: self.target.bring_to(self.model, snapshot), "the proxy to serve it")
        return self.target.history.changes[-1].method

    def ask(self, host: str = "a.org", listener: str = "web") -> tuple[int, str]:
        """Ask; the status, and the server that answers."""
        port = split_bind(self.settings.listeners[listener].bind)[1]
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
            connection.request("GET", "/", headers={"Host": host})
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, text.partition('"address": "')[2].partition('"')[0]

    def connect(self) -> str:
        """Connect to the listener of TCP, behind which a server of HTTP is; the server that answers, or nothing."""
        try:
            return self.ask(listener="db")[1]
        except (OSError, http.client.HTTPException):
            return ""

    @property
    def told(self) -> set[str]:
        """What lint says that the proxy cannot do."""
        return {limit.feature for limit in limits(self.model, self.snapshot, "edge", self.kind)}


@contextmanager
def proxy(kind: str, directory: Path) -> Iterator[Site]:
    """A site that is ended."""
    site = Site(kind, directory)
    site.target.start()
    try:
        yield site
    finally:
        site.target.stop()


@pytest.fixture
def site(kind, short_dir) -> Iterator[Site]:
    with proxy(kind, short_dir) as made:
        yield made


@pytest.fixture
def authority(short_dir) -> Authority:
    return Authority(short_dir / "authority")


def _labelled(name: str, port: int, **keys: object) -> Fact:
    """A service whose servers speak TLS."""
    labels = {"port": port, "scheme": "https", **{key.replace("_", "-"): value for key, value in keys.items()}}
    return a_service(name, labels, networks=("edge-id",))


def cluster(port: int, addresses: Sequence[str], **keys: object) -> Snapshot:
    """A service with a server at each of these addresses."""
    facts = [_labelled("web", port, **keys)]
    # A server's name is its slot's: it is one for its address.
    facts += [a_task("web", int(address[-1]), addresses={"edge-id": address}) for address in addresses]
    return a_snapshot(a_node(), a_network("edge"), *facts)


# ------------------------------------------------------------------------------------------------ names


NAMES: dict[str, tuple[dict[str, object], str, list[str]]] = {  # keys, the name to be asked for, what clients ask for
    "first": ({"host": "a.org,b.org"}, "a.org", ["a.org", "b.org"]),
    "rule": ({"rule": "Host(`d.org`) || Host(`c.org`)"}, "d.org", ["c.org"]),
    "label": ({"host": "*.w.org", "server-name": "srv.org"}, "srv.org", ["x.w.org"]),
    "host-header": ({"host": "192.0.2.1,e.org", "host-header": "inner.org:81"}, "inner.org", ["e.org", "192.0.2.1"]),
}


@EVERY
@pytest.mark.parametrize("check", CHECKS)
def test_name(site, authority, check):
    """Servers are asked for one name by requests and by checks, also those that join while the proxy runs."""
    where = {case: (f"127.1.1.{place}", f"127.1.2.{place}") for place, case in enumerate(NAMES, 1)}
    names = {address: NAMES[case][1] for case, both in where.items() for address in both}
    shown = {address: Shown(authority.issue(address, hosts=[name]), {name}) for address, name in names.items()}

    def served(count: int) -> Snapshot:
        facts = [_labelled(case, servers.port, **NAMES[case][0], **CHECKS[check]) for case in NAMES]
        tasks = [
            a_task(case, slot, addresses={"edge-id": address})
            for case, both in where.items()
            for slot, address in enumerate(both[:count], 1)
        ]
        return a_snapshot(a_node(), a_network("edge"), *facts, *tasks)

    with strict_servers(tls=shown) as servers:
        site.serve(served(1))
        for case, (first, _) in where.items():
            assert site.ask(NAMES[case][2][0]) == (200, first), case
        assert site.serve(served(2)) == {"haproxy": "runtime-api", "nginx": "reload", "traefik": "publish"}[site.kind]
        if (site.kind, check) in (("haproxy", "tcp"), ("haproxy", "http"), ("traefik", "http")):
            before = len(servers.names)
            wait_for(lambda: checked(servers, before + 12) == set(names), "checks")
        for case, (_, _, asked) in NAMES.items():
            for host in asked * 4:
                assert site.ask(host)[0] == 200, case
        told = list(servers.names)
        assert {address for address, _ in told} == set(names)
        assert [(address, name) for address, name in told if name != names[address]] == []
    assert "names that clients ask for, of servers" not in site.told


def checked(servers: StrictServers, since: int) -> set[str]:
    """The addresses of the servers that were asked after the first so many handshakes."""
    return {address for address, _ in servers.names[since + 4 :]}


@EVERY
@pytest.mark.parametrize("check", CHECKS)
def test_name_of_clients(site, authority, check):
    """Where nothing names a host, it is the client's that servers are asked for, but never an address."""
    keys: dict[str, object] = {"host": "*.w.org", **CHECKS[check]}
    names = {"x.w.org", "y.w.org"} | ({None} if site.kind == "traefik" or check == "http" else set())
    shown = Shown(authority.issue("web", hosts=["*.w.org"]), names)
    with strict_servers(tls={RIGHT: shown}) as servers:
        site.serve(cluster(servers.port, [RIGHT], **keys))
        for host in ("x.w.org", "y.w.org") * 4:
            before = len(servers.names)
            assert site.ask(host) == (200, RIGHT)
            # Those of a connection that is taken up again were asked for before.
            asked = {name for _, name in servers.names[before:]} - {None}
            assert asked == ({host} if site.kind == "nginx" else asked & {host})
        asked = {name for _, name in servers.names} - {None}
        assert asked == (set() if site.kind == "traefik" else {"x.w.org", "y.w.org"})
    assert ("names that clients ask for, of servers" in site.told) == (site.kind == "traefik")


@EVERY
def test_no_address_is_a_name(site, authority):
    """A client that asks for an address has servers asked for no name."""
    shown = Shown(authority.issue("web", hosts=["a.org"]), {None})
    with strict_servers(tls={RIGHT: shown}) as servers:
        site.serve(cluster(servers.port, [RIGHT], health_check="off"))
        for host in ("192.0.2.1", "192.0.2.1:8080", "[2001:db8::1]:80"):
            assert site.ask(host) == (200, RIGHT), host
        assert {name for _, name in servers.names} == {None}


@EVERY
def test_plain_checks(site, authority):
    """Servers that want a name are up where HAProxy knows none to ask for: its default check is without TLS then."""
    shown = Shown(authority.issue("web", hosts=["*.w.org"]), {"x.w.org"})
    keys: dict[str, object] = {"host": "*.w.org", "server-name": "x.w.org", **OFTEN}
    if site.kind == "haproxy":
        del keys["server-name"]
    with strict_servers(tls={RIGHT: shown, OTHER: shown}) as servers:
        site.serve(cluster(servers.port, [], **keys))
        for addresses in ([RIGHT], [RIGHT, OTHER]):
            method = site.serve(cluster(servers.port, addresses, **keys))
            assert method == {"haproxy": "runtime-api", "nginx": "reload", "traefik": "publish"}[site.kind]
            for _ in range(20):
                assert site.ask("x.w.org")[0] == 200
        assert {name for _, name in servers.names} == {"x.w.org"}


# ------------------------------------------------------------------------------------------------ who vouches


def wrong(authority: Authority, directory: Path) -> dict[str, tuple[Any, Any]]:
    """Certificates that are not right for a.org."""
    return {
        "another name": authority.issue("another", hosts=["b.org"]),
        "expired": authority.issue("expired", hosts=["a.org"], days=-1),
        "another authority": Authority(directory / "strangers").issue("stranger", hosts=["a.org"]),
        "an address": authority.issue("address", OTHER),
    }


@EVERY
@pytest.mark.parametrize("check", CHECKS)
def test_verified(site, authority, check):
    """Whose certificate is right is sent requests; others get none, whatever is wrong, and whenever they join."""
    shutil.copy(authority.ca, site.server_cas / "internal.pem")
    good = Shown(authority.issue("web", hosts=["a.org"]), {"a.org"})
    keys = {"host": "a.org", "server-ca": "internal", **CHECKS[check]}
    others = {f"127.1.0.{place}": wrongly for place, wrongly in enumerate(wrong(authority, site.directory).items(), 2)}
    shown = {address: Shown(pair, {"a.org"}) for address, (_, pair) in others.items()}
    with strict_servers(tls={RIGHT: good, **shown}) as servers:
        site.serve(cluster(servers.port, [], **keys))
        for other, (why, _) in others.items():
            site.serve(cluster(servers.port, [RIGHT], **keys))
            assert site.model.problems == ()
            assert site.ask() == (200, RIGHT)
            # With both: whichever is asked first, the one that is right answers, or nobody does.
            site.serve(cluster(servers.port, [RIGHT, other], **keys))
            assert {site.ask() for _ in range(6)} <= {(200, RIGHT), *((status, "") for status in REFUSED[site.kind])}, (
                why
            )
            site.serve(cluster(servers.port, [other], **keys))
            assert site.ask()[0] in REFUSED[site.kind], why
            assert servers.paths(other) == set(), why
            assert any(address == other for address, _ in servers.names), why
    assert ("servers whose certificate is not right" in site.told) == (site.kind == "traefik")


@EVERY
def test_without_authority(site):
    """Without server-ca nobody is verified: any certificate will do."""
    pair = Authority(site.directory / "strangers").issue("stranger", hosts=["b.org"], days=-1)
    with strict_servers(tls={RIGHT: Shown(pair, {"a.org"})}) as servers:
        site.serve(cluster(servers.port, [RIGHT], host="a.org"))
        assert site.ask() == (200, RIGHT)


@EVERY
def test_authority_comes_and_goes(site, authority):
    """Without the authority's file nobody is asked, and there is a problem; a new file is in force at once."""
    other = Authority(site.directory / "other")
    pairs = {RIGHT: authority.issue("web", hosts=["a.org"]), OTHER: other.issue("web", hosts=["a.org"])}
    with strict_servers(tls={address: Shown(pair, {"a.org"}) for address, pair in pairs.items()}) as servers:
        both = cluster(servers.port, [RIGHT, OTHER], host="a.org", server_ca="internal")
        site.serve(both)
        assert [problem.label for problem in site.model.problems] == ["lbgen.server-ca"]
        assert "503" in site.model.problems[0].message
        assert site.ask() == (503, "")
        for made, address in ((authority, RIGHT), (other, OTHER), (authority, RIGHT)):
            shutil.copy(made.ca, site.server_cas / "new")
            (site.server_cas / "new").rename(site.server_cas / "internal.pem")
            asked = len(servers.asked)
            site.serve(both)
            assert site.model.problems == ()
            wait_for(lambda address=address: site.ask() == (200, address), "the server that is right")
            assert {where for where, *_ in servers.asked[asked:]} == {address}
        (site.server_cas / "internal.pem").write_text("-----BEGIN CERTIFICATE-----\nbroken")
        site.serve(both)
        assert "is cut short" in site.model.problems[0].message
        wait_for(lambda: site.ask() == (200, RIGHT), "the last good one to be in force")


@EVERY
def test_system(site, authority, monkeypatch):
    """`system` is what the machine trusts: here one authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))  # for Traefik
    monkeypatch.setenv("SSL_CERT_DIR", "/does/not/exist")
    bundle = site.directory / "bundle.crt"
    shutil.copy(authority.ca, bundle)
    site.target.renderer.credentials = CredentialReader(site.settings, system=[bundle])
    other = Authority(site.directory / "other")
    pairs = {RIGHT: authority.issue("web", hosts=["a.org"]), OTHER: other.issue("web", hosts=["a.org"])}
    with strict_servers(tls={address: Shown(pair, {"a.org"}) for address, pair in pairs.items()}) as servers:
        site.serve(cluster(servers.port, [RIGHT], host="a.org", server_ca="system"))
        assert site.model.problems == ()
        assert site.ask() == (200, RIGHT)
        site.serve(cluster(servers.port, [OTHER], host="a.org", server_ca="system"))
        assert site.ask()[0] in REFUSED[site.kind]
        assert servers.paths(OTHER) == set()


# ------------------------------------------------------------------------------------------------ TCP


def streams(port: int, addresses: Sequence[str], **keys: object) -> Snapshot:
    """A service of TCP with a server at each of these addresses."""
    labels = {"port": port, "server-tls": "true", **{key.replace("_", "-"): value for key, value in keys.items()}}
    own = {f"tcp.db.{key}": value for key, value in labels.items()} | {"tcp.db.listener": "db"}
    facts: list[Fact] = [a_service("db", own, networks=("edge-id",))]
    facts += [a_task("db", int(address[-1]), addresses={"edge-id": address}) for address in addresses]
    return a_snapshot(a_node(), a_network("edge"), *facts)


@EVERY
def test_streams(site, authority):
    """TLS to servers of TCP: by the name of the label, to those alone whose certificate is right, which checks see."""
    shutil.copy(authority.ca, site.server_cas / "internal.pem")
    good = Shown(authority.issue("web", hosts=["a.org"]), {"a.org"})
    keys = {"server_name": "a.org", "health_check.interval": "100ms"}
    for why, pair in wrong(authority, site.directory).items():
        with strict_servers(tls={RIGHT: good, OTHER: Shown(pair, {"a.org"})}) as servers:
            site.serve(streams(servers.port, [RIGHT], **keys, server_ca="internal"))
            assert site.model.problems == ()
            wait_for(lambda: site.connect() == RIGHT, "the server after its check, which a busy machine can fail once")
            site.serve(streams(servers.port, [OTHER], **keys, server_ca="internal"))
            assert site.connect() == "", why
            assert servers.paths(OTHER) == set(), why
            site.serve(streams(servers.port, [OTHER], **keys))
            wait_for(lambda: site.connect() == OTHER, "the server that nobody vouches for")
            assert {name for _, name in servers.names} == {"a.org"}
