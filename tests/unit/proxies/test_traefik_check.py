"""How what Traefik is about to be given is checked: by rules of lbgen's own, and by a Traefik on trial."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lbgen.base.errors import CheckFailed, CheckTimedOut, CheckUnavailable, ProxyUnreachable
from lbgen.labels.rule import parser
from lbgen.labels.values.value_type import BadValue
from lbgen.proxies.traefik import api as traefik_api
from lbgen.proxies.traefik import check as traefik_check
from lbgen.proxies.traefik import trial as traefik_trial
from lbgen.proxies.traefik.api import Api, Fleet
from lbgen.proxies.traefik.apply import DYNAMIC, STATIC, entry_points
from lbgen.proxies.traefik.check import Checker
from lbgen.proxies.traefik.trust import Trust, differing
from lbgen.render.renderer import Files
from tests.support.builders import a_listener, app
from tests.support.certificates import certificate
from tests.support.ports import free_port
from tests.support.real_traefik import BINARY, rendered, renderer

NOWHERE = "no-such-traefik"


def files(*addresses: str, **keys: object) -> Files:
    """The files of a service with servers at these addresses."""
    labels = {"health-check": "http", **{key.replace("_", "-"): value for key, value in keys.items()}}
    return rendered(renderer(), [a_listener()], *app("web", labels, 80, *addresses))


def changed(old: str, new: str, name: str = DYNAMIC) -> Files:
    """The same with one text replaced."""
    found = files("10.0.0.1")
    assert old in found.texts[name]
    return Files({**found.texts, name: found.texts[name].replace(old, new)}, found.generation)


class Trials:
    """Counts the Traefiks that are started, and starts none."""

    def __init__(self, monkeypatch) -> None:
        self.tried: list[Files] = []
        monkeypatch.setattr(traefik_trial, "run", lambda files, _: self.tried.append(files))
        monkeypatch.setattr(traefik_check.shutil, "which", lambda name: name)


@pytest.fixture
def trials(monkeypatch) -> Trials:
    """Instead of Traefik."""
    return Trials(monkeypatch)


def test_servers_alone_cost_nothing(trials):
    """Servers that come and go are no reason to start a Traefik; anything else is."""
    check = Checker("traefik", always=False, needed=False)
    for addresses in (["10.0.0.1"], ["10.0.0.2", "10.0.0.3"], [], ["fd00::1"], ["10.0.0.1"]):
        check(files(*addresses))
    assert len(trials.tried) == 1
    check(files("10.0.0.1", weight=50))
    check(files("10.0.0.2", weight=60))
    assert len(trials.tried) == 1
    check(files("10.0.0.2", host="a.org"))
    assert len(trials.tried) == 2
    check(files("10.0.0.3", host="a.org"))
    assert len(trials.tried) == 2


def test_always(trials):
    """Where files are only looked at, Traefik is asked each time."""
    check = Checker("traefik", always=True, needed=False)
    check(files("10.0.0.1"))
    check(files("10.0.0.1"))
    assert len(trials.tried) == 2


def test_a_refused_document_is_not_known(trials):
    """Only what was accepted is taken for known."""
    check = Checker("traefik", always=False, needed=False)
    for _ in range(2):
        with pytest.raises(CheckFailed):
            check(changed("PathPrefix(", "Nonsense("))
    assert trials.tried == []


def test_nobody_is_asked_for_his_health(trials):
    """A Traefik on trial gets one server for each list, and that is none of the real ones."""
    Checker("traefik", always=True, needed=False)(files("10.0.0.1", "10.0.0.2", "10.0.0.3"))
    (tried,) = trials.tried
    assert "10.0.0." not in tried.texts[DYNAMIC]
    assert tried.texts[DYNAMIC].count("- url:") == 1
    Checker("traefik", always=True, needed=False)(files())
    assert "servers: []" in trials.tried[1].texts[DYNAMIC]


def test_odd_servers_are_looked_at(trials):
    """A server that is no plain address counts as more than a server."""
    check = Checker("traefik", always=False, needed=False)
    check(files("10.0.0.1"))
    check(changed("http://10.0.0.1:80", "http://10.0.0.1:80/path"))
    check(changed("http://10.0.0.1:80", "http://name:80"))
    assert len(trials.tried) == 3


def test_without_traefik():
    """Without a Traefik on this machine lbgen's own rules have to do, unless the settings name one."""
    check = Checker(NOWHERE, always=True, needed=False)
    with capture_logs() as logs:
        check(files("10.0.0.1"))
        check(files("10.0.0.1"))
    assert [entry["event"] for entry in logs] == ["checked_without_traefik"]
    with pytest.raises(CheckUnavailable, match=NOWHERE):
        Checker(NOWHERE, always=True, needed=True)(files("10.0.0.1"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('service: "web"', 'service: "wbe"', "http router web.web: there is no service wbe"),
        ('- "web"\n      rule', '- "wbe"\n      rule', "http router web.web: there is no entry point wbe"),
        ('middlewares:\n        - "web"', 'middlewares:\n        - "x"', "router web.web: there is no middleware x"),
        ('- "retry.2"', '- "retry.3"', "http middleware web: there is no middleware retry.3"),
        ('serversTransport: "conn', 'serversTransport: "x', "http service web: there is no serversTransport xect"),
        ("PathPrefix(`/`)", "PathPrefix(`/`", r"rule PathPrefix\(`/`: at character 15: expected , or [)]"),
        ("http:\n", "htp:\n", "htp is not a section"),
        ("  routers:", "  ruoters:", "http.ruoters is not a section"),
        ("http:\n", "udp: {}\nhttp:\n", "udp is empty"),
        ("http:\n", "http:\n  routers: {}\n", r"lbgen\.yml:\d+:\d+: .*routers"),
        ("http:\n", "tcp:\n  routers: {}\nhttp:\n", "tcp.routers is empty"),
        ('"lbgen.generation"', '"other"', "the middleware lbgen.generation is missing"),
        ('"retry.2":', '"retry.2', r"lbgen\.yml:\d+:\d+"),
        ("# Written", "# {{ env `HOME` }} Written", "runs as a template of its own"),
    ],
)
def test_faults(old, new, said):
    """What is wrong is said with its place, before any Traefik is asked."""
    with pytest.raises(CheckFailed, match=said):
        Checker(NOWHERE, always=True, needed=False)(changed(old, new))


@pytest.mark.parametrize(
    "made",
    [
        "weighted:\n        services: [{name: other@file}, {name: one}]",
        "failover: {service: one, fallback: x@file}",
        "mirroring: {service: x@file, mirrors: [{name: one}]}",
    ],
)
def test_faults_of_parts(made):
    """The parts of a service that is made of others have to exist, or belong to another provider."""
    check = Checker(NOWHERE, always=True, needed=False)
    found = files("10.0.0.1")
    more = f"tcp:\n  services:\n    all:\n      {made}\n"
    with pytest.raises(CheckFailed, match="tcp service all: there is no service one"):
        check(Files({**found.texts, DYNAMIC: found.texts[DYNAMIC] + more}, found.generation))
    one = "    one:\n      loadBalancer:\n        servers: []\n"
    check(Files({**found.texts, DYNAMIC: found.texts[DYNAMIC] + more + one}, found.generation))


def test_other_faults(tmp_path):
    """No document at all, one that is none, a static file that cannot be read, a certificate without its key."""
    check = Checker(NOWHERE, always=True, needed=False)
    found = files("10.0.0.1")
    with pytest.raises(CheckFailed, match="not rendered, but this is what Traefik is given"):
        check(Files({STATIC: found.texts[STATIC]}, found.generation))
    more = {"dynamic/more.yml": "http:\n  middlewares:\n    x:\n      compress: {}\n"}
    check(Files({**found.texts, **more}, found.generation))  # in a directory
    fed = rendered(renderer(feed="http://x/"), [a_listener()], *app("web", {}, 80, "10.0.0.1"))
    with pytest.raises(CheckFailed, match=r"dynamic/more\.yml: only dynamic/lbgen\.yml is handed out"):
        check(Files({**fed.texts, **more}, fed.generation))
    with pytest.raises(CheckFailed, match="is not a mapping"):
        check(Files({**found.texts, DYNAMIC: '- "lbgen.generation":\n'}, found.generation))
    with pytest.raises(CheckFailed, match=r"traefik\.yml:\d+:\d+: "):
        check(Files({**found.texts, STATIC: "["}, found.generation))
    check(Files({DYNAMIC: found.texts[DYNAMIC]}, found.generation))  # somebody else's entry points
    bad = certificate(tmp_path / "bad.pem", "a.org")
    made = rendered(renderer(certificates=tmp_path), [a_listener(tls=True)], *app("web", {}, 80, "10.0.0.1"))
    bad.write_bytes(bad.read_bytes().partition(b"-----BEGIN PRIVATE")[0])
    with pytest.raises(CheckFailed, match=r"certificate .*bad\.pem: cannot be used"):
        check(made)


@pytest.mark.parametrize(
    "rule",
    [
        "Host(`a.org`)",
        'Host("a.org") && !(Path(`/a`) || PathPrefix("/a\\x20b\\u007b\\"`"))',
        "Header(`a`, `b`) || Query(`a`) || Query(`a`, `b`) && ClientIP(`10.0.0.0/8`)",
        " ( ( Method ( `GET` ) ) ) ",
        "!!Path(`/`)",
        "Host(`no host`) && Path(`no path`)",
        " || ".join(["Host(`a.org`)"] * 1000),
    ],
)
def test_rules(rule):
    """What Traefik reads is a rule, whatever lbgen would say of the arguments, and however long it is."""
    parser.check(rule, "http")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("", "expected a matcher, ! or [(], found the end"),
        ("Host(`a`", "expected , or [)], found the end"),
        ("Host(`a`) &&", "expected a matcher, ! or [(], found the end"),
        ("Host(`a`) Host(`b`)", "expected &&, [|][|] or the end, found Host"),
        ("Host(`a`) & Host(`b`)", "a single &"),
        ("Hots(`a`)", "Hots is not a matcher of http rules"),
        ("HOST(`a`)", "HOST is not a matcher"),
        ("HostSNI(`a`)", "HostSNI is not a matcher of http rules"),
        ("Host(`a`, `b`)", "Host takes 1 argument, not 2"),
        ("Header(`a`)", "Header takes 2 arguments, not 1"),
        ("Host()", "Host takes 1 argument, not 0"),
        ("Host(``)", "empty argument"),
        ("Host(a)", "expected a string in backquotes or [)], found a"),
        ('Host("a\\q")', "means nothing"),
        ("Host(`a)", "is never closed"),
        ("(Host(`a`)", "expected &&, [|][|] or the [)]"),
    ],
)
def test_no_rules(rule, said):
    """What Traefik would not read is none, and what is wrong with it is said."""
    with pytest.raises(BadValue, match=said):
        parser.check(rule, "http")


def test_whom_an_entry_point_believes():
    """As the static file says it and as the API shows it; an entry point of somebody else's is nobody's business."""
    wanted = {
        "web": Trust.of({"forwardedHeaders": {"trustedIPs": ["10.0.0.0/8", "192.0.2.1/32"]}}),
        "pg": Trust.of({"proxyProtocol": {"trustedIPs": ["10.0.0.0/8"]}}),
        "dns": Trust.of({"address": ":53/udp"}),
    }
    same = {"web": {"forwardedHeaders": {"trustedIPs": ["192.0.2.1/32", "10.0.0.0/8"]}, "http2": {}}}
    same |= {"pg": {"forwardedHeaders": {}, "proxyProtocol": {"trustedIPs": ["10.0.0.0/8"]}}, "dns": {}}
    running = {name: Trust.of(point) for name, point in same.items()}
    assert differing(wanted, [running, {"other": Trust.of({"forwardedHeaders": {"insecure": True}})}]) == frozenset()
    assert differing(wanted, [running, {"web": Trust(), "dns": Trust.of({"proxyProtocol": {"insecure": True}})}]) == {
        "web",
        "dns",
    }


def test_entry_points():
    """Entry points are read out of a static file, also of one that has none."""
    assert entry_points("entryPoints: {web: {address: ':80'}, x: {}}\n") == {"web": ":80", "x": ""}
    assert entry_points("") == entry_points("api: {}\n") == entry_points("entryPoints:\n") == {}


# ------------------------------------------------------------------------------------------------ a real Traefik


@pytest.mark.proxy(BINARY)
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("PathPrefix(`/`)", "PathRegexp(`[`)", r"http router web\.web to service web: .*missing closing \]"),
        ("attempts: 3", "attempts: -1", r"retry\.2|web"),
        ("attempts: 3", "attempts: x", r"lbgen\.yml: "),
        ("attempts: 3", "atempts: 3", "field not found, node: atempts"),
        ('interval: "2s"', 'interval: "2 moons"', "moons"),
        ("customResponseHeaders", "customRsponseHeaders", "field not found"),
    ],
)
def test_trial(old, new, said):
    """What only Traefik can know is said in its words, with the names of what is wrong."""
    with pytest.raises(CheckFailed, match=said) as caught:
        Checker(BINARY, always=True, needed=True)(changed(old, new))
    assert "/tmp" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.proxy(BINARY)
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [('address: ":80"', 'adress: ":80"', "adress"), ('readTimeout: "0s"', 'readTimeout: "soon"', "soon")],
)
def test_trial_of_the_static_file(old, new, said):
    """A static file that Traefik would not start with is refused, too: a restart would be an outage."""
    with pytest.raises(CheckFailed, match=said):
        Checker(BINARY, always=True, needed=True)(changed(old, new, STATIC))


@pytest.mark.proxy(BINARY)
def test_trial_asks_nobody(monkeypatch, tmp_path):
    """A trial leaves nothing behind, listens on nothing of the real entry points, and gets none of our environment."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TRAEFIK_LOG_LEVEL", "nonsense")
    port = free_port()
    made = rendered(renderer(), [a_listener(port=port)], *app("web", {}, 80, "10.0.0.1"))
    with socket.create_server(("127.0.0.1", port)):
        Checker(BINARY, always=True, needed=True)(made)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.proxy(BINARY)
def test_port_of_the_api_taken():
    """If another program takes the port that the trial's API was to have, another one is tried."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1], free_port()])
        traefik_trial.run(files("10.0.0.1"), BINARY, free_port=lambda: next(ports))
        with pytest.raises(CheckUnavailable, match="no port"):
            traefik_trial.run(files("10.0.0.1"), BINARY, free_port=lambda: taken.getsockname()[1])


@pytest.mark.parametrize("words", ["exit 3", "echo cannot do that; exit 1"])
def test_not_traefik(tmp_path, words):
    """A program that is no Traefik is told with its words."""
    program = tmp_path / "traefik"
    program.write_text(f"#!/bin/sh\n{words}\n")
    program.chmod(0o755)
    with pytest.raises(CheckFailed, match="cannot do that" if "echo" in words else "exit status 3 without a message"):
        Checker(str(program), always=True, needed=True)(files("10.0.0.1"))


def test_hangs(tmp_path):
    """One that never says anything is given up."""
    sleep = shutil.which("sleep")
    (tmp_path / "traefik").write_text(f"#!/bin/sh\nexec {sleep} 600\n")
    (tmp_path / "traefik").chmod(0o755)
    with pytest.raises(CheckTimedOut, match="no verdict after 0 s"):
        traefik_trial.run(files("10.0.0.1"), str(tmp_path / "traefik"), timeout=0.3)


def test_not_a_program(tmp_path):
    """What cannot be executed is no checker."""
    path: Path = tmp_path / "traefik"
    path.write_text("\x7fELF")
    path.chmod(0o755)
    with pytest.raises(CheckUnavailable, match="cannot check the files"):
        Checker(str(path), always=True, needed=True)(files("10.0.0.1"))


def test_no_such_name():
    """A name that leads nowhere is told with the setting it stands in."""
    with pytest.raises(ProxyUnreachable, match=r"name\.invalid: cannot be resolved.*targets\.NAME\.probe"):
        Fleet("name.invalid", 8080).generation("http")


class Several:
    """The APIs behind one name: what each of them says, by its address; None: nothing."""

    def __init__(self, monkeypatch, said: dict[str, str | None]) -> None:
        class Api:
            def __init__(self, address: str, port: int) -> None:
                self.said, self.port = said[address], port

            def generation(self, _: str) -> str:
                if self.said is None:
                    raise ProxyUnreachable("nobody there")
                return self.said

            def entry_points(self) -> dict[str, str]:
                return dict.fromkeys((self.said or "").split(), ":80")

            def refused(self, *_: object) -> list[str]:
                return (self.said or "").split()

        found = [(0, 0, 0, "", (address, 1)) for address in said]
        monkeypatch.setattr(traefik_api, "Api", Api)
        monkeypatch.setattr(traefik_api.socket, "getaddrinfo", lambda *_, **__: found)
        self.fleet = Fleet("tasks.traefik", 8080)


@pytest.mark.parametrize("answer", [[1], "x", {"headers": "x"}, {"headers": {"customResponseHeaders": [1]}}, 5])
def test_answers_of_another_program(monkeypatch, answer):
    """What answers there in another way than Traefik is as good as nobody."""
    api = Api("127.0.0.1", 8080)
    monkeypatch.setattr(api, "get", lambda _: (answer, 1))
    asks = [lambda: api.generation("http"), api.entry_points]
    if not isinstance(answer, dict):
        asks.append(lambda: api.refused("http", lambda _: True))
    for ask in asks:
        with pytest.raises(ProxyUnreachable, match="not an answer of Traefik's"):
            ask()


def test_all_have_to_serve_it(monkeypatch):
    """Behind a name all that answer have to serve a generation; one that does not run serves nobody."""
    assert Several(monkeypatch, {"10.0.0.1": "abc", "10.0.0.2": "abc"}).fleet.generation("http") == "abc"
    assert Several(monkeypatch, {"10.0.0.1": "abc", "10.0.0.2": "def"}).fleet.generation("http") == ""
    assert Several(monkeypatch, {"10.0.0.1": "abc", "10.0.0.2": None}).fleet.generation("http") == "abc"
    with pytest.raises(ProxyUnreachable, match="nobody there"):
        Several(monkeypatch, {"10.0.0.1": None, "10.0.0.2": None}).fleet.generation("http")
    fleet = Several(monkeypatch, {"10.0.0.1": "web tls", "10.0.0.2": "web"}).fleet
    assert fleet.entry_points() == {"web": ":80"}
    assert fleet.refused("http", lambda _: True) == ["web", "tls"]
