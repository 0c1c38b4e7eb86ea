"""What is wrong with a template is told with file, line, excerpt, value and near name; what has no end is stopped."""

from __future__ import annotations

import pytest

from lbgen.base.errors import TemplateError
from lbgen.render.budget import Budget, Exceeded
from lbgen.render.limits import Limits
from lbgen.render.loader import LARGEST
from tests.support.bench import Bench
from tests.support.builders import a_node, a_renderer, a_service, a_snapshot, a_task, ingress, modelled

FACTS = [a_node(), a_service("web", ports=(ingress(),)), a_task()]
SMALL = Limits(timeout=0.2, max_size=1 << 20)
# What is right renders within this on any machine: the processor time of a whole set doubles beside busy neighbours.
ROOMY = Limits(timeout=1, max_size=1 << 20)
PARTS = {
    "_macro.j2": "{% macro shout(x) %}\n{{ x.upper() }}{{ 1 // 0 if x == 'zero' }}\n{% endmacro %}\n",
    "_bytes.j2": b"one\ntwo \xff",
    "_large.j2": b"x" * (LARGEST + 1),
}


@pytest.fixture
def said(tmp_path):
    """What is said of a template; the directory is left out."""

    def render(template: str, limits: Limits = ROOMY) -> str:
        for name, text in {"set.yml": "proxy: other\n", "out.j2": template, **PARTS}.items():
            (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        renderer = a_renderer(tmp_path)
        renderer.limits = limits
        with pytest.raises(TemplateError) as caught:
            renderer.render(modelled(*FACTS), a_snapshot(*FACTS))
        return str(caught.value).replace(f"{tmp_path}/", "")

    return render


# ------------------------------------------------------------------------------------------------ what is told


def test_excerpt(said):
    """The line, its neighbours, what the names on it stand for, and who called."""
    template = (
        "{% from '_macro.j2' import shout %}\n{% for s in servers %}\n{{ shout('a') ~ s.adress }}\n{% endfor %}\n"
    )
    assert said(template).splitlines() == [
        "out.j2:3: Server 'web.node1' has no 'adress'; did you mean address?",
        "       2 | {% for s in servers %}",
        "  >    3 | {{ shout('a') ~ s.adress }}",
        "       4 | {% endfor %}",
        "  with s = Server 'web.node1'",
    ]
    assert said("{% from '_macro.j2' import shout %}\n\n{{ shout('zero') }}").splitlines() == [
        "_macro.j2:2: integer division or modulo by zero",
        "       1 | {% macro shout(x) %}",
        "  >    2 | {{ x.upper() }}{{ 1 // 0 if x == 'zero' }}",
        "       3 | {% endmacro %}",
        "  with x = 'zero'",
        "  called from out.j2:3",
    ]


@pytest.mark.parametrize(
    ("template", "first"),
    [
        # syntax
        ("a\n{% if x %}\n", "out.j2:2: Unexpected end of template"),
        ("a\n{{ 'x' | cente(3) }}", "out.j2:2: No filter named 'cente'; did you mean center?"),
        ("a\n{{ 'x' is strng }}", "out.j2:2: No test named 'strng'; did you mean string?"),
        ("{% if x is definde %}{% endif %}", "out.j2:1: No test named 'definde'; did you mean defined?"),
        ("{{ " + "(" * 3000 + ")" * 3000 + " }}", "out.j2: blocks or brackets are nested too deeply"),
        ("{% for x in [1] %}" * 30 + "{% endfor %}" * 30, "out.j2: blocks or brackets are nested too deeply"),
        # names
        ("a\n{{ bakends }}", "out.j2:2: 'bakends' is undefined; did you mean backends?"),
        (
            "{% for server in servers %}{{ serverr }}{% endfor %}",
            "out.j2:1: 'serverr' is undefined; did you mean server?",
        ),
        ("{% macro shout() %}{% endmacro %}{{ shuot() }}", "out.j2:1: 'shuot' is undefined; did you mean shout?"),
        (
            "{% from '_macro.j2' import shuot %}{{ shuot(1) }}",
            "out.j2:1: the template '_macro.j2' (imported on line 1 in 'out.j2') does not export the requested name "
            "'shuot'; did you mean shout?",
        ),
        ("{% import '_macro.j2' as m %}{{ m.shuot() }}", "out.j2:1: <TemplateModule '_macro.j2'> has no 'shuot'; did"),
        ("{{ {'maxconn': 1}.max_conn }}", "out.j2:1: {'maxconn': 1} has no 'max_conn'; did you mean maxconn?"),
        ("{{ none.x }}", "out.j2:1: None has no 'x'"),
        # values
        ("a\n{{ 'x' | center('a') }}", "out.j2:2: filter center(value='x', width='a'): 'str' object cannot be"),
        ("a\n{{ 'x y' | word }}", "out.j2:2: filter word(value='x y'): 'x y' is not one word"),
        ("a\n{{ 'a\\x07b' }}", r"out.j2:2: prints a value with a control character: 'a\\x07b'"),
        ("{% for s in servers %}\n{{ s + 1 }}{% endfor %}", "out.j2:2: unsupported operand type(s) for +: 'Server'"),
        # other templates
        (
            "a\n{% include '_macros.j2' %}",
            "out.j2:2: there is no template _macros.j2 in the set; did you mean _macro.j2?",
        ),
        ("a\n{% include '../x.j2' %}", "out.j2:2: ../x.j2 lies outside of the set; templates come from "),
        ("a\n{% include '/etc/passwd' %}", "out.j2:2: /etc/passwd lies outside of the set"),
        (
            "{% extends 'haproxy/haprxy.cfg.j2' %}",
            "out.j2:1: there is no template haproxy/haprxy.cfg.j2 in the set; did",
        ),
        ("a\n{% include '_bytes.j2' %}", "out.j2:2: _bytes.j2:2:5: not UTF-8"),
        ("a\n{% include '_large.j2' %}", "out.j2:2: _large.j2: larger than 1 MiB"),
        ("{% include 'out.j2' %}", "out.j2:1: a macro or a template calls itself without end"),
        (
            "{% macro m() %}\n{{ m() }}{% endmacro %}{{ m() }}",
            "out.j2:2: a macro or a template calls itself without end",
        ),
    ],
)
def test_fault(said, template, first):
    """The first line says where, what, and what may have been meant."""
    told = said(template).splitlines()
    assert told[0].startswith(first)
    assert all(line.isprintable() for line in told)
    assert len(told) == 1 or any(line.startswith("  > ") for line in told)


def test_template_that_cannot_be_read(said, tmp_path):
    """A file that is there and gives an error is named with the system's words, and so is the line that wants it."""
    (tmp_path / "_memory.j2").symlink_to("/proc/self/mem")  # even root cannot read its beginning
    assert said("a\n{% include '_memory.j2' %}").startswith("out.j2:2: _memory.j2: cannot be read: Input/output error")


# ------------------------------------------------------------------------------------------------ what is stopped

NESTED = "{% for i in range(100000) %}\n{% for j in range(100000) %}{BODY}{% endfor %}{% endfor %}"
DOUBLING = "{% set n = namespace(x={START}) %}\n{% for i in range(100) %}{% set n.x = {EXPRESSION} %}{% endfor %}"


@pytest.mark.parametrize(
    "template",
    [
        NESTED.replace("{BODY}", ""),
        NESTED.replace("{BODY}", "{% if j %}{% continue %}{% endif %}"),
        NESTED.replace("{% for j", "{% for j").replace("{BODY}", "{% set x = j %}"),
        "{% macro m(n) %}\n{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
        "\n{% for a in range(99999) %}{{ range(99999) | map('string') | list | length }}{% endfor %}",
        "\n{% for a in [[]] recursive %}{% set d = loop.depth < 40 %}"
        "{{ loop([[]]) if d }}{{ loop([[]]) if d }}{% endfor %}",
    ],
)
def test_without_end(said, template):
    """What takes too long is stopped, at the line where it was."""
    told = said(template, SMALL)
    assert told.startswith("out.j2:2: rendering had taken 200ms when it came here; is there an endless loop?")


@pytest.mark.parametrize(
    "template",
    [
        NESTED.replace("{BODY}", "x"),
        NESTED.replace("{BODY}", "{{ 'x' * 1000 }}"),
        "\n{% set x %}" + NESTED.replace("\n", "").replace("{BODY}", "{{ 'x' * 1000 }}") + "{% endset %}",
        "\n{% macro m() %}"
        + NESTED.replace("\n", "").replace("{BODY}", "{{ 'x' * 1000 }}")
        + "{% endmacro %}{{ m() }}",
        DOUBLING.replace("{START}", "'x'").replace("{EXPRESSION}", "n.x ~ n.x"),
        DOUBLING.replace("{START}", "'x'").replace("{EXPRESSION}", "n.x + n.x"),
        DOUBLING.replace("{START}", "'x'").replace("{EXPRESSION}", "[n.x, n.x] | join"),
        DOUBLING.replace("{START}", "[1]").replace("{EXPRESSION}", "n.x + n.x"),
        DOUBLING.replace("{START}", "[1]").replace("{EXPRESSION}", "[n.x, n.x] | sum(start=[])"),
        "\n{{ 'x' * 10 ** 9 }}",
        "\n{{ 10 ** 9 * 'x' }}",
        "\n{{ [1] * 10 ** 9 }}",
        "\n{{ 'x'.ljust(10 ** 9) }}",
        "\n{{ 'x'.encode().center(10 ** 9) }}",
        "\n{{ 'x' | center(1000000000) }}",
        "\n{{ 'x' | indent(10 ** 9, true) }}",
        "\n{{ '\\t'.expandtabs(10 ** 9) }}",
        "\n{{ '%1000000000d' % 1 }}",
        "\n{{ '%.1000000000f' % 1 }}",
        "\n{{ '%*d' % (10 ** 9, 1) }}",
        "\n{{ '%(x)1000000000s' % {'x': 1} }}",
        "\n{{ '%1000000000d' | format(1) }}",
        "\n{{ '{:1000000000}'.format(1) }}",
        "\n{{ '{:{}}'.format(1, 10 ** 9) }}",
        "\n{{ '{x:>1000000000}'.format_map({'x': 1}) }}",
        "\n{{ ('%s' * 1000) % ((('x' * 100000),) * 1000) }}",
        "\n{{ ('x' * 100000).replace('x', 'y' * 100000) }}",
        "\n{{ ('x' * 100000) | replace('x', 'y' * 100000) }}",
        "\n{{ range(100000) | join('y' * 1000) }}",
        "\n{{ ('y' * 100000).join(['a'] * 1000) }}",
        "\n{{ ('y' * 100000).join((['a'] * 1000) | map('upper')) }}",
        "\n{{ 'x'.translate({120: 'y' * 100000}) * 20 }}",
        "\n{{ ('x' * 1000).translate({120: 'y' * 100000}) }}",
        "\n{{ [1] | batch(10 ** 9, 1) | list }}",
        "\n{{ [1] | slice(10 ** 9) | list }}",
        "\n{{ [1] | tojson(indent=10 ** 9) }}",
        "\n{{ 'a b' | wordwrap(1, wrapstring='x' * 1000000) }}",
        "\n{{ (1).to_bytes(10 ** 9) }}",
    ],
)
def test_too_large(said, template):
    """What would be too large is refused: before it is made, if one step would make it."""
    told = said(template, Limits(timeout=60, max_size=1 << 20))
    assert told.startswith("out.j2:2: ") or "filter join" in told
    assert " characters or more, 1,048,576 are allowed (targets.NAME.render.max_size)" in told


@pytest.mark.parametrize("template", ["{{ 9 ** (9 ** 9) }}", "{{ 3.5 | round(10 ** 9, 'ceil') }}"])
def test_large_numbers(said, template):
    """A number that takes the processor for hours is refused as well."""
    assert "bits, 4,096 are allowed" in said(template)


@pytest.mark.parametrize(
    "template", ["{% set n = namespace(x=2) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}"]
)
def test_numbers_that_grow(said, template):
    """So is one that grows by being multiplied."""
    assert "bits, 4,096 are allowed" in said(template)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ 2 ** 10 }} {{ 3 * 'ab' }} {{ [1] + [2] }} {{ 7 % 4 }}", "1024 ababab [1, 2] 3"),
        ("{{ 'ab'.replace('b', 'c') }}{{ 'x'.rjust(3) }}{{ ','.join('ab') }}", "ac  xa,b"),
        ("{{ '%s-%03d' % ('a', 7) }} {{ '{:>3}{x}'.format(1, x=2) }} {{ '%d%%' | format(5) }}", "a-007   12 5%"),
        ("{{ [[1], [2]] | sum(start=[]) }} {{ [(1,), (2,)] | sum(start=()) }} {{ [1, 2] | sum }}", "[1, 2] (1, 2) 3"),
        ("{{ servers | map(attribute='port') | join('/') }} {{ servers | sum('port') }}", "80 80"),
        ("{{ servers | join(',', attribute='name') }}", "web.node1"),
        ("{{ 'a' ~ 1 ~ none }}", "a1None"),
        ("{{ [1, 2, 3] | batch(2, 0) | list }} {{ [1, 2] | slice(2) | list }}", "[[1, 2], [3, 0]] [[1], [2]]"),
    ],
)
def test_within_limits(tmp_path, template, expected):
    """What has limits does what Jinja says otherwise."""
    (tmp_path / "set.yml").write_text("proxy: other\n")
    (tmp_path / "out.j2").write_text(template)
    assert a_renderer(tmp_path).render(modelled(*FACTS), a_snapshot(*FACTS)).texts["out"] == expected


def test_all_files_together(tmp_path):
    """Many files that are large together are too large."""
    (tmp_path / "set.yml").write_text("proxy: other\n")
    for name in "abc":
        (tmp_path / f"{name}.j2").write_text("{{ 'x' * 500000 }}")
    renderer = a_renderer(tmp_path)
    renderer.limits = ROOMY
    with pytest.raises(TemplateError, match=r"^c\.j2: this makes 1,500,000 characters or more"):
        renderer.render(modelled(*FACTS), a_snapshot(*FACTS))


def test_a_busy_machine_is_no_reason():
    """Only the processor time of the rendering itself counts."""
    now = {"wall": 0.0, "own": 0.0}
    budget = Budget(Limits(timeout=10), lambda: now["wall"], lambda: now["own"])
    now.update(wall=1000.0, own=9.0)
    budget.tick()
    now.update(wall=1001.1, own=10.1)
    with pytest.raises(Exceeded):
        budget.tick()


# ------------------------------------------------------------------------------------------------ the daemon

# Wrong for every backend there is, and for none if there is none.
IN_BACKENDS = "{% extends 'haproxy/haproxy.cfg.j2' %}{% block http_backend_extra %}{{ backend.nope }}{% endblock %}"


@pytest.mark.parametrize(
    ("file", "bad"),
    [
        ("haproxy.cfg.j2", "{% if %}"),
        ("haproxy.cfg.j2", "{{ nope }}"),
        ("haproxy.cfg.j2", IN_BACKENDS),
        ("haproxy.cfg.j2", "{{ 'x' | center('a') }}"),
        ("haproxy.cfg.j2", "{{ 'a\\x07b' }}"),
        ("haproxy.cfg.j2", NESTED.replace("{BODY}", "")),
        ("haproxy.cfg.j2", "{{ 'x' * 10 ** 9 }}"),
        ("haproxy.cfg.j2", "{% include '_gone.j2' %}"),
        ("haproxy.cfg.j2", "{% include '../gone.j2' %}"),
        ("haproxy.cfg.j2", b"\xff"),
        ("_haproxy.j2", b"\xff"),
        ("_haproxy.j2", "{% if %}"),
        ("set.yml", "proxy: nope"),
        ("set.yml", "files: {'../x': {template: _haproxy.j2}}"),
        ("set.yml", "files: {'haproxy.cfg': {template: _haproxy.j2}}"),
        ("set.yml", "- no mapping"),
        ("set.yml", "a: b: c"),
    ],
)
def test_saved_badly(tmp_path, file, bad):
    """Whatever is saved, what was there before goes on following; the log names the file. Saved right, all is well."""
    bench = Bench(tmp_path)
    path = bench.templates / file
    good = path.read_bytes() if path.exists() else None
    assert bench.bring()
    bench.target.renderer.limits = ROOMY
    path.write_bytes(bad if isinstance(bad, bytes) else bad.encode())
    bench.clock.now += 10
    assert not bench.bring(2, "source")
    assert [line["event"] for line in bench.logs] == ["applied", "refused"]
    assert file in str(bench.logs[1]["error"])
    assert "balance source" in bench.texts()["haproxy.cfg"]
    path.unlink() if good is None else path.write_bytes(good)
    bench.clock.now += 10
    assert bench.bring(2, "least-conn"), bench.logs
    assert "balance leastconn" in bench.texts()["haproxy.cfg"]
