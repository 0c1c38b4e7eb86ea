"""What a running HAProxy is told for a live change, in which order, and what is read back before it counts as done."""

from __future__ import annotations

import pytest

from lbgen.base.errors import ApplyFailed
from lbgen.proxies.haproxy.configuration import ServerLine
from lbgen.proxies.haproxy.plan import Commands, MapChange
from lbgen.proxies.haproxy.runtime_api import Runtime, down_rows, read_state
from tests.support.fake_haproxy import FakeHAProxy


def line(path: str = "b/s1", where: str = "10.0.0.1:80", **keywords: str) -> ServerLine:
    """A server with these keywords; those without an argument are empty."""
    backend, name = path.split("/")
    address, _, port = where.rpartition(":")
    return ServerLine(backend, name, address, int(port), keywords)


def added(*lines: ServerLine, beside: tuple[ServerLine, ...] = ()) -> Commands:
    return Commands(added=lines, expected={lines[0].backend: (*beside, *lines)})


def changed(before: ServerLine, after: ServerLine) -> Commands:
    return Commands(changed=((before, after),), expected={after.backend: (after,)})


def removed(*lines: ServerLine, left: tuple[ServerLine, ...] = ()) -> Commands:
    return Commands(removed=lines, expected={lines[0].backend: left})


class Clock:
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def change(haproxy: FakeHAProxy, live: Commands) -> Runtime:
    """Make the change; the process is marked only if that was proven."""
    clock = Clock()
    runtime = Runtime(haproxy, clock, clock.sleep)
    runtime.change(live, "abc")
    assert haproxy.generation == "abc"
    return runtime


def refused(haproxy: FakeHAProxy, live: Commands, message: str) -> None:
    """The change is not proven: an error says why, and the process is not marked with the generation."""
    clock = Clock()
    with pytest.raises(ApplyFailed, match=message):
        Runtime(haproxy, clock, clock.sleep).change(live, "abc")
    assert haproxy.generation == ""


# ------------------------------------------------------------------------------------------------ what is told


MARK = ["experimental-mode on", "set var proc.lbgen_generation str(abc)"]
BEFORE = line(check="", weight="5")


@pytest.mark.parametrize(
    ("new", "commands"),
    [
        (line(), ["add server b/s1 10.0.0.1:80", "enable server b/s1"]),
        (
            line(check="", inter="2s", weight="7"),
            ["add server b/s1 10.0.0.1:80 check inter 2s weight 7", "enable health b/s1", "enable server b/s1"],
        ),
        # What checks have of requests in the file has to be said of a server that is added.
        (
            line(**{"check": "", "ssl": "", "send-proxy": ""}),
            [
                "add server b/s1 10.0.0.1:80 check ssl send-proxy check-ssl check-send-proxy",
                *("enable health b/s1", "enable server b/s1"),
            ],
        ),
        (
            line(check="", port="81", ssl=""),
            ["add server b/s1 10.0.0.1:80 check port 81 ssl", "enable health b/s1", "enable server b/s1"],
        ),
        (
            line(**{"check": "", "no-check-ssl": "", "ssl": ""}),
            ["add server b/s1 10.0.0.1:80 check ssl", "enable health b/s1", "enable server b/s1"],
        ),
        (line(where="fd00::1:80"), ["add server b/s1 [fd00::1]:80", "enable server b/s1"]),
    ],
)
def test_new_server(new, commands):
    """A new server has every keyword of its line, its check enabled if it has one, and takes requests."""
    haproxy = FakeHAProxy()
    change(haproxy, added(new))
    assert haproxy.commands == [*commands, *MARK]


@pytest.mark.parametrize(
    ("after", "commands"),
    [
        (line(check="", weight="0"), ["set server b/s1 weight 0"]),
        (line(check=""), ["set server b/s1 weight 1"]),
        (line(check="", weight="5", maxconn="9"), ["set maxconn server b/s1 9"]),
        (
            line(where="10.0.0.2:80", check="", weight="5"),
            ["set server b/s1 addr 10.0.0.2 port 80", "set server b/s1 health up"],
        ),
        (
            line(where="10.0.0.1:81", check="", weight="5"),
            ["set server b/s1 addr 10.0.0.1 port 81", "set server b/s1 health up"],
        ),
    ],
)
def test_changed_server(after, commands):
    """Only what differs is told; a server that moved is up until its check finds otherwise."""
    haproxy = FakeHAProxy(b__s1="10.0.0.1:80 check weight 5")
    change(haproxy, changed(BEFORE, after))
    assert haproxy.commands == [*commands, *MARK]


def test_moved_server_without_a_check():
    """Nothing can be down that nobody asks."""
    haproxy = FakeHAProxy(b__s1="10.0.0.1:80")
    change(haproxy, changed(line(), line(where="10.0.0.2:80")))
    assert haproxy.commands == ["set server b/s1 addr 10.0.0.2 port 80", *MARK]


def test_maxconn_stays():
    """A limit that stays as it is is not told again."""
    haproxy = FakeHAProxy(b__s1="10.0.0.1:80")
    change(haproxy, changed(line(maxconn="9"), line(maxconn="9", weight="2")))
    assert haproxy.commands == ["set server b/s1 weight 2", *MARK]
    assert haproxy.maxconn == {}


def test_maps():
    """Entries are added, set and deleted: "add map" of a known key would make a second one."""
    haproxy = FakeHAProxy()
    haproxy.maps["r.map"] = {"a": "x", "b": "x"}
    change(
        haproxy,
        Commands(
            maps=(
                MapChange("r.map", "a", "x", "y"),
                MapChange("r.map", "b", "x", None),
                MapChange("r.map", "c", None, "z"),
            )
        ),
    )
    assert haproxy.commands == ["set map r.map a y", "del map r.map b", "add map r.map c z", *MARK]
    assert haproxy.maps["r.map"] == {"a": "y", "c": "z"}


def test_order():
    """New servers come first and old ones leave last, so that neither a backend nor a route is ever without servers."""
    haproxy = FakeHAProxy(b__old="10.0.0.9:80", b__s1="10.0.0.1:80 weight 5", c__s="10.0.3.1:80")
    haproxy.maps["r.map"] = {}
    new, old, other = line("b/new", "10.0.0.2:80"), line("b/old", "10.0.0.9:80"), line("c/new", "10.0.3.2:80")
    kept = line(weight="5"), line(weight="6")
    live = Commands(
        (new, other), (kept,), (old, line("c/s", "10.0.3.1:80")), (MapChange("r.map", "a", None, "x"),),
        {"b": (kept[1], new), "c": (other,)},
    )  # fmt: skip
    change(haproxy, live)
    told = [" ".join(command.split()[:3]) for command in haproxy.commands[:8]]
    assert told == [
        "add server b/new", "enable server b/new", "add server c/new", "enable server c/new", "set server b/s1",
        "add map r.map", "set server b/old", "set server c/s",
    ]  # fmt: skip


def test_lines_are_short():
    """Commands share lines, none of which is longer than HAProxy 3.2 takes, and none is lost or cut."""
    lines = tuple(line(f"b/s{number}", check="", inter="2s") for number in range(400))
    haproxy = FakeHAProxy()
    change(haproxy, added(*lines))
    assert len(haproxy.servers) == 400
    telling = [each for each in haproxy.lines if each.startswith("add server")]
    assert 1 < len(telling) < 10
    assert max(map(len, haproxy.lines)) <= 8001
    assert not any(each.startswith(";") or each.endswith(";") for each in haproxy.lines)


# ------------------------------------------------------------------------------------------------ what is read back


@pytest.mark.parametrize(
    ("deaf", "new", "message"),
    [
        ("add server", line(), "server b/s1: is not there"),
        ("enable server", line(), "server b/s1: is in maintenance"),
        ("enable health", line(check=""), "server b/s1: is not checked"),
    ],
)
def test_new_server_is_proven(deaf, new, message):
    """A new server that is not there, takes no requests or is not checked is no success, whatever the replies were."""
    haproxy = FakeHAProxy()
    haproxy.deaf = deaf
    refused(haproxy, added(new), message)


@pytest.mark.parametrize(
    ("deaf", "after", "message"),
    [
        ("set server .* weight", line(check="", weight="6"), "srv_uweight is 5, not 6"),
        ("set server .* addr", line(where="10.0.0.2:80", check="", weight="5"), "srv_addr is 10.0.0.1, not 10.0.0.2"),
        ("set server .* addr", line(where="10.0.0.1:81", check="", weight="5"), "srv_port is 80, not 81"),
    ],
)
def test_changed_server_is_proven(deaf, after, message):
    """So is a weight, an address or a port that stayed."""
    haproxy = FakeHAProxy(b__s1="10.0.0.1:80 check weight 5")
    haproxy.deaf = deaf
    refused(haproxy, changed(BEFORE, after), message)


def test_disabled_server():
    """A server whose line says that it is disabled may be in maintenance."""
    haproxy = FakeHAProxy()
    haproxy.deaf = "enable server"
    change(haproxy, added(line(disabled="")))


def test_every_server_is_proven():
    """The servers of a backend that changed are all looked at, those that nobody told anything too."""
    haproxy = FakeHAProxy(b__s1="10.0.0.1:80", b__s2="10.0.0.7:80")
    refused(haproxy, added(line("b/s3"), beside=(line(), line("b/s2", "10.0.0.2:80"))), "b/s2: srv_addr is 10.0.0.7")


def test_removed_server_is_proven():
    """A server that still takes requests is not removed; one in maintenance is, until its connections have ended."""
    haproxy = FakeHAProxy(b__s1="10.0.0.1:80", b__s2="10.0.0.2:80")
    haproxy.deaf = "set server .* state maint"
    refused(haproxy, removed(line("b/s2", "10.0.0.2:80"), left=(line(),)), "backend b still has server s2")
    haproxy.deaf = ""
    haproxy.busy = {"b/s2"}
    change(haproxy, removed(line("b/s2", "10.0.0.2:80"), left=(line(),)))


@pytest.mark.parametrize(
    ("deaf", "entry", "message"),
    [
        ("set map", MapChange("r.map", "a", "x", "y"), "map r.map: a is x, not y"),
        ("add map", MapChange("r.map", "c", None, "z"), "map r.map: c is None, not z"),
        ("del map", MapChange("r.map", "b", "x", None), "map r.map: b is x, not None"),
    ],
)
def test_map_is_proven(deaf, entry, message):
    """Every entry that was changed is read back, in whichever of the maps it is."""
    haproxy = FakeHAProxy()
    haproxy.maps = {"q.map": {}, "r.map": {"a": "x", "b": "x"}}
    haproxy.deaf = f"{deaf} r.map"
    refused(haproxy, Commands(maps=(MapChange("q.map", "a", None, "z"), entry)), message)


class Late(FakeHAProxy):
    """Shows the old address for some looks (3.0 and later)."""

    def __init__(self, looks: int) -> None:
        super().__init__(b__s1="10.0.0.1:80")
        self.old, self.left = super().__call__("show servers state b"), looks
        self.lines = []

    def __call__(self, text: str) -> str:
        reply = super().__call__(text)
        if text.startswith("show servers") and self.left:
            self.left -= 1
            return self.old
        return reply


def test_an_address_that_shows_late():
    """An address that the process has not taken up yet is looked at again, for two seconds."""
    haproxy = Late(looks=300)
    change(haproxy, changed(line(), line(where="10.0.0.2:80")))
    assert haproxy.lines.count("show servers state b") == 301
    refused(Late(looks=500), changed(line(), line(where="10.0.0.2:80")), "srv_addr is 10.0.0.1, not 10.0.0.2")


def test_what_is_right_is_not_waited_for():
    """Nor is a server that is missing, or wrong in something else."""
    haproxy = FakeHAProxy(b__s1="10.0.0.1:80")
    haproxy.deaf = "set server"
    refused(haproxy, changed(line(), line(weight="2")), "srv_uweight")
    assert haproxy.lines.count("show servers state b") == 1
    haproxy.deaf = "add server"
    refused(haproxy, added(line("b/s2"), beside=(line(),)), "b/s2: is not there")
    assert haproxy.lines.count("show servers state b") == 2


# ------------------------------------------------------------------------------------------------ what is left


def test_leftovers():
    """A removed server is deleted at once, or when its connections have ended."""
    haproxy = FakeHAProxy(b__s1="10.0.0.1:80", b__s2="10.0.0.2:80")
    haproxy.busy = {"b/s1"}
    runtime = change(haproxy, removed(line(), line("b/s2", "10.0.0.2:80")))
    assert set(haproxy.servers) == set(runtime.leftovers) == {"b/s1"}
    assert runtime.tidy()
    haproxy.busy = set()
    assert not runtime.tidy()
    assert haproxy.servers == runtime.leftovers == {}
    asked = len(haproxy.lines)
    assert not runtime.tidy()
    assert len(haproxy.lines) == asked  # nothing is left to ask for


def test_leftover_that_is_gone():
    """What somebody else has deleted is not waited for."""
    haproxy = FakeHAProxy(b__s1="10.0.0.1:80")
    haproxy.busy = {"b/s1"}
    runtime = change(haproxy, removed(line()))
    haproxy.busy, haproxy.servers = set(), {}
    assert not runtime.tidy()


@pytest.mark.parametrize(
    ("after", "commands"),
    [
        (line(), ["set server b/s1 state ready"]),
        (line(weight="3"), ["set server b/s1 weight 3", "set server b/s1 state ready"]),
        (line(where="10.0.0.2:80"), ["set server b/s1 addr 10.0.0.2 port 80", "set server b/s1 state ready"]),
    ],
)
def test_revived(after, commands):
    """A name that a connection still holds is taken up again, with what has changed, and is no leftover any more."""
    haproxy = FakeHAProxy(b__s1="10.0.0.1:80")
    haproxy.busy = {"b/s1"}
    runtime = change(haproxy, removed(line()))
    before = len(haproxy.commands)
    runtime.change(added(after), "abc")
    assert haproxy.commands[before:] == [*commands, *MARK]
    assert runtime.leftovers == {}


def test_revived_with_other_keywords():
    """What cannot be changed live needs a reload, and nothing is told before that."""
    haproxy = FakeHAProxy(b__s1="10.0.0.1:80")
    haproxy.busy = {"b/s1"}
    runtime = change(haproxy, removed(line(inter="1s")))
    told = len(haproxy.lines)
    with pytest.raises(ApplyFailed, match="b/s1 was removed with other keywords and still has connections"):
        runtime.change(added(line(inter="2s")), "def")
    assert len(haproxy.lines) == told
    runtime.forget()  # as a reload does
    assert runtime.leftovers == {}


# ------------------------------------------------------------------------------------------------ replies


def test_read_state():
    """Rows by server; a row that is cut off, a comment and the version are none."""
    reply = "1\n# be_id be_name srv_id srv_name srv_addr\n3 b 1 s1 10.0.0.1\n3 b 2 s2\n\n"
    assert read_state(reply) == {
        "s1": {"be_id": "3", "be_name": "b", "srv_id": "1", "srv_name": "s1", "srv_addr": "10.0.0.1"}
    }
    assert read_state("") == read_state("Can't find backend.\n") == {}


@pytest.mark.parametrize(
    ("columns", "kept"),
    [
        ({"srv_op_state": "0"}, True),
        ({}, False),  # it is up
        ({"srv_op_state": "0", "srv_admin_state": "1"}, False),  # by somebody's hand
        ({"srv_op_state": "0", "srv_port": "81"}, False),
        ({"srv_op_state": "0", "srv_addr": "10.0.0.2"}, False),
        ({"srv_op_state": "0", "srv_uweight": "2"}, False),
        ({"srv_op_state": "0", "be_name": "c"}, False),
        ({"srv_op_state": "0", "srv_name": "s2"}, False),
    ],
)
def test_down_rows(columns, kept):
    """Only what is down, and the same in the new file, is kept over a reload: the file would mix old with new."""
    haproxy = FakeHAProxy(b__s1="10.0.0.1:80")
    haproxy.servers["b/s1"] |= columns
    reply = haproxy("show servers state")
    head = reply.splitlines()[:2]
    rows = reply.splitlines()[2:]
    assert down_rows(reply, [line()]) == [*head, *(rows if kept else [])]
