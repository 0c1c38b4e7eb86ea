"""What `docker stack config` makes of Compose files, for comparison with lbgen's own reader. It needs no daemon."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from lbgen.snapshot import PublishedPort
from lbgen.source.compose.stack import Stack, StackNetwork, StackService


@functools.cache
def available() -> bool:
    """Whether there is a docker command line here that has `stack config` (Docker 25 and later)."""
    try:
        done = subprocess.run(["docker", "stack", "config", "--help"], capture_output=True, check=False, timeout=30)
    except OSError:
        return False
    return done.returncode == 0


needs_stack_config = pytest.mark.skipif(not available(), reason="no docker command line with `docker stack config`")


def stack_config(files: Sequence[Path], variables: Mapping[str, str]) -> Stack | str:
    """Return the stack that docker makes of the files, or what it says when it refuses them."""
    words = [word for file in files for word in ("--compose-file", str(file))]
    kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
    done = subprocess.run(
        ["docker", "stack", "config", *words],
        env={**kept, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return _stack(yaml.safe_load(done.stdout)) if done.returncode == 0 else done.stderr


def _stack(data: Mapping[str, Any]) -> Stack:
    return Stack(
        {name: _service(item) for name, item in (data.get("services") or {}).items()},
        {name: _network(item) for name, item in (data.get("networks") or {}).items()},
    )


def _service(item: Mapping[str, Any]) -> StackService:
    deploy = item.get("deploy") or {}
    placement = deploy.get("placement") or {}
    return StackService(
        image=item.get("image", ""),
        labels=deploy.get("labels") or {},
        mode=deploy.get("mode", ""),
        replicas=deploy.get("replicas"),
        endpoint_mode=deploy.get("endpoint_mode", ""),
        constraints=tuple(placement.get("constraints") or ()),
        most_on_a_node=placement.get("max_replicas_per_node", 0),
        ports=tuple(
            PublishedPort(
                port.get("target", 0),
                port.get("published", 0),
                port.get("protocol") or "tcp",
                port.get("mode") or "ingress",
            )
            for port in item.get("ports") or ()
        ),
        networks=tuple(item.get("networks") or ()),
    )


def _network(item: Mapping[str, Any]) -> StackNetwork:
    return StackNetwork(
        item.get("name", ""), bool(item.get("external")), item.get("driver", ""), item.get("labels") or {}
    )
