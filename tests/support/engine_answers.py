"""Answers of an engine that ended lbgen once, and what its answers look like whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lbgen.source.decode_fields import get
from lbgen.source.engine.api import Engine
from tests.support.fake_engine import recorded


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer that makes no sense."""

    path: str
    body: bytes
    place: str  # that the error names


def _info(**swarm: Any) -> bytes:
    info = recorded("info")
    info["Swarm"] |= swarm
    return json.dumps(info).encode()


_DEEP = b"[" * 200_000
NINE: Mapping[str, Answer] = {
    "services nested": Answer("/services", _DEEP, "nested too deeply"),
    "label nested": Answer("/services", b'[{"ID": "a", "Spec": {"Labels": {"a": ' + _DEEP, "nested too deeply"),
    "Swarm a text": Answer("/info", b'{"Swarm": "x"}', ".Swarm: expected an object, found str"),
    "Swarm a list": Answer("/info", b'{"Swarm": [1]}', ".Swarm: expected an object, found list"),
    "Cluster a text": Answer("/info", _info(Cluster="x"), ".Swarm.Cluster: expected an object, found str"),
    "managers texts": Answer(
        "/info",
        _info(ControlAvailable=False, RemoteManagers=["a"]),
        ".Swarm.RemoteManagers[0]: expected an object, found str",
    ),
    "managers a number": Answer(
        "/info", _info(ControlAvailable=False, RemoteManagers=5), ".Swarm.RemoteManagers: expected a list, found int"
    ),
    "state an object": Answer(
        "/info", _info(LocalNodeState={"a": 1}), ".Swarm.LocalNodeState: expected a text, found dict"
    ),
    "info nested": Answer("/info", b'{"Swarm": ' + _DEEP, "not with a JSON object"),
    "TLSInfo a text": Answer("/swarm", b'{"TLSInfo": "x"}', ".TLSInfo: expected an object, found str"),
    "Id for ID": Answer("/services", b'[{"Id": "a", "Version": {"Index": 1}}]', "services[0].ID: expected a text"),
}


class Answers:
    """The answer to ``GET /swarm``, as far as lbgen reads it."""

    @staticmethod
    def swarm() -> Any:
        return {"ID": "a", "TLSInfo": {"TrustRoot": "-----BEGIN CERTIFICATE-----", "CertIssuerSubject": ""}}

    @staticmethod
    def root(engine: Engine) -> str:
        return engine.asked("/swarm", lambda reply: get(reply, "TLSInfo.TrustRoot", str, ""))
