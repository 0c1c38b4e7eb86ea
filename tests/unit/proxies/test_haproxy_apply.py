"""How HAProxy is reloaded and asked, against sockets that answer as its versions do."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from lbgen.base.errors import ApplyFailed, ProxyUnreachable, VerifyFailed
from lbgen.proxies.haproxy import apply
from lbgen.proxies.haproxy.apply import HAProxy, Master, ask, seen_in
from lbgen.proxies.haproxy.configuration import ServerLine
from lbgen.proxies.haproxy.plan import Commands
from lbgen.proxies.plan import Live
from lbgen.proxies.proxy import Seen, Workers
from lbgen.render.renderer import Files
from tests.support.fake_haproxy import FakeHAProxy, listening

FILES = Files.of({"haproxy.cfg": "backend b\n    server s1 10.0.0.1:80\n    server s2 name:80\n"})
VAR = "proc.lbgen_generation: type=str value=<abc123>\n"
INFO = "Name: HAProxy\nVersion: 2.6.12-1\ndescription: lbgen-def456\n"
UNKNOWN = "Failed to find variable\n"


SHOW_PROC = {
    "2.4": "#<PID>  <type>  <relative PID>  <reloads>  <uptime>  <version>\n1  master  0  2  0d00h  2.4.0\n# workers\n"
    "7  worker  1  0  0d00h  2.4.0\n# old workers\n5  worker  [was: 1]  1  0d00h  2.4.0\n# programs\n\n",
    "2.6": "#<PID>          <type>          <reloads>       <uptime>        <version>      \n"
    "1               master          2 [failed: 0]   0d00h00m01s     2.6.12\n# workers\n"
    "7               worker          0               0d00h00m00s     2.6.12\n# old workers\n"
    "5               worker          1               0d00h00m00s     2.6.12\n"
    "4               worker          2               0d00h00m01s     2.6.12\n# programs\n"
    "9               dataplane       0               0d00h00m00s     -\n\n",
    "3.2 after a failed reload": "#<PID>  <type>  <reloads>  <uptime>  <version>\n"
    "1  master  2 [failed: 1]  0d00h  3.2\n# workers\n# old workers\n7  worker  1  0d00h  3.2\n# programs\n\n",
    "none": "#<PID>  <type>  <reloads>  <uptime>  <version>\n1  master  0  0d00h  3.2\n# workers\n# programs\n",
}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("2.4", Workers(1, 1)),
        ("2.6", Workers(1, 2)),
        ("3.2 after a failed reload", Workers(1, 0)),
        ("none", Workers(0, 0)),
    ],
)
def test_workers(short_dir, reply, expected):
    """The master tells which workers serve and which are old; programs are none."""
    with listening(short_dir / "m", lambda _: SHOW_PROC[reply]) as came:
        assert Master(short_dir / "m").workers() == expected
    assert came == ["show proc"]


def test_workers_of_nobody(short_dir):
    """A master that does not answer, or none that can be asked, is no error."""
    master = Master(short_dir / "m")
    assert HAProxy(short_dir / "s", master.reload, short_dir / "state", master.workers).workers() is None
    assert haproxy(short_dir).workers() is None


def haproxy(directory: Path, reload: Callable[[], None] = lambda: None) -> HAProxy:
    """A HAProxy whose sockets are in the directory."""
    return HAProxy(directory / "s", reload, directory / "servers.state")


@pytest.mark.parametrize("half_close", [True, False])
def test_ask(short_dir, half_close):
    """One command is sent, and the whole reply taken, however long."""
    with listening(short_dir / "s", lambda line: f"{line} " * 100_000) as came:
        assert ask(short_dir / "s", "show info", half_close=half_close) == "show info " * 100_000
    assert came == ["show info"]


def test_nobody_answers(short_dir):
    """A socket that is not there, or that nobody listens on, is a proxy that does not run."""
    for path in (short_dir / "none", short_dir):
        with pytest.raises(ProxyUnreachable, match="HAProxy does not answer there"):
            ask(path, "show info")


# ------------------------------------------------------------------------------------------------ the master


def test_reload(short_dir):
    """From 2.7 on the reply says that the new worker runs."""
    replies = {"show proc": "1 master 0 [failed: 1]\n", "reload": "Success=1\n--\nlog\n"}
    with listening(short_dir / "m", replies.__getitem__) as came:
        Master(short_dir / "m").reload()
    assert came == ["show proc", "reload"]


def test_refused_reload(short_dir):
    """Or that it does not, with the master's own words."""
    replies = {"show proc": "", "reload": "Success=0\n--\n[ALERT] bad\n[ALERT] worse\n"}
    with listening(short_dir / "m", replies.__getitem__), pytest.raises(ApplyFailed) as caught:
        Master(short_dir / "m").reload()
    assert str(caught.value) == "HAProxy did not take the new configuration:\n[ALERT] bad\n[ALERT] worse"


@pytest.mark.parametrize(("before", "after", "refused"), [(0, 0, False), (2, 2, False), (0, 1, True), (2, 3, True)])
def test_reload_of_an_old_master(short_dir, before, after, refused):
    """Before 2.7 the reply is empty, and only a higher number of failed reloads tells of a refusal."""
    failures = iter([before, after])

    def answer(line: str) -> str:
        return f"1 master 0 [failed: {next(failures)}]\n" if line == "show proc" else "\n"

    with listening(short_dir / "m", answer) as came:
        if refused:
            with pytest.raises(ApplyFailed, match="its log on standard error says why"):
                Master(short_dir / "m").reload()
        else:
            Master(short_dir / "m").reload()
    assert came == ["show proc", "reload", "show proc"]


def test_no_master(short_dir, monkeypatch):
    """A master that does not answer within a moment does not run."""
    monkeypatch.setattr(apply, "PATIENCE", 0.1)
    with pytest.raises(ProxyUnreachable, match="m: HAProxy does not answer there"):
        Master(short_dir / "m").reload()


# ------------------------------------------------------------------------------------------------ what it serves


@pytest.mark.parametrize(
    ("variable", "info", "generation"),
    [
        (VAR, INFO, "abc123"),
        (UNKNOWN, INFO, "def456"),
        (UNKNOWN, "Name: HAProxy\n", ""),
        (UNKNOWN, "description: x", ""),
    ],
)
def test_generation(short_dir, variable, info, generation):
    """A live change moves the variable, which counts before what the process was started with."""
    replies = {"get var proc.lbgen_generation": variable, "show info": info}
    with listening(short_dir / "s", replies.__getitem__):
        assert haproxy(short_dir).generation() == generation


def test_version(short_dir):
    """The version is read from the running process; where it says none nothing is taken for granted."""
    with listening(short_dir / "s", lambda _: INFO):
        assert haproxy(short_dir).version() == (2, 6)
    (short_dir / "s").unlink()
    with listening(short_dir / "s", lambda _: ""):
        assert haproxy(short_dir).version() == (0, 0)


def test_verify(short_dir, monkeypatch):
    """It is asked until it serves the generation, also through a moment without an answer; what it serves is told."""
    monkeypatch.setattr(apply, "VERIFY_TIMEOUT", 0.1)
    with pytest.raises(VerifyFailed, match=r"generation abc123 \(found: .*does not answer there"):
        haproxy(short_dir).verify("abc123")
    served = ["", *["value=<def>"] * 3]
    with listening(short_dir / "s", lambda _: served.pop() if served else VAR) as came:
        monkeypatch.setattr(apply, "VERIFY_TIMEOUT", 60.0)
        haproxy(short_dir).verify("abc123")
        assert len(came) > 4
        monkeypatch.setattr(apply, "VERIFY_TIMEOUT", 0.1)
        with pytest.raises(VerifyFailed, match=r"generation def \(found: abc123\)"):
            haproxy(short_dir).verify("def")


# ------------------------------------------------------------------------------------------------ changes and reloads


@pytest.mark.parametrize(("version", "known"), [("2.5.9", False), ("2.6.0", True), ("3.0.1", True)])
def test_oldest(short_dir, version, known):
    """Before 2.6 servers with checks cannot be added: nothing is tried, and a reload follows."""
    fake, new = FakeHAProxy(), ServerLine("b", "s", "10.0.0.1", 80, {})
    live: Live = Commands(added=(new,), expected={"b": (new,)})
    with listening(short_dir / "s", lambda line: f"Version: {version}\n" if line == "show info" else fake(line)):
        if known:
            haproxy(short_dir).change(live, "abc")
        else:
            with pytest.raises(ApplyFailed, match="cannot add servers while it runs"):
                haproxy(short_dir).change(live, "abc")
    assert (fake.generation, list(fake.servers)) == (("abc", ["b/s"]) if known else ("", []))


def test_reload_keeps_health_and_forgets_leftovers(short_dir):
    """Servers that are down are written down before the reload; what was left to delete is gone after it."""
    fake = FakeHAProxy(b__s1="10.0.0.1:80", b__s3="10.0.0.3:80")
    fake.servers["b/s1"]["srv_op_state"] = "0"
    fake.busy = {"b/s3"}
    state = short_dir / "servers.state"
    reloads = []
    proxy = haproxy(short_dir, lambda: reloads.append(state.read_text()))
    kept, gone = ServerLine("b", "s1", "10.0.0.1", 80, {}), ServerLine("b", "s3", "10.0.0.3", 80, {})
    with listening(short_dir / "s", fake):
        proxy.change(Commands(removed=(gone,), expected={"b": (kept,)}), "abc")
        assert proxy.tidy()
        proxy.reload(None, FILES)
        assert not proxy.tidy()
    (text,) = reloads
    version, columns, row = text.splitlines()
    assert (version, columns.split()[:2], row.split()[3]) == ("1", ["#", "be_id"], "s1")


@pytest.mark.parametrize("answer", [None, "1\n# be_id be_name\n", ""])
def test_reload_with_nothing_to_keep(short_dir, answer):
    """A state file from before would put servers down that are up, so it is overwritten; unless nobody answers."""
    state = short_dir / "servers.state"
    state.write_text("old")
    if answer is None:
        haproxy(short_dir).reload(None, FILES)
        assert state.read_text() == "old"
    else:
        with listening(short_dir / "s", lambda _: answer):
            haproxy(short_dir).reload(None, FILES)
        assert state.read_text() == (answer or "1\n")


def test_ready(short_dir):
    """The configuration refers to a state file, which is made once and then left alone."""
    proxy, state = haproxy(short_dir), short_dir / "servers.state"
    proxy.ready(short_dir)
    assert state.read_text() == "1\n"
    state.write_text("1\nold\n")
    proxy.ready(short_dir)
    assert state.read_text() == "1\nold\n"


def test_new_port_in_use(short_dir):
    """A new listener's port is tried before a reload that would refuse connections; those that stay are not."""
    reloads: list[None] = []
    proxy = haproxy(short_dir, lambda: reloads.append(None))
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sixth:
        sixth.bind(("::1", 0))
        sixth.listen()
        taken, taken6 = other.getsockname()[1], sixth.getsockname()[1]
        old = Files.of({"haproxy.cfg": "frontend a\n    bind :1\n"})
        for where, port in (("127.0.0.1", taken), ("", taken), ("*", taken), ("[::1]", taken6)):
            new = Files.of({"haproxy.cfg": f"frontend a\n    bind :1\nfrontend b\n    bind {where}:{port} ssl\n"})
            with pytest.raises(ApplyFailed, match=rf":{port}\]; another process has this port"):
                proxy.reload(old, new)
            assert reloads == []
        proxy.reload(new, new)
        proxy.reload(None, new)  # not known what it listens on
    assert len(reloads) == 2


def test_elsewhere(short_dir):
    """An address that this machine has not says nothing about HAProxy, which may run in another namespace."""
    new = Files.of({"haproxy.cfg": "frontend a\n    bind 192.0.2.1:80\n    bind name.invalid:80\n"})
    reloads: list[None] = []
    haproxy(short_dir, lambda: reloads.append(None)).reload(FILES, new)
    assert len(reloads) == 1


def test_seen():
    """States and sessions of servers; one that is not checked counts as up. Columns as HAProxy 2.6 has them."""
    csv = (
        "# pxname,svname,scur,status,type,\n"
        "web,web.1,3,UP,2,\n"
        "web,web.2,0,DOWN 1/2,2,\n"
        "web,web.3,,no check,2,\n"
        "web,BACKEND,3,UP,1,\n\n"
    )
    assert seen_in(csv) == {
        ("web", "web.1"): Seen("up", 3),
        ("web", "web.2"): Seen("down 1/2", 0),
        ("web", "web.3"): Seen("up", None),
    }
    assert seen_in("") == seen_in("Unknown command\n") == {}
