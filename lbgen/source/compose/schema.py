"""The Compose file format as `docker stack deploy` reads it: version 3, in all its minor versions.

What a later minor version added says so by `from_version`. What Docker Compose takes and `docker stack deploy` refuses
is told apart from mistakes where its meaning is plain.
Source: docker/cli, cli/compose/schema/data/config_schema_v3.*.json (3.0 to 3.13).
"""

from __future__ import annotations

import re

from lbgen.source.compose.ports import is_short
from lbgen.source.compose.schema_types import Shape

NEWEST = 13  # what a file without a version is read as, and one that says just "3"
_NAMES = r"[a-zA-Z0-9._-]+"
_DURATION = re.compile(r"[-+]?(?:0|(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)")

_TEXT = Shape(("text",))
_INTEGER = Shape(("integer",))
_NUMBER = Shape(("number",))
_BOOLEAN = Shape(("boolean",))
_OPEN = Shape(("mapping",), open=True)
_DURATION_TEXT = Shape(
    ("text",), form=lambda value: bool(_DURATION.fullmatch(str(value))), expected="a duration as 1m30s"
)
_TEXTS = Shape(("list",), items=_TEXT)
_NAMES_LIST = Shape(("list",), items=_TEXT, distinct=True)
_TEXT_OR_TEXTS = Shape(("text", "list"), items=_TEXT)
_TEXT_OR_NAMES = Shape(("text", "list"), items=_TEXT, distinct=True)
# The boolean is where everybody stumbles: `traefik.enable: true`.
_PAIRS = Shape(
    ("mapping", "list"),
    names=".+",
    each=Shape(("text", "number", "null"), compose={"boolean": 'put it into quotes: "true"'}),
    items=_TEXT,
    distinct=True,
)
_OPTIONS = Shape(("mapping",), names=".+", each=Shape(("text", "number")))


def _mapping(keys: dict[str, Shape]) -> Shape:
    return Shape(("mapping",), keys)


def _compose_only(*keys: str) -> dict[str, str]:
    return dict.fromkeys(keys, "remove it")


def _choice(*values: str) -> Shape:
    return Shape(("text",), form=lambda value: value in values, expected=" or ".join(values))


_UPDATE = {
    "parallelism": _INTEGER,
    "delay": _DURATION_TEXT,
    "failure_action": _TEXT,
    "monitor": _DURATION_TEXT,
    "max_failure_ratio": _NUMBER,
    "order": _choice("start-first", "stop-first"),
}

_RESERVATIONS = {
    "cpus": _TEXT,
    "memory": _TEXT,
    "generic_resources": Shape(
        ("list",), items=_mapping({"discrete_resource_spec": _mapping({"kind": _TEXT, "value": _NUMBER})}), since=5
    ),
}

_DEPLOY = Shape(
    ("mapping", "null"),
    {
        "mode": _TEXT,
        "endpoint_mode": _TEXT.from_version(2),
        "replicas": _INTEGER,
        "labels": _PAIRS,
        "rollback_config": _mapping(_UPDATE).from_version(7),
        "update_config": _mapping(_UPDATE | {"order": _UPDATE["order"].from_version(4)}),
        "resources": _mapping(
            {
                "limits": _mapping({"cpus": _TEXT, "memory": _TEXT, "pids": _INTEGER.from_version(9)}),
                "reservations": Shape(("mapping",), _RESERVATIONS, compose_keys=_compose_only("devices")),
            }
        ),
        "restart_policy": _mapping(
            {"condition": _TEXT, "delay": _DURATION_TEXT, "max_attempts": _INTEGER, "window": _DURATION_TEXT}
        ),
        "placement": _mapping(
            {
                "constraints": _TEXTS,
                "preferences": Shape(("list",), items=_mapping({"spread": _TEXT}), since=3),
                "max_replicas_per_node": _INTEGER.from_version(8),
            }
        ),
    },
)

_PORT = Shape(
    ("text", "number", "mapping"),
    {
        "mode": _TEXT.from_version(2),
        "target": _INTEGER.from_version(2),
        "published": Shape(
            ("integer",),
            since=2,
            form=lambda value: not isinstance(value, str) or is_short(value),
            expected="a port",
            compose={"text": "write the number without quotes"},
        ),
        "protocol": _TEXT.from_version(2),
    },
    form=is_short,
    expected="a port as 8080, 80:8080, 80-82:8080-8082 or 53:53/udp",
    compose_keys=_compose_only("name", "host_ip", "app_protocol"),
)

_VOLUME_MOUNT = Shape(
    ("text", "mapping"),
    {
        "type": _TEXT.from_version(2),
        "source": _TEXT.from_version(2),
        "target": _TEXT.from_version(2),
        "read_only": _BOOLEAN.from_version(2),
        "consistency": _TEXT.from_version(2),
        "bind": Shape(("mapping",), {"propagation": _TEXT.from_version(2)}, open=True, since=2),
        "volume": Shape(("mapping",), {"nocopy": _BOOLEAN.from_version(2)}, open=True, since=2),
        "tmpfs": Shape(("mapping",), {"size": _INTEGER.from_version(6)}, open=True, since=6),
    },
    required=("type",),
)

# 0440 is a number to docker, whose YAML is 1.1, and a text to lbgen's.
_FILE_MODE = Shape(("number", "text"), form=lambda value: bool(re.fullmatch("[0-9]+", str(value))), expected="a number")
_FILE_MOUNT = {"source": _TEXT, "target": _TEXT, "uid": _TEXT, "gid": _TEXT, "mode": _FILE_MODE}


def _file_mounts(since: int) -> Shape:
    keys = {key: shape.from_version(since) for key, shape in _FILE_MOUNT.items()}
    return Shape(("list",), items=Shape(("text", "mapping"), keys, open=True), since=since)


_HEALTHCHECK = {
    "disable": _BOOLEAN,
    "interval": _DURATION_TEXT,
    "retries": _NUMBER,
    "test": _TEXT_OR_TEXTS,
    "timeout": _DURATION_TEXT,
    "start_period": _DURATION_TEXT.from_version(4),
    "start_interval": _DURATION_TEXT.from_version(12),
}

_BUILD = {
    "context": _TEXT,
    "dockerfile": _TEXT,
    "args": _PAIRS,
    "labels": _PAIRS.from_version(3),
    "cache_from": _NAMES_LIST.from_version(2),
    "network": _TEXT.from_version(4),
    "target": _TEXT.from_version(4),
    "shm_size": Shape(("integer", "text"), since=5),
    "extra_hosts": _PAIRS.from_version(9),
}

_SERVICE_NETWORK = Shape(
    ("mapping", "null"),
    {
        "aliases": _NAMES_LIST,
        "driver_opts": _OPTIONS.from_version(13),
        "ipv4_address": _TEXT,
        "ipv6_address": _TEXT,
    },
    compose_keys=_compose_only("gw_priority", "interface_name", "link_local_ips", "mac_address", "priority"),
)

# Of the Compose Specification; `extends` and `include` are missing since what they would bring in is not read.
_COMPOSE_SERVICE_KEYS = """
    annotations attach blkio_config cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares
    cpus cpuset cgroup develop device_cgroup_rules dns_opt gpus group_add label_file mem_limit mem_reservation
    mem_swappiness memswap_limit models oom_kill_disable pids_limit platform post_start pre_stop profiles provider
    pull_policy runtime scale storage_opt use_api_socket uts volume_driver volumes_from
"""

SERVICE = Shape(
    ("mapping",),
    {
        "deploy": _DEPLOY,
        "build": Shape(("text", "mapping"), _BUILD, open=True),
        "cap_add": _NAMES_LIST,
        "cap_drop": _NAMES_LIST,
        "cgroupns_mode": _TEXT.from_version(9),
        "cgroup_parent": _TEXT,
        "command": _TEXT_OR_TEXTS,
        "configs": _file_mounts(3),
        "container_name": _TEXT,
        "credential_spec": Shape(
            ("mapping",),
            {
                "config": _TEXT.from_version(8),
                "file": _TEXT.from_version(3),
                "registry": _TEXT.from_version(3),
            },
            since=3,
        ),
        "depends_on": Shape(
            ("list",), items=_TEXT, distinct=True, compose={"mapping": "write a list of services: Swarm heeds neither"}
        ),
        "devices": _NAMES_LIST,
        "dns": _TEXT_OR_NAMES,
        "dns_search": _TEXT_OR_NAMES,
        "domainname": _TEXT,
        "entrypoint": _TEXT_OR_TEXTS,
        "env_file": Shape(
            ("text", "list"), items=Shape(("text",), compose={"mapping": "write its path only"}), distinct=True
        ),
        "environment": _PAIRS,
        "expose": Shape(("list",), items=Shape(("text", "number")), distinct=True),
        "external_links": _NAMES_LIST,
        "extra_hosts": _PAIRS,
        "healthcheck": _mapping(_HEALTHCHECK),
        "hostname": _TEXT,
        "image": _TEXT,
        "init": _BOOLEAN.from_version(7),
        "ipc": _TEXT,
        "isolation": _TEXT.from_version(5),
        "labels": _PAIRS,
        "links": _NAMES_LIST,
        "logging": _mapping(
            {"driver": _TEXT, "options": Shape(("mapping",), names=".+", each=Shape(("text", "number", "null")))}
        ),
        "mac_address": _TEXT,
        "network_mode": _TEXT,
        "networks": Shape(("list", "mapping"), names=_NAMES, each=_SERVICE_NETWORK, items=_TEXT, distinct=True),
        "pid": Shape(("text", "null")),
        "ports": Shape(("list",), items=_PORT, distinct=True),
        "privileged": _BOOLEAN,
        "read_only": _BOOLEAN,
        "restart": _TEXT,
        "security_opt": _NAMES_LIST,
        "shm_size": Shape(("number", "text")),
        "secrets": _file_mounts(1),
        "sysctls": _PAIRS,
        "stdin_open": _BOOLEAN,
        "stop_grace_period": _DURATION_TEXT,
        "stop_signal": _TEXT,
        "tmpfs": _TEXT_OR_NAMES,
        "tty": _BOOLEAN,
        "ulimits": Shape(
            ("mapping",),
            names="[a-z]+",
            each=Shape(("integer", "mapping"), {"hard": _INTEGER, "soft": _INTEGER}, required=("hard", "soft")),
        ),
        "oom_score_adj": _INTEGER.from_version(13),
        "user": _TEXT,
        "userns_mode": _TEXT,
        "volumes": Shape(("list",), items=_VOLUME_MOUNT),
        "working_dir": _TEXT,
    },
    extensible=7,
    compose_keys=_compose_only(*_COMPOSE_SERVICE_KEYS.split()),
)

_EXTERNAL = Shape(("boolean", "mapping"), {"name": _TEXT})

_NETWORK = Shape(
    ("mapping", "null"),
    {
        "name": _TEXT.from_version(5),
        "driver": _TEXT,
        "driver_opts": _OPTIONS,
        "ipam": Shape(
            ("mapping",),
            {
                "driver": _TEXT,
                "config": Shape(
                    ("list",),
                    items=Shape(
                        ("mapping",),
                        {"subnet": _TEXT},
                        compose_keys=_compose_only("gateway", "ip_range", "aux_addresses"),
                    ),
                ),
            },
            compose_keys=_compose_only("options"),
        ),
        "external": _EXTERNAL,
        "internal": _BOOLEAN,
        "attachable": _BOOLEAN.from_version(2),
        "labels": _PAIRS,
    },
    extensible=7,
    compose_keys=_compose_only("enable_ipv4", "enable_ipv6"),
)

_VOLUME = Shape(
    ("mapping", "null"),
    {"name": _TEXT.from_version(4), "driver": _TEXT, "driver_opts": _OPTIONS, "external": _EXTERNAL, "labels": _PAIRS},
    extensible=7,
)

_FILE = {
    "name": _TEXT.from_version(5),
    "file": _TEXT,
    "external": Shape(("boolean", "mapping"), {"name": _TEXT}, open=True),
    "labels": _PAIRS,
    "template_driver": _TEXT.from_version(8),
}


def _files(keys: dict[str, Shape], since: int) -> Shape:
    each = Shape(("mapping",), keys, extensible=7, compose_keys=_compose_only("content", "environment"))
    return Shape(("mapping",), names=_NAMES, each=each, since=since)


FILE = Shape(
    ("mapping",),
    {
        "version": Shape(("text",), compose={"integer": "put it into quotes", "number": "put it into quotes"}),
        "services": Shape(("mapping",), names=_NAMES, each=SERVICE),
        "networks": Shape(("mapping",), names=_NAMES, each=_NETWORK, open=True),
        "volumes": Shape(("mapping",), names=_NAMES, each=_VOLUME),
        "secrets": _files(_FILE | {"driver": _TEXT.from_version(8), "driver_opts": _OPTIONS.from_version(8)}, 1),
        "configs": _files(_FILE, 3),
    },
    extensible=4,
    compose_keys=_compose_only("models") | {"name": "give the stack's name on the command line"},
)
