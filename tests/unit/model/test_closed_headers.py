"""A closed route's requests are answered with its headers: those that can be read, and that it may have."""

from __future__ import annotations

from lbgen.model import build
from lbgen.model.closed import MOST_WITH_HEADERS
from lbgen.model.policy import NOTHING, Policy
from lbgen.model.types import Claim
from tests.support.builders import a_listener, a_network, a_node, a_rules, a_snapshot, app

BROKEN = {"host": "a.org", "pathh": "/x", "hsts": "max-age=1", "response-header.x-a": "1"}
HEADERS = Policy(hsts="max-age=1", response_headers=(("x-a", "1"),))


def closed_backends(keys: dict[str, str], *claims: Claim) -> dict[str, Policy]:
    """The backends that answer for a service with these keys, and their policies."""
    snapshot = a_snapshot(a_node(), a_network("edge"), *app("web", keys, 80, "10.0.0.1"))
    model = build(snapshot, a_rules(a_listener(), claims=claims))
    return {backend.name: backend.policy for backend in model.backends if backend.deny}


def test_headers_are_the_routes():
    """What the broken route says of all answers holds for the one that is given in its place, and nothing else does."""
    assert closed_backends({**BROKEN, "rate-limit": "1/s"}) == {"closed.503-web": HEADERS}


def test_bad_headers_are_none():
    """A header that cannot be read is not there, and one that says nothing makes no backend of its own."""
    assert closed_backends({"host": "a.org", "hsts": "maybe"}) == {"closed.503": NOTHING}
    assert closed_backends({**BROKEN, "cors.credentials": "true"}) == {"closed.503-web": HEADERS}


def test_headers_have_bounds():
    """Closed routes do not fill the configuration: some have headers, and none many."""
    assert closed_backends({**BROKEN, "response-header.x-a": "1" * 4096}) == {"closed.503": NOTHING}
    routes = {}
    for number in range(MOST_WITH_HEADERS + 4):
        routes |= {f"http.r{number:02}.{key}": value for key, value in BROKEN.items()}
        routes[f"http.r{number:02}.host"] = f"r{number}.org"
    named = [name for name in closed_backends(routes) if name != "closed.503"]
    assert len(named) == MOST_WITH_HEADERS


def test_claims_leave_no_headers():
    """Where setting claims says who may use which host, nobody has asked it about a closed route."""
    assert closed_backends(BROKEN, Claim(hosts=("b.org",))) == {"closed.503": NOTHING}
