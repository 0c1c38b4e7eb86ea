"""``python -m scripts.reference.proxies`` prints docs/proxies.md, made from the table of capabilities."""

from __future__ import annotations

from lbgen.proxies import capabilities
from lbgen.proxies.capabilities import PROXIES
from lbgen.proxies.kind import YES, Support

HEAD = """\
# What each proxy can do

<!-- Made from the table of capabilities by `python -m scripts.reference.proxies`. -->

The same labels mean the same with every proxy, with these exceptions. `lbgen lint` lists those that concern a cluster's
own routes.
"""
TAIL = """
Everything else in [labels.md](labels.md) works with all three. What no label asks for, and is not the same either:

- **Paths.** HAProxy and Nginx compare them as the client sent them. Traefik first takes `//` and `..` out and decodes
  all but the reserved characters, and sends servers the result. To a `%` that begins no code Nginx and Traefik
  answer 400.
- **Hosts.** A dot at their end is ignored, but Traefik's expressions on hosts (`HostRegexp`) see it.
- **Parameters.** HAProxy does not decode their names: `?%61=1` is no parameter `a` to it. It does decode their values.
- **Repeated headers.** HAProxy and Traefik try each of several headers of one name. Nginx tries the first; since 1.23
  all of them as one, with commas between.
- **Retries.** All three repeat a request with another server if it could not be connected to. HAProxy and Nginx also
  repeat what may safely be done twice if the server hung up without an answer; Traefik does not.
- **Weights.** Shares are those of the weights, with 100 written wherever another server has another one. With
  `least-conn` HAProxy weighs the connections that are open: servers that are idle take turns. Where weights differ,
  Traefik goes by them and not by `least-conn` or `random`.
- **Health over a change.** HAProxy and Nginx remember servers that were down. Traefik forgets at every change which
  were, until their next check; lbgen publishes only what really changes and takes dead tasks out at once, and
  Traefik's retries cover the rest.
- **Every server fails.** HAProxy answers 503, Nginx and Traefik 502. With no server at all, all three answer 503.
- **A reload** costs HAProxy and Traefik nothing. Nginx before 1.27.4 resets some idle connections that clients keep.
- **Certificates.** For HAProxy and Nginx lbgen chooses: the file that a label names, else `HOST.pem`, else one that has
  the host among its names, else `_.DOMAIN.pem`, else one for all names of the domain, else `default.pem` or the first
  by name. Traefik goes by the names in them alone.
- **New listeners.** HAProxy and Nginx take them with a reload. Traefik has to be started anew.
- **TCP by server name beside a server that speaks first** (MySQL, SMTP): where some routes of a listener have names,
  Traefik and Nginx wait for the client's first bytes.
"""


def markdown() -> str:
    """Return docs/proxies.md."""
    lines = [HEAD, f"| | {' | '.join(PROXIES.values())} |", "| --- " * (len(PROXIES) + 1) + "|"]
    for row in capabilities.TABLE:
        label = f" (`{row.key}`)" if row.key else ""
        lines.append(f"| {row.name}{label} | {' | '.join(_support_text(row.support(proxy)) for proxy in PROXIES)} |")
    return "\n".join(lines) + "\n" + TAIL


def _support_text(support: Support) -> str:
    if support.level == YES:
        return "yes"
    since = f"since {support.since}; before: " if support.since else ""
    return f"{since}{support.level}: {support.instead}"


if __name__ == "__main__":
    print(markdown(), end="")
