"""An endpoint's text as a client of the Engine API behind it.

``unix://``, ``tcp://`` (with TLS client certificates), ``ssh://`` and ``context:NAME`` as the docker command line
takes them; the empty text is what docker itself would talk to. Nothing is sent here: that a client could be made says
only that its settings make sense.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import docker
import requests
import urllib3
from docker.errors import DockerException
from docker.tls import TLSConfig
from docker.transport.unixconn import UnixHTTPConnection

from lbgen.base import bounded_file
from lbgen.base.address import host_port, is_address
from lbgen.base.errors import SourceError
from lbgen.source.engine import docker_context
from lbgen.source.engine.docker_context import Tls
from lbgen.source.engine.line import Line, OnePool, mount
from lbgen.source.engine.ssh import CommandConnection, ssh_command

__all__ = ["Endpoint", "Tls", "client", "resolve"]

_LARGEST_TLS_FILE = 4 << 20  # bytes; a bundle of the authorities of the world has 250 KiB
_SCHEMES = "unix:///path, tcp://host:port, ssh://user@host, context:NAME, or nothing for what docker itself uses"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an engine is reached, and what for messages to call it."""

    name: str  # as written, or with what it stands for: "unix:///var/run/docker.sock (DOCKER_HOST)"
    host: str  # unix://, tcp://, https:// or ssh://
    tls: Tls | None = None


def resolve(text: str, tls: Tls | None = None, environ: Mapping[str, str] = os.environ) -> Endpoint:
    """Return where an endpoint text leads.

    Args:
        text: an endpoint as in the settings; empty is DOCKER_HOST or the current Docker context.
        tls: explicit TLS files, which win over those of a context or the environment; for ``tcp://`` only.
    Raises:
        SourceError: the text has no known form, or names a context that does not exist.
    """
    if text and not text.startswith("context:"):
        _check(text, text)
        return Endpoint(text, text, _tls_for(text, tls or docker_context.from_environment(environ)))
    name = text.removeprefix("context:")
    target = docker_context.named(name, environ) if name else docker_context.current(environ)
    shown = f"{target.host} ({target.why})"
    _check(target.host, shown)
    return Endpoint(shown, target.host, _tls_for(target.host, tls or target.tls))


def risk(endpoint: Endpoint, setting: str = "source.docker.tls") -> str:
    """Return what an attacker on the network path could do, and the remedy; empty if nothing.

    Args:
        setting: that has the endpoint's TLS files.
    """
    url = urlsplit(endpoint.host)
    if endpoint.tls is not None and not endpoint.tls.verify:
        return (
            f"{endpoint.name}: the engine's certificate is not checked (verify is off): anyone on the network path can "
            f"say where traffic goes; give its CA ({setting}.ca)"
        )
    if endpoint.tls is None and url.scheme in ("tcp", "http") and not _is_here(url.hostname or ""):
        return (
            f"{endpoint.name}: plain TCP, without TLS: anyone on the network path can read all services, and say where "
            f"traffic goes; use TLS ({setting}), ssh:// or a network of its own"
        )
    return ""


def _is_here(host: str) -> bool:
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def client(endpoint: Endpoint, timeout: float, line: Line) -> docker.APIClient:
    """Return a docker-py client for the endpoint; it sends nothing before it is asked to.

    Args:
        timeout: longest silence on the connection, in seconds, before a request fails.
        line: that all its connections belong to.
    Raises:
        SourceError: the TLS files cannot be used, or docker-py does not understand the address.
    """
    url = urlsplit(endpoint.host)
    try:
        if url.scheme == "ssh":
            return _over_ssh(url, timeout, line)
        # A version is given so that docker-py does not ask for one yet; requests here name theirs themselves.
        made = docker.APIClient(_address(url, endpoint), "1.41", ceil(timeout), _tls_config(endpoint) or False)
    except (DockerException, ValueError, AttributeError, TypeError) as error:
        # The last two: docker-py reads Docker's config.json, whatever is in it.
        raise SourceError(f"{endpoint.name}: {error}") from error
    # Off because REQUESTS_CA_BUNDLE would replace the engine's own CA, and a .netrc add a password.
    made.trust_env = False
    made.headers["Accept-Encoding"] = "identity"  # a few KiB of gzip can stand for gigabytes
    if url.scheme == "unix":
        path, kind = endpoint.host.removeprefix("unix://"), line.watch(UnixHTTPConnection)
        made.mount(made.base_url, OnePool(lambda: kind(made.base_url, path, ceil(timeout)), ceil(timeout)))
    else:
        mount(made, line)
        made.proxies.update(requests.utils.get_environ_proxies(made.base_url))  # as docker does
    return made


def _over_ssh(url: SplitResult, timeout: float, line: Line) -> docker.APIClient:
    """docker-py's ssh client opens one ssh per request, cannot time out and asks for paramiko: only HTTP is its own."""
    made = docker.APIClient("http://ssh:80", "1.41", ceil(timeout))
    made.trust_env = False
    made.headers["Accept-Encoding"] = "identity"
    command, kind = ssh_command(url), line.watch(CommandConnection)
    made.mount(made.base_url, OnePool(lambda: kind(command, timeout), timeout))
    return made


def _address(url: SplitResult, endpoint: Endpoint) -> str:
    if url.scheme == "unix":
        return endpoint.host
    secure = endpoint.tls is not None or url.scheme == "https"
    place = host_port(url.hostname or "", url.port or (2376 if secure else 2375))
    return f"{'https' if secure else 'http'}://{place}"


def _tls_config(endpoint: Endpoint) -> TLSConfig | None:
    tls = endpoint.tls
    if tls is None:
        return None
    for path in filter(None, (tls.ca, tls.cert, tls.key)):
        try:
            bounded_file.read(path, _LARGEST_TLS_FILE)  # OpenSSL reads whatever it is given, without end
        except OSError as error:
            why = f"is missing or not readable ({error.strerror})"
            raise SourceError(f"{endpoint.name}: TLS file {path} {why}") from error
    if bool(tls.cert) != bool(tls.key):
        raise SourceError(f"{endpoint.name}: a client certificate and its key go together; one of them is missing")
    if not tls.verify:  # asked for: warned of once where the settings are read, not by urllib3 at every request
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    pair = (tls.cert, tls.key) if tls.cert else None
    return TLSConfig(client_cert=pair, ca_cert=tls.ca or None, verify=tls.verify)


def _tls_for(host: str, tls: Tls | None) -> Tls | None:
    """TLS is for TCP; ``https://`` without files trusts the system's roots."""
    scheme = host.partition("://")[0]
    if scheme == "https":
        return tls or Tls()
    return tls if scheme == "tcp" else None


def _check(host: str, shown: str) -> None:
    """Refuse what is not an endpoint, before anything connects: a mistake should not look like an outage."""
    try:
        url = urlsplit(host)
        port = url.port
    except ValueError as error:
        raise SourceError(f"endpoint {shown!r}: {error}") from error
    if url.password:
        raise SourceError(f"endpoint of {url.hostname}: a password has no place in an endpoint")
    if url.scheme not in ("unix", "tcp", "http", "https", "ssh") or "://" not in host:
        raise SourceError(f"endpoint {shown!r} is none of {_SCHEMES}")
    if url.scheme == "unix":
        if not Path(host.removeprefix("unix://")).is_absolute():
            raise SourceError(f"endpoint {shown!r}: the socket's path must be absolute, as in unix:///run/docker.sock")
    elif not url.hostname or url.hostname.startswith("-") or re.search(r"\s", host):
        raise SourceError(f"endpoint {shown!r} has no usable host name")
    if url.scheme in ("tcp", "http", "https") and (url.path not in ("", "/") or port == 0):
        raise SourceError(f"endpoint {shown!r}: write it as tcp://host:port")
