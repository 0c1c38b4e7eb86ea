"""`lbgen migrate traefik`: settings from Traefik's static configuration, and a reason for what is not carried over."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from lbgen.report.migrate.left_out import REASONS, reason
from lbgen.settings import load_settings
from lbgen.settings.entry_points import LEFT_OUT
from tests.support.command import run

ENTRY_POINTS = """
entryPoints:
  web:
    address: ":80"
    http: {redirections: {entryPoint: {to: websecure}}}
  websecure:
    address: ":443"
    asDefault: true
    http:
      middlewares: [office@file]
      tls: {certResolver: le, options: modern@file}
    forwardedHeaders: {trustedIPs: [10.0.0.7/32]}
    proxyProtocol: {trustedIPs: [10.0.0.8]}
"""
STACK = """
services:
  proxy:
    image: traefik:v3.1
    command:
      - --entrypoints.web.address=:80
      - --entryPoints.webSecure.address=:443
      - --entrypoints.webSecure.http.middlewares=a@file
      - --entrypoints.webSecure.http.middlewares=b@swarm
      - --entrypoints.pg.address=:5432
      - --providers.swarm.network=${NET:-edge}
      - --providers.swarm.exposedbydefault=false
      - --api
    environment: ["TRAEFIK_LOG_LEVEL=DEBUG", "OTHER=x"]
  db:
    image: postgres
    deploy: {labels: {traefik.tcp.routers.db.rule: HostSNI(`*`), traefik.tcp.routers.db.entrypoints: pg}}
  shop:
    image: shop
    deploy:
      labels: ["traefik.http.routers.shop.entrypoints=webSecure", "traefik.http.routers.shop.tls=true"]
"""


def ran(*arguments: str) -> Result:
    """The command, run."""
    return run("migrate", "traefik", *arguments)


def migrated(tmp_path: Path, static: str, *more: str, name: str = "traefik.yml") -> tuple[dict[str, Any], str]:
    """The settings for a static configuration, which lbgen takes, and the file."""
    (tmp_path / name).write_text(textwrap.dedent(static))
    result = ran("--static", str(tmp_path / name), *more)
    assert result.exit_code == 0, result.output
    return taken(tmp_path, result.stdout), result.stdout


def taken(tmp_path: Path, text: str) -> dict[str, Any]:
    """Settings, after `lbgen config check` has found nothing wrong with them."""
    (tmp_path / "lbgen.yml").write_text(text)
    checked = run("config", "check", "--config", str(tmp_path / "lbgen.yml"))
    assert (checked.exit_code, checked.stdout.splitlines()[-1]) == (0, "the settings are fine"), checked.output
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def left_out(text: str) -> dict[str, str]:
    """What is not carried over, with its reason."""
    listed = text.partition("# Not carried over:\n")[2].replace("\n#   ", " ").splitlines()
    told = (line.removeprefix("# - ").partition(": ") for line in listed)
    return {option: why for options, _, why in told for option in options.split(", ")}


def test_entry_points(tmp_path):
    """They become listeners, and what they add to routers stays theirs."""
    settings, text = migrated(tmp_path, ENTRY_POINTS)
    assert settings["listeners"] == {
        "web": {"bind": ":80", "redirect": "websecure"},
        "websecure": {
            "bind": ":443",
            "tls": True,
            "proxy_protocol": True,
            "trusted_proxies": ["10.0.0.7/32", "10.0.0.8"],
        },
    }
    assert settings["discovery"]["traefik"]["entrypoints"] == {
        "web": {},
        "websecure": {"asDefault": True, "http": {"middlewares": ["office@file"], "tls": {"options": "modern@file"}}},
    }
    assert settings["default_listeners"] == ["websecure"]
    assert "each router there goes through office@file" in text
    assert left_out(text) == {"entryPoints.websecure.http.tls.certResolver": LEFT_OUT["http.tls.certresolver"]}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ('{address: ":8080"}', {"bind": ":8080"}),
        ('{address: "127.0.0.1:80"}', {"bind": "127.0.0.1:80"}),
        ('{address: ":53/udp"}', {"bind": ":53", "protocol": "udp"}),
        ('{address: ":80/tcp"}', {"bind": ":80"}),
        ('{address: ":443"}', {"bind": ":443", "tls": True}),
        ('{address: ":443", http3: {}}', {"bind": ":443", "tls": {"http3": True}}),
        ('{address: ":80", http: {maxHeaderBytes: 65536}}', {"bind": ":80", "max_headers": 65536}),
        (
            '{address: ":80", http: {redirections: {entryPoint: {to: ":8443", permanent: false, priority: 10}}}}',
            {"bind": ":80", "redirect": {"to": ":8443", "permanent": False, "priority": 10}},
        ),
        # What lbgen does not take is left out, with what it says.
        ('{address: "localhost:80"}', None),
        ("{}", None),
        ('{address: ":80", forwardedHeaders: {trustedIPs: [0.0.0.0/0]}}', {"bind": ":80"}),
        ('{address: ":80", forwardedHeaders: {insecure: true}}', {"bind": ":80"}),
        ('{address: ":80", http: {redirections: {entryPoint: {to: nowhere}}}}', {"bind": ":80"}),
        ('{address: ":80", http: {maxHeaderBytes: 1048576}}', {"bind": ":80"}),
    ],
)
def test_one_entry_point(tmp_path, said, expected):
    """What becomes of it; all that is lost is told."""
    settings, text = migrated(tmp_path, f'entryPoints: {{other: {{address: ":81"}}, web: {said or "{}"}}}')
    assert settings["listeners"].get("web") == expected
    lost = {"localhost", "0.0.0.0/0", "insecure", "nowhere", "1048576"}
    assert bool(left_out(text)) == (expected is None or any(word in said for word in lost)) or said == "{}"


def test_providers(tmp_path):
    """The Swarm provider is section discovery; files that are not here are left to a person."""
    settings, text = migrated(
        tmp_path,
        """
        providers:
          swarm: {endpoint: "tcp://m1:2376", tls: {ca: ca.pem}, exposedByDefault: false, network: edge,
                  constraints: "Label(`a`,`b`)", defaultRule: "Host(`{{ .Name }}.org`)", refreshSeconds: 5, netwrok: x}
          file: {filename: /no/such/file.yml}
          consul: {}
        serversTransport: {insecureSkipVerify: true}
        core: {defaultRuleSyntax: v2}
        """,
    )
    discovery, traefik = settings["discovery"], settings["discovery"]["traefik"]
    assert (discovery["expose_by_default"], discovery["networks"]) == (False, ["edge"])
    assert (traefik["constraints"], traefik["default_rule"]) == ("Label(`a`,`b`)", "Host(`{{ .Name }}.org`)")
    assert (traefik["insecure_transports"], traefik["rule_syntax"]) == (["default@internal"], "v2")
    assert settings["source"]["docker"] == {"endpoints": ["tcp://m1:2376"], "tls": {"ca": "ca.pem"}}
    assert settings["listeners"] == {"http": {"bind": ":80"}}  # what Traefik does without entry points
    told = left_out(text)
    assert told["providers.consul"].startswith("lbgen follows a Swarm")
    assert told["providers.swarm.netwrok"] == "is no option of Traefik 3 that lbgen knows: check its spelling"
    assert told["providers.file"] == "/no/such/file.yml is not on this machine"


def test_defaults_of_traefik(tmp_path):
    """What is not said is what Traefik does, not what lbgen does."""
    discovery = migrated(tmp_path, "providers: {swarm: {}}")[0]["discovery"]
    assert discovery["expose_by_default"] is True
    assert discovery["traefik"]["default_rule"] == "Host(`{{ normalize .Name }}`)"


def test_a_rule_that_lbgen_cannot_make(tmp_path):
    """It is left out, and the file is taken all the same."""
    settings, text = migrated(tmp_path, 'providers: {swarm: {defaultRule: "Host(`{{ index .Labels \\"x\\" }}`)"}}')
    assert "default_rule" not in settings["discovery"]["traefik"]
    assert "has a template that is not known" in left_out(text)["providers.swarm.defaultRule"]


def test_dynamic_files(tmp_path):
    """Those that are here are named."""
    (tmp_path / "dynamic.yml").write_text("http: {middlewares: {office: {ipAllowList: {sourceRange: [10.0.0.0/8]}}}}")
    settings, _ = migrated(tmp_path, "providers: {file: {filename: /x}}", "--dynamic", str(tmp_path / "dynamic.yml"))
    assert settings["discovery"]["traefik"]["files"] == [str(tmp_path / "dynamic.yml")]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("accessLog: {}", "combined"),
        ("accessLog: {format: json}", "json"),
        ("accessLog: {filePath: /var/log/a.log}", {"format": "combined", "to": "/var/log/a.log"}),
        ("accessLog: {filePath: a.log}", "combined"),
    ],
)
def test_access_log(tmp_path, said, expected):
    """It is each HTTP listener's, but where an entry point has none."""
    more = 'quiet: {address: ":81", observability: {accessLogs: false}}, dns: {address: ":53/udp"}'
    settings, _ = migrated(tmp_path, f'{said}\nentryPoints: {{web: {{address: ":80"}}, {more}}}')
    assert [item.get("access_log") for item in settings["listeners"].values()] == [expected, None, None]


def test_toml(tmp_path):
    """The same in Traefik's other language."""
    text = '[entryPoints.web]\naddress = ":80"\n[log]\nlevel = "WARN"\nformat = "json"\n'
    settings, _ = migrated(tmp_path, text, name="traefik.toml")
    assert settings["listeners"] == {"web": {"bind": ":80"}}
    assert settings["log"] == {"level": "warning", "format": "json"}


def test_a_stack_file(tmp_path):
    """Arguments and variables of Traefik's own service; other services' labels tell what entry points carry."""
    (tmp_path / "stack.yml").write_text(STACK)
    result = ran("--from", str(tmp_path / "stack.yml"))
    settings = taken(tmp_path, result.stdout)
    assert settings["listeners"] == {
        "web": {"bind": ":80"},
        "webSecure": {"bind": ":443", "tls": True},
        "pg": {"bind": ":5432", "protocol": "tcp"},
    }
    assert "labels have routers with tls here" in result.stdout
    assert settings["discovery"]["traefik"]["entrypoints"]["webSecure"]["http"]["middlewares"] == ["a@file", "b@swarm"]
    assert (settings["discovery"]["networks"], settings["log"]["level"]) == (["edge"], "debug")
    assert "from service proxy of" in result.stdout.splitlines()[0]


def test_tcp_routers_with_tls(tmp_path):
    """A listener of TCP routers ends TLS if one of theirs does, and it is told if another's clients bring their own."""

    def listener(*tls: str) -> tuple[object, str]:
        stack = yaml.safe_load(STACK)
        stack["services"]["proxy"]["command"] = ["--entrypoints.pg.address=:5432"]
        for number, option in enumerate(tls):
            labels = [f"traefik.tcp.routers.r{number}.{said}" for said in ("entrypoints=pg", option)]
            stack["services"][f"s{number}"] = {"image": "db", "deploy": {"labels": labels}}
        (tmp_path / "stack.yml").write_text(yaml.safe_dump(stack))
        result = ran("--from", str(tmp_path / "stack.yml"))
        return taken(tmp_path, result.stdout)["listeners"]["pg"].get("tls"), " ".join(result.stdout.split())

    assert listener("tls=true")[0] is True
    assert listener("tls.certresolver=le")[0] is True
    assert listener("tls.passthrough=true")[0] is None
    both, text = listener("tls=true", "tls.passthrough=true")
    assert both is True
    assert "give those a listener without tls" in text.replace("# ", "")
    assert "give those" not in listener("tls=true")[1]


def test_a_command_line(tmp_path):
    """With values in the next word, quoted, and switches without one."""
    result = ran("--command-line", "traefik --entrypoints.web.address :80 --api --providers.swarm.network='edge'")
    settings = taken(tmp_path, result.stdout)
    assert (settings["listeners"], settings["discovery"]["networks"]) == ({"web": {"bind": ":80"}}, ["edge"])
    assert settings["status"]["bind"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "nothing to read; name it with --static, --command-line or --from"),
        (("--static", "missing.yml"), 2, "missing.yml: cannot be read"),
        (("--static", "list.yml"), 2, "expected a mapping of Traefik's options, found list"),
        (("--static", "bad.toml"), 2, "bad.toml: "),
        (("--command-line", "--a='"), 2, "No closing quotation"),
        (("--from", "list.yml"), 4, "not a stack file"),
        (("--from", "none.yml"), 4, "no service looks like Traefik's own"),
        (("--from", "two.yml"), 4, "2 services look like Traefik's own; name it with --from-service"),
        (("--from", "two.yml", "--from-service", "c"), 4, "there is no service c; services are a, b"),
    ],
)
def test_refused(tmp_path, monkeypatch, arguments, code, said):
    """With what to do."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.yml").write_text("[a]")
    (tmp_path / "bad.toml").write_text("a = ")
    (tmp_path / "none.yml").write_text("services: {a: {image: nginx}}")
    (tmp_path / "two.yml").write_text("services: {a: {image: traefik}, b: {image: 'x/traefik:v2'}}")
    result = ran(*arguments)
    assert result.exit_code == code
    assert said in result.stderr


@pytest.mark.parametrize("path", ["entryPoints.web.adress", "apis", "providers.swarms.x", "log", "entryPoints.web"])
def test_reasons(path):
    """A word that is not Traefik's has no other reason than that."""
    assert ("check its spelling" in reason(path)) == (path != "log")


def test_no_value_is_shown(tmp_path):
    """What is left out may be a secret."""
    _, text = migrated(tmp_path, "providers: {redis: {password: s3cret}, swarm: {password: s3cret}}\nunknown: s3cret")
    assert "s3cret" not in text
    assert {"providers.redis.password", "unknown"} <= left_out(text).keys()
    assert "providers.redis" in REASONS


def test_hostile_words(tmp_path):
    """Names and values end no comment and begin no key."""
    hostile = '"web\\n  x: 1": {address: ":80\\nlog: {level: debug}"}'
    settings, text = migrated(tmp_path, f'entryPoints: {{{hostile}, ok: {{address: ":81"}}}}\n"a\\nb: c": 1')
    assert settings["listeners"] == {"ok": {"bind": ":81"}}
    assert set(settings) <= {"listeners", "default_listeners", "discovery", "targets"}
    assert all(not line or line[0] in "# abcdefghijklmnopqrstuvwxyz" for line in text.splitlines())


def test_line_ends_of_all_kinds(tmp_path):
    """Characters that end a line to YAML, or rule a terminal, are written as codes."""
    odd = "a\\u2028b\\e[1mc"
    settings, text = migrated(
        tmp_path, f'providers: {{swarm: {{network: "{odd}"}}}}\nentryPoints: {{"{odd}": {{address: "{odd}"}}}}'
    )
    assert settings["discovery"].get("networks", ["a\u2028b\x1b[1mc"]) == ["a\u2028b\x1b[1mc"]
    assert "a\\u2028b\\x1b[1mc" in text
    assert all(line.isprintable() for line in text.split("\n"))


def test_the_settings_are_the_same_as_with_entry_points_in_full(tmp_path):
    """Where Traefik's own words are taken as they are, listeners and routers are the same."""
    short = migrated(tmp_path, ENTRY_POINTS)[0]
    full = yaml.safe_load(ENTRY_POINTS)["entryPoints"]
    listeners = {"web": {"bind": ":80"}, "websecure": {"bind": ":443", "tls": True}}
    whole = short | {"listeners": listeners}
    whole["discovery"]["traefik"]["entrypoints"] = full
    (tmp_path / "full.yml").write_text(yaml.safe_dump(whole))
    rules = [load_settings(tmp_path / name, {}, {}).rules() for name in ("full.yml", "lbgen.yml")]
    assert rules[0] == rules[1]
