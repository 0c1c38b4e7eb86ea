"""The kinds of proxies that there are, by the name that a template set has in `proxy`."""

from __future__ import annotations

from collections.abc import Mapping

from lbgen.proxies.haproxy.kind import HAPROXY
from lbgen.proxies.kind import Kind
from lbgen.proxies.nginx.kind import NGINX
from lbgen.proxies.other.kind import OTHER
from lbgen.proxies.traefik.kind import TRAEFIK

KINDS: Mapping[str, Kind] = {"haproxy": HAPROXY, "nginx": NGINX, "traefik": TRAEFIK, "other": OTHER}
