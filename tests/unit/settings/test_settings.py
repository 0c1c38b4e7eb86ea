"""`settings.settings`: what the settings may be, where they come from, and that everything wrong is said at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbgen.base.errors import SettingsError
from lbgen.labels.context import Ways
from lbgen.model.types import Claim
from lbgen.settings import DockerSettings, ListenerSettings, Settings, foreign_variables, load_settings
from lbgen.settings.hosts import HostSettings
from lbgen.settings.hub import HubSourceSettings
from tests.support.builders import a_listener


def load(text: str | None = None, environ=None, flags=None, tmp_path: Path | None = None) -> Settings:
    """Load settings from this text."""
    path = None
    if text is not None:
        assert tmp_path
        path = tmp_path / "lbgen.yml"
        path.write_text(text)
    return load_settings(path, environ or {}, flags or {})


def wrong(text: str, tmp_path: Path, environ=None, flags=None) -> list[str]:
    """What is wrong with these settings: the lines of the message, without the directory."""
    with pytest.raises(SettingsError) as caught:
        load(text, environ, flags, tmp_path)
    assert caught.value.exit_code == 2
    return str(caught.value).replace(f"{tmp_path}/", "").splitlines()


SPEC_EXAMPLE = """
source: {docker: {endpoints: ["unix:///var/run/docker.sock"]}}
discovery: {expose_by_default: false, networks: [], nodes: "", node_cidrs: [], drain_grace: 10s}
listeners:
  web: {bind: ":80"}
  websecure: {bind: ":443", tls: true}
  pg: {bind: ":5432", protocol: tcp}
default_listeners: [web]
certificates: /etc/lbgen/certs
targets:
  edge:
    templates: haproxy
    output: /etc/haproxy
    apply: {master_socket: /run/haproxy/master.sock}
min_reload_interval: 1s
status: {bind: "127.0.0.1:9099"}
log: {level: info, format: json}
"""


def test_defaults():
    """Without settings there is one listener, web on port 80, and nothing is exposed unasked."""
    settings = load()
    assert settings == Settings()
    assert settings.rules().listeners == (a_listener("web", 80),)
    assert settings.rules().default_listeners == ("web",)
    assert not settings.discovery.expose_by_default
    assert settings.targets == {}
    assert (settings.discovery.drain_grace, settings.min_reload_interval) == (10.0, 1.0)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}"])
def test_empty_file(text, tmp_path):
    """A file that sets nothing is as good as none."""
    assert load(text, tmp_path=tmp_path) == Settings()


def test_example(tmp_path):
    """The example of the specification is understood in every line."""
    settings = load(SPEC_EXAMPLE, tmp_path=tmp_path)
    assert settings.source.docker.endpoints == ["unix:///var/run/docker.sock"]
    assert settings.rules().listeners == (
        a_listener("pg", 5432, "tcp"),
        a_listener("web", 80),
        a_listener("websecure", 443, tls=True),
    )
    edge = settings.targets["edge"]
    assert (edge.templates, edge.output) == (["haproxy"], Path("/etc/haproxy"))
    assert edge.apply.master_socket == Path("/run/haproxy/master.sock")
    assert settings.log.format == "json"


# ------------------------------------------------------------------------------------------------ what is wrong


def test_everything_wrong_at_once(tmp_path):
    """Unknown keys, wrong types and bad values are listed together, each with its line."""
    text = """\
sorce: {}
discovery:
  drain_grace: 10
  nodes: node.role=worker
  node_cidrs: [10.0.0.0/99]
listeners:
  web: {bind: "80"}
  bad name: {bind: ":80"}
  pg:
    bind: ":5432"
    protocol: sctp
    proxy: 1
targets:
  edge:
    output: /etc/haproxy
min_reload_interval: 2d
log:
  level: verbose
"""
    lines = wrong(text, tmp_path)
    found = {line.split(": ")[0] + " " + line.split(": ")[1]: line for line in lines}
    assert set(found) == {
        "lbgen.yml:1 sorce",
        "lbgen.yml:3 discovery.drain_grace",
        "lbgen.yml:4 discovery.nodes",
        "lbgen.yml:5 discovery.node_cidrs",
        "lbgen.yml:7 listeners.web.bind",
        "lbgen.yml:8 listeners.bad name",
        "lbgen.yml:11 listeners.pg.protocol",
        "lbgen.yml:12 listeners.pg.proxy",
        "lbgen.yml:14 targets.edge.templates",
        "lbgen.yml:16 min_reload_interval",
        "lbgen.yml:18 log.level",
    }
    assert len(lines) == 11
    assert "unknown key" in found["lbgen.yml:1 sorce"]
    assert "10s" in found["lbgen.yml:3 discovery.drain_grace"]
    assert "(found 10)" in found["lbgen.yml:3 discovery.drain_grace"]
    assert "placement constraint" in found["lbgen.yml:4 discovery.nodes"]
    assert "':80'" in found["lbgen.yml:7 listeners.web.bind"]
    assert "required" in found["lbgen.yml:14 targets.edge.templates"]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("- a\n", "lbgen.yml: expected a mapping", "list"),
        ("a: b: c\n", "lbgen.yml:1:", ""),
        ("log: {level: info}\nlog: {}\n", "lbgen.yml:2:1:", "twice"),
        ("log: 3\n", "lbgen.yml:1: log:", "(found 3)"),
        ("listeners: [web]\n", "lbgen.yml:1: listeners:", ""),
        ("source:\n  file: a.yml\n  docker: {}\n", "lbgen.yml:1: source:", "or file"),
        (
            "targets:\n  a:\n    templates: haproxy\n    apply: {run: true, pid_file: /x}\n",
            "lbgen.yml:4: targets.a.apply:",
            "run, pid_file",
        ),
        ("default_listeners: [web, nope]\n", "lbgen.yml: ", "nope"),
        ("expose_by_default: true\n", "lbgen.yml:1: expose_by_default:", "unknown key"),
        ("discovery: {expose_by_default: maybe}\n", "lbgen.yml:1: discovery.expose_by_default:", "maybe"),
        ("discovery: {drain_grace: -1s}\n", "lbgen.yml:1: discovery.drain_grace:", "not a duration"),
        ("discovery: {drain_grace: 25h}\n", "lbgen.yml:1: discovery.drain_grace:", "outside"),
        ("discovery: {dialects: [traefic]}\n", "lbgen.yml:1: discovery.dialects.0:", "traefic"),
        ("discovery: {dialects: []}\n", "lbgen.yml:1: discovery.dialects:", "at least one"),
        ("discovery: {dialects: [lbgen, lbgen]}\n", "lbgen.yml:1: discovery.dialects:", "once"),
        ("discovery: {traefik: {constraints: Tag()}}\n", "lbgen.yml:1: discovery.traefik.constraints:", "Tag is not"),
        ("discovery: {traefik: {default_rule: Hosts(`a`)}}\n", "lbgen.yml:1: discovery.traefik.default_rule:", "Host"),
        ("discovery: {traefik: {default_rule: 'Host(`{{ .Id }}`)'}}\n", "lbgen.yml:1: discovery.traefik.", "template"),
        ("listeners:\n  a: {bind: ':80'}\n  b: {bind: '*:80'}\n", "lbgen.yml: ", "a and b both bind"),
        ("listeners:\n  a: {bind: ':80'}\n  b: {bind: '[::]:80'}\n", "lbgen.yml: ", "a and b both bind"),
        ("listeners:\n  a: {bind: '0.0.0.0:80'}\n  b: {bind: ':80'}\n", "lbgen.yml: ", "a and b both bind"),
        ("listeners: {a: {bind: ':80', public_port: 0}}\n", "lbgen.yml:1: listeners.a.public_port:", "greater"),
        ("listeners: {a: {bind: ':80', max_headers: 4k}}\n", "lbgen.yml:1: listeners.a:", "not between 8k and 256k"),
        (
            "listeners: {a: {bind: ':80', protocol: tcp, max_headers: 9k}}\n",
            "lbgen.yml:1: listeners.a:",
            "max_headers is for",
        ),
        ("listeners: {a: {bind: ':80', hello_timeout: 1s}}\n", "lbgen.yml:1: listeners.a:", "hello_timeout is for"),
    ],
)
def test_wrong(text, line, says, tmp_path):
    """A message begins with the file and line, then the key, and says what is wrong."""
    first = wrong(text, tmp_path)[0]
    assert first.startswith(line)
    assert says in first


@pytest.mark.parametrize(("path", "says"), [("missing.yml", "No such file"), (".", "Is a directory")])
def test_unreadable(path, says, tmp_path):
    """A settings file that cannot be read is an error with its name."""
    with pytest.raises(SettingsError, match=says) as caught:
        load_settings(tmp_path / path, {}, {})
    assert str(tmp_path) in str(caught.value)


def test_not_utf8(tmp_path):
    """A file in another encoding is refused."""
    (tmp_path / "lbgen.yml").write_bytes(b"log: {level: \xff}\n")
    with pytest.raises(SettingsError, match=r"lbgen\.yml:1:14: not UTF-8"):
        load_settings(tmp_path / "lbgen.yml", {}, {})


# ------------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("text", "key", "meant"),
    [
        ("discovery: {drain_grace: 500ms}", ("discovery", "drain_grace"), 0.5),
        ("discovery: {drain_grace: 0s}", ("discovery", "drain_grace"), 0.0),
        ("min_reload_interval: 1m", ("min_reload_interval",), 60.0),
        ("discovery: {networks: edge}", ("discovery", "networks"), ["edge"]),
        ("discovery: {networks: 'a, b'}", ("discovery", "networks"), ["a", "b"]),
        ("discovery: {node_cidrs: [10.0.0.1/8]}", ("discovery", "node_cidrs"), ["10.0.0.1/8"]),
        ("discovery: {expose_by_default: true}", ("discovery", "expose_by_default"), True),
        ("discovery: {dialects: 'lbgen, traefik'}", ("discovery", "dialects"), ["lbgen", "traefik"]),
        ("discovery: {dialects: dockerflow}", ("discovery", "dialects"), ["dockerflow"]),
        ("source: {file: snap.yml}", ("source", "stack"), ""),
        ("source: {file: [a.yml, b.yml], stack: shop}", ("source", "stack"), "shop"),
    ],
)
def test_value(text, key, meant, tmp_path):
    """Durations carry a unit, one text may stand for a list."""
    value = load(text, tmp_path=tmp_path)
    for part in key:
        value = getattr(value, part)
    assert value == meant


RELATIVE = """
certificates: certs
users: ../users
source: {docker: {endpoints: [unix:///x], tls: {ca: ca.pem}}}
targets:
  edge:
    templates: [mine, haproxy]
    output: out
    binary: bin/haproxy
    stats_socket: stats.sock
    apply: {master_socket: master.sock}
  other: {templates: nginx, binary: nginx, output: /var/out, apply: {pid_file: nginx.pid}}
"""


@pytest.mark.parametrize("named", ["lbgen.yml", "../conf/lbgen.yml"])
def test_relative_to_the_file(named, tmp_path, monkeypatch):
    """Relative paths in the file are relative to it, whatever the working directory and however the file is named."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "lbgen.yml").write_text(RELATIVE)
    for there in ("conf", "elsewhere"):
        (tmp_path / there).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / there)
        path = Path(named if there == "conf" else "../conf/lbgen.yml")
        conf = tmp_path / "conf"
        settings = load_settings(path, {}, {})
        edge, other = settings.targets["edge"], settings.targets["other"]
        paths = (
            settings.certificates,
            settings.users,
            settings.source.docker.tls.ca,
            Path(edge.templates[0]),
            edge.output,
            Path(edge.binary),
            edge.stats_socket,
            edge.apply.master_socket,
            other.apply.pid_file,
        )
        meant = ("certs", "../users", "ca.pem", "mine", "out", "bin/haproxy", "stats.sock", "master.sock", "nginx.pid")
        assert [item.resolve() for item in paths] == [(conf / name).resolve() for name in meant]
        assert (edge.templates[1], other.templates, other.binary) == ("haproxy", ["nginx"], "nginx")
        assert (other.output, settings.client_cas) == (Path("/var/out"), Settings().client_cas)
        assert settings.certificates.is_absolute()  # the proxy is told it


def test_relative_to_the_working_directory(tmp_path, monkeypatch):
    """Paths of the environment and of flags are relative to the working directory, as in every other program."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "lbgen.yml").write_text(RELATIVE)
    monkeypatch.chdir(tmp_path)
    environ = {"LBGEN_CERTIFICATES": "keys", "LBGEN_TARGETS__EDGE__OUTPUT": "files"}
    settings = load_settings(Path("conf/lbgen.yml"), environ, {("targets", "edge", "templates"): ["mine"]})
    assert settings.certificates == tmp_path / "keys"
    assert settings.targets["edge"].output == tmp_path / "files"
    assert settings.targets["edge"].templates == ["mine"]


def test_relative_source(tmp_path, monkeypatch):
    """Files of the source are relative to the settings file too, in the words that reports show."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    for path, meant in (("lbgen.yml", "stack.yml"), ("conf/lbgen.yml", "conf/stack.yml")):
        Path(path).write_text("source: {file: 'stack.yml, /more.yml'}\n")
        assert load_settings(Path(path), {}, {}).source.file == [Path(meant), Path("/more.yml")]


@pytest.mark.parametrize(
    ("text", "defaults"),
    [
        ("{}", ("web",)),
        ("listeners: {a: {bind: ':1'}}", ("a",)),
        ("listeners: {a: {bind: ':1'}, b: {bind: ':2'}}", ()),
        ("listeners: {a: {bind: ':1'}, web: {bind: ':2'}}", ("web",)),
        ("{listeners: {a: {bind: ':1'}, web: {bind: ':2'}}, default_listeners: [a]}", ("a",)),
        ("{listeners: {a: {bind: ':1'}, web: {bind: ':2'}}, default_listeners: a}", ("a",)),
    ],
)
def test_default_listeners(text, defaults, tmp_path):
    """Routes that name no listener go to the ones set, else to web, else to the only one."""
    assert load(text, tmp_path=tmp_path).rules().default_listeners == defaults


def test_encoded_slashes(tmp_path):
    """They pass unless a listener rejects them, and only one of protocol http has paths."""
    (web,) = load("listeners: {web: {bind: ':1', encoded_slashes: reject}}", tmp_path=tmp_path).rules().listeners
    (other,) = load("listeners: {web: {bind: ':1'}}", tmp_path=tmp_path).rules().listeners
    assert (web.encoded_slashes, other.encoded_slashes) == ("reject", "pass")
    with pytest.raises(SettingsError, match="encoded_slashes is for listeners of protocol http, this one is of tcp"):
        load("listeners: {pg: {bind: ':1', protocol: tcp, encoded_slashes: reject}}", tmp_path=tmp_path)


def test_rules(tmp_path):
    """The model is handed what it depends on and nothing else."""
    text = "discovery: {expose_by_default: true, networks: [a], nodes: node.role==worker, node_cidrs: [10.0.0.0/8]}"
    rules = load(text, tmp_path=tmp_path).rules()
    assert rules.expose_by_default
    assert (rules.networks, rules.nodes, rules.node_cidrs) == (("a",), "node.role==worker", ("10.0.0.0/8",))


# ------------------------------------------------------------------------------------------------ environment, flags


@pytest.mark.parametrize(
    ("environ", "key", "meant"),
    [
        ({"LBGEN_LOG__LEVEL": "debug"}, ("log", "level"), "debug"),
        ({"LBGEN_MIN_RELOAD_INTERVAL": "3s"}, ("min_reload_interval",), 3.0),
        ({"LBGEN_DISCOVERY__EXPOSE_BY_DEFAULT": "true"}, ("discovery", "expose_by_default"), True),
        ({"LBGEN_DISCOVERY__NETWORKS": "a,b"}, ("discovery", "networks"), ["a", "b"]),
        ({"LBGEN_DISCOVERY__NETWORKS": "[a, b]"}, ("discovery", "networks"), ["a", "b"]),
        ({"LBGEN_DISCOVERY__NODES": "node.role==worker"}, ("discovery", "nodes"), "node.role==worker"),
        ({"LBGEN_LISTENERS__WEB__BIND": ":8080"}, ("listeners", "web"), ListenerSettings(bind=":8080")),
        ({"LBGEN_LISTENERS": "{web: {bind: ':81'}}"}, ("listeners", "web"), ListenerSettings(bind=":81")),
        ({"LBGEN_SOURCE__FILE": "/x.yml"}, ("source", "file"), [Path("/x.yml")]),
        (
            {"LBGEN_SOURCE__DOCKER__ENDPOINTS": "unix:///a,tcp://b:1"},
            ("source", "docker"),
            DockerSettings(endpoints=["unix:///a", "tcp://b:1"]),
        ),
        (
            {
                "LBGEN_SOURCE__HUB__URLS": "https://m1:1,https://[fd::1]:1",
                "LBGEN_SOURCE__HUB__ACCEPT": "claims, discovery",
            },
            ("source", "hub"),
            HubSourceSettings(
                urls=["https://m1:1", "https://[fd::1]:1"],
                accept=["claims", "discovery"],
                state=Path("/var/lib/lbgen/edge"),
            ),
        ),
        ({"LBGEN_SOURCE__HUB__URLS": "[https://m1:1, https://m2:1]"}, ("source", "hub", "accept"), []),
        (
            {"LBGEN_SOURCE__HOSTS": "[{name: a, endpoint: 'ssh://10.0.0.1'}, {name: b, endpoint: 'tcp://10.0.0.2:1'}]"},
            ("source", "hosts"),
            [HostSettings(name="a", endpoint="ssh://10.0.0.1"), HostSettings(name="b", endpoint="tcp://10.0.0.2:1")],
        ),
        (
            {"LBGEN_HUB__AUTHORITY": "/a.pem", "LBGEN_HUB__PEERS": "https://m1:9443,https://m2:9443"},
            ("hub", "peers"),
            ["https://m1:9443", "https://m2:9443"],
        ),
        ({"LBGEN_CONFIG": "elsewhere.yml"}, ("log", "level"), "info"),
        ({"OTHER": "x", "lbgen_log__level": "debug"}, ("log", "level"), "info"),
        ({"LBGEN_DISCOVERY__NODES": ""}, ("discovery", "nodes"), ""),
    ],
)
def test_environment(environ, key, meant):
    """Every setting is a variable too, with __ between the levels and lists separated by commas."""
    value = load(environ=environ)
    for part in key:
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    assert value == meant


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({"LBGEN_SORCE": "x"}, "LBGEN_SORCE: sorce: unknown key"),
        ({"LBGEN_LOG__LEVL": "x"}, "LBGEN_LOG__LEVL: log.levl: unknown key"),
        ({"LBGEN_LOG__LEVEL": "x"}, "LBGEN_LOG__LEVEL: log.level:"),
        ({"LBGEN_MIN_RELOAD_INTERVAL": "3"}, "LBGEN_MIN_RELOAD_INTERVAL: min_reload_interval:"),
        ({"LBGEN_LOG": "debug"}, "LBGEN_LOG: log:"),
        (
            {"LBGEN_SOURCE__HUB__URLS": "m1:9443"},
            "LBGEN_SOURCE__HUB__URLS: source.hub.urls: 'm1:9443' is not",
        ),
        ({"LBGEN_SOURCE__HOSTS__0__NAME": "a"}, "LBGEN_SOURCE__HOSTS__0__NAME: source.hosts: "),
        ({"LBGEN_LISTENERS__WEB__BIND": "22:22"}, "LBGEN_LISTENERS__WEB__BIND: listeners.web.bind: '22:22'"),
    ],
)
def test_wrong_environment(environ, line):
    """What is wrong in the environment is told by the variable's name."""
    with pytest.raises(SettingsError) as caught:
        load(environ=environ)
    assert str(caught.value).startswith(line)


def test_wrong_everywhere(tmp_path):
    """File and environment are judged together."""
    lines = wrong("log: {level: x}\nsorce: 1\n", tmp_path, {"LBGEN_LOG__FORMAT": "xml"})
    assert [line.partition(": ")[0] for line in sorted(lines)] == ["LBGEN_LOG__FORMAT", "lbgen.yml:1", "lbgen.yml:2"]


def test_who_wins(tmp_path):
    """Flags win over the environment, the environment over the file; a flag not given changes nothing."""
    text, environ = "log: {level: error, format: json}\nmin_reload_interval: 9s\n", {"LBGEN_LOG__LEVEL": "warning"}
    settings = load(text, environ, {("log", "level"): "debug", ("log", "format"): None}, tmp_path)
    assert (settings.log.level, settings.log.format, settings.min_reload_interval) == ("debug", "json", 9.0)
    assert load(text, environ, tmp_path=tmp_path).log.level == "warning"


KUBERNETES = {
    "LBGEN_PORT": "tcp://10.0.0.1:9099",
    "LBGEN_PORT_9099_TCP": "tcp://10.0.0.1:9099",
    "LBGEN_PORT_9099_TCP_ADDR": "10.0.0.1",
    "LBGEN_PORT_9099_TCP_PORT": "9099",
    "LBGEN_PORT_9099_TCP_PROTO": "tcp",
    "LBGEN_SERVICE_HOST": "10.0.0.1",
    "LBGEN_SERVICE_PORT": "9099",
    "LBGEN_SERVICE_PORT_HTTP": "9099",
    "LBGEN_STATUS_PORT": "tcp://10.0.0.1:9099",  # of a service called lbgen-status
    "LBGEN_STATUS_SERVICE_HOST": "10.0.0.1",
    "LBGEN_NAMESPACE": "edge",
}


def test_variables_of_others():
    """Kubernetes' links to services change nothing, and do not keep lbgen from starting; they are named."""
    assert load(environ={**KUBERNETES, "LBGEN_LOG__LEVEL": "debug"}).log.level == "debug"
    environ = {**KUBERNETES, "LBGEN_LOG__LEVEL": "debug", "LBGEN_CONFIG": "a", "HOME": "/"}
    assert foreign_variables(environ) == sorted(KUBERNETES)


@pytest.mark.parametrize(
    "name",
    ["CERTIFICATE", "CLIENT_CA", "LOG_LEVEL", "STATUS_BIND", "MIN_RELOAD", "PORT__X", "SERVICE__HOST"],
)
def test_misspelt_variables(name):
    """A setting that somebody meant must not be lost in silence."""
    with pytest.raises(SettingsError, match=f"LBGEN_{name}: "):
        load(environ={f"LBGEN_{name}": "x"})
    assert foreign_variables({f"LBGEN_{name}": "x"}) == []


def test_claims():
    """From the file or one variable; the model is told of names in lower case, and of ranges."""
    text = (
        '[{services: "stack==a", hosts: "*.A.org, b.org", ports: [80, 8000-8999], deny_keys: ["cors.*"]}, {groups: []}]'
    )
    first, second = load(environ={"LBGEN_CLAIMS": text}).rules().claims
    assert first == Claim("stack==a", ("*.a.org", "b.org"), None, ((80, 80), (8000, 8999)), None, ("cors.*",), None)
    assert second == Claim(groups=())


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ('{services: "stack=a"}', "claims.0.services: 'stack=a' is not a constraint on services"),
        ('{hosts: ["a b"]}', "claims.0.hosts: 'a b' is not a host name"),
        ("{ports: [0]}", "claims.0.ports: '0' is not a whole number from 1 to 65535"),
        ("{ports: [9-8]}", "claims.0.ports: '9-8' ends before it begins"),
        ("{keys: [hosts]}", "claims.0.keys: 'hosts' is not a key; did you mean"),
        ('{deny_keys: ["x*"]}', "claims.0.deny_keys: 'x\\*' is not a key"),
        ("{listeners: [nope]}", "claims.0.listeners names nope, listeners are web"),
        ("{host: a.org}", "claims.0.host: unknown key"),
    ],
)
def test_wrong_claims(entry, says):
    """Each says what is wrong."""
    with pytest.raises(SettingsError, match=says):
        load(environ={"LBGEN_CLAIMS": f"[{entry}]"})


def test_environment_over_other_kind(tmp_path):
    """A variable deep below a value that is no mapping takes its place."""
    assert load("log: 3\n", {"LBGEN_LOG__LEVEL": "debug"}, tmp_path=tmp_path).log.level == "debug"


def test_schema():
    """The JSON Schema describes every key that is accepted, durations as texts."""
    schema = Settings.model_json_schema()
    assert set(schema["properties"]) == set(Settings.model_fields)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["min_reload_interval"]["type"] == "string"
    assert schema["properties"]["min_reload_interval"]["description"]


@pytest.mark.parametrize(
    ("listener", "message"),
    [
        ({"protocol": "udp", "trusted_proxies": ["10.0.0.0/8"]}, "for the protocols http and tcp"),
        ({"protocol": "udp", "proxy_protocol": True}, "for the protocols http and tcp"),
        ({"protocol": "tcp", "trusted_proxies": ["10.0.0.0/8"]}, "add proxy_protocol: true"),
        ({"trusted_proxies": ["0.0.0.0/0"]}, "is everybody"),
        ({"trusted_proxies": ["::/0"]}, "is everybody"),
        ({"trusted_proxies": ["10.0.0.1/8"]}, "is not a network"),
    ],
)
def test_load_balancers_that_are_none(listener, message):
    """Whose words are believed is said in networks, and never of everybody."""
    with pytest.raises(ValueError, match=message):
        Settings.model_validate({"listeners": {"web": {"bind": ":80", **listener}}})


def test_load_balancers():
    """An address is a network of one; lists may be written with commas; templates have them sorted."""
    listener = {"bind": ":80", "trusted_proxies": "192.0.2.1, 10.0.0.0/8,10.0.0.0/8", "proxy_protocol": True}
    [made] = Settings.model_validate({"listeners": {"web": listener}}).rules().listeners
    assert (made.trusted_proxies, made.proxy_protocol) == (("10.0.0.0/8", "192.0.2.1/32"), True)


def test_via(tmp_path):
    """Where traffic goes is said for lbgen's own labels and for each dialect."""
    assert load().rules().label_context().ways == Ways("auto", "task", "task")
    text = "discovery: {via: mesh, traefik: {via: auto}, dockerflow: {via: vip}}"
    assert load(text, tmp_path=tmp_path).rules().ways == Ways("mesh", "auto", "vip")
    line = wrong("discovery: {dockerflow: {via: ingress}}", tmp_path)[-1]
    assert "discovery.dockerflow.via" in line
    assert "'auto', 'mesh', 'host', 'task' or 'vip'" in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "source: {hub: {urls: ['https://m1:9443']}}\ntargets: {edge: {templates: haproxy}}\n",
            "targets.edge: /var/lib/lbgen/edge is where source.hub.state keeps what is lbgen's alone: "
            "give the target another name or another output",
        ),
        (
            "hub: {authority: a.pem, state: x}\ntargets: {web: {templates: haproxy, output: x}}\n",
            "is where hub.state keeps what is lbgen's alone",
        ),
        ("targets: {source: {templates: haproxy}}\n", "/var/lib/lbgen/source is where state keeps"),
        (
            "source: [{name: a, hub: {urls: ['https://m1:9443']}}, {name: b, hub: {urls: ['https://m1:9443']}}]\n",
            "source.b.hub.state: /var/lib/lbgen/edge is that of source.a.hub.state: give each a directory of its own",
        ),
    ],
)
def test_directories(text, message, tmp_path):
    """No proxy's files are among an edge's key and a hub's ledger, and no two identities in one directory."""
    [line] = wrong(text, tmp_path)
    assert message in line
