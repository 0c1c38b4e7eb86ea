"""A change of one task costs what one task costs: counted, not timed."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from lbgen.model import Builder, build
from lbgen.model.routes import service_routes
from lbgen.snapshot import Service, Snapshot
from tests.support.builders import a_network, a_node, a_renderer, a_rules, a_service, a_snapshot, a_task

SERVICES = 200


@pytest.fixture
def cluster() -> Snapshot:
    """200 services with 3 tasks each on an overlay network."""
    facts = [a_network(), *(a_node(f"node{n}") for n in (1, 2, 3))]
    for number in range(SERVICES):
        name = f"app{number}"
        keys = {"port": 80, "host": f"{name}.test"}
        facts.append(a_service(name, keys, networks=("edge-id",)))
        facts += [
            a_task(name, slot, f"node{slot}", addresses={"edge-id": f"10.0.{number}.{slot}"}) for slot in (1, 2, 3)
        ]
    return a_snapshot(*facts)


def with_task(snapshot: Snapshot, id_: str, **change: object) -> Snapshot:
    """The snapshot after a change of one task; everything else is the same object."""
    return replace(snapshot, tasks={**snapshot.tasks, id_: replace(snapshot.tasks[id_], **change)})


def test_one_task_decides_one_service(cluster):
    """Of 200 services one is decided again, and no routing table is made again."""
    builder = Builder(a_rules())
    before = builder.build(cluster)
    assert (builder.decided, builder.tabled) == (SERVICES, 1)
    after = builder.build(with_task(cluster, "app7-2-id", desired_state="shutdown"))
    assert (builder.decided, builder.tabled) == (SERVICES + 1, 1)
    changed = [new.name for old, new in zip(before.backends, after.backends, strict=True) if old is not new]
    assert changed == ["app7"]
    assert after.listeners[0] is before.listeners[0]


def test_mistake_with_one_service(cluster, monkeypatch):
    """What nobody expected of one service leaves it what it had, and is its problem; all others follow."""
    mistakes, asked = [], service_routes

    def routes(service: Service, *given: object) -> object:
        if service.labels.get("bad"):
            raise RecursionError("too deep")
        return asked(service, *given)

    monkeypatch.setattr(sys.modules[Builder.__module__], "service_routes", routes)
    builder = Builder(a_rules(), lambda service, error: mistakes.append((service.name, type(error))))
    before = builder.build(cluster)
    keys = {"port": 80, "host": "new.test"}
    bad = [cluster.services["app7-id"], a_service("new", keys, networks=("edge-id",))]
    services = cluster.services | {each.id: replace(each, labels={**each.labels, "bad": "1"}) for each in bad}
    changed = with_task(replace(cluster, services=services), "app8-2-id", desired_state="shutdown")
    for _ in range(2):  # as long as it is so
        after = builder.build(changed)
        assert [problem.service for problem in after.problems] == ["app7", "new"]
        assert "RecursionError" in after.problems[0].message
        different = [new.name for old, new in zip(before.backends, after.backends, strict=True) if old is not new]
        assert different == ["app8"]
    assert mistakes == [("app7", RecursionError), ("new", RecursionError)] * 2
    again = builder.build(cluster)
    assert (again.problems, again.backends) == ((), before.backends)
    with pytest.raises(RecursionError):
        build(changed, a_rules())


def test_labels_are_parsed_once(cluster):
    """100 changes of tasks parse no service's labels again; the labels of one service that change are parsed alone."""
    builder = Builder(a_rules())
    builder.build(cluster)
    assert builder.parsed == SERVICES
    changed = cluster
    for number in range(100):
        changed = with_task(changed, f"app{number % 7}-2-id", desired_state=("shutdown", "running")[number // 7 % 2])
        builder.build(changed)
    assert (builder.parsed, builder.decided) == (SERVICES, SERVICES + 100)
    service = changed.services["app7-id"]
    for update, parsed in (({"replicas": 9}, 0), ({"labels": {**service.labels, "lbgen.weight": "7"}}, 1)):
        services = {**changed.services, service.id: replace(service, **update)}
        builder.build(replace(changed, services=services))
        assert builder.parsed == SERVICES + parsed


def test_a_change_that_means_nothing_changes_no_object(cluster):
    """A task's new time stamp leaves every backend the very same object."""
    builder = Builder(a_rules())
    before = builder.build(cluster)
    after = builder.build(with_task(cluster, "app7-2-id", updated_at="2026-11-23T00:00:00Z"))
    assert all(old is new for old, new in zip(before.backends, after.backends, strict=True))


@pytest.mark.parametrize(
    "change",
    [
        {"desired_state": "shutdown"},
        {"state": "failed"},
        {"addresses": {"edge-id": "10.9.9.9"}},
        {"node_id": "node1-id"},
    ],
)
def test_the_memory_changes_no_result(cluster, change):
    """With and without memory the model is the same."""
    builder = Builder(a_rules())
    builder.build(cluster)
    changed = with_task(cluster, "app7-2-id", **change)
    assert builder.build(changed) == build(changed, a_rules())


def test_retired_tasks_and_gone_services_are_noticed(cluster):
    """What is no fact of the service itself counts as well: the end of a drain, another service's departure."""
    builder = Builder(a_rules())
    leaving = with_task(cluster, "app7-2-id", desired_state="shutdown")
    builder.build(leaving)
    assert builder.build(leaving, {"app7-2-id"}) == build(leaving, a_rules(), {"app7-2-id"})
    gone = replace(leaving, services={k: v for k, v in leaving.services.items() if k != "app9-id"})
    assert builder.build(gone) == build(gone, a_rules())


def test_a_label_change_makes_the_table_again(cluster):
    """A changed route is in the table."""
    builder = Builder(a_rules())
    builder.build(cluster)
    service = cluster.services["app7-id"]
    moved = replace(service, labels={**service.labels, "lbgen.host": "moved.test"})
    changed = replace(cluster, services={**cluster.services, "app7-id": moved})
    assert builder.build(changed) == build(changed, a_rules())
    assert builder.tabled == 2


def test_one_task_renders_one_section(cluster):
    """Of all sections one is rendered again, and the bytes are those of a rendering from nothing."""
    builder, renderer = Builder(a_rules()), a_renderer()
    renderer.render(builder.build(cluster), cluster)
    rendered = renderer.produced
    assert rendered > SERVICES
    changed = with_task(cluster, "app7-2-id", desired_state="shutdown")
    model = builder.build(changed)
    assert renderer.render(model, changed) == a_renderer().render(build(changed, a_rules()), changed)
    assert renderer.produced == rendered + 1
