"""Template sets: what set.yml says, which files come of a set and what they are called, and that they go again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbgen.base.errors import ApplyFailed, TemplateError
from lbgen.model import build
from lbgen.proxies import disk
from lbgen.proxies.nginx import check as nginx_check
from lbgen.render.outputs import LONGEST_NAME, Output, file_name, is_inside, items_by_path, refuse_clashes
from lbgen.render.renderer import Files
from lbgen.render.templates import find
from tests.support.bench import Bench
from tests.support.builders import a_node, a_renderer, a_rules, a_service, a_snapshot, a_task, ingress
from tests.support.command import run

EACH = 'files: {"routes/{name}.yml": {template: _route.j2, for: backends}}\n'


@pytest.fixture
def directory(tmp_path):
    """An author's directory; call it with paths and texts to write them there."""

    def write(files: dict[str, str], name: str = "templates") -> Path:
        root = tmp_path / name
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        return root

    return write


def cluster(*names: str):
    """A cluster with these services."""
    return a_snapshot(
        a_node(),
        *[a_service(name, {"host": f"{name}.org"}, ports=(ingress(),)) for name in names],
        *[a_task(name) for name in names],
    )


def render(root: Path, *names: str) -> dict[str, str]:
    """Render these services with an author's templates."""
    facts = cluster(*names)
    return dict(a_renderer(root).render(build(facts, a_rules()), facts).texts)


# ------------------------------------------------------------------------------------------------ one file for each


@pytest.mark.parametrize(
    ("each", "template", "expected"),
    [
        ("backends", "{{ backend.servers[0].address }}", {"f/a": "192.168.1.1", "f/b": "192.168.1.1"}),
        ("routes", "{{ route.backend }} of {{ routes | length }}", {"f/a": "a of 2", "f/b": "b of 2"}),
        ("services", "{{ service.labels['lbgen.host'] }}", {"f/a": "a.org", "f/b": "b.org"}),
        ("listeners", "{{ listener.port }}", {"f/web": "80"}),
    ],
)
def test_for(directory, each, template, expected):
    """A template is rendered for each of the things, which it has by its name, besides all else."""
    root = directory(
        {"set.yml": f"proxy: other\nfiles: {{'f/{{name}}': {{template: x.j2, for: {each}}}}}\n", "x.j2": template}
    )
    assert render(root, "a", "b") == expected


def test_services_without_a_route_get_no_file(directory):
    """A service that takes no part has no file."""
    root = directory(
        {"set.yml": "proxy: other\nfiles: {'{name}': {template: _x.j2, for: services}}", "_x.j2": "x", "all.txt.j2": ""}
    )
    facts = a_snapshot(a_node(), a_service("off", {}, labels={}), a_service("on", ports=(ingress(),)), a_task("on"))
    with pytest.raises(TemplateError, match="may be one file"):
        a_renderer(root)
    (root / "set.yml").write_text("proxy: other\nfiles: {'s/{name}': {template: _x.j2, for: services}}")
    assert set(a_renderer(root).render(build(facts, a_rules()), facts).texts) == {"s/on", "all.txt"}


def test_a_file_of_another_name(directory):
    """What the manifest names another file for is rendered to that alone, whatever the template is called."""
    root = directory(
        {
            "set.yml": "proxy: other\nfiles: {one: {template: x.j2}, sub/two: {template: x.j2}}",
            "x.j2": "{{ target.name }}",
        }
    )
    assert render(root) == {"one": "edge", "sub/two": "edge"}


def test_no_service_no_file(directory):
    """Without any there is none, and that is no mistake."""
    assert render(directory({"set.yml": "proxy: other\n" + EACH, "_route.j2": "x"})) == {}


@given(st.text(max_size=300), st.text(max_size=300))
def test_file_name(one, other):
    """Whatever a thing is called: one file below the directory, not hidden, and nobody else's."""
    name = file_name(one)
    assert is_inside(name)
    assert "/" not in name
    assert not name.startswith(".")
    assert len(name) <= LONGEST_NAME
    assert (name == file_name(other)) == (one == other)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *[(plain, plain) for plain in ("shop", "a.http.b", "my_app-1", "a..b")],
        *[("../x", "%2E.%2Fx"), (".hidden", "%2Ehidden"), ("a/b", "a%2Fb"), ("\u00fc", "%C3%BC"), ("100%", "100%25")],
    ],
)
def test_file_name_by_example(name, expected):
    """What services are called in earnest stays as it is."""
    assert file_name(name) == expected


@pytest.mark.parametrize(
    ("pattern", "each", "message"),
    [
        ("../{name}", "backends", "set.yml:3: ../{name} is not below the output directory"),
        ("/etc/{name}", "backends", "is not below"),
        ("a/../../{name}", "backends", "is not below"),
        ("a//{name}", "backends", "is not below"),
        ("./{name}", "backends", "is not below"),
        ("a\n{name}", "backends", r"a\n{name} is not below"),
        ("a/", "", "is not below"),
        ("", "", "is not below"),
        ("all.yml", "backends", "one file for each of the backends needs {name} in its name"),
        ("{name}.yml", "", "{name} needs 'for', which says whose name it is: listeners, routes, backends, services"),
        ("{nam}.yml", "backends", "only {name} may stand in braces"),
        ("{name}/{name}", "backends", "and only once"),
    ],
)
def test_bad_pattern(pattern, each, message):
    """A path that leads elsewhere, or a pattern that makes no sense, is told with the line that names it."""
    with pytest.raises(TemplateError) as caught:
        refuse_clashes([Output(pattern, "x.j2", "set.yml:3", each)])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("a", "a/b", True),
        ("a/b", "a/c", False),
        ("{name}.map", "routes.map", True),
        ("{name}.map", "routes.cfg", False),
        ("{name}.map", ".map", False),
        ("b/{name}.map", "routes.map", False),
        ("{name}", "b/x", True),
        ("{name}/x", "b/x", True),
        ("{name}/x", "b/y", False),
        ("s-{name}", "b-{name}", False),
        ("s-{name}", "{name}.yml", True),
        ("{name}.json", "{name}.yml", False),
        ("d/{name}", "d/e/{name}", True),
    ],
)
def test_collision(one, other, meet):
    """Patterns that could ever give one file are refused, before there is a service that does it."""
    outputs = [Output(pattern, "x.j2", pattern, "backends" * ("{" in pattern)) for pattern in (one, other)]
    for pair in (outputs, outputs[::-1]):
        if meet:
            with pytest.raises(TemplateError, match="may be one file; rename one of them"):
                refuse_clashes(pair)
        else:
            refuse_clashes(pair)


def test_collision_is_told_with_both_places(directory):
    """Two templates for one file: the message names both."""
    root = directory({"set.yml": "proxy: other\nfiles:\n  x.cfg: {template: _x.j2}\n", "x.cfg.j2": "", "_x.j2": ""})
    with pytest.raises(TemplateError) as caught:
        a_renderer(root)
    assert str(caught.value).startswith(f"{root}/set.yml:3: x.cfg and x.cfg ({root}/x.cfg.j2) may be one file")


def test_two_of_one_name():
    """Should two things have one name after all, neither file is written over the other."""
    with pytest.raises(TemplateError, match=r"set.yml:2: d/a would be written for two services"):
        items_by_path(Output("d/{name}", "x.j2", "set.yml:2", "services"), [a_service("a"), a_service("a")])


# ------------------------------------------------------------------------------------------------ the manifest


def test_manifest_over_the_built_in_one(directory):
    """An author's set.yml says only what differs; options and files are added to those behind it."""
    root = directory(
        {"set.yml": "options: {maxconn: 5, own: 1}\n" + EACH, "_route.j2": "{{ options.own }} {{ backend.name }}"}
    )
    found = find([str(root), "haproxy"])
    assert (found.manifest.proxy, found.manifest.binary, found.manifest.run) == ("haproxy", "haproxy", True)
    assert (found.manifest.options["maxconn"], found.manifest.options["keep_alive"]) == (5, "5s")
    facts = cluster("a")
    texts = a_renderer(root, "haproxy", own=2).render(build(facts, a_rules()), facts).texts
    assert texts["routes/a.yml"] == "2 a"
    assert "    maxconn 5\n" in texts["haproxy.cfg"]


@pytest.mark.parametrize(
    ("manifest", "lines"),
    [
        (
            "proxy: other\nfiles:\n  a: {tmplate: x.j2}\n",
            [
                "set.yml:3: files.a.template: Field required",
                "set.yml:3: files.a.tmplate: unknown key; there are template, for",
            ],
        ),
        (
            "proxy: other\nfiles:\n  '{name}':\n    template: x.j2\n    for: tasks\n",
            ["set.yml:5: files.{name}.for: Input should be 'listeners', 'routes', 'backends', "],
        ),
        (
            "proxy: other\ncheck: promtool\nrnu: true\n",
            ["set.yml:2: check: ", "set.yml:3: rnu: unknown key; there are "],
        ),
    ],
)
def test_manifest_that_makes_no_sense(directory, manifest, lines):
    """Everything that is wrong is listed, with its line."""
    root = directory({"set.yml": manifest})
    with pytest.raises(TemplateError) as caught:
        find([str(root)])
    told = str(caught.value).replace(f"{root}/", "").splitlines()
    assert len(told) == len(lines)
    assert all(line.startswith(start) for line, start in zip(told, lines, strict=True))


def test_partials_and_hidden_files(directory):
    """What begins with _ or . is no output, files in such directories included: mounts and editors leave some."""
    root = directory(
        {
            "set.yml": "proxy: other\n",
            "out.j2": "x",
            **dict.fromkeys(["_p.j2", "_parts/p.j2", ".out.j2.swp.j2", "..2026_11_22/out.j2", "a/.b/c.j2"], ""),
        }
    )
    (root / "gone.j2").symlink_to("nowhere")
    (root / "directory.j2").mkdir()
    assert render(root) == {"out": "x"}


def test_saved_manifest(directory):
    """A manifest that is saved takes effect at once; one that makes no sense is told of until it is mended."""
    root = directory({"set.yml": "proxy: other\nquote: none\n", "x.j2": "{{ 'a b' | quote }}", "_route.j2": "r"})
    renderer, facts = a_renderer(root), cluster("a")
    model = build(facts, a_rules())
    assert renderer.render(model, facts).texts == {"x": "a b"}
    (root / "set.yml").write_text("proxy: other\nquote: yaml\n" + EACH)
    assert renderer.render(model, facts).texts == {"x": '"a b"', "routes/a.yml": "r"}
    (root / "set.yml").write_text("proxy: other\nquote: yml\n")
    for _ in range(2):
        with pytest.raises(TemplateError, match=r"set\.yml:2: quote"):
            renderer.render(model, facts)
    (root / "set.yml").write_text("proxy: other\noptions: {new: 7}\n")
    (root / "x.j2").write_text("{{ options.new }}")
    assert renderer.render(model, facts).texts == {"x": "7"}


# ------------------------------------------------------------------------------------------------ files that go again


def listed(root: Path) -> set[str]:
    """Every file below a directory, but for lbgen's own."""
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} - {disk.LEDGER}


@pytest.fixture
def bench(tmp_path) -> Bench:
    """A target with a file for each backend beside HAProxy's own."""
    made = Bench(tmp_path)
    manifest = made.templates / "set.yml"
    manifest.write_text(manifest.read_text() + EACH)
    (made.templates / "_route.j2").write_text("{{ backend.name }}")
    assert made.bring(2, "round-robin", "shop")
    (made.output / "routes/mine.yml").write_text("the operator's")
    made.clock.now += 5
    return made


OWN = {"haproxy.cfg", "certificates.list", "login.lua", "names.map", "paths.map", "routes.map", "routes/mine.yml"}


def test_file_of_a_service_that_is_gone(bench):
    """It is removed before the proxy loads the rest; what somebody else put there stays."""
    assert listed(bench.output) == OWN | {"routes/web.yml", "routes/shop.yml"}
    seen = []
    bench.proxy.on_reload = lambda: seen.append(listed(bench.output))
    assert bench.bring()
    assert seen == [OWN | {"routes/web.yml"}]
    assert listed(bench.output) == seen[0]


def test_file_of_a_service_that_went_while_nobody_looked(bench):
    """A new lbgen knows which files were its own: it recognises what runs, and removes what is not rendered now."""
    target = bench.new_target()
    assert target.running is not None
    assert "routes/shop.yml" in target.running.texts
    bench.proxy.serves = "another"
    bench.target = bench.new_target()
    assert bench.bring()
    assert listed(bench.output) == OWN | {"routes/web.yml"}


def test_failed_reload_brings_the_files_back(bench):
    """If the proxy does not take the new files, the ones removed are there again, and the new ones are not."""
    before = bench.texts()

    def failing() -> None:
        raise ApplyFailed("no")

    bench.proxy.on_reload = failing
    assert not bench.bring(2, "round-robin", "other")
    assert {**bench.texts(), disk.LEDGER: ""} == {**before, disk.LEDGER: ""}
    bench.clock.now += 100
    bench.proxy.on_reload = lambda: None
    assert bench.bring(2, "round-robin", "other")
    assert listed(bench.output) == OWN | {"routes/web.yml", "routes/other.yml"}


def test_built_in_sets_need_no_note(tmp_path):
    """Where all files have fixed names there is nothing to write down."""
    bench = Bench(tmp_path)
    assert bench.bring()
    assert disk.LEDGER not in bench.texts()


@pytest.mark.parametrize("line", ["../precious", "/etc/passwd", "", "a/../../precious", "x\x00"])
def test_note_that_leads_elsewhere(tmp_path, line):
    """A process that can write the note cannot have a file removed that lies elsewhere."""
    (tmp_path / disk.LEDGER).write_text(f"ok\n{line}\n")
    assert disk.names(tmp_path, ["fixed"]) == {"fixed", "ok"}


def test_check_of_nginx_does_not_see_files_that_go(tmp_path):
    """What is staged for ``nginx -t`` has the operator's files beside it, but not those that are removed."""
    output, seen = tmp_path / "out", tmp_path / "seen"
    disk.write(output, {"conf.d/old.conf": "old", "conf.d/kept.conf": "kept", "mime.types": "mine"})
    disk.note(output, ["conf.d/old.conf", "conf.d/kept.conf"])
    copy = "cp -r {dir} $0; rm -f $0/nginx.pid"
    files = Files.of({"nginx.conf": "", "conf.d/kept.conf": "new"})
    nginx_check.check(files, ["sh", "-c", copy, str(seen)], "", output, (), None)
    assert listed(seen) == {"nginx.conf", "conf.d/kept.conf", "mime.types"}


def test_render_into_a_directory(directory, tmp_path):
    """`lbgen render -o DIR` leaves no file of a service that is gone either; `--diff` tells of it before."""
    root = directory({"set.yml": "proxy: other\n" + EACH, "_route.j2": "{{ backend.name }}\n"})
    snapshot, output = tmp_path / "snapshot.yml", tmp_path / "out"

    def rendered(*names: str, flags: tuple[str, ...]) -> str:
        services = ", ".join(
            f'{{ID: {name}, Spec: {{Name: {name}, Labels: {{lbgen.enable: "true", lbgen.host: {name}.org, '
            f'lbgen.redirect: "https://x.org"}}}}}}'
            for name in names
        )
        snapshot.write_text(f"version: 1\nservices: [{services}]\n")
        result = run("render", "--once", "--from", snapshot, "--templates", root, *flags)
        assert result.exit_code == (6 if "--diff" in flags else 0), result.output
        return result.output

    rendered("a", "b", flags=("-o", str(output)))
    assert listed(output) == {"routes/a.yml", "routes/b.yml"}
    told = rendered("b", "c", flags=("--diff", str(output)))
    assert "-a\n" in told
    assert "+c\n" in told
    rendered("b", "c", flags=("-o", str(output)))
    assert listed(output) == {"routes/b.yml", "routes/c.yml"}
