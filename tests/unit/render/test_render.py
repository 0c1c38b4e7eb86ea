"""`lbgen.render.renderer`: the bytes of every file, and what a template may and may not do."""

from __future__ import annotations

import copy
import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.base.errors import TemplateError
from lbgen.model import AccessLog, Builder, Model, build
from lbgen.render.renderer import PLACEHOLDER, Files
from lbgen.render.templates import BUILTIN, builtin_names, find
from lbgen.snapshot import Snapshot
from tests.support.builders import (
    a_listener,
    a_node,
    a_renderer,
    a_rules,
    a_service,
    a_snapshot,
    a_task,
    ingress,
    modelled,
)
from tests.support.golden_cases import CASES, GOLDEN, rendered, renderer_of
from tests.support.golden_cases import modelled as golden_model


def test_example_of_the_issue():
    """Port 80 in the mesh of three nodes, a health check path: round robin, an HTTP check, three checked servers."""
    lines = rendered(GOLDEN / "mesh.yaml").texts["haproxy.cfg"].splitlines()
    backend = [line.strip() for line in lines[lines.index("backend web") + 1 :] if line.strip()]
    assert backend == [
        "# service web; via mesh",
        "balance roundrobin",
        "option httpchk",
        "http-check send meth GET uri /health ver HTTP/1.1 hdr Host '%[bc_dst]:%[bc_dst_port]'",
        "http-check expect status 200-399",
        "default-server inter 2s rise 2 fall 2",
        "server web.node1 192.168.1.100:80 check  # on node1",
        "server web.node2 192.168.1.101:80 check  # on node2",
        "server web.node3 192.168.1.102:80 check  # on node3",
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_every_route_leads_to_a_backend(case):
    """Whatever a listener's table names is a backend of the file."""
    model, _ = golden_model(case)
    names = {backend.name for backend in model.backends}
    for listener in model.listeners:
        claims = {claim.backend for claim in (*listener.cells, *listener.rules)}
        assert claims | set(dict(listener.names).values()) | {listener.default or min(names, default="")} <= names | {
            ""
        }


@pytest.mark.parametrize("kind", ["haproxy", "nginx", "traefik"])
def test_access_log_beside_a_closed_route(kind):
    """A listener with an access log is rendered, although what answers for a closed route is of no service."""
    snapshot = a_snapshot(a_node(), a_service("web", {"http.bad.host": "a.org", "http.bad.rate-limit": "much"}))
    model = build(snapshot, a_rules(replace(a_listener(), access_log=AccessLog("json", "/log"))))
    assert any(not backend.service for backend in model.backends)
    texts = a_renderer(kind).render(model, snapshot).texts
    assert "@closed" not in texts.get("names.map", "")


# ------------------------------------------------------------------------------------------------ generation

FACTS = [a_node(), a_service("web", ports=(ingress(),)), a_task()]


def test_generation():
    """The generation is twelve hexadecimal digits, printed in the files, and names their content."""
    model, facts = modelled(*FACTS), a_snapshot(*FACTS)
    files = a_renderer().render(model, facts)
    assert len(files.generation) == 12
    assert int(files.generation, 16)
    assert f"set-var proc.lbgen_generation str({files.generation})\n" in files.texts["haproxy.cfg"]
    assert PLACEHOLDER not in "".join(files.texts.values())
    assert a_renderer().render(model, facts) == files
    other = a_renderer(maxconn=7).render(model, facts)
    assert other.generation != files.generation


@pytest.mark.parametrize(
    "texts", [{"a": "xy", "b": ""}, {"a": "x", "b": "y"}, {"ax": "y", "b": ""}, {"a": "xy"}, {"b": "xy", "a": ""}]
)
def test_generation_of_texts(texts):
    """Which byte stands in which file matters; the order of the files does not."""
    others = [{"a": "xy", "b": ""}, {"a": "x", "b": "y"}, {"ax": "y", "b": ""}, {"a": "xy"}, {"b": "xy", "a": ""}]
    assert [other for other in others if Files.of(other).generation == Files.of(texts).generation] == [texts]
    assert Files.of(dict(reversed(texts.items()))) == Files.of(texts)


# ------------------------------------------------------------------------------------------------ template sets


@pytest.fixture
def templates(tmp_path):
    """An empty directory for an author's templates; call it with files to write them."""
    directory = tmp_path / "templates"
    directory.mkdir()

    def write(**files: str) -> Path:
        for name, text in files.items():
            path = directory / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return directory

    return write


def render(*directories, **options) -> dict[str, str]:
    """Render one service with these templates."""
    return dict(a_renderer(*directories, **options).render(modelled(*FACTS), a_snapshot(*FACTS)).texts)


def custom(templates, template: str) -> str:
    """Render one template of a set of its own."""
    directory = templates(set_dot_yml="proxy: other\nquote: haproxy\n", out_dot_j2=template)
    return render(directory)["out"]


def refused(templates, template: str, **more: str) -> str:
    """The message of the error that a template gives, without the directory."""
    directory = templates(set_dot_yml="proxy: other\n", out_dot_j2=template, **more)
    with pytest.raises(TemplateError) as caught:
        render(directory)
    assert caught.value.exit_code == 3
    return str(caught.value).replace(f"{directory}/", "")


def test_builtin_sets():
    """The built-in sets are found by name."""
    assert "haproxy" in builtin_names()
    maps = ("names.map", "paths.map", "routes.map")
    assert find(["haproxy"]).names() == ["certificates.list", "haproxy.cfg", "login.lua", *maps]


def test_own_set(templates):
    """A directory with a manifest is a set: every NAME.j2 becomes NAME, also below; partials and others do not."""
    directory = templates(
        set_dot_yml="proxy: other\n",
        a_dot_j2="{% include '_part.j2' %}{{ servers | length }}\n",
        _part_dot_j2="part ",
        sub__b_dot_cfg_dot_j2="b",
        notes_dot_txt="no template",
    )
    assert render(directory) == {"a": "part 1\n", "sub/b.cfg": "b"}


def test_override_a_file(templates):
    """A file of a directory before the built-in set replaces the one of that name; the rest is inherited."""
    texts = render(templates(names_dot_map_dot_j2="# mine\n", extra_dot_txt_dot_j2="{{ target.name }}\n"), "haproxy")
    assert texts["names.map"] == "# mine\n"
    assert texts["extra.txt"] == "edge\n"
    assert texts["haproxy.cfg"].startswith("# Written by lbgen")


def test_override_a_partial(templates):
    """A partial can be replaced as well."""
    (partial,) = (BUILTIN / "haproxy").glob("_haproxy.j2")
    text = partial.read_text().replace("    balance ", "    # mine\n    balance ")
    assert "    # mine\n    balance roundrobin" in render(templates(_haproxy_dot_j2=text), "haproxy")["haproxy.cfg"]


@pytest.mark.parametrize(
    ("block", "text", "after"),
    [
        ("global_extra", "    tune.bufsize 32768\n", "    hard-stop-after 30m\n    tune.bufsize 32768\n"),
        ("http_frontend_extra", "    # {{ listener.name }}\n", "TRACE }\n    # web\n"),
        ("http_backend_extra", "    # {{ backend.name }}\n", "backend web\n    # web\n"),
        ("extra", "listen stats\n", "listen stats\n"),
    ],
)
def test_override_a_block(templates, block, text, after):
    """One block of the built-in file can be replaced, and knows what it is in."""
    template = "{% extends 'haproxy/haproxy.cfg.j2' %}{% block " + block + " %}\n" + text + "{% endblock %}\n"
    changed = render(templates(haproxy_dot_cfg_dot_j2=template), "haproxy")["haproxy.cfg"]
    assert after in changed
    plain = render("haproxy")["haproxy.cfg"]
    assert len(changed.splitlines()) == len(plain.splitlines()) + 1


def test_super_of_a_block(templates):
    """A block can add to what it replaces."""
    template = "{% extends 'haproxy/haproxy.cfg.j2' %}{% block global %}\n{{ super() }}    nbthread 1\n{% endblock %}"
    text = render(templates(haproxy_dot_cfg_dot_j2=template), "haproxy")["haproxy.cfg"]
    assert "    hard-stop-after 30m\n    nbthread 1\n" in text


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"no set.yml; name a built-in set behind it \(haproxy"),
        ({"set_dot_yml": "proxy: nginxx\n"}, "set.yml:1: proxy:"),
        ({"set_dot_yml": "proxy: other\nquot: none\n"}, "set.yml:2: quot: unknown key; there are proxy, binary, check"),
        ({"set_dot_yml": "proxy: other\nquote: nope\n"}, "set.yml:2: quote: 'nope' is not one of"),
        ({"set_dot_yml": "quote: none\n"}, "set.yml: proxy: is missing"),
        ({"set_dot_yml": "- a\n"}, "set.yml: expected a mapping, found list"),
        ({"set_dot_yml": "a: b: c\n"}, "set.yml:1:"),
        ({"set_dot_yml": "proxy: other\n"}, "no template"),
        ({"set_dot_yml": "proxy: other\n", "_a_dot_j2": ""}, "no template"),
    ],
)
def test_bad_set(templates, files, message):
    """A set without manifest or templates, or with a manifest that makes no sense, is refused."""
    with pytest.raises(TemplateError, match=message):
        render(templates(**files))


def test_unknown_set():
    """A name that is neither directory nor built-in set is an error that lists those there are."""
    with pytest.raises(TemplateError, match=r"nope: neither a directory nor a built-in template set \(haproxy"):
        find(["nope"])


def test_options():
    """Options have the set's defaults; one the set does not have is refused."""
    assert "    maxconn 99\n" in render(maxconn=99)["haproxy.cfg"]
    assert "    mworker-max-reloads 50\n" in render()["haproxy.cfg"]
    assert "mworker-max-reloads" not in render(max_reloads=0)["haproxy.cfg"]
    with pytest.raises(TemplateError, match=r"no option maxcon; it has: user, group, socket_group, chroot"):
        a_renderer(maxcon=99)


# ------------------------------------------------------------------------------------------------ the context

CONTEXT = (
    *("listeners", "routes", "backends", "servers", "certificates", "users", "client_cas", "server_cas"),
    *("problems", "target", "options", "settings", "snapshot", "generation", "context_version"),
)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ context_version }}", "1"),
        ("{{ listeners[0].name }}:{{ listeners[0].port }}", "web:80"),
        ("{{ routes[0].backend }}", "web"),
        ("{{ backends[0].servers[0].address }}", "192.168.1.1"),
        ("{{ servers | map(attribute='name') | join(',') }}", "web.node1"),
        ("{{ problems | length }}", "0"),
        ("{{ target.name }} {{ target.output }}", "edge /var/lib/lbgen/edge"),
        ("{{ settings.certificates }}", "/etc/lbgen/certs"),
        ("{{ snapshot.nodes['node1-id'].hostname }}", "node1"),
        ("{{ 0.5 | duration }}", "500ms"),
        ("{{ servers[0].address | host_port(80) }} {{ '::1' | host_port(80) }}", "192.168.1.1:80 [::1]:80"),
        ("{{ 'a b' | quote }}", "'a b'"),
        ("{% set n = namespace(x=1) %}{% for s in servers %}{% set n.x = 2 %}{% endfor %}{{ n.x }}", "2"),
        ("{% for n in [1,2,3] %}{% if n == 2 %}{% break %}{% endif %}{{ n }}{% endfor %}", "1"),
    ],
)
def test_context(templates, template, expected):
    """What a template sees: the model, the target, its options, the settings and the raw facts."""
    assert custom(templates, template) == expected


# ------------------------------------------------------------------------------------------------ printing


@pytest.mark.parametrize("char", ["\n", "\r", "\t", "\0", "\x1b", "\x7f", "\x85", "\ud800"], ids=ascii)
@pytest.mark.parametrize(
    "template",
    [
        "one\n{{ snapshot.cluster }}",
        "one\n{{ snapshot.cluster | upper }}",
        "one\n{{ snapshot.cluster | quote }}",
        "one\n{{ 'x' ~ snapshot.cluster }}",
        "one\n{{ [snapshot.cluster] | join }}",
        "one\n{{ snapshot.cluster | safe }}",
        "one\n{% set x = snapshot.cluster %}{{ x }}",
        "{% macro m(x) %}\n{{ x }}\n{% endmacro %}{{ m(snapshot.cluster) }}",
        "{% block b %}\n{{ snapshot.cluster }}{% endblock %}",
        "{% set x %}\n{{ snapshot.cluster }}{% endset %}{{ x }}",
        "{% filter indent(2) %}\n{{ snapshot.cluster }}{% endfilter %}",
        "one\n{{ snapshot.cluster | indent(2) | trim }}",
    ],
)
def test_control_character(templates, template, char):
    """A value with a control character cannot be printed, whatever way it takes; the error says where and what."""
    directory = templates(set_dot_yml="proxy: other\nquote: haproxy\n", out_dot_j2=template)
    model, facts = modelled(*FACTS), Snapshot(cluster=f"a{char}b")
    with pytest.raises(TemplateError) as caught:
        a_renderer(directory).render(model, facts)
    assert str(caught.value).startswith(f"{directory}/out.j2:2: ")
    assert "control character" in str(caught.value)
    assert all(line.isprintable() for line in str(caught.value).splitlines())


def test_other_characters(templates):
    """Anything else may be printed, letters of any script and spaces included."""
    directory = templates(set_dot_yml="proxy: other\n", out_dot_j2="{{ snapshot.cluster }}")
    name = "Z\u00fcrich \u6771\u4eac \u00a0'\"$\\#"
    assert a_renderer(directory).render(Model(), Snapshot(cluster=name)).texts["out"] == name


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{% macro m() %}\na\nb\n{% endmacro %}{{ m() }}", "a\nb\n"),
        ("{% macro m() %}\na\nb\n{% endmacro %}{{ m() | indent(2, true) }}", "  a\n  b\n"),
        ("{% macro m() %}\na\nb\n{% endmacro %}{{ m() | trim }}", "a\nb"),
        ("{% macro m() %}\na\n{{ caller() }}{% endmacro %}{% call m() %}b\nc\n{% endcall %}", "a\nb\nc\n"),
        ("{% block b %}\na\n{% endblock %}{{ self.b() }}", "a\na\n"),
        ("{% set x %}\na\nb\n{% endset %}{{ x }}", "a\nb\n"),
        ("{% macro m() %}\na\n{% endmacro %}{{ m() if true else '' }}", "a\n"),
        ("{% filter upper %}\na\nb\n{% endfilter %}", "A\nB\n"),
        ("a\n{{- 'b' -}}\nc\n", "abc\n"),
        ("no newline at the end", "no newline at the end"),
    ],
)
def test_produced_text(templates, template, expected):
    """What macros, blocks and assignments produce may span lines."""
    assert custom(templates, template) == expected


# ------------------------------------------------------------------------------------------------ template errors


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a\n{{ nope }}", "out.j2:2: 'nope' is undefined"),
        ("{% set unused = nope %}\n{{ unused.x }}", "out.j2:2: 'nope' is undefined"),
        ("a\n\n{{ servers[0].adress }}", "out.j2:3: Server 'web.node1' has no 'adress'; did you mean address?"),
        ("{% for s in servers %}\n{{ s.nope.x }}{% endfor %}", "out.j2:2: "),
        ("{{ options.nope }}", "out.j2:1: {} has no 'nope'"),
        ("{% if x %}\n", "out.j2:1: Unexpected end of template"),
        ("a\nb {% endif %}", "out.j2:2: "),
        ("a\n{{ 1 +* 2 }}", "out.j2:2: "),
        ("{{ 'x' | nofilter }}", "out.j2:1: No filter named 'nofilter'"),
        ("a\n{% include 'gone.j2' %}", "out.j2:2: there is no template gone.j2 in the set"),
        ("a\n{% from 'gone.j2' import x %}", "out.j2:2: there is no template gone.j2 in the set"),
        ("{% extends 'gone.j2' %}", "out.j2:1: there is no template gone.j2 in the set"),
        ("a\n{{ 1 / 0 }}", "out.j2:2: division by zero"),
        ("{{ '' | word }}", "out.j2:1: filter word(value=''): '' is not one word"),
        ("{{ 'a b' | word }}", "out.j2:1: filter word(value='a b'): 'a b' is not one word"),
        ("{{ ''.__class__ }}", "out.j2:1: "),
        ("{{ ''.__class__.__mro__ }}", "out.j2:1: "),
        ("{{ ''.upper() }}\n{{ ''.__class__ }}", "out.j2:2: "),  # what it may have of the same object decides nothing
        ("{% do servers.append(1) %}", "out.j2:1: "),
        ("a\n{{ fail('no words for ' ~ servers[0].name) }}", "out.j2:2: no words for web.node1"),
        ("{{ fail('one\\ntwo') }}", "out.j2:1: one"),
        ("{% do options.update(a=1) %}", "out.j2:1: "),
        ("{% do snapshot.nodes.clear() %}", "out.j2:1: "),
        ("a\n{% include '_part.j2' %}", "_part.j2:2: 'nope' is undefined"),
        ("{% from '_macro.j2' import m %}\n{{ m() }}", "_macro.j2:2: 'nope' is undefined"),
    ],
)
def test_template_error(templates, template, message):
    """What is wrong with a template is told with the file and line where it is."""
    said = refused(
        templates, template, _part_dot_j2="x\n{{ nope }}", _macro_dot_j2="{% macro m() %}\n{{ nope }}{% endmacro %}"
    )
    assert said.startswith(message)


@pytest.mark.parametrize(
    ("template", "near"),
    [
        ("{{ servers[0].adress }}", "address"),
        ("{{ options.max_conn }}", "maxconn"),
        ("{{ backend }}", "backends"),
        *[(f"{{{{ {name}x }}}}", name) for name in CONTEXT],
    ],
)
def test_near_name(templates, template, near):
    """An undefined name comes with the name that was probably meant."""
    directory = templates(haproxy_dot_cfg_dot_j2=template)
    with pytest.raises(TemplateError, match=f"did you mean {near}"):
        render(directory, "haproxy")


def test_not_utf8(templates):
    """A template that is no UTF-8 is an error with its name."""
    directory = templates(set_dot_yml="proxy: other\n")
    (directory / "out.j2").write_bytes(b"\xff")
    with pytest.raises(TemplateError, match=r"out\.j2"):
        render(directory)


def test_changed_template(templates):
    """A template that was changed on disk is read again by the same renderer."""
    directory = templates(set_dot_yml="proxy: other\n", out_dot_j2="one")
    renderer = a_renderer(directory)
    assert renderer.render(Model(), Snapshot()).texts == {"out": "one"}
    (directory / "out.j2").write_text("two")
    os.utime(directory / "out.j2", (1, 1))
    (directory / "more.j2").write_text("more")
    assert renderer.render(Model(), Snapshot()).texts == {"more": "more", "out": "two"}


def test_changed_macro(tmp_path):
    """Whichever macro is changed, what other macros made with it is made anew."""
    directory = tmp_path / "copy"
    shutil.copytree(BUILTIN / "haproxy", directory)
    renderer, model, facts = a_renderer(directory), modelled(*FACTS), a_snapshot(*FACTS)
    before = renderer.render(model, facts).texts["haproxy.cfg"]
    assert "default-server inter 2s" in before
    partial = directory / "_haproxy.j2"
    partial.write_text(partial.read_text().replace("default-server inter", "default-server  inter"))
    assert renderer.render(model, facts).texts["haproxy.cfg"].count("default-server  inter 2s") == 1
    partial.write_text(partial.read_text().replace("default-server  inter", "default-server inter"))
    assert renderer.render(model, facts).texts["haproxy.cfg"] == before


def test_added_override(templates):
    """A file that is put before a built-in one, or taken away, while lbgen runs takes effect at once."""
    directory = templates(unused_dot_j2="")
    renderer, model, facts = a_renderer(directory, "haproxy"), modelled(*FACTS), a_snapshot(*FACTS)
    before = renderer.render(model, facts).texts
    (directory / "names.map.j2").write_text("# mine\n")
    assert renderer.render(model, facts).texts["names.map"] == "# mine\n"
    (directory / "names.map.j2").unlink()
    assert renderer.render(model, facts).texts == before


FRESH = a_renderer()
FRESH.render(Model(), Snapshot())


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["round-robin", "source"])), max_size=5))
@settings(deadline=None, max_examples=15)
def test_memory_changes_nothing(clusters):
    """A renderer that has rendered other models before renders the same bytes as a new one."""
    renderer, builder = a_renderer_without_memory(), Builder(a_rules())
    for count, balance in clusters:
        services = [
            a_service(f"s{n}", {"balance": balance if n else "random"}, ports=(ingress(),)) for n in range(count)
        ]
        facts = a_snapshot(a_node(), *services, *[a_task(f"s{n}") for n in range(count)])
        model = builder.build(facts)
        assert renderer.render(model, facts) == a_renderer_without_memory().render(build(facts, a_rules()), facts)


def a_renderer_without_memory():
    """A renderer that has compiled its templates but remembers no rendering."""
    renderer = copy.copy(FRESH)
    renderer.loaded_templates().sections = {}
    return renderer


def test_whole_set_is_readable(tmp_path):
    """A copy of the built-in set renders the same files, wherever it lies."""
    shutil.copytree(BUILTIN / "haproxy", tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    assert all(stat.S_ISREG(path.stat().st_mode) for path in (tmp_path / "copy").iterdir())
    assert render(tmp_path / "copy") == render("haproxy")


def test_renderer_of_a_case_is_reusable():
    """One renderer gives the same bytes twice."""
    renderer = renderer_of(GOLDEN / "rules.yaml")
    model, facts = golden_model(GOLDEN / "rules.yaml")
    assert renderer.render(model, facts) == renderer.render(model, facts)
