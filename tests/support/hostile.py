"""Labels as nobody should write them, for whole clusters: hypothesis strategies over the complete table of keys.

A value is either one that its key's own parser takes, with as much foreign syntax in it as it lets through, or
whatever comes to a stranger's mind. New keys take part by being in the table: all that is needed is their example.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import count

from hypothesis import strategies as st

from lbgen.labels import native
from lbgen.labels.dockerflow.options import OPTIONS
from lbgen.labels.keys.table import KEYS, PREFIX, PROTOCOLS
from lbgen.labels.route_spec import sound
from lbgen.labels.traefik.options import TABLES
from lbgen.labels.values.basic import MAX_VALUE
from lbgen.labels.values.value_type import BadValue
from lbgen.model import Rules
from lbgen.snapshot import Snapshot
from tests.support.builders import (
    Fact,
    a_listener,
    a_network,
    a_node,
    a_rules,
    a_service,
    a_snapshot,
    a_task,
    host_port,
    ingress,
)

# What is syntax to somebody: the proxies' files, YAML, Go's and Jinja's templates, regular expressions, terminals.
SIGNS = (
    *"'\"`\\#;{}$%&*!|><@?=~^()[],:. /-_aZ0",
    *("${x}", "$http_x", "$1", "%[src]", "%%", "%41", "%0a", "%2F", "{{ 1 }}", "{% x %}", "{# x", "}}", "{host}"),
    *(
        "&a",
        "*a",
        "!!python/object:os.x",
        "- ",
        ": ",
        " #",
        "--",
        "-m",
        " if ",
        " unless ",
        " } ",
        "; x ",
        "\\'",
        "\\E",
    ),
    *(
        "\\Q",
        "\\n",
        "(?i)",
        "(",
        "(a+)+$",
        "(a|a)*b",
        "[[:alpha:]]",
        "(?P<x>a)",
        "a{1001}",
        "\\1",
        "::%1;}",
        "..",
        "//",
    ),
    *("&&", "||", "'''", '"""', "//x", "/*", "<!--", "@internal", "%", "$$", "\\x41", "\\u0041", "\\"),
)
# What no file may have, or shows in a misleading way: these are refused wherever they stand.
UNSEEN = (
    *("\n", "\r", "\r\n", "\t", "\0", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u2029", "\u202e", "\u200b", "\ufeff"),
    *("\u00a0", "\ud800", "\udfff", "\n}\nserver { listen 1; }\n", "\n    server x 127.0.0.1:1\n", "\n- x: y\n"),
)
LETTERS = (
    "\u00e9",
    "\u05d0\u05d1",
    "b\u00fccher.example",
    "xn--bcher-kva.example",
    "xn--\u00fc",
    "\U0001f600",
    "\u0130",
)
LONG = ("a" * (MAX_VALUE + 1), "a," * 5000, "/" + "a" * 70_000, "(" * 600, "a" * 64 + "." + "b" * 300)

text = st.lists(st.sampled_from([*SIGNS, *UNSEEN, *LETTERS]), min_size=1, max_size=6).map("".join)
anything = st.sampled_from(["", " ", "true", "1", *LONG]) | text | st.text(max_size=20)


def mutated(example: str, signs: tuple[str, ...] = SIGNS) -> st.SearchStrategy[str]:
    """The example with foreign syntax put in at up to three places; it shrinks to the example."""
    places = st.tuples(st.integers(0, len(example)), st.sampled_from(signs))
    return st.lists(places, max_size=3).map(lambda found: _inserted(example, found))


def _inserted(example: str, found: list[tuple[int, str]]) -> str:
    for at, sign in sorted(found, reverse=True):
        example = example[:at] + sign + example[at:]
    return example


# ------------------------------------------------------------------------------------------------ lbgen's own keys

# What a key cannot do without.
BESIDE: Mapping[str, Mapping[str, str]] = {
    "published-port": {"via": "mesh"},
    "nodes": {"via": "mesh"},
    "mesh-nodes": {"via": "mesh"},
    "redirect.code": {"redirect": "/new"},
    "rate-limit.burst": {"rate-limit": "100/s"},
    "tls": {"host": "shop.example.org"},
    "client-ca": {"host": "shop.example.org"},
    **{f"cors.{key}": {"cors.origins": "https://shop.example.org"} for key in ("methods", "headers", "max-age")},
    "cors.credentials": {"cors.origins": "https://shop.example.org"},
    **{
        f"health-check.{key}": {"health-check.path": "/healthz"}
        for key in ("status", "method", "host", "scheme", "interval", "port", "header.<name>")
    },
}
MORE = {"rule": ("Header(`x-a`, `b`) || Query(`q`, `v`)",)}  # values to start from, besides the example
ALONE = ("rule", "redirect", "group")  # they stand beside few others


def example(field: str) -> tuple[str, str]:
    """The key as it is written, with the member of a family, and its example's value."""
    key = KEYS[field]
    member, _, value = key.example.partition("=") if key.family else ("", "", key.example)
    return key.name.replace("<name>", member), value


def taken(field: str, value: str, name: str = "") -> bool:
    """Whether the key's own parser takes the value (under this name)."""
    if name or field == "rule":  # a rule is read with the whole route
        label = f"{PREFIX}{KEYS[field].protocols[0]}.x.{name or example(field)[0]}"
        return not native.parse("web", {"lbgen.enable": "true", label: value}).problems
    try:
        KEYS[field].parse(sound(value, may_be_empty=KEYS[field].may_be_empty))
    except BadValue:
        return False
    return True


@cache
def variants(field: str) -> Mapping[str, tuple[str, ...]]:
    """Return {sign: values}: the example with one sign put in wherever the parser lets it through."""
    bases = (example(field)[1], *MORE.get(field, ()))
    found = {}
    for sign in SIGNS:
        changed = [value[:at] + sign + value[at:] for value in bases for at in range(len(value) + 1)]
        if passing := tuple(dict.fromkeys(text for text in changed if taken(field, text))):
            found[sign] = passing
    return found


@cache
def longest(field: str) -> str:
    """A value as long as the parser takes: one item drawn out, or many items."""
    _, value = example(field)
    found = [value]
    for alphabet in ("ABCDEFGHIJ", "abcdefghij", "0123456789"):
        single = value + alphabet[0] * (MAX_VALUE - len(value))
        items = value
        for number in count():
            item = ",{}{}".format(value.partition(",")[0], "".join(alphabet[int(digit)] for digit in str(number)))
            if len(items + item) > MAX_VALUE:
                break
            items += item
        filled = items + alphabet[1] * (MAX_VALUE - len(items))
        found += [text for text in (single, single[:500], items, filled) if taken(field, text)]
    return max(found, key=len)


@cache
def _good(field: str) -> st.SearchStrategy[str]:
    """Values that the key's parser takes: the example first, then hostile ones."""
    hostile = tuple(dict.fromkeys(value for values in variants(field).values() for value in values))
    _, value = example(field)
    changed = mutated(value).map(lambda text: text if taken(field, text) else value)
    return st.sampled_from((value, *hostile, longest(field))) | changed


@st.composite
def a_key(draw: st.DrawFn, fields: tuple[str, ...]) -> tuple[str, str]:
    """One of these keys and a value that its parser takes."""
    field = draw(st.sampled_from(fields))
    name, value = example(field)
    if KEYS[field].family:
        changed = draw(mutated(name, ("_", "-", ".", "x", "%", ";", "\\", "A")))
        name = changed if taken(field, value, changed) else name
    return name, draw(_good(field))


FIELDS = {
    protocol: tuple(sorted(field for field, key in KEYS.items() if protocol in key.protocols)) for protocol in PROTOCOLS
}


@cache
def _free(protocol: str) -> tuple[str, ...]:
    """The keys of a protocol that are free text."""
    return tuple(field for field in FIELDS[protocol] if len(variants(field)) > 30) or FIELDS[protocol]


def a_route(protocol: str, keys: Mapping[str, str], number: int, scope: str = "") -> dict[str, str]:
    """The labels of a route with these keys and what they cannot do without; the number makes its match its own."""
    alone = [name for name in keys if name in ALONE]
    found = {name: value for name, value in keys.items() if name not in alone[1:]}
    for name in [*found]:
        found = {**BESIDE.get(name, {}), **found}
    if protocol == "http" and "rule" not in found:
        found.setdefault("host", f"h{number}.example.org")
    if protocol != "http":
        found.setdefault("listener", {"tcp": "pg", "udp": "dns"}[protocol])
    elif number % 12 and not {"tls", "client-ca", "hsts"} & {*found}:  # each listener costs as much as the first
        found.setdefault("listener", "web")
    found.setdefault("port", "8080")
    scope = scope or ("" if protocol == "http" else f"{protocol}.x.")
    return {f"{PREFIX}{scope}{name}": value for name, value in found.items()}


@st.composite
def valid_labels(draw: st.DrawFn) -> dict[str, str]:
    """One route with a handful of keys, each of them good by itself."""
    protocol = draw(st.sampled_from(("http", "http", "http", *PROTOCOLS)))
    keys = dict(draw(st.lists(a_key(FIELDS[protocol]) | a_key(_free(protocol)), min_size=1, max_size=5)))
    scope = draw(st.sampled_from(("", f"{protocol}.x.", f"{protocol}.x_y-2.")))
    return a_route(protocol, keys, draw(st.integers(0, 30)), scope)


def every_sign(fields: Iterable[str] = KEYS) -> Iterator[dict[str, str]]:
    """Every sign in every key that lets it through, and every key's longest value: the labels of a service each."""
    number = count()
    for field in fields:
        for value in (example(field)[1], *(values[-1] for values in variants(field).values()), longest(field)):
            yield a_route(KEYS[field].protocols[0], {example(field)[0]: value}, next(number))


@st.composite
def wild_labels(draw: st.DrawFn) -> dict[str, str]:
    """Anything under known, mistyped and made-up labels, of routes with usable and other names."""
    known = st.sampled_from(sorted(KEYS)).map(lambda field: example(field)[0])
    keys = known | known.flatmap(mutated) | known.map(str.upper) | text | st.sampled_from(("", ".", "x" * 300))
    scopes = st.sampled_from(("", "", "http.a.", "http.A.", "tcp.b.", "udp.c.", "http..")) | text.map("http.{}.".format)
    names = st.builds("{}{}{}".format, st.sampled_from((PREFIX, PREFIX, "LBGEN.", "lbgen")), scopes, keys)
    good = st.sampled_from(sorted(KEYS)).map(lambda field: example(field)[1])
    return draw(st.dictionaries(names, anything | good | good.flatmap(mutated), max_size=8))


# ------------------------------------------------------------------------------------------------ the dialects

_HTTP = "traefik.http.routers.a."
# What the dialects understand, with values to start from; which other options there are stands in their own tables.
TRAEFIK = (
    (f"{_HTTP}rule", "Host(`a.org`) && PathPrefix(`/api`)"),
    (f"{_HTTP}rule", "Host(`a.org`) && Header(`x-a`, `b c`) && !Query(`q`, `v`)"),
    (f"{_HTTP}rule", 'PathRegexp(`^/v[12]`) || Path("/x y") || HeaderRegexp(`user-agent`, `(?i)bot`)'),
    (f"{_HTTP}rule", "ClientIP(`192.0.2.0/24`) || Method(`GET`) || HostRegexp(`^a[.]org$`)"),
    (f"{_HTTP}entrypoints", "web"),
    (f"{_HTTP}middlewares", "m"),
    ("traefik.http.services.a.loadbalancer.server.port", "8080"),
    ("traefik.http.services.a.loadbalancer.sticky.cookie.name", "session"),
    ("traefik.http.services.a.loadbalancer.healthcheck.path", "/healthz"),
    ("traefik.http.middlewares.m.redirectscheme.scheme", "https"),
    ("traefik.http.middlewares.m.redirectregex.regex", "^https?://a\\.org/(.*)"),
    ("traefik.http.middlewares.m.redirectregex.replacement", "https://b.org/${1}"),
    ("traefik.http.middlewares.m.stripprefix.prefixes", "/api"),
    ("traefik.http.middlewares.m.addprefix.prefix", "/v1"),
    ("traefik.http.middlewares.m.replacepath.path", "/new"),
    ("traefik.http.middlewares.m.replacepathregex.regex", "^/old/(.*)"),
    ("traefik.http.middlewares.m.replacepathregex.replacement", "/new/$1"),
    ("traefik.http.middlewares.m.headers.customrequestheaders.x-a", "b c"),
    ("traefik.http.middlewares.m.headers.customresponseheaders.x-a", "b c"),
    ("traefik.http.middlewares.m.headers.accesscontrolalloworiginlist", "https://a.org"),
    ("traefik.http.middlewares.m.headers.stsseconds", "31536000"),
    ("traefik.http.middlewares.m.basicauth.users", "admin:$2y$05$secretsecret"),
    ("traefik.http.middlewares.m.ipallowlist.sourcerange", "192.0.2.0/24"),
    ("traefik.http.middlewares.m.ratelimit.average", "100"),
    ("traefik.http.middlewares.m.buffering.maxrequestbodybytes", "1000"),
    ("traefik.http.middlewares.m.compress", "true"),
    ("traefik.tcp.routers.t.rule", "HostSNI(`db.example.org`)"),
    ("traefik.tcp.routers.t.tls.passthrough", "true"),
    ("traefik.tcp.services.t.loadbalancer.server.port", "8080"),
    ("traefik.swarm.network", "edge"),
)
DOCKERFLOW = (
    ("port", "8080"),
    ("serviceDomain", "a.org,*.b.org"),
    ("serviceDomainAlgo", "hdr_end(host)"),
    ("servicePath", "/api,/v1"),
    ("servicePathExclude", "/api/x"),
    ("pathType", "path_reg"),
    ("pathType", "path_sub"),
    ("serviceHeader", "X-Version:3"),
    ("userAgent", "curl"),
    ("allowedMethods", "GET,POST"),
    ("redirectFromDomain", "old.org"),
    ("setReqHeader", "X-A b c"),
    ("setResHeader", "X-Frame-Options DENY"),
    ("delReqHeader", "X-B"),
    ("reqPathSearchReplace", "/api/,/v2/"),
    ("usersSecret", "staff"),
    ("users", "admin:secretsecret"),
    ("serviceCert", "secretsecret"),
    ("isDefaultBackend", "true"),
    ("httpsOnly", "true"),
    ("sessionType", "sticky-server"),
    ("serviceGroup", "shop"),
    ("timeoutServer", "30"),
)


def _options() -> tuple[str, ...]:
    """A label for every option in the tables of the dialects."""
    found = [f"com.df.{name}" for name in OPTIONS]
    for (protocol, kind), table in TABLES.items():
        found += [f"traefik.{protocol}.{kind}.a.{option.replace('<>', 'x').replace('[n]', '[0]')}" for option in table]
    return tuple(found)


@st.composite
def foreign_labels(draw: st.DrawFn) -> dict[str, str]:
    """Labels of Traefik's or of docker-flow-proxy's: usable ones, mutated ones, and any option of theirs."""
    if draw(st.booleans()):
        labels = {"traefik.enable": "true", "traefik.http.services.a.loadbalancer.server.port": "8080"}
        known = TRAEFIK
    else:
        labels = {"com.df.notify": "true", "com.df.port": "8080", "com.df.servicePath": "/demo"}
        known = tuple((f"com.df.{name}", value) for name, value in DOCKERFLOW)
    for name, value in draw(st.lists(st.sampled_from(known), min_size=1, max_size=6)):
        labels[name] = draw(mutated(value))
    if draw(st.integers(0, 3)) == 3:
        options = st.sampled_from(_options())
        labels |= draw(
            st.dictionaries(options | options.flatmap(mutated) | options.map(str.title), anything, max_size=3)
        )
    return labels


# ------------------------------------------------------------------------------------------------ clusters

SWITCHES = {"lbgen.enable": "true"}
NAMES = ("web{}", "Web{}", "WEB-{}", "w_{}", "default{}")  # what Swarm accepts; some differ only in case
DIALECTS = ("lbgen", "traefik", "dockerflow")
EDGE = a_network("edge")
# Loopback addresses throughout: a proxy that is asked may well ask the servers for their health.
NODES = (
    a_node("node1", labels={"zone": "eu", "lbgen.address": "127.9.0.1"}),
    a_node("node2", hostname="no;de}\n#2", labels={"lbgen.address": "127.9.0.2"}),
)


def rules(ports: Mapping[str, int] | None = None, address: str = "127.0.0.1") -> Rules:
    """Listeners of every kind, and every dialect.

    Args:
        ports: of the listeners web, websecure, pg and dns.
    """
    ports = ports or {"web": 80, "websecure": 443, "pg": 5432, "dns": 53}
    return a_rules(
        a_listener("web", ports["web"], address=address),
        a_listener("websecure", ports["websecure"], tls=True, address=address),
        a_listener("pg", ports["pg"], "tcp", address=address),
        a_listener("dns", ports["dns"], "udp", address=address),
        dialects=DIALECTS,
    )


def facts_of(number: int, labels: Mapping[str, str], name: str = "") -> list[Fact]:
    """A service that can be reached in every way, and its tasks; of a lower number it is older."""
    name = name or NAMES[number % len(NAMES)].format(number // len(NAMES))
    network = f"127.{10 + number // 250}.{number % 250}"
    service = a_service(
        name,
        id=f"{number}-id",
        created_at=f"2026-11-22T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z",
        labels={**SWITCHES, **labels},
        networks=("edge-id",),
        ports=(ingress(8080, 8080), host_port(8080, 8080)),
        virtual_ips={"edge-id": f"{network}.9"},
    )
    return [service, *(a_task(str(number), slot, addresses={"edge-id": f"{network}.{slot}"}) for slot in (1, 2))]


def cluster(services: list[tuple[str, Mapping[str, str]]]) -> Snapshot:
    """The facts of services with these names (empty: a plain one) and labels."""
    facts = [fact for number, (name, labels) in enumerate(services) for fact in facts_of(number, labels, name)]
    return a_snapshot(*NODES, EDGE, *facts)


@st.composite
def a_hostile_service(draw: st.DrawFn) -> tuple[str, Mapping[str, str]]:
    """(name, labels); the name is empty for a plain one."""
    kind = draw(st.sampled_from(("valid", "valid", "valid", "foreign", "wild", "name")))
    if kind == "foreign":
        return "", draw(foreign_labels())
    name = draw(text) if kind == "name" else ""
    return name, draw(wild_labels() if kind == "wild" else valid_labels())


def clusters(size: int = 20) -> st.SearchStrategy[Snapshot]:
    """Clusters of so many services, each of them hostile in its own way; they shrink by services becoming harmless."""
    harmless = st.just(("", {"lbgen.port": "8080"}))
    one = st.integers(0, 9).flatmap(lambda number: a_hostile_service() if number else harmless)
    return st.tuples(*[one] * size).map(lambda found: cluster([*found]))


def labels_of(snapshot: Snapshot) -> dict[str, Mapping[str, str]]:
    """Each service's labels by its name."""
    return {service.name: service.labels for service in snapshot.services.values()}
