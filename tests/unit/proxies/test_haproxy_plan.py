"""Which changes of the rendered text can be told to a running HAProxy, and which need a reload."""

from __future__ import annotations

import pytest

from lbgen.proxies.haproxy.configuration import NotPlain, binds, map_entries, split
from lbgen.proxies.haproxy.plan import Commands, MapChange, between, meanwhile
from lbgen.proxies.plan import Nothing, Reload
from lbgen.render.files import PLACEHOLDER, Files

CONFIGURATION = f"""\
global
    description lbgen-{PLACEHOLDER}

defaults
    mode http
    default-server inter 5s maxconn 10

frontend web
    bind :80
    bind 127.0.0.1:81
    use_backend %[req.hdr(host),map(routes.map)]

backend shop
    balance roundrobin
    default-server inter 2s rise 2
    # the servers
    server shop.1 10.0.0.1:8080 check
    server shop.2 10.0.0.2:8080 check

backend api
    balance roundrobin
    server api.1 10.0.1.1:80 check weight 100
"""


def files(change: tuple[str, str] = ("", ""), routes: str = "a shop\nb api\n") -> Files:
    """The configuration with one replacement, and its map."""
    assert change[0] in CONFIGURATION
    return Files.of({"haproxy.cfg": CONFIGURATION.replace(*change), "routes.map": routes})


def test_equal_files_need_nothing():
    """The same text is nothing to do."""
    assert between(files(), files()) == Nothing()


def test_unknown_running_files_need_a_reload():
    """What runs is not known: only a reload makes it known."""
    assert between(None, files()) == Reload("first configuration")


SHOP2 = "    server shop.2 10.0.0.2:8080 check\n"


@pytest.mark.parametrize(
    ("change", "summary"),
    [
        ((SHOP2, SHOP2 + "    server shop.3 10.0.0.3:8080 check\n"), "backend shop: 1 added"),
        ((SHOP2, ""), "backend shop: 1 removed"),
        (("10.0.0.2:8080", "10.0.0.9:8080"), "backend shop: 1 changed"),
        (("10.0.0.2:8080", "10.0.0.2:9090"), "backend shop: 1 changed"),
        (("10.0.0.2:8080 check", "10.0.0.2:8080 check weight 0"), "backend shop: 1 changed"),
        (("10.0.0.2:8080 check", "10.0.0.2:8080 check maxconn 20"), "backend shop: 1 changed"),
        ((SHOP2, "    server shop.3 10.0.0.3:8080 check\n"), "backend shop: 1 added, 1 removed"),
        (("weight 100", "weight 50"), "backend api: 1 changed"),
        (("    # the servers\n", "    # other words\n\n"), ""),
    ],
)
def test_servers_change_live(change, summary):
    """Servers come, go, move and are weighted without a reload; comments mean nothing."""
    step = between(files(), files(change))
    assert isinstance(step, Commands)
    assert step.summary == summary


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("    bind :80\n", "    bind :8080\n"), "frontend web: bind :8080"),
        (
            ("    balance roundrobin\n    default", "    balance leastconn\n    default"),
            "backend shop: balance leastconn",
        ),
        (("backend api\n", "backend other\n"), "backend other added, backend api removed"),
        (("10.0.0.2:8080 check", "10.0.0.2:8080 check inter 9s"), "backend shop: server shop.2: inter changed"),
        (("10.0.0.2:8080 check", "10.0.0.2:8080"), "backend shop: server shop.2: check changed"),
        (("10.0.0.2:8080", "host.test:8080"), "backend shop: server shop.2: host.test:8080 is not ADDRESS:PORT"),
        (("10.0.0.2:8080 check", "10.0.0.2:8080 check future 1"), "backend shop: server shop.2: keyword future"),
        (("10.0.0.2:8080 check", "10.0.0.2:8080 check cookie 'a b'"), "backend shop: server shop.2: quoted words"),
        (("default-server inter 2s rise 2", "default-server inter 2s rise 3"), "backend shop: default-server"),
        (("    mode http\n", "    mode tcp\n"), "defaults: mode tcp"),
        (("backend api\n    balance roundrobin\n", "backend api\n"), "backend api: without balance roundrobin"),
    ],
)
def test_everything_else_reloads(change, reason):
    """A change outside server lines is a reload, and the reason says which line."""
    step = between(files(), files(change))
    assert isinstance(step, Reload)
    assert step.reason.startswith(reason)


def test_map_entries_change_live():
    """Entries added, changed and deleted are commands."""
    step = between(files(), files(routes="a api\nc shop\n"))
    assert isinstance(step, Commands)
    assert step.maps == (
        MapChange("routes.map", "a", "shop", "api"),
        MapChange("routes.map", "b", "api", None),
        MapChange("routes.map", "c", None, "shop"),
    )


@pytest.mark.parametrize("line", ["/a;b shop\n", "/a\\b shop\n", "/a'b shop\n", '/a"b shop\n'])
def test_map_entries_that_are_no_command_reload(line):
    """A key that the command line would read otherwise is left to a reload."""
    assert isinstance(between(files(), files(routes="a shop\nb api\n" + line)), Reload)


def test_many_map_entries_reload():
    """Thousands of entries are one reload, not thousands of commands."""
    assert isinstance(between(files(), files(routes="".join(f"h{n} shop\n" for n in range(1000)))), Reload)


def test_default_server_is_merged():
    """Dynamic servers do not take default-server over, so its keywords are part of every server, the nearest wins."""
    shop = next(part for part in split(CONFIGURATION) if part.backend == "shop")
    assert shop.server("shop.1").keywords == {"inter": "2s", "maxconn": "10", "rise": "2", "check": ""}


def test_weight_defaults_to_one():
    """HAProxy's own default."""
    shop = next(part for part in split(CONFIGURATION) if part.backend == "shop")
    assert shop.server("shop.1").weight == 1


def test_server_that_is_not_plain():
    """A line that cannot be understood fully is never changed by halves."""
    part = split("backend b\n    server s 10.0.0.1:80 check resolvers dns\n")[-1]
    with pytest.raises(NotPlain):
        part.server("s")


def test_binds():
    """Addresses and ports of the listeners; sockets are nobody else's."""
    assert binds(split(CONFIGURATION)) == {":80", "127.0.0.1:81"}


def test_map_entries_first_counts():
    """Of a repeated key HAProxy takes the first; comments and blank lines are none."""
    assert map_entries("# c\n\na 1\na 2\nb x y\n") == {"a": "1", "b": "x y"}


def test_meanwhile_takes_what_needs_no_reload():
    """While a new backend waits for its reload, another backend's servers change."""
    desired = Files.of(
        {
            "haproxy.cfg": CONFIGURATION.replace(SHOP2, "").replace("10.0.1.1:80 check", "10.0.1.7:80 check")
            + "\nbackend new\n    server new.1 10.0.2.1:80\n",
            "routes.map": "a shop\nb api\nc new\n",
        }
    )
    partial = meanwhile(files(), desired)
    assert "10.0.1.7" in partial.texts["haproxy.cfg"]
    assert "shop.2" not in partial.texts["haproxy.cfg"]
    assert "backend new" not in partial.texts["haproxy.cfg"]
    assert partial.texts["routes.map"] == "a shop\nb api\n"
    step = between(files(), partial)
    assert isinstance(step, Commands)
    assert step.summary == "backend api: 1 changed; backend shop: 1 removed"


def test_meanwhile_leaves_changed_backends_alone():
    """A backend whose other lines change as well waits as a whole."""
    desired = files(("    balance roundrobin\n    default-server inter 2s rise 2\n", "    balance leastconn\n"))
    assert meanwhile(files(), desired).texts["haproxy.cfg"].count("balance roundrobin") == 2


def test_meanwhile_fills_an_empty_backend():
    """A backend that had no servers gets them."""
    empty = files(("    server api.1 10.0.1.1:80 check weight 100\n", ""))
    filled = Files.of({**files().texts, "haproxy.cfg": CONFIGURATION + "\nbackend new\n    balance random\n"})
    partial = meanwhile(empty, filled)
    assert "server api.1 10.0.1.1:80 check weight 100" in partial.texts["haproxy.cfg"]
    assert isinstance(between(empty, partial), Commands)


def test_a_section_with_nothing_but_a_table():
    """Beside a backend's servers, which go on being told of live, stands the table that counts its hosts."""
    table = "backend api:hosts\n    stick-table type string len 255 size 10k expire 1h store conn_cur\n"
    one, other = (
        Files.of({"haproxy.cfg": f"{CONFIGURATION}{server}\n{table}", "routes.map": "a shop\n"})
        for server in ("", "    server api.2 10.0.1.2:80 check weight 100\n")
    )
    plan = between(one, other)
    assert isinstance(plan, Commands), plan
    assert [line.path for line in plan.added] == ["api/api.2"]
