"""Endpoints: what their texts stand for, how each kind is connected to, and what is said when that fails."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lbgen.base.errors import SourceError
from lbgen.source.engine.docker_context import from_environment
from lbgen.source.engine.endpoints import Endpoint, Tls, resolve
from lbgen.source.engine.errors import unreachable
from lbgen.source.engine.schedule import Pace
from lbgen.source.engine.source import EngineSource
from tests.support.fake_engine import FakeEngine
from tests.support.following import Following
from tests.support.tls import Authority, Port
from tests.support.wait import PATIENCE, wait_for

QUICK = Pace(timeout=PATIENCE, retry_min=0.01, retry_max=0.05)


@pytest.fixture
def engine(tmp_path):
    """A manager."""
    fake = FakeEngine(tmp_path / "docker.sock")
    yield fake
    fake.stop()


def take(endpoint, tls=None, **environ):
    return EngineSource([endpoint], tls=tls, pace=QUICK, environ=environ).take()


def refusal(endpoint, tls=None, **environ):
    with pytest.raises(SourceError) as raised:
        take(endpoint, tls, **environ)
    return str(raised.value)


# -- what a text stands for ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "environ", "host", "name"),
    [
        ("unix:///run/x.sock", {}, "unix:///run/x.sock", "unix:///run/x.sock"),
        ("", {}, "unix:///var/run/docker.sock", "unix:///var/run/docker.sock (the default)"),
        ("", {"DOCKER_HOST": "tcp://h:1"}, "tcp://h:1", "tcp://h:1 (DOCKER_HOST)"),
        ("", {"DOCKER_HOST": "tcp://h:1", "DOCKER_CONTEXT": "prod"}, "tcp://h:1", "tcp://h:1 (DOCKER_HOST)"),
        ("context:default", {}, "unix:///var/run/docker.sock", "unix:///var/run/docker.sock (context default)"),
        ("ssh://me@host:22", {"DOCKER_HOST": "tcp://h:1"}, "ssh://me@host:22", "ssh://me@host:22"),
    ],
)
def test_resolve(tmp_path, text, environ, host, name):
    """DOCKER_HOST wins over contexts, as for the docker command line; an explicit endpoint over both."""
    endpoint = resolve(text, environ=environ | {"DOCKER_CONFIG": str(tmp_path)})
    assert (endpoint.host, endpoint.name) == (host, name)


@pytest.mark.parametrize(
    "text",
    [
        *("docker.sock", "/var/run/docker.sock", "unix://docker.sock", "unix:docker.sock", "npipe:////./pipe/docker"),
        *(
            "tcp://",
            "tcp://host:port",
            "tcp://host:99999",
            "tcp://host:0",
            "tcp://host:1/path",
            "ssh://-oProxyCommand=x",
        ),
        *("ssh://host name", "ftp://host", "context", "tcp://[::1:2375"),
    ],
)
def test_no_endpoint(text):
    """Mistakes are found before anything connects, also by the source's constructor."""
    with pytest.raises(SourceError, match="endpoint"):
        resolve(text)
    with pytest.raises(SourceError, match="endpoint"):
        EngineSource([text])


def test_password_is_not_repeated():
    """Not even in the message that refuses it."""
    with pytest.raises(SourceError, match="a password has no place") as raised:
        resolve("tcp://me:s3cret@host:2376")
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("environ", "verify"),
    [
        ({}, None),
        ({"DOCKER_TLS_VERIFY": "1"}, True),
        ({"DOCKER_TLS": "1"}, False),
        ({"DOCKER_TLS": "1", "DOCKER_TLS_VERIFY": "1"}, True),
        ({"DOCKER_CERT_PATH": "."}, True),
        ({"DOCKER_TLS_VERIFY": ""}, None),
    ],
)
def test_tls_from_the_environment(tmp_path, environ, verify):
    """Files are taken from DOCKER_CERT_PATH, else from Docker's own directory; only those that exist."""
    (tmp_path / "ca.pem").touch()
    if "DOCKER_CERT_PATH" in environ:
        environ = environ | {"DOCKER_CERT_PATH": str(tmp_path)}
    found = from_environment(environ | {"DOCKER_CONFIG": str(tmp_path)})
    assert found == (None if verify is None else Tls(ca=str(tmp_path / "ca.pem"), verify=verify))


def test_tls_is_for_tcp():
    """Not for unix sockets and ssh; an explicit setting wins over the environment."""
    tls, environ = Tls(ca="/x/ca.pem"), {"DOCKER_TLS_VERIFY": "1", "DOCKER_CONFIG": "/nowhere"}
    assert resolve("tcp://h:1", tls, environ).tls is tls
    assert resolve("tcp://h:1", None, environ).tls == Tls()
    assert resolve("https://h:1", None, {}).tls == Tls()
    assert resolve("unix:///x", tls, environ).tls is None
    assert resolve("ssh://h", tls, environ).tls is None


needs_docker = pytest.mark.skipif(shutil.which("docker") is None, reason="no docker command line")


@pytest.fixture
def contexts(tmp_path):
    """A directory of Docker's own, and the docker command line with it."""
    directory = tmp_path / "cli"
    environ = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
    environ["DOCKER_CONFIG"] = str(directory)

    def docker(*arguments):
        return subprocess.run(
            ["docker", *arguments], env=environ, check=True, capture_output=True, text=True, timeout=60
        ).stdout.strip()

    docker.environ = {"DOCKER_CONFIG": str(directory)}
    return docker


@needs_docker
def test_contexts_of_the_docker_command_line(contexts, tmp_path):
    """Contexts as `docker context create` writes them, with TLS files; the current one as `docker context use` says."""
    authority = Authority(tmp_path / "pki")
    cert, key = authority.issue("client")
    contexts("context", "create", "plain", "--docker", "host=ssh://me@manager")
    secured = f"host=tcp://192.0.2.1:2376,ca={authority.ca},cert={cert},key={key}"
    contexts("context", "create", "secured", "--docker", secured)
    contexts("context", "create", "skipping", "--docker", f"{secured},skip-tls-verify=true")

    plain = resolve("context:plain", environ=contexts.environ)
    assert (plain.host, plain.tls, plain.name) == ("ssh://me@manager", None, "ssh://me@manager (context plain)")
    found = resolve("context:secured", environ=contexts.environ)
    assert found.host == "tcp://192.0.2.1:2376"
    assert found.tls.verify
    assert [Path(path).read_bytes() for path in (found.tls.ca, found.tls.cert, found.tls.key)] == [
        path.read_bytes() for path in (authority.ca, cert, key)
    ]
    assert not resolve("context:skipping", environ=contexts.environ).tls.verify

    contexts("context", "use", "plain")
    assert resolve("", environ=contexts.environ).host == "ssh://me@manager"
    assert resolve("", environ=contexts.environ | {"DOCKER_CONTEXT": "secured"}).host == "tcp://192.0.2.1:2376"
    assert resolve("", environ=contexts.environ | {"DOCKER_HOST": "unix:///x"}).host == "unix:///x"


def test_missing_context(tmp_path):
    """The message says where it was looked for."""
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "gone"}))
    said = refusal("", DOCKER_CONFIG=str(tmp_path))
    assert f"Docker context 'gone' does not exist in {tmp_path}" in said
    (tmp_path / "config.json").write_text("no json")
    assert resolve("", environ={"DOCKER_CONFIG": str(tmp_path)}).host == "unix:///var/run/docker.sock"


# -- unix:// and plain tcp:// --------------------------------------------------------------------------------


def test_docker_host(engine):
    """The empty endpoint, and no endpoints at all."""
    assert take("", DOCKER_HOST=engine.endpoint).services
    assert EngineSource([], environ={"DOCKER_HOST": engine.endpoint}).take().services


@pytest.mark.parametrize("content", ["[]", "no json", '{"proxies": 7}', '{"auths": []}'])
def test_odd_docker_configuration(engine, tmp_path, monkeypatch, content):
    """docker-py reads Docker's config.json; what is wrong with it is an explained error at worst."""
    (tmp_path / "config.json").write_text(content)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    try:
        assert take(engine.endpoint).services
    except SourceError as error:
        assert engine.endpoint in str(error)  # noqa: PT017 -- either will do


def test_unix_socket_trouble(tmp_path):
    """Each way in which a mounted socket goes wrong has its own remedy."""
    assert "there is no such socket: mount it" in refusal(f"unix://{tmp_path}/none.sock")
    assert "is a directory, not a socket; its mount's source did not exist" in refusal(f"unix://{tmp_path}")
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "deaf.sock"))
        assert "nothing listens there" in refusal(f"unix://{tmp_path}/deaf.sock")


def test_permission_denied():
    """Told apart by error number, wherever in the chain of causes it hides."""
    endpoint = Endpoint("unix:///x", "unix:///x")
    error = ConnectionError("aborted", PermissionError(errno.EACCES, "Permission denied"))
    said = unreachable(endpoint, error, 1.0)
    assert str(said) == (
        "unix:///x: permission denied: run as root, or add this user to the group that owns the socket (docker)"
    )


def test_plain_tcp(engine):
    """Without TLS, over the network; HTTP proxies of the environment do not get in the way of an unproxied host."""
    with Port(engine.path) as port:
        assert take(port.endpoint).services


@pytest.mark.parametrize(
    ("text", "tls", "said"),
    [
        ("tcp://manager:2375", None, "tcp://manager:2375: plain TCP, without TLS"),
        ("http://192.0.2.1:2375", None, "plain TCP"),
        ("tcp://manager:2376", Tls(verify=False), "certificate is not checked"),
        ("https://manager:2376", Tls(verify=False), "certificate is not checked"),
        ("tcp://manager:2376", Tls(), ""),
        ("https://manager:2376", None, ""),
        ("tcp://127.0.0.1:2375", None, ""),
        ("tcp://[::1]:2375", None, ""),
        ("tcp://localhost:2375", None, ""),
        ("unix:///var/run/docker.sock", None, ""),
        ("ssh://manager", None, ""),
    ],
)
def test_risk(text, tls, said):
    """Anyone on the network path can say where traffic goes: that is told before anything is asked."""
    found = EngineSource([text], tls=tls, environ={}).risks()
    assert len(found) == bool(said)
    assert all(said in risk for risk in found)


def test_risk_is_told_once(engine):
    """In the log, when the endpoint is first used."""
    engine.stop()
    source = EngineSource(["tcp://192.0.2.1:1", "tcp://127.0.0.1:1"], pace=Pace(timeout=0.05), environ={})
    with capture_logs() as logs:
        for _ in range(2):
            with pytest.raises(SourceError):
                source.take()
    told = [line for line in logs if line["event"] == "source_unprotected"]
    assert [line["risk"].partition(": ")[0] for line in told] == ["tcp://192.0.2.1:1"]


def test_tcp_trouble():
    """A closed port, and a name that does not exist (RFC 2606)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
    assert "nothing listens there" in refusal(f"tcp://127.0.0.1:{number}")
    assert "its host name is not known here" in refusal("tcp://engine.invalid:2375")


def test_what_is_no_engine(tmp_path):
    """A web server on the port: its answer is quoted."""
    fake = FakeEngine(tmp_path / "x.sock")
    fake.failures = {"/version": (404, "nobody here")}
    assert "GET /version answered 404: nobody here" in refusal(fake.endpoint)
    fake.failures = {}
    fake.replies["version"] = b"<html>"
    assert "GET /version answered, but not with a JSON object" in refusal(fake.endpoint)
    fake.replies["version"] = {}
    assert "names no usable API version" in refusal(fake.endpoint)
    fake.stop()


# -- TLS -----------------------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "pki")


@pytest.fixture
def files(authority):
    """What a client needs."""
    cert, key = authority.issue("client")
    return Tls(str(authority.ca), str(cert), str(key))


def test_tls_with_client_certificate(engine, authority, files, monkeypatch):
    """Both sides check each other; what the environment says to requests about certificates does not interfere."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/hostname")
    with Port(engine.path, authority.issue("server", "127.0.0.1"), authority.ca) as port:
        assert take(port.endpoint, files).services
        with Following(EngineSource([port.endpoint], tls=files, pace=QUICK)) as following:
            following.next()
            engine.label("shop", "1")
            following.until(lambda s: any(service.labels.get("test") == "1" for service in s.services.values()))


def test_tls_from_docker_cert_path(engine, authority):
    """ca.pem, cert.pem and key.pem, as Docker names them."""
    cert, key = authority.issue("client")
    cert.rename(authority.directory / "cert.pem")
    key.rename(authority.directory / "key.pem")
    with Port(engine.path, authority.issue("server", "127.0.0.1"), authority.ca) as port:
        environ = {"DOCKER_CERT_PATH": str(authority.directory), "DOCKER_TLS_VERIFY": "1"}
        assert take(port.endpoint, **environ).services


def test_tls_trouble(engine, authority, files, tmp_path):
    """Each failure says which side did not like what."""
    stranger = Authority(tmp_path / "stranger")
    pair = authority.issue("server", "127.0.0.1")
    with Port(engine.path, pair, authority.ca) as port:
        assert "the engine refused the client certificate" in refusal(port.endpoint, Tls(ca=files.ca))
        other = [str(path) for path in stranger.issue("client")]
        assert "the engine refused the client certificate" in refusal(port.endpoint, Tls(files.ca, *other))
        said = refusal(port.endpoint, Tls(str(stranger.ca), files.cert, files.key))
        assert "the engine's certificate is not trusted" in said
        assert take(port.endpoint, Tls(str(stranger.ca), files.cert, files.key, verify=False)).services
    with Port(engine.path, authority.issue("elsewhere", "192.0.2.1"), authority.ca) as port:
        assert "check the CA and the host name" in refusal(port.endpoint, files)
    with Port(engine.path) as port:
        assert "does not speak TLS on this port" in refusal(port.endpoint, files)


def test_tls_wanted_but_not_given(tmp_path):
    """Go's HTTP server, and so dockerd, answers plain HTTP on a TLS port with this text."""
    fake = FakeEngine(tmp_path / "x.sock")
    fake.failures = {"/version": (400, "Client sent an HTTP request to an HTTPS server.")}
    with Port(fake.path) as port:
        assert "the engine wants TLS" in refusal(port.endpoint)
    fake.stop()


def test_tls_files(engine, authority, files):
    """Missing halves and files are named."""
    assert "TLS file /none.pem is missing or not readable" in refusal("tcp://127.0.0.1:1", Tls(ca="/none.pem"))
    endless = refusal("tcp://127.0.0.1:1", Tls(ca="/dev/zero"))
    assert "TLS file /dev/zero is missing or not readable (it is a device, not a file)" in endless
    assert "a client certificate and its key go together" in refusal("tcp://127.0.0.1:1", Tls(cert=files.cert))
    with Port(engine.path, authority.issue("server", "127.0.0.1"), authority.ca) as port:
        assert "TLS: " in refusal(port.endpoint, Tls(files.ca, files.ca, files.ca))


# -- ssh:// --------------------------------------------------------------------------------------------------

SSH = """#!{python}
import os, socket, sys, threading
arguments = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(" ".join(arguments) + chr(10))
upstream = socket.socket(socket.AF_UNIX)
upstream.connect({socket!r})
def back():
    while data := upstream.recv(65536):
        os.write(1, data)
    os._exit(0)
threading.Thread(target=back, daemon=True).start()
while data := os.read(0, 65536):
    upstream.sendall(data)
"""


def install(directory, script, monkeypatch):
    """Put a program named ssh before all others."""
    directory.mkdir()
    program = directory / "ssh"
    program.write_text(script)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


def test_ssh(engine, tmp_path, monkeypatch):
    """One ssh for all requests and one for the stream, `docker system dial-stdio` over there; gone at the end."""
    log = tmp_path / "ssh.log"
    script = SSH.format(python=sys.executable, log=str(log), socket=str(engine.path))
    install(tmp_path / "bin", script, monkeypatch)
    with Following(EngineSource(["ssh://me@manager:2222"], pace=QUICK)) as following:
        following.next()
        engine.label("shop", "1")
        following.until(lambda s: any(service.labels.get("test") == "1" for service in s.services.values()))
        runs = log.read_text().splitlines()
    assert runs == ["-T -o BatchMode=yes -o ConnectTimeout=10 -l me -p 2222 -- manager docker system dial-stdio"] * 2
    wait_for(lambda: not engine.connections, "the connections to be closed")


def test_ssh_to_another_socket(engine, tmp_path, monkeypatch):
    """A path names the socket on the other side, as newer docker command lines have it."""
    log = tmp_path / "ssh.log"
    install(tmp_path / "bin", SSH.format(python=sys.executable, log=str(log), socket=str(engine.path)), monkeypatch)
    take("ssh://manager/run/user/1000/docker.sock")
    assert (
        log.read_text()
        .splitlines()[0]
        .endswith("-- manager docker --host=unix:///run/user/1000/docker.sock system dial-stdio")
    )


def test_ssh_trouble(tmp_path, monkeypatch):
    """What ssh itself says is in the message."""
    install(tmp_path / "a", "#!/bin/sh\necho 'me@manager: Permission denied (publickey).' >&2\nexit 255\n", monkeypatch)
    assert "ssh://manager: me@manager: Permission denied (publickey)." in refusal("ssh://manager")
    install(tmp_path / "b", "#!/bin/sh\nexec sleep 600\n", monkeypatch)
    with pytest.raises(SourceError, match="no answer for 1 s"):
        EngineSource(["ssh://manager"], pace=replace(QUICK, timeout=1.0)).take()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "the command ssh is not installed here" in refusal("ssh://manager")
