"""Servers that cannot be verified are out of every rendering."""

from __future__ import annotations

from lbgen.render.unverifiable import Unverifiable
from lbgen.settings import Settings
from tests.support.builders import a_network, a_node, a_renderer, a_service, a_snapshot, a_task, modelled

KEYS = {"port": 80, "scheme": "https", "host": "a.org", "server-ca": "internal"}
FACTS = (
    *(a_node(), a_network(), a_service("web", KEYS, networks=("edge-id",))),
    a_task(addresses={"edge-id": "10.0.0.1"}),
)


def test_left_out():
    """Without the authority the backend has no servers: the same object each time, and not for longer than that."""
    model, unverifiable = modelled(*FACTS), Unverifiable()
    (backend,) = model.backends
    assert len(backend.servers) == 1
    assert unverifiable.left_out(model, {"internal"}) is model
    first, second = (unverifiable.left_out(model, {"system"}) for _ in range(2))
    assert first.backends[0].servers == ()
    assert first.backends[0] is second.backends[0]
    assert unverifiable.left_out(model, {"internal"}).backends[0] is backend


def test_anybodys_templates(tmp_path):
    """A set of templates that knows nothing of authorities is not shown such servers."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/set.yml").write_text("proxy: other\n")
    (tmp_path / "mine/list.j2").write_text("{% for server in servers %}{{ server.address }}\n{% endfor %}")
    settings = Settings(server_cas=tmp_path / "none")
    files = a_renderer(tmp_path / "mine", settings=settings).render(modelled(*FACTS), a_snapshot(*FACTS))
    assert files.texts == {"list": ""}
