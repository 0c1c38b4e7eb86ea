"""No label leaves its place: clusters of hostile services, rendered, checked by the real proxies, and read back.

`readback` tells whether a value is where it belongs; the last tests break the quoting on purpose and see it tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lbgen.base.errors import TemplateError
from lbgen.daemon import assembly
from lbgen.labels.keys.table import KEYS
from lbgen.model import Model, build
from lbgen.proxies import disk
from lbgen.proxies.traefik.apply import DYNAMIC, STATIC
from lbgen.render.context import TargetContext
from lbgen.render.renderer import Files, Renderer
from lbgen.render.templates import BUILTIN, find
from lbgen.settings import Settings, TargetSettings
from lbgen.snapshot import Snapshot
from tests.support import hostile, readback, real_haproxy, real_nginx, real_traefik
from tests.support.certificates import certificate
from tests.support.ports import free_port

HASH = "$2y$05$abcdefghijklmnopqrstuuFQ9yQAVpvFb8CPYOEfZYZnCgQWHTOZ6"
PORTS = ("web", "websecure", "pg", "dns")
RULES = hostile.rules()


def settings_in(directory: Path) -> Settings:
    """Settings with the files that the examples of the keys name."""
    certificate(directory / "certs/default.pem", "*.example.org")
    certificate(directory / "certs/shop.example.org.pem", "shop.example.org")
    certificate(directory / "cas/partners.pem", "partners")
    (directory / "users").mkdir()
    (directory / "users/staff").write_text(f"admin:{HASH}\n")
    return Settings(certificates=directory / "certs", users=directory / "users", client_cas=directory / "cas")


# ------------------------------------------------------------------------------------------------ real proxies


@dataclass
class Trial:
    """A renderer of one proxy's, and what asks the proxy whether it takes the files."""

    renderer: Renderer
    ports: dict[str, int]
    ask: Callable[[Files], None]

    def try_out(self, snapshot: Snapshot) -> Model:
        """Render a cluster, read it back, and have the proxy take it."""
        model = build(snapshot, hostile.rules(self.ports))
        self.ask(read_back(self.renderer, model, snapshot))
        return model


def read_back(renderer: Renderer, model: Model, snapshot: Snapshot) -> Files:
    """Return the files for a model; raise readback.Escape if a value is not where it belongs."""
    files, twins = (renderer.render(each, snapshot) for each in (model, readback.harmless(model)))
    readback.compare(files, twins, model)
    return files


def haproxy(directory: Path) -> Iterator[Trial]:
    """``haproxy -c``."""
    made = TargetSettings(templates=["haproxy"], output=directory, apply={"master_socket": directory / "master.sock"})
    (directory / "servers.state").write_text("1\n")

    def ask(files: Files) -> None:
        disk.write(directory, files.texts, stage=directory)
        done = real_haproxy.check(directory)
        assert (done.returncode, "WARNING" in done.stderr) == (0, False), done.stderr

    renderer = assembly.Assembly("edge", made, settings_in(directory)).renderer()
    yield Trial(renderer, dict.fromkeys(PORTS, 80), ask)


def nginx(directory: Path) -> Iterator[Trial]:
    """``nginx -t``."""
    program = real_nginx.binary("own")

    def ask(files: Files) -> None:
        real_nginx.write(files, directory)
        done = real_nginx.check(program, directory)
        assert (done.returncode, "[warn]" in done.stderr) == (0, False), done.stderr

    renderer = real_nginx.renderer(real_nginx.target(program, directory), settings_in(directory))
    yield Trial(renderer, {name: free_port() for name in PORTS}, ask)


def traefik(directory: Path) -> Iterator[Trial]:
    """A Traefik that watches the directory, and says what it makes of what it finds there."""
    api, ports = free_port(), {name: free_port() for name in PORTS}
    renderer = a_renderer("traefik", directory, settings_in(directory), probe=f"127.0.0.1:{api}")
    empty = build(hostile.cluster([]), hostile.rules(ports))
    real_traefik.write(renderer.render(empty, hostile.cluster([])), directory)
    process = real_traefik.Process(directory / STATIC, api)

    def ask(files: Files) -> None:
        real_traefik.write(files, directory)
        process.serves(files.generation)
        assert process.refused() == []

    yield Trial(renderer, ports, ask)
    process.stop()


TRIALS = {"haproxy": haproxy, "nginx": nginx, "traefik": traefik}


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[pytest.mark.proxy(name), pytest.mark.timeout(600)]) for name in TRIALS],
)
def trial(request, tmp_path_factory) -> Iterator[Trial]:
    """A proxy for many clusters."""
    yield from TRIALS[request.param](tmp_path_factory.mktemp("lb"))


def swept(size: int, fields: Iterable[str] = KEYS) -> Iterator[Snapshot]:
    """Every sign in each of these keys that lets it through, in clusters of so many services."""
    services = [("", labels) for labels in hostile.every_sign(fields)]
    for start in range(0, len(services), size):
        yield hostile.cluster(services[start : start + size])


def test_every_sign_in_every_key(trial):
    """Each sign that a key lets through, and its longest value, stays where it belongs, and the proxy takes it."""
    assert sum(len(trial.try_out(snapshot).routes) for snapshot in swept(60)) > 1200


@given(hostile.clusters())
@settings(
    max_examples=20, suppress_health_check=[*settings().suppress_health_check, HealthCheck.function_scoped_fixture]
)
def test_no_labels_leave_their_place(trial, snapshot):
    """Whatever the labels of twenty services are, the proxy takes what comes of them, and nothing else is in it."""
    trial.try_out(snapshot)


def test_nobody_comes_in(trial):
    """A route whose authority has no file refuses everybody, and the proxy does not complain of what stands behind."""
    labels = {"lbgen.host": "shop.example.org", "lbgen.add-prefix": "/v1", "lbgen.client-ca": "nobody"}
    assert [route.client_ca for route in trial.try_out(hostile.cluster([("", labels)])).routes] == ["nobody"]


# ------------------------------------------------------------------------------------------------ broken on purpose


def a_renderer(proxy: str, output: Path, made: Settings, *directories: Path, probe: str = "127.0.0.1:9180") -> Renderer:
    """A renderer of a built-in set, with directories before it, that needs no proxy."""
    templates = find([*map(str, directories), proxy])
    options = {"version": real_traefik.VERSION, "throttle": "1ms"} if proxy == "traefik" else {}
    context = TargetContext(
        "edge",
        str(output),
        templates.options(options),
        version=(1, 22, 1),
        modules=("stream",),
        stats_socket=f"{output}/haproxy.sock",
        pid_file=f"{output}/nginx.pid",
        probe=probe,
    )
    return Renderer(templates, context, made)


def unquoted(renderer: Renderer) -> None:
    """Values are printed as they are."""
    renderer.loaded_templates().environment.filters["quote"] = str


def half_quoted(renderer: Renderer) -> None:
    """Values stand in quotes, and those in them are not escaped."""
    sign = "'" if renderer.templates.manifest.proxy == "haproxy" else '"'
    renderer.loaded_templates().environment.filters["quote"] = lambda value: f"{sign}{value}{sign}"


# What is broken: in which template of which proxy, what stands there and what instead, and the key that tells.
BROKEN = {
    "haproxy-log-formats": ("haproxy/_policy.j2", 'text.replace("%", "%%")', "text", "request_header"),
    "haproxy-redirects": ("haproxy/_haproxy.j2", 'text.replace("%", "%%")', "text", "redirect"),
    "haproxy-conditions": (
        "haproxy/_haproxy.j2",
        '(test.value | quote) if test.value != "}"',
        'test.value if test.value != "}"',
        "header",
    ),
    "nginx-variables": ("nginx/_policy.j2", '("$", "${lbgen_dollar}") | quote', '("", "") | quote', "request_header"),
    "nginx-locations": ("nginx/_nginx.j2", "= {{ cell.path | quote }}", '= "{{ cell.path }}"', "path_exact"),
    "traefik-rules": ("traefik/_http.j2", '{% if "`" in value or', "{% if false and", "path_exact"),
    "traefik-headers": ("traefik/_policy.j2", ": {{ value | quote }}", ": {{ value }}", "request_header"),
}


def escapes(renderer: Renderer, snapshot: Snapshot) -> bool:
    """Whether the property of above fails, as far as it needs no proxy."""
    try:
        read_back(renderer, build(snapshot, RULES), snapshot)
    except readback.Escape:
        return True
    return False


def found_by_sweep(renderer: Renderer, fields: Iterable[str] = KEYS) -> bool:
    """Whether the sweep over every sign in these keys finds values that leave their places."""
    return any(escapes(renderer, snapshot) for snapshot in swept(60, fields))


@pytest.mark.parametrize("breakage", [unquoted, half_quoted])
@pytest.mark.parametrize("proxy", TRIALS)
def test_broken_quoting_is_found(proxy, breakage, tmp_path):
    """Where the filter `quote` does not do its work, labels that get out of their place are found."""
    renderer = a_renderer(proxy, tmp_path, settings_in(tmp_path))
    breakage(renderer)
    assert found_by_sweep(renderer)


@pytest.mark.parametrize("proxy", TRIALS)
def test_broken_quoting_is_found_at_random(proxy, tmp_path):
    """Nor do the random clusters miss it."""
    renderer = a_renderer(proxy, tmp_path, settings_in(tmp_path))
    unquoted(renderer)

    class Escaped(Exception):
        """A value has left its place: the search is over."""

    @given(hostile.clusters())
    @settings(max_examples=100, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False)
    def search(snapshot: Snapshot) -> None:
        if escapes(renderer, snapshot):
            raise Escaped

    with pytest.raises(Escaped):
        search()


@pytest.mark.parametrize("case", BROKEN)
def test_broken_templates_are_found(case, tmp_path):
    """Where a template forgets what its grammar needs besides quotes, it is found as well."""
    path, good, bad, field = BROKEN[case]
    proxy, _, name = path.partition("/")
    text = (BUILTIN / path).read_text()
    assert good in text, "the template has changed: break it where it stands now"
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / name).write_text(text.replace(good, bad))
    assert found_by_sweep(a_renderer(proxy, tmp_path, settings_in(tmp_path), tmp_path / "own"), [field])


def planted(text: str) -> Model:
    """A model with a text in it that no label could have brought there: a route's path."""
    model = build(
        hostile.cluster([("", {"lbgen.port": "8080", "lbgen.path": "/harmless", "lbgen.listener": "web"})]), RULES
    )
    web = next(listener for listener in model.listeners if listener.name == "web")
    changed = replace(web, cells=tuple(replace(cell, path=f"/{text}") for cell in web.cells))
    return replace(model, listeners=tuple(changed if item is web else item for item in model.listeners))


@pytest.mark.parametrize("text", ["a\nevil", "a\rb", "\0", "\x85", "\ud800"], ids=ascii)
@pytest.mark.parametrize("proxy", TRIALS)
def test_templates_are_guarded_too(proxy, text, tmp_path):
    """Should a parser ever let a control character through, no file is written; nor one with a word too many."""
    renderer, model = a_renderer(proxy, tmp_path, settings_in(tmp_path)), planted(text)
    with pytest.raises(TemplateError, match=r"control character|not one word"):
        renderer.render(model, hostile.cluster([]))
    renderer.loaded_templates().environment.finalize = lambda value: value
    renderer.loaded_templates().environment.filters |= {"word": str, "quote": str}
    if "\n" in text:
        with pytest.raises(readback.Escape):
            read_back(renderer, model, hostile.cluster([]))


# ------------------------------------------------------------------------------------------------ neighbours

# Older than all others, of the highest priority, and with something of everything.
_MINE = {"lbgen.port": "8080", "lbgen.priority": "1000000", "lbgen.listener": "web"}
GOOD = [
    ("alpha", {**_MINE, "lbgen.host": "alpha.example.org", "lbgen.request-header.x-a": "b", "lbgen.retries": "1"}),
    ("beta", {**_MINE, "lbgen.host": "beta.example.org", "lbgen.path": "/b", "lbgen.rate-limit": "9/s"}),
    ("gamma", {"lbgen.tcp.x.port": "8080", "lbgen.tcp.x.listener": "pg", "lbgen.tcp.x.sni": "gamma.example.org"}),
]


def own(proxy: str, files: Files) -> dict[str, object]:
    """Return what a configuration says of the good services, without what all services share."""
    names = ("alpha", "beta", "gamma.tcp.x")
    if proxy == "haproxy":
        sections: dict[str, list[list[str]]] = {}
        lines: list[list[str]] = []
        for words in readback.haproxy(files.texts["haproxy.cfg"]):
            if words[0] in ("backend", "frontend", "defaults"):
                lines = sections.setdefault(" ".join(words), [])
            lines.append(words)
        return {name: sections[f"backend {name}"] for name in names}
    if proxy == "traefik":
        found = readback.document(files.texts[DYNAMIC])
        return {
            f"{protocol} {kind} {key}": {name: value for name, value in item.items() if name != "priority"}
            for protocol in ("http", "tcp")
            for kind in ("routers", "services", "middlewares")
            for key, item in found[protocol].get(kind, {}).items()
            if key.removeprefix("web.").removeprefix("pg.").partition(":")[0] in names
        }
    blocks = {words[0]: block for words, block in readback.nginx(files.texts["nginx.conf"])}
    kept: dict[str, object] = {}
    for part in ("http", "stream"):
        for words, block in blocks[part]:
            if words[0] == "upstream" and words[1] in names:
                kept[words[1]] = block
            hosts = [each[1] for each, _ in block or () if each[0] == "server_name"]
            for location, lines in block or () if hosts[:1] in (["alpha.example.org"], ["beta.example.org"]) else ():
                if location[-1].rstrip("/") == ("/b" if hosts == ["beta.example.org"] else ""):
                    # Rules of other services come first: what matters is what follows.
                    kept[f"{hosts} {location}"] = [line for line in lines or () if "$lbgen_jump" not in str(line)]
    return kept


@pytest.mark.parametrize("proxy", TRIALS)
def test_neighbours_do_not_matter(proxy, tmp_path):
    """What is decided and rendered for good services is the same, whatever other services there are."""
    renderer = a_renderer(proxy, tmp_path, settings_in(tmp_path))

    def decided(snapshot: Snapshot) -> tuple[object, ...]:
        model = build(snapshot, RULES)
        ours = [
            [item for item in items if item.service in dict(GOOD)]
            for items in (model.routes, model.backends, model.problems)
        ]
        return (*ours, own(proxy, renderer.render(model, snapshot)))

    alone = decided(hostile.cluster(GOOD))
    assert len(alone[-1]) > 2

    @given(st.lists(hostile.a_hostile_service(), min_size=1, max_size=5))
    @settings(deadline=None, max_examples=15, derandomize=True)
    def among(others):
        assert decided(hostile.cluster([*GOOD, *others])) == alone

    among()
