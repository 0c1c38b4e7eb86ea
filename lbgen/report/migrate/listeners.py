"""Entry points as listeners, and what they add to routers as setting discovery.traefik.entrypoints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lbgen.report.migrate.draft import Draft
from lbgen.report.migrate.hints import Hints
from lbgen.report.migrate.words import Words
from lbgen.settings.entry_points import MOST_PRIORITY
from lbgen.settings.listeners import LEAST_HEADERS, MOST_HEADERS

INTERNAL = "traefik"  # the entry point of the API, of ping and of metrics
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_ADDRESS = re.compile(r"(.*?):([0-9]{1,5})(?:/(tcp|udp))?", re.IGNORECASE)
_WEB = re.compile(r"web|http", re.IGNORECASE)
_SECURE = re.compile(r"secure|https|tls|ssl", re.IGNORECASE)
_DEFAULT_ADDRESS = {"http": ":80"}  # of the entry point that Traefik makes where none is configured


@dataclass(slots=True)
class EntryPoints:
    """Makes listeners of all entry points."""

    words: Words
    draft: Draft
    hints: Hints

    def add(self) -> None:
        """Add the listeners, the redirects among them, and what they add to routers."""
        names = [name for name in self.words.names("entryPoints") if name.lower() != INTERNAL]
        if self.words.names("entryPoints") != names:
            self._leave_internal()
        if not names:
            names = list(_DEFAULT_ADDRESS)
            self.draft.decide.append(
                "Traefik was told of no entry point, and makes http on port 80: so is the listener."
            )
        made = [name for name in names if self._listener(name)]
        for name in made:
            self._redirect(name)
        for name in made:
            self._routers(name)
        self._defaults(made)

    def _leave_internal(self) -> None:
        for key, said in self.words.said.items():
            if key.startswith(f"entrypoints.{INTERNAL}."):
                self.words.asked.add(key)
                self.draft.leave(said.path, "it is the entry point of Traefik's own API, see setting status")

    def _listener(self, name: str) -> bool:
        at, own = f"entryPoints.{name}", f"entryPoints.{name}.address"
        address = self.words.text(own, _DEFAULT_ADDRESS.get(name, ""))
        found = _ADDRESS.fullmatch(address)
        if not found or not _NAME.fullmatch(name):
            why = f"{address} is no ADDRESS:PORT" if address else "there is none"
            self.draft.leave(own, f"{why}, so there is no listener {name}")
            return False
        host, port, transport = found[1], found[2], (found[3] or "tcp").lower()
        said: dict[str, Any] = {"bind": f"{host}:{port}"}
        protocol, comment = self._protocol(name, transport)
        if protocol != "http":
            said["protocol"] = protocol
            if protocol == "tcp" and name in self.hints.tls:
                said["tls"], comment = True, "labels have TCP routers alone here, with tls"
                self._both_kinds(name)
        elif why := self._has_tls(name, port):
            said["tls"], comment = {"http3": True} if self._has_http3(at) else True, why
        if not self.draft.try_(("listeners", name), said, own, comment):
            return False
        self._who_asks(name)
        if protocol == "http":
            self._headers(name)
        return True

    def _has_http3(self, at: str) -> bool:
        """Tell whether HTTP/3 is spoken; that is told where the PROXY protocol makes it impossible."""
        wanted = self.words.has(f"{at}.http3")
        if wanted and self.words.texts(f"{at}.proxyProtocol.trustedIPs"):
            self.draft.leave(f"{at}.http3", "QUIC has no PROXY protocol")
            return False
        return wanted

    def _protocol(self, name: str, transport: str) -> tuple[str, str]:
        """Return what a listener carries, and why if that has to be told."""
        if transport == "udp":
            return "udp", ""
        hinted = self.hints.protocols.get(name, set())
        http = self.words.has(f"entryPoints.{name}.http")
        if hinted == {"tcp"} and not http:
            return "tcp", "labels have TCP routers alone here"
        if {"http", "tcp"} <= hinted:
            self.draft.decide.append(
                f"listener {name}: labels have HTTP and TCP routers on this entry point. It carries HTTP here, and "
                "with TLS also TCP routers with tls, by server name (docs/proxies.md); give others one of their own."
            )
        elif not hinted and not http and not _WEB.search(name):
            self.draft.decide.append(
                f"listener {name}: that it carries HTTP is a guess. Write protocol: tcp if it is for TCP routers; the "
                "services' stack files (--from) tell."
            )
        return "http", ""

    def _both_kinds(self, name: str) -> None:
        """Tell that a TCP listener ends TLS either of all clients or of none."""
        if name in self.hints.passed:
            self.draft.decide.append(
                f"listener {name}: labels have TCP routers here whose TLS ends at the proxy, and others with "
                "tls.passthrough=true. A TCP listener does one or the other; give those a listener without tls."
            )

    def _has_tls(self, name: str, port: str) -> str:
        """Say why a listener ends TLS; empty: it does not."""
        at = f"entryPoints.{name}.http"
        if self.words.has(f"{at}.tls"):
            return "http.tls"
        if self.words.has(f"{at}.redirections.entryPoint.to"):
            return ""
        redirected = [
            other
            for other in self.words.names("entryPoints")
            if self.words.text(f"entryPoints.{other}.http.redirections.entryPoint.to").lower() == name.lower()
            and self.words.text(f"entryPoints.{other}.http.redirections.entryPoint.scheme", "https") == "https"
        ]
        if redirected:
            return f"{', '.join(redirected)} redirects here with https"
        if name in self.hints.tls:
            return "labels have routers with tls here"
        if port == "443" or _SECURE.search(name):
            self.draft.decide.append(
                f"listener {name}: TLS is a guess, by name and port. Traefik ends TLS there for routers with tls=true."
            )
            return "a guess, see above"
        return ""

    def _who_asks(self, name: str) -> None:
        at = f"entryPoints.{name}"
        trusted = self.words.texts(f"{at}.forwardedHeaders.trustedIPs")
        if self.words.has(f"{at}.proxyProtocol"):
            senders = self.words.texts(f"{at}.proxyProtocol.trustedIPs")
            if senders:
                self.draft.try_(("listeners", name, "proxy_protocol"), True, f"{at}.proxyProtocol")
                trusted = list(dict.fromkeys([*trusted, *senders]))
        if trusted:
            self.draft.try_(("listeners", name, "trusted_proxies"), trusted, f"{at}.forwardedHeaders.trustedIPs")
        for insecure in (f"{at}.forwardedHeaders.insecure", f"{at}.proxyProtocol.insecure"):
            if self.words.has(insecure):
                self.words.asked.discard(insecure.lower())  # told among what is not carried over
                self.draft.decide.append(
                    f"listener {name}: everybody was believed who the client is; name trusted_proxies."
                )
            else:
                self.words.take(insecure)

    def _headers(self, name: str) -> None:
        option = f"entryPoints.{name}.http.maxHeaderBytes"
        size = self.words.text(option)
        if size.isdecimal() and LEAST_HEADERS <= int(size) <= MOST_HEADERS:
            self.draft.put(("listeners", name, "max_headers"), int(size))
        elif size:
            self.draft.leave(option, f"{size} is not between 8k and 256k, which max_headers of the listener may be")

    def _redirect(self, name: str) -> None:
        at = f"entryPoints.{name}.http.redirections.entryPoint"
        to = self.words.text(f"{at}.to")
        if not to:
            return
        said: dict[str, Any] = {"to": to}
        if (scheme := self.words.text(f"{at}.scheme", "https")) != "https":
            said["scheme"] = scheme
        if not self.words.flag(f"{at}.permanent", default=True):
            said["permanent"] = False
        priority = self.words.text(f"{at}.priority")
        if priority.isdecimal() and int(priority) <= MOST_PRIORITY:
            said["priority"] = int(priority)
        value = said if len(said) > 1 else to
        self.draft.try_(("listeners", name, "redirect"), value, f"{at}.to", "before every route, as in Traefik")

    def _routers(self, name: str) -> None:
        at, path = f"entryPoints.{name}", ("discovery", "traefik", "entrypoints", name)
        listener = self.draft.document["listeners"][name]
        default = self.words.flag(f"{at}.asDefault")
        if listener.get("protocol"):
            return
        self.draft.put(path, {})
        if default:
            self.draft.put((*path, "asDefault"), True)
        if middlewares := self.words.texts(f"{at}.http.middlewares"):
            self.draft.put((*path, "http", "middlewares"), middlewares)
            self.draft.decide.append(
                f"entry point {name}: each router there goes through {', '.join(middlewares)}. What no label defines "
                "has to be in discovery.traefik.files or .middlewares; until it is, routers there are closed (403)."
            )
        if self.words.has(f"{at}.http.tls"):
            options = self.words.text(f"{at}.http.tls.options")
            self.draft.put((*path, "http", "tls"), {"options": options} if options else True)

    def _defaults(self, names: list[str]) -> None:
        http = [name for name in names if not self.draft.document["listeners"][name].get("protocol")]
        chosen = [name for name in http if self.words.flag(f"entryPoints.{name}.asDefault")] or http
        if chosen:
            self.draft.put(("default_listeners",), chosen, "of routes that name none, whatever their labels")
