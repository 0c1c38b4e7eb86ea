"""Traefik's file-provider YAML in the settings, and in files that they name: what it may be, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbgen.base.errors import SettingsError
from lbgen.settings import Settings, load_settings

HASH = "$apr1$abcdefgh$1234567890123456789012"


def load(tmp_path: Path, traefik: str, **files: str) -> Settings:
    """Load settings with this section discovery.traefik, in YAML's flow style, and files beside them."""
    for name, text in files.items():
        (tmp_path / name.replace("_", ".")).write_text(text)
    path = tmp_path / "lbgen.yml"
    path.write_text(f"discovery: {{traefik: {traefik}}}\n")
    return load_settings(path, {}, {})


def wrong(tmp_path: Path, traefik: str, **files: str) -> list[str]:
    """What is wrong with them: the lines of the message, without the directory."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, traefik, **files)
    return str(caught.value).replace(f"{tmp_path}/", "").splitlines()


def options(settings: Settings, protocol: str = "http", kind: str = "middlewares") -> dict[str, dict[str, str]]:
    """What the settings define, as labels would have it: option -> value, by name."""
    found = settings.discovery.traefik.defined().elements
    return {
        name: {option: written.value for option, written in element.options.items()}
        for (of, what, name), element in found.items()
        if (of, what) == (protocol, kind)
    }


@pytest.mark.parametrize(
    ("yaml", "expected"),
    [
        ("{compress: {}}", {"compress": "true"}),
        ("{Compress: {}}", {"compress": "true"}),
        ("{compress: }", {}),
        ("{headers: {customRequestHeaders: {X-A: '', X-B: 5}, frameDeny: true}}", {
            "headers.customrequestheaders.x-a": "",
            "headers.customrequestheaders.x-b": "5",
            "headers.framedeny": "true",
        }),
        ("{ipAllowList: {sourceRange: [10.0.0.0/8, 192.0.2.1]}}", {"ipallowlist.sourcerange": "10.0.0.0/8,192.0.2.1"}),
        ("{rateLimit: {average: 10, period: 1.5}}", {"ratelimit.average": "10", "ratelimit.period": "1.5"}),
    ],
)  # fmt: skip
def test_options(tmp_path, yaml, expected):
    """Nested options become those that labels have, without regard to case, as Traefik reads them."""
    settings = load(tmp_path, "{files: a.yml}", a_yml=f"http: {{middlewares: {{One: {yaml}}}}}")
    assert options(settings) == {"one": expected}


def test_sections_and_files(tmp_path):
    """All sections of the settings and all files define together; a file is relative to the settings."""
    settings = load(
        tmp_path,
        "{middlewares: {a: {compress: {}}}, services: {b: {loadBalancer: {servers: [{url: 'http://192.0.2.1'}]}}},"
        " tls_options: {c: {sniStrict: true}}, tcp_middlewares: {d: {inFlightConn: {amount: 2}}},"
        " tcp_services: {e: {loadBalancer: {servers: [{address: '192.0.2.1:5'}]}}}, files: [f.yml, g.toml, h.json]}",
        f_yml="tls: {options: {f: {sniStrict: true}}}\n"
        "udp: {services: {u: {loadBalancer: {servers: [{address: '192.0.2.1:5'}]}}}}",
        g_toml="[http.serversTransports.g]\ninsecureSkipVerify = true\n",
        h_json='{"HTTP": {"Middlewares": {"h": {"compress": {}}}}}',
    )
    names = sorted(".".join(key) for key in settings.discovery.traefik.defined().elements)
    assert names == [
        *("http.middlewares.a", "http.middlewares.h", "http.serverstransports.g", "http.services.b"),
        *("tcp.middlewares.d", "tcp.services.e", "tls.options.c", "tls.options.f", "udp.services.u"),
    ]
    assert settings.discovery.traefik.checked().notes == ()


@pytest.mark.parametrize(
    ("middlewares", "says"),
    [
        (f"{{a: {{basicAuth: {{users: ['x:{HASH}', 'y:z']}}}}}}",
         "a.basicAuth.users[1]: has a password of user y that is not hashed as a proxy knows it"),
        ("{a: {ipAllowList: {sourceRange: [10.0.0.0/8, 10.0.0.0/99]}}}",
         "a.ipAllowList.sourceRange[1]: is not a network; write an address or a network such as 192.0.2.0/24 "
         "(found '10.0.0.0/99')"),
        ("{A: {basicAuht: {users: []}}}", "A: is of a kind that there is not; did you mean basicAuth? "),
        ("{a: {headers: {stsSecond: 5}}}", "a.headers.stsSecond: is an unknown option; did you mean stsseconds?"),
        ("{a: {stripPrefix: {}}}", "a.stripPrefix: is an empty section, which Traefik refuses"),
        ("{a: {addPrefix: {prefix: /x}, compress: {}}}", "a: is of several kinds (addprefix, compress)"),
        ("{a: 5}", "a: is not a section; write its options below the name (found '5')"),
        ("{a: {}}", "a: is of no kind; write a kind, such as headers"),
        ("{a: {compress: {}}, A: {compress: {}}}", "A: has the name of another one, since case does not count"),
        ("{a b: {compress: {}}}", "a b: has no usable name"),
        ("{a: {redirectRegex: {regex: '^http(', replacement: x}}}", "a.redirectRegex.regex: "),
        ("{a: {ipAllowList: {ipStrategy: {}}}}", "a: lets nobody in; add sourcerange"),
        ("{a: {addPrefix: {prefix: '{{ env `X` }}'}}}", "a.addPrefix.prefix: has a Go template ({{ }})"),
        ("{a: {stripPrefixRegex: {regex: ['^/v{1,2}']}}}", "a.stripPrefixRegex.regex[0]: has a comma"),
        ("{a: {chain: {middlewares: [[b]]}}}", "a.chain.middlewares[0]: is a list within a list"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path, middlewares, says):
    """What is wrong is an error that names the line, the place, the value and the remedy; one for each mistake."""
    (line,) = wrong(tmp_path, f"{{middlewares: {middlewares}}}")
    assert line.startswith(f"lbgen.yml:1: discovery.traefik.middlewares.{says}")


def test_lines(tmp_path):
    """The line is that of the item, not of the section."""
    text = "\n".join(["discovery:", " traefik:", "  middlewares:", "   a:", "    ipAllowList:", "     sourceRange:"])
    (tmp_path / "lbgen.yml").write_text(f"{text}\n     - 10.0.0.0/8\n     - x\n")
    with pytest.raises(
        SettingsError, match=r"lbgen.yml:8: discovery.traefik.middlewares.a.ipAllowList.sourceRange\[1\]"
    ):
        load_settings(tmp_path / "lbgen.yml", {}, {})


def test_secrets_are_not_shown(tmp_path):
    """Passwords are in no message, wherever they stand."""
    (line,) = wrong(tmp_path, "{middlewares: {a: {basicAuth: {users: ['x:geheim']}}}}")
    assert "geheim" not in line
    (line,) = wrong(tmp_path, "{middlewares: {a: {headers: {customRequestHeader: {Authorization: geheim}}}}}")
    assert "geheim" not in line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("http: {midlewares: {}}",
         "a.yml:1: a.yml:http.midlewares: is no section of such a file; did you mean middlewares?"),
        ("http: [a]", "a.yml:1: a.yml:http: is not a section; write its kinds of elements below it"),
        ("- a", "a.yml: expected sections such as http and tls, found list"),
        ("http:\n {{ range .X }}\n", "a.yml: has a Go template ({{ }}), which only Traefik evaluates"),
        ("http: {middlewares: {a: {addPrefix: {prefix: '{{ env }}'}}}}",
         "a.yml:1: a.yml:http.middlewares.a.addPrefix.prefix: has a Go template"),
        ("a: b: c", "a.yml:1:5: "),
    ],
)  # fmt: skip
def test_mistakes_in_files(tmp_path, text, says):
    """What Traefik would not take either is an error that names the file."""
    (line,) = wrong(tmp_path, "{files: [a.yml]}", a_yml=text)
    assert line.startswith(says)


def test_missing_file(tmp_path):
    """A file that cannot be read is an error."""
    assert wrong(tmp_path, "{files: none.yml}") == ["none.yml: cannot be read: No such file or directory"]
    assert wrong(tmp_path, "{files: [{path: a}]}") == [
        "lbgen.yml:1: discovery.traefik.files: write the paths of files, not dict (found [{'path': 'a'}])"
    ]


def test_notes_on_files(tmp_path):
    """What of a file is left out, or what only lbgen does not take, is told by ``config check`` and no error."""
    text = """
        http:
          routers: {a: {rule: "Host(`a`)", service: x}}
          middlewares: {proxied: {ipAllowList: {sourceRange: [10.0.0.0/8], ipStrategy: {depth: 2}}}}
        tls: {certificates: [{certFile: /a.crt, keyFile: /a.key}]}
        log: {level: INFO}
    """
    notes = load(tmp_path, "{files: a.yml}", a_yml=text).discovery.traefik.checked().notes
    assert [(note.label.removeprefix(f"{tmp_path}/"), note.message.partition(":")[0]) for note in notes] == [
        ("a.yml:http.middlewares.proxied.ipAllowList.ipStrategy.depth",
         "asks for the client's address in X-Forwarded-For, which clients can write themselves"),
        ("a.yml:http.routers", "is left out"),
        ("a.yml:log", "is left out"),
        ("a.yml:tls.certificates", "is left out"),
    ]  # fmt: skip


def test_kinds_that_only_traefik_has(tmp_path):
    """A plugin, or an option that is not done here, is no error: it closes the routers that name it."""
    kinds = "{a: {plugin: {x: {y: [1, {z: 2}]}}}, b: {digestAuth: {users: [u]}}, c: {forwardAuth: {headerField: x}}}"
    assert load(tmp_path, f"{{middlewares: {kinds}}}").discovery.traefik.checked().mistakes == ()


@pytest.mark.parametrize(
    ("section", "yaml", "says"),
    [
        ("services", "{a: {loadBalancer: {servers: [{url: 'http://192.0.2.1'}, {url: 'http://300.0.2.1'}]}}}",
         "services.a.loadBalancer.servers[1].url: has no IP address where one is meant"),
        ("services", "{a: {loadBalancer: {healthChek: {path: /up}}}}",
         "services.a.loadBalancer.healthChek.path: is an unknown option; did you mean loadbalancer.healthcheck.path?"),
        ("services", "{a: {weighted: {services: [{name: b}]}}}", "services.a: names service b, which nothing defines"),
        ("services", "{a: {weighted: {services: [{name: a}]}}}", "services.a: leads to service a again"),
        ("services", "{a: {failover: {service: app@swarm}}}", "services.a: lacks the service or its fallback"),
        ("tcp_services", "{a: {loadBalancer: {servers: [{address: 192.0.2.1}]}}}",
         "tcp_services.a.loadBalancer.servers[0].address: is not the address of a server"),
        ("tls_options", "{a: {minVersion: '1.3'}}", "tls_options.a.minVersion: is not a version of TLS"),
        ("tls_options", "{a: {clientAuth: {caFile: [x.pem]}}}",
         "tls_options.a.clientAuth.caFile[0]: is an unknown option; did you mean clientauth.cafiles?"),
    ],
)  # fmt: skip
def test_mistakes_of_other_sections(tmp_path, section, yaml, says):
    """Services and TLS options are checked as far as no label has to be asked."""
    (line,) = wrong(tmp_path, f"{{{section}: {yaml}}}")
    assert line.startswith(f"lbgen.yml:1: discovery.traefik.{says}")


def test_what_is_no_mistake(tmp_path):
    """What only labels can tell, and what closes the routers that name it, is no error."""
    services = "{a: {weighted: {services: [{name: app@swarm}]}}, b: {failover: {service: a, fallback: c@docker}}}"
    options = "{a: {clientAuth: {caFiles: [x.pem], clientAuthType: VerifyClientCertIfGiven}, cipherSuites: [X]}}"
    checked = load(tmp_path, f"{{services: {services}, tls_options: {options}}}").discovery.traefik.checked()
    assert checked.mistakes == ()
    assert [note.label.rpartition(".")[2] for note in checked.notes] == ["cipherSuites", "clientAuthType"]


def test_transports(tmp_path):
    """A transport of a file that verifies nothing counts as one of setting insecure_transports."""
    text = (
        "http: {serversTransports: {Old: {insecureSkipVerify: true}, new: {serverName: a.org, rootCAs: [/ca/in.crt]}}}"
    )
    provider = load(tmp_path, "{files: a.yml, insecure_transports: x@file}", a_yml=text).discovery.traefik.provider()
    assert provider.insecure_transports == ("old@file", "x@file")
    assert ("http", "serverstransports", "new") in provider.elements
