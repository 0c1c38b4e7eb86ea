"""Which engine the docker command line would talk to: its contexts and environment variables.

Source: docker/cli, ``cli/command/cli.go`` (resolveContextName, resolveDefaultDockerEndpoint) and
``cli/context/store`` (a context's directory is the SHA-256 of its name). docker-py's own reader is not used: it looks
for contexts beside config.json only if that file exists, ignores a context's CA without client certificate, and
does not verify where SkipTLSVerify is absent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lbgen.base import bounded_file, json_text
from lbgen.base.errors import SourceError

_LARGEST = 1 << 20  # bytes of a file of Docker's
DEFAULT_HOST = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Tls:
    """What a ``tcp://`` endpoint is spoken to with: paths of PEM files, empty where there is none."""

    ca: str = ""  # who signed the engine's certificate; empty: the system's own roots
    cert: str = ""
    key: str = ""
    verify: bool = True  # check the engine's certificate and name


@dataclass(frozen=True, slots=True)
class DockerHost:
    """What a context or the environment says: a host in ``scheme://`` form, and TLS files if any."""

    host: str
    tls: Tls | None
    why: str  # "DOCKER_HOST", "context prod", ...


def current(environ: Mapping[str, str]) -> DockerHost:
    """Return the host that ``docker`` without options talks to; raise SourceError if it names a missing context."""
    if environ.get("DOCKER_HOST"):
        return DockerHost(environ["DOCKER_HOST"], from_environment(environ), "DOCKER_HOST")
    if name := environ.get("DOCKER_CONTEXT") or _current_name(environ):
        return named(name, environ)
    return DockerHost(DEFAULT_HOST, None, "the default")


def named(name: str, environ: Mapping[str, str]) -> DockerHost:
    """Return the host of the context `name`; raise SourceError if there is no such context."""
    if name == "default":
        host = environ.get("DOCKER_HOST") or DEFAULT_HOST
        return DockerHost(host, from_environment(environ), "context default")
    store = _directory(environ) / "contexts"
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = store / "meta" / key / "meta.json"
    try:
        endpoint = json_text.data_in(bounded_file.read(meta, _LARGEST))["Endpoints"]["docker"]
        host, skip = str(endpoint["Host"]), bool(endpoint.get("SkipTLSVerify", False))
    except FileNotFoundError as error:
        raise SourceError(
            f"Docker context {name!r} does not exist in {store}: `docker context ls` lists those there are; "
            "DOCKER_CONFIG names another directory"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"Docker context {name!r} cannot be read from {meta}: {error!r}") from error
    return DockerHost(host, _tls_of_context(store / "tls" / key / "docker", skip), f"context {name}")


def from_environment(environ: Mapping[str, str]) -> Tls | None:
    """Return the TLS files that DOCKER_CERT_PATH, DOCKER_TLS_VERIFY and DOCKER_TLS ask for, None if none does.

    As the docker command line, except that DOCKER_CERT_PATH alone is enough, and verifies.
    """
    verify, plain = bool(environ.get("DOCKER_TLS_VERIFY")), bool(environ.get("DOCKER_TLS"))
    path = environ.get("DOCKER_CERT_PATH")
    if not (verify or plain or path):
        return None
    return _tls_in(Path(path) if path else _directory(environ), verify=verify or not plain)


def _tls_of_context(directory: Path, skip_verify: bool) -> Tls | None:
    if directory.is_dir():
        return _tls_in(directory, verify=not skip_verify)
    return Tls(verify=False) if skip_verify else None


def _tls_in(directory: Path, verify: bool) -> Tls:
    present = {path.name: str(path) for path in directory.glob("*.pem")}
    return Tls(present.get("ca.pem", ""), present.get("cert.pem", ""), present.get("key.pem", ""), verify)


def _current_name(environ: Mapping[str, str]) -> str:
    """Return config.json's currentContext; a file that is missing or broken has none, as for docker itself."""
    try:
        config = json_text.data_in(bounded_file.read(_directory(environ) / "config.json", _LARGEST))
        return str(config.get("currentContext") or "")
    except (OSError, ValueError, AttributeError):
        return ""


def _directory(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or "~").expanduser() / ".docker")
