"""Checks what Traefik is about to be given. It has no checker of its own, and takes any file without a word.

First by lbgen's own rules: is it the YAML that it should be, does everything exist that is referred to. Then by a
Traefik that is started for it, see `trial`. Both only if more has changed than which servers there are.
"""

from __future__ import annotations

import re
import shutil
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lbgen.base import documents
from lbgen.base.errors import ApplyFailed, CheckFailed, CheckUnavailable
from lbgen.base.logs import log
from lbgen.labels.rule import parser
from lbgen.labels.values.value_type import BadValue
from lbgen.proxies.kind import Check, Setup
from lbgen.proxies.traefik import trial
from lbgen.proxies.traefik.api import MARKER
from lbgen.proxies.traefik.apply import DYNAMIC, STATIC, entry_points
from lbgen.render.renderer import Files

_ADDRESS = r"(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\]):\d{1,5}"
_SERVER = rf' +- (?:url: "(?:https?|h2c)://{_ADDRESS}"|address: "{_ADDRESS}")(?:  #.*)?\n(?: +weight: \d+\n)?'
_SERVERS = re.compile(rf"^( +)servers:(?: \[\]\n|\n(?:{_SERVER})+)", re.MULTILINE)
_KNOWN = {
    "http": ("routers", "services", "middlewares", "serversTransports"),
    "tcp": ("routers", "services", "middlewares", "serversTransports"),
    "udp": ("routers", "services"),
    "tls": ("certificates", "options", "stores"),
}


def checker(setup: Setup, beside: Path | None) -> Check:
    """Return the checker, which raises CheckFailed; where files are only looked at, Traefik is asked every time."""
    return Checker(setup.binary, always=beside is None, needed=setup.target.binary is not None)


class Checker:
    """Checks files; remembers the last ones that were right, to know what is new."""

    def __init__(self, binary: str, *, always: bool, needed: bool) -> None:
        """
        Args:
            binary: Traefik's program.
            always: ask it every time.
            needed: it has to be there.
        """
        self._binary, self._always, self._needed = binary, always, needed
        self._accepted: Mapping[str, str] | None = None

    def __call__(self, files: Files) -> None:
        """Check the files.

        Raises:
            CheckFailed: they are wrong, or Traefik refuses them: its own words.
            CheckUnavailable: there should be a Traefik to ask.
        """
        bare = {
            name: _SERVERS.sub(r"\1servers:\n", text.replace(files.generation, ""))
            for name, text in files.texts.items()
        }
        if not self._always and bare == self._accepted:
            return
        faults = list(_faults(files))
        if faults:
            raise CheckFailed(("lbgen",), "\n".join(faults))
        if shutil.which(self._binary):
            trial.run(_with_stand_ins(files), self._binary)
        elif self._needed:
            raise CheckUnavailable(f"{self._binary}: not found; install Traefik, or correct targets.NAME.binary")
        elif self._accepted is None:
            log.warning("checked_without_traefik", binary=self._binary, effect="only lbgen's own rules were asked")
        self._accepted = bare


def _with_stand_ins(files: Files) -> Files:
    """Replace each list of servers by one address without a server: a trial checks nobody's health."""

    def stand_in(servers: re.Match[str]) -> str:
        if servers[0].endswith("[]\n"):
            return servers[0]
        key = 'url: "http://127.0.0.1:1"' if "- url:" in servers[0] else 'address: "127.0.0.1:1"'
        return f"{servers[1]}servers:\n{servers[1]}  - {key}\n"

    return Files({name: _SERVERS.sub(stand_in, text) for name, text in files.texts.items()}, files.generation)


def _faults(files: Files) -> Iterator[str]:
    """Yield what is wrong by lbgen's own rules."""
    if DYNAMIC not in files.texts:
        yield f"{DYNAMIC}: not rendered, but this is what Traefik is given"
    if "\n  http:\n    endpoint:" in files.texts.get(STATIC, ""):
        for name in files.texts:
            if name.startswith("dynamic/") and name != DYNAMIC:
                yield f"{name}: only {DYNAMIC} is handed out over HTTP; put this into a block of it"
    for name, text in files.texts.items():
        if not name.endswith((".yml", ".yaml")):
            continue
        if "{{" in text:
            yield f"{name}: has {{{{, which Traefik runs as a template of its own; print values with | quote"
        try:
            document = documents.parse(text, name, ApplyFailed)
        except ApplyFailed as error:
            yield str(error)
            continue
        if name != STATIC:
            try:
                known = entry_points(files.texts.get(STATIC, "")) if STATIC in files.texts else None
            except ApplyFailed:
                known = None  # told already
            for fault in _document_faults(document, known):
                yield f"{name}: {fault}"
        if name == DYNAMIC and f'"{MARKER}":' not in text:
            yield f"{name}: the middleware {MARKER} is missing, by which lbgen sees what is live"


def _document_faults(document: object, known: Mapping[str, str] | None) -> Iterator[str]:
    if not isinstance(document, dict):
        yield "is not a mapping"
        return
    for protocol, sections in document.items():
        if protocol not in _KNOWN:
            yield f"{protocol} is not a section; there are {', '.join(_KNOWN)}"
        elif not isinstance(sections, dict) or not sections:
            yield f"{protocol} is empty, which Traefik refuses; leave it out"
        else:
            for kind, items in sections.items():
                if kind not in _KNOWN[protocol]:
                    yield f"{protocol}.{kind} is not a section; there are {', '.join(_KNOWN[protocol])}"
                elif not items:
                    yield f"{protocol}.{kind} is empty, which Traefik refuses; leave it out"
            if protocol == "tls":
                yield from _certificate_faults(sections)
            else:
                yield from _reference_faults(protocol, sections, known)


def _reference_faults(protocol: str, sections: Mapping[str, Any], known: Mapping[str, str] | None) -> Iterator[str]:
    """Yield references to what does not exist, and rules that cannot be read. ``name@provider`` is another's."""
    services, middlewares = sections.get("services", {}), sections.get("middlewares", {})
    for name, router in (sections.get("routers") or {}).items():
        where = f"{protocol} router {name}"
        for point in router.get("entryPoints", ()):
            if known is not None and point not in known:
                yield f"{where}: there is no entry point {point}; {STATIC} has {', '.join(known)}"
        for middleware in router.get("middlewares", ()):
            if middleware not in middlewares and "@" not in middleware:
                yield f"{where}: there is no middleware {middleware}"
        if router.get("service") not in services and "@" not in str(router.get("service")):
            yield f"{where}: there is no service {router.get('service')}"
        if protocol != "udp":
            try:
                parser.check(str(router.get("rule", "")), protocol)
            except BadValue as bad:
                yield f"{where}: rule {router.get('rule')}: {bad}"
    for name, service in services.items():
        transport = (service.get("loadBalancer") or {}).get("serversTransport")
        if transport and transport not in sections.get("serversTransports", {}) and "@" not in transport:
            yield f"{protocol} service {name}: there is no serversTransport {transport}"
        for part in _parts(service):
            if part not in services and "@" not in part:
                yield f"{protocol} service {name}: there is no service {part}"
    for name, middleware in middlewares.items():
        for part in (middleware.get("chain") or {}).get("middlewares", ()):
            if part not in middlewares and "@" not in part:
                yield f"{protocol} middleware {name}: there is no middleware {part}"


def _parts(service: Mapping[str, Any]) -> Iterator[str]:
    """Yield the services that one is made of."""
    yield from (str(part.get("name")) for part in (service.get("weighted") or {}).get("services", ()))
    if mirroring := service.get("mirroring"):
        yield str(mirroring.get("service"))
        yield from (str(mirror.get("name")) for mirror in mirroring.get("mirrors", ()))
    failover = service.get("failover") or {}
    yield from (str(failover.get(key)) for key in ("service", "fallback") if failover)


def _certificate_faults(sections: Mapping[str, Any]) -> Iterator[str]:
    """Yield certificates that cannot be used: Traefik would say so in its log only, and serve another."""
    for pair in sections.get("certificates") or ():
        if Path(pair["certFile"]).is_file():  # else it is where Traefik runs
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pair["certFile"], pair["keyFile"], lambda: "")
            except (OSError, ValueError) as error:
                yield f"certificate {pair['certFile']}: cannot be used: {error}"
