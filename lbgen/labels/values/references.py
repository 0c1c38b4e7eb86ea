"""Where another service is asked, as labels say it: a Swarm service or an address, with a port and a path perhaps."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from lbgen.labels.values.basic import port
from lbgen.labels.values.http import LONGEST_PATH
from lbgen.labels.values.value_type import BadValue, value_type

# What Swarm accepts as a service's name, and what is added to it by a stack.
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_IPV4 = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
_IPV6 = r"\[[0-9A-Fa-f:.]{2,45}\]"
# Nothing that is syntax to one of the proxies.
_PATH = r"/[A-Za-z0-9._~:/?@!&()*+,;=%-]*"
_URL = rf"(?:(https?)://)?({_NAME}|{_IPV4}|{_IPV6})(?::([0-9]{{1,5}}))?({_PATH})?"

USUAL_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class ServiceUrl:
    """The URL of a service, or of an address."""

    scheme: str  # "http" or "https"
    host: str  # the name of a service, or an IP literal without brackets
    port: int | None  # None: the service's only one; of an address the scheme's usual one
    path: str  # with the query, if there is one

    @property
    def is_address(self) -> bool:
        """Whether it names no service."""
        return not re.fullmatch(_NAME, self.host)

    @property
    def authority(self) -> str:
        """The host and the port as a request has them in Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port in (None, USUAL_PORTS[self.scheme]) else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


@value_type(_URL.replace("?:(https?)", "?:https?"), str)
def service_url(text: str) -> ServiceUrl:
    """``http://authelia:9091/api``, or the service's name alone; an IP literal in place of a name."""
    match = re.fullmatch(_URL, text)
    if not match:
        raise BadValue(
            "is neither a service nor a URL of one",
            "write http://SERVICE:PORT/PATH with the name of a Swarm service, or an IP address in its place",
        )
    scheme, host, number, path = match.groups()
    if len(path or "/") > LONGEST_PATH:
        raise BadValue(f"has a path of {len(path)} characters", f"keep it below {LONGEST_PATH}")
    return ServiceUrl(scheme or "http", _host(host), port(number) if number else None, path or "/")


def _host(text: str) -> str:
    if re.fullmatch(_NAME, text):
        return text
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError as error:
        raise BadValue(
            "has no IP address where one is meant", "write one such as 192.0.2.7 or [2001:db8::7]"
        ) from error
