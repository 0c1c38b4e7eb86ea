"""The blocks of the built-in templates: each can be replaced and added to, and the proxy takes what is added."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lbgen.daemon import assembly
from lbgen.model import Builder, build
from lbgen.render.block_reference import blocks_of
from lbgen.render.templates import BUILTIN, builtin_names, find
from lbgen.settings import ListenerSettings, Settings, TargetSettings
from lbgen.snapshot import Snapshot
from scripts.reference import blocks
from tests.support import real_haproxy, real_nginx, real_traefik
from tests.support.builders import a_network, a_node, a_service, a_snapshot, a_task
from tests.support.certificates import certificate
from tests.support.paths import ROOT

DOCUMENT = ROOT / "docs" / "blocks.md"
FILES = [(name, output.template) for name in builtin_names() for output in find([name]).outputs()]
WHOLE = [(name, output.template) for name in builtin_names() for output in find([name]).outputs() if not output.each]
PROGRAMS = {"haproxy": real_haproxy.BINARY, "nginx": "nginx", "traefik": real_traefik.BINARY}

COMMENT = "# mine\n"
MIDDLEWARE = "    'mine':\n      headers:\n        customResponseHeaders: {'X-Served-By': 'lbgen'}\n"
ROUTER = "    'mine':\n      entryPoints: [{ENTRY}]\n      rule: {RULE}\n      service: 'mine'\n"
SERVICE = "    'mine':\n      loadBalancer:\n        servers: [{ADDRESS: '127.0.0.1:1'}]\n"

# What an author could add. Blocks of whole sections get a comment.
ADDITIONS = {
    "haproxy": {
        "global_extra": "    ssl-default-bind-options ssl-min-ver TLSv1.2\n",
        "sections": "resolvers mine\n    nameserver one 192.0.2.53:53\n\n",
        "users": "userlist mine\n    user one insecure-password two\n\n",
        "http_log": '    log-format "%ci %ST %HU"\n',
        "http_defaults_extra": "    timeout tarpit 5s\n    errorfile 503 {{ target.output }}/503.http\n",
        "http_bind": " accept-proxy",
        "http_frontend_extra": '    http-after-response set-header X-Listener "{{ listener.name }}"\n',
        "http_no_route": "    use_backend mine unless { var(txn.backend) -m found }\n",
        "http_backend_extra": "    default-server maxqueue 10 resolvers mine\n",
        "http_extra": "listen statistics\n    bind 127.0.0.1:1\n    stats enable\n    stats uri /\n\n"
        "backend mine\n    server fallback 192.0.2.9:80\n\n",
        "tcp_log": '    log-format "%ci %B"\n',
        "tcp_defaults_extra": "    option tcpka\n",
        "tcp_bind": " accept-proxy",
        "tcp_frontend_extra": "    tcp-request connection reject if { src 192.0.2.1 } # {{ listener.name }}\n",
        "tcp_backend_extra": "    default-server on-marked-down shutdown-sessions # {{ backend.name }}\n",
        "tcp_extra": "listen ldap\n    bind 127.0.0.1:2\n    server one 192.0.2.9:389\n\n",
        "extra": "frontend more\n    mode http\n    bind 127.0.0.1:3\n",
    },
    "nginx": {
        "main_extra": "env TZ;\n",
        "http_log": "    log_format mine '$remote_addr $status';\n",
        "http_tls": "    ssl_buffer_size 4k;\n",
        "http_extra": "    add_header X-Served-By lbgen always;\n    include {{ target.output }}/mine/*.conf;\n",
        "http_upstream_extra": "        keepalive_requests 500;  # {{ backend.name }}\n",
        "http_location_extra": "            proxy_pass_header {{ backend.name }};\n",
        "http_no_route": "            # or: proxy_pass http://web;\n",
        "http_no_server": "            # or: return 302 https://status.example.org;\n",
        "http_listen": "backlog=1024 so_keepalive=on",
        "http_server_extra": "        client_header_buffer_size 2k;  # {{ listener.name }} {{ site.host }}\n",
        "stream_tls": "    ssl_handshake_timeout 10s;\n",
        "stream_extra": "    tcp_nodelay on;\n",
        "stream_listen": "{{ 'rcvbuf=64k' if listener.protocol == 'udp' else 'backlog=1024' }}",
        "stream_upstream_extra": "        # {{ backend.name }}\n",
        "stream_server_extra": "        proxy_buffer_size 32k;  # {{ listener.name }}\n",
    },
    "traefik": {
        "http_chain_extra": '          - "mine"\n',
        "http_middlewares_extra": MIDDLEWARE,
        "http_routers_extra": ROUTER.replace("{ENTRY}", "web").replace("{RULE}", "PathPrefix(`/`)")
        + "      priority: -1\n",
        "http_router_extra": "      observability:\n        accessLogs: false\n",
        "http_service_extra": '        responseForwarding:\n          flushInterval: "50ms"\n',
        "http_services_extra": SERVICE.replace("ADDRESS: '", "url: 'http://"),
        "http_transports_extra": '    "mine":\n      maxIdleConnsPerHost: 7\n',
        "tcp_middlewares_extra": '    "mine":\n      inFlightConn:\n        amount: 10\n',
        "tcp_routers_extra": ROUTER.replace("{ENTRY}", "pg").replace("{RULE}", "HostSNI(`mine.example.org`)")
        + "      tls: {passthrough: true}\n",
        "tcp_services_extra": SERVICE.replace("ADDRESS", "address"),
        "udp_services_extra": SERVICE.replace("ADDRESS", "address"),
        "tls_options_extra": '    "default":\n      minVersion: "VersionTLS12"\n',
        "entry_point_http_extra": "      sanitizePath: true\n",
        "entry_point_extra": "    asDefault: false  # {{ listener.name }}\n",
        "entry_points_extra": '  "mine":\n    address: "127.0.0.1:1"\n',
        "providers_extra": "  # {{ target.name }}\n",
        "access_log": 'accessLog:\n  format: "json"\n',
        "extra": "# mine\n",
    },
}
SETTINGS = Settings(
    listeners={
        "web": ListenerSettings(bind="127.0.0.1:80"),
        "websecure": ListenerSettings(bind="127.0.0.1:443", tls=True),
        "pg": ListenerSettings(bind="127.0.0.1:5432", protocol="tcp"),
        "pgs": ListenerSettings(bind="127.0.0.1:5433", protocol="tcp", tls=True),
        "dns": ListenerSettings(bind="127.0.0.1:5353", protocol="udp"),
    },
    default_listeners=["web", "websecure"],
)


def cluster(*more: str) -> Snapshot:
    """Something of everything, and plain services of these names."""
    keys = {
        "web": {"host": "web.example.org", "method": "GET", "allow-ip": "10.0.0.0/8"},
        "none": {"host": "none.example.org"},
        **{name: {"host": f"{name}.example.org"} for name in more},
        "db": {"tcp.db.listener": "pg", "tcp.db.sni": "*", "tcp.db.allow-ip": "10.0.0.0/8"},
        "dbs": {"tcp.db.listener": "pgs", "tcp.db.sni": "*"},
        "beside": {"tcp.db.listener": "websecure", "tcp.db.sni": "beside.example.org"},
        "names": {"udp.q.listener": "dns"},
    }
    services = [a_service(name, {"port": 80, **found}, networks=("edge-id",)) for name, found in keys.items()]
    tasks = [a_task(name, addresses={"edge-id": f"10.0.0.{n}"}) for n, name in enumerate(keys, 1) if name != "none"]
    return a_snapshot(a_node(), a_network(), *services, *tasks)


def override(root: Path, name: str, template: str, texts: dict[str, str]) -> Path:
    """Write a template that adds these texts to the built-in one's blocks."""
    path = root / template
    path.parent.mkdir(parents=True, exist_ok=True)
    added = [f"{{% block {block} %}}\n{{{{ super() }}}}{text}{{% endblock %}}\n" for block, text in texts.items()]
    path.write_text(f"{{% extends '{name}/{template}' %}}\n" + "".join(added))
    return root


def target(output: Path, *templates: str, **more: object) -> TargetSettings:
    """A target with these templates."""
    return TargetSettings(templates=list(templates), output=output, **more)


def settings_in(directory: Path) -> Settings:
    """The settings, with certificates in a directory of their own."""
    (directory / "certs").mkdir(exist_ok=True)
    if not (directory / "certs/all.pem").exists():
        certificate(directory / "certs/all.pem", "*.example.org")
    return SETTINGS.model_copy(update={"certificates": directory / "certs"})


def test_document_is_fresh():
    """docs/blocks.md is what the templates say; if not: python -m scripts.reference.blocks > docs/blocks.md"""
    assert blocks.markdown() == DOCUMENT.read_text()


@pytest.mark.parametrize(("name", "template"), FILES)
def test_blocks_are_described(name, template):
    """Every template has blocks, and each says what it is; what is only there to be filled is empty."""
    found = blocks_of(find([name]), template)
    assert found
    assert all(block.about.endswith(".") for block in found)
    source = (BUILTIN / name / template).read_text()
    for block in found:
        if block.name.endswith("extra"):
            after = source.partition(f"block {block.name} ")[2].partition("#}\n")[2]
            assert after.startswith("{% endblock"), block.name


@pytest.mark.parametrize(("name", "template"), WHOLE)
def test_every_line_stands_in_a_block(name, template, tmp_path):
    """A template that leaves all blocks empty gives nothing but blank lines."""
    root = tmp_path / "templates"
    outer = [block.name for block in blocks_of(find([name]), template)]
    path = root / template
    path.parent.mkdir(parents=True)
    path.write_text(
        f"{{% extends '{name}/{template}' %}}" + "".join(f"{{% block {b} %}}{{% endblock %}}" for b in outer)
    )
    facts, settings = cluster(), settings_in(tmp_path)
    made = assembly.Assembly("edge", target(tmp_path, str(root), name), settings).renderer()
    text = made.render(build(facts, settings.rules()), facts).texts[template.removesuffix(".j2")]
    assert not text.strip()


@pytest.mark.parametrize(("name", "template"), WHOLE)
def test_once_honours_blocks(name, template, tmp_path):
    """What blocks add is of the newest model, also where the sections around them are taken over from before."""
    settings = settings_in(tmp_path)
    found = blocks_of(find([name]), template)
    texts = {block.name: f" # {block.name} {{{{ routes | length }}}}\n" for block in found}
    root = override(tmp_path / "templates", name, template, texts)
    made, builder = (
        assembly.Assembly("edge", target(tmp_path, str(root), name), settings).renderer(),
        Builder(settings.rules()),
    )
    for facts in (cluster(), cluster("more"), cluster()):
        model = builder.build(facts)
        files = made.render(model, facts)
        fresh = assembly.Assembly("edge", target(tmp_path, str(root), name), settings).renderer().render(model, facts)
        assert files == fresh
        text = files.texts[template.removesuffix(".j2")]
        missing = [block.name for block in found if f"# {block.name} {len(model.routes)}\n" not in text]
        assert missing == []


@pytest.mark.parametrize(("name", "template"), WHOLE)
def test_super_keeps_the_rest(name, template, tmp_path):
    """Adding to every block takes nothing away, and changes no other line."""
    settings, facts = settings_in(tmp_path), cluster()
    model = build(facts, settings.rules())
    output = template.removesuffix(".j2")
    texts = {block.name: f"  #mine {block.name}\n" for block in blocks_of(find([name]), template)}
    root = override(tmp_path / "templates", name, template, texts)
    plain = assembly.Assembly("edge", target(tmp_path, name), settings).renderer().render(model, facts)
    mine = assembly.Assembly("edge", target(tmp_path, str(root), name), settings).renderer().render(model, facts)
    text = re.sub(r"   #mine \w+_listen\n;", ";", mine.texts[output])  # words in the middle of a directive
    kept = [line.partition("  #mine")[0] for line in text.splitlines()]
    left = iter(kept)  # with headings of what is only there because something was added
    assert all(line.replace(plain.generation, mine.generation) in left for line in plain.texts[output].splitlines())


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.proxy(PROGRAMS[name])) for name in PROGRAMS])
def test_additions_are_accepted(name, short_dir):
    """Something added to every block of every file at once, and the proxy's own program takes it."""
    settings, facts = settings_in(short_dir), cluster()
    (short_dir / "503.http").write_bytes(b"HTTP/1.1 503 no\r\nContent-Length: 0\r\n\r\n")
    (short_dir / "servers.state").write_text("1\n")
    left = ADDITIONS[name]
    for template in (output.template for output in find([name]).outputs()):
        known = [block.name for block in blocks_of(find([name]), template)]
        main = template.endswith((".cfg.j2", ".conf.j2", ".yml.j2"))
        override(
            short_dir / "templates",
            name,
            template,
            {block: left.get(block, COMMENT) if main else COMMENT for block in known},
        )
    binary = PROGRAMS[name] if name != "nginx" else real_nginx.binary("own")
    made = target(short_dir / "out", str(short_dir / "templates"), name, binary=binary)
    made = made.model_copy(update={"output": short_dir})
    files = assembly.Assembly("edge", made, settings).renderer().render(build(facts, settings.rules()), facts)
    everything = "".join(files.texts.values())
    for block, text in left.items():
        first = text.strip().splitlines()[0].partition("{{")[0].strip()
        assert first in everything, block
    assembly.Assembly("edge", made, settings).preview_checker()(files)
