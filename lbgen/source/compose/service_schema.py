"""What a service of a Compose file may hold; see `schema`."""

from __future__ import annotations

import re

from lbgen.source.compose.ports import is_range, is_short
from lbgen.source.compose.schema_types import (
    BOOLEAN,
    INTEGER,
    NAMES,
    NUMBER,
    OPTIONS,
    PAIRS,
    TEXT,
    TEXTS,
    UNIQUE_TEXTS,
    Shape,
    all_of,
    compose_only,
    mapping,
)

_DURATION = re.compile(r"[-+]?(?:0|(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)")
_DURATION_TEXT = Shape(
    ("text",), form=lambda value: bool(_DURATION.fullmatch(str(value))), expected="a duration as 1m30s"
)
_TEXT_OR_TEXTS = Shape(("text", "list"), items=TEXT)
_TEXT_OR_UNIQUE = Shape(("text", "list"), items=TEXT, distinct=True)


def _choice(*values: str) -> Shape:
    return Shape(("text",), form=lambda value: value in values, expected=" or ".join(values))


_ROLLBACK = {
    **all_of(_DURATION_TEXT, "delay monitor"),
    "parallelism": INTEGER,
    "failure_action": TEXT,
    "max_failure_ratio": NUMBER,
    "order": _choice("start-first", "stop-first"),
}
_LIMITS = mapping({**all_of(TEXT, "cpus memory"), "pids": INTEGER.from_version(9)})
_GENERIC = mapping({"discrete_resource_spec": mapping({"kind": TEXT, "value": NUMBER})})
_RESERVATIONS = Shape(
    ("mapping",),
    {**all_of(TEXT, "cpus memory"), "generic_resources": Shape(("list",), items=_GENERIC, since=5)},
    compose_keys=compose_only("devices"),
)
_RESTART = {**all_of(_DURATION_TEXT, "delay window"), "condition": TEXT, "max_attempts": INTEGER}
_PLACEMENT = {
    "constraints": TEXTS,
    "preferences": Shape(("list",), items=mapping({"spread": TEXT}), since=3),
    "max_replicas_per_node": INTEGER.from_version(8),
}

_DEPLOY = Shape(
    ("mapping", "null"),
    {
        "mode": TEXT,
        "endpoint_mode": TEXT.from_version(2),
        "replicas": INTEGER,
        "labels": PAIRS,
        "rollback_config": mapping(_ROLLBACK).from_version(7),
        "update_config": mapping(_ROLLBACK | {"order": _ROLLBACK["order"].from_version(4)}),
        "resources": mapping({"limits": _LIMITS, "reservations": _RESERVATIONS}),
        "restart_policy": mapping(_RESTART),
        "placement": mapping(_PLACEMENT),
    },
)

_PUBLISHED = Shape(
    ("integer",),
    since=2,
    form=lambda value: not isinstance(value, str) or is_range(value),
    expected="a port, or a range of ports such as 8080-8082",
    compose={"text": "write the number without quotes"},
)
_PORT = Shape(
    ("text", "number", "mapping"),
    {
        **all_of(TEXT.from_version(2), "mode protocol"),
        "target": INTEGER.from_version(2),
        "published": _PUBLISHED,
    },
    form=is_short,
    expected="a port as 8080, 80:8080, 80-82:8080-8082 or 53:53/udp",
    compose_keys=compose_only("name", "host_ip", "app_protocol"),
)

_VOLUME_MOUNT = Shape(
    ("text", "mapping"),
    {
        **all_of(TEXT.from_version(2), "type source target consistency"),
        "read_only": BOOLEAN.from_version(2),
        "bind": Shape(("mapping",), {"propagation": TEXT.from_version(2)}, open=True, since=2),
        "volume": Shape(("mapping",), {"nocopy": BOOLEAN.from_version(2)}, open=True, since=2),
        "tmpfs": Shape(("mapping",), {"size": INTEGER.from_version(6)}, open=True, since=6),
    },
    required=("type",),
)

# 0440 is a number to docker, whose YAML is 1.1, and a text to lbgen's.
_FILE_MODE = Shape(("number", "text"), form=lambda value: bool(re.fullmatch("[0-9]+", str(value))), expected="a number")


def _file_mounts(since: int) -> Shape:
    keys = {**all_of(TEXT.from_version(since), "source target uid gid"), "mode": _FILE_MODE.from_version(since)}
    return Shape(("list",), items=Shape(("text", "mapping"), keys, open=True), since=since)


_HEALTHCHECK = {
    **all_of(_DURATION_TEXT, "interval timeout"),
    "disable": BOOLEAN,
    "retries": NUMBER,
    "test": _TEXT_OR_TEXTS,
    "start_period": _DURATION_TEXT.from_version(4),
    "start_interval": _DURATION_TEXT.from_version(12),
}
_BUILD = {
    **all_of(TEXT, "context dockerfile"),
    **all_of(TEXT.from_version(4), "network target"),
    "args": PAIRS,
    "labels": PAIRS.from_version(3),
    "cache_from": UNIQUE_TEXTS.from_version(2),
    "shm_size": Shape(("integer", "text"), since=5),
    "extra_hosts": PAIRS.from_version(9),
}
_NETWORK = Shape(
    ("mapping", "null"),
    {
        **all_of(TEXT, "ipv4_address ipv6_address"),
        "aliases": UNIQUE_TEXTS,
        "driver_opts": OPTIONS.from_version(13),
    },
    compose_keys=compose_only("gw_priority", "interface_name", "link_local_ips", "mac_address", "priority"),
)
_CREDENTIAL_SPEC = {**all_of(TEXT.from_version(3), "file registry"), "config": TEXT.from_version(8)}
_LOGGING = {"driver": TEXT, "options": Shape(("mapping",), names=".+", each=Shape(("text", "number", "null")))}
_ULIMIT = Shape(("integer", "mapping"), all_of(INTEGER, "hard soft"), required=("hard", "soft"))

# Of the Compose Specification; `extends` and `include` are missing since what they would bring in is not read.
_COMPOSE_KEYS = """
    annotations attach blkio_config cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares
    cpus cpuset cgroup develop device_cgroup_rules dns_opt gpus group_add label_file mem_limit mem_reservation
    mem_swappiness memswap_limit models oom_kill_disable pids_limit platform post_start pre_stop profiles provider
    pull_policy runtime scale storage_opt use_api_socket uts volume_driver volumes_from
"""

SERVICE = Shape(
    ("mapping",),
    {
        **all_of(TEXT, "cgroup_parent container_name domainname hostname image ipc mac_address network_mode restart"),
        **all_of(TEXT, "stop_signal user userns_mode working_dir"),
        **all_of(BOOLEAN, "privileged read_only stdin_open tty"),
        **all_of(PAIRS, "environment extra_hosts labels sysctls"),
        **all_of(UNIQUE_TEXTS, "cap_add cap_drop devices external_links links security_opt"),
        **all_of(_TEXT_OR_TEXTS, "command entrypoint"),
        **all_of(_TEXT_OR_UNIQUE, "dns dns_search tmpfs"),
        "build": Shape(("text", "mapping"), _BUILD, open=True),
        "cgroupns_mode": TEXT.from_version(9),
        "configs": _file_mounts(3),
        "credential_spec": mapping(_CREDENTIAL_SPEC).from_version(3),
        "depends_on": Shape(
            ("list",), items=TEXT, distinct=True, compose={"mapping": "write a list of services: Swarm heeds neither"}
        ),
        "deploy": _DEPLOY,
        "env_file": Shape(
            ("text", "list"), items=Shape(("text",), compose={"mapping": "write its path only"}), distinct=True
        ),
        "expose": Shape(("list",), items=Shape(("text", "number")), distinct=True),
        "healthcheck": mapping(_HEALTHCHECK),
        "init": BOOLEAN.from_version(7),
        "isolation": TEXT.from_version(5),
        "logging": mapping(_LOGGING),
        "networks": Shape(("list", "mapping"), names=NAMES, each=_NETWORK, items=TEXT, distinct=True),
        "oom_score_adj": INTEGER.from_version(13),
        "pid": Shape(("text", "null")),
        "ports": Shape(("list",), items=_PORT, distinct=True),
        "secrets": _file_mounts(1),
        "shm_size": Shape(("number", "text")),
        "stop_grace_period": _DURATION_TEXT,
        "ulimits": Shape(("mapping",), names="[a-z]+", each=_ULIMIT),
        "volumes": Shape(("list",), items=_VOLUME_MOUNT),
    },
    extensible=7,
    compose_keys=compose_only(*_COMPOSE_KEYS.split()),
)
