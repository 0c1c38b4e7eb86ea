"""What each kind of proxy is made of: its folder's `kind` has one `Kind`, and `registry` lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from lbgen.base.errors import SettingsError
from lbgen.base.logs import log
from lbgen.render.manifest import Manifest
from lbgen.render.renderer import Files
from lbgen.render.templates import TemplateSet
from lbgen.settings import Settings, TargetSettings

if TYPE_CHECKING:
    from lbgen.proxies.proxy import Proxy
    from lbgen.proxies.supervisor import Supervisor

Check = Callable[[Files], None]
YES, PARTLY, NO = "yes", "partly", "no"
# What a program may have been built with, or not: `Facts.features`.
HTTP3 = "http3"
LUA = "lua"  # HAProxy can run lbgen's script, which asks login services
AUTH_REQUEST = "auth_request"  # Nginx can ask them
MLKEM = "X25519MLKEM768"  # the key exchange of that name, which OpenSSL has since 3.5


@dataclass(frozen=True, slots=True)
class Support:
    """How far a proxy can do something."""

    level: str = YES  # YES; PARTLY: not quite the same; NO: not at all
    instead: str = ""  # what happens then, as a sentence without its end
    since: str = ""  # the first version that can do it fully; empty: all supported ones, or none
    needs: str = ""  # what a program that can do it fully is built with (`Facts.features`); empty: nothing of the kind
    # Options of the set, the first that is set counts: only routes with a longer `timeout.idle` are concerned.
    ends: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setup:
    """What is known of a target before anything of it runs."""

    name: str
    target: TargetSettings
    settings: Settings
    templates: TemplateSet
    output: Path  # absolute
    binary: str  # the proxy's program; empty: do not ask one

    @property
    def manifest(self) -> Manifest:
        """The template set's."""
        return self.templates.manifest

    def without_program(self) -> Setup:
        """Return it as on a machine without the proxy's program."""
        return replace(self, binary="")

    def own_features(self, features: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of its program that files may count on unasked.

        A proxy that lbgen does not run may be another build: it would refuse a key exchange that it does not know.
        """
        if self.target.apply.chosen in ("", "run"):
            return features
        return tuple(name for name in features if name != MLKEM)

    def tell_of_http3(self, features: tuple[str, ...]) -> None:
        """Log it, once, if listeners are to speak HTTP/3 and the program cannot."""
        served, listeners = self.target.listeners, self.settings.listeners.items()
        names = [name for name, each in listeners if each.tls and each.tls.http3 and (served is None or name in served)]
        if names and self.binary and HTTP3 not in features:
            _say_no_http3(self.name, self.binary, ", ".join(names))

    def needs_run(self, takes: str) -> None:
        """Raise SettingsError unless lbgen is to run the proxy; ``takes`` says which ways this kind knows."""
        chosen = self.target.apply.chosen
        if chosen not in ("", "run") or not (chosen or self.manifest.run):
            said = f"not {chosen}" if chosen else "name one"
            raise SettingsError(f"targets.{self.name}.apply: {takes}; {said}")


@cache
def _say_no_http3(target: str, binary: str, listeners: str) -> None:
    log.warning(
        "http3_left_out",
        target=target,
        listeners=listeners,
        reason=f"{binary} is built without HTTP/3",
        effect="clients speak HTTP/2",
    )


@dataclass(frozen=True, slots=True)
class Facts:
    """What templates have to know of the proxy that is there; see `render.TargetContext`."""

    version: tuple[int, ...] = ()  # (1, 22, 1); empty: not known
    modules: tuple[str, ...] = ()  # paths of modules to load
    features: tuple[str, ...] = ()  # what its program was built with: "http3", "X25519MLKEM768", "lua", "auth_request"
    stats_socket: str = ""
    pid_file: str = ""
    probe: str = ""
    feed: str = ""
    reads_output: bool = True
    ipv6: bool = True


@dataclass(frozen=True, slots=True)
class Parts:
    """What a target is made of besides its renderer."""

    proxy: Proxy
    check: Check
    supervisor: Supervisor | None = None
    unservable: Mapping[str, str] = field(default_factory=dict)  # listeners that it cannot serve, and why


@dataclass(frozen=True, slots=True)
class Kind:
    """What one kind of proxy adds to lbgen."""

    title: str  # its name for people; empty: nothing is known of it
    facts: Callable[[Setup], Facts]  # what templates are told
    # Its package. What is in `check` and `parts` of it is imported when it is asked for: rendering needs neither.
    folder: str
    capabilities: Mapping[str, Support] = field(default_factory=dict)  # by the row's name in `capabilities`; else YES

    def checker(self, setup: Setup, beside: Path | None) -> Check:
        """Return the checker, which raises CheckFailed or CheckUnavailable.

        Args:
            beside: the directory in which files are staged; None: where nothing reads them.
        """
        check: Check = import_module(f"{self.folder}.check").checker(setup, beside)
        return check

    def parts(self, setup: Setup) -> Parts:
        """Return what else a target is made of; raise SettingsError if the settings do not say how files reach it."""
        parts: Parts = import_module(f"{self.folder}.parts").parts(setup)
        return parts
