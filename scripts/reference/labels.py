"""``python -m scripts.reference.labels`` prints docs/labels.md, made from the table of keys and the worked examples."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, dataclass

from lbgen.labels.keys.key import Key
from lbgen.labels.keys.matching import MatchingKeys
from lbgen.labels.keys.servers import ServerKeys
from lbgen.labels.keys.table import FIELDS, KEYS, PREFIX
from scripts.reference.label_examples import EXAMPLES, Example


@dataclass(frozen=True, slots=True)
class Theme:
    """A chapter of the table."""

    title: str
    text: str
    keys: tuple[str, ...]  # what the names of its keys begin with, up to the first dot


THEMES = (
    Theme(
        "Which requests",
        "These keys are ANDed, the values of one key ORed; `rule` stands instead of them. A request takes the "
        "matching route with the highest `priority`. Without one the longer match counts as the higher: the "
        "priority is the length that the alternative that matches would have as a Traefik rule of its own, "
        'whatever the dialect. With `host: "a.org,b.org"` and `path: /api` a request for `a.org` matches '
        "``Host(`a.org`) && PathPrefix(`/api`)``, whose length is 33; what matches every request has 0. An exact "
        "path is `Path`, and so comes after a prefix of the same text. (Routers of Traefik's labels have the "
        "length of their whole rule, as with Traefik: one that names many hosts can go before a narrower route, "
        "which then needs a `priority`.) At the same length a match on more than host and path goes first, then "
        "the exact host, the exact path, and the older service. Two routes that ask for exactly the same are a "
        "conflict: the older service keeps it, the newer is told.\n\n"
        "A path is matched in normal form, however the client wrote it: slashes merged, dot segments removed, "
        "unreserved characters decoded, other codes in upper case. So `/admin`, `//admin`, `/x/../admin` and "
        "`/%61dmin` take the same route, and so does a label that says `//admin`; `path: /` is no path at all. `%2F` "
        "stays part of a segment: `/projects/a%2Fb` is not `/projects/a/b`. The application gets the path that the "
        "client sent ([docs/proxies.md](proxies.md) has the differences).",
        (
            *("listener", "host", "path", "path-exact", "path-regex", "method", "header", "header-regex", "query"),
            *("client-ip", "sni", "rule", "priority"),
        ),
    ),
    Theme(
        "Where the traffic goes",
        "`via` says how servers are reached: `mesh` (every node, at the port published in ingress mode), `host` "
        "(each task's node, at the port published in host mode), `task` (each task's own address on a network "
        "that the proxy shares) or `vip` (the service's virtual IP there). `auto` is `mesh` if the port is "
        "published in ingress mode, else `host` if in host mode, else `task`. Without the label setting "
        "`discovery.via` counts, for routes of other dialects' labels `discovery.traefik.via` or "
        "`discovery.dockerflow.via`.\n\n"
        "Nothing is guessed: where labels and settings leave a choice, the route is closed, and a problem says "
        "what settles it. **The network** (`task`, `vip`) is that of the label, else the first of setting "
        "`discovery.networks` that the service is on; if that setting is empty, the only network that the service "
        "is on. Several networks, or none of those that the setting names, are a problem; the routing mesh's own "
        "is never taken. Whether the proxy is on the only network lbgen cannot know: set `discovery.networks`, "
        "outside the Swarm to `[none]`. **The port** is that of the label, which is always the container's, else "
        "the only one that is published, via `mesh` and `host` in that mode. None or several, a label that names "
        "the number under which another port is published (but via `task` and `vip`, if they are asked for: there "
        "the application may well listen), and a port that is published several times without `published-port` "
        "are problems. In host mode without a fixed number it is the one that each task got. **The node's "
        "address** is said [below](#nodes). The same holds for login services, pages, mirrors and the services of "
        "other routes: their own short labels count, and the port of a URL.",
        ("port", "published-port", "via", "network", "nodes", "mesh-nodes", "scheme", "send-proxy"),
    ),
    Theme(
        "How servers are used",
        "",
        ("balance", "sticky", "group", "weight", "max-conn", "backup", "slow-start", "retries"),
    ),
    Theme(
        "TLS with servers",
        "With `scheme` https servers are asked for one name (SNI), by requests and by health checks: that of "
        "`server-name`, else of `host-header`, else the first exact host of the route. A route that has none, as with "
        "`*.a.org`, asks for the host that the client asked for, but never for an address; its TCP checks make no "
        "handshake then. Their certificates are verified, for that name, by the authority that `server-ca` names: a "
        "file of setting `server_cas`, or `system`. Without `server-ca` they are not, and `lint` notes it. Servers "
        "whose certificate is not right, and all of them while there is no such file, get no request: 502 or 503. A "
        "route that is to be verified and has no name of its own is a problem.",
        ("server-ca", "server-name"),
    ),
    Theme(
        "Health checks",
        "Where the proxy has them: see [proxies.md](proxies.md). They are asked by HTTP/1.1 (with `scheme` h2c by "
        "HTTP/2) for the host that the application sees in requests: that of `health-check.host`, else of "
        "`host-header`, else the first exact host of the route, else the server's address and port.",
        ("health-check",),
    ),
    Theme("Time-outs", "", ("timeout",)),
    Theme("Redirects", "A route with `redirect` needs no server.", ("redirect", "redirect-regex", "redirect-https")),
    Theme(
        "Paths and headers",
        "",
        (
            *("strip-prefix", "strip-prefix-regex", "replace-path", "replace-path-regex", "add-prefix"),
            *("host-header", "request-header", "response-header"),
        ),
    ),
    Theme(
        "Who may come in",
        "",
        ("allow-ip", "deny-ip", "basic-auth", "forward-auth", "rate-limit", "max-concurrent", "max-body"),
    ),
    Theme(
        "Copies",
        "What a route lets in is copied, once, with its body; the guards of the service that gets the copies do not "
        "hold for them. It need not take part otherwise: with `lbgen.enable=false` its labels say where it is "
        "(`lbgen.port`, `lbgen.via`, `lbgen.network`). Where setting `claims` has entries, one has to be for both.",
        ("mirror",),
    ),
    Theme(
        "Errors",
        "Of a range and a class (`5xx`) those statuses count that HTTP has a name for, and the key for fewer "
        "statuses goes before that for more. The status stays, and so do the headers that the route sets on all "
        "answers. With a service scaled to 0, or a `group` whose last server is gone, `error-pages.503` is a "
        "maintenance page. A page is a file, or a URL of a Swarm service (of the own stack first) such as "
        "`http://pages/{status}.html?from={url}`, which need not take part otherwise: with `lbgen.enable=false` its "
        "labels say where it is. `{status}` is the error's, `{url}` what the client asked for. Whatever that "
        "service answers is shown with the error's status; where it cannot be reached, the plain answer is given. "
        "It is asked with GET, without the request's body, and sees the client's other headers. Where setting "
        "`claims` has entries, one has to be for both services.",
        ("error-pages",),
    ),
    Theme("Browsers", "", ("cors", "hsts", "compress")),
    Theme(
        "TLS",
        "Keys and certificates never stand in labels: they are files, and labels name them. Without a name the "
        "certificate is chosen by the host.",
        ("tls", "client-ca", "passthrough"),
    ),
)

_HEAD = """\
# Labels

<!-- Made from the table of keys by `python -m scripts.reference.labels`. -->

Labels are those of the service (`docker service create --label`, `deploy.labels` in a stack file), not of its
containers. `lbgen.enable=true` makes a service take part (its default is setting `discovery.expose_by_default`).

`lbgen.<key>` holds for every route of the service; `lbgen.http.<route>.<key>`, `lbgen.tcp.<route>.<key>` and
`lbgen.udp.<route>.<key>` make named routes, whose own keys win. Without a named route the short keys make one HTTP
route. The column *routes* says which protocols know a key; a short key holds for those of the service's routes that do.

**Beside the labels of another dialect** (Traefik's, docker-flow-proxy's) short keys hold for all of that dialect's
routes, whether setting `discovery.dialects` has `lbgen` or not, and without `lbgen.enable`, which only makes routes
of lbgen's own. Which requests a route wants its own labels say: there the matching keys and `rule` count for nothing.
`via`, `network`, `nodes`, `mesh-nodes` and `published-port` go before what the other labels say, so that these can be
right for another proxy. Guards, `max-body` and `listener` hold together with those of the route: a client has to be
in both lists of `allow-ip`, in neither of `deny-ip`, the smaller of two rates, numbers and bodies counts, and the
listeners are those that both name. Two that cannot hold together (two files of users, `1/s` and `60/m`) close the
route, and a problem names both labels. Of all other keys the route's own labels go first, as those of named routes
do. A short key that cannot be read closes these routes, too.

Keys are lower case. Lists are separated by commas. Durations are `500ms`, `2s`, `1m`, `1h`; sizes `64k`, `10m`, `1g`;
`true` may also be `yes`, `on` or `1`. Spaces around a value do not count; at most 4096 characters are read. In a stack
file write `$$` for a `$`, and quotes around `true` and numbers.

A route with any problem in its own keys, or in a short key it inherits, is closed and reported; the service's other
routes, and all other services, go on. A running lbgen [keeps the previous labels](operations.md#labels-change-whole)
of a service that it serves. Closed: requests that it asks for are answered 503 where another route of its service
would take them, or 403 where what is missing is a guard, and 503 in place of 404 where nobody takes them; a key that
cannot be read is left out of what it asks for. `lbgen lint` lists the problems of all services, `lbgen explain SERVICE`
says what became of one, and `lbgen config schema --labels` prints the same vocabulary for editors.
"""

_TAIL = """
## Nodes

A node may carry one label of its own: `lbgen.address`, the address that reaches it, where the one Swarm knows does not
(`docker node update --label-add lbgen.address=10.8.0.3 node3`).
"""


def document() -> str:
    """Return docs/labels.md."""
    contents = [*(theme.title for theme in THEMES), "Nodes", "Examples"]
    lines = [_HEAD, _folded(", ".join(f"[{title}](#{_anchor(title)})" for title in contents) + ".")]
    for theme in THEMES:
        lines += [f"\n## {theme.title}\n", *([_folded(theme.text) + "\n"] if theme.text else [])]
        lines += ["| key | routes | default | example | meaning |", "| --- | --- | --- | --- | --- |"]
        lines += [_row(field, key) for field, key in KEYS.items() if theme_of(field) is theme]
    lines.append(_TAIL)
    lines += ["## Examples\n\n" + _LISTENERS, *(_worked(example) for example in EXAMPLES)]
    return "\n".join(lines) + "\n"


def theme_of(field: str) -> Theme:
    """Return the chapter of a key; one that none names is with the others of its module."""
    stem = KEYS[field].name.partition(".")[0]
    named = next((theme for theme in THEMES if stem in theme.keys), None)
    if named:
        return named
    if field in MatchingKeys.__dataclass_fields__:
        return THEMES[0]
    return THEMES[2 if field in ServerKeys.__dataclass_fields__ else 7]


def _row(field: str, key: Key) -> str:
    default = FIELDS[field].default
    shown = "" if default in (None, MISSING, (), "") else f"`{key.parse.spell(default)}`"
    example = f"{key.family}{key.member}: {key.sample}" if key.family else key.sample
    example = f"`` {example} ``" if "`" in example else f"`{example}`"
    return f"| `{key.name}` | {', '.join(key.protocols)} | {shown} | {example} | {key.doc} |"


_LISTENERS = """\
The labels are written as in a stack file. The listeners that they name are these:

```yaml
listeners:
  web: {bind: ":80"}
  websecure: {bind: ":443", tls: true}
  pg: {bind: ":5432", protocol: tcp}
  dns: {bind: ":53", protocol: udp}
default_listeners: [web, pg, dns]
```"""


def _worked(example: Example) -> str:
    return "\n".join(
        [f"\n### {example.title}\n\n{_folded(example.text)}\n\n```yaml\nservices:", *_yaml(example), "```"]
    )


def _yaml(example: Example) -> Iterator[str]:
    for service, labels in example.services.items():
        yield f'  {service}:\n    deploy:\n      labels:\n        {PREFIX}enable: "true"'
        for name, value in labels.items():
            yield f"        {PREFIX}{name}: {_quoted(value)}"


def _quoted(value: str) -> str:
    """Write a value so that YAML reads it as that very text."""
    plain = value.replace("-", "").replace(".", "").replace("/", "")
    return value if plain.isalnum() and plain != "true" and not plain.isdecimal() else f'"{value}"'


def _folded(text: str) -> str:
    paragraphs = text.split("\n\n")
    return "\n\n".join(textwrap.fill(each, 120, break_long_words=False, break_on_hyphens=False) for each in paragraphs)


def _anchor(title: str) -> str:
    return "".join(char for char in title.lower().replace(" ", "-") if char.isalnum() or char == "-")


if __name__ == "__main__":
    print(document(), end="")
