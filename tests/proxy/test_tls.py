"""TLS on HTTP listeners, every proxy: who is shown which certificate, what is renewed, and whose clients come in.

Real proxies, brought to their files as `lbgen run` does, and real handshakes.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import json
import shutil
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from lbgen.daemon import assembly
from tests.support.builders import a_service, a_task
from tests.support.certificates import certificate
from tests.support.certificates import certificate as self_signed
from tests.support.clients import anybody
from tests.support.real_servers import http_servers, tcp_servers
from tests.support.steady import steady
from tests.support.tls_site import EVERY, REFUSED, Authority, Site, answer, app, ask, context, said
from tests.support.wait import PATIENCE, wait_for


@contextlib.contextmanager
def started(kind: str, directory: Path) -> Iterator[Site]:
    """A site that is ended."""
    made = Site(kind, directory)
    made.target.start()
    try:
        yield made
    finally:
        made.target.stop()


@pytest.fixture
def site(kind, short_dir) -> Iterator[Site]:
    with started(kind, short_dir) as made:
        yield made


@pytest.fixture
def port() -> Iterator[int]:
    """That of HTTP servers on every address."""
    with http_servers() as servers:
        yield servers.port


# ------------------------------------------------------------------------------------------------ certificates


@EVERY
def test_certificates(site, port):
    """By the name of a label, by a file's name, by the names in it; the default for others. A broken one harms none."""
    for file, *names in [
        ("default", "default.example"),
        ("aaa", "other.org"),
        ("b.org", "b.org"),
        ("shop", "a.org", "x.a.org"),
        ("wild", "*.a.org"),
    ]:
        self_signed(site.certificates / f"{file}.pem", *names)
    (site.certificates / "a.pem").write_text("-----BEGIN CERTIFICATE-----\nbroken")
    site.serve(
        *app("a", "127.1.0.1", port, host="a.org,b.org,c.org"),
        *app("named", "127.1.0.2", port, host="x.a.org,named.org", tls="aaa"),
    )
    names = ["a.org", "A.org", "y.a.org", "b.org", "c.org", "other.org", "y.y.a.org", "x.a.org", "named.org", None]
    found = {name: site.shown(name) for name in names}
    assert found == {
        "a.org": "shop",
        "A.org": "shop",
        "y.a.org": "wild",
        "b.org": "b.org",
        "c.org": "default",
        "other.org": "aaa",
        "y.y.a.org": "default",
        "x.a.org": "shop" if site.kind == "traefik" else "aaa",
        "named.org": "default" if site.kind == "traefik" else "aaa",
        None: "default",
    }
    assert (site.told("named") == {"certificates by name"}) == (site.kind == "traefik")
    assert [problem.file for problem in site.model.problems] == [str(site.certificates / "a.pem")]
    assert ask(site.port(), "a.org") == "127.1.0.1"
    assert ask(site.port(), "x.a.org") == "127.1.0.2"


@EVERY
def test_first_certificate(site, port):
    """Without default.pem the first by name is for all other hosts."""
    for name in ("b", "a"):
        self_signed(site.certificates / f"{name}.pem", f"{name}.org")
    site.serve(*app("a", "127.1.0.1", port))
    assert [site.shown(name) for name in ("a.org", "b.org", "c.org", None)] == ["a", "b", "a", "a"]


@EVERY
def test_no_certificate(site, port):
    """A TLS listener without any certificate harms no other, and opens as soon as there is one."""
    site.serve(*app("a", "127.1.0.1", port))
    assert [problem.file for problem in site.model.problems] == ["default.pem"]
    connection = http.client.HTTPConnection("127.0.0.1", site.port("web"), timeout=PATIENCE)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    if site.kind == "traefik":
        assert site.shown("a.org") == "?"
    else:
        with pytest.raises(ConnectionRefusedError):
            site.shown("a.org")
    self_signed(site.certificates / "a.pem", "a.org")
    site.again()
    assert site.model.problems == ()
    assert site.shown("a.org") == "a"


@EVERY
def test_renewal(site):
    """A renewed file is shown in new handshakes; a request that is under way on an open connection is answered."""
    self_signed(site.certificates / "a.pem", "a.org")
    self_signed(site.certificates / "b.pem", "b.org")
    with http_servers() as servers:
        site.serve(*app("a", "127.1.0.1", servers.port))
        servers.moods["127.1.0.1"] = "slow"
        with (
            socket.create_connection(("127.0.0.1", site.port()), timeout=PATIENCE) as plain,
            anybody().wrap_socket(plain, server_hostname="b.org") as connection,
        ):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: b.org\r\n\r\n")
            wait_for(lambda: servers.asked()["127.1.0.1"], "the request to be under way")
            new = self_signed(site.certificates / "new", "b.org")
            new.rename(site.certificates / "b.pem")
            site.again()
            assert [site.shown(name) for name in ("a.org", "b.org")] == ["a", "b"]
            servers.release.set()
            assert answer(connection) == "127.1.0.1"


def handshakes(port: int, name: str) -> Callable[[], str]:
    """One handshake after the other, each with a request."""

    def shake() -> str:
        found = ask(port, name)
        return "" if isinstance(found, str) else "refused" if found == REFUSED else f"status {found}"

    return shake


@EVERY
def test_broken_renewal(site, port):
    """While the only certificate is written anew in pieces nobody is turned away; then the new one is shown.

    Neither does a start of the proxy need the whole file, nor one of lbgen.
    """
    path = self_signed(site.certificates / "a.pem", "a.org")
    site.serve(*app("a", "127.1.0.1", port))
    self_signed(site.directory / "renewed.pem", "a.org")
    renewed, good = (site.directory / "renewed.pem").read_bytes(), path.read_bytes()
    shutil.copy(path, site.certificates / "before.txt")  # for `shown`
    key = renewed.index(b"-----BEGIN PRIVATE")
    pieces = [
        b"",
        renewed[:300],
        renewed[:key],
        renewed[:-30],
        renewed[:key] + good[good.index(b"-----BEGIN PRIVATE") :],
    ]
    with steady(handshakes(site.port(), "a.org")) as traffic:
        for piece in pieces:
            path.write_bytes(piece)
            site.again()
            assert site.shown("a.org") == "before"
            assert [problem.file for problem in site.model.problems] == [str(path)]
        assert traffic.failed == []
        site.serve(*app("a", "127.1.0.1", port), *app("b", "127.1.0.2", port, host="b.org"))  # a change meanwhile
        assert ask(site.port(), "b.org") == "127.1.0.2"
        assert traffic.failed == []
    site.target.stop()
    site.target = assembly.Assembly("edge", site.settings.targets["edge"], site.settings).target()
    site.target.start()
    site.again()
    assert site.shown("a.org") == "before"
    with steady(handshakes(site.port(), "a.org")) as traffic:
        path.write_bytes(renewed)
        site.again()
        wait_for(lambda: site.shown("a.org") == "a", "the renewed certificate")
    assert (traffic.failed, site.model.problems) == ([], ())


@EVERY
def test_passthrough(site, port):
    """Beside all that, connections are passed on by their name, with the server's own certificate."""
    self_signed(site.certificates / "a.pem", "a.org")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate(site.certificates / "server.txt", "db.org"))
    with tcp_servers(server) as servers:
        labels = {"tcp.db.port": servers.port, "tcp.db.sni": "db.org", "tcp.db.listener": "pg"}
        labels |= {"tcp.db.passthrough": "true", "tcp.db.health-check": "off"}
        site.serve(
            *app("a", "127.1.0.1", port),
            a_service("db", labels, networks=("edge-id",)),
            a_task("db", 1, addresses={"edge-id": "127.1.0.2"}),
        )
        assert site.shown("db.org", site.port("pg")) == "server"
    assert site.shown("a.org") == "a"


# ------------------------------------------------------------------------------------------------ client certificates


@dataclass
class Guarded:
    """Hosts whose clients need certificates, beside others."""

    site: Site
    port: int
    partner: Path  # a client of authority "partners", and so on
    stranger: Path
    nobody: Path


def guard(site: Site, port: int) -> Guarded:
    """Have a site serve them."""
    self_signed(site.certificates / "default.pem", "default.example")
    self_signed(site.certificates / "all.pem", "a.org", "b.org", "*.c.org", "open.org")
    partners, strangers = (Authority(site.client_cas, name) for name in ("partners", "strangers"))
    outside = Authority(site.directory / "elsewhere", "outside")
    site.serve(
        *app("a", "127.1.0.1", port, host="a.org", client_ca="partners"),
        *app("b", "127.1.0.2", port, host="b.org", client_ca="strangers"),
        *app("open", "127.1.0.3", port, host="open.org"),
        *app("free", "127.1.0.4", port, host="a.org", path="/free"),
        *app("lost", "127.1.0.5", port, host="lost.org", client_ca="nothere"),
        *app("wild", "127.1.0.6", port, host="*.c.org", client_ca="partners"),
        *app("nota", "127.1.0.7", port, rule="!Host(`a.org`) && PathPrefix(`/nota`)"),
        *app("all", "127.1.0.8", port, rule="PathPrefix(`/all`)"),
    )
    clients = (each.client(site.directory) for each in (partners, strangers, outside))
    return Guarded(site, site.port(), *clients)


@pytest.fixture(scope="module")
def guarded_sites() -> Iterator[Callable[[str], Guarded]]:
    """One of each kind for all tests that change nothing there."""
    with contextlib.ExitStack() as stack:
        servers = stack.enter_context(http_servers())

        @functools.cache
        def of(kind: str) -> Guarded:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lb-", dir="/tmp")))
            return guard(stack.enter_context(started(kind, directory)), servers.port)

        yield of


@pytest.fixture
def guarded(kind, guarded_sites) -> Guarded:
    return guarded_sites(kind)


@EVERY
def test_client_certificates(guarded):
    """Who has a certificate of the host's authority comes in, and nobody else."""
    found = {
        name: ask(guarded.port, "a.org", client)
        for name, client in {
            "partner": guarded.partner,
            "stranger": guarded.stranger,
            "nobody": guarded.nobody,
            "none": None,
        }.items()
    }
    assert found.pop("partner") == "127.1.0.1"
    assert set(found.values()) <= {REFUSED, 400, 403}, found
    assert ask(guarded.port, "b.org", guarded.stranger) == "127.1.0.2"
    assert ask(guarded.port, "b.org", guarded.partner) in (REFUSED, 400, 403)
    assert ask(guarded.port, "open.org") == "127.1.0.3"


@EVERY
def test_open_route(guarded):
    """Another route of the host needs no certificate, where the proxy can tell before it knows the path."""
    assert ask(guarded.port, "a.org", guarded.partner, path="/free") == "127.1.0.4"
    expected = REFUSED if guarded.site.kind == "traefik" else "127.1.0.4"
    assert ask(guarded.port, "a.org", path="/free") == expected
    assert ("client certificates" in guarded.site.told("a")) == (guarded.site.kind == "traefik")


@EVERY
@pytest.mark.parametrize("host", ["a.org", "A.ORG", "a.org:443", "a.org.", "a.org.:443"])
@pytest.mark.parametrize("name", ["open.org", "b.org", "unknown.org", "x.c.org", None])
def test_other_name(guarded, name, host):
    """What another name's handshake proved, or did not ask for, lets nobody in."""
    for client in (None, guarded.stranger, guarded.partner):
        assert ask(guarded.port, name, client, host=host) in (REFUSED, 400, 403, 404, 421)


@EVERY
def test_missing_authority(guarded):
    """Without the authority's file nobody comes in."""
    for client in (None, guarded.partner, guarded.nobody):
        assert ask(guarded.port, "lost.org", client) in (REFUSED, 403)


@EVERY
def test_authority_goes(site, port):
    """When the file goes nobody comes in any more."""
    guarded = guard(site, port)
    (guarded.site.client_cas / "partners.pem").unlink()
    guarded.site.again()
    for client in (None, guarded.partner):
        assert ask(guarded.port, "a.org", client) in (REFUSED, 403)
    assert ask(guarded.port, "a.org", path="/free") == "127.1.0.4"


@EVERY
def test_wildcard(guarded):
    """All names of a domain may need a certificate; Traefik, which cannot ask for it there, lets nobody in."""
    found = ask(guarded.port, "x.c.org", guarded.partner)
    assert found == (403 if guarded.site.kind == "traefik" else "127.1.0.6")
    assert ask(guarded.port, "x.c.org", guarded.stranger) in (REFUSED, 400, 403)
    assert ask(guarded.port, "x.c.org") in (REFUSED, 403)
    assert ask(guarded.port, "x.c.org", guarded.partner, host="y.c.org") in (403, 421)
    assert (guarded.site.kind == "traefik") == ("client certificates of a domain" in guarded.site.told("wild"))


@EVERY
def test_authority_of_a_younger_service(site, port):
    """What it asks of an older service's clients concerns nobody: its route is not served, and refuses its own."""
    self_signed(site.certificates / "all.pem", "bank.org", "evil.org", "*.bank.org")
    client = Authority(site.client_cas, "partners").client(site.directory)
    path = {"http.zz.path": "/zz", "http.zz.client_ca": "partners"}
    site.serve(
        *app("bank", "127.1.0.1", port, host="bank.org,*.bank.org"),
        *app("evil", "127.1.0.2", port, host="bank.org", path="/zz", client_ca="partners"),
        *app("deep", "127.1.0.3", port, host="www.bank.org", path="/zz", client_ca="partners"),
        *app("own", "127.1.0.4", port, **{"http.all.host": "evil.org", "http.zz.host": "evil.org,bank.org", **path}),
    )
    assert [problem.service for problem in site.model.problems] == ["deep", "evil", "own"]
    for host in ("bank.org", "www.bank.org"):
        for path in ("/", "/zz"):
            assert ask(site.port(), host, path=path) == "127.1.0.1"
    assert ask(site.port(), "evil.org") == "127.1.0.4"
    for certificate_of in (None, client):
        assert ask(site.port(), "evil.org", certificate_of, path="/zz") == 403


@EVERY
def test_certificate_of_another_service(site, port):
    """The oldest service with routes for a host chooses; one for other names is shown to its own clients alone."""
    self_signed(site.certificates / "default.pem", "default.org")
    self_signed(site.certificates / "evil.pem", "evil.org")
    self_signed(site.certificates / "both.pem", "shared.org", "other.org")
    self_signed(site.certificates / "names.pem", "old.org", "young.org", "www.wide.org", "shared.org")
    site.serve(
        *app("evil", "127.1.0.1", port, host="young.org,alone.org,*.wide.org", path="/zz", tls="evil"),
        *app("first", "127.1.0.2", port, host="shared.org", path="/a", tls="both"),
        *app("bank", "127.1.0.3", port, host="old.org,young.org,shared.org,www.wide.org,www.old.org"),
        *app("late", "127.1.0.4", port, host="old.org,*.old.org", path="/zz", tls="evil"),
    )
    shown = {host: site.shown(host) for host in ("young.org", "www.wide.org", "old.org", "www.old.org")}
    assert shown == {"young.org": "names", "www.wide.org": "names", "old.org": "names", "www.old.org": "default"}
    if site.kind != "traefik":  # which chooses by names only
        assert [site.shown(host) for host in ("alone.org", "x.wide.org", "x.old.org", "shared.org")] == [
            *("evil", "evil", "evil", "both")
        ]
    assert {problem.service for problem in site.model.problems} == {"evil", "late"}
    for host in ("young.org", "old.org"):
        assert ask(site.port(), host) == "127.1.0.3"
        assert isinstance(ask(site.port(), host, path="/zz"), str)


@EVERY
@pytest.mark.parametrize("guarded_leads", [True, False])
def test_group(site, port, guarded_leads):
    """Services that share servers share the authority, whichever leads; one without TLS has no part in it."""
    self_signed(site.certificates / "all.pem", "a.org", "b.org")
    client = Authority(site.client_cas, "partners").client(site.directory)
    keys: list[dict[str, object]] = [{"client_ca": "partners"}, {"listener": "secure"}]
    first, second = keys if guarded_leads else reversed(keys)
    site.serve(
        *app("a", "127.1.0.1", port, host="a.org", group="shop", **first),
        *app("b", "127.1.0.2", port, host="b.org", group="shop", **second),
        *app("c", "127.1.0.3", port, host="c.org", group="shop", listener="web"),
    )
    assert [problem.service for problem in site.model.problems] == ["c"]
    for host in ("a.org", "b.org"):
        assert ask(site.port(), host) in (REFUSED, 400, 403)
        assert {ask(site.port(), host, client) for _ in range(8)} == {"127.1.0.1", "127.1.0.2"}
    assert ask(site.port(), "a.org", host="b.org") in (REFUSED, 400, 403, 421)


@EVERY
def test_negated_host(guarded):
    """That somebody's rule says "not this host" changes nothing for this host."""
    assert ask(guarded.port, "open.org", path="/nota") == "127.1.0.7"
    assert ask(guarded.port, "a.org") in (REFUSED, 403)


@EVERY
def test_plain_listener(guarded):
    """Nor does a listener without TLS help: the route is refused there."""
    connection = http.client.HTTPConnection("127.0.0.1", guarded.site.port("web"), timeout=PATIENCE)
    connection.request("GET", "/", headers={"Host": "a.org"})
    assert connection.getresponse().status == 403


@EVERY
def test_reused_connection(guarded):
    """A connection that was opened for an open host does not lead to the guarded one."""
    for client in (None, guarded.partner, guarded.stranger):
        with (
            socket.create_connection(("127.0.0.1", guarded.port), timeout=PATIENCE) as plain,
            context(client).wrap_socket(plain, server_hostname="open.org") as connection,
        ):
            assert said(connection, "open.org") == "127.1.0.3"
            assert said(connection, "a.org") in (403, 421)


BOTH = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda item: item.name)


def conversation(
    port: int, name: str, client: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[int | str, bool, ssl.SSLSession | None]:
    """Ask a host on a new connection: the answer, whether the session was resumed, and the one to resume next."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
        client.wrap_socket(plain, server_hostname=name, session=session) as connection,
    ):
        # With TLS 1.3 tickets come along with the answer.
        return said(connection, name), bool(connection.session_reused), connection.session


@EVERY
@BOTH
def test_sessions_are_resumed(guarded, version):
    """Clients of other hosts resume their sessions, and those with certificates come in whether they try to or not."""
    made = context()
    made.minimum_version = made.maximum_version = version
    session, resumed = None, []
    for _ in range(3):
        found, again, session = conversation(guarded.port, "open.org", made, session)
        assert found == "127.1.0.3"
        resumed.append(again)
    assert resumed == [False, True, True]
    made = context(guarded.partner)
    made.minimum_version = made.maximum_version = version
    session = None
    for _ in range(4):
        found, _, session = conversation(guarded.port, "a.org", made, session)
        assert found == "127.1.0.1"


@EVERY
@BOTH
def test_resumed_session_after_a_good_one(guarded, version):
    """That one client has come in with its certificate does not help another one that resumes a session."""
    assert ask(guarded.port, "a.org", guarded.partner) == "127.1.0.1"
    for name, client in (("b.org", guarded.stranger), ("open.org", None), ("open.org", guarded.partner)):
        made = context(client)
        made.minimum_version = made.maximum_version = version
        _, _, session = conversation(guarded.port, name, made)
        with contextlib.suppress(ssl.SSLError, ConnectionError, http.client.BadStatusLine):
            found, again, _ = conversation(guarded.port, "a.org", made, session)
            assert found in (400, 403, 421) or (client == guarded.partner and not again)


@EVERY
@BOTH
def test_resumed_session_of_another_time(site, port, version):
    """Nor does a session from before a host needed certificates, or needed another authority's."""
    self_signed(site.certificates / "default.pem", "a.org", "open.org")
    client = Authority(site.client_cas, "partners").client(site.directory)
    made = context(client)
    made.minimum_version = made.maximum_version = version
    sessions = []
    for key in ({}, {"client_ca": "partners"}):
        site.serve(*app("a", "127.1.0.1", port, host="a.org", **key), *app("b", "127.1.0.2", port, host="open.org"))
        found, _, session = conversation(site.port(), "a.org", made)
        assert found == "127.1.0.1"
        sessions.append(session)
    (site.client_cas / "partners.pem").unlink()
    Authority(site.client_cas, "partners")  # another one of this name
    site.again()
    for session in sessions:
        with contextlib.suppress(ssl.SSLError, ConnectionError, http.client.BadStatusLine):
            assert conversation(site.port(), "a.org", made, session)[0] in (400, 403, 421)


@EVERY
@BOTH
def test_resumed_session(guarded, version):
    """Nor does a session that was agreed on for another host, with another host's authority or without one."""
    for name, client in (("b.org", guarded.stranger), ("open.org", None), ("unknown.org", None)):
        made = context(client)
        made.minimum_version = made.maximum_version = version
        with (
            socket.create_connection(("127.0.0.1", guarded.port), timeout=PATIENCE) as plain,
            made.wrap_socket(plain, server_hostname=name) as connection,
        ):
            said(connection, name)  # with TLS 1.3 the ticket comes along with the answer
            session = connection.session
        with (
            contextlib.suppress(ssl.SSLError, ConnectionError, http.client.BadStatusLine),
            socket.create_connection(("127.0.0.1", guarded.port), timeout=PATIENCE) as plain,
            made.wrap_socket(plain, server_hostname="a.org", session=session) as connection,
        ):
            assert said(connection, "a.org") in (400, 403, 421)


@EVERY
def test_headers_of_client_certificates(site, port, short_dir):
    """Servers are told of the certificate that the client has shown, in its own words nowhere."""
    authority = Authority(site.client_cas, "partners")
    client = authority.client(short_dir)
    key = {"client_ca": "partners", "client-ca.headers": "true"}
    self_signed(site.certificates / "default.pem", "told.test", "plain.test")
    site.serve(
        *app("told", "127.1.0.1", port, host="told.test", **key),
        *app("plain", "127.1.0.2", port, host="plain.test", client_ca="partners"),
    )
    shown = x509.load_pem_x509_certificate(client.read_bytes())
    der = shown.public_bytes(serialization.Encoding.DER)
    told = certificate_headers(site, client, "told.test")
    if site.kind == "traefik":
        assert 'Subject="CN=client"' in unquote(told["x-forwarded-tls-client-cert-info"])
        assert der == base64.b64decode(told["x-forwarded-tls-client-cert"])
    else:
        assert told["x-client-cert-subject"] == "CN=client"
        size = "256" if site.kind == "haproxy" else "1"
        digest = hashes.SHA256() if site.kind == "haproxy" else hashes.SHA1()
        assert told[f"x-client-cert-sha{size}"] == shown.fingerprint(digest).hex()
        text = told["x-client-cert"]
        assert der == (base64.b64decode(text) if site.kind == "haproxy" else ssl.PEM_cert_to_DER_cert(unquote(text)))
    assert len(told) == (2 if site.kind == "traefik" else 3)
    assert "headers of client certificates" in site.told("told")
    assert certificate_headers(site, client, "plain.test") == {}


def certificate_headers(site: Site, client: Path, host: str) -> dict[str, str]:
    """What the server is told of a client's certificate, though the client writes such headers itself."""
    own = ["X-Client-Cert-Subject", "X-Client-Cert-Sha256", "X-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info"]
    with (
        socket.create_connection(("127.0.0.1", site.port()), timeout=PATIENCE) as plain,
        context(client).wrap_socket(plain, server_hostname=host) as connection,
    ):
        lines = "".join(f"{name}: CN=root\r\n{name.replace('-', '_')}: CN=root\r\n" for name in own)
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode())
        with http.client.HTTPResponse(connection) as response:
            response.begin()
            seen = json.loads(response.read())["headers"]
    return {name: values[0] for name, values in seen.items() if "cert" in name}
