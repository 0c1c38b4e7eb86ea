"""What the built-in Nginx set renders: golden files, what each version is given, and that no label leaves its place."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lbgen.base.errors import SettingsError
from lbgen.model import Model, build
from lbgen.proxies.nginx import kind
from lbgen.render.quoting import nginx as quote
from lbgen.render.renderer import Files
from lbgen.settings import ListenerSettings, Settings
from tests.support import golden_cases
from tests.support.builders import Fact, a_listener, a_rules, a_snapshot, a_task, app
from tests.support.certificates import certificate
from tests.support.clients import raw
from tests.support.nginx_render import a_renderer, rendered
from tests.support.ports import free_port
from tests.support.real_nginx import VERSIONS, binary, renderer, site, target, write


def upstream(text: str, name: str = "web") -> list[str]:
    """The lines of an upstream."""
    return [
        line.strip()
        for line in text.partition(f"upstream {name} {{\n")[2].partition("}")[0].splitlines()
        if line.strip()
    ]


# ------------------------------------------------------------------------------------------------ upstreams


def test_upstream():
    """The balancing method goes before keepalive, servers have names; a draining one is left out."""
    leaving = a_task("web", 3, addresses={"edge-id": "127.1.0.3"}, desired_state="shutdown")
    keys = {
        "balance": "least-conn",
        "weight": 7,
        "max-conn": 9,
        "health-check": "tcp",
        "health-check.interval": "700ms",
    }
    assert upstream(rendered(*app("web", keys, 80, "127.1.0.1", "127.1.0.2"), leaving)) == [
        "zone web 67k;",
        "least_conn;",
        "server 127.1.0.1:80 weight=7 max_fails=0 max_conns=9;  # web.1 on node1",
        "server 127.1.0.2:80 weight=7 max_fails=0 max_conns=9;  # web.2 on node1",
        "keepalive 32;",
        "keepalive_timeout 4s;",
    ]


@pytest.mark.parametrize("case", golden_cases.CASES, ids=lambda path: path.stem)
def test_servers_are_addresses(case):
    """No server is a name: one that does not resolve would keep Nginx from loading anything."""
    files = a_renderer(made=golden_cases.settings_of(case)).render(*golden_cases.modelled(case))
    found = re.findall(r"^        server (\S+):\d+[ ;]", files.texts["nginx.conf"], re.MULTILINE)
    for address in found:
        ipaddress.ip_address(address.strip("[]"))


@pytest.mark.parametrize(
    ("keys", "version", "expected"),
    [
        ({"balance": "source"}, (1, 22, 1), "hash $remote_addr consistent;"),
        ({"balance": "random"}, (1, 22, 1), "random;"),
        ({"sticky": "source"}, (1, 22, 1), "hash $remote_addr consistent;"),
        ({"sticky": "cookie:id"}, (1, 22, 1), "hash $remote_addr consistent;"),
        ({"sticky": "cookie:id"}, (), "hash $remote_addr consistent;"),
        ({"sticky": "cookie:id"}, (1, 29, 6), "sticky cookie id path=/ httponly samesite=lax;"),
    ],
)
def test_balance(keys, version, expected):
    """Each way to spread requests in Nginx's words; a cookie only where it has one."""
    lines = upstream(rendered(*app("web", keys, 80, "127.1.0.1"), version=version))
    assert lines[1] == expected
    assert lines[2].startswith("server ")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, []),
        ({"timeout.connect": "3s"}, ["proxy_connect_timeout 3s;"]),
        ({"timeout.connect": "5s"}, ["proxy_connect_timeout 5s;", "proxy_next_upstream_timeout 15s;"]),
        (
            {"timeout.response": "5s", "timeout.idle": "5s"},
            ["proxy_read_timeout 5s;", "proxy_send_timeout 5s;", "proxy_next_upstream_timeout 5s;"],
        ),
        ({"retries": 0}, ["proxy_next_upstream off;"]),
        ({"retries": 4}, ["proxy_next_upstream_tries 5;"]),
    ],
)
def test_location(keys, expected):
    """A location says what differs from the defaults, and no more."""
    text = rendered(*app("web", keys, 80, "127.1.0.1")).partition("location / {\n            proxy_pass")[2]
    assert [line.strip() for line in text.partition("}")[0].splitlines()[1:-1]] == expected


# ------------------------------------------------------------------------------------------------ versions


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ((), {"listen 443 ssl http2 default_server;"}),
        ((1, 18, 0), {"listen 443 ssl http2 default_server;"}),
        ((1, 25), {"listen 443 ssl http2 default_server;"}),
        ((1, 25, 1), {"listen 443 ssl default_server;", "http2 on;"}),
        ((1, 27, 3), {"listen 443 ssl default_server;", "http2 on;"}),
        ((1, 27, 4), {"listen 443 ssl default_server;", "http2 on;", "keepalive_min_timeout 2s;"}),
    ],
)
def test_version(version, words):
    """Each version is given what it knows; one that is not known is taken for 1.18."""
    model = build(a_snapshot(), a_rules(a_listener(port=443, tls=True)))
    lines = a_renderer(version).render(model, a_snapshot()).texts["nginx.conf"].splitlines()
    found = {line.strip() for line in lines}
    everything = {"listen 443 ssl http2 default_server;", "listen 443 ssl default_server;", "http2 on;"}
    assert found & (everything | {"keepalive_min_timeout 2s;"}) == words


def test_version_option(tmp_path):
    """Another version than the program's can be asked for; a number is none, since 1.30 would be 1.3."""
    made = target("/nowhere/nginx", tmp_path, options={"version": "1.26"})
    assert renderer(made).target.version == (1, 26)
    assert renderer(target("/nowhere/nginx", tmp_path)).target.version == ()
    with pytest.raises(SettingsError, match=r'targets\.edge\.options\.version: 1\.3 is not a version; write "1\.26"'):
        renderer(target("/nowhere/nginx", tmp_path, options={"version": 1.30}))


def a_program(directory: Path, said: str) -> str:
    """A program that says this of itself."""
    path = directory / "nginx"
    path.write_text(f"#!/bin/sh\ncat >&2 <<'.'\n{said}\n.\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("said", "build"),
    [
        (
            "nginx version: nginx/1.18.0 (Ubuntu)\nconfigure arguments: --with-stream",
            kind.Build((1, 18, 0), "stream", features=()),
        ),
        (
            "nginx version: openresty/1.25.3.1\nconfigure arguments: --with-stream=x",
            kind.Build((1, 25, 3), "", features=()),
        ),
        (
            "nginx version: nginx/1.22.1\nconfigure arguments: --with-stream_ssl_module",
            kind.Build((1, 22, 1), "", features=()),
        ),
        (
            "nginx version: nginx/1.22.1\nconfigure arguments: --modules-path=/nowhere --with-stream=dynamic",
            kind.Build((1, 22, 1), "", features=()),
        ),
        ("something else", kind.Build((), "stream")),
    ],
)
def test_build(tmp_path, said, build):
    """What a program says of itself."""
    assert kind.build_of(a_program(tmp_path, said)) == build


def test_module_beside_its_program(tmp_path):
    """A stream module in a file of its own is loaded from the directory that the program names."""
    (tmp_path / "ngx_stream_module.so").touch()
    said = f"nginx version: nginx/1.22.1\nconfigure arguments: --modules-path={tmp_path} --with-stream=dynamic"
    assert kind.build_of(a_program(tmp_path, said)).stream == f"{tmp_path}/ngx_stream_module.so"


def test_without_stream_module(tmp_path):
    """Without the stream module tcp and udp listeners are left out, which is said once, and HTTP goes on."""
    program = a_program(tmp_path, "nginx version: nginx/1.22.1\nconfigure arguments: --with-debug")
    made = Settings(
        listeners={
            "web": ListenerSettings(bind=":80"),
            "pg": ListenerSettings(bind=":5432", protocol="tcp"),
            "dns": ListenerSettings(bind=":53", protocol="udp"),
        }
    )
    with capture_logs() as logs:
        first, second = (renderer(target(program, tmp_path), made) for _ in range(2))
        renderer(target(program, tmp_path, listeners=["web"]), made)
    assert [(entry["event"], entry["listeners"]) for entry in logs] == [("listeners_left_out", "pg, dns")]
    assert "apt-get install libnginx-mod-stream" in logs[0]["remedy"]
    files = first.render(build(a_snapshot(), made.rules()), a_snapshot())
    assert "stream {" not in files.texts["nginx.conf"]
    assert "load_module" not in files.texts["nginx.conf"]
    assert "listen 80 default_server;" in files.texts["nginx.conf"]
    assert "stream {" not in second.render(build(a_snapshot(), made.rules()), a_snapshot()).texts["nginx.conf"]


def test_modules_option(tmp_path):
    """Modules that the options name are loaded, and nothing else."""
    made = renderer(target("/nowhere/nginx", tmp_path, options={"modules": ["/x/ngx_stream_module.so", "/x/y.so"]}))
    text = made.render(Model(), a_snapshot()).texts["nginx.conf"]
    assert re.findall("load_module (.*);", text) == ["/x/ngx_stream_module.so", "/x/y.so"]


@pytest.mark.parametrize(("probe", "said"), [("x", "'x' is not ADDRESS:PORT"), ("127.0.0.1", "is not ADDRESS:PORT")])
def test_bad_probe(tmp_path, probe, said):
    """A probe that is no address and port is refused with its name."""
    with pytest.raises(SettingsError, match=rf"targets\.edge\.probe: .*{said}"):
        renderer(target("/nowhere/nginx", tmp_path, probe=probe))


# ------------------------------------------------------------------------------------------------ accepted

proxy = [pytest.mark.proxy("nginx"), pytest.mark.timeout(600)]


@pytest.fixture(params=[pytest.param(version, marks=proxy) for version in VERSIONS])
def nginx(request, short_dir):
    """A site for each version of Nginx."""
    with site(binary(request.param), short_dir) as made:
        yield made


def test_every_golden_case_is_accepted(nginx):
    """Nginx accepts every golden case, without a warning."""
    certificate(nginx.directory / "certs/a.pem", "a.org")
    for case in golden_cases.CASES:
        made = golden_cases.settings_of(case)
        files = renderer(target(nginx.program, nginx.directory), made).render(*golden_cases.modelled(case))
        # An address of another machine's, which Nginx tries to bind.
        write(
            Files.of({name: text.replace("192.0.2.1", "127.0.0.1") for name, text in files.texts.items()}),
            nginx.directory,
        )
        nginx.accepted()


@pytest.mark.parametrize(
    ("options", "written"),
    [({}, "30m"), ({"worker_shutdown": "5m"}, "5m"), ({"shutdown_timeout": "6m"}, "6m")],
)
def test_worker_shutdown(options, written):
    """The time that old workers have is set under its name, or under its former one."""
    assert f"worker_shutdown_timeout {written};\n" in rendered(**options)


def test_options_are_accepted(nginx):
    """Nginx accepts what every option writes."""
    nginx.write(
        options={
            "user": "daemon",
            "worker_processes": 3,
            "shutdown_timeout": "5m",
            "keep_alive": "0",
            "max_body": "10m",
            "buffering": False,
            "response_buffering": True,
            "error_log": f"{nginx.directory}/errors.log info",
            "access_log": "syslog:server=127.0.0.1",
        }
    )
    nginx.accepted()


def test_many_and_long_names(nginx):
    """Nginx accepts names by the thousand, and names as long as they can be."""
    longest = ".".join(["x" * 60] * 4)
    facts = app("long", {"host": f"{longest},*.{longest}"}, 80, "127.1.0.1")
    for number in range(10):
        hosts = ",".join(f"h{number}-{each}.example.org" for each in range(100))
        facts += app(f"s{number}", {"host": hosts}, 80, "127.1.0.1")
    sni = {"tcp.a.sni": ",".join(f"{'y' * 60}{each}.{'z' * 60}" for each in range(30)), "tcp.a.listener": "pg"}
    nginx.write(*facts, *app("sni", sni, 80, "127.1.0.1"), protocols={"web": "http", "pg": "tcp"})
    nginx.accepted()


def test_many_rules(nginx):
    """Nginx accepts rules by the hundred, with tests by the dozen."""
    facts: list[Fact] = []
    for number in range(20):
        facts += app(f"r{number}", {f"header.x-{number}": ",".join(map(str, range(20)))}, 80, "127.1.0.1")
    nginx.write(*facts, *app("many", {f"header.x-{each}": "a" for each in range(50)}, 80, "127.1.0.1"))
    nginx.accepted()


def test_no_name_twice(nginx):
    """A host with routes of many services is one server block: Nginx would ignore a second one."""
    files = nginx.write(
        *app("one", {"host": "a.org", "path": "/a"}, 80, "127.1.0.1"),
        *app("two", {"host": "a.org", "path": "/b"}, 80, "127.1.0.1"),
        *app("three", {"host": "a.org", "method": "PUT"}, 80, "127.1.0.1"),
        *app("four", {"method": "POST"}, 80, "127.1.0.1"),
    )
    text = files.texts["nginx.conf"]
    assert re.findall("server_name (.*);", text) == ["lbgen", "a.org", '""']
    assert text.count("default_server") == 1
    nginx.accepted()


def test_longest_labels(nginx):
    """Values that are longer than a word of Nginx's may be are left out, and hold nobody back."""
    long = "/" + '"' * 4000
    facts = [
        *app("path", {"path": long[:600]}, 80, "127.1.0.1"),
        *app("exact", {"path-exact": long[:599]}, 80, "127.1.0.1"),
        *app("escapes", {"path": "/%C3%A4" + "%C3" * 164}, 80, "127.1.0.1"),
        *app("header", {"header.x-a": long}, 80, "127.1.0.1"),
        *app("many", {f"header.x-{number}": "a" for number in range(200)}, 80, "127.1.0.1"),
        *app("url", {"redirect": "/" + "a" * 4000, "path": "/r"}, 80),
        *app("long", {"redirect": "/x" + "{path}" * 680, "path": "/l"}, 80),
        *app("fits", {"header.x-a": "\\E" * 300}, 80, "127.1.0.1"),
        *app("web", {}, 80, "127.1.0.1"),
    ]
    text = nginx.write(*facts).texts["nginx.conf"]
    assert Counter(re.findall("# Left out: (the path|the redirect|this is more)", text)) == {
        "the redirect": 4,  # two, each at the path itself and at all that is below it
        "this is more": 2,
    }
    nginx.accepted()


def test_more_than_can_be_tested_is_guarded(nginx):
    """Of a match that Nginx cannot test whole, the rest is judged by the guard; without one it is left out."""
    rule = "Host(`a.org`) && PathPrefix(`/admin`) && QueryRegexp(`page`, `^[0-9]+$`)"
    guarded = {"http.all.host": "a.org", "http.admin.rule": rule, "http.admin.allow-ip": "10.0.0.0/8"}
    text = nginx.write(*app("web", guarded, 80, "127.1.0.1")).texts["nginx.conf"]
    assert "# Asked in part: this is more than Nginx can test." in text
    nginx.run()
    ask = "GET {} HTTP/1.1\r\nHost: a.org\r\nConnection: close\r\n\r\n".format
    assert b" 403 " in raw(nginx.ports["web"], ask("/admin?page=1"))
    assert b" 403 " not in raw(nginx.ports["web"], ask("/other"))


def test_redirects_with_text_after_variables(nginx):
    """What follows a part of the request in a redirect's URL is no part of the variable's name."""
    redirect = "https://{host}x/{path}y?{query}_z"
    nginx.write(*app("web", {"redirect": redirect}, 80))
    nginx.run()
    answer = raw(nginx.ports["web"], "GET /p?q HTTP/1.1\r\nHost: a.org\r\nConnection: close\r\n\r\n")
    assert b"\r\nLocation: https://a.orgx//py?q_z\r\n" in answer


def test_longest_list_of_methods(nginx):
    """As many methods of CORS as a label may have are more than a word of Nginx's, and hold nobody back."""
    letters = str.maketrans("0123456789", "ABCDEFGHIJ")
    methods = ",".join(f"{number:016}".translate(letters) for number in range(241))
    assert len(methods) == 4096
    keys = {"cors.origins": "https://a.org", "cors.methods": methods}
    text = nginx.write(*app("web", keys, 80, "127.1.0.1")).texts["nginx.conf"]
    assert "# Left out: the methods" in text
    nginx.accepted()


# ------------------------------------------------------------------------------------------------ quoting


VALUES = [
    "plain",
    "two words",
    "  three  blanks ",
    "it's",
    '"double"',
    "back\\slash\\",
    "\\'",
    "\\n\\t\\\\",
    "#x",
    "a;b",
    "{x}",
    "}",
    "Z\u00fcrich",
    "",
]


def test_quoting(nginx):
    """What the filter `quote` writes, Nginx reads back as the very value."""
    port = free_port()
    lines = "".join(f"location = /{number} {{ return 200 {quote(value)}; }}\n" for number, value in enumerate(VALUES))
    (nginx.directory / "nginx.conf").write_text(
        f"pid {nginx.directory}/nginx.pid;\nevents {{}}\nhttp {{ server {{ listen 127.0.0.1:{port};\n{lines}}} }}\n"
    )
    nginx.run()
    found = [
        raw(port, f"GET /{number} HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")[2].decode() for number in range(len(VALUES))
    ]
    assert found == VALUES
