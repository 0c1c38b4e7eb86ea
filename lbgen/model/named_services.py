"""Services that labels name as URLs (login services, services of error pages), and the backends with their servers.

A name is that of a Swarm service: of the asking service's own stack first, as Docker's own names are, else as it is
written. Its servers are found by the same rules as a route's, with the short keys of its labels; it need not take part
otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

from lbgen.labels.keys.servers import ServerKeys
from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.keys.upstream_tls import UpstreamTlsKeys
from lbgen.labels.match import ALWAYS
from lbgen.labels.route_spec import RouteSpec
from lbgen.labels.values.references import ServiceUrl
from lbgen.labels.values.value_type import BadValue
from lbgen.model.backends import route_backend
from lbgen.model.parts import Around
from lbgen.model.policy import NOTHING
from lbgen.model.routes import RouteRequest
from lbgen.model.servers import Surroundings
from lbgen.model.service_lookup import named_service, own_keys, services_by_name
from lbgen.model.types import Backend, Route
from lbgen.snapshot import Service, Snapshot, Task, moment

# Keys of the service's own that hold here: those about where it is, and how it is asked.
_NOT_HERE = frozenset({"scheme", "group", "weight", "sticky", "backup", "max_conn", "slow_start", "send_proxy"})
_OWN = tuple(item.name for keys in (ServerKeys, UpstreamTlsKeys) for item in fields(keys) if item.name not in _NOT_HERE)


class NamedServices:
    """Finds such services in one snapshot."""

    def __init__(self, snapshot: Snapshot, around: Around) -> None:
        self._around = around
        self.by_name = services_by_name(snapshot.services.values())

    def find(self, url: ServiceUrl, part: str, stack: str, otherwise: str = "") -> Service:
        """Return the service that a URL names, of this stack first; raise BadValue if there is none.

        Args:
            part: of the asking service: no other one's are found.
            otherwise: what may be written in place of a name, for the message.
        """
        if service := named_service(self._around.of(part).services, url.host, stack):
            return service
        raise BadValue(
            "there is no service of this name",
            f"write the name that 'docker service ls' shows{otherwise}: no name is looked up in DNS",
        )

    def backend(self, name: str, url: ServiceUrl, service: Service, timeout: float) -> Backend:
        """Return the backend with its servers; raise BadValue if there can be none.

        Args:
            timeout: seconds to the first byte of answer, if its labels say nothing else.
        """
        return _of_service(
            name, url, service, self._around.tasks.get(service.id, ()), self._around.of(service.part), timeout
        )


def _of_service(
    name: str, url: ServiceUrl, service: Service, tasks: Sequence[Task], around: Surroundings, timeout: float
) -> Backend:
    own: dict[str, object] = {"timeout_response": timeout} | own_keys(service, _OWN)
    own |= {"scheme": url.scheme} | ({"port": url.port} if url.port else {})
    if url.scheme == "https":
        own.setdefault("server_name", url.host)
    keys = RouteKeys(**own)  # type: ignore[arg-type]  # each value came from the field's own parser
    route = Route(name, name, service.name, "http", (), ((),), None, (moment(service.created_at), service.id))
    request = RouteRequest(RouteSpec("http", "", keys, ALWAYS, None), route, NOTHING)
    made = route_backend(service, tasks, request, around)[0]
    return replace(made, server_name=str(own["server_name"])) if url.scheme == "https" else made


def backend_name(url: ServiceUrl, service: Service | None, use: str) -> str:
    """Return a name that no service's own backend has: those have no dot, or two, and those of groups end otherwise.

    Args:
        use: what the service is asked for: "login", "pages".

    Of an address it begins with one that no service can have, since it ends in a dash.
    """
    whose = service.name if service else "".join(char if char.isalnum() else "-" for char in url.host) + "-"
    more: Iterator[str] = filter(None, (url.scheme.removeprefix("http"), str(url.port or "")))
    return "-".join([f"{whose}.{use}", *more])
