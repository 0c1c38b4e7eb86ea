"""Providers, logs and transports as settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lbgen.report.migrate.draft import Draft
from lbgen.report.migrate.words import Words

DEFAULT_RULE = "Host(`{{ normalize .Name }}`)"
DEFAULT_ENDPOINT = "unix:///var/run/docker.sock"
_LEVELS = {"trace": "debug", "debug": "debug", "info": "info", "warn": "warning", "warning": "warning"}
_TRAEFIK = ("discovery", "traefik")


@dataclass(slots=True)
class Discovery:
    """Makes settings of what is not about entry points."""

    words: Words
    draft: Draft
    files: Sequence[Path]  # of the file provider, as they are here

    def add_provider(self) -> None:
        """Add what the Swarm provider says; of Traefik 2 that is providers.docker with swarmMode."""
        words, draft = self.words, self.draft
        old = words.flag("providers.docker.swarmMode")
        at = "providers.docker" if old else "providers.swarm"
        if not words.has(at):
            draft.decide.append(
                "Traefik was not told of a Swarm (providers.swarm), so what stands here of it are Traefik's defaults."
            )
        draft.put(("discovery", "dialects"), ["traefik"], "[lbgen, traefik] reads both vocabularies")
        exposed = words.flag(f"{at}.exposedByDefault", default=True)
        draft.put(("discovery", "expose_by_default"), exposed, "exposedByDefault")
        if network := words.text(f"{at}.network"):
            draft.try_(("discovery", "networks"), [network], f"{at}.network", "the proxy has to be on it")
        draft.decide.append(
            "discovery.traefik.via: traffic goes to the tasks on a shared overlay network, as with Traefik. A proxy "
            "outside of it needs published ports, and via: mesh (ports published in ingress mode) or via: host."
        )
        rule = words.text(f"{at}.defaultRule", DEFAULT_RULE)
        draft.try_((*_TRAEFIK, "default_rule"), rule, f"{at}.defaultRule", "of routers without a rule")
        if constraints := words.text(f"{at}.constraints"):
            draft.try_((*_TRAEFIK, "constraints"), constraints, f"{at}.constraints")
        if syntax := words.text("core.defaultRuleSyntax"):
            draft.try_((*_TRAEFIK, "rule_syntax"), syntax, "core.defaultRuleSyntax")
        self._endpoint(at)

    def _endpoint(self, at: str) -> None:
        words, draft = self.words, self.draft
        endpoint = words.text(f"{at}.endpoint", DEFAULT_ENDPOINT)
        if endpoint == DEFAULT_ENDPOINT:
            return
        draft.put(("source", "docker", "endpoints"), [endpoint], "name several managers, they are tried in order")
        tls = {key: words.text(f"{at}.tls.{key}") for key in ("ca", "cert", "key")}
        if given := {key: value for key, value in tls.items() if value}:
            draft.try_(("source", "docker", "tls"), given, f"{at}.tls")
        if words.flag(f"{at}.tls.insecureSkipVerify"):
            draft.try_(("source", "docker", "tls", "verify"), False, f"{at}.tls.insecureSkipVerify")

    def add_files(self) -> None:
        """Add the files of the file provider: those that were named, or those that are where Traefik has them."""
        words, draft = self.words, self.draft
        directory, name = words.text("providers.file.directory"), words.text("providers.file.filename")
        files = [str(path) for path in self.files]
        if not files and directory and Path(directory).is_dir():
            files = sorted(str(path) for path in Path(directory).iterdir() if path.suffix in (".yml", ".yaml", ".toml"))
        if not files and name and Path(name).is_file():
            files = [name]
        if files:
            draft.put((*_TRAEFIK, "files"), files, "also read by Traefik: certificates in them are not taken")
        elif name or directory:
            draft.decide.append(
                f"discovery.traefik.files: Traefik's file provider reads {name or directory}, which is not here. Copy "
                "it from Traefik's machine or container, and name it with --dynamic."
            )
            draft.leave("providers.file", f"{name or directory} is not on this machine")

    def add_transport(self) -> None:
        """Add whether servers' certificates may be anything."""
        if self.words.flag("serversTransport.insecureSkipVerify"):
            draft, path = self.draft, (*_TRAEFIK, "insecure_transports")
            draft.put(path, ["default@internal"], "serversTransport.insecureSkipVerify")

    def add_certificates(self) -> None:
        """Say where certificates come from."""
        if any(listener.get("tls") for listener in self.draft.document.get("listeners", {}).values()):
            where = "PEM files, chain and key; default.pem is for all other names"
            self.draft.put(("certificates",), "/etc/lbgen/certs", where)
        if resolvers := self.words.names("certificatesResolvers"):
            self.draft.decide.append(
                f"certificates: {', '.join(resolvers)} ordered them for Traefik. lbgen takes files; until something "
                "else renews them let Traefik go on doing it, and copy them from the storage of the resolver."
            )

    def add_logs(self) -> None:
        """Add lbgen's own log, and the access log of each HTTP listener."""
        words, draft = self.words, self.draft
        if level := words.text("log.level"):
            draft.put(("log", "level"), _LEVELS.get(level.lower(), "error"))
        if words.text("log.format").lower() == "json":
            draft.put(("log", "format"), "json")
        if not words.has("accessLog"):
            return
        form = "json" if words.text("accessLog.format").lower() == "json" else "combined"
        path = words.text("accessLog.filePath")
        for name, listener in draft.document.get("listeners", {}).items():
            if not listener.get("protocol") and words.flag(
                f"entryPoints.{name}.observability.accessLogs", default=True
            ):
                at = ("listeners", name, "access_log")
                value = {"format": form, "to": path} if path else form
                if not draft.try_(at, value, "accessLog.filePath"):
                    draft.put(at, form)

    def add_status(self) -> None:
        """Say what stands for Traefik's API."""
        if any(map(self.words.has, ("api", "ping", "metrics"))):
            self.draft.put(("status", "bind"), "127.0.0.1:9099", "/healthz, /readyz, /metrics, and `lbgen status`")
