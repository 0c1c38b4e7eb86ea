"""Which changes of the rendered text can be told to a running HAProxy, and which need a reload."""

from __future__ import annotations

import pytest

from lbgen.proxies.haproxy.configuration import NotPlain, binds, map_entries, split, without_comment
from lbgen.proxies.haproxy.plan import Commands, MapChange, between, meanwhile
from lbgen.proxies.plan import Nothing, Reload, ReloadKind
from lbgen.render.renderer import PLACEHOLDER, Files

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
        (("10.0.0.2:8080 check", "10.0.0.2:8080 check  # on node2"), ""),
        (("10.0.0.2:8080 check", "10.0.0.2:8080 check  # on \"node'2\\"), ""),
        (("10.0.0.2:8080 check", "10.0.0.9:8080 check  # on 'node2"), "backend shop: 1 changed"),
        (("balance roundrobin\n    default", "balance roundrobin # as ever\n    default"), ""),
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


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("server a 10.0.0.1:80", "server a 10.0.0.1:80"),
        ("server a 10.0.0.1:80  # on node1", "server a 10.0.0.1:80"),
        ("server a 10.0.0.1:80 # 'a # \"b", "server a 10.0.0.1:80"),
        ('acl a path \'/#a\' "#\\"#" \\#b # c', 'acl a path \'/#a\' "#\\"#" \\#b'),
        ("# on its own", ""),
        ("never 'ended # here", "never 'ended # here"),
    ],
)
def test_without_comment(line, read):
    """A comment begins where HAProxy has it begin: not inside of quotes, nor after a backslash."""
    assert without_comment(line) == read


def test_meanwhile_keeps_comments():
    """Servers that need no reload are written as they are wanted, with what their comments say."""
    desired = files(("10.0.0.2:8080 check", "10.0.0.9:8080 check  # on node9"))
    assert "    server shop.2 10.0.0.9:8080 check  # on node9\n" in meanwhile(files(), desired).texts["haproxy.cfg"]


def servers(*lines: str) -> Files:
    """A configuration of one backend with these servers, without defaults."""
    return Files.of({"haproxy.cfg": "backend b\n" + "".join(f"    server {line}\n" for line in lines)})


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("maxconn 9", "maxconn 5", ""),
        ("", "maxconn 5", ""),
        ("maxconn 9", "", "backend b: server s: maxconn changed"),
        ("maxconn 9 weight 2", "weight 3", "backend b: server s: maxconn, weight changed"),
        ("weight 2", "", ""),
        ("maxconn 9", "maxconn 5 inter 1s", "backend b: server s: inter, maxconn changed"),
        ("check", "", "backend b: server s: check changed"),
        ("", "check", "backend b: server s: check changed"),
        ("inter 1s", "inter 2s", "backend b: server s: inter changed"),
    ],
)
def test_limits_and_weights(before, after, reason):
    """A limit can be set live, and another one; there is no command that takes it away, so that is a reload."""
    step = between(servers(f"s 10.0.0.1:80 {before}"), servers(f"s 10.0.0.1:80 {after}"))
    if reason:
        assert (step, step.kind) == (Reload(reason), ReloadKind.SERVERS)
    else:
        assert isinstance(step, Commands)
        assert [after.keywords for _, after in step.changed] == [dict([after.split()] if after else [])]


def test_commands_of_a_backend():
    """What is added, changed and removed, with the line before, and all servers that the backend has to show after."""
    step = between(
        servers("a 10.0.0.1:80", "b 10.0.0.2:80 weight 1", "c 10.0.0.3:80"),
        servers("b 10.0.0.2:80 weight 7", "c 10.0.0.3:80", "d 10.0.0.4:81 check"),
    )
    assert isinstance(step, Commands)
    assert step.summary == "backend b: 1 added, 1 changed, 1 removed"
    assert [line.path for line in step.added] == ["b/d"]
    assert [(before.weight, after.weight, after.path) for before, after in step.changed] == [(1, 7, "b/b")]
    assert [line.path for line in step.removed] == ["b/a"]
    assert {backend: [line.name for line in lines] for backend, lines in step.expected.items()} == {
        "b": ["b", "c", "d"]
    }
    (new,) = step.added
    assert (new.address, new.port, new.keywords) == ("10.0.0.4", 81, {"check": ""})
    assert step.maps == ()


def test_a_line_written_otherwise():
    """A server whose line says the same in other words needs no command, but its backend is proven."""
    step = between(servers("a 10.0.0.1:80 weight 1 check"), servers("a 10.0.0.1:80 check weight 1"))
    assert isinstance(step, Commands)
    assert (step.added, step.changed, step.removed, list(step.expected)) == ((), (), (), ["b"])


def test_summary_is_short():
    """A message names three backends and counts the others."""
    names = "abcd"
    one, other = (
        Files.of({"h.cfg": "".join(f"backend {name}\n    server s 10.0.0.{last}:80\n" for name in names)})
        for last in (1, 2)
    )
    assert between(one, other).summary == (
        "backend a: 1 changed; backend b: 1 changed; backend c: 1 changed and 1 more"
    )


@pytest.mark.parametrize(
    ("before", "after", "step"),
    [
        ({"h.cfg": "global\n"}, {"h.cfg": "global\n", "x.map": ""}, Reload("x.map added")),
        ({"h.cfg": "global\n", "x.map": ""}, {"h.cfg": "global\n"}, Reload("x.map removed")),
        ({"x.list": "a\n"}, {"x.list": "b\n"}, Reload("x.list changed")),
    ],
)
def test_other_files_reload(before, after, step):
    """A file that comes or goes, or that HAProxy reads at its start only, is a reload."""
    found = between(Files.of(before), Files.of(after))
    assert (found, found.kind) == (step, ReloadKind.FILES)


@pytest.mark.parametrize(
    ("before", "after", "reason", "kind"),
    [
        ("a\nb\n", "b\na\n", "sections in another order", ReloadKind.SECTIONS),
        ("a\n", "a\nb\nc\nd\ne\n", "b added, c added, d added and 1 more", ReloadKind.SECTIONS),
        ("a\n    x 1\n    y 1\n", "a\n    y 1\n    x 1\n", "a: lines in another order", ReloadKind.SETTINGS),
        ("a\n    x 1\n    y 1\n", "a\n    x 1\n", "a: without y 1", ReloadKind.SETTINGS),
        ("a\n    x 1\n", "a\n    x 1\n    y 1\n", "a: y 1", ReloadKind.SETTINGS),
    ],
)
def test_reasons(before, after, reason, kind):
    """The reason names what differs: sections first, then the line."""
    step = between(Files.of({"h.cfg": before}), Files.of({"h.cfg": after}))
    assert (step, step.kind) == (Reload(reason), kind)


@pytest.mark.parametrize(
    ("text", "address", "port"), [("10.0.0.1:80", "10.0.0.1", 80), ("[fd00::1]:80", "fd00::1", 80)]
)
def test_address(text, address, port):
    """IPv6 stands in brackets in the file and without them in what HAProxy shows."""
    line = split(f"listen b\n    server s {text}\n")[-1].server("s")
    assert (line.backend, line.name, line.address, line.port, line.path) == ("b", "s", address, port, "b/s")


@pytest.mark.parametrize("words", ["weight", "check cookie", "check 5", "backup future", "unknown x"])
def test_keywords_that_are_not_plain(words):
    """A keyword that is not known, or has not the argument it needs, is left to a reload."""
    with pytest.raises(NotPlain, match="server s: keyword"):
        split(f"backend b\n    server s 10.0.0.1:80 {words}\n")[-1].server("s")


def test_map_entries_change_live():
    """Entries added, changed and deleted are commands."""
    step = between(files(), files(routes="a api\nc shop\n"))
    assert isinstance(step, Commands)
    assert step.maps == (
        MapChange("routes.map", "a", "shop", "api"),
        MapChange("routes.map", "b", "api", None),
        MapChange("routes.map", "c", None, "shop"),
    )


@pytest.mark.parametrize(
    "line", ["/a;b shop\n", "/a\\b shop\n", "/a'b shop\n", '/a"b shop\n', "/a shop;\n", "/a x y\n"]
)
def test_map_entries_that_are_no_command_reload(line):
    """A key that the command line would read otherwise is left to a reload."""
    assert isinstance(between(files(), files(routes="a shop\nb api\n" + line)), Reload)


@pytest.mark.parametrize(("count", "reason"), [(500, ""), (501, "routes.map: 501 entries changed")])
def test_many_map_entries_reload(count, reason):
    """More than 500 entries are quicker by one reload than by commands; 500 are not."""
    step = between(files(), files(routes="a shop\nb api\n" + "".join(f"h{n} shop\n" for n in range(count))))
    if reason:
        assert (step, step.kind) == (Reload(reason), ReloadKind.MAP)
    else:
        assert isinstance(step, Commands)
        assert len(step.maps) == count


def test_entries_of_several_maps_are_counted_by_map():
    """A reload is weighed against each map's changes."""
    lines = "".join(f"h{n} shop\n" for n in range(400))
    one, other = (Files.of({"a.map": text, "b.map": text}) for text in ("", lines))
    step = between(one, other)
    assert isinstance(step, Commands)
    assert [change.file for change in step.maps] == ["a.map"] * 400 + ["b.map"] * 400
    assert step.summary == "800 map entries"


def test_default_server_is_merged():
    """Dynamic servers do not take default-server over, so its keywords are part of every server, the nearest wins."""
    shop = next(part for part in split(CONFIGURATION) if part.backend == "shop")
    assert shop.server("shop.1").keywords == {"inter": "2s", "maxconn": "10", "rise": "2", "check": ""}


def test_default_server_ends_with_its_backend():
    """What one backend says of all its servers holds in no other one; what section defaults says holds in all."""
    api = next(part for part in split(CONFIGURATION) if part.backend == "api")
    assert api.server("api.1").keywords == {"inter": "5s", "maxconn": "10", "check": "", "weight": "100"}


def test_commands_of_several_backends():
    """The changes of all backends are carried out together."""
    text = "backend {name}\n    server a 10.0.0.1:80\n    server b 10.0.0.2:80\n"
    new = "backend {name}\n    server b 10.0.0.3:80\n    server c 10.0.0.4:80\n"
    step = between(*(Files.of({"h.cfg": "".join(each.format(name=name) for name in "xyz")}) for each in (text, new)))
    assert isinstance(step, Commands)
    assert [line.path for line in step.added] == ["x/c", "y/c", "z/c"]
    assert [after.path for _, after in step.changed] == ["x/b", "y/b", "z/b"]
    assert [line.path for line in step.removed] == ["x/a", "y/a", "z/a"]
    assert list(step.expected) == ["x", "y", "z"]


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
    assert binds(split(CONFIGURATION)) == {(":80", False), ("127.0.0.1:81", False)}


def test_quic_binds():
    """HTTP/3 has sockets of UDP."""
    text = "frontend a\n    bind quic4@:443 ssl crt x alpn h3\n    bind quic6@[::]:443 v6only ssl crt x alpn h3\n"
    assert binds(split(text)) == {(":443", True), ("[::]:443", True)}


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


@pytest.mark.parametrize(
    ("change", "urgent"),
    [
        (("balance roundrobin\n    server", "balance source\n    server"), False),
        ((SHOP2, SHOP2 + "    server shop.3 10.0.0.3:8080 check\n"), True),
        (("maxconn 10\n", "maxconn 11\n"), False),
        (("10.0.1.1:80 check weight 100", "10.0.1.2:80 check weight 100 backup"), True),
        (("backend api\n", "backend other\n    server other.1 10.0.9.1:80\n\nbackend api\n"), True),
    ],
)
def test_urgent(change, urgent):
    """A reload is urgent where it brings servers in, or takes some out, that the runtime API cannot."""
    desired = files(change).texts["haproxy.cfg"].replace("frontend web\n", "frontend web\n    maxconn 5\n")
    step = between(files(), Files.of({"haproxy.cfg": desired, "routes.map": "a shop\nb api\n"}))
    assert isinstance(step, Reload)
    assert step.urgent is (urgent and change[0] != SHOP2)
