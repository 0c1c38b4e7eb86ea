"""tests/real_life/verdicts/traefik.yml is what a Traefik with its own Swarm provider makes of the public stacks.

``UPDATE_GOLDEN=1 pytest tests/proxy/test_public_stacks.py`` asks it of all stacks, and writes the file. Without, those
are asked that share no name with others, which most do not: Traefik has them at once.
"""

from __future__ import annotations

import os

import pytest
import yaml

from tests.support import provider_oracle
from tests.support.public_stacks import STACKS
from tests.support.real_traefik import BINARY
from tests.support.stack_verdicts import RECORDED, asked, groups, recorded

USERS = "test:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"
TRAEFIKS = [stack for stack in STACKS if stack.dialect == "traefik"]
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
FEWEST = 3  # stacks that are worth another configuration


@pytest.mark.proxy(BINARY)
def test_traefik_says_so(tmp_path):
    """Traefik serves the routers that are recorded as served, and refuses others for the reasons that are."""
    users = tmp_path / "users"
    users.write_text(USERS)
    listeners = {name: kind for stack in TRAEFIKS for name, kind in stack.entry_points.items()}
    provider = {"defaultRule": "Host(`{{ normalize .Name }}`)"}
    found: dict[str, dict[str, str]] = {}
    with provider_oracle.asking(listeners, tmp_path / "traefik", provider=provider) as oracle:
        for group in groups(TRAEFIKS):
            if UPDATE or len(group) >= FEWEST:
                found |= asked(oracle, group, str(users))
    if UPDATE:
        RECORDED.write_text(yaml.safe_dump(found, width=10**6, allow_unicode=True))
    known = recorded()
    assert len(found) >= len(known) * 0.7
    assert found == {name: known[name] for name in found}
