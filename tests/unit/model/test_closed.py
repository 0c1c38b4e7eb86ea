"""Closed routes: what cannot be honoured is refused to other routes of its service, and to nobody else."""

from __future__ import annotations

import pytest

from lbgen.labels.keys.table import KEYS, nearest
from lbgen.labels.match import Test
from lbgen.model import Model
from lbgen.model.entries import Screen
from lbgen.model.screens import MOST, ODD, screens
from lbgen.model.types import Closed, Route
from tests.support.builders import a_listener, a_network, a_node, a_rules, a_service, modelled

HOST, ADMIN = Test("host", "a.org"), Test("path_prefix", "/admin")
OPEN = {"port": "80", "http.open.host": "a.org"}
NAMED = {"http.admin.host": "a.org", "http.admin.path": "/admin"}
# Keys of which every value means something, or that only switch something on.
WRONG = {"request-header.x-env": "\u00e4", "response-header.x-env": "\u00e4", "header.x-env": "\u00e4"}


def served(keys: dict[str, str], **rules) -> Model:
    """The model of one service on a network, with these labels."""
    listeners = rules.pop("listeners", None) or [a_listener()]
    return modelled(
        a_service("web", keys, networks=("edge-id",)), a_network(), a_node(), rules=a_rules(*listeners, **rules)
    )


def asked(model: Model, listener: int = 0) -> list[tuple[tuple[str, ...], tuple[Test, ...], str]]:
    """The screens of a listener as plain values."""
    return [(item.backends, item.alternative, item.backend) for item in model.listeners[listener].screens]


@pytest.mark.parametrize("key", [row for row in KEYS.values() if "http" in row.protocols], ids=lambda row: row.name)
def test_every_key(key):
    """Whichever key of a route is wrong, its requests are refused: 403 where it guards, else 503."""
    name = key.name.replace("<name>", "x-env")
    model = served({**OPEN, **NAMED, f"http.admin.{name}": WRONG.get(name, "\u0000")})
    assert {problem.service for problem in model.problems} == {"web"}
    answer = "closed.403" if key.guard else "closed.503"
    narrowed = (HOST,) if key.name == "path" else (ADMIN,) if key.name == "host" else (HOST, ADMIN)
    assert asked(model)[0] == (("web.http.open",), narrowed, answer)


def test_letters_that_changed_places():
    """They count as the key that has them, though another one is as alike."""
    assert nearest("hots") == "host"


@pytest.mark.parametrize(
    ("key", "answer"),
    [("alow-ip", 403), ("Allow-IP", 403), ("basicauth", 403), ("rate-limits", 403), ("retires", 503), ("x", 503)],
)
def test_unknown_key(key, answer):
    """An unknown key counts as the one that it looks most like."""
    model = served({**OPEN, **NAMED, f"http.admin.{key}": "1"})
    assert asked(model)[0] == (("web.http.open",), (HOST, ADMIN), f"closed.{answer}")


def test_short_key():
    """A short key that is wrong closes every route that inherits it, and not the one that has its own."""
    own = {"http.admin.allow-ip": "10.0.0.0/8", "allow-ip": "10.0.0.0/33"}
    model = served({**OPEN, **NAMED, **own})
    assert [route.name for route in model.routes] == ["web.http.admin"]
    assert asked(model)[0] == (("web.http.admin",), (HOST,), "closed.403")


def test_nothing_can_be_read():
    """Where nothing says which requests a route wants, one that guards closes its service; another one is left out."""
    bad = {"port": "80", "http.open.host": "a.org", "http.admin.path": "admin"}
    assert asked(served({**bad, "http.admin.allow-ip": "10.0.0.0/8"})) == [(("web.http.open",), (), "closed.503")]
    left_out = served({**bad, "http.admin.retries": "1"})
    assert (asked(left_out), left_out.closed) == ([], ())
    # Nobody else's requests, not even those that nobody takes, are answered for it.
    assert {cell.host for cell in served({**bad, "http.admin.allow-ip": "10.0.0.0/8"}).listeners[0].cells} == {"a.org"}


def test_no_servers_can_be_found():
    """A route that nothing can serve is closed, and its guard is not lost to a broader one."""
    model = served({**OPEN, **NAMED, "http.admin.allow-ip": "10.0.0.0/8", "http.admin.via": "mesh"})
    assert asked(model)[0] == (("web.http.open",), (HOST, ADMIN), "closed.503")


def test_lost_to_a_route_of_the_same_service():
    """Where an open route has the very match of a guarded one, what that guards is refused."""
    model = served({**OPEN, "http.private.host": "a.org", "http.private.allow-ip": "10.0.0.0/8"})
    assert asked(model) == [(("web.http.open", "web.http.private"), (HOST,), "closed.403")]


def test_name_in_capitals():
    """A label of a route whose name is in capitals is one of the route that is meant."""
    model = served(
        {**OPEN, "http.admin.host": "a.org", "http.admin.allow-ip": "10.0.0.0/8", "http.ADMIN.path": "/admin"}
    )
    assert asked(model)[0] == (("web.http.open",), (HOST, ADMIN), "closed.503")


def test_unclaimed():
    """Requests that nobody takes are 503, below everything that others ask for."""
    other = a_service("api", {"port": "80", "host": "a.org", "path": "/admin/x"}, networks=("edge-id",))
    broken = a_service("web", {"port": "80", "host": "a.org", "path": "/admin", "retires": "1"}, networks=("edge-id",))
    (listener,) = modelled(broken, other, a_network(), a_node(), rules=a_rules(a_listener())).listeners
    cells = {(cell.host, cell.path, cell.backend, cell.priority < 0) for cell in listener.cells}
    assert cells == {("a.org", "/admin", "closed.503", True), ("a.org", "/admin/x", "api", False)}
    assert listener.screens == ()


def test_refused_without_tls():
    """On a listener that cannot ask for certificates a route that needs one is refused, beside open ones."""
    listeners = [a_listener(), a_listener("websecure", 443, tls=True)]
    keys = {**OPEN, **NAMED, "http.admin.client-ca": "partners"}
    model = served(keys, listeners=listeners, default_listeners=("web", "websecure"))
    assert {route.name: route.listeners for route in model.routes}["web.http.admin"] == ("websecure",)
    assert (("web.http.open",), (HOST, ADMIN), "closed.403") in asked(model)
    assert (HOST, ADMIN) not in [alternative for _, alternative, _ in asked(model, 1)]
    assert ("a.org", "/admin", "closed.403") in {
        (cell.host, cell.path, cell.backend)
        for cell in served(
            {key: value for key, value in keys.items() if "open" not in key},
            listeners=listeners,
            default_listeners=("web", "websecure"),
        )
        .listeners[0]
        .cells
    }


def test_tcp():
    """A TCP route that cannot be honoured is refused by its name where another one of its service would take it."""
    keys = {"port": "80", "tcp.all.sni": "*", "tcp.db.sni": "db.org,db2.org", "tcp.db.allow-ip": "everybody"}
    (listener,) = served(keys, listeners=[a_listener("pg", 5432, "tcp")], default_listeners=("pg",)).listeners
    assert listener.names == (("db.org", "closed.tcp"), ("db2.org", "closed.tcp"))
    assert listener.default == "web.tcp.all"


def a_route(name: str, *alternatives, guarded: bool = False, priority: int | None = None) -> Route:
    """A route of service web."""
    return Route(name, name, "web", "http", ("web",), alternatives, priority, (0.0, "web"), guarded=guarded)


PREFIX, EXACT = (lambda path: Test("path_prefix", path)), (lambda path: Test("path", path))
BELOW, NOT_BELOW = (lambda path: Test("path_decoded", path)), (lambda path: Test("path_decoded", path, negated=True))


@pytest.mark.parametrize(
    ("open_", "guard", "expected"),
    [
        # The guarded path may be meant, and would go first.
        ((HOST,), (HOST, PREFIX("/admin")), {HOST, ODD, BELOW("/admin")}),
        # The open path goes first; what is below it however it is read stays.
        ((HOST, PREFIX("/public")), (HOST,), {HOST, ODD, NOT_BELOW("/public")}),
        ((HOST, PREFIX("/a/b")), (HOST, PREFIX("/a")), {HOST, ODD, BELOW("/a"), NOT_BELOW("/a/b")}),
        # An exact path that can be read in one way only never means another one.
        ((HOST, EXACT("/a/b")), (HOST, PREFIX("/a")), None),
        # Other hosts; paths that play no role.
        ((HOST, PREFIX("/a")), (Test("host", "b.org"), PREFIX("/b")), None),
        ((HOST,), (HOST, Test("method", "PUT")), None),
        # An expression cannot be asked about a path that is decoded in full.
        ((HOST,), (HOST, Test("path_regex", "^/a")), {HOST, ODD}),
        # These paths have two spellings in normal form.
        ((HOST,), (HOST, PREFIX("/a!b")), {HOST, BELOW("/a!b")}),
    ],
)
def test_spellings(open_, guard, expected):
    """Requests for an open route that may mean a guarded path go where a plain spelling of that path would."""
    found = screens([a_route("open", open_), a_route("guard", guard, guarded=True)], [])
    if expected is None:
        assert found == ()
    else:
        (screen,) = found
        assert (screen.backends, set(screen.alternative), screen.backend) == (("open",), expected, "guard")


def test_too_many():
    """A service with more screens than a listener should ask is closed, and odd paths are refused."""
    closed = [
        Closed(f"c{number}", "web", "http", ("web",), ((HOST, PREFIX(f"/{number}")),), (0.0, "web"), 403)
        for number in range(MOST)
    ]
    assert screens([a_route("open", (HOST,))], closed) == (
        Screen(("open",), (), "closed.403"),
        Screen(("open",), (ODD,), "closed.403"),
    )
