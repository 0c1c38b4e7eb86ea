"""Labels change whole, on a real Swarm: `docker service update` with a mistake in a label, under traffic."""

from __future__ import annotations

from tests.lab.host import wait_for
from tests.lab.services import Lab
from tests.lab.sidecar import sidecar

LABELS = {
    "lbgen.enable": "true",
    "lbgen.port": "8080",
    "lbgen.http.shop.host": "shop.test",
    "lbgen.http.admin.host": "shop.test",
    "lbgen.http.admin.path": "/admin",
    "lbgen.http.admin.allow-ip": "192.0.2.0/24",  # nobody here
}


def test_damaged_label(lab: Lab) -> None:
    """Traffic and guard stay and tasks are followed, over a restart of lbgen too; mended labels are live at once."""
    lab.network("web")
    shop = lab.service("shop", replicas=2, networks=["web"], labels=LABELS)
    with lab.attached("web") as attached, sidecar(attached.netns, lab.manager) as lbgen:

        def told(number: int) -> bool:
            return lbgen.log.count(" problem ") == lbgen.log.count(" problem_solved ") + number

        lbgen.wait_responders("shop.test", set(shop.responders()), path="/")
        with lbgen.traffic("shop.test") as open_, lbgen.traffic("shop.test", path="/admin", ok="403") as guarded:
            shop.update("--label-add", "lbgen.http.admin.allow-ip=10.0.0.0/33", "--label-add", "lbgen.http.shop.hots=x")
            wait_for(lambda: told(2), 30, "the problems to be told")
            assert "previous labels stay in force, since " in lbgen.log
            shop.scale(3)
            lbgen.wait_responders("shop.test", set(shop.responders()))

            before = lbgen.log
            lbgen.kill()
            lbgen.start()
            wait_for(lambda: "previous labels stay in force, since " in lbgen.log.removeprefix(before), 30, "lbgen")
            shop.scale(2)
            lbgen.wait_responders("shop.test", set(shop.responders()))
            assert lbgen.get("shop.test", "/admin").status == 403
            assert lbgen.get("new.test").status == 404

            shop.update(
                *("--label-add", f"lbgen.http.admin.allow-ip={LABELS['lbgen.http.admin.allow-ip']}"),
                *("--label-rm", "lbgen.http.shop.hots", "--label-add", "lbgen.http.shop.host=shop.test,new.test"),
            )
            lbgen.wait_responders("new.test", set(shop.responders()))
            assert "problem_solved" in lbgen.log.removeprefix(before)
        assert not open_.result.failed, open_.result
        assert not guarded.result.failed, guarded.result
        assert guarded.result.statuses.keys() == {"403"}
