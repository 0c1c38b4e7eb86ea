"""`lbgen.proxies.plan`: what has to be done so that a proxy that runs one set of files runs another."""

from __future__ import annotations

import pytest

from lbgen.proxies import plan
from lbgen.proxies.traefik import plan as traefik_plan
from lbgen.render.renderer import PLACEHOLDER, Files
from tests.support.passwords import HASH

CONFIG = f"""\
# generation {PLACEHOLDER}
global
    description lbgen-{PLACEHOLDER}

backend api
    balance roundrobin
    server api.1 10.0.0.1:80

backend web
    balance roundrobin
    server web.1 10.0.0.2:80
"""


def files(config: str = CONFIG, **more: str) -> Files:
    """Rendered files with this configuration."""
    return Files.of({"haproxy.cfg": config, **more})


def reason(before: Files, after: Files) -> str:
    """The reason of a reload."""
    step = plan.between(before, after)
    assert isinstance(step, plan.Reload)
    return step.reason


def test_nothing():
    """A proxy that runs these very files is left alone."""
    assert plan.between(files(), files()) == plan.Nothing()


def test_first():
    """Where it is not known what the proxy runs, it has to load the files."""
    assert plan.between(None, files()) == plan.Reload("first configuration")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (files(), files(CONFIG.replace("10.0.0.2", "10.0.0.3")), "haproxy.cfg: backend web"),
        (files(), files(CONFIG.replace("roundrobin", "leastconn")), "haproxy.cfg: backend api, backend web"),
        (files(), files(CONFIG + "\nbackend x\n    balance source\n"), "haproxy.cfg: backend x"),
        (files(CONFIG + "\nbackend x\n    balance source\n"), files(), "haproxy.cfg: backend x"),
        (
            files(),
            files(CONFIG.replace("    balance", "    retries 1\n    balance")),
            "haproxy.cfg: backend api, backend web",
        ),
        (
            files(),
            files(CONFIG + "".join(f"backend b{index}\n    balance source\n" for index in range(5))),
            "haproxy.cfg: backend b0, backend b1, backend b2 and 2 more",
        ),
        (files(), files(**{"routes.map": "a b\n"}), "routes.map added"),
        (files(**{"routes.map": "a b\n"}), files(), "routes.map removed"),
        (files(**{"routes.map": "a b\n"}), files(**{"routes.map": "a c\n"}), "routes.map: a b, a c"),
        (
            files(**{"routes.map": "a b\n"}),
            files(CONFIG.replace("10.0.0.2", "10.0.0.3"), **{"routes.map": "a b\nc d\n"}),
            "haproxy.cfg: backend web; routes.map: c d",
        ),
    ],
)
def test_reason(before, after, expected):
    """A reload's reason names the files and the sections that differ; the generation in them is never one."""
    assert reason(before, after) == expected


@pytest.mark.parametrize(
    ("line", "named", "shown"),
    [
        ("backend web", True, "backend web"),
        (f"user anna password '{HASH}'", False, "user anna ..."),
        ("user anna insecure-password s3cret", True, "user anna ..."),
        ("http-request set-header x-api-key s3cret", True, "http-request set-header ..."),
        (f"anna:{HASH}", False, "..."),
        ("anna:{SHA}abc", False, "..."),
    ],
)
def test_secrets_are_no_reason(line, named, shown):
    """What a reason quotes of a file has no password in it, whatever file it is."""
    assert plan.without_secret(line, line if named else "") == shown
    if not named:
        assert line not in reason(files(**{"users/x": "a\n"}), files(**{"users/x": f"{line}\n"}))


def test_only_blank_lines():
    """A change that no section shows has a reason all the same."""
    assert reason(files(), files(CONFIG + "\n\n")) == "haproxy.cfg: order or blank lines"


def big(count: int, odd: range) -> Files:
    """A configuration of so many backends of ten servers, some of which are different."""
    return files(
        "".join(
            f"backend b{index}\n    balance {'source' if index in odd else 'roundrobin'}\n"
            + "".join(f"    server b{index}.{slot} 10.0.{index % 250}.{slot}:80 check\n" for slot in range(10))
            + "\n"
            for index in range(count)
        )
    )


@pytest.mark.timeout(20)
def test_large():
    """The reason is found as well among thousands of like lines, of which few or many differ."""
    before = big(1000, range(0))
    assert reason(before, big(1000, range(700, 701))) == "haproxy.cfg: backend b700"
    assert reason(before, big(1000, range(1, 1000, 2))).endswith("b1, backend b3, backend b5 and 497 more")


NGINX = """\
http {
    upstream web {
        server 10.0.0.2:80 max_fails=0;  # web.1
        server [fd00::1]:80 weight=2;
    }
    server {
        listen 80;
        server_name a.org;
    }
}
"""


@pytest.mark.parametrize(
    ("before", "after", "urgent"),
    [
        (CONFIG, CONFIG.replace("roundrobin", "leastconn"), False),
        (CONFIG, CONFIG.replace("api.1 10.0.0.1:80", "api.2 10.0.0.1:80 weight 2"), False),
        (CONFIG, CONFIG.replace("10.0.0.1", "10.0.0.9"), True),
        (CONFIG, CONFIG + "    server web.2 10.0.0.3:80\n", True),
        (NGINX, NGINX.replace("a.org", "b.org"), False),
        (NGINX, NGINX.replace("weight=2", "weight=3"), False),
        (NGINX, NGINX.replace("        server 10.0.0.2:80 max_fails=0;  # web.1\n", ""), True),
        (NGINX, NGINX.replace("[fd00::1]", "[fd00::2]"), True),
    ],
)
def test_urgent(before, after, urgent):
    """A reload by which servers come or go is urgent, in the words of HAProxy and of Nginx."""
    step = plan.between(files(before), files(after))
    assert isinstance(step, plan.Reload)
    assert step.urgent is urgent


def test_traefik_from_an_empty_file():
    """An empty dynamic configuration is one like any other: what comes after it can be planned."""
    empty, full = Files.of({"lbgen.yml": ""}), Files.of({"lbgen.yml": "http:\n  routers:\n    a:\n      rule: x\n"})
    for before, after in ((empty, full), (full, empty)):
        assert isinstance(traefik_plan.between(before, after), plan.Reload)
